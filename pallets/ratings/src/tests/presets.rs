// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;
use starling_primitives::{fixed::ONE, traits::Ratings as _};

use crate::{mock::*, Parameters};

#[test]
fn every_preset_is_sound() {
    for preset in [
        Parameters::production(1_000),
        Parameters::dev(),
        Parameters::paper(),
    ] {
        Chosen::set(preset);
        <Ratings as Hooks<_>>::integrity_test();
    }
}

/// `InitialRating` is at most the rating of a ranker at random: 0.71 with the simulation's spread
/// of quality and noise.
#[test]
fn a_newcomer_is_not_better_off_than_a_ranker_at_random() {
    for preset in [Parameters::production(1_000), Parameters::dev()] {
        assert!(preset.initial_rating * 100 <= ONE * 71);
    }
}

#[test]
fn in_the_paper_a_weight_is_the_rating() {
    run(|| {
        Chosen::set(Parameters::paper());
        for deviation in [0, ONE / 7, ONE / 2, ONE] {
            Ratings::record(&1, round(deviation, 5));
            assert_eq!(Ratings::weight(&1), Ratings::rating(&1));
        }
    });
}

#[test]
fn farming_ratings_in_production_takes_dear_rounds() {
    assert_eq!(Parameters::production(1_000).rated_fee, 5_000);
}
