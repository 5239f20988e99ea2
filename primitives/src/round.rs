// SPDX-License-Identifier: Apache-2.0

//! What is stored of a round, and everybody may see.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::H256;

use crate::{rewards::Paid, Balance};

/// The number of a block.
pub type BlockNumber = u32;

/// Where a round is. Forward only.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Phase {
    /// Agents commit sealed responses.
    #[codec(index = 0)]
    Committing,
    /// Agents reveal the keys.
    #[codec(index = 1)]
    Revealing,
    /// Agents commit scores of each other's responses.
    #[codec(index = 2)]
    Ranking,
    /// Agents disclose the scores.
    #[codec(index = 3)]
    Disclosing,
    /// The best response was chosen and paid.
    #[codec(index = 4)]
    Done,
    /// Nobody was chosen.
    #[codec(index = 5)]
    Failed(Failure),
}

impl Phase {
    /// Whether the round is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed(_))
    }
}

/// Why a round has no winner.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Failure {
    /// Fewer than `min_responses` agents committed.
    #[codec(index = 0)]
    TooFewCommits,
    /// Fewer than `min_responses` valid responses were revealed.
    #[codec(index = 1)]
    TooFewReveals,
    /// Nobody disclosed scores, or no response got enough weight of rankings.
    #[codec(index = 2)]
    NoRankings,
    /// The best response stayed below `ApprovalThreshold`.
    #[codec(index = 3)]
    BelowThreshold,
}

/// What was fixed at the request.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Terms {
    /// The fee, on hold until the end.
    pub fee: Balance,
    /// What the storage costs while the round is stored, on hold until purge.
    pub deposit: Balance,
    /// The price of a ticket: `T`.
    pub ticket: Balance,
    /// What an agent loses that does not deliver, reserved from its bond.
    pub slash: Balance,
    /// The longest response, in tokens of the agent's model.
    pub max_tokens: u32,
    /// With fewer valid responses the round fails.
    pub min_responses: u32,
    /// How many responses there are at most.
    pub max_responses: u32,
    /// How many agents were active.
    pub active: u32,
    /// How many activations there had been: see `AgentRegistry::activations`.
    pub activations: u64,
}

/// How many messages came.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Counts {
    /// Agents active at the request that have committed or passed.
    pub heard: u32,
    /// Sealed responses that are in.
    pub commits: u32,
    /// Valid responses: `n`.
    pub valid: u32,
    /// Keys that opened no valid response.
    pub spoiled_responses: u32,
    /// Commitments to scores.
    pub score_commits: u32,
    /// Valid sets of scores.
    pub disclosures: u32,
    /// Sets of scores for other responses than the assigned ones.
    pub spoiled_scores: u32,
}

/// One request and what became of it.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Round<AccountId> {
    /// Who asked.
    pub requester: AccountId,
    /// What was fixed at the request.
    pub terms: Terms,
    /// The block of the request.
    pub requested_at: BlockNumber,
    /// Where the round is.
    pub phase: Phase,
    /// The block at the end of which the phase began.
    pub since: BlockNumber,
    /// The last block of the phase, unless too few authorities have authored in it by then, or
    /// too many rounds change phase in that block. For a round that is over, the block after which
    /// it may be purged.
    pub deadline: BlockNumber,
    /// The hash of the request's block, from the block after it on. The draws follow from it.
    pub request_hash: Option<H256>,
    /// The hash of the last Committing block, from the block after it on.
    pub commit_hash: Option<H256>,
    /// The seed of the assignment, from Ranking on.
    pub seed: Option<H256>,
    /// How many responses each agent ranks: `k`.
    pub rankings: u32,
    /// How many messages came.
    pub counts: Counts,
    /// How many entries' agents have had their rating moved since the end.
    pub rated: u32,
    /// Whose response was chosen.
    pub winner: Option<AccountId>,
}

/// Everything that the end of a round moved.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Settlement {
    /// The part of the fee that went back to the requester.
    pub refunded: Balance,
    /// What the agents lost of their tickets.
    pub forfeited: Balance,
    /// What the agents lost of their bonds.
    pub slashed: Balance,
    /// Minted into the pot.
    pub subsidy: Balance,
    /// Paid to the winner.
    pub winner: Balance,
    /// Paid to all rankers together.
    pub rankers: Balance,
    /// Paid to the treasury.
    pub treasury: Balance,
    /// Burnt.
    pub burnt: Balance,
}

impl Settlement {
    /// Adds what the rewards paid.
    pub fn with(self, paid: Paid) -> Self {
        Self {
            subsidy: paid.subsidy,
            winner: paid.winner,
            rankers: paid.rankers,
            treasury: paid.treasury,
            burnt: paid.burnt,
            ..self
        }
    }
}
