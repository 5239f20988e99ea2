// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_evidence::{Ruling, Side};

use crate::{mock::*, Error, Phase};

/// A case whose first committee says that the second agent lied.
fn judged() -> crate::CaseId {
    let id = opened(1);
    find(id, second_lied);
    assert_eq!(case(id).phase, Phase::Judged);
    id
}

#[test]
fn a_second_committee_has_no_member_of_the_first() {
    run_with(20, || {
        let id = judged();
        let [_, liar] = accused();
        let first = case(id).committee;
        assert_ok!(appeal(id, &liar));
        assert_eq!(lockable(&liar), BOND - STAKE - 3 * ACCUSATION_BOND);
        assert_noop!(appeal(id, &accuser()), Error::<Test>::AlreadyAppealed);
        to_phase(id, Phase::Committing);
        let second = case(id).committee;
        assert_eq!(second.len(), 7);
        assert!(!second.iter().any(|who| first.contains(who)));
    });
}

#[test]
fn no_accuser_makes_an_appeal_dear() {
    run_with(20, || {
        // Its second case at a time costs it twice as much.
        opened(3);
        let id = opened(1);
        assert_eq!(case(id).bond, 2 * ACCUSATION_BOND);
        find(id, second_lied);
        let [_, accused] = accused();
        assert_ok!(appeal(id, &accused));
        let (_, bond) = case(id).appellant.unwrap();
        assert_eq!(bond, 3 * ACCUSATION_BOND);
    });
}

#[test]
fn an_appeal_in_vain_costs_its_bond() {
    run_with(20, || {
        let id = judged();
        let [_, liar] = accused();
        assert_ok!(appeal(id, &liar));
        find(id, second_lied);
        assert_eq!(case(id).phase, Phase::Closed, "it is final");
        assert_eq!(bonded(&liar), BOND - STAKE - 3 * ACCUSATION_BOND);
        // Both committees are paid.
        for who in case(id).former.iter().chain(&case(id).committee) {
            assert_eq!(free(who), ENDOWMENT - BOND + FEE);
        }
    });
}

#[test]
fn a_captured_committee_convicts_nobody_for_good() {
    run_with(20, || {
        let id = judged();
        let [_, innocent] = accused();
        assert_ok!(appeal(id, &innocent));
        find(id, |_| computed(2, 4));
        let ruling = Ruling::Decided {
            first: Side::Cleared,
            second: Side::Cleared,
        };
        assert_eq!(case(id).ruling, Some(ruling));
        assert_eq!((bonded(&innocent), lockable(&innocent)), (BOND, BOND));
        assert!(is_active(&innocent));
        // The first committee gets nothing for its verdict.
        for who in &case(id).former {
            assert_eq!(free(who), ENDOWMENT - BOND);
        }
    });
}

#[test]
fn an_appeal_that_too_few_can_judge_convicts_nobody() {
    run_with(7, || {
        let id = judged();
        let [_, liar] = accused();
        assert_ok!(appeal(id, &liar));
        to_phase(id, Phase::Closed);
        assert_eq!(case(id).ruling, Some(Ruling::NoCommittee));
        assert_eq!((bonded(&liar), lockable(&liar)), (BOND, BOND));
    });
}

#[test]
fn only_parties_appeal_and_only_in_time() {
    run_with(20, || {
        let id = opened(1);
        assert_noop!(appeal(id + 1, &accuser()), Error::<Test>::UnknownCase);
        assert_noop!(appeal(id, &accuser()), Error::<Test>::NotJudged);
        find(id, second_lied);
        assert_noop!(appeal(id, &account(9)), Error::<Test>::NotAParty);
        let deposit = |deposit| {
            let parameters = crate::Parameters {
                deposit,
                ..PARAMETERS
            };
            Disputes::set_parameters(RuntimeOrigin::root(), parameters)
        };
        assert_ok!(deposit(BOND / 3));
        assert_noop!(appeal(id, &accuser()), Error::<Test>::BondNotFree);
        assert_ok!(deposit(PARAMETERS.deposit));
        to_phase(id, Phase::Closed);
        assert_noop!(appeal(id, &accuser()), Error::<Test>::NotJudged);
    });
}
