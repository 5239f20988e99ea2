// SPDX-License-Identifier: Apache-2.0

use frame_support::{storage::unhashed, traits::UncheckedOnRuntimeUpgrade};
use starling_primitives::{fixed::ONE, traits::Ratings as _};

use crate::{migration::ShortenWindows, mock::*, Records};

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
fn a_longer_window_keeps_its_last_rounds() {
    run(|| {
        let rounds: Vec<_> = (1..=5).map(|count| round(ONE / count, 8)).collect();
        let key = Records::<Test>::hashed_key_for(1);
        unhashed::put(&key, &(&rounds, 9u64));
        assert_eq!(
            Records::<Test>::get(1).rounds,
            0,
            "the old record does not decode"
        );
        Ratings::record(&2, round(0, 8));

        ShortenWindows::<Test>::on_runtime_upgrade();
        let record = Records::<Test>::get(1);
        assert_eq!(record.window.to_vec(), rounds[2..]);
        assert_eq!(record.rounds, 9);
        assert_eq!(Records::<Test>::get(2).window.to_vec(), [round(0, 8)]);

        ShortenWindows::<Test>::on_runtime_upgrade();
        assert_eq!(
            Records::<Test>::get(1).window.to_vec(),
            rounds[2..],
            "twice"
        );
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
