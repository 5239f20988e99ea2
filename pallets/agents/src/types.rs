// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::fungible, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::{traits::ConstU32, Saturating};
use starling_primitives::{locks::LockId, Balance, InferenceKey, H256};

use crate::Config;

/// Maximum length of a model's name, in bytes.
pub const MAX_MODEL_NAME: u32 = 64;

/// An amount that was taken from one account and not yet given to another.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// The model that an agent declares. The chain cannot check it, and nothing depends on it. It tells
/// people what they are asking.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ModelDescriptor {
    /// The name, in UTF-8.
    pub name: BoundedVec<u8, ConstU32<MAX_MODEL_NAME>>,
    /// The hash of the model's files.
    pub hash: H256,
}

/// A registered agent.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Agent {
    /// The inference key in force.
    pub key: InferenceKey,
    /// The next key, which takes effect once no reservation is open.
    pub next_key: Option<InferenceKey>,
    /// The model that the agent declares.
    pub model: ModelDescriptor,
    /// The bond, including reserved but not unbonding amounts.
    pub bond: Balance,
    /// Part of the bond that is reserved for rounds.
    pub reserved: Balance,
    /// Number of rounds with a reservation.
    pub open: u32,
    /// Whether the agent chose to stay out of new rounds and of the validators.
    pub chilled: bool,
    /// The ordinal of the agent's last activation; `None` if it is not active.
    pub activation: Option<u64>,
}

impl Agent {
    /// The part of the bond that no round has a claim on.
    pub fn free(&self) -> Balance {
        self.bond.saturating_sub(self.reserved)
    }

    /// Takes up to `amount` of the free part of the bond off the books. Returns the taken part.
    pub(crate) fn take_free(&mut self, amount: Balance) -> Balance {
        let taken = self.free().min(amount);
        self.bond.saturating_reduce(taken);
        taken
    }
}

/// Maximum number of locks on one bond at a time.
pub const MAX_LOCKS: u32 = 64;

/// A claim on a bond that ends by itself.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Lock<BlockNumber> {
    /// Its purpose.
    pub id: LockId,
    /// The locked amount.
    pub amount: Balance,
    /// The first block in which it has ended.
    pub until: BlockNumber,
}

/// The locks on one bond.
pub type LocksOf<T> = BoundedVec<Lock<BlockNumberFor<T>>, ConstU32<MAX_LOCKS>>;

/// The last growth of a bond.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Growth<BlockNumber> {
    /// The block in which it grew.
    pub at: BlockNumber,
    /// The bond before; the lowest one if it has grown more than once within an unbonding period.
    pub before: Balance,
}

/// A part of a bond that is unbonding.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct UnbondingChunk<BlockNumber> {
    /// The unbonding amount.
    pub amount: Balance,
    /// The first block in which it may be withdrawn.
    pub due: BlockNumber,
}

/// The chunks of one account, the oldest first.
pub type UnbondingOf<T> =
    BoundedVec<UnbondingChunk<BlockNumberFor<T>>, <T as Config>::MaxUnbonding>;

/// The sum of these chunks.
pub(crate) fn unbonding<BlockNumber>(chunks: &[UnbondingChunk<BlockNumber>]) -> Balance {
    chunks
        .iter()
        .fold(0, |sum: Balance, chunk| sum.saturating_add(chunk.amount))
}

/// An active agent in the list of candidates for validators.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Candidate<AccountId> {
    /// The agent.
    pub who: AccountId,
    /// Its bond.
    pub bond: Balance,
}

/// Maximum length of the encoded session keys of a validator, in bytes.
pub const MAX_SESSION_KEYS: u32 = 128;

/// The validators of a session, in their order, with their encoded session keys.
pub type KeysOf<T> = BoundedVec<
    (
        <T as frame_system::Config>::AccountId,
        BoundedVec<u8, ConstU32<MAX_SESSION_KEYS>>,
    ),
    <T as Config>::MaxValidators,
>;

/// A validator that signed contradicting votes in a session.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Offender<AccountId> {
    /// The validator.
    pub who: AccountId,
    /// Its bond and the unbonding parts of it when the first offence was reported.
    pub exposed: Balance,
    /// The part of it that was charged for offences in this session.
    pub charged: Balance,
}

/// A time without a seat among the validators.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Bar<AccountId> {
    /// The former validator.
    pub who: AccountId,
    /// The first session in which it may have a seat again.
    pub until: u32,
    /// Whether it committed an offence.
    pub offence: bool,
}

/// An agent of the genesis block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisAgent<AccountId> {
    /// Its account, which must own more than `bond`.
    pub account: AccountId,
    /// Its inference key.
    pub inference_key: InferenceKey,
    /// The name of its model.
    pub model_name: alloc::string::String,
    /// The hash of its model's files.
    pub model_hash: H256,
    /// Its bond.
    pub bond: Balance,
}
