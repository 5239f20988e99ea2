// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_ok;
use starling_evidence::{Finding, Ruling};
use starling_primitives::Balance;

use crate::{mock::*, Cases, Claims, Convicted, Error, Event, Known, Phase, Verdicts};

/// Lets a committee find this, and the time for an appeal pass.
fn settled(number: u8, finding: impl Fn(usize) -> Finding) -> crate::CaseId {
    let id = opened(number);
    find(id, finding);
    to_phase(id, Phase::Closed);
    id
}

fn treasury() -> Balance {
    free(&Treasury::get())
}

#[test]
fn the_guilty_lose_a_tenth_and_their_place() {
    run_with(10, || {
        let [honest, liar] = accused();
        let (issued, before) = (issuance(), (free(&accuser()), treasury()));
        let id = settled(1, second_lied);
        assert_eq!(bonded(&liar), BOND - STAKE);
        assert!(!is_active(&liar) && is_active(&honest));
        assert_eq!((bonded(&honest), lockable(&honest)), (BOND, BOND));
        assert_eq!(free(&accuser()), before.0 + STAKE / 5);
        assert_eq!(lockable(&accuser()), BOND, "its bond is free again");
        for who in &case(id).committee {
            assert_eq!(free(who), ENDOWMENT - BOND + FEE);
        }
        let rest = STAKE - STAKE / 5 - 5 * FEE;
        assert_eq!(treasury(), before.1 + rest);
        assert_eq!(issuance(), issued);
        let convicted = Event::Convicted {
            case: id,
            agent: liar,
            slashed: STAKE,
        };
        assert!(events().contains(&convicted));
    });
}

#[test]
fn both_may_be_guilty() {
    run_with(10, || {
        settled(1, |_| computed(150, 300));
        for liar in accused() {
            assert_eq!(bonded(&liar), BOND - STAKE);
        }
        assert_eq!(lockable(&accuser()), BOND);
    });
}

#[test]
fn who_accuses_the_innocent_pays_for_it() {
    run_with(10, || {
        let issued = issuance();
        let id = settled(1, |_| computed(2, 4));
        assert_eq!(bonded(&accuser()), BOND - ACCUSATION_BOND);
        for who in accused() {
            assert_eq!((bonded(&who), lockable(&who)), (BOND, BOND));
            assert_eq!(free(&who), ENDOWMENT - BOND + FEE);
        }
        for who in &case(id).committee {
            assert_eq!(free(who), ENDOWMENT - BOND + FEE);
        }
        assert_eq!(issuance(), issued);
    });
}

#[test]
fn who_shows_no_exhibit_loses_its_bond() {
    run_with(10, || {
        let id = settled(1, |_| Finding::Unavailable);
        assert_eq!(case(id).ruling, Some(Ruling::Unavailable));
        assert_eq!(bonded(&accuser()), BOND - ACCUSATION_BOND);
        // The claims were not judged: the accusation alone is remembered.
        assert_eq!(Claims::<Test>::iter().count(), 1);
    });
}

#[test]
fn inputs_that_no_tokens_lead_to_cost_the_fees_alone() {
    run_with(10, || {
        let id = settled(1, |_| Finding::Unnatural);
        assert_eq!(case(id).ruling, Some(Ruling::Unnatural));
        assert_eq!(bonded(&accuser()), BOND - 5 * FEE);
        assert_eq!(lockable(&accuser()), BOND - 5 * FEE);
        assert_eq!(Claims::<Test>::iter().count(), 1);
    });
}

#[test]
fn who_accuses_itself_loses_more_than_it_gets() {
    run_with(10, || {
        let [_, liar] = accused();
        assert_eq!(accuse(&liar, &accusation(1)), Ok(()));
        let all = |who: &AccountId| free(who) + bonded(who);
        let before = all(&liar);
        find(0, second_lied);
        to_phase(0, Phase::Closed);
        assert_eq!(all(&liar), before - STAKE * 4 / 5);
    });
}

