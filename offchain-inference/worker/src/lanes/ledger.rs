// SPDX-License-Identifier: Apache-2.0

//! The checkpoints of a lane in an epoch.

use std::collections::BTreeMap;

use starling_lane_primitives::{
    certificate::Signature,
    checkpoint::{Checkpoint, BLOCK},
    hashing, Account, Balance, Certificate, Committee, Hash, Member,
};
use starling_primitives::{
    api::lanes::{Epoch, LaneId, ProgressView},
    round::BlockNumber,
};

const TRANSCRIPTS: &[u8] = b"starling/lane-transcripts/1";

/// The number of requests of a checkpoint.
pub const REQUESTS: u32 = BLOCK;

/// The number of requests that the chain settles of a lane in an epoch.
pub const MOST: u32 = 4_096;

/// A certified request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its number.
    pub seq: u32,
    /// Its fee.
    pub fee: Balance,
    /// The hash of its outcome.
    pub outcome: Hash,
    /// Its payments.
    pub payouts: Vec<(Account, Balance)>,
}

/// Whether a request of a block was escalated.
pub fn is_escalated(block: ProgressView, seq: u32) -> bool {
    let place = seq.checked_sub(block.next);
    place.is_some_and(|place| block.escalated.checked_shr(place).unwrap_or(0) & 1 == 1)
}

