// SPDX-License-Identifier: Apache-2.0

use frame_support::{
    assert_noop, assert_ok,
    storage::unhashed,
    traits::{GetStorageVersion, OnRuntimeUpgrade, StorageVersion},
};
use sp_io::{hashing::twox_128, TestExternalities};
use sp_runtime::DispatchError;

use crate::{
    migration::{MoveFromRules, VERSION},
    mock::{chain, Parameters, RuntimeEvent, RuntimeOrigin, System, Test},
    Error, Event, InForce,
};

/// Key of a value from the time when the pallet was called `Rules`.
fn old_key(item: &[u8]) -> Vec<u8> {
    [twox_128(b"Rules"), twox_128(item)].concat()
}

/// A chain of the first release.
fn old_chain() -> TestExternalities {
    let mut chain = chain(Some(9));
    chain.execute_with(|| {
        InForce::<Test>::kill();
        unhashed::put(&old_key(b"InForce"), &7u64);
        // Like FRAME does for a pallet whose name has no key.
        VERSION.put::<Parameters>();
        unhashed::put(&old_key(b":__STORAGE_VERSION__:"), &StorageVersion::new(0));
    });
    chain
}

#[test]
fn genesis_chooses_the_parameters() {
    chain(Some(5)).execute_with(|| {
        assert_eq!(Parameters::in_force(), 5);
        assert_eq!(Parameters::do_try_state(), Ok(()));
        assert_eq!(Parameters::on_chain_storage_version(), VERSION);
    });
}

#[test]
#[should_panic = "the parameters of this chain are missing or do not decode"]
fn a_chain_whose_genesis_chose_no_parameters_has_none() {
    chain(None).execute_with(|| {
        Parameters::in_force();
    });
}

#[test]
#[should_panic = "the parameters of this chain are missing or do not decode"]
fn a_chain_without_parameters_does_not_go_on_with_others() {
    chain(Some(5)).execute_with(|| {
        InForce::<Test>::kill();
        assert!(Parameters::do_try_state().is_err());
        Parameters::in_force();
    });
}

#[test]
#[should_panic = "the parameters of this chain are missing or do not decode"]
fn parameters_that_do_not_decode_are_not_replaced_by_others() {
    chain(Some(5)).execute_with(|| {
        // The state as seen by a release whose parameters have one more field.
        unhashed::put(&InForce::<Test>::hashed_key(), &5u32);
        assert!(Parameters::do_try_state().is_err());
        Parameters::in_force();
    });
}

#[test]
fn without_a_chain_there_are_parameters_to_show() {
    TestExternalities::default().execute_with(|| assert_eq!(Parameters::in_force(), 1));
}

#[test]
fn the_pallet_rules_moves_with_its_version() {
    old_chain().execute_with(|| {
        assert_eq!(Parameters::in_force(), 7, "read before it has moved");
        MoveFromRules::<Test>::on_runtime_upgrade();
        assert_eq!(InForce::<Test>::get(), Some(7));
        assert!(!unhashed::contains_prefixed_key(&twox_128(b"Rules")));
        assert_eq!(Parameters::on_chain_storage_version(), 0);
        // A second run finds nothing to move.
        MoveFromRules::<Test>::on_runtime_upgrade();
        assert_eq!(InForce::<Test>::get(), Some(7));
    });
}

fn set(origin: RuntimeOrigin, parameters: u64) -> sp_runtime::DispatchResult {
    // A call has a storage layer of its own.
    frame_support::storage::with_storage_layer(|| Parameters::set(origin, Box::new(parameters)))
}

#[test]
fn the_admin_sets_all_parameters_at_once() {
    chain(Some(5)).execute_with(|| {
        System::set_block_number(1);
        assert_ok!(set(RuntimeOrigin::root(), 7));
        assert_eq!(Parameters::in_force(), 7);
        System::assert_last_event(RuntimeEvent::Parameters(Event::Changed { parameters: 7 }));
    });
}

#[test]
fn nobody_else_sets_them() {
    chain(Some(5)).execute_with(|| {
        assert_noop!(set(RuntimeOrigin::signed(1), 7), DispatchError::BadOrigin);
    });
}

#[test]
fn parameters_that_do_not_fit_are_refused_with_the_rule_and_change_nothing() {
    chain(Some(5)).execute_with(|| {
        assert_noop!(set(RuntimeOrigin::root(), 0), Error::<Test>::NoFee);
        assert_noop!(
            set(RuntimeOrigin::root(), 4),
            Error::<Test>::RankingsLowered
        );
        assert_eq!(Parameters::in_force(), 5);
    });
}
