// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

mod authorize;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod committee;
mod dispatchable_impls;
mod disputes;
mod epochs;
#[cfg(test)]
mod mock;
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
const LOG_TARGET: &str = "runtime::lanes";

// Only code of the macros uses `expect` and long types here; the work is in the other modules.
#[allow(clippy::expect_used, clippy::type_complexity)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::boxed::Box;
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{hold, Balanced},
            OnUnbalanced,
        },
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::{traits::Zero, AccountId32, Permill, SaturatedConversion, Saturating};
    use starling_lane_primitives::{checkpoint::Checkpoint, messages::Ask, Certificate, Terms};
    use starling_primitives::{
        traits::{AgentRegistry, KnownAnswers, Randomness, Ratings, Requests},
        Balance, RoundId, H256,
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

        /// The overarching reason of holds.
        type RuntimeHoldReason: From<HoldReason>;

        /// The currency of deposits.
        type Currency: hold::Balanced<Self::AccountId, Balance = Balance>
            + hold::Mutate<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>
            + Balanced<Self::AccountId, Balance = Balance>;

        /// The agents and their bonds.
        type Agents: AgentRegistry<Self::AccountId, Credit = CreditOf<Self>>;

        /// The agents' ratings as rankers.
        type Ratings: Ratings<Self::AccountId>;

        /// The known answers of the agents, and the choice that rests on them.
        type KnownAnswers: KnownAnswers<Self::AccountId>;

        /// The rounds that requests are escalated to.
        type Requests: Requests<Self::AccountId>;

        /// Receiver of slashed bonds, and of payments that cannot be delivered.
        type Treasury: OnUnbalanced<CreditOf<Self>>;

        /// The account of the treasury, which each settlement pays.
        type TreasuryAccount: Get<Self::AccountId>;

        /// The randomness that decides the draws.
        type Randomness: Randomness;

        /// Origin that sets the parameters.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Origin that voids settlements for faults that the chain cannot see.
        type VoidOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The parameters of a chain on which nobody has set any.
        #[pallet::constant]
        type DefaultParameters: Get<Parameters>;

        /// The shares of a fee: of the winner, and of all rankers together. The treasury gets the
        /// rest.
        type Shares: Get<(Permill, Permill)>;

        /// Minimum fee of a request.
        #[pallet::constant]
        type MinFee: Get<Balance>;

        /// Minimum slash of a round.
        #[pallet::constant]
        type MinSlash: Get<Balance>;

        /// Minimum number of responses that each member ranks, if there are that many.
        #[pallet::constant]
        type MinRankings: Get<u32>;

        /// Maximum number of responses that each member ranks.
        #[pallet::constant]
        type MaxRankings: Get<u32>;

        /// Minimum weighted mean of a winner.
        #[pallet::constant]
        type ApprovalThreshold: Get<Permill>;

        /// Maximum number of volunteers of an epoch.
        #[pallet::constant]
        type MaxVolunteers: Get<u32>;

        /// Maximum number of lanes.
        #[pallet::constant]
        type MaxLanes: Get<u32>;

        /// Maximum number of settlements that are not paid yet, but for one of each lane.
        #[pallet::constant]
        type MaxSettlements: Get<u32>;

        /// Maximum length of an encoded message that is shown as evidence.
        #[pallet::constant]
        type MaxEvidence: Get<u32>;

        /// The weight of the end of a round in its first phase.
        type RoundEnd: Get<Weight>;

        /// Number of blocks for which the pool keeps a feeless call.
        #[pallet::constant]
        type Longevity: Get<BlockNumber>;

        /// Priority of feeless calls.
        #[pallet::constant]
        type CallPriority: Get<TransactionPriority>;
    }

    /// Reasons why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The deposit of a lane.
        #[codec(index = 0)]
        Escrow,
    }

    /// The parameters in force.
    #[pallet::storage]
    pub type InForce<T: Config> =
        StorageValue<_, Parameters, ValueQuery, <T as Config>::DefaultParameters>;

    /// The present epoch.
    #[pallet::storage]
    pub type Now<T: Config> = StorageValue<_, Present, ValueQuery>;

    /// The oldest epoch of which something is kept.
    #[pallet::storage]
    pub type Oldest<T: Config> = StorageValue<_, Epoch, ValueQuery>;

    /// The first block after each past epoch that is kept.
    #[pallet::storage]
    pub type Ended<T: Config> = StorageMap<_, Twox64Concat, Epoch, BlockNumber, OptionQuery>;

    /// The randomness that the committees of an epoch are drawn with, and the way in which they
    /// choose. Both are fixed when the epoch before begins.
    #[pallet::storage]
    pub type Settings<T: Config> = StorageMap<_, Twox64Concat, Epoch, Setting, OptionQuery>;

    /// The agents that joined for an epoch, and those that have left it since.
    #[pallet::storage]
    pub type Volunteers<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        Epoch,
        Blake2_128Concat,
        T::AccountId,
        Volunteer,
        OptionQuery,
    >;

    /// Number of agents that joined for an epoch, and of those that have left it since.
    #[pallet::storage]
    pub type VolunteerCount<T: Config> = StorageMap<_, Twox64Concat, Epoch, u32, ValueQuery>;

    /// The number of the next lane.
    #[pallet::storage]
    pub type NextLane<T: Config> = StorageValue<_, LaneId, ValueQuery>;

    /// The lanes.
    #[pallet::storage]
    pub type Lanes<T: Config> =
        CountedStorageMap<_, Twox64Concat, LaneId, Lane<T::AccountId>, OptionQuery>;

    /// The committees of which a checkpoint was settled.
    #[pallet::storage]
    pub type Committees<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Epoch, Twox64Concat, LaneId, MembersOf<T>, OptionQuery>;

    /// The first request of the next checkpoint of a lane in an epoch.
    #[pallet::storage]
    pub type Progress<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Epoch, Twox64Concat, LaneId, u32, ValueQuery>;

    /// The ends of the requests of a lane in an epoch, by the first one of each block of 64.
    #[pallet::storage]
    pub type Marked<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Epoch, Twox64Concat, (LaneId, u32), Marks, ValueQuery>;

    /// The rounds that requests of an epoch were escalated to.
    #[pallet::storage]
    pub type Escalations<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Epoch, Twox64Concat, (LaneId, u32), RoundId, OptionQuery>;

    /// The members that were slashed for what they signed in a lane.
    #[pallet::storage]
    pub type Punished<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        Epoch,
        Blake2_128Concat,
        (LaneId, T::AccountId),
        (),
        OptionQuery,
    >;

    /// The settlements that are not paid yet.
    #[pallet::storage]
    pub type Settlements<T: Config> =
        CountedStorageMap<_, Twox64Concat, u64, Settlement<T::AccountId>, OptionQuery>;

    /// The number of the next settlement.
    #[pallet::storage]
    pub type NextSettlement<T: Config> = StorageValue<_, u64, ValueQuery>;

    /// No settlement before this one is open.
    #[pallet::storage]
    pub type FirstSettlement<T: Config> = StorageValue<_, u64, ValueQuery>;

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
                // The chain's least slash may not be in its state yet.
                assert!(
                    parameters.is_sound(0),
                    "the parameters of lanes do not fit together"
                );
                InForce::<T>::put(parameters);
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// There is a new lane.
        #[codec(index = 0)]
        Opened {
            /// The lane.
            lane: LaneId,
            /// The account that pays.
            requester: T::AccountId,
            /// Its terms.
            terms: Terms,
            /// The amount paid in.
            deposit: Balance,
            /// The burnt part of it.
            burnt: Balance,
        },
        /// The escrow of a lane grew.
        #[codec(index = 1)]
        ToppedUp {
            /// The lane.
            lane: LaneId,
            /// The amount paid in.
            amount: Balance,
            /// The burnt part of it.
            burnt: Balance,
        },
        /// A lane gets no more committees.
        #[codec(index = 2)]
        Closing {
            /// The lane.
            lane: LaneId,
            /// The last epoch with a committee.
            last_epoch: Epoch,
            /// The first block in which the rest may be reclaimed.
            reclaimable: BlockNumber,
        },
        /// A lane is gone, and its rest is back.
        #[codec(index = 3)]
        Reclaimed {
            /// The lane.
            lane: LaneId,
            /// The rest.
            amount: Balance,
        },
        /// An epoch began.
        #[codec(index = 4)]
        EpochBegan {
            /// The epoch.
            epoch: Epoch,
        },
        /// An agent serves in an epoch.
        #[codec(index = 5)]
        Joined {
            /// The epoch.
            epoch: Epoch,
            /// The agent.
            agent: T::AccountId,
        },
        /// An agent took its word back.
        #[codec(index = 6)]
        Left {
            /// The epoch.
            epoch: Epoch,
            /// The agent.
            agent: T::AccountId,
        },
        /// A checkpoint was settled. It is paid after the dispute window.
        #[codec(index = 7)]
        Settled {
            /// The settlement.
            id: u64,
            /// The lane.
            lane: LaneId,
            /// The epoch.
            epoch: Epoch,
            /// The first request of the block.
            first: u32,
            /// The settled requests: bit `i` is request `first + i`.
            bitmap: u64,
            /// The sum of their fees.
            fees: Balance,
            /// The first block in which it may be paid.
            due: BlockNumber,
        },
        /// A settlement was paid.
        #[codec(index = 8)]
        Paid {
            /// The settlement.
            id: u64,
            /// The lane.
            lane: LaneId,
            /// Paid to members and the treasury.
            paid: Balance,
            /// Gone back into the free escrow.
            returned: Balance,
        },
        /// A member signed two things of which nobody may sign both.
        #[codec(index = 9)]
        Equivocated {
            /// The lane.
            lane: LaneId,
            /// The epoch.
            epoch: Epoch,
            /// The member.
            agent: T::AccountId,
            /// Its loss.
            slashed: Balance,
            /// The account that showed it; none if it was shown without one.
            reporter: Option<T::AccountId>,
        },
        /// A request became a round.
        #[codec(index = 10)]
        Escalated {
            /// The lane.
            lane: LaneId,
            /// The epoch.
            epoch: Epoch,
            /// The request.
            seq: u32,
            /// The round.
            round: RoundId,
        },
        /// A request that became a round has a certificate. The round failed, and the request can
        /// be settled again.
        #[codec(index = 11)]
        CertificateShown {
            /// The lane.
            lane: LaneId,
            /// The epoch.
            epoch: Epoch,
            /// The request.
            seq: u32,
            /// The round.
            round: RoundId,
        },
        /// A settlement was voided before it was paid. Its fees are free again.
        #[codec(index = 13)]
        Voided {
            /// The settlement.
            id: u64,
            /// The lane.
            lane: LaneId,
            /// The sum of its fees.
            fees: Balance,
            /// The loss of its signers.
            slashed: Balance,
        },
        /// There are other parameters.
        #[codec(index = 12)]
        ParametersSet {
            /// The parameters.
            parameters: Parameters,
        },
    }

    /// Errors of the calls. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    pub enum Error<T> {
        /// The committee has another size than 4, 7, 10, 13 or 16, or fewer members than
        /// `min_committee`.
        #[codec(index = 0)]
        InvalidCommittee,
        /// The largest fee of a request is below the least fee of the chain, the largest length of
        /// a response is zero, or the time for answers or rankings is below a second.
        #[codec(index = 1)]
        InvalidTerms,
        /// The deposit is below the least one, which grows with the number of lanes.
        #[codec(index = 2)]
        DepositTooLow,
        /// There are `MaxLanes` lanes: wait until one is gone.
        #[codec(index = 3)]
        TooManyLanes,
        /// There is no such lane.
        #[codec(index = 4)]
        UnknownLane,
        /// Another account opened the lane.
        #[codec(index = 5)]
        NotRequester,
        /// The lane is closing already.
        #[codec(index = 6)]
        AlreadyClosing,
        /// The lane is not closing: call `close` first.
        #[codec(index = 7)]
        NotClosing,
        /// The lane has settlements that are not paid, or its exit delay is not over.
        #[codec(index = 8)]
        NotReclaimable,
        /// The epoch, block or request is still to come.
        #[codec(index = 9)]
        TooEarly,
        /// The epoch is over, or not open for this any more.
        #[codec(index = 10)]
        TooLate,
        /// The agent has joined for this epoch, or has left it.
        #[codec(index = 11)]
        AlreadyJoined,
        /// The agent has not joined for this epoch.
        #[codec(index = 12)]
        NotJoined,
        /// `MaxVolunteers` agents have joined for this epoch.
        #[codec(index = 13)]
        TooManyVolunteers,
        /// The account is not an active agent.
        #[codec(index = 14)]
        NotActive,
        /// The bond of the agent has less than twice `lane_bond` free of other claims. Or fewer
        /// signers than a quorum have `lane_bond` free and were not punished.
        #[codec(index = 15)]
        BondNotFree,
        /// The bytes are no point that shares can be encrypted to.
        #[codec(index = 16)]
        InvalidPoint,
        /// The signature is not by the agent's inference key of this epoch, or that of an ask is
        /// not by the key in the terms of its lane.
        #[codec(index = 17)]
        BadSignature,
        /// The checkpoint does not begin at a block of 64 requests, settles nothing, or its
        /// payments are out of order or do not sum to the fees.
        #[codec(index = 18)]
        Malformed,
        /// The lane has no committee in this epoch: it is not open then, or too few agents joined.
        #[codec(index = 19)]
        NoCommittee,
        /// The block of requests is settled or skipped already, or a request of it is settled.
        #[codec(index = 20)]
        AlreadySettled,
        /// A request of the checkpoint was escalated: leave it out.
        #[codec(index = 21)]
        AlreadyEscalated,
        /// The sum of fees is below or above what so many requests cost.
        #[codec(index = 22)]
        WrongFees,
        /// A payment is zero, or goes to nobody of this lane, or the treasury gets less than its
        /// share.
        #[codec(index = 23)]
        WrongPayouts,
        /// The free escrow of the lane is smaller than the fees.
        #[codec(index = 24)]
        EscrowTooSmall,
        /// More would be pending than the bonds of liars are worth: wait until settlements are
        /// paid.
        #[codec(index = 25)]
        TooMuchPending,
        /// `MaxSettlements` settlements are not paid, and one of this lane is among them: wait.
        #[codec(index = 26)]
        TooManySettlements,
        /// Fewer members than a quorum have signed.
        #[codec(index = 27)]
        NoQuorum,
        /// There are more signatures than signers or fewer, or a signer is no member.
        #[codec(index = 28)]
        WrongSigners,
        /// There is no such settlement: it is paid or void.
        #[codec(index = 29)]
        UnknownSettlement,
        /// The dispute window is open.
        #[codec(index = 30)]
        NotDue,
        /// A message is longer than `MaxEvidence`.
        #[codec(index = 31)]
        EvidenceTooLong,
        /// The account is no member of the committee.
        #[codec(index = 32)]
        NotMember,
        /// An honest member may sign both messages.
        #[codec(index = 33)]
        NoEquivocation,
        /// The member has been slashed for this lane and epoch.
        #[codec(index = 34)]
        AlreadyPunished,
        /// The ask is of another chain.
        #[codec(index = 35)]
        WrongChain,
        /// The request was not escalated, or its round has left its first phase.
        #[codec(index = 36)]
        NotEscalated,
        /// The parameters do not fit together.
        #[codec(index = 37)]
        InvalidParameters,
        /// Members have shown a certificate of the request: it is answered, and never escalated.
        #[codec(index = 38)]
        AlreadyCertified,
        /// The ask expires before its epoch has begun.
        #[codec(index = 39)]
        WrongExpiry,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::begin_epoch()
        }

        fn on_idle(_: BlockNumberFor<T>, remaining: Weight) -> Weight {
            let paid = Self::pay_due(remaining);
            paid.saturating_add(Self::retire(remaining.saturating_sub(paid)))
        }

        fn integrity_test() {
            assert!(
                T::DefaultParameters::get().is_sound(T::MinSlash::get()),
                "the default parameters of lanes must fit together"
            );
            assert!(
                T::MaxVolunteers::get() >= MAX_MEMBERS,
                "a committee must find its members"
            );
            assert!(T::MaxLanes::get() > 0, "there must be room for a lane");
            assert!(
                T::MaxSettlements::get() > 0,
                "there must be room for a settlement"
            );
            let (winner, rankers) = T::Shares::get();
            assert!(
                rankers <= Permill::one().saturating_sub(winner),
                "the shares must not exceed the fee"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Opens a lane: an escrow for many requests, which committees answer off the chain.
        ///
        /// Any signed account may call it. A part of the deposit is burnt, and the rest goes on
        /// hold. The first committee serves three epochs later.
        ///
        /// - `deposit`: at least `min_deposit`, twice as much for each eighth of `MaxLanes` that is
        ///   taken.
        /// - `terms`: hold for all requests of the lane.
        ///
        /// Emits `Opened`. Errors: `InvalidCommittee`, `InvalidTerms`, `DepositTooLow`,
        /// `TooManyLanes`, or an error of the currency if the account cannot pay.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::open())]
        pub fn open(
            origin: OriginFor<T>,
            #[pallet::compact] deposit: Balance,
            terms: Terms,
        ) -> DispatchResult {
            let requester = ensure_signed(origin)?;
            Self::do_open(requester, deposit, terms)
        }

        /// Adds to the escrow of a lane. The same part of it is burnt as of a deposit.
        ///
        /// The requester calls it.
        ///
        /// Emits `ToppedUp`. Errors: `UnknownLane`, `NotRequester`, `AlreadyClosing`,
        /// `DepositTooLow` for an amount of zero, or an error of the currency.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::top_up())]
        pub fn top_up(
            origin: OriginFor<T>,
            lane: LaneId,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_top_up(&who, lane, amount)
        }

        /// Closes a lane: the present epoch is its last one with a committee.
        ///
        /// The requester calls it. What is free comes back by `reclaim`, two epochs and a dispute
        /// window after the end of the present one.
        ///
        /// Emits `Closing`. Errors: `UnknownLane`, `NotRequester`, `AlreadyClosing`.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::close())]
        pub fn close(origin: OriginFor<T>, lane: LaneId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_close(&who, lane)
        }

        /// Gives the rest of a closed lane back, and removes the lane.
        ///
        /// The requester calls it.
        ///
        /// Emits `Reclaimed`. Errors: `UnknownLane`, `NotRequester`, `NotClosing`,
        /// `NotReclaimable`.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::reclaim())]
        pub fn reclaim(origin: OriginFor<T>, lane: LaneId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_reclaim(&who, lane)
        }

        /// Volunteers for the committees of an epoch: exactly three epochs ahead.
        ///
        /// Feeless, with the signature of the agent's inference key. It locks `lane_bond` of the
        /// bond until all windows of the epoch are over: one lock for all epochs. As much must be
        /// free for a seat. Key, bond and rating of this moment count for the epoch.
        ///
        /// - `point`: the public key that others encrypt shares to. Fresh for each epoch.
        /// - `peer`: the ed25519 public key of the node's network identity.
        ///
        /// Emits `Joined`. Errors: `TooEarly`, `TooLate`, `AlreadyJoined`, `TooManyVolunteers`,
        /// `NotActive`, `BondNotFree`, `InvalidPoint`, `BadSignature`.
        #[pallet::call_index(4)]
        #[pallet::weight((T::WeightInfo::join(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_join())]
        #[pallet::authorize(Self::authorize_join)]
        pub fn join(
            origin: OriginFor<T>,
            agent: T::AccountId,
            epoch: Epoch,
            point: [u8; 32],
            peer: [u8; 32],
            _signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_join(agent, epoch, point, peer)
        }

        /// Takes the word for an epoch back, in the epoch in which it was given.
        ///
        /// Feeless, with the signature of the agent's inference key. The bond stays locked, and the
        /// agent cannot join for this epoch again.
        ///
        /// Emits `Left`. Errors: `NotJoined`, `TooLate`, `BadSignature`.
        #[pallet::call_index(5)]
        #[pallet::weight((T::WeightInfo::leave(), DispatchClass::Operational))]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_leave())]
        #[pallet::authorize(Self::authorize_leave)]
        pub fn leave(
            origin: OriginFor<T>,
            agent: T::AccountId,
            epoch: Epoch,
            _signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_leave(agent, epoch)
        }

        /// Settles the certified requests of the next block of 64, or of a later one. Requests of
        /// the block that it leaves out are void, and so are those of blocks that it skips.
        ///
        /// Feeless, with the signatures of a quorum of the committee or more, in the epoch or in
        /// the one after it. A quorum of the signers answers for it: the first ones with a free
        /// bond that were not punished. It locks `lane_bond` for each of these until the payments,
        /// and moves the fees from the free escrow to the pending one.
        ///
        /// Emits `Settled`. Errors: `Malformed`, `UnknownLane`, `TooEarly`, `TooLate`,
        /// `NoCommittee`, `AlreadySettled`, `AlreadyEscalated`, `WrongFees`, `WrongPayouts`,
        /// `EscrowTooSmall`, `TooMuchPending`, `TooManySettlements`, `NoQuorum`, `WrongSigners`,
        /// `BadSignature`, `BondNotFree`.
        #[pallet::call_index(6)]
        #[pallet::weight((
            T::WeightInfo::settle().saturating_add(T::WeightInfo::draw(T::MaxVolunteers::get())),
            DispatchClass::Operational,
        ))]
        #[pallet::weight_of_authorize(
            T::WeightInfo::authorize_settle()
                .saturating_add(T::WeightInfo::draw(T::MaxVolunteers::get()))
        )]
        #[pallet::authorize(Self::authorize_settle)]
        pub fn settle(
            origin: OriginFor<T>,
            checkpoint: Checkpoint,
            certificate: Certificate,
        ) -> DispatchResultWithPostInfo {
            ensure_authorized(origin)?;
            let drawn = Self::do_settle(checkpoint, &certificate)?;
            Ok(Some(T::WeightInfo::settle().saturating_add(T::WeightInfo::draw(drawn))).into())
        }

        /// Pays a settlement whose dispute window is over.
        ///
        /// Any signed account may call it. Blocks with room pay by themselves, in order.
        ///
        /// Emits `Paid`. Errors: `UnknownSettlement`, `NotDue`.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::finalise())]
        pub fn finalise(origin: OriginFor<T>, id: u64) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_finalise(id)
        }

        /// Shows two messages of one member of which nobody may sign both.
        ///
        /// Feeless and without an account, as nodes of members report it. Any signed account may
        /// call it, too, and pays nothing if it is right. The member loses what is locked for
        /// lanes and for its seat. A tenth is that account's, the rest the treasury's. A member is
        /// slashed once for each lane and epoch.
        ///
        /// - `a`, `b`: each a slot, the message and its signature.
        ///
        /// Emits `Equivocated`. Errors: `EvidenceTooLong`, `WrongChain`, `NoEquivocation`,
        /// `UnknownLane`, `TooLate`, `NoCommittee`, `NotMember`, `AlreadyPunished`, `BadSignature`.
        #[pallet::call_index(8)]
        #[pallet::weight(
            T::WeightInfo::equivocation()
                .saturating_add(T::WeightInfo::draw(T::MaxVolunteers::get()))
        )]
        #[pallet::weight_of_authorize(
            T::WeightInfo::equivocation()
                .saturating_add(T::WeightInfo::draw(T::MaxVolunteers::get()))
        )]
        #[pallet::authorize(Self::authorize_equivocation)]
        pub fn equivocation(
            origin: OriginFor<T>,
            offender: T::AccountId,
            a: Box<SignedMessage>,
            b: Box<SignedMessage>,
        ) -> DispatchResultWithPostInfo {
            let reporter = match ensure_authorized(origin.clone()) {
                Ok(()) => None,
                Err(_) => Some(ensure_signed(origin)?),
            };
            Self::do_equivocation(reporter, offender, &a, &b)?;
            Ok(Pays::No.into())
        }

        /// Makes a round of a request that has expired. It cannot be settled any more, but where
        /// members show a certificate in time.
        ///
        /// The requester calls it, from 16 blocks after the expiry on, which is after the first
        /// block of the epoch. The fee of the ask goes out of the escrow and on hold for the round,
        /// if the rest covers what members may have certified. Otherwise the requester pays it, and
        /// in any case what a request costs besides.
        ///
        /// - `ask`: the request.
        /// - `signature`: that of the key in the terms of the lane, under the hash of the ask.
        /// - `min_responses`, `max_responses`: those of the round.
        ///
        /// Emits `Escalated`. Errors: `UnknownLane`, `NotRequester`, `WrongChain`, `TooEarly`,
        /// `TooLate`, `NoCommittee`, `WrongExpiry`, `WrongFees`, `BadSignature`, `AlreadySettled`,
        /// `AlreadyEscalated`, `AlreadyCertified`, or those of a request.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::escalate(ask.prompt.len() as u32))]
        pub fn escalate(
            origin: OriginFor<T>,
            ask: Ask,
            signature: [u8; 64],
            min_responses: u32,
            max_responses: u32,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_escalate(who, ask, &signature, min_responses, max_responses)
        }

        /// Shows that an escalated request has a certificate. While its round is in the first
        /// phase, the round fails, and the request can be settled again. It cannot be escalated
        /// again.
        ///
        /// Feeless, with the votes of a quorum for one outcome.
        ///
        /// - `outcome`: the hash that they voted for.
        ///
        /// Emits `CertificateShown`. Errors: `NotEscalated`, `UnknownLane`, `NoCommittee`,
        /// `NoQuorum`, `WrongSigners`, `BadSignature`.
        #[pallet::call_index(10)]
        #[pallet::weight((
            T::WeightInfo::show_certificate()
                .saturating_add(T::RoundEnd::get())
                .saturating_add(T::WeightInfo::draw(T::MaxVolunteers::get())),
            DispatchClass::Operational,
        ))]
        #[pallet::weight_of_authorize(
            T::WeightInfo::authorize_show_certificate()
                .saturating_add(T::WeightInfo::draw(T::MaxVolunteers::get()))
        )]
        #[pallet::authorize(Self::authorize_show_certificate)]
        pub fn show_certificate(
            origin: OriginFor<T>,
            lane: LaneId,
            epoch: Epoch,
            seq: u32,
            _outcome: H256,
            certificate: Certificate,
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            Self::do_show_certificate(lane, epoch, seq, &certificate)
        }

        /// Sets the parameters. The present epoch keeps its end.
        ///
        /// `GovernanceOrigin` may call it.
        ///
        /// Emits `ParametersSet`. Errors: `InvalidParameters`.
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            ensure!(
                parameters.is_sound(T::MinSlash::get()),
                Error::<T>::InvalidParameters
            );
            InForce::<T>::put(parameters);
            Self::deposit_event(Event::ParametersSet { parameters });
            Ok(())
        }

        /// Voids a settlement that is not paid, for a fault that the chain cannot see, such as
        /// payments that do not follow from the transcripts.
        ///
        /// `VoidOrigin` may call it. The fees are free again, and the signers lose what is locked
        /// for their seats, to the treasury. The requests stay settled: nobody is paid for them.
        /// Other settlements of the same lane and epoch stay: void each that is wrong.
        ///
        /// Emits `Voided`. Errors: `UnknownSettlement`.
        #[pallet::call_index(12)]
        #[pallet::weight(T::WeightInfo::void())]
        pub fn void(origin: OriginFor<T>, id: u64) -> DispatchResult {
            T::VoidOrigin::ensure_origin(origin)?;
            Self::do_void(id)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The number of this block.
        pub(crate) fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// The hash of the genesis block.
        pub(crate) fn genesis() -> [u8; 32] {
            frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero()).0
        }
    }
}
