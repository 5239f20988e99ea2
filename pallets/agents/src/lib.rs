// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails it, as it should.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod candidate_impls;
mod dispatchable_impls;
#[cfg(test)]
mod mock;
mod registry_impls;
mod session_impls;
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
const LOG_TARGET: &str = "runtime::agents";

// Only what the macros write here expects anything; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{hold, Balanced},
            OnUnbalanced, ValidatorRegistration,
        },
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::traits::Zero;
    use starling_primitives::{Balance, InferenceKey, InferenceSignature, H256};

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256> {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// The overarching reason of holds.
        type RuntimeHoldReason: From<HoldReason>;

        /// The currency of bonds.
        type Currency: hold::Balanced<Self::AccountId, Balance = Balance>
            + hold::Mutate<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>
            + Balanced<Self::AccountId, Balance = Balance>;

        /// Where slashed bonds and key fees go.
        type Treasury: OnUnbalanced<CreditOf<Self>>;

        /// Who may slash an agent for what the chain cannot see.
        type SlashOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Who has session keys: an agent without them cannot be a validator.
        type SessionKeys: ValidatorRegistration<Self::AccountId>;

        /// The least bond of an active agent.
        #[pallet::constant]
        type MinBond: Get<Balance>;

        /// What every inference key costs, for the record that stays for ever.
        #[pallet::constant]
        type KeyFee: Get<Balance>;

        /// How many blocks a bond stays slashable after its owner asked for it back.
        #[pallet::constant]
        type UnbondingPeriod: Get<BlockNumberFor<Self>>;

        /// How many blocks a round can last at most, `UnbondingPeriod` must be longer.
        #[pallet::constant]
        type LongestRound: Get<BlockNumberFor<Self>>;

        /// How many parts of one bond may be unbonding at a time.
        #[pallet::constant]
        type MaxUnbonding: Get<u32>;

        /// How many agents the list from which validators are taken holds.
        #[pallet::constant]
        type MaxCandidates: Get<u32>;

        /// How many validators there are at most.
        #[pallet::constant]
        type MaxValidators: Get<u32>;

        /// With fewer than these the validators stay as they are.
        #[pallet::constant]
        type MinValidators: Get<u32>;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A bond, what is unbonding included.
        #[codec(index = 0)]
        Bond,
    }

    /// Registered agents.
    #[pallet::storage]
    pub type Agents<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Agent, OptionQuery>;

    /// The agent of every inference key that was ever registered, in force or not. Never shrinks:
    /// a key serves one agent and is never reused.
    #[pallet::storage]
    pub type KeyOwner<T: Config> =
        StorageMap<_, Blake2_128Concat, InferenceKey, T::AccountId, OptionQuery>;

    /// What is on its way back to its owner, who need not be registered any more.
    #[pallet::storage]
    pub type Unbonding<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, UnbondingOf<T>, ValueQuery>;

    /// The active agents with the highest bonds, the highest first, among equals the one that came
    /// first.
    #[pallet::storage]
    pub type Candidates<T: Config> =
        StorageValue<_, BoundedVec<Candidate<T::AccountId>, T::MaxCandidates>, ValueQuery>;

    /// How many agents are active: registered, not chilled, with at least `MinBond`.
    #[pallet::storage]
    pub type ActiveCount<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// How many activations there have been.
    #[pallet::storage]
    pub type Activations<T: Config> = StorageValue<_, u64, ValueQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The agents that are there from the first block on.
        pub agents: Vec<GenesisAgent<T::AccountId>>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            for agent in &self.agents {
                if let Err(error) = Pallet::<T>::do_genesis_agent(agent) {
                    panic!("genesis agent {:?}: {:?}", agent.account, error);
                }
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An account became an agent.
        Registered {
            /// The agent.
            who: T::AccountId,
            /// Its inference key.
            key: InferenceKey,
            /// Its model.
            model: ModelDescriptor,
            /// Its bond.
            bond: Balance,
        },
        /// A bond grew.
        Bonded {
            /// The agent.
            who: T::AccountId,
            /// By how much.
            amount: Balance,
            /// The bond now.
            bond: Balance,
        },
        /// A part of a bond, or all of it, is on its way back.
        Unbonding {
            /// The agent.
            who: T::AccountId,
            /// How much.
            amount: Balance,
            /// The first block in which it may be withdrawn.
            due: BlockNumberFor<T>,
        },
        /// What was due came back to its owner.
        Withdrawn {
            /// The account.
            who: T::AccountId,
            /// How much.
            amount: Balance,
        },
        /// An agent stays out of new rounds and of the next validators.
        Chilled {
            /// The agent.
            who: T::AccountId,
        },
        /// A chilled agent is back.
        Unchilled {
            /// The agent.
            who: T::AccountId,
        },
        /// A new inference key waits until the agent has no open round.
        KeyRotationScheduled {
            /// The agent.
            who: T::AccountId,
            /// The new key.
            key: InferenceKey,
        },
        /// A new inference key is in force.
        KeyRotated {
            /// The agent.
            who: T::AccountId,
            /// The new key.
            key: InferenceKey,
        },
        /// An agent runs another model.
        ModelChanged {
            /// The agent.
            who: T::AccountId,
            /// The new model.
            model: ModelDescriptor,
        },
        /// An agent left. Its ratings stay.
        Deregistered {
            /// The former agent.
            who: T::AccountId,
        },
        /// A bond was slashed.
        Slashed {
            /// The agent, or former agent.
            who: T::AccountId,
            /// What it lost.
            amount: Balance,
        },
        /// An active agent entered the list from which validators are taken.
        CandidateAdded {
            /// The agent.
            who: T::AccountId,
        },
        /// An agent left the list from which validators are taken: it is not active any more, or
        /// a higher bond took its place.
        CandidateRemoved {
            /// The agent.
            who: T::AccountId,
        },
        /// Too few candidates have session keys: the validators stay as they are.
        ValidatorsKept {
            /// How many candidates there were.
            candidates: u32,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The account is an agent already.
        AlreadyRegistered,
        /// The account is not an agent.
        NotRegistered,
        /// The signature of the inference key over (genesis, account) is not valid.
        InvalidProof,
        /// The inference key is known already: it serves or served an agent, perhaps this one.
        KeyInUse,
        /// The name of the model is empty or not UTF-8.
        InvalidModelName,
        /// The bond is, or would be, below the minimum.
        BondTooLow,
        /// The bond is not free: a round has a claim on it, or it is smaller than that.
        BondNotFree,
        /// The amount is zero.
        ZeroAmount,
        /// Too many parts of the bond are unbonding: withdraw what is due, or wait.
        TooManyUnbonding,
        /// Nothing is due yet.
        NothingToWithdraw,
        /// The agent has open rounds.
        OpenReservations,
        /// The agent is chilled already.
        AlreadyChilled,
        /// The agent is not chilled.
        NotChilled,
        /// The agent is not active: chilled, or its bond is below the minimum.
        NotActive,
        /// The agent is a candidate already.
        AlreadyCandidate,
        /// The list of candidates is full of bonds that are as high or higher.
        NotAmongCandidates,
        /// There is nothing to slash.
        NothingToSlash,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(!T::MinBond::get().is_zero(), "MinBond must be above zero");
            assert!(
                !T::MaxUnbonding::get().is_zero(),
                "MaxUnbonding must be above zero"
            );
            assert!(
                !T::MinValidators::get().is_zero(),
                "MinValidators must be above zero"
            );
            assert!(
                T::MinValidators::get() <= T::MaxValidators::get(),
                "MinValidators must not exceed MaxValidators"
            );
            assert!(
                T::MaxValidators::get() <= T::MaxCandidates::get(),
                "MaxValidators must not exceed MaxCandidates"
            );
            assert!(
                T::UnbondingPeriod::get() > T::LongestRound::get(),
                "UnbondingPeriod must exceed the longest round"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Registers the caller as an agent.
        ///
        /// Any signed account that is not an agent may call it. It puts `bond` on hold, takes the
        /// key fee, and makes the account an active agent, a candidate for validator if its bond
        /// is high enough. An account that deregistered earlier may come back with a new key; its
        /// rating is as it was.
        ///
        /// - `key`: the inference key, new to the chain.
        /// - `proof`: its signature over (genesis, account).
        /// - `model`: what the agent says it runs.
        /// - `bond`: at least `MinBond`.
        ///
        /// Emits [`Event::Registered`], and [`Event::CandidateAdded`] if it becomes one.
        ///
        /// Fails with [`Error::AlreadyRegistered`], [`Error::InvalidModelName`],
        /// [`Error::BondTooLow`], [`Error::KeyInUse`], [`Error::InvalidProof`], or an error of the
        /// currency when the account cannot pay.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register())]
        pub fn register(
            origin: OriginFor<T>,
            key: InferenceKey,
            proof: InferenceSignature,
            model: ModelDescriptor,
            #[pallet::compact] bond: Balance,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_register(who, key, proof, model, bond)
        }

        /// Adds `amount` to the caller's bond.
        ///
        /// The agent itself may call it. It puts `amount` on hold; an agent whose bond was below
        /// the minimum becomes active again when it reaches it.
        ///
        /// Emits [`Event::Bonded`], and [`Event::CandidateAdded`] if it becomes one.
        ///
        /// Fails with [`Error::ZeroAmount`], [`Error::NotRegistered`], or an error of the currency
        /// when the account cannot pay.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::bond_extra())]
        pub fn bond_extra(
            origin: OriginFor<T>,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_bond_extra(who, amount)
        }

        /// Asks for `amount` of the caller's bond back.
        ///
        /// The agent itself may call it. The amount stays on hold, and can be slashed, for
        /// `UnbondingPeriod` blocks. What no round has a claim on may go, and what is left is
        /// nothing or at least `MinBond`.
        ///
        /// Emits [`Event::Unbonding`], and [`Event::CandidateRemoved`] if it was one and is not
        /// any more.
        ///
        /// Fails with [`Error::ZeroAmount`], [`Error::NotRegistered`], [`Error::BondNotFree`],
        /// [`Error::BondTooLow`] or [`Error::TooManyUnbonding`].
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::unbond())]
        pub fn unbond(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unbond(who, amount)
        }

        /// Takes back what the caller unbonded and what is due.
        ///
        /// Any signed account with something due may call it, an agent only while no round has a
        /// claim on its bond. It releases the amount from hold.
        ///
        /// Emits [`Event::Withdrawn`].
        ///
        /// Fails with [`Error::OpenReservations`] or [`Error::NothingToWithdraw`].
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::withdraw_unbonded())]
        pub fn withdraw_unbonded(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw_unbonded(who)
        }

        /// Keeps the caller out of new rounds and of the next validators.
        ///
        /// The agent itself may call it. What it owes in open rounds it can still send, and should.
        ///
        /// Emits [`Event::Chilled`], and [`Event::CandidateRemoved`] if it was one.
        ///
        /// Fails with [`Error::NotRegistered`] or [`Error::AlreadyChilled`].
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::chill())]
        pub fn chill(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_chill(who)
        }

        /// Ends what [`Pallet::chill`] began.
        ///
        /// The agent itself may call it. It is active at once.
        ///
        /// Emits [`Event::Unchilled`], and [`Event::CandidateAdded`] if it becomes one.
        ///
        /// Fails with [`Error::NotRegistered`], [`Error::NotChilled`] or [`Error::BondTooLow`].
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::unchill())]
        pub fn unchill(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unchill(who)
        }

        /// Gives the caller a new inference key.
        ///
        /// The agent itself may call it. It takes the key fee. The key is in force at once when
        /// the agent has no open round, else when the last one ends. A key that was still waiting
        /// is given up, and stays unusable.
        ///
        /// - `key`: the inference key, new to the chain.
        /// - `proof`: its signature over (genesis, account).
        ///
        /// Emits [`Event::KeyRotated`] or [`Event::KeyRotationScheduled`].
        ///
        /// Fails with [`Error::NotRegistered`], [`Error::KeyInUse`], [`Error::InvalidProof`], or
        /// an error of the currency when the account cannot pay.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::rotate_key())]
        pub fn rotate_key(
            origin: OriginFor<T>,
            key: InferenceKey,
            proof: InferenceSignature,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_rotate_key(who, key, proof)
        }

        /// Says that the caller runs another model.
        ///
        /// The agent itself may call it.
        ///
        /// Emits [`Event::ModelChanged`].
        ///
        /// Fails with [`Error::InvalidModelName`] or [`Error::NotRegistered`].
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::set_model())]
        pub fn set_model(origin: OriginFor<T>, model: ModelDescriptor) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_model(who, model)
        }

        /// Ends the caller's registration.
        ///
        /// The agent itself may call it, when it has no open round. Its whole bond begins to
        /// unbond; its key is void for ever; its rating stays.
        ///
        /// Emits [`Event::Deregistered`], [`Event::Unbonding`] if it had a bond, and
        /// [`Event::CandidateRemoved`] if it was one.
        ///
        /// Fails with [`Error::NotRegistered`], [`Error::OpenReservations`] or
        /// [`Error::TooManyUnbonding`].
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::deregister())]
        pub fn deregister(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_deregister(who)
        }

        /// Slashes an agent, or a former one, for what the chain cannot see.
        ///
        /// `SlashOrigin` may call it. It takes up to `amount`: first what is unbonding, the oldest
        /// part first, for it would get away, then the bond. What a round has a claim on is left to
        /// that round. What is taken goes to the treasury.
        ///
        /// Emits [`Event::Slashed`] with what was taken, and [`Event::CandidateRemoved`] if it was
        /// one and is not any more.
        ///
        /// Fails with [`Error::NothingToSlash`].
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::slash())]
        pub fn slash(
            origin: OriginFor<T>,
            who: T::AccountId,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            T::SlashOrigin::ensure_origin(origin)?;
            Self::do_slash(who, amount)
        }

        /// Enters an active agent that is not a candidate into the list of candidates.
        ///
        /// Any signed account may call it, for any agent. Needed only for an agent that a higher
        /// bond pushed off the list when that bond has gone again.
        ///
        /// Emits [`Event::CandidateAdded`], and [`Event::CandidateRemoved`] for the agent whose
        /// place it takes, if the list was full.
        ///
        /// Fails with [`Error::NotRegistered`], [`Error::NotActive`], [`Error::AlreadyCandidate`]
        /// or [`Error::NotAmongCandidates`].
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::enter())]
        pub fn enter(origin: OriginFor<T>, who: T::AccountId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_enter(who)
        }
    }
}
