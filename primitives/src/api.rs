// SPDX-License-Identifier: Apache-2.0
//! The runtime API of clients and workers, and the job board that the runtime writes for workers.

use alloc::vec::Vec;
use codec::{Codec, Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::H256;
use starling_lane_primitives::outcome::Count;

pub mod disputes;
pub mod lanes;
pub mod v1;

use crate::{
    choice::Form,
    round::{BlockNumber, Phase, Round},
    sealing::Format,
    selection::Tally,
    Balance, InferenceKey, Position, RoundId, Salt, Score, Secret,
};

/// A response and its state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct ResponseView<AccountId> {
    /// The agent that gave it.
    pub agent: AccountId,
    /// The text, once it is revealed and valid.
    pub text: Option<Vec<u8>>,
    /// Whether it was revealed and found invalid.
    pub spoiled: bool,
    /// Its position in the shuffled order, from Ranking on.
    pub position: Option<Position>,
    /// The agent's rating at the assignment, from Ranking on; 32 fractional bits.
    pub rating: Option<u64>,
    /// The agent's weight as a ranker, which follows from the rating.
    pub weight: Option<u64>,
    /// The scores that it received.
    pub tally: Option<Tally>,
    /// The scores that the agent gave.
    pub scores: Option<Vec<(Position, Score)>>,
}

/// Everything public about a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RoundView<AccountId> {
    /// The number of the round.
    pub id: RoundId,
    /// The prompt.
    pub prompt: Vec<u8>,
    /// State, terms and counts.
    pub round: Round<AccountId>,
    /// The responses, sealed ones without a text.
    pub responses: Vec<ResponseView<AccountId>>,
}

/// A task of an agent in a round: an obligation or an option.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Task<AccountId> {
    /// Pass: the agent has no place, no ticket or no bond for an answer, and nobody should wait for
    /// it.
    #[codec(index = 0)]
    Pass,
    /// Answer, or pass.
    #[codec(index = 1)]
    Respond {
        /// The prompt.
        prompt: Vec<u8>,
        /// Maximum length of the answer, in tokens.
        max_tokens: u32,
        /// The requester's fee.
        fee: Balance,
        /// The loss of an agent that commits and does not deliver.
        slash: Balance,
        /// Maximum length of the answer, in bytes before it is sealed.
        max_bytes: u32,
        /// The form in which the chain expects the answer before it is sealed.
        format: Format,
    },
    /// Reveal the key.
    #[codec(index = 2)]
    Reveal,
    /// Score these responses.
    #[codec(index = 3)]
    Rank {
        /// The prompt.
        prompt: Vec<u8>,
        /// The seed of the assignment.
        seed: H256,
        /// The responses with their positions and authors.
        responses: Vec<(Position, AccountId, Vec<u8>)>,
        /// Maximum length of a response, in tokens. A ranker reads no more of one.
        max_tokens: u32,
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
    /// The last block in which the message is certainly in time.
    pub deadline: BlockNumber,
    /// The block at the end of which the phase began.
    pub since: BlockNumber,
    /// The task.
    pub task: Task<AccountId>,
}

/// An agent's record on chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AgentView {
    /// The inference key in force.
    pub key: InferenceKey,
    /// Whether the agent may commit.
    pub active: bool,
    /// The bond.
    pub bond: Balance,
    /// Number of rounds that the agent is in.
    pub open_rounds: u32,
    /// Part of the bond that these rounds have a claim on.
    pub reserved: Balance,
    /// Tickets that these rounds have a claim on.
    pub staked_tickets: Balance,
    /// The present rating, 32 fractional bits.
    pub rating: u64,
    /// The present weight as a ranker, 32 fractional bits.
    pub weight: u64,
}

/// The answer of a round.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RoundAnswer<AccountId> {
    /// The phase of the round; there is a text only in `Done`.
    pub phase: Phase,
    /// The winner.
    pub agent: Option<AccountId>,
    /// The text.
    pub text: Option<Vec<u8>>,
}

/// The question of a request through `pallet-capabilities`, besides its terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct QuestionView {
    /// The form of the answers.
    pub form: Form,
    /// The commitment to a known answer, or 32 random bytes.
    pub commitment: H256,
    /// Whether the known answer is public, and agents have learnt from it.
    pub revealed: bool,
}

