// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

mod agenda;
mod authorize;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod dispatchable_impls;
mod integrity;
pub mod migration;
#[cfg(test)]
mod mock;
mod offchain;
mod phases;
pub mod presets;
mod purge;
mod request_impls;
mod runtime_api_impls;
mod settlement;
mod silence;
mod slots;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;
pub mod weights;

pub use pallet::*;
pub use silence::SilentPage;
use silence::{SILENCE, SILENT_PAGE};
pub use starling_primitives::round::{
    BlockNumber, Counts, Failure, Phase, Round, Settlement, Terms,
};
pub use types::*;
pub use weights::WeightInfo;

/// The log target of this pallet.
const LOG_TARGET: &str = "runtime::rounds";

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use frame_support::{
        inherent::MakeFatalError,
        pallet_prelude::*,
        traits::{
            fungible::{hold, Balanced},
            ValidatorSet,
        },
        weights::WeightToFee,
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::{traits::Get, Permill, SaturatedConversion};
    use starling_primitives::{
        sealing,
        traits::{AgentRegistry, Choice, Randomness, Ratings, Rewards, Tickets},
        Balance, RoundId, Salt, Secret, H256,
    };

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256> {
        /// The weights of calls, authorizations and hooks.
        type WeightInfo: WeightInfo;

        /// The overarching reason of holds.
        type RuntimeHoldReason: From<HoldReason>;

        /// The currency of fees and deposits.
        type Currency: hold::Balanced<Self::AccountId, Balance = Balance>
            + hold::Mutate<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>
            + Balanced<Self::AccountId, Balance = Balance>;

        /// The agents and their bonds.
        type Agents: AgentRegistry<Self::AccountId, Credit = CreditOf<Self>>;

        /// The tickets with which agents pay for rounds.
        type Tickets: Tickets<Self::AccountId, Credit = CreditOf<Self>>;

        /// The agents' ratings as rankers.
        type Ratings: Ratings<Self::AccountId>;

        /// Payment of the pot.
        type Rewards: Rewards<Self::AccountId, Credit = CreditOf<Self>>;

        /// The choice of the best response.
        type Choice: Choice<Self::AccountId>;

        /// The authorities of the chain. A deadline counts only once more than a third of them have
        /// authored in the phase.
        type Authorities: ValidatorSet<Self::AccountId, ValidatorId = Self::AccountId>;

        /// The randomness that decides draws and assignments.
        type Randomness: Randomness;

        /// Price of weight: a requester pays for the messages of its round.
        type WeightToFee: WeightToFee<Balance = Balance>;

        /// Price of length: the reference time of its weight is a number of bytes, as in
        /// `pallet-transaction-payment`.
        type LengthToFee: WeightToFee<Balance = Balance>;

        /// Minimum fee of a request.
        #[pallet::constant]
        type MinFee: Get<Balance>;

        /// Maximum length of a prompt, in bytes.
        #[pallet::constant]
        type MaxPrompt: Get<u32>;

        /// Maximum length of a response, in bytes.
        #[pallet::constant]
        type MaxResponse: Get<u32>;

        /// Maximum value of a request's `max_tokens`.
        #[pallet::constant]
        type MaxTokens: Get<u32>;

        /// Minimum value of a request's `min_responses`, at least 2: a response that nobody else
        /// ranks cannot be chosen.
        #[pallet::constant]
        type MinResponses: Get<u32>;

        /// Maximum value of a request's `max_responses`.
        #[pallet::constant]
        type MaxResponses: Get<u32>;

        /// Number of blocks for agents to commit.
        #[pallet::constant]
        type CommitWindow: Get<BlockNumber>;

        /// Number of blocks for agents to reveal.
        #[pallet::constant]
        type RevealWindow: Get<BlockNumber>;

        /// Number of blocks for agents to score.
        #[pallet::constant]
        type RankWindow: Get<BlockNumber>;

        /// Number of blocks for agents to disclose.
        #[pallet::constant]
        type DiscloseWindow: Get<BlockNumber>;

        /// Minimum number of responses that each agent ranks, if there are that many.
        #[pallet::constant]
        type MinRankings: Get<u32>;

        /// Maximum number of responses that each agent ranks.
        #[pallet::constant]
        type MaxRankings: Get<u32>;

        /// Minimum weighted mean of a winner.
        #[pallet::constant]
        type ApprovalThreshold: Get<Permill>;

        /// Minimum slash.
        #[pallet::constant]
        type MinSlash: Get<Balance>;

        /// The slash as a share of the fee.
        #[pallet::constant]
        type SlashShare: Get<Permill>;

        /// Loss of an agent that neither answers nor passes in a round that waits for it, if
        /// somebody reports it.
        #[pallet::constant]
        type SilenceFine: Get<Balance>;

        /// Maximum slash: the largest claim of one round on a bond.
        #[pallet::constant]
        type MaxSlash: Get<Balance>;

        /// The part of the fee that does not come back if too few agents commit. It goes to those
        /// that did, which have worked for nothing.
        #[pallet::constant]
        type CommitShare: Get<Permill>;

        /// The deposit for the storage of a round's prompt and of the round itself.
        #[pallet::constant]
        type DepositBase: Get<Balance>;

        /// The deposit for the storage of one response.
        #[pallet::constant]
        type DepositPerResponse: Get<Balance>;

        /// Maximum number of open rounds.
        #[pallet::constant]
        type MaxOpenRounds: Get<u32>;

        /// Unit of the price of a slot; see `starling_primitives::slots`.
        #[pallet::constant]
        type SlotPrice: Get<Balance>;

        /// Maximum number of open rounds of one requester.
        #[pallet::constant]
        type MaxRequests: Get<u32>;

        /// Maximum number of stored rounds, including open ones. Above half of it, one purge a
        /// block is mandatory.
        #[pallet::constant]
        type MaxStoredRounds: Get<u32>;

        /// Maximum number of rounds that change phase in a block.
        #[pallet::constant]
        type MaxTransitions: Get<u32>;

        /// Maximum number of agents, together, of the rounds that change phase in a block. At least
        /// `MaxResponses`.
        #[pallet::constant]
        type MaxTransitionAgents: Get<u32>;

        /// Maximum number of ratings that one transition records.
        #[pallet::constant]
        type RatingPage: Get<u32>;

        /// Maximum number of items that one purge removes.
        #[pallet::constant]
        type PurgePage: Get<u32>;

        /// Number of blocks that a finished round stays.
        #[pallet::constant]
        type RetentionPeriod: Get<BlockNumber>;

        /// Number of blocks that a signed message is valid.
        #[pallet::constant]
        type Longevity: Get<BlockNumber>;

        /// Priority of a message signed in block 0; later ones have a higher priority.
        #[pallet::constant]
        type MessagePriority: Get<TransactionPriority>;

        /// Maximum number of remembered authors, at least the number of authorities.
        #[pallet::constant]
        type MaxAuthorities: Get<u32>;
    }

    /// Reasons why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The fee of an open round.
        #[codec(index = 0)]
        Fee,
        /// The storage deposit of a stored round.
        #[codec(index = 1)]
        Deposit,
    }

    /// The number of the next round.
    #[pallet::storage]
    pub type NextRound<T: Config> = StorageValue<_, RoundId, ValueQuery>;

    /// The stored rounds.
    #[pallet::storage]
    pub type Rounds<T: Config> = StorageMap<_, Twox64Concat, RoundId, RoundOf<T>, OptionQuery>;

    /// The prompts.
    #[pallet::storage]
    pub type Prompts<T: Config> =
        StorageMap<_, Twox64Concat, RoundId, BoundedVec<u8, T::MaxPrompt>, OptionQuery>;

    /// The agents in a round.
    #[pallet::storage]
    pub type Participants<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        RoundId,
        Blake2_128Concat,
        T::AccountId,
        ParticipantOf<T>,
        OptionQuery,
    >;

    /// The agents that passed, or were displaced from a full round.
    #[pallet::storage]
    pub type Absent<T: Config> =
        StorageDoubleMap<_, Twox64Concat, RoundId, Blake2_128Concat, T::AccountId, (), OptionQuery>;

    /// The draws of the agents in a round. The key is the bitwise complement of the draw, greatest
    /// number first, so that the highest draw is the first key. Grinding for keys with a common
    /// prefix finds at most `MaxResponses` of them in a round.
    #[pallet::storage]
    pub type Draws<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        RoundId,
        Identity,
        ([u8; 32], T::AccountId),
        (),
        OptionQuery,
    >;

    /// The sealed responses `R_i`, until they are revealed.
    #[pallet::storage]
    pub type Sealed<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        RoundId,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<u8, MaxSealed<T>>,
        OptionQuery,
    >;

    /// The responses `r_i`.
    #[pallet::storage]
    pub type Responses<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        RoundId,
        Blake2_128Concat,
        T::AccountId,
        BoundedVec<u8, T::MaxResponse>,
        OptionQuery,
    >;

    /// The valid responses of a round in the shuffled order, with their scores.
    #[pallet::storage]
    pub type Entries<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        RoundId,
        Twox64Concat,
        starling_primitives::Position,
        Entry<T::AccountId>,
        OptionQuery,
    >;

    /// The rounds that will change phase, the next ones first. Its length is the number of open
    /// rounds.
    #[pallet::storage]
    pub type Agenda<T: Config> = StorageValue<_, BoundedVec<Due, T::MaxOpenRounds>, ValueQuery>;

    /// The room that this block has reserved for due rounds. Removed at the end of the block.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type Reserved<T: Config> = StorageValue<_, Room, ValueQuery>;

    /// The rounds in Committing, oldest first.
    #[pallet::storage]
    pub type CommittingRounds<T: Config> =
        StorageValue<_, BoundedVec<RoundId, T::MaxOpenRounds>, ValueQuery>;

    /// The rounds that wait for the randomness after the last block: that of their request, or
    /// their last Committing one.
    #[pallet::storage]
    // Its name in the first release: a round may wait while the chain is upgraded.
    #[pallet::storage_prefix = "Unhashed"]
    pub type Undrawn<T: Config> =
        StorageValue<_, BoundedVec<RoundId, T::MaxOpenRounds>, ValueQuery>;

    /// The last block of each recent author.
    #[pallet::storage]
    pub type Authors<T: Config> =
        StorageValue<_, BoundedVec<Authored<T::AccountId>, T::MaxAuthorities>, ValueQuery>;

    /// The finished rounds, in the order in which they ended.
    #[pallet::storage]
    pub type Ended<T: Config> = StorageMap<_, Twox64Concat, u64, RoundId, OptionQuery>;

    /// The ends of [`Ended`].
    #[pallet::storage]
    pub type EndedQueue<T: Config> = StorageValue<_, Queue, ValueQuery>;

    /// The agents that have lost the activation with this ordinal since the last block.
    #[pallet::storage]
    pub type Inactive<T: Config> =
        StorageValue<_, BoundedVec<(T::AccountId, u64), ConstU32<256>>, ValueQuery>;

    /// The agents that no round waits for from some round on, because they were silent.
    #[pallet::storage]
    pub type Resting<T: Config> =
        CountedStorageMap<_, Blake2_128Concat, T::AccountId, Rest, OptionQuery>;

    /// The last rounds that waited for somebody in vain up to their deadline, and whose silent
    /// agents no block has reported yet.
    #[pallet::storage]
    pub type Unheard<T: Config> = StorageValue<_, BoundedVec<RoundId, ConstU32<8>>, ValueQuery>;

    /// The last block that reported silent agents.
    #[pallet::storage]
    pub type LastReport<T: Config> = StorageValue<_, BlockNumber, ValueQuery>;

    /// Number of open rounds of each requester that has one.
    #[pallet::storage]
    pub type Requests<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// The burnt payments of the rounds in Committing. A higher offer gives it back to the round
    /// that it displaces.
    #[pallet::storage]
    pub type Prices<T: Config> = StorageMap<_, Twox64Concat, RoundId, Balance, ValueQuery>;

    /// The finished rounds without anything to read, in the order in which they ended. They are
    /// purged at once.
    #[pallet::storage]
    pub type Void<T: Config> = StorageMap<_, Twox64Concat, u64, RoundId, OptionQuery>;

    /// The ends of [`Void`].
    #[pallet::storage]
    pub type VoidQueue<T: Config> = StorageValue<_, Queue, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A request opened a round.
        Requested {
            /// The round.
            round: RoundId,
            /// The account that asked.
            requester: T::AccountId,
            /// Its fee for the answer.
            fee: Balance,
            /// Its payment for the slot and for the agents' messages, which is burnt.
            request_fee: Balance,
        },
        /// An agent entered a round with a sealed response.
        Committed {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
        },
        /// An agent declared that it will not answer.
        Passed {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
        },
        /// An agent with a lower draw took this one's place. Its ticket is free again.
        Displaced {
            /// The round.
            round: RoundId,
            /// The displaced agent.
            agent: T::AccountId,
        },
        /// A round changed its phase.
        PhaseBegan {
            /// The round.
            round: RoundId,
            /// The phase.
            phase: Phase,
            /// The last block of the phase.
            deadline: BlockNumber,
        },
        /// An agent's key arrived.
        Revealed {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
            /// Whether the key opened a valid response.
            valid: bool,
        },
        /// An agent committed scores.
        ScoresCommitted {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
        },
        /// An agent's scores arrived.
        Disclosed {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
            /// Whether the scores are for the assigned responses.
            valid: bool,
        },
        /// A round has ended, and everything is paid.
        Settled {
            /// The round.
            round: RoundId,
            /// `Done`, or `Failed` with the reason.
            phase: Phase,
            /// The agent whose response was chosen.
            winner: Option<T::AccountId>,
            /// The transfers.
            settlement: Settlement,
        },
        /// The ratings of a round's rankers have moved.
        Rated {
            /// The round.
            round: RoundId,
        },
        /// A round was removed, and its deposit returned.
        Purged {
            /// The round.
            round: RoundId,
        },
        /// All slots were taken, and a higher offer took that of a round to which nobody had
        /// committed. Fee and burnt payments are back, the deposit follows at the purge.
        Outbid {
            /// The round.
            round: RoundId,
            /// The account that asked.
            requester: T::AccountId,
        },
        /// An agent was silent in a round that waited for it.
        Fined {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
            /// The account that reported it, which gets the fine.
            reporter: T::AccountId,
            /// The fine.
            amount: Balance,
        },
        /// The author of the block reported an agent that was silent in a round that waited for it.
        /// Its fine is burnt.
        Silent {
            /// The round.
            round: RoundId,
            /// The agent.
            agent: T::AccountId,
            /// The fine.
            amount: Balance,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no such round yet, or it was purged.
        UnknownRound,
        /// The round is in an earlier phase, or the message was signed in a later block.
        TooEarly,
        /// The round is in a later phase.
        TooLate,
        /// The prompt is empty or not UTF-8.
        InvalidPrompt,
        /// The prompt is longer than `MaxPrompt`.
        PromptTooLong,
        /// The fee is below `MinFee`.
        FeeTooLow,
        /// `max_tokens` is zero or above `MaxTokens`.
        InvalidMaxTokens,
        /// `min_responses` is below `MinResponses` or above `max_responses`.
        InvalidMinResponses,
        /// `max_responses` is above `MaxResponses`.
        TooManyResponses,
        /// Too many rounds are open or stored, and the fee is not above that of one to which nobody
        /// has committed: offer more, or try again later.
        TooManyRounds,
        /// The sealed response is longer than a sealed response of `MaxResponse` bytes.
        ResponseTooLong,
        /// The sealed response has no content.
        ResponseEmpty,
        /// The account is not an agent.
        NotAgent,
        /// The agent is not active: it is chilled, or its bond is too low.
        NotActive,
        /// The free part of the agent's bond is smaller than the slash.
        BondNotFree,
        /// The agent has too few free tickets: buy some.
        NoTicket,
        /// The agent itself made the request.
        OwnRequest,
        /// The round is full of lower draws.
        RoundFull,
        /// The agent was not active at the request, so nobody waits for it to pass.
        NotExpected,
        /// The agent is not in the round.
        NotParticipant,
        /// The agent has already sent this message.
        AlreadySent,
        /// The key does not match the commitment.
        KeyMismatch,
        /// The agent has no valid response, and such agents do not rank.
        NoResponse,
        /// The scores are for another assignment.
        WrongSeed,
        /// No scores were committed.
        NoScoresCommitted,
        /// Scores and salt do not match the commitment.
        ScoresMismatch,
        /// The message was signed more than `Longevity` blocks ago.
        MessageExpired,
        /// The signature is not by the agent's inference key.
        BadSignature,
        /// A feeless message must carry a proof, and a message with a fee must not.
        ProofMismatch,
        /// Fewer agents than `min_responses` are active, not counting the requester: ask for fewer
        /// responses, or wait for agents.
        TooFewAgents,
        /// Many rounds are open, and the price of a slot is above the fee: offer more, or try again
        /// later.
        SlotTooExpensive,
        /// The account has `MaxRequests` open rounds: wait for the end of one.
        TooManyRequests,
        /// The sealed response is longer than one of `max_tokens` tokens.
        MoreThanMaxTokens,
        /// The agent has committed or passed, or the round did not wait for it, or it was fined
        /// already.
        NotSilent,
        /// This block has reported agents already.
        AlreadyReported,
    }

    /// Maximum length of a sealed response: `MaxResponse`, the header of its padding and the
    /// cipher's tag.
    pub struct MaxSealed<T>(PhantomData<T>);

    impl<T: Config> Get<u32> for MaxSealed<T> {
        fn get() -> u32 {
            T::MaxResponse::get().saturating_add(sealing::OVERHEAD)
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::note_randomness();
            Self::mandatory_purge()
                .saturating_add(Self::hear_inactive())
                .saturating_add(Self::reserve())
        }

        fn on_finalize(_: BlockNumberFor<T>) {
            Self::run_agenda();
        }

        fn offchain_worker(_: BlockNumberFor<T>) {
            Self::write_job_boards();
        }

        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            Self::idle_purge(remaining)
        }

        fn integrity_test() {
            Self::check_config();
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Asks the swarm a question.
        ///
        /// Any signed account may call it. It opens a round, puts the fee and the storage deposit
        /// on hold, and burns the request fee and the price of the slot. The request fee pays for
        /// the weight of the messages of `max_responses` agents, which are feeless to them. The
        /// price of a slot rises with the number of open rounds and is never above the fee. If all
        /// slots are taken, the request takes the slot of the lowest offer below its own to which
        /// nobody has committed, and pays back what that one has burnt. A request cannot be
        /// cancelled.
        ///
        /// - `prompt`: UTF-8, at most `MaxPrompt` bytes.
        /// - `fee`: for the answer, at least `MinFee`.
        /// - `max_tokens`: maximum length of an answer, in tokens of the agent's model.
        /// - `min_responses`: minimum number of sealed responses; with fewer the round fails before
        ///   anything is public. If some are not revealed, the round goes on with the others.
        /// - `max_responses`: maximum number of agents in the round.
        ///
        /// Emits `Requested`, and `Outbid` for a round that lost its slot. Errors: `InvalidPrompt`,
        /// `PromptTooLong`, `FeeTooLow`, `InvalidMaxTokens`, `InvalidMinResponses`,
        /// `TooManyResponses`, `TooFewAgents`, `TooManyRounds`, `TooManyRequests`,
        /// `SlotTooExpensive`, or an error of the currency if the account cannot pay.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::request(prompt.len() as u32))]
        pub fn request(
            origin: OriginFor<T>,
            prompt: Vec<u8>,
            #[pallet::compact] fee: Balance,
            max_tokens: u32,
            min_responses: u32,
            max_responses: u32,
        ) -> DispatchResult {
            let requester = ensure_signed(origin)?;
            Self::do_request(
                requester,
                prompt,
                fee,
                max_tokens,
                min_responses,
                max_responses,
            )
            .map(|_| ())
        }

        /// Enters a round with a sealed response.
        ///
        /// Feeless, with the signature of the agent's inference key. It stakes one ticket, reserves
        /// the slash from the bond, and stores `R_i`. If the round is full, the agent takes the
        /// place of the highest draw.
        ///
        /// - `sealed`: `R_i`, sealed for this round and agent.
        /// - `key_commitment`: `H(domain ‖ genesis ‖ round ‖ agent ‖ k_i)`.
        ///
        /// Emits `Committed`, and `Displaced` for an agent that lost its place. Errors:
        /// `UnknownRound`, `TooEarly`, `TooLate`, `ResponseTooLong`, `MoreThanMaxTokens`,
        /// `ResponseEmpty`, `OwnRequest`,
        /// `AlreadySent`, `NotAgent`, `NotActive`, `BondNotFree`, `NoTicket`, `RoundFull`,
        /// `MessageExpired`, `BadSignature`.
        #[pallet::call_index(1)]
        #[pallet::weight((T::WeightInfo::commit(sealed.len() as u32), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_commit(sealed.len() as u32))]
        #[pallet::authorize(Self::authorize_commit)]
        pub fn commit(
            origin: OriginFor<T>,
            round: RoundId,
            agent: T::AccountId,
            sealed: Vec<u8>,
            key_commitment: H256,
            _proof: Proof,
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_commit(round, agent, sealed, key_commitment)
        }

        /// Declares that the agent will not answer, so that nobody waits for it.
        ///
        /// Feeless, with the signature of the agent's inference key. For agents that were active at
        /// the request, and still are.
        ///
        /// Emits `Passed`. Errors: `UnknownRound`, `TooEarly`, `TooLate`, `AlreadySent`,
        /// `NotAgent`, `NotExpected`, `MessageExpired`, `BadSignature`.
        #[pallet::call_index(2)]
        #[pallet::weight((T::WeightInfo::pass(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_pass())]
        #[pallet::authorize(Self::authorize_pass)]
        pub fn pass(
            origin: OriginFor<T>,
            round: RoundId,
            agent: T::AccountId,
            _proof: Proof,
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_pass(round, agent)
        }

        /// Reveals the key of a sealed response.
        ///
        /// Feeless with the signature of the agent's inference key. For a fee, any signed account
        /// may call it without that signature: only the agent, or accounts that it told, know the
        /// key. The sealed response is opened and deleted. A key that fits the commitment and opens
        /// no valid response counts as arrived, and the response as spoiled.
        ///
        /// - `key`: `k_i`.
        /// - `proof`: the signature, or none with a fee.
        ///
        /// Emits `Revealed`. Errors: `UnknownRound`, `TooEarly`, `TooLate`, `NotParticipant`,
        /// `AlreadySent`, `KeyMismatch`, `MessageExpired`, `BadSignature`, `ProofMismatch`.
        #[pallet::call_index(3)]
        #[pallet::weight((
            T::WeightInfo::reveal(T::MaxResponse::get()),
            Pallet::<T>::class_of(proof),
        ))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_reveal())]
        #[pallet::authorize(Self::authorize_reveal)]
        pub fn reveal(
            origin: OriginFor<T>,
            round: RoundId,
            agent: T::AccountId,
            key: Secret,
            proof: Option<Proof>,
        ) -> DispatchResult {
            Self::ensure_preimage_origin(origin, &proof)?;
            Self::do_reveal(round, agent, key)
        }

        /// Commits scores of the assigned responses.
        ///
        /// Feeless, with the signature of the agent's inference key.
        ///
        /// - `seed`: of the scored assignment; a seed other than the round's is refused.
        /// - `commitment`: `H(domain ‖ genesis ‖ round ‖ agent ‖ seed ‖ scores ‖ salt)`.
        ///
        /// Emits `ScoresCommitted`. Errors: `UnknownRound`, `TooEarly`, `TooLate`,
        /// `NotParticipant`, `NoResponse`, `AlreadySent`, `WrongSeed`, `MessageExpired`,
        /// `BadSignature`.
        #[pallet::call_index(4)]
        #[pallet::weight((T::WeightInfo::commit_scores(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_commit_scores())]
        #[pallet::authorize(Self::authorize_commit_scores)]
        pub fn commit_scores(
            origin: OriginFor<T>,
            round: RoundId,
            agent: T::AccountId,
            seed: H256,
            commitment: H256,
            _proof: Proof,
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_commit_scores(round, agent, seed, commitment)
        }

        /// Discloses scores.
        ///
        /// Feeless with the signature of the agent's inference key; for a fee, any signed account
        /// may call it without that signature. Scores that fit the commitment, but are not for
        /// exactly the assigned responses, each once, count as arrived and spoiled.
        ///
        /// - `scores`: the assigned responses by their positions, in the committed order.
        /// - `salt`: of the commitment.
        /// - `proof`: the signature, or none with a fee.
        ///
        /// Emits `Disclosed`. Errors: `UnknownRound`, `TooEarly`, `TooLate`, `NotParticipant`,
        /// `NoScoresCommitted`, `AlreadySent`, `ScoresMismatch`, `MessageExpired`,
        /// `BadSignature`, `ProofMismatch`.
        #[pallet::call_index(5)]
        #[pallet::weight((
            T::WeightInfo::disclose(scores.len() as u32),
            Pallet::<T>::class_of(proof),
        ))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_disclose(scores.len() as u32))]
        #[pallet::authorize(Self::authorize_disclose)]
        pub fn disclose(
            origin: OriginFor<T>,
            round: RoundId,
            agent: T::AccountId,
            scores: ScoresOf<T>,
            salt: Salt,
            proof: Option<Proof>,
        ) -> DispatchResult {
            Self::ensure_preimage_origin(origin, &proof)?;
            Self::do_disclose(round, agent, scores, salt)
        }

        /// Reports an agent that neither committed nor passed in a round that waited for it.
        ///
        /// Any signed account may call it, from Revealing on and as long as the round is stored,
        /// once for each agent and round. The agent has been active ever since before the request.
        /// It loses `SilenceFine`, as far as its bond is free, to the caller.
        ///
        /// Emits `Fined`. Errors: `UnknownRound`, `TooEarly`, `NotSilent`.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::report())]
        pub fn report(origin: OriginFor<T>, round: RoundId, agent: T::AccountId) -> DispatchResult {
            let reporter = ensure_signed(origin)?;
            Self::do_report(reporter, round, agent)
        }

        /// Reports agents that were silent in a round whose Committing lasted to its deadline.
        ///
        /// Authors put it into their blocks, at most once. Each agent loses `SilenceFine`, as far
        /// as its bond is free, and no round waits for it before it has rested and commits again.
        /// Agents that were not silent are skipped: what an author knows may have changed when the
        /// block begins. With fewer agents than fit, there are no more silent ones in the round.
        ///
        /// Emits `Silent`. Errors: `BadOrigin` with any signature, `AlreadyReported`.
        #[pallet::call_index(7)]
        #[pallet::weight((
            T::WeightInfo::silence(SILENT_PAGE),
            DispatchClass::Mandatory,
        ))]
        pub fn silence(
            origin: OriginFor<T>,
            round: RoundId,
            agents: BoundedVec<T::AccountId, SilentPage>,
        ) -> DispatchResult {
            ensure_none(origin)?;
            Self::do_silence(round, agents)
        }
    }

    #[pallet::inherent]
    impl<T: Config> ProvideInherent for Pallet<T> {
        type Call = Call<T>;
        type Error = MakeFatalError<()>;
        const INHERENT_IDENTIFIER: InherentIdentifier = SILENCE;

        fn create_inherent(_: &InherentData) -> Option<Self::Call> {
            let (round, agents) = Self::silent_agents()?;
            Some(Call::silence { round, agents })
        }

        fn is_inherent(call: &Self::Call) -> bool {
            matches!(call, Call::silence { .. })
        }
    }

    impl<T: Config> Pallet<T> {
        /// The number of this block.
        pub(crate) fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// The hash of the genesis block.
        pub(crate) fn genesis() -> H256 {
            frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::from(0u32))
        }

        /// A message with a proof is an agent's and goes first. A message with a fee waits like any
        /// other.
        pub(crate) fn class_of(proof: &Option<Proof>) -> DispatchClass {
            if proof.is_some() {
                DispatchClass::Operational
            } else {
                DispatchClass::Normal
            }
        }

        /// Accepts a caller that its proof authorized, and any signed account without a proof.
        fn ensure_preimage_origin(origin: OriginFor<T>, proof: &Option<Proof>) -> DispatchResult {
            match proof {
                Some(_) => {
                    ensure!(
                        ensure_signed(origin.clone()).is_err(),
                        Error::<T>::ProofMismatch
                    );
                    ensure_authorized(origin)?;
                },
                None => {
                    ensure_signed(origin)?;
                },
            }
            Ok(())
        }
    }

    impl<T: Config> pallet_authorship::EventHandler<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
        fn note_author(author: T::AccountId) {
            Self::do_note_author(author);
        }
    }
}
