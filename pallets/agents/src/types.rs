// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::fungible, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::traits::ConstU32;
use starling_primitives::{Balance, InferenceKey, H256};

use crate::Config;

/// The longest name of a model, in bytes.
pub const MAX_MODEL_NAME: u32 = 64;

/// An amount that was taken from an account and not yet given to another one.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// The model that an agent says it runs. The chain cannot check it and nothing depends on it: it
/// tells people what they are asking.
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
    /// The key that takes its place when no reservation is open any more.
    pub next_key: Option<InferenceKey>,
    /// What the agent says it runs.
    pub model: ModelDescriptor,
    /// The bond, what is reserved included and what is unbonding not.
    pub bond: Balance,
    /// How much of the bond is reserved for rounds.
    pub reserved: Balance,
    /// How many rounds have a reservation.
    pub open: u32,
    /// Whether the agent stays out of new rounds and of the validators by its own wish.
    pub chilled: bool,
    /// The ordinal of the activation since which the agent has been active, `None` when it is not.
    pub activation: Option<u64>,
}

impl Agent {
    /// The part of the bond that no round has a claim on.
    pub fn free(&self) -> Balance {
        self.bond.saturating_sub(self.reserved)
    }
}

/// A part of a bond on its way back to its owner.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct UnbondingChunk<BlockNumber> {
    /// How much.
    pub amount: Balance,
    /// The first block in which it may be withdrawn.
    pub due: BlockNumber,
}

/// The chunks of one account, the oldest first.
pub type UnbondingOf<T> =
    BoundedVec<UnbondingChunk<BlockNumberFor<T>>, <T as Config>::MaxUnbonding>;

/// An active agent in the list from which the validators are taken.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Candidate<AccountId> {
    /// The agent.
    pub who: AccountId,
    /// Its bond.
    pub bond: Balance,
}

/// An agent that is there from the first block on.
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
