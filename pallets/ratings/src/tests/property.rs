// SPDX-License-Identifier: Apache-2.0

use proptest::prelude::*;
use starling_primitives::{
    fixed::ONE,
    quality::{MEMORY, NEWCOMER},
    traits::Ratings as _,
};

use crate::mock::*;

proptest! {
    /// An oracle in floats.
    #[test]
    fn a_record_of_answers_is_what_floats_say(
        standings in prop::collection::vec(0..=ONE, 0..60)
    ) {
        run(|| {
            let share = 1.0 / MEMORY as f64;
            let mut expected = 0.5;
            assert_eq!(Ratings::quality(&1), NEWCOMER);
            for standing in standings {
                Ratings::answered(&1, standing);
                expected += share * (standing as f64 / ONE as f64 - expected);
                assert!((Ratings::quality(&1) as f64 / ONE as f64 - expected).abs() < 1e-6);
            }
            assert_eq!(Ratings::quality(&2), NEWCOMER, "records are not shared");
        });
    }

    /// An oracle in floats that keeps all rounds and computes the rating from the last ones.
    #[test]
    fn a_rating_is_what_floats_say_of_the_last_rounds(
        rounds in prop::collection::vec((0..=ONE, 0..17u32), 0..12)
    ) {
        run(|| {
            let mut all: Vec<(f64, f64)> = Vec::new();
            for (deviation, count) in rounds {
                Ratings::record(&1, round(deviation, count));
                if count > 0 {
                    all.push((deviation as f64 / ONE as f64, count.into()));
                }
                let last = &all[all.len().saturating_sub(Window::get() as usize)..];
                let n: f64 = last.iter().map(|(_, count)| count).sum();
                let squares: f64 = last.iter().map(|(d, count)| d * d * count).sum();
                let initial = 0.5;
                let expected = if n < 2.0 {
                    initial
                } else {
                    let computed = (1.0 - (squares / (n - 1.0)).sqrt()).max(0.0);
                    if n < 8.0 { computed.min(initial) } else { computed }
                };
                let rating = Ratings::rating(&1);
                assert!((rating as f64 / ONE as f64 - expected).abs() < 1e-4);
                assert_eq!(Ratings::weight(&1), rating.saturating_sub(ONE / 4));
            }
        });
    }
}
