// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::fungible;
use scale_info::TypeInfo;
use sp_runtime::Permill;

use crate::Config;

/// An amount that was taken from an account and not yet given to another one.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// Who gets what of a pot, and what a pot is made of.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Parameters {
    /// The winner's share of a pot.
    pub winner: Permill,
    /// The rankers' share of a pot. What these two leave is the treasury's.
    pub rankers: Permill,
    /// What is minted into the pot of a round with a winner, as a share of its fee.
    pub subsidy: Permill,
    /// What a loser leaves of its ticket.
    pub loser: Permill,
    /// What of the forfeited tickets goes into the pot: φ.
    pub forfeits: Permill,
    /// Whether the rest of them is burnt. Else it is the treasury's.
    pub burn_forfeits: bool,
    /// What of the fee goes back when a round fails after its responses were revealed.
    pub refund: Permill,
}

impl Parameters {
    /// For a chain whose currency has a value.
    pub const fn production() -> Self {
        Self {
            winner: Permill::from_percent(70),
            rankers: Permill::from_percent(20),
            subsidy: Permill::from_parts(5_000),
            loser: Permill::from_percent(10),
            forfeits: Permill::from_percent(20),
            burn_forfeits: false,
            refund: Permill::from_percent(50),
        }
    }

    /// For development: as in production, so that what is developed is what will run.
    pub const fn dev() -> Self {
        Self::production()
    }

    /// The paper's: the winner takes all, a ticket is spent, and what is forfeited is burnt.
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
