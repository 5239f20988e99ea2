// SPDX-License-Identifier: Apache-2.0
//! Seats of validators whose nodes run, or do not.

use std::collections::BTreeSet;

use frame_support::assert_ok;

use crate::{
    mock::*,
    seats::{tolerated, Seat},
    Event, SeatPrice, Seats,
};

/// A chain with this many validators of equal bonds, and room for all accounts.
fn founded(founders: u64) -> Chain {
    MaxCandidates::set(12);
    MaxValidators::set(12);
    MinValidators::set(4);
    let founders: Vec<_> = (1..=founders).map(|who| (who, 200)).collect();
    Chain::with_agents(&founders)
}

/// Bonds of `who`, with session keys.
fn join(who: impl IntoIterator<Item = AccountId>, bond: u128) {
    for who in who {
        register(who, bond);
        set_session_keys(who);
    }
}

fn of(accounts: impl IntoIterator<Item = AccountId>) -> BTreeSet<AccountId> {
    accounts.into_iter().collect()
}

fn set() -> BTreeSet<AccountId> {
    of(Authorities::get())
}

fn silenced() -> Vec<AccountId> {
    events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Silent { who } => Some(who),
            _ => None,
        })
        .collect()
}

#[test]
fn bonds_without_nodes_never_hold_a_third_of_the_seats() {
    founded(4).run(|| {
        join(5..=12, 1_000);
        Offline::set(of(5..=12));
        for _ in 0..60 {
            sessions(1);
            let set = set();
            let idle = set.iter().filter(|who| **who > 4).count() as u32;
            assert!(idle <= tolerated(set.len() as u32), "{set:?}");
            assert!(set.is_superset(&of(1..=4)), "{set:?}");
            for who in 5..=12 {
                // Fails while it is active.
                let _ = Agents::unchill(RuntimeOrigin::signed(who));
            }
        }
        assert!(!silenced().is_empty());
    });
}

#[test]
fn nodes_that_never_vote_never_hold_a_third_of_the_seats() {
    founded(4).run(|| {
        join(5..=12, 1_000);
        Mute::set(of(5..=12));
        for _ in 0..60 {
            sessions(1);
            let set = set();
            let mute = set.iter().filter(|who| **who > 4).count() as u32;
            assert!(mute <= tolerated(set.len() as u32), "{set:?}");
            assert!(set.is_superset(&of(1..=4)), "{set:?}");
            for who in 5..=12 {
                // Fails while it is active.
                let _ = Agents::unchill(RuntimeOrigin::signed(who));
            }
        }
        assert!(silenced().iter().all(|who| *who > 4));
        assert!(!silenced().is_empty());
    });
}

#[test]
fn a_founder_that_stops_to_vote_loses_its_seat_and_one_that_votes_again_keeps_it() {
    founded(6).run(|| {
        Mute::set(of([3]));
        sessions(5);
        assert_eq!(silenced(), [3]);
        sessions(1);
        assert_eq!(set(), of([1, 2, 4, 5, 6]));
    });
    founded(6).run(|| {
        // Nobody votes: finality stands still, and nobody is to blame.
        Mute::set(of(1..=6));
        sessions(20);
        assert!(silenced().is_empty());
        assert_eq!(set(), of(1..=6));
    });
}

#[test]
fn newcomers_with_nodes_all_get_a_seat() {
    founded(4).run(|| {
        join(5..=12, 150);
        let mut sizes = vec![4];
        for _ in 0..40 {
            sessions(1);
            let size = set().len();
            if sizes.last() != Some(&size) {
                sizes.push(size);
            }
        }
        // One, which shows a sign of life, then two, and so on.
        assert_eq!(sizes[..3], [4, 5, 7]);
        assert!(sizes.is_sorted());
        assert_eq!(set(), of(1..=12));
        assert!(silenced().is_empty());
    });
}

#[test]
fn a_seat_is_proven_by_a_block_in_a_completed_session() {
    founded(4).run(|| {
        join([5], 200);
        let proven = || {
            let seats = Seats::<Test>::get();
            seats.iter().find(|seat| seat.who == 5).map(Seat::proven)
        };
        sessions(1);
        assert_eq!(proven(), Some(false), "planned");
        sessions(1);
        assert_eq!(proven(), Some(false), "sits");
        sessions(1);
        assert_eq!(proven(), Some(true), "has authored");
    });
}

