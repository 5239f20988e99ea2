// SPDX-License-Identifier: Apache-2.0
//! Contradicting votes, as `pallet-offences` reports them. The runtime's tests prove real ones.

use frame_support::assert_ok;
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, ActiveKeys, Debts, Event, Offenders};

fn chain() -> Chain {
    MaxCandidates::set(12);
    MaxValidators::set(12);
    let founders: Vec<_> = (1..=7).map(|who| (who, 1_000)).collect();
    Chain::with_agents(&founders)
}

/// Reports offenders of one round of votes in a session of seven validators.
fn report(offenders: &[AccountId], session: u32) {
    Sizes::mutate(|sizes| {
        sizes.insert(session, 7);
    });
    let offenders: Vec<_> = offenders
        .iter()
        .map(|who| OffenceDetails {
            offender: (*who, *who),
            reporters: vec![],
        })
        .collect();
    // The fraction of the SDK, which is not ours.
    let fractions = vec![Perbill::from_percent(56); offenders.len()];
    Agents::on_offence(&offenders, &fractions, session);
}

fn bonds() -> [u128; 3] {
    [1, 2, 3].map(|who| <Agents as AgentRegistry<_>>::bond(&who))
}

#[test]
fn offenders_of_a_session_are_slashed_by_their_number_and_never_twice() {
    chain().run(|| {
        report(&[1], 0);
        assert_eq!(bonds(), [990, 1_000, 1_000]);
        // Reported again, as with every later offender of the same round.
        report(&[1], 0);
        assert_eq!(bonds(), [990, 1_000, 1_000]);
        // Two of seven are still tolerated: 1 % and a quarter of the rest.
        report(&[1, 2], 0);
        assert_eq!(bonds(), [743, 743, 1_000]);
        // Another round of the same session. Three of seven can finalise two chains.
        report(&[3], 0);
        assert_eq!(bonds(), [0, 0, 0]);
        assert_eq!(held(1), 0);
        assert_eq!(
            events().last(),
            Some(&Event::Offended {
                who: 3,
                session: 0,
                amount: 1_000
            })
        );
    });
}

#[test]
fn offenders_of_different_sessions_are_counted_apart() {
    chain().run(|| {
        report(&[1], 0);
        report(&[2], 1);
        report(&[3], 2);
        assert_eq!(bonds(), [990, 990, 990]);
    });
}

#[test]
fn an_offender_is_chilled_disabled_and_keeps_no_seat_by_coming_back() {
    chain().run(|| {
        report(&[1], 0);
        assert!(events().contains(&Event::Chilled { who: 1 }));
        assert_eq!(Disabled::get(), [1]);
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(1)));
        sessions(3);
        assert!(Disabled::get().len() > 1, "disabled in later sessions, too");
        assert!(!Authorities::get().contains(&1));
        sessions(57);
        assert!(!Authorities::get().contains(&1));
        sessions(4);
        assert!(Authorities::get().contains(&1));
    });
}

#[test]
fn what_unbonds_is_slashed_and_a_claim_of_a_round_is_waited_for() {
    chain().run(|| {
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 500));
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 450));
        report(&[1, 2, 3], 0);
        assert_eq!(held(1), 450);
        assert_eq!(Debts::<Test>::get(1), 450);
        <Agents as AgentRegistry<_>>::release(&1, 450);
        sessions(1);
        assert_eq!(held(1), 0);
        assert!(!Debts::<Test>::contains_key(1));
    });
}

#[test]
fn a_former_agent_is_slashed_in_what_unbonds() {
    chain().run(|| {
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        report(&[1], 0);
        assert_eq!(held(1), 990);
    });
}

#[test]
fn old_offenders_and_keys_are_forgotten() {
    chain().run(|| {
        sessions(1);
        report(&[1], 1);
        sessions(u64::from(ACCOUNTABLE));
        assert_eq!(Offenders::<Test>::get(1).len(), 1);
        sessions(2);
        assert_eq!(Offenders::<Test>::iter().count(), 0);
        let session = Session::current_index();
        let mut keys: Vec<_> = ActiveKeys::<Test>::iter_keys().collect();
        keys.sort();
        assert_eq!(keys, [session, session + 1]);
    });
}
