// SPDX-License-Identifier: Apache-2.0
//! The other tests run [`crate::Pallet::do_try_state`] at their end. This test shows that it
//! detects broken state.

use frame_support::{assert_err, assert_ok};
use starling_primitives::traits::Tickets as _;

use crate::{mock::*, Account, Accounts};

#[test]
fn a_broken_state_is_noticed() {
    run(|| {
        assert_ok!(Tickets::buy(RuntimeOrigin::signed(1), 30));
        assert_ok!(Tickets::spend(&1, 20));
        let sound = Accounts::<Test>::get(1);
        for broken in [
            Account { free: 11, ..sound },
            Account {
                staked: 19,
                ..sound
            },
            Account {
                free: u128::MAX,
                ..sound
            },
        ] {
            Accounts::<Test>::insert(1, broken);
            assert_err!(
                Tickets::do_try_state(),
                "the held funds are not those on record"
            );
        }
        Accounts::<Test>::insert(1, sound);
        Accounts::<Test>::insert(2, Account::default());
        assert_err!(Tickets::do_try_state(), "an account without tickets");
        Accounts::<Test>::remove(2);
        0
    });
}
