// SPDX-License-Identifier: Apache-2.0

//! What clients and workers ask the runtime, and the job board that the runtime writes for workers.

use alloc::vec::Vec;
use codec::{Codec, Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::H256;

pub mod v1;

use crate::{
    round::{BlockNumber, Phase, Round},
    selection::Tally,
    Balance, InferenceKey, Position, RoundId, Salt, Score, Secret,
};

/// A response, and how it fared so far.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct ResponseView<AccountId> {
    /// Whose it is.
    pub agent: AccountId,
    /// The text, once it was revealed and is valid.
    pub text: Option<Vec<u8>>,
    /// Whether it was revealed and is not valid.
    pub spoiled: bool,
    /// Its place in the shuffled order, from Ranking on.
    pub position: Option<Position>,
    /// The agent's rating as it was read for the assignment, from Ranking on; 32 fractional bits.
    pub rating: Option<u64>,
    /// The agent's weight as a ranker, which follows from it.
    pub weight: Option<u64>,
    /// The scores that it got.
    pub tally: Option<Tally>,
    /// The scores that the agent gave.
    pub scores: Option<Vec<(Position, Score)>>,
}

/// Everything public about a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RoundView<AccountId> {
    /// The number.
    pub id: RoundId,
    /// What was asked.
    pub prompt: Vec<u8>,
    /// State, terms and counts.
    pub round: Round<AccountId>,
    /// The responses, sealed ones without a text.
    pub responses: Vec<ResponseView<AccountId>>,
}

/// What an agent still owes to a round, or may do in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Task<AccountId> {
    /// Pass: there is no place, no ticket or no bond for an answer, and nobody should wait for it.
    #[codec(index = 0)]
    Pass,
    /// Answer, or pass.
    #[codec(index = 1)]
    Respond {
        /// What was asked.
        prompt: Vec<u8>,
        /// The longest answer, in tokens.
        max_tokens: u32,
        /// What the requester pays.
        fee: Balance,
        /// The longest answer, in bytes before it is sealed.
        max_bytes: u32,
    },
    /// Reveal the key.
    #[codec(index = 2)]
    Reveal,
    /// Score these responses.
    #[codec(index = 3)]
    Rank {
        /// What was asked.
        prompt: Vec<u8>,
        /// The seed of the assignment.
        seed: H256,
        /// The responses with their positions and authors.
        responses: Vec<(Position, AccountId, Vec<u8>)>,
    },
    /// Disclose the scores.
    #[codec(index = 4)]
    Disclose {
        /// The seed of the assignment.
        seed: H256,
    },
}

/// A task with its round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Owed<AccountId> {
    /// The round.
    pub round: RoundId,
    /// The last block in which the message is surely in time.
    pub deadline: BlockNumber,
    /// The block at the end of which the phase began.
    pub since: BlockNumber,
    /// What to do.
    pub task: Task<AccountId>,
}

/// What the chain knows of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AgentView {
    /// The inference key in force.
    pub key: InferenceKey,
    /// Whether it may commit.
    pub active: bool,
    /// The bond.
    pub bond: Balance,
    /// In how many rounds it is.
    pub open_rounds: u32,
    /// How much of the bond these rounds have a claim on.
    pub reserved: Balance,
    /// The tickets that these rounds have a claim on.
    pub staked_tickets: Balance,
    /// The rating now, 32 fractional bits.
    pub rating: u64,
    /// The weight as a ranker now, 32 fractional bits.
    pub weight: u64,
}

/// The answer of a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RoundAnswer<AccountId> {
    /// Where the round is; with a text only if it is `Done`.
    pub phase: Phase,
    /// Who gave it.
    pub agent: Option<AccountId>,
    /// The text.
    pub text: Option<Vec<u8>>,
}

/// The jobs of one agent of this node, written into persistent off-chain storage after every
/// block. Nothing on it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct JobBoard<AccountId> {
    /// The block after which it was written.
    pub block: BlockNumber,
    /// The agent.
    pub agent: AccountId,
    /// What it has to generate, to score or to pass on; keys and scores become due by themselves.
    pub jobs: Vec<Owed<AccountId>>,
}

