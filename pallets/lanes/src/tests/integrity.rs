// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok, traits::Hooks};
use sp_runtime::{DispatchError, Permill};
use starling_lane_primitives::Committee;

use crate::{mock::*, Error, InForce, Parameters};

#[test]
fn the_constants_fit_together() {
    run(<Lanes as Hooks<_>>::integrity_test);
}

#[test]
fn the_presets_are_sound() {
    for parameters in [Parameters::production(1_000), Parameters::dev(1_000)] {
        assert!(parameters.is_sound(1_000), "{parameters:?}");
    }
    assert_eq!(Parameters::production(1).min_committee, 7);
}

#[test]
fn parameters_that_do_not_fit_together_are_refused() {
    let cases: [fn(&mut Parameters); 7] = [
        |them| them.epoch = 0,
        |them| them.min_committee = 5,
        |them| them.min_deposit = 0,
        |them| them.burnt = Permill::one(),
        |them| them.lane_bond = MIN_SLASH,
        |them| them.dispute_window = 0,
        |them| them.dispute_window = 1_000,
    ];
    run(|| {
        for change in cases {
            let mut parameters = PARAMETERS;
            change(&mut parameters);
            let set = Lanes::set_parameters(RuntimeOrigin::root(), parameters);
            assert_eq!(set, Err(Error::<Test>::InvalidParameters.into()));
        }
        let parameters = Parameters {
            epoch: 12,
            ..PARAMETERS
        };
        let stranger = RuntimeOrigin::signed(requester());
        assert_noop!(
            Lanes::set_parameters(stranger, parameters),
            DispatchError::BadOrigin
        );
        assert_ok!(Lanes::set_parameters(RuntimeOrigin::root(), parameters));
        assert_eq!(InForce::<Test>::get(), parameters);
    });
}

#[test]
fn liars_that_must_sign_lose_twice_what_is_pending() {
    for members in [4, 7, 10, 13, 16] {
        let committee = Committee::of(members).unwrap();
        let pending = PARAMETERS.max_pending(committee, MIN_SLASH);
        let lost = u128::from(committee.f() + 1) * (LANE_BOND - MIN_SLASH);
        assert!(2 * pending <= lost);
    }
}
