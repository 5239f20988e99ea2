// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok, traits::Hooks};
use sp_runtime::DispatchError;

use crate::{mock::*, Error, InForce, Parameters, MAX_MEMBERS};

#[test]
fn the_constants_fit_together() {
    run(<Disputes as Hooks<_>>::integrity_test);
}

#[test]
fn the_presets_are_sound() {
    // Blocks of a second, and bonds that unbond for a week and for ten minutes.
    assert!(Parameters::production(1_000).is_sound(7 * 86_400, 1_000));
    assert!(Parameters::dev(1_000).is_sound(600, 1_000));
    assert_eq!(Parameters::production(1).appeal, MAX_MEMBERS);
    assert!(Parameters::dev(1).are_open());
    assert!(!Parameters::production(1).are_open());
}

#[test]
fn parameters_that_do_not_fit_together_are_refused() {
    let cases: [fn(&mut Parameters); 11] = [
        |them| them.least = 2,
        |them| them.least = 6,
        |them| them.committee = MAX_MEMBERS + 1,
        |them| them.appeal = 2,
        |them| them.drawing = 0,
        |them| them.commit_window = 0,
        |them| them.appeal_window = 0,
        |them| them.evidence_life = 200_000,
        |them| them.holder_delay = 201,
        |them| them.member_fee = 0,
        |them| them.deposit = 19,
    ];
    run(|| {
        for change in cases {
            let mut parameters = PARAMETERS;
            change(&mut parameters);
            let set = Disputes::set_parameters(RuntimeOrigin::root(), parameters);
            assert_eq!(set, Err(Error::<Test>::InvalidParameters.into()));
        }
        let parameters = Parameters {
            drawing: 6,
            ..PARAMETERS
        };
        assert_noop!(
            Disputes::set_parameters(RuntimeOrigin::signed(account(1)), parameters),
            DispatchError::BadOrigin
        );
        assert_ok!(Disputes::set_parameters(RuntimeOrigin::root(), parameters));
        assert_eq!(InForce::<Test>::get(), parameters);
    });
}

#[test]
fn the_bond_grows_with_ones_own_cases_and_with_all() {
    let bond = |own, open| PARAMETERS.accusation_bond(own, open, 16);
    assert_eq!(bond(0, 0), ACCUSATION_BOND);
    assert_eq!(bond(1, 1), 2 * ACCUSATION_BOND);
    assert_eq!(bond(0, 4), 4 * ACCUSATION_BOND);
    assert_eq!(bond(u32::MAX, 16), 1_024 * ACCUSATION_BOND);
}
