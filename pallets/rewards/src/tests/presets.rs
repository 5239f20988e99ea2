// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;
use sp_runtime::Permill;

use crate::{mock::*, Parameters};

#[test]
fn every_preset_is_sound() {
    for preset in [
        Parameters::production(),
        Parameters::dev(),
        Parameters::paper(),
    ] {
        Chosen::set(preset);
        <Rewards as Hooks<_>>::integrity_test();
    }
}

#[test]
fn in_production_the_pot_is_shared_seventy_twenty_ten() {
    let Parameters {
        winner, rankers, ..
    } = Parameters::production();
    assert_eq!(
        (winner, rankers, winner + rankers),
        (
            Permill::from_percent(70),
            Permill::from_percent(20),
            Permill::from_percent(90)
        )
    );
}
