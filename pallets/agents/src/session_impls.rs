// SPDX-License-Identifier: Apache-2.0
//! The validators of the next session.

use alloc::vec::Vec;
use frame_support::traits::{Get, ValidatorRegistration};
use pallet_session::SessionManager;
use sp_staking::SessionIndex;

use crate::{Candidates, Config, Event, Pallet};

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
    /// The candidates with the highest bonds and session keys. Returns `None` if there are too few,
    /// which keeps the validators as they are. Reads the list of candidates, and at most one set of
    /// session keys for each of them.
    fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
        let limit = usize::try_from(T::MaxValidators::get()).unwrap_or(usize::MAX);
        let validators: Vec<_> = Candidates::<T>::get()
            .into_iter()
            .map(|candidate| candidate.who)
            .filter(T::SessionKeys::is_registered)
            .take(limit)
            .collect();
        let candidates = u32::try_from(validators.len()).unwrap_or(u32::MAX);
        if candidates < T::MinValidators::get() {
            log::warn!(
                target: crate::LOG_TARGET,
                "only {candidates} candidates have session keys, the validators stay as they are",
            );
            Self::deposit_event(Event::ValidatorsKept { candidates });
            return None;
        }
        Some(validators)
    }

    fn start_session(_: SessionIndex) {}

    fn end_session(_: SessionIndex) {}
}
