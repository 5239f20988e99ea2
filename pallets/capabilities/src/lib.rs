// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod choice_impls;
mod dispatchable_impls;
mod learning;
#[cfg(test)]
mod mock;
mod runtime_api_impls;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;
pub mod weights;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use sp_runtime::{Permill, SaturatedConversion};
    use starling_primitives::{
        choice::{Choice, Form},
        round::BlockNumber,
        traits::{Requests, Treasury},
        Balance, RoundId, Salt, H256,
    };

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256> {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// The rounds.
        type Requests: Requests<Self::AccountId>;

        /// The payer of questions with known answers.
        type Treasury: Treasury<Self::AccountId>;

        /// Origin that names examiners, and sets the pool and the choice.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Maximum number of examiners.
        #[pallet::constant]
        type MaxExaminers: Get<u32>;

        /// Maximum length of a prompt, in bytes.
        #[pallet::constant]
        type MaxPrompt: Get<u32>;

        /// Maximum number of responses of a round.
        #[pallet::constant]
        type MaxResponses: Get<u32>;

        /// Maximum number of right keys of a question.
        #[pallet::constant]
        type MaxKeys: Get<u32>;

        /// Maximum length of the proof that a question is in the pool.
        #[pallet::constant]
        type MaxProof: Get<u32>;

        /// Number of blocks after the end of a round in which its answer may be revealed. Below the
        /// number of blocks that a round is stored.
        #[pallet::constant]
        type AnswerWindow: Get<BlockNumber>;

        /// Maximum part of a round's fee that an examiner gets back. The fee goes to agents, and
        /// may go to those of a friend.
        #[pallet::constant]
        type MaxRefund: Get<Balance>;

        /// Paid to an examiner for an answer, besides the fee of its round.
        #[pallet::constant]
        type Premium: Get<Balance>;

        /// Number of an agent's last answers whose examiners teach it nothing more, at most
        /// [`MAX_SPACING`]. Always fewer than there are examiners.
        #[pallet::constant]
        type Spacing: Get<u32>;

        /// Number of blocks without an answer after which half of an agent's sums are left.
        #[pallet::constant]
        type IdlePeriod: Get<BlockNumber>;
    }

    /// The way to choose the best response of a round. A chain that never chose one chooses as the
    /// paper does.
    #[pallet::storage]
    pub type Chosen<T: Config> = StorageValue<_, Choice, ValueQuery>;

    /// The accounts that may reveal known answers.
    #[pallet::storage]
    pub type Examiners<T: Config> =
        StorageValue<_, BoundedVec<T::AccountId, T::MaxExaminers>, ValueQuery>;

    /// The requests of the examiners.
    #[pallet::storage]
    pub type Traffic<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, ExaminerTraffic, ValueQuery>;

    /// The questions with known answers.
    #[pallet::storage]
    pub type Pool<T: Config> = StorageValue<_, QuestionPool, OptionQuery>;

    /// The questions that were revealed, by the root of their pool and their place in it. They
    /// stay, so that no pool that comes back brings known questions.
    #[pallet::storage]
    pub type Used<T: Config> = StorageMap<_, Twox64Concat, (H256, u32), (), OptionQuery>;

    /// The stored rounds that were asked through this pallet.
    #[pallet::storage]
    pub type Questions<T: Config> = StorageMap<_, Twox64Concat, RoundId, Question, OptionQuery>;

    /// Records of the agents with known answers, by form.
    #[pallet::storage]
    pub type Capabilities<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        T::AccountId,
        Twox64Concat,
        Form,
        Record<T::AccountId>,
        OptionQuery,
    >;

    /// Outcomes of stored rounds whose answers were counted.
    #[pallet::storage]
    pub type Outcomes<T: Config> = StorageMap<_, Twox64Concat, RoundId, Summary, OptionQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The way to choose the best response of a round.
        pub choice: Choice,
        #[doc(hidden)]
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Chosen::<T>::put(self.choice);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A request said in which form it wants its answer.
        #[codec(index = 0)]
        Asked {
            /// The round.
            round: RoundId,
            /// The form.
            form: Form,
        },
        /// A known answer became public, and agents have learnt from it.
        #[codec(index = 1)]
        AnswerRevealed {
            /// The round.
            round: RoundId,
            /// The examiner.
            examiner: T::AccountId,
            /// The question's place in the pool.
            index: u32,
            /// Number of agents that learnt from it.
            agents: u32,
            /// Paid by the treasury to the examiner.
            paid: Balance,
        },
        /// Answers were counted, and the best response of a round was found. `Settled` of the
        /// rounds says whether it reaches the threshold.
        #[codec(index = 2)]
        Chosen {
            /// The round.
            round: RoundId,
            /// The author of the best response.
            best: T::AccountId,
            /// The outcome.
            outcome: Summary,
        },
        /// There are other examiners.
        #[codec(index = 3)]
        ExaminersSet {
            /// The examiners.
            examiners: BoundedVec<T::AccountId, T::MaxExaminers>,
        },
        /// There is another pool.
        #[codec(index = 4)]
        PoolSet {
            /// The pool.
            pool: Option<QuestionPool>,
        },
        /// There is another way to choose the best response.
        #[codec(index = 5)]
        ChoiceSet {
            /// The way.
            choice: Choice,
        },
    }

    /// Errors of the calls. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    pub enum Error<T> {
        /// The account is not an examiner.
        #[codec(index = 0)]
        NotExaminer,
        /// The round was not asked through this pallet, or is purged.
        #[codec(index = 1)]
        UnknownQuestion,
        /// The answer is public already.
        #[codec(index = 2)]
        AlreadyRevealed,
        /// The round asks for free text, of which no right answer is known.
        #[codec(index = 3)]
        FreeForm,
        /// Account, question, keys and salt do not open the commitment of the request.
        #[codec(index = 4)]
        CommitmentMismatch,
        /// The examiner must make ten requests for each answer: ask more first.
        #[codec(index = 5)]
        TooManyReveals,
        /// There is no pool of questions.
        #[codec(index = 6)]
        NoPool,
        /// The question was revealed before: each one is good for one answer.
        #[codec(index = 7)]
        QuestionUsed,
        /// The round is open, or it ended without ranked responses.
        #[codec(index = 8)]
        NotConcluded,
        /// Another account asked.
        #[codec(index = 9)]
        NotRequester,
        /// The round ended more than `AnswerWindow` blocks ago.
        #[codec(index = 10)]
        TooLate,
        /// The prompt with this form, chance and these keys is not the pool's question of this
        /// index.
        #[codec(index = 11)]
        WrongProof,
        /// An examiner is named twice.
        #[codec(index = 12)]
        DuplicateExaminer,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(
                T::AnswerWindow::get() < T::Requests::retention(),
                "a round must be stored as long as its answer may be revealed"
            );
            assert!(T::AnswerWindow::get() > 0, "an answer must be in time");
            assert!(
                T::Spacing::get() <= MAX_SPACING,
                "a record has no more room"
            );
            assert!(T::IdlePeriod::get() > 0, "sums must not fade at once");
            assert!(T::MaxKeys::get() > 0, "a question must have an answer");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Asks the swarm a question whose answer has a form.
        ///
        /// Any signed account may call it. It opens a round as `request` of the rounds does, with
        /// the same costs. Equal answers of a form other than `Free` are counted.
        ///
        /// - `prompt`, `fee`, `max_tokens`, `min_responses`, `max_responses`: as in `request`.
        /// - `form`: the form of the answer. The prompt should ask for it, too.
        /// - `commitment`: 32 random bytes. Only an examiner that knows the answer commits to it:
        ///   `starling_primitives::choice::commitment`. Nobody else can tell.
        ///
        /// Emits `Asked`. Errors: those of `request`.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::ask(prompt.len() as u32))]
        // They are the terms of a request, and two more.
        #[allow(clippy::too_many_arguments)]
        pub fn ask(
            origin: OriginFor<T>,
            prompt: Vec<u8>,
            #[pallet::compact] fee: Balance,
            max_tokens: u32,
            min_responses: u32,
            max_responses: u32,
            form: Form,
            commitment: H256,
        ) -> DispatchResult {
            let requester = ensure_signed(origin)?;
            let round = T::Requests::request(
                requester.clone(),
                prompt,
                fee,
                max_tokens,
                min_responses,
                max_responses,
            )?;
            Self::note_question(&requester, round, form, commitment);
            Ok(())
        }

        /// Reveals the known answer of a round, from which its agents learn.
        ///
        /// The examiner that asked calls it, within `AnswerWindow` blocks after the end of the
        /// round. The question must be in the pool, and not revealed before. Of its requests at
        /// most one in ten is revealed. The treasury pays it the fee of the round back, up to
        /// `MaxRefund`, and a premium, as far as it can.
        ///
        /// - `index`: the question's place in the pool.
        /// - `keys`: the hashes of the right answer keys.
        /// - `chance`: the share of right answers by chance, from the pool.
        /// - `salt`: of the commitment.
        /// - `proof`: the nodes of the tree between the question and the root, from below.
        ///
        /// Emits `AnswerRevealed`. Errors: `NotExaminer`, `UnknownQuestion`, `AlreadyRevealed`,
        /// `FreeForm`, `CommitmentMismatch`, `TooManyReveals`, `NoPool`, `QuestionUsed`,
        /// `NotConcluded`, `NotRequester`, `TooLate`, `WrongProof`.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::reveal_answer(T::MaxResponses::get()))]
        pub fn reveal_answer(
            origin: OriginFor<T>,
            round: RoundId,
            index: u32,
            keys: BoundedVec<H256, T::MaxKeys>,
            chance: Permill,
            salt: Salt,
            proof: BoundedVec<H256, T::MaxProof>,
        ) -> DispatchResultWithPostInfo {
            let examiner = ensure_signed(origin)?;
            let responses =
                Self::do_reveal_answer(&examiner, round, index, &keys, chance, &salt, &proof)?;
            Ok(Some(T::WeightInfo::reveal_answer(responses)).into())
        }

        /// Names the examiners, all of them together.
        ///
        /// `GovernanceOrigin` may call it. The requests of an examiner that is not named any more
        /// are forgotten. Name three at least: an agent learns nothing from the examiners of its
        /// last `Spacing` answers, as long as there are others.
        ///
        /// Emits `ExaminersSet`. Errors: `DuplicateExaminer`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::set_examiners())]
        pub fn set_examiners(
            origin: OriginFor<T>,
            examiners: BoundedVec<T::AccountId, T::MaxExaminers>,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Self::do_set_examiners(examiners)
        }

        /// Sets the pool of questions, or removes it.
        ///
        /// `GovernanceOrigin` may call it. Open questions of the old pool cannot be revealed any
        /// more.
        ///
        /// Emits `PoolSet`.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::set_pool())]
        pub fn set_pool(origin: OriginFor<T>, pool: Option<QuestionPool>) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Pool::<T>::set(pool);
            Self::deposit_event(Event::PoolSet { pool });
            Ok(())
        }

        /// Sets the way to choose the best response. It counts for rounds that end from now on.
        ///
        /// `GovernanceOrigin` may call it.
        ///
        /// Emits `ChoiceSet`.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::set_choice())]
        pub fn set_choice(origin: OriginFor<T>, choice: Choice) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Chosen::<T>::put(choice);
            Self::deposit_event(Event::ChoiceSet { choice });
            Ok(())
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
    }
}
