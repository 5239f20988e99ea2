// SPDX-License-Identifier: Apache-2.0
//! A sealed value with shares that each member can verify.
//!
//! The value is encrypted under a key `k`. Each *split* divides `k` by Shamir, so that a quorum of
//! shares opens it and `2f` do not. There is a split for each [way](Way) in which a set is fixed.
//! The seal has the same bytes for all members and may be passed on: it commits to `k`, has a
//! *leaf* `H(place ‖ way ‖ share ‖ member)` for every share, a point `R = r·G`, and every share
//! under `H(place ‖ way ‖ member ‖ R ‖ r·X)`, `X` the member's key.
//!
//! A member takes a seal whose shares for it fit their leaves. Whoever has a quorum of fitting
//! shares of a split computes the polynomial, and from it all shares and all leaves again. Either
//! all are equal and `k` fits, or the value is spoiled: for everybody, whichever quorum of shares
//! it has. A member that got a bad share shows it by a [complaint](crate::complaint).
//!
//! The splits differ for a reason. Shares that open a value after the full set must not add to
//! shares that open it after a smaller set, nor those of one view to those of another. Otherwise
//! liars read values though no set is fixed. `offchain-inference/lane/sim` has the schedules.

use alloc::vec::Vec;

use chacha20poly1305::{
    aead::{Aead, Payload},
    KeyInit, XChaCha20Poly1305,
};
use codec::{Decode, DecodeWithMemTracking, Encode};
use curve25519_dalek::Scalar;
use scale_info::TypeInfo;

use crate::{
    complaint::Complaint,
    curve::{self, decompress},
    hashing,
    shamir::{self, Share},
    Account, Committee, Hash, Member, PerWay, Secret, Slot, Way,
};

pub use crate::curve::{is_point, DecryptionKey, Point};

const KEY: &[u8] = b"starling/lane-key/1";
const KEY_COMMITMENT: &[u8] = b"starling/lane-key-commitment/1";
const COEFFICIENT: &[u8] = b"starling/lane-coefficient/1";
const EPHEMERAL: &[u8] = b"starling/lane-ephemeral/1";
const LEAF: &[u8] = b"starling/lane-leaf/1";
const PAD: &[u8] = b"starling/lane-pad/1";
const NONCE: &[u8] = b"starling/lane-nonce/1";
const SEAL: &[u8] = b"starling/lane-seal/1";

/// The shares of one polynomial: element `j` is for member `j`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Split {
    /// `H(place ‖ way ‖ share ‖ member)`.
    pub leaves: Vec<Hash>,
    /// The encrypted shares.
    pub shares: Vec<Share>,
}

/// The place that a seal belongs to. Everything in it is bound to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct Place {
    /// The broadcast.
    pub slot: Slot,
    /// The hash of the ask that the sealer has answered. A requester that sends two asks under one
    /// number splits the seals, and a set of neither opens.
    pub ask: Hash,
    /// The account that seals the value.
    pub sealer: Account,
}

/// A sealed value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Seal {
    /// The broadcast that it belongs to.
    pub slot: Slot,
    /// The hash of the ask that it answers.
    pub ask: Hash,
    /// The account that sealed the value.
    pub sealer: Account,
    /// The value under `k`, with a tag.
    pub ciphertext: Vec<u8>,
    /// `H(slot ‖ ask ‖ sealer ‖ k)`.
    pub commitment: Hash,
    /// `R`.
    pub ephemeral: Point,
    /// The splits of `k`.
    pub splits: PerWay<Split>,
}

/// The reason why a value is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiled {
    /// The shares of the polynomial do not have the leaves of the seal.
    Leaves,
    /// The secret of the polynomial is not the key that the seal commits to.
    Key,
    /// The ciphertext does not open.
    Ciphertext,
}

/// The reason why a value was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// Fewer than a quorum of members have given a fitting share.
    TooFew,
    /// The value is spoiled.
    Spoiled(Spoiled),
}

/// An opened value, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// `k`.
    pub key: Secret,
    /// The value.
    pub value: Vec<u8>,
}

