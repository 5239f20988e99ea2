// SPDX-License-Identifier: Apache-2.0
//! The validators of the next session, for `pallet-session` with and without its history.

use alloc::vec::Vec;
use frame_support::{traits::Get, BoundedVec};
use pallet_session::{historical, SessionManager};
use sp_staking::SessionIndex;
use starling_primitives::traits::Sessions;

use crate::{ActiveKeys, Agents, Barred, Candidates, Config, Event, Pallet};

impl<T: Config> Pallet<T> {
    /// The candidates with the highest bonds and session keys. Reads the list of candidates, and at
    /// most one set of session keys for each of them.
    fn highest_bonds() -> Vec<T::AccountId> {
        let limit = usize::try_from(T::MaxValidators::get()).unwrap_or(usize::MAX);
        let barred = Barred::<T>::get();
        Candidates::<T>::get()
            .into_iter()
            .map(|candidate| candidate.who)
            .filter(|who| !barred.iter().any(|bar| &bar.who == who))
            .filter(|who| T::Sessions::keys(who).is_some())
            .take(limit)
            .collect()
    }

    /// The validators of session `index`, which is the next one but one to begin.
    fn plan(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        Barred::<T>::mutate(|barred| barred.retain(|bar| bar.until > index));
        let validators = Self::highest_bonds();
        let candidates = u32::try_from(validators.len()).unwrap_or(u32::MAX);
        if candidates >= T::MinValidators::get() {
            return Some(Self::note_keys(index, validators));
        }
        log::warn!(
            target: crate::LOG_TARGET,
            "only {candidates} candidates have session keys, the validators stay as they are",
        );
        Self::deposit_event(Event::ValidatorsKept { candidates });
        // Named again, because their keys may have changed, of which the history must know.
        let kept: Vec<_> = ActiveKeys::<T>::get(index.saturating_sub(1))
            .into_iter()
            .map(|(who, _)| who)
            .filter(|who| T::Sessions::keys(who).is_some())
            .collect();
        (!kept.is_empty()).then(|| Self::note_keys(index, kept))
    }

    /// Never `None`: `pallet-session` would then take any owner of keys.
    fn plan_genesis(index: SessionIndex) -> Vec<T::AccountId> {
        Self::assert_owners_are_agents();
        Self::note_keys(index, Self::highest_bonds())
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

    /// Notes the keys with which `validators` will act in session `index`.
    fn note_keys(index: SessionIndex, validators: Vec<T::AccountId>) -> Vec<T::AccountId> {
        let keys: Vec<_> = validators
            .iter()
            .filter_map(|who| {
                let keys = T::Sessions::keys(who)?.try_into().ok()?;
                Some((who.clone(), keys))
            })
            .collect();
        ActiveKeys::<T>::insert(index, BoundedVec::truncate_from(keys));
        validators
    }

    fn start(index: SessionIndex) {
        Self::disable_offenders(index);
    }

    fn end(index: SessionIndex) {
        ActiveKeys::<T>::remove(index);
        Self::collect_debts();
        Self::forget_offences();
    }
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
    fn new_session(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        Self::plan(index)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<T::AccountId>> {
        Some(Self::plan_genesis(index))
    }

    fn start_session(index: SessionIndex) {
        Self::start(index);
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
        Self::plan(index).map(identified)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<(T::AccountId, T::AccountId)>> {
        Some(identified(Self::plan_genesis(index)))
    }

    fn start_session(index: SessionIndex) {
        Self::start(index);
    }

    fn end_session(index: SessionIndex) {
        Self::end(index);
    }
}
