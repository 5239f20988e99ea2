// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::traits::Tickets as _;

use crate::{mock::*, Accounts, Error, Event};

fn refund(amount: u128) -> frame_support::pallet_prelude::DispatchResult {
    Tickets::refund(RuntimeOrigin::signed(1), amount)
}

#[test]
fn free_tickets_become_money_again() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert_ok!(refund(10));
        assert_eq!(
            events().last(),
            Some(&Event::Refunded {
                who: 1,
                amount: 10,
                free: 20
            })
        );
        assert_eq!(money(1), (ENDOWMENT - 20, 20));
        assert_ok!(refund(20));
        assert_eq!(money(1), (ENDOWMENT, 0));
        assert!(
            !Accounts::<Test>::contains_key(1),
            "nothing is left on record"
        );
        0
    });
}

#[test]
fn staked_tickets_are_not_refunded() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert_ok!(Tickets::spend(&1, 25));
        assert_noop!(refund(6), Error::<Test>::NotEnoughTickets);
        assert_ok!(refund(5));
        assert_noop!(refund(1), Error::<Test>::NotEnoughTickets);
        assert_noop!(refund(0), Error::<Test>::ZeroAmount);
        Tickets::give_back(&1, 25);
        assert_ok!(refund(25));
        0
    });
}