/// The checkpoint of the requests from `progress.next` on. `None` if nothing in it can be settled.
pub fn checkpoint(
    lane: LaneId,
    epoch: Epoch,
    progress: ProgressView,
    certified: &[Settled],
) -> Option<Checkpoint> {
    let first = progress.next;
    let bit = |seq: u32| {
        let place = seq.checked_sub(first).filter(|place| *place < BLOCK)?;
        let bit = 1u64.checked_shl(place)?;
        (progress.escalated & bit == 0).then_some(bit)
    };
    let mut checkpoint = Checkpoint {
        lane,
        epoch,
        first,
        bitmap: 0,
        fees: 0,
        payouts: vec![],
        transcripts: [0; 32],
    };
    let mut paid: BTreeMap<Account, Balance> = BTreeMap::new();
    let mut outcomes: BTreeMap<u32, Hash> = BTreeMap::new();
    for settled in certified {
        let Some(bit) = bit(settled.seq) else {
            continue;
        };
        checkpoint.bitmap |= bit;
        checkpoint.fees = checkpoint.fees.saturating_add(settled.fee);
        outcomes.insert(settled.seq, settled.outcome);
        for (account, amount) in &settled.payouts {
            let sum = paid.entry(*account).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }
    checkpoint.payouts = paid.into_iter().filter(|(_, amount)| *amount > 0).collect();
    let outcomes: Vec<(u32, Hash)> = outcomes.into_iter().collect();
    checkpoint.transcripts = hashing::hash(&(TRANSCRIPTS, outcomes));
    Some(checkpoint).filter(Checkpoint::is_well_formed)
}

/// The signatures under the next checkpoint of a lane.
#[derive(Default)]
pub struct Ledger {
    /// The own checkpoint, with its hash and the block in which it was made.
    own: Option<(Checkpoint, Hash, BlockNumber)>,
    /// The last signature of each member, and the hash under it.
    signed: BTreeMap<Member, (Hash, Signature)>,
}

impl Ledger {
    /// The own checkpoint.
    pub fn own(&self) -> Option<&Checkpoint> {
        self.own.as_ref().map(|(checkpoint, ..)| checkpoint)
    }

    /// The own signature, for those who were not there.
    pub fn own_signature(&self, me: Member) -> Option<Signature> {
        let (_, hash, _) = self.own.as_ref()?;
        let (signed, signature) = self.signed.get(&me)?;
        (signed == hash).then_some(*signature)
    }

    /// Takes the own checkpoint with the own signature.
    pub fn make(
        &mut self,
        me: Member,
        checkpoint: Checkpoint,
        hash: Hash,
        signature: Signature,
        now: BlockNumber,
    ) {
        self.own = Some((checkpoint, hash, now));
        self.signed.insert(me, (hash, signature));
    }

    /// Takes the signature of a member. It is the last one that counts: a member that learns of a
    /// certificate signs again. But one that fits the own checkpoint stays, since old ones of
    /// others can be sent again by anybody.
    pub fn take(&mut self, by: Member, hash: Hash, signature: Signature) {
        let own = self.own.as_ref().map(|(_, own, _)| *own);
        let known = self.signed.get(&by).map(|(known, _)| *known);
        let fits = known.is_some() && known == own;
        if !fits {
            self.signed.insert(by, (hash, signature));
        }
    }

    /// The own checkpoint with all signatures that fit, if those are a quorum, and the block from
    /// which on this member gives it to the chain. Members take turns, so that not all do at once.
    /// The chain keeps a quorum whose bonds are free.
    pub fn ready(
        &self,
        committee: Committee,
        me: Member,
    ) -> Option<(Checkpoint, Certificate, BlockNumber)> {
        let (checkpoint, hash, made) = self.own.as_ref()?;
        let equal = self.signed.iter().filter(|(_, (signed, _))| signed == hash);
        let signed: Vec<(Member, Signature)> = equal
            .map(|(member, (_, signature))| (*member, *signature))
            .collect();
        let quorum = usize::from(committee.quorum());
        if signed.len() < quorum {
            return None;
        }
        let n = u32::from(committee.n());
        let block = checkpoint.first.checked_div(BLOCK).unwrap_or(0);
        let turn = block.checked_rem(n).unwrap_or(0);
        let distance = u32::from(me).saturating_add(n).saturating_sub(turn);
        let wait = distance.checked_rem(n).unwrap_or(0);
        let certificate = Certificate::new(signed);
        Some((checkpoint.clone(), certificate, made.saturating_add(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(seq: u32) -> Settled {
        Settled {
            seq,
            fee: 10,
            outcome: [9; 32],
            payouts: vec![([1; 32], 4), ([2; 32], 6)],
        }
    }

    fn from(next: u32, escalated: u64) -> ProgressView {
        ProgressView { next, escalated }
    }

    #[test]
    fn a_checkpoint_leaves_out_what_it_does_not_settle() {
        let certified: Vec<Settled> = [3, 64, 66, 127, 128].map(settled).to_vec();
        let made = checkpoint(1, 2, from(64, 1 << 2), &certified).unwrap();
        assert_eq!(made.bitmap, 1 | 1 << 63);
        assert_eq!((made.fees, made.first), (20, 64));
        assert_eq!(made.payouts, [([1; 32], 8), ([2; 32], 12)]);
        assert_eq!(checkpoint(1, 2, from(192, 0), &certified), None);
    }

    #[test]
    fn a_quorum_of_equal_checkpoints_is_ready_and_members_take_turns() {
        let committee = Committee::SMALLEST;
        let made = checkpoint(1, 2, from(0, 0), &[settled(0)]).unwrap();
        let mut ledger = Ledger::default();
        ledger.make(3, made.clone(), [7; 32], [3; 64], 100);
        ledger.take(1, [7; 32], [1; 64]);
        ledger.take(2, [8; 32], [2; 64]);
        assert_eq!(ledger.ready(committee, 3), None);
        ledger.take(2, [7; 32], [4; 64]);
        let (ready, certificate, at) = ledger.ready(committee, 3).unwrap();
        assert_eq!((ready, at), (made, 103));
        let expected = Certificate::new([(1, [1; 64]), (2, [4; 64]), (3, [3; 64])]);
        assert_eq!(certificate, expected);
        assert_eq!(ledger.own_signature(3), Some([3; 64]));

        // All sign, and the chain may choose.
        ledger.take(0, [7; 32], [5; 64]);
        let (_, certificate, _) = ledger.ready(committee, 3).unwrap();
        let signed = certificate.signed().map(|signed| signed.len());
        assert_eq!(signed, Some(4));
    }

    #[test]
    fn an_old_signature_takes_no_fitting_one_away() {
        let committee = Committee::SMALLEST;
        let made = checkpoint(1, 2, from(0, 0), &[settled(0)]).unwrap();
        let mut ledger = Ledger::default();
        ledger.make(3, made.clone(), [7; 32], [3; 64], 100);
        for member in [1, 2] {
            ledger.take(member, [7; 32], [member; 64]);
        }
        let ready = ledger.ready(committee, 3);
        assert!(ready.is_some());
        for member in [1, 2, 3] {
            ledger.take(member, [8; 32], [9; 64]);
        }
        assert_eq!(ledger.ready(committee, 3), ready);
        assert_eq!(ledger.own_signature(3), Some([3; 64]));

        // After the own one has changed, the others sign again.
        ledger.make(3, made, [6; 32], [4; 64], 101);
        assert_eq!(ledger.ready(committee, 3), None);
        for member in [1, 2] {
            ledger.take(member, [6; 32], [member; 64]);
        }
        assert!(ledger.ready(committee, 3).is_some());
    }
}
