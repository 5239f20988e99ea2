// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;

use crate::{mock::*, MAX_SPACING};

#[test]
fn the_constants_of_the_mock_fit_together() {
    ext().execute_with(<Capabilities as Hooks<u64>>::integrity_test);
}

#[test]
#[should_panic(expected = "a record has no more room")]
fn a_spacing_for_which_a_record_has_no_room_is_noticed() {
    ext().execute_with(|| {
        Spacing::set(MAX_SPACING + 1);
        <Capabilities as Hooks<u64>>::integrity_test();
    });
}
