// SPDX-License-Identifier: Apache-2.0

use starling_primitives::{fixed::ONE, traits::Ratings as _};

use crate::{mock::*, Records};

#[test]
fn the_oldest_round_is_forgotten() {
    run(|| {
        Ratings::record(&1, round(ONE, 16));
        for _ in 0..2 {
            Ratings::record(&1, round(0, 16));
        }
        assert!(Ratings::rating(&1) < ONE);
        Ratings::record(&1, round(0, 16));
        assert_eq!(Ratings::rating(&1), ONE);

        let record = Records::<Test>::get(1);
        assert_eq!(record.window.len() as u32, Window::get());
        assert_eq!(record.rounds, 4);
    });
}

#[test]
fn agents_do_not_share_their_ratings() {
    run(|| {
        Ratings::record(&1, round(0, 16));
        Ratings::record(&2, round(ONE, 16));
        assert_eq!((Ratings::rating(&1), Ratings::rating(&2)), (ONE, 0));
    });
}
