// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::fungible, BoundedVec};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::{traits::ConstU32, Permill};
use starling_lane_primitives::{
    checkpoint, messages::Message, volunteer::AHEAD, Committee, Slot, Terms,
};
pub use starling_primitives::{
    api::lanes::{Epoch, LaneId},
    round::BlockNumber,
};
use starling_primitives::{
    choice::{Capabilities, Choice},
    Balance, InferenceKey, H256,
};

use crate::Config;

/// Maximum number of members of a committee.
pub const MAX_MEMBERS: u32 = 16;
/// Maximum number of accounts that a settlement pays: the members, the treasury and the requester.
pub const MAX_PAYOUTS: u32 = MAX_MEMBERS + 2;
/// Maximum number of blocks of 64 requests that a lane settles in an epoch.
pub const MAX_BLOCKS: u32 = 64;
/// Maximum number of requests of a lane in an epoch.
pub const MAX_REQUESTS: u32 = MAX_BLOCKS * checkpoint::BLOCK;
/// Number of blocks after the expiry of a request from which on it may be escalated. Until then
/// members may still be sending what they signed in time.
pub const ESCALATION_DELAY: BlockNumber = 16;
/// The least time that the terms of a lane leave for answers, and for rankings, in milliseconds.
/// With less a requester would read the answers of requests that nobody can certify.
pub const MIN_WAIT_MS: u32 = 1_000;
/// Maximum number of epochs for which volunteers are kept after the epoch: so many fit into two
/// epochs and a dispute window.
pub const MAX_KEPT: u32 = 32;
/// The reporter's share of a slash.
pub const REPORTER: Permill = Permill::from_percent(10);

/// An amount that was taken from one account and not yet given to another.
pub type CreditOf<T> =
    fungible::Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

/// The members of a committee, in the order of draws.
pub type MembersOf<T> = BoundedVec<<T as frame_system::Config>::AccountId, ConstU32<MAX_MEMBERS>>;

/// The values that governance sets.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Number of blocks of an epoch.
    pub epoch: BlockNumber,
    /// The least size of a committee: 7 where strangers meet. Of four members one liar is a
    /// quarter, and each response is ranked by three.
    pub min_committee: u8,
    /// The least deposit of a lane where most places are free. See `least_deposit`.
    pub min_deposit: Balance,
    /// The part of each deposit that is burnt.
    pub burnt: Permill,
    /// The bond that a volunteer locks, and as much again for each seat.
    pub lane_bond: Balance,
    /// Number of blocks between a settlement and its payments.
    pub dispute_window: BlockNumber,
}

impl Parameters {
    /// For a chain whose currency has a value. `unit` is one coin.
    pub const fn production(unit: Balance) -> Self {
        Self {
            epoch: 60,
            min_committee: 7,
            min_deposit: unit.saturating_mul(100),
            burnt: Permill::from_percent(1),
            lane_bond: unit.saturating_mul(100),
            dispute_window: 600,
        }
    }

    /// For development: short epochs, and committees of four.
    pub const fn dev(unit: Balance) -> Self {
        Self {
            epoch: 10,
            min_committee: 4,
            min_deposit: unit.saturating_mul(10),
            burnt: Permill::from_percent(1),
            lane_bond: unit.saturating_mul(20),
            dispute_window: 20,
        }
    }

    /// Whether the values fit together, and with the least slash of the chain.
    pub fn is_sound(&self, min_slash: Balance) -> bool {
        let kept = self.kept().checked_div(self.epoch);
        Committee::of(self.min_committee).is_some()
            && self.min_deposit > 0
            && self.burnt < Permill::one()
            && self.lane_bond > min_slash
            && self.dispute_window > 0
            && kept.is_some_and(|epochs| epochs <= MAX_KEPT)
    }

    /// The least deposit of one more lane where there are `lanes` of at most `most`: it doubles
    /// with each eighth of the places that is taken. So nobody takes all of them for little.
    pub fn least_deposit(&self, lanes: u32, most: u32) -> Balance {
        let doublings = lanes.saturating_mul(8).checked_div(most).unwrap_or(0);
        let factor = 2u128.saturating_pow(doublings);
        self.min_deposit.saturating_mul(factor)
    }

    /// Number of blocks after an epoch for which everything of it is kept, and the escrow of a lane
    /// that closed in it: settlements may come in the epoch after it, and their dispute windows
    /// follow.
    pub fn kept(&self) -> BlockNumber {
        self.epoch
            .saturating_mul(2)
            .saturating_add(self.dispute_window)
    }