impl Seal {
    /// Seals a value for members with these keys, in the order of draws. `secret` has 32 fresh
    /// random bytes, from which everything follows: the same secret gives the same seal, byte for
    /// byte, and must never seal another value.
    ///
    /// `views` is the number of views of the broadcast. `None` if the number of keys does not fit
    /// the committee, or one of them is no point.
    pub fn new(
        committee: Committee,
        place: Place,
        keys: &[Point],
        views: u8,
        secret: &Secret,
        value: &[u8],
    ) -> Option<Self> {
        if keys.len() != usize::from(committee.n()) {
            return None;
        }
        let points: Vec<_> = keys.iter().map(decompress).collect::<Option<_>>()?;
        let key = hashing::hash(&(KEY, place, secret));
        let scalar = Scalar::from_bytes_mod_order_wide(&hashing::wide(&(EPHEMERAL, place, secret)));
        let ephemeral = curve::base(&scalar);
        let shared: Vec<Point> = points
            .iter()
            .map(|point| curve::times(point, &scalar))
            .collect();
        let head = Head { place, ephemeral };
        let splits = PerWay::new(views, |way| {
            let polynomial = head.polynomial(committee, secret, way, key);
            let (mut leaves, mut shares) = (Vec::new(), Vec::new());
            for (member, shared) in committee.members().zip(&shared) {
                let share = shamir::evaluate(&polynomial, shamir::point(member));
                leaves.push(head.leaf(way, member, &share));
                shares.push(xor(share, head.pad(way, member, shared)));
            }
            Split { leaves, shares }
        });
        let commitment = head.commitment(&key);
        let payload = Payload {
            msg: value,
            aad: &commitment,
        };
        let ciphertext = cipher(&key).encrypt(&head.nonce().into(), payload).ok()?;
        let Place { slot, ask, sealer } = place;
        Some(Self {
            slot,
            ask,
            sealer,
            ciphertext,
            commitment,
            ephemeral,
            splits,
        })
    }

    /// The name of this seal, which echoes and sets use.
    pub fn hash(&self) -> Hash {
        hashing::hash(&(SEAL, self))
    }

    /// Whether the seal has the form of one of this committee, in a broadcast with so many views: a
    /// share for each member in each split, and a point. Everybody sees that alike.
    pub fn is_well_formed(&self, committee: Committee, views: u8) -> bool {
        let n = usize::from(committee.n());
        let mut splits = self.splits.iter();
        self.splits.has_views(views)
            && splits.all(|(_, split)| split.leaves.len() == n && split.shares.len() == n)
            && decompress(&self.ephemeral).is_some()
    }

    /// The shares of a member; a complaint if one of them does not fit its leaf.
    ///
    /// `None` if the seal is not well formed.
    pub fn own_shares(
        &self,
        member: Member,
        key: &DecryptionKey,
    ) -> Option<Result<PerWay<Share>, Complaint>> {
        let shared = curve::times(&decompress(&self.ephemeral)?, &key.0);
        let shares = self.decrypt(member, &shared)?;
        if self.all_fit(member, &shares) {
            return Some(Ok(shares));
        }
        Complaint::new(self, member, key).map(Err)
    }

    /// The shares of a member by `r·X`.
    pub fn decrypt(&self, member: Member, shared: &Point) -> Option<PerWay<Share>> {
        let head = self.head();
        self.splits.try_map(|way, split| {
            let encrypted = split.shares.get(usize::from(member))?;
            Some(xor(*encrypted, head.pad(way, member, shared)))
        })
    }

    /// Whether these shares of a member fit their leaves.
    pub fn all_fit(&self, member: Member, shares: &PerWay<Share>) -> bool {
        let mut shares = shares.iter();
        shares.all(|(way, share)| self.fits(way, member, share))
    }

    /// Whether a share of a member fits its leaf.
    pub fn fits(&self, way: Way, member: Member, share: &Share) -> bool {
        self.splits
            .get(way)
            .and_then(|split| split.leaves.get(usize::from(member)))
            .is_some_and(|leaf| *leaf == self.head().leaf(way, member, share))
    }

