// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

mod accuse;
mod agenda;
mod authorize;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod committee;
mod holders;
#[cfg(test)]
mod mock;
mod phases;
mod runtime_api_impls;
mod settlement;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;
pub mod weights;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The log target of this pallet.
const LOG_TARGET: &str = "runtime::disputes";

// Only code of the macros uses `expect` and long types here; the work is in the other modules.
#[allow(clippy::expect_used, clippy::type_complexity)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::{boxed::Box, vec::Vec};
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible::Balanced, OnUnbalanced, UnixTime},
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::{traits::Zero, AccountId32, SaturatedConversion};
    use starling_evidence::{messages::Accusation, Exhibit, Finding, ModelId, Ruling};
    use starling_primitives::{
        traits::{AgentRegistry, Randomness},
        Balance, H256,
    };

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256, AccountId = AccountId32> {
        /// The weights of calls, authorizations and hooks.
        type WeightInfo: WeightInfo;

        /// The currency of bonds.
        type Currency: Balanced<Self::AccountId, Balance = Balance>;

        /// The agents and their bonds.
        type Agents: AgentRegistry<Self::AccountId, Credit = CreditOf<Self>>;

        /// Receiver of the rest of slashes, and of payments that cannot be delivered.
        type Treasury: OnUnbalanced<CreditOf<Self>>;

        /// The randomness that decides the draws.
        type Randomness: Randomness;

        /// The chain's clock.
        type Time: UnixTime;

        /// Origin that sets the parameters.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The parameters of a chain on which nobody has set any.
        #[pallet::constant]
        type DefaultParameters: Get<Parameters>;

        /// Minimum slash of a conviction.
        #[pallet::constant]
        type MinSlash: Get<Balance>;

        /// Number of blocks in which a bond stays slashable after its owner asked for it back.
        #[pallet::constant]
        type UnbondingPeriod: Get<BlockNumber>;

        /// The time between two blocks, in milliseconds.
        #[pallet::constant]
        type SlotDuration: Get<u64>;

        /// Maximum number of agents that hold one model.
        #[pallet::constant]
        type MaxHolders: Get<u32>;

        /// Maximum number of open cases.
        #[pallet::constant]
        type MaxCases: Get<u32>;

        /// Maximum number of stored cases, closed ones among them.
        #[pallet::constant]
        type MaxStored: Get<u32>;

        /// Maximum number of open cases against one agent.
        #[pallet::constant]
        type MaxAgainst: Get<u32>;

        /// Maximum number of phases that end in a block.
        #[pallet::constant]
        type MaxTransitions: Get<u32>;

        /// Maximum number of claims whose verdict is remembered.
        #[pallet::constant]
        type MaxVerdicts: Get<u32>;

        /// Maximum length of a published exhibit, encoded, in bytes.
        #[pallet::constant]
        type MaxExhibit: Get<u32>;

        /// Number of blocks for which the pool keeps a feeless call.
        #[pallet::constant]
        type Longevity: Get<BlockNumber>;

        /// Priority of feeless calls.
        #[pallet::constant]
        type CallPriority: Get<TransactionPriority>;
    }

    /// The parameters in force.
    #[pallet::storage]
    pub type InForce<T: Config> =
        StorageValue<_, Parameters, ValueQuery, <T as Config>::DefaultParameters>;

    /// The number of the next case.
    #[pallet::storage]
    pub type NextCase<T: Config> = StorageValue<_, CaseId, ValueQuery>;

    /// The stored cases.
    #[pallet::storage]
    pub type Cases<T: Config> =
        StorageMap<_, Twox64Concat, CaseId, Case<T::AccountId>, OptionQuery>;

    /// Number of open cases.
    #[pallet::storage]
    pub type OpenCases<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// The stored cases by the block in which their phase ends, the earliest first. A closed case is
    /// forgotten then.
    #[pallet::storage]
    pub type Agenda<T: Config> =
        StorageValue<_, BoundedVec<(BlockNumber, CaseId), T::MaxStored>, ValueQuery>;

    /// The work of committees of the last draw.
    #[pallet::storage]
    pub type Works<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        CaseId,
        Blake2_128Concat,
        T::AccountId,
        Work,
        OptionQuery,
    >;

    /// The exhibits that were published, encoded.
    #[pallet::storage]
    pub type Exhibits<T: Config> =
        StorageMap<_, Twox64Concat, CaseId, BoundedVec<u8, T::MaxExhibit>, OptionQuery>;

    /// The models that each agent holds.
    #[pallet::storage]
    pub type Held<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Holding, ValueQuery>;

    /// The holders of each model, with the block since which each has held it.
    #[pallet::storage]
    pub type Holders<T: Config> = StorageDoubleMap<
        _,
        Blake2_128Concat,
        ModelId,
        Blake2_128Concat,
        T::AccountId,
        BlockNumber,
        OptionQuery,
    >;

    /// Number of holders of each model.
    #[pallet::storage]
    pub type HolderCount<T: Config> = StorageMap<_, Blake2_128Concat, ModelId, u32, ValueQuery>;

    /// Number of open cases against each agent.
    #[pallet::storage]
    pub type Against<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// Number of open cases by each agent.
    #[pallet::storage]
    pub type By<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

    /// The claims of open cases, and those that were judged lately. Besides them the accusations that
    /// lately ended without a verdict, by what their accusers signed.
    #[pallet::storage]
    pub type Claims<T: Config> = StorageMap<_, Blake2_128Concat, H256, Known, OptionQuery>;

    /// The claims that were judged, by their order, with the block.
    #[pallet::storage]
    pub type Verdicts<T: Config> =
        StorageMap<_, Twox64Concat, u64, (H256, BlockNumber), OptionQuery>;

    /// The numbers of the oldest remembered verdict and of the next one.
    #[pallet::storage]
    pub type VerdictRange<T: Config> = StorageValue<_, (u64, u64), ValueQuery>;

    /// Past convictions of agents.
    #[pallet::storage]
    pub type Convicted<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Convictions, ValueQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The parameters; none for the default ones.
        pub parameters: Option<Parameters>,
        #[doc(hidden)]
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(parameters) = self.parameters {
                // The chain's unbonding period may not be in its state yet.
                assert!(
                    parameters.is_sound(BlockNumber::MAX, T::SlotDuration::get()),
                    "the parameters of disputes do not fit together"
                );
                InForce::<T>::put(parameters);
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An agent holds these models, and may be drawn for disputes about them.
        #[codec(index = 0)]
        Holds {
            /// The agent.
            agent: T::AccountId,
            /// The models.
            models: Models,
        },
        /// There is a new case.
        #[codec(index = 1)]
        Opened {
            /// The case.
            case: CaseId,
            /// The agent that accuses.
            accuser: T::AccountId,
            /// The agent of the first claim.
            first: T::AccountId,
            /// The agent of the second claim.
            second: T::AccountId,
            /// The accuser's bond.
            bond: Balance,
        },
        /// A committee was drawn.
        #[codec(index = 2)]
        Drawn {
            /// The case.
            case: CaseId,
            /// The members, in the order of draws.
            committee: MembersOf<T>,
        },
        /// The commitments are in, and findings may be revealed.
        #[codec(index = 3)]
        Revealing {
            /// The case.
            case: CaseId,
        },
        /// The exhibit is on chain.
        #[codec(index = 4)]
        Published {
            /// The case.
            case: CaseId,
        },
        /// A committee came to no ruling and is drawn once more.
        #[codec(index = 5)]
        DrawnAgain {
            /// The case.
            case: CaseId,
            /// The reason.
            ruling: Ruling,
        },
        /// There is a ruling.
        #[codec(index = 6)]
        Judged {
            /// The case.
            case: CaseId,
            /// The ruling.
            ruling: Ruling,
        },
        /// A ruling was appealed.
        #[codec(index = 7)]
        Appealed {
            /// The case.
            case: CaseId,
            /// The agent that appealed.
            appellant: T::AccountId,
            /// Its bond.
            bond: Balance,
        },
        /// An agent lost a part of its bond for wrong rows.
        #[codec(index = 8)]
        Convicted {
            /// The case.
            case: CaseId,
            /// The agent.
            agent: T::AccountId,
            /// Its loss.
            slashed: Balance,
        },
        /// An executor was silent, or far from the others.
        #[codec(index = 9)]
        Fined {
            /// The case.
            case: CaseId,
            /// The executor.
            agent: T::AccountId,
            /// Its loss.
            amount: Balance,
        },
        /// A case is over.
        #[codec(index = 10)]
        Closed {
            /// The case.
            case: CaseId,
            /// The ruling.
            ruling: Ruling,
            /// Paid to executors, to the accuser and to the accused.
            paid: Balance,
        },
        /// There are other parameters.
        #[codec(index = 11)]
        ParametersSet {
            /// The parameters.
            parameters: Parameters,
        },
    }

    /// Errors of the calls. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    #[derive(PartialEq)]
    pub enum Error<T> {
        /// Both claims are by the same agent.
        #[codec(index = 0)]
        SameAgent,
        /// The claims are about different inputs, layers or models.
        #[codec(index = 1)]
        OtherQuestion,
        /// The claims name the same output.
        #[codec(index = 2)]
        SameOutput,
        /// A claim is signed with a key that is not and never was that agent's.
        #[codec(index = 3)]
        UnknownKey,
        /// A signature does not match.
        #[codec(index = 4)]
        BadSignature,
        /// A claim is older than `evidence_life`.
        #[codec(index = 5)]
        TooOld,
        /// A claim is more than a minute ahead of the chain's clock.
        #[codec(index = 6)]
        FromTheFuture,
        /// A claim was judged already, or the case of this very accusation ended without a verdict.
        #[codec(index = 7)]
        AlreadyJudged,
        /// A case about a claim is open.
        #[codec(index = 8)]
        AlreadyAccused,
        /// There are too many cases: wait until one is over.
        #[codec(index = 9)]
        TooManyCases,
        /// There are `MaxAgainst` open cases against an agent: wait until one is over.
        #[codec(index = 10)]
        TooManyAgainst,
        /// The account is not an active agent.
        #[codec(index = 11)]
        NotAnAgent,
        /// The bond of the agent has too little free of other claims for its bond in this case.
        #[codec(index = 12)]
        BondNotFree,
        /// The evidence is of another chain.
        #[codec(index = 13)]
        WrongChain,
        /// A claim is about no layers, no rows, or rows beyond all positions.
        #[codec(index = 14)]
        IndexOutside,
        /// The claims' outputs are in two codes, or in one whose own error is too large to judge.
        #[codec(index = 15)]
        WrongCode,
        /// There is no such case: it was never opened, or it is over and forgotten.
        #[codec(index = 16)]
        UnknownCase,
        /// The case is in another phase.
        #[codec(index = 17)]
        WrongPhase,
        /// The account is no member of the committee.
        #[codec(index = 18)]
        NotAMember,
        /// The member has committed, or revealed, already.
        #[codec(index = 19)]
        Twice,
        /// The member has committed to nothing.
        #[codec(index = 20)]
        NoCommitment,
        /// The finding is not the one committed to, or the exhibit not the one of the claims.
        #[codec(index = 21)]
        Mismatch,
        /// The exhibit is longer than `MaxExhibit`.
        #[codec(index = 22)]
        ExhibitTooLong,
        /// An input of the exhibit is infinite or not a number.
        #[codec(index = 23)]
        NotFinite,
        /// The exhibit is on chain already.
        #[codec(index = 24)]
        AlreadyPublished,
        /// There is no ruling that could be appealed: none yet, or none on the two agents.
        #[codec(index = 25)]
        NotJudged,
        /// The ruling is that of an appeal, which is final.
        #[codec(index = 26)]
        AlreadyAppealed,
        /// The time for an appeal, or for what was signed, is over.
        #[codec(index = 27)]
        TooLate,
        /// The account is neither the accuser nor one of the accused.
        #[codec(index = 28)]
        NotAParty,
        /// The models are not in ascending order, or there are more than eight.
        #[codec(index = 29)]
        BadModels,
        /// `MaxHolders` active agents hold a model.
        #[codec(index = 30)]
        TooManyHolders,
        /// The agent named a block that is not there yet, or one less than `Longevity` blocks after
        /// that of the call before.
        #[codec(index = 31)]
        TooEarly,
        /// The parameters do not fit together.
        #[codec(index = 32)]
        InvalidParameters,
        /// The account that signed is not the agent of the call, or not the accuser of the case.
        #[codec(index = 33)]
        NotTheAgent,
        /// Nobody can be accused: `slash` of the parameters is zero.
        #[codec(index = 34)]
        NotOpen,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::end_phases()
        }

        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            Self::forget_verdicts(remaining)
        }

        fn integrity_test() {
            // Who changes the unbonding period sets the parameters besides.
            assert!(
                T::DefaultParameters::get().is_sound(BlockNumber::MAX, T::SlotDuration::get()),
                "the default parameters of disputes must fit together"
            );
            assert!(
                T::MaxHolders::get() >= MAX_EARNERS,
                "both committees must find their members"
            );
            let (open, stored) = (T::MaxCases::get(), T::MaxStored::get());
            assert!(
                open > 0 && open <= stored,
                "there must be room for the open cases"
            );
            assert!(
                T::MaxVerdicts::get() >= open.saturating_mul(2),
                "the verdicts of all open cases must be remembered"
            );
            assert!(T::MaxAgainst::get() > 0, "somebody must be accused");
            assert!(T::MaxTransitions::get() > 0, "phases must end");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Opens a case about two claims that contradict each other.
        ///
        /// Feeless, with the signature of the accuser's inference key; its account may sign instead,
        /// without `signature`. It locks `accusation_bond` of the accuser's bond, and of each of the
        /// two agents what a conviction costs.
        ///
        /// - `accusation`: names the chain, the claims, and the node that shows the exhibit.
        ///
        /// Emits `Opened`. Errors: `NotOpen`, `SameAgent`, `OtherQuestion`, `SameOutput`, `IndexOutside`,
        /// `WrongCode`, `WrongChain`, `TooOld`, `FromTheFuture`, `AlreadyJudged`, `AlreadyAccused`,
        /// `TooManyCases`, `TooManyAgainst`, `NotAnAgent`, `BondNotFree`, `UnknownKey`,
        /// `BadSignature`, `NotTheAgent`.
        #[pallet::call_index(0)]
        #[pallet::weight((T::WeightInfo::accuse(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_accuse())]
        #[pallet::authorize(Self::authorize_accuse)]
        pub fn accuse(
            origin: OriginFor<T>,
            agent: T::AccountId,
            accusation: Box<Accusation>,
            _signature: Option<[u8; 64]>,
        ) -> DispatchResult {
            Self::ensure_agent(origin, &agent)?;
            Self::do_accuse(agent, *accusation)
        }

        /// Says which models an agent holds. It may be drawn for disputes about them from
        /// `holder_delay` blocks later on. An empty list ends that.
        ///
        /// Feeless, with the signature of the agent's inference key; its account may sign instead,
        /// without `signature`.
        ///
        /// - `models`: at most eight, in ascending order.
        /// - `at`: a recent block, at least `Longevity` blocks after that of the call before.
        ///
        /// Emits `Holds`. Errors: `NotAnAgent`, `BadModels`, `TooManyHolders`, `TooEarly`,
        /// `TooLate`, `BadSignature`, `NotTheAgent`.
        #[pallet::call_index(1)]
        #[pallet::weight((T::WeightInfo::hold(T::MaxHolders::get()), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_hold(T::MaxHolders::get()))]
        #[pallet::authorize(Self::authorize_hold)]
        pub fn hold(
            origin: OriginFor<T>,
            agent: T::AccountId,
            models: Vec<ModelId>,
            at: BlockNumber,
            _signature: Option<[u8; 64]>,
        ) -> DispatchResult {
            Self::ensure_agent(origin, &agent)?;
            Self::do_hold(agent, models, at)
        }

        /// Commits to a finding.
        ///
        /// Feeless, with the signature of the executor's inference key.
        ///
        /// - `commitment`: of `starling_evidence::Finding::commitment`.
        ///
        /// Errors: `UnknownCase`, `WrongPhase`, `NotAMember`, `Twice`, `BadSignature`.
        #[pallet::call_index(2)]
        #[pallet::weight((T::WeightInfo::commit(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_commit())]
        #[pallet::authorize(Self::authorize_commit)]
        pub fn commit(
            origin: OriginFor<T>,
            case: CaseId,
            agent: T::AccountId,
            commitment: H256,
            _signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_commit(case, agent, commitment)
        }

        /// Reveals a finding. The commitment binds it to the executor, so anybody may send it.
        ///
        /// Feeless.
        ///
        /// Errors: `UnknownCase`, `WrongPhase`, `NoCommitment`, `Twice`, `Mismatch`.
        #[pallet::call_index(3)]
        #[pallet::weight((T::WeightInfo::reveal(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_reveal())]
        #[pallet::authorize(Self::authorize_reveal)]
        pub fn reveal(
            origin: OriginFor<T>,
            case: CaseId,
            agent: T::AccountId,
            finding: Finding,
            salt: [u8; 32],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_reveal(case, &agent, finding, &salt)
        }

        /// Puts the exhibit of a case on chain, where every executor finds it.
        ///
        /// The accuser's account may call it, before findings are revealed. It pays for the bytes.
        /// Nobody signed the tokens: with false ones an accused would go free.
        ///
        /// Emits `Published`. Errors: `UnknownCase`, `NotTheAgent`, `WrongPhase`,
        /// `AlreadyPublished`, `ExhibitTooLong`, `IndexOutside`, `NotFinite`, `Mismatch`.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::publish(hashed(exhibit)))]
        pub fn publish(origin: OriginFor<T>, case: CaseId, exhibit: Exhibit) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_publish(case, &who, &exhibit)
        }

        /// Appeals a ruling on the two agents: another committee judges, and its ruling is final.
        ///
        /// The accuser or one of the two agents calls it. It locks three times the least bond of an
        /// accuser of its own bond, which it loses if the ruling stays.
        ///
        /// Emits `Appealed`. Errors: `UnknownCase`, `AlreadyAppealed`, `NotJudged`, `TooLate`,
        /// `NotAParty`, `BondNotFree`.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::appeal())]
        pub fn appeal(origin: OriginFor<T>, case: CaseId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_appeal(case, who)
        }

        /// Sets the parameters. Phases that have begun keep their ends.
        ///
        /// `GovernanceOrigin` may call it.
        ///
        /// Emits `ParametersSet`. Errors: `InvalidParameters`.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            ensure!(
                parameters.is_sound(T::UnbondingPeriod::get(), T::SlotDuration::get()),
                Error::<T>::InvalidParameters
            );
            InForce::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet { parameters });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// Passes if the call proved its own right, or the agent's account signed it.
        fn ensure_agent(origin: OriginFor<T>, agent: &T::AccountId) -> DispatchResult {
            if ensure_authorized(origin.clone()).is_ok() {
                return Ok(());
            }
            ensure!(ensure_signed(origin)? == *agent, Error::<T>::NotTheAgent);
            Ok(())
        }

        /// The number of this block.
        pub(crate) fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// The hash of the genesis block.
        pub(crate) fn genesis() -> [u8; 32] {
            frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero()).0
        }

        /// A stored case.
        pub(crate) fn stored(id: CaseId) -> Result<CaseOf<T>, Error<T>> {
            Cases::<T>::get(id).ok_or(Error::UnknownCase)
        }
    }
}
