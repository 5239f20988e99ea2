// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};

use crate::{mock::*, Candidates, Error, Event};

fn list() -> Vec<AccountId> {
    Candidates::<Test>::get()
        .into_iter()
        .map(|candidate| candidate.who)
        .collect()
}

/// Agents 1 to 5 fill the list.
fn full() {
    for who in 1..=5 {
        register(who, 200);
    }
}

#[test]
fn candidates_are_sorted_by_bond_and_among_equals_by_seniority() {
    Chain::new().run(|| {
        for (who, bond) in [(1, 100), (2, 300), (3, 200), (4, 300), (5, 100)] {
            register(who, bond);
        }
        assert_eq!(list(), [2, 4, 3, 1, 5]);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(2), 100));
        assert_eq!(list(), [4, 3, 2, 1, 5]);
    });
}

#[test]
fn an_equal_bond_does_not_push_anybody_off_a_full_list() {
    Chain::new().run(|| {
        full();
        register(6, 200);
        assert_eq!(list(), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_higher_bond_takes_the_place_of_the_lowest() {
    Chain::new().run(|| {
        full();
        register(6, 201);
        assert_eq!(list(), [6, 1, 2, 3, 4]);
        assert!(events().contains(&Event::CandidateRemoved { who: 5 }));
        // An agent that was pushed off gets a place back by bonding more, not by waiting.
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(5), 2));
        assert_eq!(list(), [5, 6, 1, 2, 3]);
    });
}

#[test]
fn anybody_may_enter_an_agent_that_is_missing_from_the_list() {
    Chain::new().run(|| {
        full();
        register(6, 201);
        assert_noop!(
            Agents::enter(RuntimeOrigin::signed(12), 5),
            Error::<Test>::NotAmongCandidates
        );
        assert_ok!(Agents::chill(RuntimeOrigin::signed(6)));
        assert_eq!(list(), [1, 2, 3, 4]);
        assert_ok!(Agents::enter(RuntimeOrigin::signed(12), 5));
        assert_eq!(events().last(), Some(&Event::CandidateAdded { who: 5 }));
        assert_eq!(list(), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn only_active_agents_that_are_missing_are_entered() {
    Chain::new().run(|| {
        let enter = |who| Agents::enter(RuntimeOrigin::signed(12), who);
        assert_noop!(enter(1), Error::<Test>::NotRegistered);
        register(1, 200);
        assert_noop!(enter(1), Error::<Test>::AlreadyCandidate);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_noop!(enter(1), Error::<Test>::NotActive);
    });
}