/// A [`JobBoard`] as it lies in the off-chain storage. The first byte is its version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum StoredJobBoard<AccountId> {
    /// The board of [`RoundsApi`] version 2. Before it, boards had no version: see [`v1`].
    #[codec(index = 2)]
    V2(JobBoard<AccountId>),
}

/// Where the off-chain storage holds the [`StoredJobBoard`] of the agent with this key.
pub fn job_board_key(key: &InferenceKey) -> Vec<u8> {
    (b"starling/jobs/", key).encode()
}

/// A worker's result for one round, from its vault.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct VaultEntry<AccountId> {
    /// The round.
    pub round: RoundId,
    /// The agent, whose inference key is in the keystore.
    pub agent: AccountId,
    /// The sealed response and its key; `None` where the agent passes.
    pub response: Option<SealedResponse>,
    /// The scores, once there are any.
    pub scores: Option<SealedScores>,
}

/// A sealed response with its key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct SealedResponse {
    /// `k_i`.
    pub key: Secret,
    /// `R_i`, byte for byte the same at every submission.
    pub sealed: Vec<u8>,
}

/// Scores with their salt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct SealedScores {
    /// The assignment that was scored.
    pub seed: H256,
    /// The scores.
    pub scores: Vec<(Position, Score)>,
    /// The salt of the commitment.
    pub salt: Salt,
}

/// A message that `submit` sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Sent {
    /// `commit`.
    #[codec(index = 0)]
    Commit,
    /// `pass`.
    #[codec(index = 1)]
    Pass,
    /// `reveal`.
    #[codec(index = 2)]
    Reveal,
    /// `commit_scores`.
    #[codec(index = 3)]
    CommitScores,
    /// `disclose`.
    #[codec(index = 4)]
    Disclose,
}

/// The newest version of [`RoundsApi`] that this crate knows.
pub const ROUNDS_API: u32 = 2;

sp_api::decl_runtime_apis! {
    /// Rounds, for clients and workers.
    ///
    /// A node asks a chain of any version from 1 to [`ROUNDS_API`].
    #[api_version(2)]
    pub trait RoundsApi<AccountId> where AccountId: Codec {
        /// The rounds that are open, the next one to change its phase first.
        fn open_rounds() -> Vec<RoundId>;
        /// Everything public about a round that is stored.
        fn round(id: RoundId) -> Option<RoundView<AccountId>>;
        /// What an agent owes to which round.
        fn owed(agent: AccountId) -> Vec<Owed<AccountId>>;
        /// The same before tasks said fee and size limit of a response.
        #[changed_in(2)]
        fn owed(agent: AccountId) -> Vec<v1::Owed<AccountId>>;
        /// The agent that an inference key serves.
        fn agent_of(key: InferenceKey) -> Option<AccountId>;
        /// What the chain knows of an agent.
        fn agent(who: AccountId) -> Option<AgentView>;
        /// The price of a ticket of a round with this fee.
        fn ticket_price(fee: Balance) -> Balance;
        /// What a request costs besides its fee: what is burnt, and what is on hold until purge.
        fn request_cost(max_responses: u32) -> (Balance, Balance);
        /// The answer of a round that is stored.
        fn answer(id: RoundId) -> Option<RoundAnswer<AccountId>>;
        /// Signs and sends what is due of a worker's results. `finalized` is the number of the
        /// last finalised block. Needs a keystore and a transaction pool.
        fn submit(
            results: Vec<VaultEntry<AccountId>>,
            finalized: BlockNumber,
        ) -> Vec<(RoundId, AccountId, Sent)>;
        /// Whether the state is one that this code wrote or migrated. After the block that replaces
        /// the code it is not: the next block migrates it. Since version 2.
        fn is_migrated() -> bool;
    }
}
