// SPDX-License-Identifier: Apache-2.0
//! Seals without cryptography, for the explorer and the simulator.

use starling_lane::{
    cipher::{Cipher, Own},
    contents::Contents,
};
use starling_lane_primitives::{messages::Named, Hash, Member, Way};

/// A seal without cryptography.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seal {
    /// The member that sealed it.
    pub sealer: Member,
    /// Number among its values.
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

/// Number of polynomials that split a key.
///
/// Seals have one for each way, and no other choice. The others are earlier designs, with which the
/// explorer finds schedules that break an invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splits {
    /// One: amendment A2 of the design.
    One,
    /// One for the full set, and one for the sets of all collectors: amendment A3.
    FullAndSets,
    /// One for the full set, and one for each view.
    PerWay,
}

impl Splits {
    /// The first of the ways that share a polynomial with this one.
    pub fn polynomial(self, way: Way) -> Way {
        match (self, way) {
            (Self::One, _) | (_, Way::Full) => Way::Full,
            (Self::FullAndSets, Way::View(_)) => Way::View(0),
            (Self::PerWay, way) => way,
        }
    }
}

/// A share, a complaint, or bytes that are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// The share of a member in a seal, of the polynomial of this way.
    Share(Seal, Way, Member),
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
    /// The polynomials of a key.
    pub splits: Splits,
}

impl Symbolic {
    /// The share of a member in a seal.
    pub fn share(&self, seal: Seal, way: Way, of: Member) -> Piece {
        Piece::Share(seal, self.splits.polynomial(way), of)
    }
}

impl Cipher for Symbolic {
    type Seal = Seal;
    type Piece = Piece;

    fn name(&self, seal: &Seal) -> Hash {
        seal.name()
    }

    fn is_well_formed(&self, _: &Seal) -> bool {
        true
    }

    fn own(&self, seal: &Seal, way: Way) -> Own<Piece> {
        if seal.is_bad_for(self.me) {
            Own::Complaint(Piece::Complaint(*seal, self.me))
        } else {
            Own::Share(self.share(*seal, way, self.me))
        }
    }

    fn fits(&self, seal: &Seal, way: Way, from: Member, piece: &Piece) -> bool {
        *piece == self.share(*seal, way, from) && !seal.is_bad_for(from)
    }

    fn complains(&self, seal: &Seal, from: Member, piece: &Piece) -> bool {
        *piece == Piece::Complaint(*seal, from) && seal.is_bad_for(from)
    }
}

/// A set for people: `0.a 1.a 3.b` are the first seals of members 0 and 1, the second of member 3.
pub fn describe(set: &Contents) -> String {
    let names: Vec<String> = set.iter().map(describe_name).collect();
    format!("{{{}}}", names.join(" "))
}

/// An entry of a set for people.
pub fn describe_name(named: &Named) -> String {
    let variant = match named.seal {
        Some([_, 0, ..]) => "a",
        Some([_, 1, ..]) => "b",
        Some(_) => "late",
        None => "pass",
    };
    format!("{}.{variant}", named.member)
}