#[test]
fn a_silent_validator_is_chilled_and_comes_back_after_a_while() {
    founded(6).run(|| {
        Offline::set(of([3]));
        // The first session only starts the count; then 18 blocks are three turns of six.
        sessions(5);
        assert_eq!(silenced(), [3]);
        assert!(events().contains(&Event::Chilled { who: 3 }));
        assert!(set().contains(&3), "this set was planned before");
        sessions(1);
        assert_eq!(set(), of([1, 2, 4, 5, 6]));

        Offline::set(BTreeSet::new());
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(3)));
        sessions(9);
        assert!(!set().contains(&3));
        sessions(3);
        assert!(set().contains(&3));
        sessions(20);
        assert_eq!(set(), of(1..=6));
        assert_eq!(silenced(), [3]);
    });
}

#[test]
fn at_most_a_third_falls_silent_at_once() {
    founded(9).run(|| {
        Offline::set(of(5..=9));
        let (mut seen, mut before) = (0, set());
        for _ in 0..20 {
            sessions(1);
            let now = silenced().len();
            assert!(now - seen <= 3);
            seen = now;
            let set = set();
            assert!(before.difference(&set).count() <= before.len() / 3);
            before = set;
        }
        assert_eq!(seen, 5);
        assert_eq!(before, of(1..=4));
    });
}

#[test]
fn a_set_as_small_as_it_may_be_keeps_a_silent_validator() {
    founded(4).run(|| {
        Offline::set(of([3]));
        sessions(10);
        assert_eq!(silenced(), [3]);
        assert_eq!(set(), of(1..=4));
        // A newcomer takes its seat.
        join([5], 100);
        sessions(2);
        assert_eq!(set(), of([1, 2, 4, 5]));
    });
}

#[test]
fn a_bond_that_makes_seats_too_cheap_gets_none_and_one_of_the_price_does() {
    founded(7).run(|| {
        // Seven seats at 200 are worth as much as eight at 175.
        sessions(1);
        assert_eq!(SeatPrice::<Test>::get(), 175);
        join(8..=11, 110);
        sessions(20);
        assert_eq!(set(), of(1..=7));
        join([12], 175);
        sessions(20);
        assert_eq!(set(), of((1..=7).chain([12])));
        assert!(silenced().is_empty());
    });
}

#[test]
fn a_set_shrinks_by_a_third_at_most_when_dear_bonds_come() {
    founded(8).run(|| {
        for who in 1..=4 {
            assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(who), 500));
        }
        let sizes: Vec<_> = (0..5)
            .map(|_| {
                sessions(1);
                set().len()
            })
            .collect();
        assert_eq!(sizes, [8, 6, 4, 4, 4]);
        assert_eq!(set(), of(1..=4));
    });
}

#[test]
fn a_set_shrinks_only_for_seats_that_are_clearly_dearer() {
    founded(8).run(|| {
        let bond_more = |amount| {
            for who in 1..=4 {
                assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(who), amount));
            }
        };
        // Four seats at 440 are worth 1,760, and eight at 200 are more than four fifths of that.
        bond_more(240);
        sessions(10);
        assert_eq!(set(), of(1..=8));
        // Four at 501 are worth 2,004.
        bond_more(61);
        sessions(10);
        assert_eq!(set(), of(1..=4));
        assert!(silenced().is_empty());
    });
}

#[test]
fn an_idle_chain_chills_nobody() {
    founded(12).run(|| {
        sessions(50);
        assert!(silenced().is_empty());
        assert_eq!(set(), of(1..=12));
    });
}

#[test]
fn a_chain_that_knows_no_authors_chills_nobody() {
    founded(4).run(|| {
        Offline::set(of(1..=4));
        sessions(20);
        assert!(silenced().is_empty());
        assert_eq!(set(), of(1..=4));
    });
}

#[test]
fn validators_that_all_leave_go_a_third_at_a_time_and_not_below_the_minimum() {
    founded(9).run(|| {
        for who in 2..=9 {
            assert_ok!(Agents::chill(RuntimeOrigin::signed(who)));
        }
        let sizes: Vec<_> = (0..6)
            .map(|_| {
                sessions(1);
                set().len()
            })
            .collect();
        assert_eq!(sizes, [9, 6, 4, 4, 4, 4]);
        assert!(set().contains(&1), "who wants to stay, stays");
    });
}

#[test]
fn a_higher_bond_takes_a_seat_of_a_full_set_a_newcomer_after_the_other() {
    founded(4).run(|| {
        MaxValidators::set(4);
        join(5..=8, 1_000);
        let mut sets = Vec::new();
        for _ in 0..16 {
            sessions(1);
            sets.push(set());
        }
        for (before, after) in sets.iter().zip(sets.iter().skip(1)) {
            assert!(
                before.difference(after).count() <= 1,
                "{before:?} {after:?}"
            );
        }
        assert_eq!(set(), of(5..=8));
    });
}
