// SPDX-License-Identifier: Apache-2.0
//! The ends and beginnings of sessions, for `pallet-session` with and without its history.

use alloc::vec::Vec;
use pallet_session::{historical, SessionManager};
use sp_staking::SessionIndex;
use starling_primitives::traits::Sessions;

use crate::{ActiveKeys, Agents, Config, Pallet};

impl<T: Config> Pallet<T> {
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

    /// The set of validators is named anew in every session, even if it stays: their keys may have
    /// changed, and each session has a set of GRANDPA's, by which its offences are known.
    fn next(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        let validators = Self::plan(index);
        (!validators.is_empty()).then_some(validators)
    }

    /// Never `None`: `pallet-session` would then take any owner of keys.
    fn first(index: SessionIndex) -> Vec<T::AccountId> {
        Self::assert_owners_are_agents();
        Self::plan(index)
    }

    fn end(index: SessionIndex) {
        Self::judge(index);
        ActiveKeys::<T>::remove(index);
        Self::forget_offences();
    }
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
    fn new_session(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        Self::next(index)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        Some(Self::first(index))
    }

    fn start_session(index: SessionIndex) {
        Self::disable_offenders(index);
    }

    fn end_session(index: SessionIndex) {
        Self::end(index);
    }
}

/// A validator is its own identity: its bond is on record under its account.
fn identified<AccountId: Clone>(validators: Vec<AccountId>) -> Vec<(AccountId, AccountId)> {
    validators
        .into_iter()
        .map(|who| (who.clone(), who))
        .collect()
}

impl<T: Config> historical::SessionManager<T::AccountId, T::AccountId> for Pallet<T> {
    fn new_session(index: SessionIndex) -> Option<Vec<(T::AccountId, T::AccountId)>> {
        Self::next(index).map(identified)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<(T::AccountId, T::AccountId)>> {
        Some(identified(Self::first(index)))
    }

    fn start_session(index: SessionIndex) {
        Self::disable_offenders(index);
    }

    fn end_session(index: SessionIndex) {
        Self::end(index);
    }
}
