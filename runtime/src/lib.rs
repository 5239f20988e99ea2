// SPDX-License-Identifier: Apache-2.0
//! The Starling runtime: the state transition function that every node of the chain executes.
//!
//! * [`configs`]: the parameters of each pallet.
//! * [`parameters`]: the values that differ between chains of this runtime.
//! * [`migrations`]: upgrades of the state of older releases.
//! * [`apis`]: the runtime APIs for clients, wallets and the node.
//! * [`genesis_config_presets`]: the genesis states that `chain-spec` builds upon.

#![cfg_attr(not(feature = "std"), no_std)]
// `construct_runtime` and the runtime API macros recurse deeply.
#![recursion_limit = "512"]
// The macros of FRAME and of `wasm-builder` write items without documentation.
#![allow(missing_docs)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

extern crate alloc;

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
pub mod configs;
pub mod genesis_config_presets;
pub mod migrations;
pub mod parameters;
pub mod weights;

#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, vec::Vec};
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

/// Height of a block.
pub type BlockNumber = u32;
/// A signature of a transaction: sr25519, ed25519 or ECDSA.
pub type Signature = MultiSignature;
/// An account: the public key behind a [`Signature`], or its hash.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount in the smallest unit; see [`UNIT`].
pub type Balance = u128;
/// Number of transactions that an account has sent.
pub type Nonce = u32;
/// A Blake2-256 hash.
pub type Hash = sp_core::H256;
/// The form in which a transaction names an account.
pub type Address = MultiAddress<AccountId, ()>;
/// A block header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// One STAR, with [`TOKEN_DECIMALS`] decimal places.
pub const UNIT: Balance = 1_000_000_000_000;
/// A thousandth of a STAR.
pub const MILLI_UNIT: Balance = UNIT / 1_000;
/// A millionth of a STAR.
pub const MICRO_UNIT: Balance = UNIT / 1_000_000;
/// Minimum balance of an account; below it the account is reaped.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_UNIT;
/// Decimal places of the token.
pub const TOKEN_DECIMALS: u8 = 12;
/// Symbol of the token.
pub const TOKEN_SYMBOL: &str = "STAR";

/// Length of an Aura slot in milliseconds, and so the time between two blocks.
pub const SLOT_DURATION: u64 = 1_000;
/// Blocks in a minute.
pub const MINUTES: BlockNumber = 60;
/// Blocks in an hour.
pub const HOURS: BlockNumber = 60 * MINUTES;
/// Blocks in a day.
pub const DAYS: BlockNumber = 24 * HOURS;

/// The version of this runtime, as every node reads it from the chain.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("starling"),
    impl_name: Cow::Borrowed("starling"),
    authoring_version: 1,
    spec_version: 2,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

/// The Rust types that the node needs of a block, without the content of its transactions.
pub mod opaque {
    use super::*;

    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// A block header.
    pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
    /// A block of opaque transactions.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
}

impl_opaque_keys! {
    /// The keys with which a validator authors and finalises blocks.
    pub struct SessionKeys {
        /// Signs blocks.
        pub aura: Aura,
        /// Signs votes on finality.
        pub grandpa: Grandpa,
    }
}

/// The extensions of every transaction, checked in this order.
///
/// `AuthorizeCall` comes first. It turns a call that proves its own right (a message of an agent)
/// into an authorized origin, which the checks of a signed sender then let pass.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// A transaction as it travels.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;

/// The signed payload of a transaction.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

/// Executes blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

// In the order of this list, not of the indices: a genesis needs agents before sessions.
#[frame_support::runtime(legacy_ordering)]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    /// The pallets of the chain.
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system::Pallet<Runtime>;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp::Pallet<Runtime>;
    #[runtime::pallet_index(2)]
    pub type Aura = pallet_aura::Pallet<Runtime>;
    #[runtime::pallet_index(3)]
    pub type Authorship = pallet_authorship::Pallet<Runtime>;

    // Before Session, which may change Aura's set at the beginning of a block.
    #[runtime::pallet_index(9)]
    pub type Beacon = pallet_beacon::Pallet<Runtime>;

    #[runtime::pallet_index(10)]
    pub type Balances = pallet_balances::Pallet<Runtime>;
    #[runtime::pallet_index(11)]
    pub type TransactionPayment = pallet_transaction_payment::Pallet<Runtime>;

    // Before every pallet whose constants it holds.
    #[runtime::pallet_index(30)]
    pub type Parameters = pallet_protocol_parameters::Pallet<Runtime>;
    // Before Session, whose genesis asks it for the first validators.
    #[runtime::pallet_index(31)]
    pub type Agents = pallet_agents::Pallet<Runtime>;

    // After Balances, whose holds carry its key deposits, and before Grandpa, whose genesis takes
    // the authorities from it.
    #[runtime::pallet_index(4)]
    pub type Session = pallet_session::Pallet<Runtime>;
    #[runtime::pallet_index(5)]
    pub type Grandpa = pallet_grandpa::Pallet<Runtime>;

    // The keys of past validators, and what they did wrong.
    #[runtime::pallet_index(6)]
    pub type Historical = pallet_session::historical::Pallet<Runtime>;
    #[runtime::pallet_index(7)]
    pub type Offences = pallet_offences::Pallet<Runtime>;
    #[runtime::pallet_index(8)]
    pub type Votes = pallet_votes::Pallet<Runtime>;
    #[runtime::pallet_index(12)]
    pub type Authoring = pallet_authoring::Pallet<Runtime>;

    #[runtime::pallet_index(32)]
    pub type Tickets = pallet_tickets::Pallet<Runtime>;
    #[runtime::pallet_index(33)]
    pub type Ratings = pallet_ratings::Pallet<Runtime>;
    #[runtime::pallet_index(34)]
    pub type Rewards = pallet_rewards::Pallet<Runtime>;
    #[runtime::pallet_index(35)]
    pub type Rounds = pallet_rounds::Pallet<Runtime>;
    #[runtime::pallet_index(36)]
    pub type Capabilities = pallet_capabilities::Pallet<Runtime>;
    #[runtime::pallet_index(37)]
    pub type Lanes = pallet_lanes::Pallet<Runtime>;
    #[runtime::pallet_index(38)]
    pub type Attestations = pallet_attestations::Pallet<Runtime>;
    #[runtime::pallet_index(39)]
    pub type Disputes = pallet_disputes::Pallet<Runtime>;

    #[runtime::pallet_index(20)]
    pub type Sudo = pallet_sudo::Pallet<Runtime>;
    #[runtime::pallet_index(21)]
    pub type Utility = pallet_utility::Pallet<Runtime>;
    #[runtime::pallet_index(22)]
    pub type Proxy = pallet_proxy::Pallet<Runtime>;
    #[runtime::pallet_index(23)]
    pub type Multisig = pallet_multisig::Pallet<Runtime>;
    // Before its members, whose genesis fills it.
    #[runtime::pallet_index(24)]
    pub type Committee = pallet_collective::Pallet<Runtime, Instance1>;
    #[runtime::pallet_index(25)]
    pub type CommitteeMembers = pallet_membership::Pallet<Runtime, Instance1>;
    #[runtime::pallet_index(26)]
    pub type Preimage = pallet_preimage::Pallet<Runtime>;
    #[runtime::pallet_index(27)]
    pub type Whitelist = pallet_whitelist::Pallet<Runtime>;
}
