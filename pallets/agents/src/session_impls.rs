// SPDX-License-Identifier: Apache-2.0
//! The validators of the next session.

use alloc::vec::Vec;
use frame_support::traits::Get;
use pallet_session::SessionManager;
use sp_staking::SessionIndex;
use starling_primitives::traits::Sessions;

use crate::{Agents, Candidates, Config, Event, Pallet};

impl<T: Config> Pallet<T> {
    /// The candidates with the highest bonds and session keys. Reads the list of candidates, and at
    /// most one set of session keys for each of them.
    fn highest_bonds() -> Vec<T::AccountId> {
        let limit = usize::try_from(T::MaxValidators::get()).unwrap_or(usize::MAX);
        Candidates::<T>::get()
            .into_iter()
            .map(|candidate| candidate.who)
            .filter(|who| T::Sessions::keys(who).is_some())
            .take(limit)
            .collect()
    }

    /// Stops the build of a genesis whose session keys belong to accounts without a bond. Such
    /// validators would author until the first agents have keys, and own nothing to slash.
    fn assert_owners_are_agents() {
        for who in T::Sessions::owners() {
            assert!(
                Agents::<T>::contains_key(&who),
                "{who:?} has session keys in the genesis and is not an agent: \
                 name it in `agents`, with a bond, or remove its keys from `session`",
            );
        }
    }
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
    /// Returns `None` if there are too few candidates, which keeps the validators as they are.
    fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
        let validators = Self::highest_bonds();
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

    /// Never returns `None`: `pallet-session` would then take any owner of keys.
    fn new_session_genesis(_: SessionIndex) -> Option<Vec<T::AccountId>> {
        Self::assert_owners_are_agents();
        Some(Self::highest_bonds())
    }

    fn start_session(_: SessionIndex) {}

    fn end_session(_: SessionIndex) {}
}
