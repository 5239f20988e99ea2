// SPDX-License-Identifier: Apache-2.0
//! The parameters of the protocol: chosen at genesis, and changed by the admin of the chain, all of
//! them together.
//!
//! One runtime serves the chain that moves money, a developer's machine, and the simulations of the
//! paper. They differ in one value of the state. `pallet-protocol-parameters` keeps it, and
//! [`crate::configs`] reads it for the constants of the pallets. Limits that bound storage are not
//! part of it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{parameter_types, traits::Get};
use pallet_rounds::presets::{self, RoundParameters};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;
use starling_primitives::{
    choice::{Choice, Votes},
    rules::Rule,
    traits::{holds, Consistent},
};

use crate::{Balance, BlockNumber, DAYS, MILLI_UNIT, MINUTES, UNIT};

/// The values that differ between chains of this runtime.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Parameters {
    /// Windows and limits of a round.
    pub rounds: RoundParameters,
    /// Rounds that count for ratings, and the first ratings.
    pub ratings: pallet_ratings::Parameters,
    /// Shares of a pot.
    pub rewards: pallet_rewards::Parameters,
    /// Minimum fee of a request.
    pub min_fee: Balance,
    /// Minimum price of a ticket.
    pub min_ticket: Balance,
    /// Price of a ticket as a share of the round's reward.
    pub ticket_share: Permill,
    /// Minimum slash.
    pub min_slash: Balance,
    /// Minimum bond of an active agent.
    pub min_bond: Balance,
    /// Number of blocks in which a bond stays slashable after its owner asked for it back.
    pub unbonding_period: BlockNumber,
    /// Minimum number of candidates; with fewer the validators stay as they are.
    pub min_validators: u32,
}

/// [`Parameters`] by name, for chain specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// For a network of strangers.
    Production,
    /// For development and local networks: short windows, and ratings that move after a few rounds
    /// of a few agents.
    Dev,
    /// Those of arXiv 2409.08386, for simulations. The winner takes all, means are plain, there are
    /// no floors, forfeits are burnt, and everyone ranks a third of the others.
    Paper,
}

impl Preset {
    /// The parameters of this name.
    pub const fn parameters(self) -> Parameters {
        let production = Parameters {
            rounds: presets::PRODUCTION,
            ratings: pallet_ratings::Parameters::production(UNIT),
            rewards: pallet_rewards::Parameters::production(),
            min_fee: UNIT,
            min_ticket: 10 * MILLI_UNIT,
            ticket_share: Permill::from_percent(1),
            min_slash: UNIT,
            min_bond: 1_000 * UNIT,
            unbonding_period: 7 * DAYS,
            min_validators: 4,
        };
        match self {
            Self::Production => production,
            Self::Dev => Parameters {
                rounds: presets::DEV,
                ratings: pallet_ratings::Parameters::dev(),
                rewards: pallet_rewards::Parameters::dev(),
                min_bond: 100 * UNIT,
                unbonding_period: 10 * MINUTES,
                min_validators: 1,
                ..production
            },
            Self::Paper => Parameters {
                rounds: presets::PAPER,
                ratings: pallet_ratings::Parameters::paper(),
                rewards: pallet_rewards::Parameters::paper(),
                ..production
            },
        }
    }

    /// The way to choose the best response that a new chain of this name begins with. For
    /// development few agents and two known answers are enough.
    pub fn choice(self) -> Choice {
        match self {
            Self::Production => Choice::Votes(Votes::default()),
            Self::Dev => Choice::Votes(Votes {
                proof: 2,
                rankers: 2,
                authors: 1,
                ..Votes::default()
            }),
            Self::Paper => Choice::Paper,
        }
    }

    /// The parameters of lanes of a new chain of this name.
    pub const fn lanes(self) -> pallet_lanes::Parameters {
        match self {
            Self::Dev => pallet_lanes::Parameters::dev(UNIT),
            Self::Production | Self::Paper => pallet_lanes::Parameters::production(UNIT),
        }
    }
}

impl Preset {
    /// The parameters of disputes of a new chain of this name.
    pub const fn disputes(self) -> pallet_disputes::Parameters {
        match self {
            Self::Dev => pallet_disputes::Parameters::dev(UNIT),
            Self::Production | Self::Paper => pallet_disputes::Parameters::production(UNIT),
        }
    }
}

