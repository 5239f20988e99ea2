// SPDX-License-Identifier: Apache-2.0
//! Migration of the state of the first release.

use core::marker::PhantomData;

use alloc::collections::BTreeMap;
use frame_support::{
    traits::{Get, UncheckedOnRuntimeUpgrade},
    weights::Weight,
};

use crate::{Agenda, Config, Requests, Rounds};
#[cfg(feature = "try-runtime")]
use {alloc::vec::Vec, codec::DecodeAll, codec::Encode, sp_runtime::TryRuntimeError};

/// Counts the open rounds of each requester, for version 1. Nothing else changes its bytes.
pub struct CountRequests<T>(PhantomData<T>);

/// The open rounds of each requester.
fn open_requests<T: Config>() -> BTreeMap<T::AccountId, u32> {
    let mut open: BTreeMap<T::AccountId, u32> = BTreeMap::new();
    let rounds = Agenda::<T>::get().into_iter();
    for round in rounds.filter_map(|due| Rounds::<T>::get(due.round)) {
        if !round.phase.is_final() {
            let count = open.entry(round.requester).or_default();
            *count = count.saturating_add(1);
        }
    }
    open
}

impl<T: Config> UncheckedOnRuntimeUpgrade for CountRequests<T> {
    fn on_runtime_upgrade() -> Weight {
        let open = open_requests::<T>();
        let writes = u64::try_from(open.len()).unwrap_or(u64::MAX);
        for (requester, count) in open {
            Requests::<T>::insert(requester, count);
        }
        let reads = u64::from(T::MaxOpenRounds::get()).saturating_add(1);
        T::DbWeight::get().reads_writes(reads, writes)
    }

    #[cfg(feature = "try-runtime")]
    fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
        let rounds: Vec<_> = Rounds::<T>::iter().collect();
        Ok(rounds.encode())
    }

    #[cfg(feature = "try-runtime")]
    fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
        type Stored<T> = Vec<(starling_primitives::RoundId, crate::RoundOf<T>)>;
        let before = Stored::<T>::decode_all(&mut before.as_slice())
            .map_err(|_| "the old rounds do not decode")?;
        frame_support::ensure!(
            before == Rounds::<T>::iter().collect::<Vec<_>>(),
            "the rounds have changed"
        );
        let counted: BTreeMap<_, _> = Requests::<T>::iter().collect();
        frame_support::ensure!(
            counted == open_requests::<T>(),
            "the counts of open rounds are wrong"
        );
        Ok(())
    }
}
