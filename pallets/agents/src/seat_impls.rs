// SPDX-License-Identifier: Apache-2.0
//! The seats of validators: who gets one, who has shown a sign of life in it, and who loses it.

use alloc::vec::Vec;
use frame_support::{traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use pallet_authorship::EventHandler;
use sp_runtime::{traits::UniqueSaturatedInto, Saturating};
use sp_staking::SessionIndex;
use starling_primitives::{
    seats::{number, price},
    traits::{Sessions, Votes},
    Balance,
};

use crate::{
    seats::{leaving, Choice, Election, Seat, Served, SILENCE_BAR},
    ActiveKeys, Agents, Authors, Bar, Barred, Candidates, Config, Event, Pallet, SeatPrice, Seats,
    SessionStart,
};

/// The accounts that could have a seat.
struct Pool<AccountId> {
    /// The proven validators of the set before: first the willing ones, those with the highest
    /// bonds before the others, then those that would leave, offenders last.
    proven: Vec<AccountId>,
    willing: usize,
    /// The unproven candidates: first those of the set before.
    unproven: Vec<AccountId>,
    seated: usize,
}

impl<T: Config> EventHandler<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
    fn note_author(author: T::AccountId) {
        if !Authors::<T>::get().contains(&author) {
            // More authors than seats can only be those of a set before the limit fell.
            Authors::<T>::mutate(|authors| authors.try_insert(author)).ok();
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Chooses the validators of session `index`, which is the next one but one to begin, and
    /// notes their seats and keys.
    pub(crate) fn plan(index: SessionIndex) -> Vec<T::AccountId> {
        Barred::<T>::mutate(|barred| barred.retain(|bar| bar.until > index));
        let seats = Seats::<T>::get();
        let (candidates, bonds): (Vec<_>, Vec<_>) =
            Self::candidates_for_seats().into_iter().unzip();
        let max = usize::try_from(T::MaxValidators::get()).unwrap_or(usize::MAX);
        let present = seats.len();
        SeatPrice::<T>::put(price(&bonds, max, present, T::MinBond::get()));
        let chosen = Self::choose(&seats, &candidates, number(&bonds, max, present));
        let founding = seats.is_empty();
        let next = chosen.iter().map(|who| {
            let seat = seats.iter().find(|seat| &seat.who == who).cloned();
            seat.unwrap_or_else(|| {
                if founding {
                    Seat::founding(who.clone())
                } else {
                    Seat::new(who.clone(), index)
                }
            })
        });
        Seats::<T>::put(BoundedVec::truncate_from(next.collect()));
        Self::note_keys(index, &chosen);
        chosen
    }

    /// The candidates that may and can have a seat with their bonds, the highest first. Reads at
    /// most one set of session keys for each candidate.
    fn candidates_for_seats() -> Vec<(T::AccountId, Balance)> {
        let barred = Barred::<T>::get();
        Candidates::<T>::get()
            .into_iter()
            .map(|candidate| (candidate.who, candidate.bond))
            .filter(|(who, _)| !barred.iter().any(|bar| &bar.who == who))
            .filter(|(who, _)| T::Sessions::keys(who).is_some())
            .collect()
    }

    /// Chooses the next set among the candidates, for this number of seats.
    fn choose(
        seats: &[Seat<T::AccountId>],
        candidates: &[T::AccountId],
        number: usize,
    ) -> Vec<T::AccountId> {
        if seats.is_empty() {
            return candidates.iter().take(number).cloned().collect();
        }
        let willing = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        if willing < T::MinValidators::get() {
            log::warn!(
                target: crate::LOG_TARGET,
                "only {willing} candidates have session keys, validators stay beside them",
            );
            Self::deposit_event(Event::ValidatorsKept {
                candidates: willing,
            });
        }
        let pool = Self::pool(seats, candidates, number);
        let Choice { proven, unproven } = Election {
            sitting: seats.len(),
            proven: pool.proven.len(),
            willing: pool.willing,
            unproven: pool.unproven.len(),
            seated: pool.seated,
            max: Self::room(seats.len(), number),
            min: usize::try_from(T::MinValidators::get()).unwrap_or(usize::MAX),
        }
        .choose();
        let chosen: Vec<_> = pool.proven.into_iter().take(proven).collect();
        if chosen.is_empty() {
            // All proven validators took their keys away. The others are better than none.
            return Self::whoever_has_keys(seats, candidates, number);
        }
        let unproven = pool.unproven.into_iter().take(unproven);
        chosen.into_iter().chain(unproven).collect()
    }

    /// The seats of the next set: this number, or more where too many would lose theirs at once or
    /// the set would become too small.
    fn room(sitting: usize, number: usize) -> usize {
        let may_leave = leaving(u32::try_from(sitting).unwrap_or(u32::MAX));
        let may_leave = usize::try_from(may_leave).unwrap_or(usize::MAX);
        let size = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        number
            .max(sitting.saturating_sub(may_leave))
            .max(size(T::MinValidators::get()))
            .min(size(T::MaxValidators::get()))
    }

    fn pool(
        seats: &[Seat<T::AccountId>],
        candidates: &[T::AccountId],
        number: usize,
    ) -> Pool<T::AccountId> {
        let barred = Barred::<T>::get();
        let seat_of = |who: &T::AccountId| seats.iter().find(|seat| &seat.who == who);
        let is_proven = |who: &T::AccountId| seat_of(who).is_some_and(|seat| seat.proven());

        let mut proven: Vec<_> = candidates
            .iter()
            .filter(|who| is_proven(who))
            .cloned()
            .collect();
        let willing = proven.len();
        let mut leaving: Vec<_> = seats
            .iter()
            .filter(|seat| seat.proven() && !candidates.contains(&seat.who))
            .filter(|seat| T::Sessions::keys(&seat.who).is_some())
            .map(|seat| seat.who.clone())
            .collect();
        leaving.sort_by_key(|who| {
            let bar: Option<&Bar<_>> = barred.iter().find(|bar| &bar.who == who);
            bar.map(|bar| bar.offence)
        });
        proven.append(&mut leaving);

        let highest = || candidates.iter().take(number);
        let mut unproven: Vec<_> = highest()
            .filter(|who| seat_of(who).is_some_and(|seat| !seat.proven()))
            .cloned()
            .collect();
        let seated = unproven.len();
        unproven.extend(highest().filter(|who| seat_of(who).is_none()).cloned());
        Pool {
            proven,
            willing,
            unproven,
            seated,
        }
    }

    fn whoever_has_keys(
        seats: &[Seat<T::AccountId>],
        candidates: &[T::AccountId],
        number: usize,
    ) -> Vec<T::AccountId> {
        let sitting: Vec<_> = seats
            .iter()
            .map(|seat| seat.who.clone())
            .filter(|who| T::Sessions::keys(who).is_some())
            .collect();
        if sitting.is_empty() {
            candidates.iter().take(number).cloned().collect()
        } else {
            sitting
        }
    }

    /// Notes the keys with which `validators` will act in session `index`.
    fn note_keys(index: SessionIndex, validators: &[T::AccountId]) {
        let keys: Vec<_> = validators
            .iter()
            .filter_map(|who| {
                let keys = T::Sessions::keys(who)?.try_into().ok()?;
                Some((who.clone(), keys))
            })
            .collect();
        ActiveKeys::<T>::insert(index, BoundedVec::truncate_from(keys));
    }

    /// Notes who authored and who voted in session `index`, which has just ended, and takes the
    /// seats of those who have been silent.
    pub(crate) fn judge(index: SessionIndex) {
        let authors = Authors::<T>::take();
        let voters = T::Votes::take(index);
        let now = frame_system::Pallet::<T>::block_number();
        let start = SessionStart::<T>::mutate(|start| start.replace(now));
        // Nobody is judged by a session that was not seen from its first block, as when this code
        // took over in the middle of one.
        let Some(start) = start else { return };
        if authors.is_empty() {
            return;
        }
        let blocks: u32 = now.saturating_sub(start).unique_saturated_into();
        // The keys of a session that was planned by the first release are not known.
        let validators = ActiveKeys::<T>::decode_len(index)
            .or_else(Seats::<T>::decode_len)
            .unwrap_or_default();
        let validators = u32::try_from(validators).unwrap_or(u32::MAX);

        let mut silent = Vec::new();
        Seats::<T>::mutate(|seats| {
            for seat in seats.iter_mut().filter(|seat| seat.since <= index) {
                let session = Served {
                    authored: authors.contains(&seat.who),
                    voted: voters.as_ref().map(|voters| voters.contains(&seat.who)),
                    blocks,
                    validators,
                };
                if seat.completed(session) {
                    silent.push(seat.clone());
                }
            }
        });
        Self::chill_silent(silent, index, validators);
    }

    /// Chills silent validators: at most as many as may leave at once, first the unproven ones,
    /// then those that have been silent for longest.
    fn chill_silent(mut silent: Vec<Seat<T::AccountId>>, ended: SessionIndex, validators: u32) {
        let barred = Barred::<T>::get();
        // An offender is kept from authoring.
        silent.retain(|seat| {
            let active = Agents::<T>::get(&seat.who).is_some_and(|agent| !agent.chilled);
            active && !barred.iter().any(|bar| bar.who == seat.who)
        });
        silent.sort_by_key(|seat| (seat.proven(), core::cmp::Reverse(seat.unheard())));
        let limit = usize::try_from(leaving(validators)).unwrap_or(usize::MAX);
        // The first session that is not planned yet.
        let next = ended.saturating_add(2);
        for Seat { who, .. } in silent.into_iter().take(limit) {
            Self::deposit_event(Event::Silent { who: who.clone() });
            Self::chill_by_rule(&who);
            Self::bar(&who, next.saturating_add(SILENCE_BAR), false);
        }
    }

    /// Gives seats to the validators of the next session, whom the first release chose.
    pub fn seat_founders() {
        let founders = T::Sessions::queued().into_iter().map(Seat::founding);
        Seats::<T>::put(BoundedVec::truncate_from(founders.collect()));
    }
}