    /// Opens the value by shares of one way. Shares that do not fit are left out, those of other
    /// ways among them, and so is the second one of a member.
    pub fn open(
        &self,
        committee: Committee,
        way: Way,
        shares: &[(Member, Share)],
    ) -> Result<Opened, Unopened> {
        let quorum = usize::from(committee.quorum());
        let mut fitting: Vec<(Member, Share)> = Vec::new();
        for (member, share) in shares {
            let known = fitting.iter().any(|(other, _)| other == member);
            if fitting.len() < quorum && !known && self.fits(way, *member, share) {
                fitting.push((*member, *share));
            }
        }
        if fitting.len() < quorum {
            return Err(Unopened::TooFew);
        }
        self.open_by(committee, way, &fitting)
            .map_err(Unopened::Spoiled)
    }

    /// Opens the value by the polynomial through these shares.
    fn open_by(
        &self,
        committee: Committee,
        way: Way,
        shares: &[(Member, Share)],
    ) -> Result<Opened, Spoiled> {
        let all_fit = committee.members().all(|member| {
            shamir::interpolate(shares, shamir::point(member))
                .is_some_and(|share| self.fits(way, member, &share))
        });
        if !all_fit {
            return Err(Spoiled::Leaves);
        }
        let key = shamir::interpolate(shares, 0).ok_or(Spoiled::Leaves)?;
        let value = self.open_with(&key)?;
        Ok(Opened { key, value })
    }

    /// Opens the value with its key: by whoever knows the key from elsewhere, such as a transcript.
    pub fn open_with(&self, key: &Secret) -> Result<Vec<u8>, Spoiled> {
        let head = self.head();
        if head.commitment(key) != self.commitment {
            return Err(Spoiled::Key);
        }
        let payload = Payload {
            msg: self.ciphertext.as_slice(),
            aad: &self.commitment,
        };
        cipher(key)
            .decrypt(&head.nonce().into(), payload)
            .map_err(|_| Spoiled::Ciphertext)
    }

    fn head(&self) -> Head {
        let place = Place {
            slot: self.slot,
            ask: self.ask,
            sealer: self.sealer,
        };
        Head {
            place,
            ephemeral: self.ephemeral,
        }
    }
}

/// The part of a seal before its splits, to which everything in it is bound.
struct Head {
    place: Place,
    ephemeral: Point,
}

impl Head {
    fn leaf(&self, way: Way, member: Member, share: &Share) -> Hash {
        hashing::hash(&(LEAF, self.place, way, share, member))
    }

    fn pad(&self, way: Way, member: Member, shared: &Point) -> Share {
        hashing::hash(&(PAD, self.place, way, member, self.ephemeral, shared))
    }

    /// `H(slot ‖ ask ‖ sealer ‖ k)`. The cipher takes it as associated data, so that slot, ask and
    /// sealer bind the value.
    fn commitment(&self, key: &Secret) -> Hash {
        hashing::hash(&(KEY_COMMITMENT, self.place, key))
    }

    /// A key seals only one value, so the nonce need not be random.
    fn nonce(&self) -> [u8; 24] {
        let hash = hashing::hash(&(NONCE, self.place));
        let mut nonce = [0; 24];
        for (to, from) in nonce.iter_mut().zip(hash) {
            *to = from;
        }
        nonce
    }

    /// The coefficients of a split: `key`, and `quorum − 1` secrets.
    fn polynomial(
        &self,
        committee: Committee,
        secret: &Secret,
        way: Way,
        key: Secret,
    ) -> Vec<Secret> {
        let coefficient = |power: u8| hashing::hash(&(COEFFICIENT, self.place, way, power, secret));
        let others = (1..committee.quorum()).map(coefficient);
        core::iter::once(key).chain(others).collect()
    }
}

fn cipher(key: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

fn xor(mut share: Share, pad: Share) -> Share {
    for (to, from) in share.iter_mut().zip(pad) {
        *to ^= from;
    }
    share
}
