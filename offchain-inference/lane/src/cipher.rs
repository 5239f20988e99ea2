// SPDX-License-Identifier: Apache-2.0
//! Seals, as the state machine needs them.

use std::{fmt::Debug, hash::Hash};

use starling_lane_primitives::{
    complaint::Complaint,
    seal::{DecryptionKey, Point, Seal},
    Committee, Hash as Digest, Member, Way,
};

/// Seals, and what members give to open them. The state machine never opens a value.
pub trait Cipher {
    /// A sealed value.
    type Seal: Clone + Debug + Eq + Hash + Ord;
    /// A share that opens a value, or the proof that the member got none that fits.
    type Piece: Clone + Debug + Eq + Hash + Ord;

    /// The name of a seal.
    fn name(&self, seal: &Self::Seal) -> Digest;

    /// Whether a seal has all its parts. Everybody sees that, a requester without a share, too.
    fn is_well_formed(&self, seal: &Self::Seal) -> bool;

    /// This member's part to open a seal in a way. If one of its shares is bad, of whatever
    /// way, that is a complaint.
    fn own(&self, seal: &Self::Seal, way: Way) -> Own<Self::Piece>;

    /// Whether a piece of a member is a share for this way that fits.
    fn fits(&self, seal: &Self::Seal, way: Way, from: Member, piece: &Self::Piece) -> bool;

    /// Whether a piece of a member is a justified complaint.
    fn complains(&self, seal: &Self::Seal, from: Member, piece: &Self::Piece) -> bool;
}

/// A member's part for a seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own<Piece> {
    /// A share.
    Share(Piece),
    /// A complaint: the share does not fit.
    Complaint(Piece),
    /// Nothing: the seal is malformed, and everybody sees it.
    Malformed,
}

/// A seal and its pieces with real cryptography.
pub struct Sealed {
    committee: Committee,
    me: Member,
    key: DecryptionKey,
    keys: Vec<Point>,
    views: u8,
}

impl Sealed {
    /// The cipher of a member with this key, in a committee with these public keys, for broadcasts
    /// with so many views.
    pub fn new(
        committee: Committee,
        me: Member,
        key: DecryptionKey,
        keys: Vec<Point>,
        views: u8,
    ) -> Self {
        Self {
            committee,
            me,
            key,
            keys,
            views,
        }
    }
}

/// A seal in the order of its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ordered(pub Seal);

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.hash().cmp(&other.0.hash())
    }
}

/// A share, or the parts of a complaint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// A share.
    Share([u8; 32]),
    /// `D`, challenge and response.
    Complaint([[u8; 32]; 3]),
}

impl Cipher for Sealed {
    type Seal = Ordered;
    type Piece = Piece;

    fn name(&self, seal: &Ordered) -> Digest {
        seal.0.hash()
    }

    fn is_well_formed(&self, seal: &Ordered) -> bool {
        seal.0.is_well_formed(self.committee, self.views)
    }

    fn own(&self, seal: &Ordered, way: Way) -> Own<Piece> {
        if !self.is_well_formed(seal) {
            return Own::Malformed;
        }
        match seal.0.own_shares(self.me, &self.key) {
            Some(Ok(shares)) => match shares.get(way) {
                Some(share) => Own::Share(Piece::Share(*share)),
                None => Own::Malformed,
            },
            Some(Err(complaint)) => Own::Complaint(Piece::Complaint([
                complaint.shared,
                complaint.challenge,
                complaint.response,
            ])),
            None => Own::Malformed,
        }
    }

    fn fits(&self, seal: &Ordered, way: Way, from: Member, piece: &Piece) -> bool {
        match piece {
            Piece::Share(share) => seal.0.fits(way, from, share),
            Piece::Complaint(_) => false,
        }
    }

    fn complains(&self, seal: &Ordered, from: Member, piece: &Piece) -> bool {
        let Piece::Complaint([shared, challenge, response]) = piece else {
            return false;
        };
        let complaint = Complaint {
            member: from,
            shared: *shared,
            challenge: *challenge,
            response: *response,
        };
        self.keys
            .get(usize::from(from))
            .is_some_and(|public| complaint.is_justified(&seal.0, public))
    }
}
