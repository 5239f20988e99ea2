// SPDX-License-Identifier: Apache-2.0
//! The bytes that are signed, and the pairs that nobody may sign.

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

use crate::{
    complaint::Complaint, hashing, shamir::Share, Account, Balance, Form, Hash, Member, Slot, Way,
};

const MESSAGE: &[u8] = b"starling/lane/1";
const ASK: &[u8] = b"starling/lane-ask/1";

/// The request of a lane, signed by its requester.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Ask {
    /// The hash of the chain's genesis block.
    pub genesis: Hash,
    /// The number of the lane.
    pub lane: u64,
    /// The epoch, whose committee answers.
    pub epoch: u32,
    /// The number of the request in this epoch.
    pub seq: u32,
    /// The prompt.
    pub prompt: Vec<u8>,
    /// The maximum length of a response.
    pub max_tokens: u32,
    /// The form of the answers. In all but the free one, equal answers are counted.
    pub form: Form,
    /// The fee.
    pub fee: Balance,
    /// The block from which on no member signs anything more for this request.
    pub expiry: u32,
}

impl Ask {
    /// The signed payload, and the name of the request in its outcome.
    pub fn hash(&self) -> Hash {
        hashing::hash(&(ASK, self))
    }
}

/// A member of a set with the hash of its seal; without one for a signed pass.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
)]
pub struct Named {
    /// The member.
    pub member: Member,
    /// The hash of its seal.
    pub seal: Option<Hash>,
}

/// A member's shares that open a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Piece {
    /// Its share.
    #[codec(index = 0)]
    Share(Share),
    /// The proof that it got none that fits.
    #[codec(index = 1)]
    Complaint(Complaint),
}

/// A message of a member. What travels beside it, such as the seal itself, is bound by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Message {
    /// A seal.
    #[codec(index = 0)]
    Seal(Hash),
    /// The member will seal nothing.
    #[codec(index = 1)]
    Pass,
    /// The shares of all values of a set, in the order of its members.
    #[codec(index = 2)]
    Open {
        /// The way in which the set was fixed.
        way: Way,
        /// The root of the set.
        set: Hash,
        /// A piece for each seal of the set.
        pieces: Vec<Piece>,
    },
    /// The member opens no full set any more, and names what it has.
    #[codec(index = 3)]
    Echo {
        /// The view.
        view: u8,
        /// The seals and passes that it has.
        named: Vec<Named>,
        /// The set that it opened last, with the way in which that was fixed.
        opened: Option<(Way, Hash)>,
    },
    /// The collector fixes a set.
    #[codec(index = 4)]
    Set {
        /// The view.
        view: u8,
        /// The root of the set.
        set: Hash,
        /// The hash of the quorum of signed echoes from which it follows.
        echoes: Hash,
    },
    /// The outcome of the request.
    #[codec(index = 5)]
    Vote(Hash),
}

impl Message {
    /// The topic of which the member speaks once in a slot; `None` for messages that it may repeat
    /// with other contents. Votes are one a request, whatever the phase in their slot.
    fn topic(&self) -> Option<(u8, u8)> {
        match self {
            Self::Seal(_) | Self::Pass => Some((0, 0)),
            Self::Open { .. } => None,
            Self::Echo { view, .. } => Some((1, *view)),
            Self::Set { view, .. } => Some((2, *view)),
            Self::Vote(_) => Some((3, 0)),
        }
    }
}

/// The signed payload of a message.
pub fn payload(slot: &Slot, sender: &Account, message: &Message) -> Hash {
    hashing::hash(&(MESSAGE, slot, sender, message))
}

/// Whether one account that has signed both messages has equivocated.
///
/// A pass beside a seal is a second value like a second seal: with either, two members could open
/// two full sets.
pub fn is_equivocation(a: (&Slot, &Message), b: (&Slot, &Message)) -> bool {
    let ((slot, first), (other_slot, second)) = (a, b);
    let same_request = slot.genesis == other_slot.genesis
        && slot.lane == other_slot.lane
        && slot.epoch == other_slot.epoch
        && slot.seq == other_slot.seq;
    let same_phase = slot.phase == other_slot.phase || matches!(first, Message::Vote(_));
    let topic = first.topic();
    same_request && same_phase && topic.is_some() && topic == second.topic() && first != second
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Phase;

    const SLOT: Slot = Slot {
        genesis: [1; 32],
        lane: 2,
        epoch: 3,
        seq: 4,
        phase: Phase::Responses,
    };

    fn echo(view: u8, seal: u8) -> Message {
        Message::Echo {
            view,
            named: vec![Named {
                member: 0,
                seal: Some([seal; 32]),
            }],
            opened: None,
        }
    }

    fn set(view: u8, set: u8) -> Message {
        Message::Set {
            view,
            set: [set; 32],
            echoes: [0; 32],
        }
    }

    fn open(set: u8) -> Message {
        Message::Open {
            way: Way::Full,
            set: [set; 32],
            pieces: Vec::new(),
        }
    }

    #[test]
    fn two_values_of_one_slot_are_an_equivocation() {
        let pairs = [
            (Message::Seal([0; 32]), Message::Seal([1; 32])),
            (Message::Seal([0; 32]), Message::Pass),
            (echo(0, 1), echo(0, 2)),
            (set(1, 1), set(1, 2)),
            (Message::Vote([0; 32]), Message::Vote([1; 32])),
        ];
        for (a, b) in pairs {
            assert!(is_equivocation((&SLOT, &a), (&SLOT, &b)), "{a:?} {b:?}");
            assert!(!is_equivocation((&SLOT, &a), (&SLOT, &a)));
            let later = Slot { seq: 5, ..SLOT };
            assert!(!is_equivocation((&SLOT, &a), (&later, &b)));
        }
    }

    #[test]
    fn an_honest_member_may_open_two_sets_and_echo_in_two_views() {
        let pairs = [
            (open(1), open(2)),
            (echo(0, 1), echo(1, 2)),
            (set(0, 1), set(1, 2)),
            (Message::Seal([0; 32]), echo(0, 1)),
        ];
        for (a, b) in pairs {
            assert!(!is_equivocation((&SLOT, &a), (&SLOT, &b)), "{a:?} {b:?}");
        }
    }

    #[test]
    fn phases_are_apart_but_for_votes() {
        let scores = Slot {
            phase: Phase::Scores,
            ..SLOT
        };
        let seals = (Message::Seal([0; 32]), Message::Seal([1; 32]));
        assert!(!is_equivocation((&SLOT, &seals.0), (&scores, &seals.1)));
        let votes = (Message::Vote([0; 32]), Message::Vote([1; 32]));
        assert!(is_equivocation((&SLOT, &votes.0), (&scores, &votes.1)));
    }

    #[test]
    fn a_signature_is_bound_to_slot_sender_and_message() {
        let message = Message::Pass;
        let bytes = payload(&SLOT, &[1; 32], &message);
        let later = Slot { seq: 5, ..SLOT };
        assert_ne!(bytes, payload(&later, &[1; 32], &message));
        assert_ne!(bytes, payload(&SLOT, &[2; 32], &message));
        assert_ne!(bytes, payload(&SLOT, &[1; 32], &Message::Vote([0; 32])));
    }
}
