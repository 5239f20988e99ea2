// SPDX-License-Identifier: Apache-2.0
//! Calls as root, by committee, together, in batches, or for another account.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    parameter_types,
    traits::{
        fungible::HoldConsideration, ConstU32, EitherOfDiverse, InstanceFilter, LinearStoragePrice,
        NeverEnsureOrigin,
    },
    weights::Weight,
};
use frame_system::{EnsureRoot, EnsureSignedBy};
use pallet_collective::{EnsureProportionAtLeast, EnsureProportionMoreThan};
use scale_info::TypeInfo;
use sp_runtime::traits::BlakeTwo256;

use super::{deposit, RuntimeBlockWeights};
use crate::{
    AccountId, Balance, Balances, BlockNumber, Committee, CommitteeMembers, OriginCaller, Preimage,
    Runtime, RuntimeCall, RuntimeEvent, RuntimeHoldReason, RuntimeOrigin, System, DAYS,
};

/// The committee among the collectives that `pallet-collective` could keep.
pub type TheCommittee = pallet_collective::Instance1;
/// Root, or two thirds of the committee.
pub type RootOrTwoThirds =
    EitherOfDiverse<EnsureRoot<AccountId>, EnsureProportionAtLeast<AccountId, TheCommittee, 2, 3>>;
/// Root, or more than half of the committee.
pub type RootOrMajority =
    EitherOfDiverse<EnsureRoot<AccountId>, EnsureProportionMoreThan<AccountId, TheCommittee, 1, 2>>;

/// Maximum number of members of the committee.
const MAX_MEMBERS: u32 = 32;

parameter_types! {
    /// Time in which a proposal of the committee must find its votes.
    pub const MotionDuration: BlockNumber = 3 * DAYS;
    /// A proposal is executed in the block that closes it, so it must fit into half of one.
    pub MaxProposalWeight: Weight = RuntimeBlockWeights::get().max_block.div(2);
    pub const PreimageHoldReason: RuntimeHoldReason =
        RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
    pub const PreimageDepositBase: Balance = deposit(2, 64);
    pub const PreimageDepositByte: Balance = deposit(0, 1);
    pub const MultisigDepositBase: Balance = deposit(1, 88);
    pub const MultisigDepositFactor: Balance = deposit(0, 32);
    /// Deposit of an account for its list of proxies, and for that of its announcements.
    pub const ProxyDepositBase: Balance = deposit(1, 8);
    pub const ProxyDepositFactor: Balance = deposit(0, 33);
    pub const AnnouncementDepositFactor: Balance = deposit(0, 66);
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}

/// A vote that nobody cast is a no: a third of the committee that is away decides nothing.
impl pallet_collective::Config<TheCommittee> for Runtime {
    type RuntimeOrigin = RuntimeOrigin;
    type Proposal = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type MotionDuration = MotionDuration;
    type MaxProposals = ConstU32<32>;
    type MaxMembers = ConstU32<MAX_MEMBERS>;
    type DefaultVote = pallet_collective::PrimeDefaultVote;
    type WeightInfo = pallet_collective::weights::SubstrateWeight<Runtime>;
    type SetMembersOrigin = EnsureRoot<AccountId>;
    type MaxProposalWeight = MaxProposalWeight;
    type DisapproveOrigin = EnsureRoot<AccountId>;
    type KillOrigin = EnsureRoot<AccountId>;
    type Consideration = ();
}

impl pallet_membership::Config<TheCommittee> for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type AddOrigin = RootOrTwoThirds;
    type RemoveOrigin = RootOrTwoThirds;
    type SwapOrigin = RootOrTwoThirds;
    type ResetOrigin = RootOrTwoThirds;
    // A prime's vote would count for the members that are away.
    type PrimeOrigin = NeverEnsureOrigin<()>;
    type MembershipInitialized = Committee;
    type MembershipChanged = Committee;
    type MaxMembers = ConstU32<MAX_MEMBERS>;
    type WeightInfo = pallet_membership::weights::SubstrateWeight<Runtime>;
}

impl pallet_preimage::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_preimage::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type ManagerOrigin = EnsureRoot<AccountId>;
    type Consideration = HoldConsideration<
        AccountId,
        Balances,
        PreimageHoldReason,
        LinearStoragePrice<PreimageDepositBase, PreimageDepositByte, Balance>,
    >;
}

/// Two thirds of the committee whitelist the hash of a call. Any member then dispatches it as root,
/// at the time when it is needed.
impl pallet_whitelist::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WhitelistOrigin = RootOrTwoThirds;
    type DispatchWhitelistedOrigin =
        EitherOfDiverse<EnsureRoot<AccountId>, EnsureSignedBy<CommitteeMembers, AccountId>>;
    type Preimages = Preimage;
    type DeferredDispatchExpiration = MotionDuration;
    type BlockNumberProvider = System;
    type WeightInfo = pallet_whitelist::weights::SubstrateWeight<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

impl pallet_multisig::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type DepositBase = MultisigDepositBase;
    type DepositFactor = MultisigDepositFactor;
    type MaxSignatories = ConstU32<100>;
    type WeightInfo = pallet_multisig::weights::SubstrateWeight<Runtime>;
    type BlockNumberProvider = System;
}

/// Permissions of a proxy for the account that appointed it.
#[derive(
    Copy,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum ProxyType {
    /// All calls.
    #[default]
    #[codec(index = 0)]
    Any,
    /// All calls that move no balance to another account and change no key. Whoever holds a key
    /// acts in the agent's or the validator's name, and can have it slashed.
    #[codec(index = 1)]
    NonTransfer,
    /// Announcing and removing session keys, for the machine of a validator.
    #[codec(index = 2)]
    SessionKeys,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        match self {
            Self::Any => true,
            Self::NonTransfer => match call {
                RuntimeCall::Agents(call) => !matches!(
                    call,
                    pallet_agents::Call::register { .. } | pallet_agents::Call::rotate_key { .. }
                ),
                RuntimeCall::System(_)
                | RuntimeCall::Tickets(_)
                | RuntimeCall::Utility(_)
                | RuntimeCall::Multisig(_) => true,
                _ => false,
            },
            Self::SessionKeys => matches!(call, RuntimeCall::Session(_)),
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        self == other || *self == Self::Any
    }
}

impl pallet_proxy::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type ProxyType = ProxyType;
    type ProxyDepositBase = ProxyDepositBase;
    type ProxyDepositFactor = ProxyDepositFactor;
    type MaxProxies = ConstU32<32>;
    type MaxPending = ConstU32<32>;
    type CallHasher = BlakeTwo256;
    type AnnouncementDepositBase = ProxyDepositBase;
    type AnnouncementDepositFactor = AnnouncementDepositFactor;
    type WeightInfo = pallet_proxy::weights::SubstrateWeight<Runtime>;
    type BlockNumberProvider = System;
}