    /// The largest sum of fees of a lane that are settled and not paid yet: half of what those lose
    /// who must sign a false settlement.
    pub fn max_pending(&self, committee: Committee, min_slash: Balance) -> Balance {
        let liars = Balance::from(committee.f()).saturating_add(1);
        let lost = self.lane_bond.saturating_sub(min_slash);
        lost.saturating_mul(liars) / 2
    }
}

/// The present epoch.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Present {
    /// Its number.
    pub epoch: Epoch,
    /// Its first block.
    pub began: BlockNumber,
    /// The first block of the next one.
    pub ends: BlockNumber,
}

/// The parts of an epoch that are fixed when the one before it begins.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Setting {
    /// The randomness that its committees are drawn with.
    pub seed: H256,
    /// The way in which they choose the best response.
    pub choice: Choice,
}

/// A lane. `free + pending + paid + burnt + returned` is what was deposited.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Lane<AccountId> {
    /// The account that opened it and pays.
    pub requester: AccountId,
    /// Its terms.
    pub terms: Terms,
    /// The epoch in which it was opened.
    pub opened: Epoch,
    /// The closing, once it is asked for.
    pub closing: Option<Closing>,
    /// All that was paid in.
    pub deposited: Balance,
    /// On hold: what requests may still cost.
    pub free: Balance,
    /// On hold: settled, and not paid yet.
    pub pending: Balance,
    /// Paid to members and the treasury.
    pub paid: Balance,
    /// Burnt.
    pub burnt: Balance,
    /// Given back, or spent on rounds.
    pub returned: Balance,
}

impl<AccountId> Lane<AccountId> {
    /// The first epoch that it has a committee in.
    pub fn first_epoch(&self) -> Epoch {
        self.opened.saturating_add(AHEAD)
    }

    /// Whether it has a committee in this epoch.
    pub fn is_served(&self, epoch: Epoch) -> bool {
        let closed = self
            .closing
            .is_some_and(|closing| epoch > closing.last_epoch);
        epoch >= self.first_epoch() && !closed
    }

    /// Whether each unit of the deposits is somewhere, and only once.
    pub fn is_balanced(&self) -> bool {
        let parts = [
            self.free,
            self.pending,
            self.paid,
            self.burnt,
            self.returned,
        ];
        let sum = parts
            .iter()
            .try_fold(0, |sum: Balance, part| sum.checked_add(*part));
        sum == Some(self.deposited)
    }
}

/// The end of a lane.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Closing {
    /// The last epoch that it has a committee in.
    pub last_epoch: Epoch,
    /// The first block in which the rest may be reclaimed.
    pub reclaimable: BlockNumber,
}

/// An agent that serves in an epoch, as it was when it joined.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Volunteer {
    /// The inference key that signs for it in this epoch.
    pub key: InferenceKey,
    /// The point that shares are encrypted to.
    pub point: [u8; 32],
    /// The ed25519 public key of its node's network identity.
    pub peer: [u8; 32],
    /// Its bond.
    pub bond: Balance,
    /// Its rating, 32 fractional bits.
    pub rating: u64,
    /// Its record with known answers, by form.
    pub known: Capabilities,
    /// Whether it took its word back. The entry stays, so that joining stays one an epoch.
    pub has_left: bool,
}

/// The ends of a block of 64 requests: bit `i` is the request at place `i`. No request is both
/// settled and escalated.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Marks {
    /// Settled.
    pub settled: u64,
    /// Escalated to a round.
    pub escalated: u64,
    /// Certified, as members have shown after an escalation: never escalated again.
    pub shown: u64,
}

/// A settlement that is not paid yet.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Settlement<AccountId> {
    /// The lane.
    pub lane: LaneId,
    /// The epoch.
    pub epoch: Epoch,
    /// The first request of the block.
    pub first: u32,
    /// The settled requests.
    pub bitmap: u64,
    /// The sum of their fees.
    pub fees: Balance,
    /// The payments.
    pub payouts: BoundedVec<(AccountId, Balance), ConstU32<MAX_PAYOUTS>>,
    /// The root of the transcripts.
    pub transcripts: [u8; 32],
    /// A quorum of its signers, each with a locked bond.
    pub signers: BoundedVec<AccountId, ConstU32<MAX_MEMBERS>>,
    /// The first block in which it may be paid.
    pub due: BlockNumber,
}

/// A message of a member, with its slot and its signature.
pub type SignedMessage = (Slot, Message, [u8; 64]);

/// The request at `seq`: the first one of its block, and its bit.
pub fn place(seq: u32) -> Option<(u32, u64)> {
    let offset = seq.checked_rem(checkpoint::BLOCK)?;
    Some((seq.checked_sub(offset)?, 1u64.checked_shl(offset)?))
}
