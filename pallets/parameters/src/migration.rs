// SPDX-License-Identifier: Apache-2.0
//! Migration from the pallet `Rules` to this one.

use core::marker::PhantomData;

use frame_support::{
    storage::{
        migration::{get_storage_value, move_pallet},
        unhashed::contains_prefixed_key,
    },
    traits::{Get, OnRuntimeUpgrade, PalletInfoAccess, StorageVersion},
    weights::Weight,
};
use sp_io::hashing::twox_128;

use crate::{Config, Pallet};
#[cfg(feature = "try-runtime")]
use {
    crate::InForce, alloc::vec::Vec, codec::DecodeAll, codec::Encode, frame_support::ensure,
    sp_runtime::TryRuntimeError,
};

/// The version of the storage.
pub const VERSION: StorageVersion = StorageVersion::new(1);

/// Name of the pallet before version 1.
const OLD_NAME: &[u8] = b"Rules";

/// The parameters under the old name. Between the block that replaces the code and the block that
/// migrates the state, the new code reads the old state.
pub(crate) fn unmoved<T: Config>() -> Option<T::Parameters> {
    get_storage_value(OLD_NAME, b"InForce", &[])
}

/// Moves all values under the old name, including the storage version.
///
/// Must run before the migration of the pallet's version. FRAME considers a pallet whose name has
/// no key as new and gives it the version of the code; the moved values bring the true version.
pub struct MoveFromRules<T>(PhantomData<T>);

impl<T: Config> OnRuntimeUpgrade for MoveFromRules<T> {
    fn on_runtime_upgrade() -> Weight {
        if !contains_prefixed_key(&twox_128(OLD_NAME)) {
            return T::DbWeight::get().reads(1);
        }
        move_pallet(OLD_NAME, Pallet::<T>::name().as_bytes());
        // The parameters and the version, removed here and written there.
        T::DbWeight::get().reads_writes(3, 4)
    }

    #[cfg(feature = "try-runtime")]
    fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
        Ok(unmoved::<T>().encode())
    }

    #[cfg(feature = "try-runtime")]
    fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
        let before = Option::<T::Parameters>::decode_all(&mut before.as_slice())
            .map_err(|_| "the old parameters do not decode")?;
        ensure!(
            before.is_none() || before == InForce::<T>::get(),
            "the parameters changed on the way"
        );
        ensure!(
            !contains_prefixed_key(&twox_128(OLD_NAME)),
            "something is left under the old name"
        );
        Ok(())
    }
}
