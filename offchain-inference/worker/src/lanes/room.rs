// SPDX-License-Identifier: Apache-2.0

//! The committee of a lane in an epoch, as a node sees it.

use std::{collections::BTreeSet, sync::Arc};

use sp_core::sr25519;
use starling_lane::{
    book::{Book, Signer},
    broadcast::Setting,
    cipher::Sealed,
    rules::Rules,
    timing::{Time, Timing},
    transport::Peer,
    wire::Place,
};
use starling_lane_primitives::{
    certificate::Signature, seal::DecryptionKey, Account, Committee, Hash, Member, Phase, Slot,
    Terms,
};
use starling_primitives::{
    api::lanes::{CommitteeView, Epoch, LaneView, MemberView, RulesView},
    choice::Choice,
    crypto::has_signed,
    round::BlockNumber,
};

use super::chain::{InForce, LaneChain};
use crate::AccountId;

/// The delay between two members that a member waits for, in microseconds.
const DELAY: u64 = 60_000;

/// The least time for the answers of a request, and for its rankings, in milliseconds.
const LEAST_MS: u32 = 1_000;

/// The secret from which a member's decryption key of an epoch follows.
pub type EpochSecret = [u8; 64];

/// The seat of an agent of this node.
#[derive(Clone)]
pub struct Seat {
    /// Its number in messages.
    pub member: Member,
    /// The secret of its point.
    pub secret: EpochSecret,
}

/// A committee.
pub struct Room {
    /// The hash of the genesis block.
    pub genesis: Hash,
    /// The lane.
    pub lane: LaneView<AccountId>,
    /// The epoch.
    pub epoch: Epoch,
    /// The sizes.
    pub committee: Committee,
    /// The members, in the order of draws.
    pub members: Vec<MemberView<AccountId>>,
    /// The way in which they choose the best response.
    pub choice: Choice,
    /// The hash of what is fixed for the epoch and decides the choice.
    pub basis: Hash,
    /// The rules of lanes on this chain.
    pub rules: RulesView<AccountId>,
    /// The rating up to which a member has no weight as a ranker.
    pub weight_floor: u64,
    /// The time between two blocks, in milliseconds.
    pub slot_ms: u64,
    /// The seat of this node, if it has one.
    pub seat: Option<Seat>,
}

impl Room {
    /// The committee of a lane; `None` if the number of its members is none of a committee.
    pub fn new(
        lane: LaneView<AccountId>,
        epoch: Epoch,
        drawn: CommitteeView<AccountId>,
        in_force: InForce,
        seat: Option<Seat>,
    ) -> Option<Self> {
        let InForce {
            rules,
            weight_floor,
            slot_ms,
        } = in_force;
        let basis = drawn.basis();
        let CommitteeView { choice, members } = drawn;
        let committee = Committee::of(u8::try_from(members.len()).ok()?)?;
        Some(Self {
            genesis: rules.genesis.0,
            lane,
            epoch,
            committee,
            members,
            choice,
            basis,
            rules,
            weight_floor,
            slot_ms,
            seat,
        })
    }

    /// The number of blocks that a request needs: for its answers, its rankings and its votes. With
    /// fewer, its responses open, and nobody has time to vote for their payment.
    pub fn needed(&self) -> BlockNumber {
        let Terms {
            answer_ms, rank_ms, ..
        } = self.lane.terms;
        let work = u64::from(answer_ms.max(LEAST_MS)).saturating_add(rank_ms.max(LEAST_MS).into());
        let blocks = work.div_ceil(self.slot_ms.max(1)).saturating_add(1);
        BlockNumber::try_from(blocks).unwrap_or(BlockNumber::MAX)
    }

    /// The number of this node's member.
    pub fn me(&self) -> Option<Member> {
        self.seat.as_ref().map(|seat| seat.member)
    }

    /// A member.
    pub fn member(&self, member: Member) -> Option<&MemberView<AccountId>> {
        self.members.get(usize::from(member))
    }

    /// The account of a member.
    pub fn account(&self, member: Member) -> Option<Account> {
        Some(self.member(member)?.agent.clone().into())
    }

    /// The members whose agents are on a node.
    pub fn members_at(&self, peer: &Peer) -> Vec<Member> {
        let all = self.committee.members().zip(&self.members);
        let there = all.filter(|(_, view)| view.peer == *peer);
        there.map(|(member, _)| member).collect()
    }

    /// The nodes of all members, and that of the requester.
    pub fn peers(&self) -> BTreeSet<Peer> {
        let members = self.members.iter().map(|view| view.peer);
        members.chain(self.lane.terms.peer).collect()
    }

    /// The name of a request.
    pub fn place(&self, seq: u32) -> Place {
        Place {
            lane: self.lane.id,
            epoch: self.epoch,
            seq,
        }
    }

    /// The slot of the responses of a request.
    pub fn slot(&self, seq: u32) -> Slot {
        Slot {
            genesis: self.genesis,
            lane: self.lane.id,
            epoch: self.epoch,
            seq,
            phase: Phase::Responses,
        }
    }

    /// An empty book for a request in which `me` takes part. `ask` is its hash.
    pub fn book(&self, seq: u32, ask: Hash, me: Option<Member>) -> Book {
        let accounts = self.members.iter().map(|view| view.agent.clone().into());
        Book::new(self.slot(seq), ask, me, accounts.collect())
    }

    /// The seals of a request. A node that looks on opens nothing, so any key does for it.
    pub fn cipher(&self, me: Option<Member>) -> Sealed {
        let secret = self.seat.as_ref().map_or([1; 64], |seat| seat.secret);
        let points = self.members.iter().map(|view| view.point).collect();
        Sealed::new(
            self.committee,
            me.unwrap_or(self.committee.n()),
            DecryptionKey::from_bytes(&secret),
            points,
            self.committee.views(),
        )
    }

    /// The setting of the broadcast of responses, in a request that came now. Who looks on has a
    /// number above all members.
    pub fn setting(&self, seq: u32, me: Option<Member>, now: Time) -> Setting {
        let micros = |ms: u32| u64::from(ms).saturating_mul(1_000);
        Setting {
            committee: self.committee,
            me: me.unwrap_or(self.committee.n()),
            seq,
            sealers: self.committee.members().collect(),
            rules: Rules::of(self.committee),
            timing: Timing {
                delay: DELAY,
                rank: micros(self.lane.terms.rank_ms),
            },
            deadline: now.saturating_add(micros(self.lane.terms.answer_ms)),
        }
    }
}

/// Signs for the seat of a room, and knows the keys of all of its members.
pub struct Hand {
    room: Arc<Room>,
    chain: Arc<dyn LaneChain>,
}

impl Hand {
    /// Signs by the keystore behind `chain`.
    pub fn new(room: Arc<Room>, chain: Arc<dyn LaneChain>) -> Self {
        Self { room, chain }
    }
}

impl Signer for Hand {
    fn is_signed(&self, by: Member, payload: &Hash, signature: &Signature) -> bool {
        let member = self.room.member(by);
        member.is_some_and(|view| has_signed(&view.key, payload, signature))
    }

    fn sign(&self, payload: &Hash) -> Option<Signature> {
        let view = self.room.member(self.room.me()?)?;
        self.chain.sign(&view.key, payload)
    }
}

/// Whether an sr25519 key has signed a payload.
pub fn is_signed(key: &[u8; 32], payload: &Hash, signature: &Signature) -> bool {
    let key = sr25519::Public::from_raw(*key);
    has_signed(&key.into(), payload, signature)
}