#[test]
fn convictions_in_a_row_double_the_stake_and_are_forgotten() {
    run_with(10, || {
        let [_, liar] = accused();
        settled(1, second_lied);
        assert_eq!(Convicted::<Test>::get(&liar).count, 1);
        let id = opened(3);
        // A tenth of what is left, twice.
        assert_eq!(case(id).stakes.1, (BOND - STAKE) / 10 * 2);
        find(id, second_lied);
        to_phase(id, Phase::Closed);
        assert_eq!(Convicted::<Test>::get(&liar).count, 2);
        to_block(now() + PARAMETERS.conviction_memory + 1);
        let id = opened(5);
        assert_eq!(case(id).stakes.1, bonded(&liar) / 10);
    });
}

#[test]
fn a_claim_is_judged_once_until_it_is_too_old() {
    run_with(10, || {
        let id = settled(1, second_lied);
        let again = case(id).accusation;
        assert_eq!(
            accuse_signed(&accuser(), &again),
            Err(Error::<Test>::AlreadyJudged.into())
        );
        let judged = Claims::<Test>::iter_values();
        assert_eq!(judged.filter(|known| *known == Known::Judged).count(), 2);
        to_block(now() + 200);
        assert_eq!(Claims::<Test>::iter().count(), 0);
        assert_eq!(Verdicts::<Test>::iter().count(), 0);
        assert_eq!(
            accuse_signed(&accuser(), &again),
            Err(Error::<Test>::TooOld.into())
        );
    });
}

#[test]
fn an_agent_that_leaves_does_not_get_away() {
    run_with(10, || {
        let [_, liar] = accused();
        let id = opened(1);
        let origin = RuntimeOrigin::signed(liar.clone());
        assert_ok!(Agents::deregister(origin.clone()));
        to_phase(id, Phase::Committing);
        find(id, second_lied);
        to_phase(id, Phase::Closed);
        assert_eq!(bonded(&liar), BOND - STAKE);
    });
}

#[test]
fn who_leaves_before_it_is_accused_loses_no_less() {
    run_with(10, || {
        let [other, liar] = accused();
        let accusation = accusation(1);
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(liar.clone())));
        let part = BOND - 1_000;
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(other), part));
        assert_eq!(accuse(&accuser(), &accusation), Ok(()));
        assert_eq!(case(0).stakes, (STAKE, STAKE));
        find(0, second_lied);
        to_phase(0, Phase::Closed);
        assert_eq!(bonded(&liar), BOND - STAKE);
    });
}

#[test]
fn closed_cases_take_no_place_of_open_ones() {
    run_with(2, || {
        // All but one of 32 places are for open cases.
        MaxCases::set(31);
        let first = opened(1);
        to_phase(first, Phase::Closed);
        let second = opened(3);
        to_phase(second, Phase::Closed);
        to_block(now() + 1);
        assert!(Cases::<Test>::contains_key(first));
        assert!(!Cases::<Test>::contains_key(second));
        MaxCases::set(16);
    });
}

#[test]
fn where_executors_do_not_agree_nobody_is_guilty() {
    run_with(10, || {
        let apart = |place: usize| {
            let off = i16::try_from(place).unwrap() * 100;
            Finding::Computed(Box::new(starling_evidence::Sketches {
                own: rows(off),
                coarse: rows(off),
                coded: rows(off),
                elsewhere: rows(off),
                first: Some(rows(2)),
                second: Some(rows(200)),
            }))
        };
        let id = opened(1);
        find(id, apart);
        assert_eq!(case(id).phase, Phase::Drawing);
        find(id, apart);
        assert_eq!(case(id).phase, Phase::Closed);
        assert_eq!(case(id).ruling, Some(Ruling::Unstable));
        for who in accused() {
            assert_eq!((bonded(&who), lockable(&who)), (BOND, BOND));
        }
        assert_eq!(
            (bonded(&accuser()), lockable(&accuser())),
            (BOND - FEE, BOND - FEE)
        );
    });
}
