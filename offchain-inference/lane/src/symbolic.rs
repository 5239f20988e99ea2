// SPDX-License-Identifier: Apache-2.0
//! Seals without cryptography, for the explorer and the simulator.

use starling_lane_primitives::{messages::Named, Hash, Member};

use crate::cipher::{Cipher, Own};

/// A seal without cryptography.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seal {
    /// The member that sealed it.
    pub sealer: Member,
    /// Which of its values it is.
    pub variant: u8,
    /// The members whose shares are bad: bit `i` for member `i`.
    pub bad: u16,
}

impl Seal {
    /// The name of this seal.
    pub fn name(self) -> Hash {
        let mut name = [0; 32];
        let bytes = [self.sealer, self.variant]
            .into_iter()
            .chain(self.bad.to_le_bytes());
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = from;
        }
        name
    }

    /// The entry of a set with this seal.
    pub fn named(self) -> Named {
        Named {
            member: self.sealer,
            seal: Some(self.name()),
        }
    }

    /// Whether the share of a member is bad.
    pub fn is_bad_for(self, member: Member) -> bool {
        let bit = 1u16.checked_shl(member.into()).unwrap_or(0);
        self.bad & bit != 0
    }
}

/// A share, a complaint, or bytes that are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// The share of a member in a split of a seal.
    Share(Seal, u8, Member),
    /// The complaint of a member about a seal.
    Complaint(Seal, Member),
    /// Something else.
    Rubbish,
}

/// The cipher of a member.
#[derive(Clone, Copy, Debug)]
pub struct Symbolic {
    /// The member.
    pub me: Member,
}

impl Cipher for Symbolic {
    type Seal = Seal;
    type Piece = Piece;

    fn name(&self, seal: &Seal) -> Hash {
        seal.name()
    }

    fn own(&self, seal: &Seal, split: u8) -> Own<Piece> {
        if seal.is_bad_for(self.me) {
            Own::Complaint(Piece::Complaint(*seal, self.me))
        } else {
            Own::Share(Piece::Share(*seal, split, self.me))
        }
    }

    fn fits(&self, seal: &Seal, split: u8, from: Member, piece: &Piece) -> bool {
        *piece == Piece::Share(*seal, split, from) && !seal.is_bad_for(from)
    }

    fn complains(&self, seal: &Seal, from: Member, piece: &Piece) -> bool {
        *piece == Piece::Complaint(*seal, from) && seal.is_bad_for(from)
    }
}
