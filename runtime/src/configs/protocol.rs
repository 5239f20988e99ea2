// SPDX-License-Identifier: Apache-2.0
//! The round protocol: agents, tickets, rounds, ratings and rewards.
//!
//! Values that differ between chains come from [`crate::parameters`]. The limits of storage and of
//! computation in a block stand here, and are the same for all.

use frame_support::{
    parameter_types,
    traits::{ConstU128, ConstU32, ConstU64, Get},
    weights::{ConstantMultiplier, IdentityFee, Weight, WeightToFee},
    PalletId,
};
use frame_system::EnsureRoot;
use sp_runtime::{generic::Era, FixedPointNumber, Permill};
#[cfg(feature = "runtime-benchmarks")]
use starling_attestation::fixtures;
use starling_attestation::Roots;
use starling_primitives::sealing;

use super::{
    accounts::TransactionByteFee,
    consensus::MAX_AUTHORITIES,
    deposit,
    governance::{RootOrMajority, RootOrTwoThirds},
    offences::SessionsOfRuntime,
    votes::VotesOfRuntime,
};
use crate::{
    parameters, weights, AccountId, Agents, Attestations, Balance, Balances, Beacon, Capabilities,
    Ratings, Rewards, Rounds, Runtime, RuntimeCall, RuntimeHoldReason, Session, Tickets, Timestamp,
    TransactionPayment, TxExtension, UncheckedExtrinsic, DAYS, SLOT_DURATION, UNIT,
};

/// Maximum length of a prompt, in bytes.
pub const MAX_PROMPT: u32 = 4_096;
/// Maximum length of a response, in bytes: room for about a thousand tokens of English.
pub const MAX_RESPONSE: u32 = 4_096;
/// Maximum length of a sealed response with its padding, in bytes.
const MAX_SEALED: u32 = MAX_RESPONSE.saturating_add(sealing::OVERHEAD);

/// The price of weight in a transaction: that of the present fullness of blocks.
pub struct CongestedWeight;

impl WeightToFee for CongestedWeight {
    type Balance = Balance;

    fn weight_to_fee(weight: &Weight) -> Balance {
        TransactionPayment::next_fee_multiplier()
            .saturating_mul_int(IdentityFee::<Balance>::weight_to_fee(weight))
    }
}

parameter_types! {
    /// Identifier that the treasury's account is derived from.
    pub const TreasuryId: PalletId = PalletId(*b"strl/trs");
    /// Part of a fee that the agents keep that committed to a round with too few others.
    pub const CommitShare: Permill = Permill::from_percent(10);
    /// The parameters of lanes where nobody has set any.
    pub const DefaultLanes: pallet_lanes::Parameters = parameters::Preset::Production.lanes();
    /// The parameters of disputes where nobody has set any.
    pub const DefaultDisputes: pallet_disputes::Parameters =
        parameters::Preset::Production.disputes();
    /// Deposit for a round, its prompt and its place in the queues.
    pub const RoundDeposit: Balance = deposit(3, MAX_PROMPT.saturating_add(400));
    /// Deposit for participant, draw, entry and response of one agent, and for its ciphertext until
    /// it is revealed.
    pub const ResponseDeposit: Balance = deposit(5, MAX_SEALED.saturating_add(700));
}

impl pallet_protocol_parameters::Config for Runtime {
    type Parameters = parameters::Parameters;
    type WeightInfo = weights::pallet_protocol_parameters::WeightInfo<Runtime>;
    type AdminOrigin = EnsureRoot<AccountId>;
    type Consistency = parameters::Together;
    type Preset = parameters::Preset;
    type Stateless = parameters::Stateless;
}

impl pallet_agents::Config for Runtime {
    type WeightInfo = weights::pallet_agents::WeightInfo<Runtime>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Treasury = Rewards;
    type SlashOrigin = RootOrTwoThirds;
    type OnInactive = Rounds;
    type OnAgentChange = Attestations;
    type MinBond = parameters::MinBond;
    type KeyFee = ConstU128<UNIT>;
    type UnbondingPeriod = parameters::UnbondingPeriod;
    type LongestRound = parameters::LongestRound;
    type MaxUnbonding = ConstU32<8>;
    type MaxCandidates = ConstU32<256>;
    type MaxValidators = ConstU32<64>;
    type MinValidators = parameters::MinValidators;
    type Sessions = SessionsOfRuntime;
    type Votes = VotesOfRuntime;
}

