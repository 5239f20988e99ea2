// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::fungible;
use scale_info::TypeInfo;
use sp_runtime::Permill;

use crate::Config;

/// An amount that was taken from one account and not yet given to another.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// The shares of a pot, and its sources.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Parameters {
    /// The winner's share of a pot.
    pub winner: Permill,
    /// The rankers' share of a pot. The treasury gets the rest.
    pub rankers: Permill,
    /// Amount minted into the pot of a round with a winner, as a share of its fee.
    pub subsidy: Permill,
    /// Share of its ticket that a loser forfeits.
    pub loser: Permill,
    /// Share of the forfeited tickets that goes into the pot: φ.
    pub forfeits: Permill,
    /// Whether the rest of them is burnt. Otherwise the treasury gets it.
    pub burn_forfeits: bool,
    /// Share of the fee that is returned if a round fails after its responses were revealed.
    pub refund: Permill,
}

impl Parameters {
    /// For a chain whose currency has a value.
    pub const fn production() -> Self {
        Self {
            winner: Permill::from_percent(70),
            rankers: Permill::from_percent(20),
            subsidy: Permill::from_parts(5_000),
            loser: Permill::from_percent(100),
            forfeits: Permill::zero(),
            burn_forfeits: false,
            refund: Permill::from_percent(50),
        }
    }

    /// For development: the same as in production, so that development sees the real behaviour.
    pub const fn dev() -> Self {
        Self::production()
    }

    /// The paper's: the winner takes all, a ticket is spent, and forfeits are burnt.
    pub const fn paper() -> Self {
        Self {
            winner: Permill::from_percent(100),
            rankers: Permill::zero(),
            subsidy: Permill::zero(),
            loser: Permill::from_percent(100),
            forfeits: Permill::zero(),
            burn_forfeits: true,
            refund: Permill::from_percent(50),
        }
    }
}
