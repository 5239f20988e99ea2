// SPDX-License-Identifier: Apache-2.0
//! Migration to a shorter window.

use core::marker::PhantomData;

use alloc::vec::Vec;
use codec::{Decode, Encode};
use frame_support::{
    traits::{Get, UncheckedOnRuntimeUpgrade},
    weights::Weight,
    BoundedVec,
};
use starling_primitives::rating::Deviations;

use crate::{Config, Record, Records};
#[cfg(feature = "try-runtime")]
use {frame_support::traits::PalletInfoAccess, sp_runtime::TryRuntimeError};

/// Forgets all rounds but the last `Window` of each record, for version 2. A longer window does not
/// decode: its agent would be a newcomer again.
pub struct ShortenWindows<T>(PhantomData<T>);

/// A record of version 1, whose window had another bound.
#[derive(Decode, Encode)]
struct OldRecord {
    window: Vec<Deviations>,
    rounds: u64,
}

impl<T: Config> UncheckedOnRuntimeUpgrade for ShortenWindows<T> {
    fn on_runtime_upgrade() -> Weight {
        let mut records = 0u64;
        Records::<T>::translate_values(|OldRecord { window, rounds }| {
            records = records.saturating_add(1);
            let length = usize::try_from(T::Window::get()).unwrap_or(usize::MAX);
            let forgotten = window.len().saturating_sub(length);
            let window = window.into_iter().skip(forgotten).collect();
            Some(Record {
                window: BoundedVec::truncate_from(window),
                rounds,
            })
        });
        T::DbWeight::get().reads_writes(records, records)
    }

    #[cfg(feature = "try-runtime")]
    fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
        let records = frame_support::storage::migration::storage_key_iter::<
            T::AccountId,
            OldRecord,
            frame_support::Blake2_128Concat,
        >(crate::Pallet::<T>::name().as_bytes(), b"Records");
        Ok(records.collect::<Vec<_>>().encode())
    }

    #[cfg(feature = "try-runtime")]
    fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
        let before = Vec::<(T::AccountId, OldRecord)>::decode(&mut before.as_slice())
            .map_err(|_| "the old records do not decode")?;
        for (who, old) in before {
            let new = Records::<T>::get(who);
            frame_support::ensure!(new.rounds == old.rounds, "the number of rounds has changed");
            frame_support::ensure!(
                old.window.ends_with(&new.window) && new.window.is_empty() == old.window.is_empty(),
                "other rounds than the last ones are remembered"
            );
        }
        Ok(())
    }
}
