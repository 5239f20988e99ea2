// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;

use crate::mock::*;

fn integrity_test() {
    <Agents as Hooks<_>>::integrity_test();
}

#[test]
fn the_mocks_parameters_are_sound() {
    integrity_test();
}

#[test]
#[should_panic(expected = "UnbondingTooShort")]
fn a_bond_must_not_come_back_before_a_round_can_end() {
    LongestRound::set(UnbondingPeriod::get());
    integrity_test();
}

#[test]
#[should_panic(expected = "NoBond")]
fn a_bond_must_be_something() {
    MinBond::set(0);
    integrity_test();
}

#[test]
#[should_panic(expected = "MaxUnbonding")]
fn it_must_be_possible_to_unbond() {
    MaxUnbonding::set(0);
    integrity_test();
}

#[test]
#[should_panic(expected = "NoValidator")]
fn there_must_be_a_validator() {
    MinValidators::set(0);
    integrity_test();
}

#[test]
#[should_panic(expected = "TooManyValidators")]
fn the_least_number_of_validators_must_be_possible() {
    MinValidators::set(MaxValidators::get() + 1);
    integrity_test();
}

#[test]
#[should_panic(expected = "exceed MaxCandidates")]
fn validators_must_fit_on_the_list() {
    MaxValidators::set(MaxCandidates::get() + 1);
    integrity_test();
}
