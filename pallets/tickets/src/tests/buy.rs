// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::{DispatchError, TokenError};

use crate::{mock::*, Account, Accounts, Error, Event};

#[test]
fn tickets_are_money_on_hold() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 12));
        assert_eq!(money(1), (ENDOWMENT - 42, 42));
        assert_eq!(
            Accounts::<Test>::get(1),
            Account {
                free: 42,
                staked: 0
            }
        );
        assert_eq!(
            events(),
            [
                Event::Bought {
                    who: 1,
                    amount: 30,
                    free: 30
                },
                Event::Bought {
                    who: 1,
                    amount: 12,
                    free: 42
                },
            ]
        );
        0
    });
}

#[test]
fn nothing_and_more_than_there_is_cannot_be_bought() {
    run(|| {
        let buy = |amount| Tickets::buy(RuntimeOrigin::signed(1), amount);
        assert_noop!(buy(0), Error::<Test>::ZeroAmount);
        assert_noop!(
            buy(ENDOWMENT - EXISTENTIAL_DEPOSIT + 1),
            TokenError::FundsUnavailable
        );
        assert_ok!(buy(ENDOWMENT - EXISTENTIAL_DEPOSIT));
        assert_noop!(
            Tickets::buy(RuntimeOrigin::none(), 1),
            DispatchError::BadOrigin
        );
        0
    });
}
