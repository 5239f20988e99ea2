// SPDX-License-Identifier: Apache-2.0
//! The other tests run [`crate::Pallet::do_try_state`] at their end. This test shows that it
//! detects broken state.

use frame_support::assert_err;
use starling_primitives::{fixed::ONE, traits::Ratings as _};

use crate::{mock::*, Qualities, Record, Records};

#[test]
fn a_broken_state_is_noticed() {
    run(|| {
        Ratings::record(&1, round(ONE, 3));
        let sound = Records::<Test>::get(1);
        for (change, expected) in [
            (
                (|record| record.window.clear()) as fn(&mut Record<Window>),
                "a record of nothing",
            ),
            (
                |record| record.rounds = 0,
                "more rounds in the window than there were",
            ),
            (
                |record| record.window[0].count = 0,
                "a round without scores",
            ),
            (
                |record| record.window[0].squares += 1,
                "a deviation of more than one",
            ),
        ] {
            let mut broken = sound.clone();
            change(&mut broken);
            Records::<Test>::insert(1, broken);
            assert_err!(Ratings::do_try_state(), expected);
        }
        Records::<Test>::insert(1, sound);
        Qualities::<Test>::insert(1, ONE + 1);
        assert_err!(Ratings::do_try_state(), "a record of answers above one");
        Qualities::<Test>::insert(1, ONE);
    });
}