impl From<Preset> for Parameters {
    fn from(preset: Preset) -> Self {
        preset.parameters()
    }
}

/// The parameters in force on this chain.
fn in_force() -> Parameters {
    crate::Parameters::in_force()
}

#[cfg(not(test))]
parameter_types! {
    /// The parameters in the metadata of a runtime without a chain.
    pub const Stateless: Parameters = Preset::Production.parameters();
}

// FRAME tests the constants without a state, and each preset must pass.
#[cfg(test)]
parameter_types! {
    pub static Stateless: Parameters = Preset::Production.parameters();
}

/// Gives the constants of the pallets one field of the [`Parameters`] in force.
macro_rules! fields {
    ($($name:ident: $type:ty = $($field:ident).+;)*) => {
        $(
            #[doc = concat!("`", stringify!($($field).+), "` of the parameters in force.")]
            pub struct $name;

            impl Get<$type> for $name {
                fn get() -> $type {
                    in_force().$($field).+
                }
            }
        )*
    };
}

fields! {
    MinResponses: u32 = rounds.min_responses;
    MaxResponses: u32 = rounds.max_responses;
    MinRankings: u32 = rounds.min_rankings;
    MaxRankings: u32 = rounds.max_rankings;
    ApprovalThreshold: Permill = rounds.approval_threshold;
    SlashShare: Permill = rounds.slash_share;
    CommitWindow: BlockNumber = rounds.commit_window;
    RevealWindow: BlockNumber = rounds.reveal_window;
    RankWindow: BlockNumber = rounds.rank_window;
    DiscloseWindow: BlockNumber = rounds.disclose_window;
    RetentionPeriod: BlockNumber = rounds.retention_period;
    Longevity: BlockNumber = rounds.longevity;
    Ratings: pallet_ratings::Parameters = ratings;
    Rewards: pallet_rewards::Parameters = rewards;
    MinFee: Balance = min_fee;
    MinTicket: Balance = min_ticket;
    TicketShare: Permill = ticket_share;
    MinSlash: Balance = min_slash;
    MinBond: Balance = min_bond;
    UnbondingPeriod: BlockNumber = unbonding_period;
    MinValidators: u32 = min_validators;
}

/// The shares of the winner and of all rankers in the fee of a lane: those of a round.
pub struct LaneShares;

impl Get<(Permill, Permill)> for LaneShares {
    fn get() -> (Permill, Permill) {
        let rewards = in_force().rewards;
        (rewards.winner, rewards.rankers)
    }
}

/// Maximum number of blocks of a round: its windows, and the same again for a queue of rounds that
/// end in the same block and for authorities that do not author.
pub struct LongestRound;

impl Get<BlockNumber> for LongestRound {
    fn get() -> BlockNumber {
        in_force().rounds.longest_round().saturating_mul(2)
    }
}

/// Maximum slash of a round: a tenth of the least bond. Every active agent can be in ten rounds at
/// a time, whatever their fees.
pub struct MaxSlash;

impl Get<Balance> for MaxSlash {
    fn get() -> Balance {
        in_force().min_bond / 10
    }
}

/// Number of blocks after the end of a round in which its known answer may be revealed: half of the
/// time that it is stored.
pub struct AnswerWindow;

impl Get<BlockNumber> for AnswerWindow {
    fn get() -> BlockNumber {
        in_force().rounds.retention_period / 2
    }
}

/// The rules of all pallets, and of changes.
pub struct Together;

impl pallet_protocol_parameters::Consistency<Parameters> for Together {
    fn check(old: &Parameters, new: &Parameters) -> Result<(), Rule> {
        holds(old.min_bond == new.min_bond, Rule::BondChanged)?;
        let (before, after) = (old.rounds.max_rankings, new.rounds.max_rankings);
        holds(before <= after, Rule::RankingsLowered)?;
        <crate::Agents as Consistent>::check()?;
        <crate::Tickets as Consistent>::check()?;
        <crate::Ratings as Consistent>::check()?;
        <crate::Rewards as Consistent>::check()?;
        <crate::Rounds as Consistent>::check()
    }
}
