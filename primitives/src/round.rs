// SPDX-License-Identifier: Apache-2.0
//! The public state of a round.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::H256;

use crate::{rewards::Paid, Balance};

/// The number of a block.
pub type BlockNumber = u32;

/// The phase of a round. It only moves forward.
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
    /// No response was chosen.
    #[codec(index = 5)]
    Failed(Failure),
}

impl Phase {
    /// Whether the round is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed(_))
    }
}

/// The reason why a round has no winner.
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
    /// Fewer valid responses were revealed than can be ranked: `MinResponses` of the chain.
    #[codec(index = 1)]
    TooFewReveals,
    /// Nobody disclosed scores, or no response was ranked by enough weight.
    #[codec(index = 2)]
    NoRankings,
    /// The best response stayed below `ApprovalThreshold`.
    #[codec(index = 3)]
    BelowThreshold,
    /// All slots were taken, and a higher offer took this one's before anybody committed.
    #[codec(index = 4)]
    Outbid,
}

/// The terms fixed at the request.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Terms {
    /// The fee, on hold until the end.
    pub fee: Balance,
    /// The storage deposit, on hold until purge.
    pub deposit: Balance,
    /// The price of a ticket: `T`.
    pub ticket: Balance,
    /// The loss of an agent that does not deliver, reserved from its bond.
    pub slash: Balance,
    /// Maximum length of a response, in tokens of the agent's model.
    pub max_tokens: u32,
    /// Minimum number of sealed responses; with fewer the round fails. If some of them are not
    /// revealed, the round goes on with the others.
    pub min_responses: u32,
    /// Maximum number of responses.
    pub max_responses: u32,
    /// Number of agents active at the request, without the requester.
    pub active: u32,
    /// Number of activations before the request; see `AgentRegistry::activations`.
    pub activations: u64,
}

/// Numbers of received messages.
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
    /// Agents active at the request that have committed or passed, or are no longer active.
    pub heard: u32,
    /// Sealed responses received.
    pub commits: u32,
    /// Valid responses: `n`.
    pub valid: u32,
    /// Keys that opened no valid response.
    pub spoiled_responses: u32,
    /// Commitments to scores.
    pub score_commits: u32,
    /// Valid sets of scores.
    pub disclosures: u32,
    /// Sets of scores for responses other than the assigned ones.
    pub spoiled_scores: u32,
}

/// A request and its outcome.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Round<AccountId> {
    /// The account that asked.
    pub requester: AccountId,
    /// The terms fixed at the request.
    pub terms: Terms,
    /// The block of the request.
    pub requested_at: BlockNumber,
    /// The present phase.
    pub phase: Phase,
    /// The block at the end of which the phase began.
    pub since: BlockNumber,
    /// The last block of the phase. The phase lasts longer if too few authorities have authored in
    /// it, or too many rounds change phase in that block. For a finished round, the block after
    /// which it may be purged.
    pub deadline: BlockNumber,
    /// The randomness after the request's block, from the next block on. The draws follow from it.
    pub request_randomness: Option<H256>,
    /// The randomness after the last Committing block, from the next block on.
    pub commit_randomness: Option<H256>,
    /// The seed of the assignment, from Ranking on.
    pub seed: Option<H256>,
    /// Number of responses that each agent ranks: `k`.
    pub rankings: u32,
    /// Numbers of received messages.
    pub counts: Counts,
    /// Number of entries whose agents' ratings have moved since the end.
    pub rated: u32,
    /// The agent whose response was chosen.
    pub winner: Option<AccountId>,
}

/// All transfers at the end of a round.
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
    /// The part of the fee returned to the requester.
    pub refunded: Balance,
    /// The agents' losses of tickets.
    pub forfeited: Balance,
    /// The agents' losses of bonds.
    pub slashed: Balance,
    /// Minted into the pot.
    pub subsidy: Balance,
    /// Paid to the winner.
    pub winner: Balance,
    /// Paid to all rankers together. In a round without a ranking, to the agents that delivered.
    pub rankers: Balance,
    /// Paid to the treasury.
    pub treasury: Balance,
    /// Burnt.
    pub burnt: Balance,
}

impl Settlement {
    /// Adds the payments of the rewards.
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
