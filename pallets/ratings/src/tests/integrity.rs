// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;
use starling_primitives::fixed::ONE;

use crate::{mock::*, Parameters};

fn integrity_test_with(change: impl FnOnce(&mut Parameters)) {
    let mut parameters = Chosen::get();
    change(&mut parameters);
    Chosen::set(parameters);
    <Ratings as Hooks<_>>::integrity_test();
}

#[test]
fn the_mocks_parameters_are_sound() {
    integrity_test_with(|_| {});
}

#[test]
#[should_panic(expected = "Window")]
fn a_window_must_not_be_empty() {
    Window::set(0);
    integrity_test_with(|_| {});
}

#[test]
#[should_panic(expected = "RatingAboveOne")]
fn an_initial_rating_is_a_rating() {
    integrity_test_with(|parameters| parameters.initial_rating = ONE + 1);
}

#[test]
#[should_panic(expected = "SpreadAboveOne")]
fn a_spread_must_be_possible() {
    integrity_test_with(|parameters| parameters.min_spread = ONE + 1);
}

#[test]
#[should_panic(expected = "NewcomersWeighNothing")]
fn newcomers_must_weigh_something() {
    integrity_test_with(|parameters| parameters.weight_floor = parameters.initial_rating);
}
