// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod candidate_impls;
mod dispatchable_impls;
mod lock_impls;
#[cfg(test)]
mod mock;
mod offence_impls;
pub mod offences;
mod registry_impls;
mod seat_impls;
pub mod seats;
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

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::{seats::Seat, *};
    use alloc::vec::Vec;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{hold, Balanced},
            OnUnbalanced,
        },
        BoundedBTreeSet,
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::traits::Zero;
    use sp_staking::SessionIndex;
    use starling_primitives::{
        traits::{Consistent, OnAgentChange, OnInactive, Sessions, Votes},
        Balance, InferenceKey, InferenceSignature, H256,
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

        /// The overarching reason of holds.
        type RuntimeHoldReason: From<HoldReason>;

        /// The currency of bonds.
        type Currency: hold::Balanced<Self::AccountId, Balance = Balance>
            + hold::Mutate<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>
            + Balanced<Self::AccountId, Balance = Balance>;

        /// Receiver of slashed bonds and key fees.
        type Treasury: OnUnbalanced<CreditOf<Self>>;

        /// Origin that may slash an agent for faults that the chain cannot see.
        type SlashOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Hears of agents that are no longer active.
        type OnInactive: OnInactive<Self::AccountId>;

        /// Hears of agents with another key or model, and of those that leave.
        type OnAgentChange: OnAgentChange<Self::AccountId>;

        /// Minimum bond of an active agent.
        #[pallet::constant]
        type MinBond: Get<Balance>;

        /// Fee for every inference key, whose record stays for ever.
        #[pallet::constant]
        type KeyFee: Get<Balance>;

        /// Number of blocks in which a bond stays slashable after its owner asked for it back.
        #[pallet::constant]
        type UnbondingPeriod: Get<BlockNumberFor<Self>>;

        /// Maximum number of blocks of a round. `UnbondingPeriod` must be longer.
        #[pallet::constant]
        type LongestRound: Get<BlockNumberFor<Self>>;

        /// Maximum number of parts of one bond that unbond at a time.
        #[pallet::constant]
        type MaxUnbonding: Get<u32>;

        /// Maximum number of agents in the list of candidates for validators.
        #[pallet::constant]
        type MaxCandidates: Get<u32>;

        /// Maximum number of validators.
        #[pallet::constant]
        type MaxValidators: Get<u32>;

        /// Number of validators below which nobody leaves the set.
        #[pallet::constant]
        type MinValidators: Get<u32>;

        /// The sessions of the chain. An agent without session keys cannot be a validator.
        type Sessions: Sessions<Self::AccountId>;

        /// The votes of validators on finality, as far as blocks bring them.
        type Votes: Votes<Self::AccountId>;
    }

    /// Reasons why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A bond, including its unbonding parts.
        #[codec(index = 0)]
        Bond,
    }

    /// Registered agents.
    #[pallet::storage]
    pub type Agents<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Agent, OptionQuery>;

    /// The agent of every inference key that was ever registered, in force or not. The map never
    /// shrinks: a key serves one agent and is never reused.
    #[pallet::storage]
    pub type KeyOwner<T: Config> =
        StorageMap<_, Blake2_128Concat, InferenceKey, T::AccountId, OptionQuery>;

    /// The unbonding parts of bonds. Their owner need not be registered any more.
    #[pallet::storage]
    pub type Unbonding<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, UnbondingOf<T>, ValueQuery>;

    /// The active agents with the highest bonds, highest first; among equals, the earliest first.
    #[pallet::storage]
    pub type Candidates<T: Config> =
        StorageValue<_, BoundedVec<Candidate<T::AccountId>, T::MaxCandidates>, ValueQuery>;

    /// Number of active agents: registered, not chilled, with at least `MinBond`.
    #[pallet::storage]
    pub type ActiveCount<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Number of activations so far.
    #[pallet::storage]
    pub type Activations<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// The last growth of each bond that has grown since genesis.
    #[pallet::storage]
    pub type Growths<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Growth<BlockNumberFor<T>>, OptionQuery>;

    /// The rest of slashes that rounds had a claim on. It is taken as these rounds end.
    #[pallet::storage]
    pub type Debts<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Balance, ValueQuery>;

    /// The claims of lanes on bonds and on their unbonding parts. Ended ones go with the next
    /// change.
    #[pallet::storage]
    pub type Locks<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, LocksOf<T>, ValueQuery>;

    /// The seats of the latest planned set of validators.
    #[pallet::storage]
    pub type Seats<T: Config> =
        StorageValue<_, BoundedVec<Seat<T::AccountId>, T::MaxValidators>, ValueQuery>;

    /// The least bond that would have had a seat beside those of the latest planned set.
    #[pallet::storage]
    pub type SeatPrice<T: Config> = StorageValue<_, Balance, ValueQuery>;

    /// The authors of the present session's blocks so far.
    #[pallet::storage]
    pub type Authors<T: Config> =
        StorageValue<_, BoundedBTreeSet<T::AccountId, T::MaxValidators>, ValueQuery>;

    /// The first block of the present session; `None` if this code has not seen it.
    #[pallet::storage]
    pub type SessionStart<T: Config> = StorageValue<_, BlockNumberFor<T>, OptionQuery>;

    /// The keys of the present session's validators and of the next one's. `pallet-session` knows
    /// only those that come after a `setKeys`.
    #[pallet::storage]
    pub type ActiveKeys<T: Config> =
        StorageMap<_, Twox64Concat, SessionIndex, KeysOf<T>, ValueQuery>;

    /// The offenders of each session that can still be punished.
    #[pallet::storage]
    pub type Offenders<T: Config> = StorageMap<
        _,
        Twox64Concat,
        SessionIndex,
        BoundedVec<Offender<T::AccountId>, T::MaxValidators>,
        ValueQuery,
    >;

    /// Agents that have no seat among the validators for some time.
    #[pallet::storage]
    pub type Barred<T: Config> =
        StorageValue<_, BoundedVec<Bar<T::AccountId>, T::MaxCandidates>, ValueQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The agents of the genesis block.
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
            /// The added amount.
            amount: Balance,
            /// The bond now.
            bond: Balance,
        },
        /// A part of a bond, or all of it, is on its way back.
        Unbonding {
            /// The agent.
            who: T::AccountId,
            /// The unbonding amount.
            amount: Balance,
            /// The first block in which it may be withdrawn.
            due: BlockNumberFor<T>,
        },
        /// An owner withdrew the due parts of a bond.
        Withdrawn {
            /// The account.
            who: T::AccountId,
            /// The withdrawn amount.
            amount: Balance,
        },
        /// An agent stays out of new rounds and of the next validators.
        Chilled {
            /// The agent.
            who: T::AccountId,
        },
        /// A chilled agent is active again.
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
        /// An agent declared another model.
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
            /// The lost amount.
            amount: Balance,
        },
        /// A slash exceeded the free bond. The rest is taken as the agent's rounds end.
        Indebted {
            /// The agent.
            who: T::AccountId,
            /// The rest.
            amount: Balance,
        },
        /// An active agent entered the list of candidates for validators.
        CandidateAdded {
            /// The agent.
            who: T::AccountId,
        },
        /// An agent left the list of candidates for validators: it is no longer active, or a higher
        /// bond took its place.
        CandidateRemoved {
            /// The agent.
            who: T::AccountId,
        },
        /// Too few candidates have session keys, so validators that would leave stay.
        ValidatorsKept {
            /// Number of these candidates.
            candidates: u32,
        },
        /// A validator authored nothing while all others had several turns, or no block brought its
        /// vote while they brought others'. It is chilled, and has no seat for some sessions.
        Silent {
            /// The validator.
            who: T::AccountId,
        },
        /// A validator signed contradicting votes.
        Offended {
            /// The validator, or former one.
            who: T::AccountId,
            /// The session of the votes.
            session: SessionIndex,
            /// The amount that is charged now. Parts that rounds have a claim on are taken later.
            amount: Balance,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The account is already an agent.
        AlreadyRegistered,
        /// The account is not an agent.
        NotRegistered,
        /// The signature of the inference key over (genesis, account) is not valid.
        InvalidProof,
        /// The inference key is already known: it serves or served an agent, perhaps this one.
        KeyInUse,
        /// The name of the model is empty or not UTF-8.
        InvalidModelName,
        /// The bond is, or would be, below the minimum.
        BondTooLow,
        /// The bond is not free: rounds or lanes have a claim on it, or it is smaller than the
        /// amount.
        BondNotFree,
        /// The amount is zero.
        ZeroAmount,
        /// Too many parts of the bond are unbonding: withdraw the due ones, or wait.
        TooManyUnbonding,
        /// Nothing is due yet.
        NothingToWithdraw,
        /// The agent has open rounds.
        OpenReservations,
        /// The agent is already chilled.
        AlreadyChilled,
        /// The agent is not chilled.
        NotChilled,
        /// The agent is not active: it is chilled, or its bond is below the minimum.
        NotActive,
        /// The agent is already a candidate.
        AlreadyCandidate,
        /// The list of candidates is full of bonds that are as high or higher.
        NotAmongCandidates,
        /// There is nothing to slash.
        NothingToSlash,
        /// The bond has `MAX_LOCKS` locks: wait until one ends.
        TooManyLocks,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert_eq!(<Self as Consistent>::check(), Ok(()));
            assert!(
                !T::MaxUnbonding::get().is_zero(),
                "MaxUnbonding must be above zero"
            );
            assert!(
                T::MaxValidators::get() <= T::MaxCandidates::get(),
                "MaxValidators must not exceed MaxCandidates"
            );
        }

        /// `pallet-authorship` notes the author and claims no weight for it: one value of at most
        /// `MaxValidators` accounts is read, and written at an author's first block of a session.
        /// The end of a session claims a whole block, in `pallet-session`.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            // Twice what decoding and encoding 64 accounts in a set takes, about.
            Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(1, 1))
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
        /// key fee, and makes the account an active agent. If the bond is high enough, the agent
        /// becomes a candidate for validator. A former agent may come back with a new key; its
        /// rating is unchanged.
        ///
        /// - `key`: the inference key, new to the chain.
        /// - `proof`: the key's signature over (genesis, account).
        /// - `model`: the model that the agent declares.
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
        /// The agent itself may call it. It puts `amount` on hold. An agent whose bond was below
        /// the minimum becomes active again once the bond reaches it.
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

        /// Asks for the return of `amount` of the caller's bond.
        ///
        /// The agent itself may call it. The amount stays on hold, and can be slashed, for
        /// `UnbondingPeriod` blocks. Amounts that rounds have a claim on cannot unbond, and the
        /// rest of the bond must be zero or at least `MinBond`.
        ///
        /// Emits [`Event::Unbonding`], and [`Event::CandidateRemoved`] if it is no longer a
        /// candidate.
        ///
        /// Fails with [`Error::ZeroAmount`], [`Error::NotRegistered`], [`Error::BondNotFree`],
        /// [`Error::BondTooLow`] or [`Error::TooManyUnbonding`].
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::unbond())]
        pub fn unbond(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_unbond(who, amount)
        }

        /// Withdraws the due parts of the caller's former bond.
        ///
        /// Any signed account with due parts may call it; an agent only while no round has a claim
        /// on its bond. It releases the amount from hold, if the rest covers the locks of lanes.
        ///
        /// Emits [`Event::Withdrawn`].
        ///
        /// Fails with [`Error::OpenReservations`], [`Error::NothingToWithdraw`] or
        /// [`Error::BondNotFree`].
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::withdraw_unbonded())]
        pub fn withdraw_unbonded(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_withdraw_unbonded(who)
        }

        /// Keeps the caller out of new rounds and of the next validators.
        ///
        /// The agent itself may call it. It can still send the messages that it owes in open
        /// rounds, and should.
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

        /// Ends a chill; see [`Pallet::chill`].
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
        /// The agent itself may call it. It takes the key fee. The key is in force at once if the
        /// agent has no open round, else when the last one ends. An earlier key that is still
        /// waiting is given up, and stays unusable.
        ///
        /// - `key`: the inference key, new to the chain.
        /// - `proof`: the key's signature over (genesis, account).
        ///
        /// Emits [`Event::KeyRotated`] or [`Event::KeyRotationScheduled`].
        ///
        /// Fails with [`Error::NotRegistered`], [`Error::KeyInUse`], [`Error::InvalidProof`], or
        /// an error of the currency when the account cannot pay.
        #[pallet::call_index(6)]
        #[pallet::weight(
            T::WeightInfo::rotate_key().saturating_add(Pallet::<T>::weight_of_change())
        )]
        pub fn rotate_key(
            origin: OriginFor<T>,
            key: InferenceKey,
            proof: InferenceSignature,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_rotate_key(who, key, proof)
        }

        /// Declares that the caller runs another model.
        ///
        /// The agent itself may call it.
        ///
        /// Emits [`Event::ModelChanged`].
        ///
        /// Fails with [`Error::InvalidModelName`] or [`Error::NotRegistered`].
        #[pallet::call_index(7)]
        #[pallet::weight(
            T::WeightInfo::set_model().saturating_add(Pallet::<T>::weight_of_change())
        )]
        pub fn set_model(origin: OriginFor<T>, model: ModelDescriptor) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_model(who, model)
        }

        /// Ends the caller's registration.
        ///
        /// The agent itself may call it, if it has no open round. Its whole bond begins to unbond,
        /// its key is void for ever, and its rating stays.
        ///
        /// Emits [`Event::Deregistered`], [`Event::Unbonding`] if it had a bond, and
        /// [`Event::CandidateRemoved`] if it was one.
        ///
        /// Fails with [`Error::NotRegistered`], [`Error::OpenReservations`] or
        /// [`Error::TooManyUnbonding`].
        #[pallet::call_index(8)]
        #[pallet::weight(
            T::WeightInfo::deregister().saturating_add(Pallet::<T>::weight_of_change())
        )]
        pub fn deregister(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_deregister(who)
        }

        /// Slashes an agent, or a former one, for a fault that the chain cannot see.
        ///
        /// `SlashOrigin` may call it. It takes up to `amount`: first from the unbonding parts,
        /// oldest first, because they would get away, then from the bond. Amounts that a round has
        /// a claim on are left to that round until its end, and taken then. The treasury gets the
        /// slashed amount.
        ///
        /// Emits [`Event::Slashed`] with the slashed amount, [`Event::Indebted`] with the part that
        /// is taken later, and [`Event::CandidateRemoved`] if it is no longer a candidate.
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
        /// Any signed account may call it, for any agent. It is needed only if a higher bond pushed
        /// an agent off the list, and that bond has gone again.
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