/// The evidence for a round's winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct OutcomeView {
    /// Whether votes decided, and not equation (3).
    pub is_voted: bool,
    /// Number of responses that give the winner's answer.
    pub votes: u32,
    /// Number of all valid responses.
    pub responses: u32,
    /// The share of the responses that give the answer, 32 fractional bits.
    pub share_of_votes: u64,
    /// The share of the weight of votes that is behind the answer, 32 fractional bits.
    pub share_of_weight: u64,
}

impl From<Count> for OutcomeView {
    fn from(count: Count) -> Self {
        let Count {
            is_voted,
            votes,
            responses,
            share_of_votes,
            share_of_weight,
        } = count;
        Self {
            is_voted,
            votes,
            responses,
            share_of_votes,
            share_of_weight,
        }
    }
}

/// An agent's record with known answers of one form, as of now. Sums and weights have 32 fractional
/// bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CapabilityView {
    /// The form of the answers.
    pub form: Form,
    /// Number of known answers so far.
    pub rounds: u32,
    /// Its right answers, of which earlier ones have faded.
    pub right: u64,
    /// Its answers, which fade in the same way.
    pub answers: u64,
    /// The weight of its scores: `w`.
    pub ranker: u64,
    /// The weight of its vote: `v`.
    pub author: u64,
    /// Whether enough known answers stand behind the weights.
    pub is_proven: bool,
}

/// The jobs of one agent of this node. The runtime writes them into persistent off-chain storage
/// after every block. They hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct JobBoard<AccountId> {
    /// The block after which the board was written.
    pub block: BlockNumber,
    /// The agent.
    pub agent: AccountId,
    /// Tasks that need a model: answer, pass or rank. Keys and scores become due by themselves.
    pub jobs: Vec<Owed<AccountId>>,
}

/// A [`JobBoard`] in the off-chain storage. The first byte is its version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum StoredJobBoard<AccountId> {
    /// The board of [`RoundsApi`] version 2. Before it, boards had no version: see [`v1`].
    #[codec(index = 2)]
    V2(JobBoard<AccountId>),
}

/// Off-chain storage key of the [`StoredJobBoard`] of the agent with this inference key.
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
    /// The sealed response and its key; `None` if the agent passes.
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
        /// The tasks of an agent in all rounds.
        fn owed(agent: AccountId) -> Vec<Owed<AccountId>>;
        /// The same for nodes of version 1, whose tasks have no fee and size limit.
        #[changed_in(2)]
        fn owed(agent: AccountId) -> Vec<v1::Owed<AccountId>>;
        /// The agent that an inference key serves.
        fn agent_of(key: InferenceKey) -> Option<AccountId>;
        /// The account of an inference key, in force or not.
        fn owner_of(key: InferenceKey) -> Option<AccountId>;
        /// An agent's record on chain.
        fn agent(who: AccountId) -> Option<AgentView>;
        /// The price of a ticket of a round with this fee.
        fn ticket_price(fee: Balance) -> Balance;
        /// The costs of a request besides its fee: the burnt amount, and the amount on hold until
        /// purge.
        fn request_cost(max_responses: u32) -> (Balance, Balance);
        /// The answer of a stored round.
        fn answer(id: RoundId) -> Option<RoundAnswer<AccountId>>;
        /// Signs and sends the due messages for a worker's results. `finalized` is the number of
        /// the last finalised block. Needs a keystore and a transaction pool.
        fn submit(
            results: Vec<VaultEntry<AccountId>>,
            finalized: BlockNumber,
        ) -> Vec<(RoundId, AccountId, Sent)>;
        /// Whether this code wrote or migrated the state. It is false after the block that replaces
        /// the code, until the next block migrates the state. Since version 2.
        fn is_migrated() -> bool;
    }
    /// Known answers, and what follows from them for agents and rounds. For clients.
    #[api_version(1)]
    pub trait CapabilitiesApi<AccountId> where AccountId: Codec {
        /// The question of a stored round. `None` if it was asked through `Rounds.request`.
        fn question(round: RoundId) -> Option<QuestionView>;
        /// The outcome of a stored round. `None` if no answers were
        /// counted: they are in free form, the chain chooses as the paper does, the round was asked
        /// through `Rounds.request`, or it has no eligible response.
        fn outcome(round: RoundId) -> Option<OutcomeView>;
        /// An agent's record, in each form that has one.
        fn capabilities(who: AccountId) -> Vec<CapabilityView>;
    }
}
