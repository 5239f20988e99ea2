// SPDX-License-Identifier: Apache-2.0
//! Implementation of the call.

use frame_support::pallet_prelude::*;
use starling_primitives::rules::Rule;

use crate::{Config, Error, Event, InForce, Pallet};

/// The rules that all parameters keep together.
pub trait Consistency<Parameters> {
    /// Checks a change. The new parameters are in force while it runs, so that the constants that
    /// follow from them can be checked.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn check(old: &Parameters, new: &Parameters) -> Result<(), Rule>;
}

impl<T: Config> Pallet<T> {
    /// If a rule does not hold, the storage layer of the call takes the parameters back.
    pub(crate) fn do_set(new: T::Parameters) -> DispatchResult {
        let old = Self::in_force();
        InForce::<T>::put(&new);
        T::Consistency::check(&old, &new).map_err(Error::<T>::from)?;
        Self::deposit_event(Event::Changed { parameters: new });
        Ok(())
    }
}

impl<T> From<Rule> for Error<T> {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::NoBond => Self::NoBond,
            Rule::NoValidator => Self::NoValidator,
            Rule::TooManyValidators => Self::TooManyValidators,
            Rule::UnbondingTooShort => Self::UnbondingTooShort,
            Rule::FreeTicket => Self::FreeTicket,
            Rule::TicketTooCheap => Self::TicketTooCheap,
            Rule::RatingAboveOne => Self::RatingAboveOne,
            Rule::SpreadAboveOne => Self::SpreadAboveOne,
            Rule::NewcomersWeighNothing => Self::NewcomersWeighNothing,
            Rule::SharesExceedPot => Self::SharesExceedPot,
            Rule::NoFee => Self::NoFee,
            Rule::SelfDealingGains => Self::SelfDealingGains,
            Rule::EmptyWindow => Self::EmptyWindow,
            Rule::TooFewToRank => Self::TooFewToRank,
            Rule::MinResponsesAboveMax => Self::MinResponsesAboveMax,
            Rule::TooManyPositions => Self::TooManyPositions,
            Rule::RoundExceedsBlock => Self::RoundExceedsBlock,
            Rule::MinRankingsAboveMax => Self::MinRankingsAboveMax,
            Rule::NobodyRanks => Self::NobodyRanks,
            Rule::TooManyRankings => Self::TooManyRankings,
            Rule::MessagesExpireAtOnce => Self::MessagesExpireAtOnce,
            Rule::MinSlashAboveMax => Self::MinSlashAboveMax,
            Rule::WithholdingPays => Self::WithholdingPays,
            Rule::BondChanged => Self::BondChanged,
            Rule::RankingsLowered => Self::RankingsLowered,
        }
    }
}
