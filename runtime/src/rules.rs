// SPDX-License-Identifier: Apache-2.0
//! The rules of the protocol in force: chosen at genesis, the same for the life of a chain.
//!
//! One runtime serves the chain that moves money, a developer's machine and the simulations of the
//! paper; what differs is a value in the state of block 0, which [`crate::configs`] reads for the
//! constants of the pallets. Limits that bound storage are not in it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::Get;
use pallet_rounds::presets::{self, Preset};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::Permill;

use crate::{Balance, BlockNumber, DAYS, MILLI_UNIT, MINUTES, UNIT};

pub use pallet::*;

/// What differs between chains that run this runtime.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Parameters {
    /// Windows and limits of a round.
    pub rounds: Preset,
    /// When rounds count for ratings, and how ratings begin.
    pub ratings: pallet_ratings::Parameters,
    /// Who gets what of a pot.
    pub rewards: pallet_rewards::Parameters,
    /// The least fee of a request.
    pub min_fee: Balance,
    /// The least price of a ticket.
    pub min_ticket: Balance,
    /// The price of a ticket as a share of what the round rewards.
    pub ticket_share: Permill,
    /// The least slash.
    pub min_slash: Balance,
    /// The least bond of an active agent.
    pub min_bond: Balance,
    /// How many blocks a bond stays slashable after its owner asked for it back.
    pub unbonding_period: BlockNumber,
    /// With fewer candidates than these the validators stay as they are.
    pub min_validators: u32,
}

/// A set of [`Parameters`] by name, as a chain specification chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSet {
    /// For a network of strangers.
    #[default]
    Production,
    /// For development and local networks: short windows, and ratings that move after a few
    /// rounds of a few agents.
    Dev,
    /// The rules of arXiv 2409.08386, for simulations: the winner takes all, plain means, no
    /// floors, forfeits burnt, a third of the others ranked by everyone.
    Paper,
}

impl RuleSet {
    /// What the name stands for.
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
}

/// Gives the constants of the pallets one field of the [`Parameters`] in force.
macro_rules! fields {
    ($($name:ident: $type:ty = $($field:ident).+;)*) => {
        $(
            #[doc = concat!("`", stringify!($($field).+), "` of the parameters in force.")]
            pub struct $name;

            impl Get<$type> for $name {
                fn get() -> $type {
                    InForce::<crate::Runtime>::get().$($field).+
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

/// How many blocks a round can last at most: its windows, and once more as long for a queue of
/// rounds that end in the same block and for authorities that do not author.
pub struct LongestRound;

impl Get<BlockNumber> for LongestRound {
    fn get() -> BlockNumber {
        InForce::<crate::Runtime>::get()
            .rounds
            .longest_round()
            .saturating_mul(2)
    }
}

/// Keeps the parameters.
// Only what the macros write here expects anything.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    /// Before genesis has chosen, what is safest.
    #[pallet::type_value]
    pub fn Safest() -> Parameters {
        RuleSet::default().parameters()
    }

    /// The rules of this chain. Every block reads them, so that they are in the cache.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type InForce<T: Config> = StorageValue<_, Parameters, ValueQuery, Safest>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// `production`, `dev` or `paper`.
        pub rules: RuleSet,
        /// Nothing; the field names the runtime.
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            InForce::<T>::put(self.rules.parameters());
        }
    }
}
