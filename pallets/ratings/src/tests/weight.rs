// SPDX-License-Identifier: Apache-2.0

use starling_primitives::{fixed::ONE, traits::Ratings as _};

use crate::{mock::*, Event};

#[test]
fn a_newcomer_has_the_initial_rating() {
    run(|| {
        assert_eq!(Ratings::rating(&1), ONE / 2);
        assert_eq!(Ratings::weight(&1), ONE / 4);
    });
}

#[test]
fn below_the_least_number_of_scores_nobody_rises_but_anybody_falls() {
    run(|| {
        Ratings::record(&1, round(0, 7));
        assert_eq!(Ratings::rating(&1), ONE / 2);
        Ratings::record(&1, round(0, 1));
        assert_eq!(Ratings::rating(&1), ONE);

        Ratings::record(&2, round(ONE, 7));
        assert_eq!(Ratings::rating(&2), 0);
    });
}

#[test]
fn a_rating_below_the_floor_weighs_nothing() {
    run(|| {
        // σ = 0.8 · sqrt(16 / 15), so the rating is below 0.25.
        Ratings::record(&1, round(ONE / 10 * 8, 16));
        assert!(Ratings::rating(&1) > 0);
        assert!(Ratings::rating(&1) < Chosen::get().weight_floor);
        assert_eq!(Ratings::weight(&1), 0);
    });
}

#[test]
fn a_rating_is_one_minus_the_deviation() {
    run(|| {
        Ratings::record(&1, round(ONE / 10, 16));
        let sigma = (0.01f64 * 16.0 / 15.0).sqrt();
        let rating = Ratings::rating(&1) as f64 / ONE as f64;
        assert!((rating - (1.0 - sigma)).abs() < 1e-4);
        let event = Event::<Test>::Rated {
            who: 1,
            rating: Ratings::rating(&1),
        };
        System::assert_last_event(event.into());
    });
}
