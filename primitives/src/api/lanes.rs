// SPDX-License-Identifier: Apache-2.0
//! The runtime API of lanes, for members, requesters and clients.

use alloc::vec::Vec;
use codec::{Codec, Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_runtime::Permill;
use starling_lane_primitives::{
    checkpoint::Checkpoint, hashing, messages::Message, Certificate, Hash, Slot, Terms,
};

use crate::{
    choice::{Capabilities, Choice},
    round::BlockNumber,
    Balance, InferenceKey, RoundId, H256,
};

const BASIS: &[u8] = b"starling/lane-basis/1";

/// The number of a lane. Never reused.
pub type LaneId = u64;

/// The number of an epoch of lanes.
pub type Epoch = u32;

/// The present epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct EpochView {
    /// Its number.
    pub epoch: Epoch,
    /// Its first block.
    pub began: BlockNumber,
    /// The first block of the next epoch.
    pub ends: BlockNumber,
}

/// The rules of lanes on this chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RulesView<AccountId> {
    /// The hash of the genesis block, which everything that is signed is bound to.
    pub genesis: H256,
    /// The account of the treasury, which gets the rest of each fee.
    pub treasury: AccountId,
    /// The least size of a committee.
    pub min_committee: u8,
    /// The least fee of a request.
    pub min_fee: Balance,
    /// The least deposit of one more lane. It grows with their number.
    pub min_deposit: Balance,
    /// The part of each deposit that is burnt.
    pub burnt: Permill,
    /// The bond that a volunteer locks, and as much again for each seat.
    pub lane_bond: Balance,
    /// Number of blocks between a settlement and its payments.
    pub dispute_window: BlockNumber,
    /// The winner's share of a fee.
    pub winner: Permill,
    /// The share of all rankers together.
    pub rankers: Permill,
    /// Minimum number of responses that each member ranks, if there are that many.
    pub min_rankings: u32,
    /// Maximum number of responses that each member ranks.
    pub max_rankings: u32,
    /// Minimum weighted mean of a winner.
    pub approval_threshold: Permill,
}

/// A lane, and where its deposits are: `free + pending + paid + burnt + returned = deposited`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct LaneView<AccountId> {
    /// Its number.
    pub id: LaneId,
    /// The account that opened it and pays.
    pub requester: AccountId,
    /// Its terms.
    pub terms: Terms,
    /// The first epoch that it has a committee in.
    pub first_epoch: Epoch,
    /// The last one, if it is closing.
    pub last_epoch: Option<Epoch>,
    /// The first block in which the rest may be reclaimed, if it is closing.
    pub reclaimable: Option<BlockNumber>,
    /// All that was paid in.
    pub deposited: Balance,
    /// The most that requests may still cost.
    pub free: Balance,
    /// Settled, and not paid yet.
    pub pending: Balance,
    /// Paid to members and the treasury.
    pub paid: Balance,
    /// Burnt.
    pub burnt: Balance,
    /// Given back to the requester, or spent on rounds that it escalated to.
    pub returned: Balance,
    /// The largest sum that may be pending.
    pub max_pending: Balance,
}

/// A member of a committee, as it was when it joined.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct MemberView<AccountId> {
    /// The agent.
    pub agent: AccountId,
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
}

/// The committee of a lane in an epoch, and the way in which it chooses. Both are fixed before the
/// epoch begins.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CommitteeView<AccountId> {
    /// The way to choose the best response.
    pub choice: Choice,
    /// The members, in the order of draws. The place of each is its number in messages.
    pub members: Vec<MemberView<AccountId>>,
}

impl<AccountId: Encode> CommitteeView<AccountId> {
    /// The hash of what is fixed here and decides the choice: the way, and the ratings and known
    /// answers of the members. Each outcome has it, so that no certificate of a choice by other
    /// weights is one.
    pub fn basis(&self) -> Hash {
        let member = |member: &MemberView<AccountId>| {
            let MemberView {
                agent,
                rating,
                known,
                ..
            } = member;
            (agent, rating, known).encode()
        };
        let members: Vec<Vec<u8>> = self.members.iter().map(member).collect();
        hashing::hash(&(BASIS, self.choice, members))
    }
}

/// The place of an agent in a committee.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct SeatView<AccountId> {
    /// The lane.
    pub lane: LaneView<AccountId>,
    /// The committee.
    pub committee: CommitteeView<AccountId>,
    /// The place of the agent.
    pub member: u8,
}

/// The progress of a lane's settlement in an epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo,
)]
pub struct ProgressView {
    /// The first request of the next checkpoint: a multiple of 64.
    pub next: u32,
    /// The requests from `next` on that were escalated: bit `i` is request `next + i`. A checkpoint
    /// leaves them out.
    pub escalated: u64,
}

/// A settlement that is not paid yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct PendingView {
    /// Its number.
    pub id: u64,
    /// The first block in which it may be paid.
    pub due: BlockNumber,
    /// The signed text.
    pub checkpoint: Checkpoint,
}