impl pallet_tickets::Config for Runtime {
    type WeightInfo = weights::pallet_tickets::WeightInfo<Runtime>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type MinTicket = parameters::MinTicket;
    type TicketShare = parameters::TicketShare;
}

impl pallet_ratings::Config for Runtime {
    type Window = ConstU32<10>;
    type Parameters = parameters::Ratings;
}

impl pallet_rewards::Config for Runtime {
    type WeightInfo = weights::pallet_rewards::WeightInfo<Runtime>;
    type Currency = Balances;
    type Tickets = Tickets;
    type SpendOrigin = RootOrMajority;
    type TreasuryId = TreasuryId;
    type Parameters = parameters::Rewards;
    type MinFee = parameters::MinFee;
    type MaxResponses = parameters::MaxResponses;
}

impl pallet_rounds::Config for Runtime {
    type WeightInfo = weights::pallet_rounds::WeightInfo<Runtime>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Agents = Agents;
    type Tickets = Tickets;
    type Ratings = Ratings;
    type Rewards = Rewards;
    type Choice = Capabilities;
    type Authorities = Session;
    type Randomness = Beacon;
    type WeightToFee = CongestedWeight;
    type LengthToFee = ConstantMultiplier<Balance, TransactionByteFee>;
    type MinFee = parameters::MinFee;
    type MaxPrompt = ConstU32<MAX_PROMPT>;
    type MaxResponse = ConstU32<MAX_RESPONSE>;
    type MaxTokens = ConstU32<2_048>;
    type MinResponses = parameters::MinResponses;
    type MaxResponses = parameters::MaxResponses;
    type CommitWindow = parameters::CommitWindow;
    type RevealWindow = parameters::RevealWindow;
    type RankWindow = parameters::RankWindow;
    type DiscloseWindow = parameters::DiscloseWindow;
    type MinRankings = parameters::MinRankings;
    type MaxRankings = parameters::MaxRankings;
    type ApprovalThreshold = parameters::ApprovalThreshold;
    type MinSlash = parameters::MinSlash;
    type SlashShare = parameters::SlashShare;
    type SilenceFine = parameters::MinSlash;
    type MaxSlash = parameters::MaxSlash;
    type CommitShare = CommitShare;
    type DepositBase = RoundDeposit;
    type DepositPerResponse = ResponseDeposit;
    type MaxOpenRounds = ConstU32<64>;
    type SlotPrice = parameters::MinFee;
    type MaxRequests = ConstU32<16>;
    type MaxStoredRounds = ConstU32<10_000>;
    type MaxTransitions = ConstU32<8>;
    type MaxTransitionAgents = ConstU32<500>;
    type RatingPage = ConstU32<50>;
    type PurgePage = ConstU32<300>;
    type RetentionPeriod = parameters::RetentionPeriod;
    type Longevity = parameters::Longevity;
    // Above any tip, with room for every block number on top.
    type MessagePriority = ConstU64<{ u64::MAX - (u32::MAX as u64) }>;
    type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
}

impl pallet_capabilities::Config for Runtime {
    type WeightInfo = weights::pallet_capabilities::WeightInfo<Runtime>;
    type Requests = Rounds;
    type Treasury = Rewards;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type MaxExaminers = ConstU32<16>;
    type MaxPrompt = ConstU32<MAX_PROMPT>;
    type MaxResponses = parameters::MaxResponses;
    type MaxKeys = ConstU32<4>;
    type MaxProof = ConstU32<32>;
    type AnswerWindow = parameters::AnswerWindow;
    type MaxRefund = parameters::MinFee;
    type Premium = ConstU128<{ UNIT / 10 }>;
    type Spacing = ConstU32<2>;
    type IdlePeriod = ConstU32<{ 30 * DAYS }>;
}

/// The account of the treasury.
pub struct TreasuryAccount;

impl Get<AccountId> for TreasuryAccount {
    fn get() -> AccountId {
        Rewards::treasury()
    }
}

/// The weight of the end of a round in its first phase, full of commits.
pub struct RoundEnd;

