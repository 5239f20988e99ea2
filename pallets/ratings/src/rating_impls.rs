// SPDX-License-Identifier: Apache-2.0
//! Implementation of the ratings for other pallets.

use alloc::vec::Vec;
use frame_support::traits::{defensive_prelude::*, Get};
use sp_runtime::Saturating;
use starling_primitives::{
    fixed::ONE,
    quality,
    rating::{self, Deviations, Mean},
    rules::Rule,
    traits::{holds, Consistent, Ratings},
    Balance,
};

use crate::{Config, Event, Pallet, Qualities, Record, Records};

impl<T: Config> Pallet<T> {
    fn rate(record: &Record<T::Window>) -> u64 {
        let parameters = T::Parameters::get();
        rating::rating(
            record.window.iter().copied(),
            parameters.min_samples,
            parameters.initial_rating,
        )
    }
}

impl<T: Config> Ratings<T::AccountId> for Pallet<T> {
    fn rating(who: &T::AccountId) -> u64 {
        Self::rate(&Records::<T>::get(who))
    }

    fn weight(who: &T::AccountId) -> u64 {
        rating::weight(Self::rating(who), T::Parameters::get().weight_floor)
    }

    fn weights(ratings: &[u64]) -> Vec<u64> {
        rating::weights(ratings, T::Parameters::get().weight_floor)
    }

    fn counts(disclosers: u32, fee: Balance, spread: u64) -> bool {
        let parameters = T::Parameters::get();
        disclosers >= parameters.min_participants
            && fee >= parameters.rated_fee
            && spread >= parameters.min_spread
    }

    fn mean() -> Mean {
        T::Parameters::get().mean
    }

    fn record(who: &T::AccountId, deviations: Deviations) {
        if deviations.count == 0 {
            return;
        }
        let rating = Records::<T>::mutate(who, |record| {
            if record.window.is_full() {
                record.window.remove(0);
            }
            record
                .window
                .try_push(deviations)
                .defensive_proof("a full window lost its oldest round; qed")
                .ok();
            record.rounds.saturating_inc();
            Self::rate(record)
        });
        Self::deposit_event(Event::Rated {
            who: who.clone(),
            rating,
        });
    }

    fn quality(who: &T::AccountId) -> u64 {
        Qualities::<T>::get(who).unwrap_or(quality::NEWCOMER)
    }

    fn answered(who: &T::AccountId, standing: u64) {
        Qualities::<T>::insert(who, quality::after(Self::quality(who), standing));
    }
}

impl<T: Config> Consistent for Pallet<T> {
    fn check() -> Result<(), Rule> {
        let parameters = T::Parameters::get();
        holds(parameters.initial_rating <= ONE, Rule::RatingAboveOne)?;
        holds(parameters.min_spread <= ONE, Rule::SpreadAboveOne)?;
        holds(
            parameters.weight_floor < parameters.initial_rating,
            Rule::NewcomersWeighNothing,
        )
    }
}
