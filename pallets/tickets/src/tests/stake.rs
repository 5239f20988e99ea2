// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok, traits::tokens::imbalance::Imbalance};
use starling_primitives::traits::Tickets as _;

use crate::{mock::*, Account, Accounts, Error};

#[test]
fn a_spent_ticket_is_staked_until_the_round_gives_it_back() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert_ok!(Tickets::spend(&1, 10));
        assert_ok!(Tickets::spend(&1, 10));
        assert_eq!(Tickets::staked(&1), 20);
        assert_eq!(money(1), (ENDOWMENT - 30, 30));
        Tickets::give_back(&1, 10);
        assert_eq!(
            Accounts::<Test>::get(1),
            Account {
                free: 20,
                staked: 10
            }
        );
        0
    });
}

#[test]
fn who_has_no_ticket_cannot_spend_one() {
    run(|| {
        assert!(!Tickets::can_spend(&1, 1));
        assert_noop!(Tickets::spend(&1, 1), Error::<Test>::NotEnoughTickets);
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert!(Tickets::can_spend(&1, 30));
        assert!(!Tickets::can_spend(&1, 31));
        assert_noop!(Tickets::spend(&1, 31), Error::<Test>::NotEnoughTickets);
        0
    });
}

#[test]
fn a_part_is_forfeited_and_the_rest_is_free_again() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert_ok!(Tickets::spend(&1, 20));
        let credit = Tickets::forfeit(&1, 20, 7);
        assert_eq!(credit.peek(), 7);
        assert_eq!(
            Accounts::<Test>::get(1),
            Account {
                free: 23,
                staked: 0
            }
        );
        assert_eq!(money(1), (ENDOWMENT - 30, 23));
        7
    });
}

#[test]
fn a_ticket_is_forfeited_whole_and_never_more_than_that() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 40));
        assert_ok!(Tickets::spend(&1, 20));
        assert_ok!(Tickets::spend(&1, 20));
        assert_eq!(Tickets::forfeit(&1, 20, 20).peek(), 20);
        assert_eq!(Tickets::forfeit(&1, 20, 21).peek(), 20);
        assert!(
            !Accounts::<Test>::contains_key(1),
            "nothing is left on record"
        );
        assert_eq!(money(1), (ENDOWMENT - 40, 0));
        40
    });
}