impl Get<Weight> for RoundEnd {
    fn get() -> Weight {
        Rounds::weight_of_ending()
    }
}

impl pallet_lanes::Config for Runtime {
    type WeightInfo = weights::pallet_lanes::WeightInfo<Runtime>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type Agents = Agents;
    type Ratings = Ratings;
    type KnownAnswers = Capabilities;
    type Requests = Rounds;
    type Treasury = Rewards;
    type TreasuryAccount = TreasuryAccount;
    type Randomness = Beacon;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type VoidOrigin = RootOrTwoThirds;
    type DefaultParameters = DefaultLanes;
    type Shares = parameters::LaneShares;
    type MinFee = parameters::MinFee;
    type MinSlash = parameters::MinSlash;
    type MinRankings = parameters::MinRankings;
    type MaxRankings = parameters::MaxRankings;
    type ApprovalThreshold = parameters::ApprovalThreshold;
    type MaxVolunteers = ConstU32<256>;
    type MaxLanes = ConstU32<1_024>;
    type MaxSettlements = ConstU32<4_096>;
    type MaxEvidence = ConstU32<12_288>;
    type RoundEnd = RoundEnd;
    type Longevity = parameters::Longevity;
    // That of a message signed in block 0: messages of rounds go first.
    type CallPriority = ConstU64<{ u64::MAX - (u32::MAX as u64) }>;
}

impl pallet_disputes::Config for Runtime {
    type WeightInfo = weights::pallet_disputes::WeightInfo<Runtime>;
    type Currency = Balances;
    type Agents = Agents;
    type Treasury = Rewards;
    type Randomness = Beacon;
    type Time = Timestamp;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type DefaultParameters = DefaultDisputes;
    type MinSlash = parameters::MinSlash;
    type UnbondingPeriod = parameters::UnbondingPeriod;
    type SlotDuration = ConstU64<SLOT_DURATION>;
    type MaxHolders = ConstU32<256>;
    type MaxCases = ConstU32<64>;
    type MaxStored = ConstU32<128>;
    type MaxAgainst = ConstU32<2>;
    type MaxTransitions = ConstU32<2>;
    type MaxVerdicts = ConstU32<10_000>;
    type MaxExhibit = ConstU32<262_144>;
    type Longevity = parameters::Longevity;
    // That of a message signed in block 0: messages of rounds go first.
    type CallPriority = ConstU64<{ u64::MAX - (u32::MAX as u64) }>;
}

/// The root keys of Intel and AMD; for benchmarks those of made-up platforms, whose private halves
/// nobody has.
pub struct VendorsRoots;

impl Get<Roots> for VendorsRoots {
    #[cfg(not(feature = "runtime-benchmarks"))]
    fn get() -> Roots {
        Roots::PUBLISHED
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn get() -> Roots {
        fixtures::ROOTS
    }
}

impl pallet_attestations::Config for Runtime {
    type WeightInfo = weights::pallet_attestations::WeightInfo<Runtime>;
    type Agents = Agents;
    type Roots = VendorsRoots;
    type GovernanceOrigin = RootOrTwoThirds;
    type Lifetime = ConstU32<DAYS>;
    type MaxAge = ConstU32<256>;
}

impl<Call> frame_system::offchain::CreateTransactionBase<Call> for Runtime
where
    RuntimeCall: From<Call>,
{
    type Extrinsic = UncheckedExtrinsic;
    type RuntimeCall = RuntimeCall;
}

impl<Call> frame_system::offchain::CreateTransaction<Call> for Runtime
where
    RuntimeCall: From<Call>,
{
    type Extension = TxExtension;

    fn create_transaction(call: RuntimeCall, extension: TxExtension) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_transaction(call, extension)
    }
}

impl<Call> frame_system::offchain::CreateAuthorizedTransaction<Call> for Runtime
where
    RuntimeCall: From<Call>,
{
    /// An agent's own signature binds its message to this chain and to a time.
    fn create_extension() -> TxExtension {
        (
            frame_system::AuthorizeCall::new(),
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(Era::Immortal),
            frame_system::CheckNonce::from(0),
            frame_system::CheckWeight::new(),
            pallet_transaction_payment::ChargeTransactionPayment::from(0),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        )
    }
}
