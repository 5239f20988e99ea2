// SPDX-License-Identifier: Apache-2.0
//! The proof that a member got a bad share.
//!
//! The member shows `D = r·X` with a proof of equal logarithms (Chaum and Pedersen):
//! `log_G X = log_R D`. With `D` everybody decrypts the shares of this member alone, and sees
//! whether they fit their leaves. The proof tells nothing else of the member's key.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use curve25519_dalek::Scalar;
use scale_info::TypeInfo;

use crate::{
    curve::{self, decompress, DecryptionKey, Point},
    hashing,
    seal::Seal,
    Member,
};

const NONCE: &[u8] = b"starling/lane-complaint-nonce/1";
const CHALLENGE: &[u8] = b"starling/lane-complaint/1";

/// The complaint of a member about its shares in a seal.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Complaint {
    /// The member.
    pub member: Member,
    /// `D = r·X`.
    pub shared: Point,
    /// The challenge of the proof.
    pub challenge: [u8; 32],
    /// The response of the proof.
    pub response: [u8; 32],
}

impl Complaint {
    /// The complaint of a member, whether or not it is justified. `None` if the seal has no point.
    pub fn new(seal: &Seal, member: Member, key: &DecryptionKey) -> Option<Self> {
        let ephemeral = decompress(&seal.ephemeral)?;
        let public = key.public();
        let shared = curve::times(&ephemeral, &key.0);
        // A nonce by hash repeats only where everything else does.
        let secret = key.0.to_bytes();
        let wide = hashing::wide(&(NONCE, secret, seal.hash(), member));
        let nonce = Scalar::from_bytes_mod_order_wide(&wide);
        let commitments = [curve::base(&nonce), curve::times(&ephemeral, &nonce)];
        let challenge = challenge(seal, member, &public, &shared, &commitments);
        let response = curve::respond(&nonce, &challenge, &key.0);
        Some(Self {
            member,
            shared,
            challenge: challenge.to_bytes(),
            response: response.to_bytes(),
        })
    }

    /// Whether the complaint holds: `D` belongs to the member with this public key, and a share
    /// that it decrypts does not fit its leaf.
    pub fn is_justified(&self, seal: &Seal, public: &Point) -> bool {
        self.is_proved(seal, public)
            && seal
                .decrypt(self.member, &self.shared)
                .is_some_and(|shares| !seal.all_fit(self.member, &shares))
    }

    fn is_proved(&self, seal: &Seal, public: &Point) -> bool {
        self.commitments(seal, public).is_some_and(|commitments| {
            let expected = challenge(seal, self.member, public, &self.shared, &commitments);
            expected.to_bytes() == self.challenge
        })
    }

    /// `s·G − c·X` and `s·R − c·D`.
    fn commitments(&self, seal: &Seal, public: &Point) -> Option<[Point; 2]> {
        let challenge = scalar(&self.challenge)?;
        let response = scalar(&self.response)?;
        let shared = decompress(&self.shared)?;
        let ephemeral = decompress(&seal.ephemeral)?;
        let public = decompress(public)?;
        Some([
            curve::commit(&response, None, &challenge, &public),
            curve::commit(&response, Some(&ephemeral), &challenge, &shared),
        ])
    }
}

fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(*bytes).into()
}

fn challenge(
    seal: &Seal,
    member: Member,
    public: &Point,
    shared: &Point,
    commitments: &[Point; 2],
) -> Scalar {
    let wide = hashing::wide(&(CHALLENGE, seal.hash(), member, public, shared, commitments));
    Scalar::from_bytes_mod_order_wide(&wide)
}