sp_api::decl_runtime_apis! {
    /// Lanes.
    ///
    /// The functions that return bytes make the transaction of a feeless call. Whoever has a node
    /// gives it to the pool.
    #[api_version(1)]
    pub trait LanesApi<AccountId> where AccountId: Codec {
        /// The present epoch.
        fn epoch() -> EpochView;
        /// The rules in force.
        fn rules() -> RulesView<AccountId>;
        /// The rating up to which a member has no weight as a ranker, 32 fractional bits: the floor
        /// of `starling_primitives::rating::weights`.
        fn weight_floor() -> u64;
        /// A lane.
        fn lane(id: LaneId) -> Option<LaneView<AccountId>>;
        /// The lanes of a requester.
        fn lanes_of(requester: AccountId) -> Vec<LaneView<AccountId>>;
        /// The committee of a lane in an epoch: known from the beginning of the epoch before, for
        /// as long as it may be needed. `None` if there are too few volunteers.
        fn committee(lane: LaneId, epoch: Epoch) -> Option<CommitteeView<AccountId>>;
        /// All seats of an agent in an epoch.
        fn seats(agent: AccountId, epoch: Epoch) -> Vec<SeatView<AccountId>>;
        /// Whether an agent has joined for an epoch.
        fn has_joined(agent: AccountId, epoch: Epoch) -> bool;
        /// The progress of a lane's settlement in an epoch.
        fn progress(lane: LaneId, epoch: Epoch) -> ProgressView;
        /// The escalated requests of a block of 64: bit `i` is request `first + i`. A checkpoint
        /// leaves them out.
        fn escalations(lane: LaneId, epoch: Epoch, first: u32) -> u64;
        /// Whether an agent has a bond to lose for what it signs in a lane and epoch. Its signature
        /// settles nothing without.
        fn is_liable(agent: AccountId, lane: LaneId, epoch: Epoch) -> bool;
        /// The settlements of a lane that are not paid yet.
        fn pending(lane: LaneId) -> Vec<PendingView>;
        /// The round that a request was escalated to.
        fn escalated(lane: LaneId, epoch: Epoch, seq: u32) -> Option<RoundId>;
        /// Whether `settle` would succeed now with the signatures of a quorum that is liable; the
        /// reason why not.
        fn can_settle(checkpoint: Checkpoint) -> Result<(), Vec<u8>>;
        /// The transaction of `join`.
        fn join(
            agent: AccountId,
            epoch: Epoch,
            point: [u8; 32],
            peer: [u8; 32],
            signature: [u8; 64],
        ) -> Vec<u8>;
        /// The transaction of `settle`. The more members have signed, the better: the chain takes a
        /// quorum of those that are liable.
        fn settle(checkpoint: Checkpoint, certificate: Certificate) -> Vec<u8>;
        /// The transaction of `equivocation`; `None` if the chain would refuse it. `a`, `b`: each a
        /// slot, the message and its signature.
        fn equivocation(
            offender: AccountId,
            a: (Slot, Message, [u8; 64]),
            b: (Slot, Message, [u8; 64]),
        ) -> Option<Vec<u8>>;
        /// The transaction of `show_certificate`.
        fn show_certificate(
            lane: LaneId,
            epoch: Epoch,
            seq: u32,
            outcome: H256,
            certificate: Certificate,
        ) -> Vec<u8>;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::{Capability, Votes};
    use alloc::{collections::BTreeSet, vec};

    fn member(agent: u8) -> MemberView<u8> {
        MemberView {
            agent,
            key: sp_core::sr25519::Public::from_raw([agent; 32]).into(),
            point: [0; 32],
            peer: [0; 32],
            bond: 1,
            rating: 2,
            known: Capabilities::default(),
        }
    }

    #[test]
    fn the_basis_binds_the_way_to_choose_and_the_weights() {
        let committee = CommitteeView {
            choice: Choice::Votes(Votes::default()),
            members: vec![member(1), member(2)],
        };
        let changed = |change: &dyn Fn(&mut CommitteeView<u8>)| {
            let mut changed = committee.clone();
            change(&mut changed);
            changed.basis()
        };
        let known = Capability {
            rounds: 1,
            ..Capability::default()
        };
        let all = [
            changed(&|_| {}),
            changed(&|it| it.choice = Choice::Paper),
            changed(&|it| {
                it.choice = Choice::Votes(Votes {
                    proof: 2,
                    ..Votes::default()
                })
            }),
            changed(&|it| it.members.truncate(1)),
            changed(&|it| it.members.swap(0, 1)),
            changed(&|it| it.members[0].rating = 3),
            changed(&|it| it.members[0].known.number = known),
            changed(&|it| it.members[0].known.choice = known),
            changed(&|it| it.members[0].known.short = known),
            changed(&|it| it.members[1].known.short = known),
        ];
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        // Nothing else of a member decides the choice.
        assert_eq!(changed(&|it| it.members[0].bond = 9), all[0]);
    }
}
