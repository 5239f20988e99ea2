// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use frame_support::ensure;
use sp_runtime::DispatchError;
use starling_primitives::fixed::ONE;

use crate::{Config, Pallet, Qualities, Records};

impl<T: Config> Pallet<T> {
    /// A record of answers is at most 1. A ranker's record holds a round at least, only rounds with
    /// scores, only deviations within `[-1, 1]`, and no more rounds than there were.
    pub fn do_try_state() -> Result<(), DispatchError> {
        let one = u128::from(ONE);
        for quality in Qualities::<T>::iter_values() {
            ensure!(quality <= ONE, "a record of answers above one");
        }
        for record in Records::<T>::iter_values() {
            ensure!(!record.window.is_empty(), "a record of nothing");
            let remembered = u64::try_from(record.window.len()).unwrap_or(u64::MAX);
            ensure!(
                remembered <= record.rounds,
                "more rounds in the window than there were"
            );
            for round in &record.window {
                ensure!(round.count > 0, "a round without scores");
                let most = one.saturating_mul(one).saturating_mul(round.count.into());
                ensure!(round.squares <= most, "a deviation of more than one");
            }
        }
        Ok(())
    }
}
