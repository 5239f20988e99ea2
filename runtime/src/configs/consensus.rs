// SPDX-License-Identifier: Apache-2.0
//! Authors and finalisers of blocks, and the changes of this set.

use frame_support::{
    parameter_types,
    traits::{ConstBool, ConstU32, ConstU64},
};
use pallet_session::{
    disabling::UpToLimitDisablingStrategy, historical::NoteHistoricalRoot,
    FindAccountFromAuthorIndex, PeriodicSessions,
};
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::traits::{ConvertInto, OpaqueKeys};
use sp_session::MembershipProof;

use super::offences::{EquivocationReports, GrandpaWeights, MaxSets};
use crate::{
    weights, AccountId, Agents, Aura, Balance, Balances, BlockNumber, Rounds, Runtime,
    RuntimeEvent, Session, SessionKeys, MINUTES, SLOT_DURATION, UNIT,
};

/// Maximum number of validators.
pub const MAX_AUTHORITIES: u32 = 100;

parameter_types! {
    /// Length of a session. New keys and new validators take effect at the end of the session after
    /// the one in which they were announced.
    pub const SessionPeriod: BlockNumber = MINUTES;
    pub const SessionOffset: BlockNumber = 0;
    /// Deposit while an account has session keys on record.
    pub const KeyDeposit: Balance = UNIT;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = ConstU64<{ SLOT_DURATION / 2 }>;
    type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type DisabledValidators = Session;
    type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = ConstU64<SLOT_DURATION>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = GrandpaWeights;
    type MaxAuthorities = ConstU32<MAX_AUTHORITIES>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = MaxSets;
    type KeyOwnerProof = MembershipProof;
    type EquivocationReportSystem = EquivocationReports;
}

impl pallet_beacon::Config for Runtime {
    type WeightInfo = weights::pallet_beacon::WeightInfo<Runtime>;
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = FindAccountFromAuthorIndex<Runtime, Aura>;
    type EventHandler = (Rounds, Agents);
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = PeriodicSessions<SessionPeriod, SessionOffset>;
    type NextSessionRotation = PeriodicSessions<SessionPeriod, SessionOffset>;
    type SessionManager = NoteHistoricalRoot<Self, Agents>;
    type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
    type Keys = SessionKeys;
    // A third at most, so that the others still author.
    type DisablingStrategy = UpToLimitDisablingStrategy;
    type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type KeyDeposit = KeyDeposit;
}
