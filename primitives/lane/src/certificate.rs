// SPDX-License-Identifier: Apache-2.0
//! The signatures of a quorum.

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

use crate::Member;

/// An sr25519 signature.
pub type Signature = [u8; 64];

/// Signatures of members of one committee under one payload.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Certificate {
    /// One signature of each member.
    #[codec(index = 0)]
    Sr25519 {
        /// The signers: bit `i` is member `i`.
        signers: u16,
        /// Their signatures, in the order of members.
        signatures: Vec<Signature>,
    },
}

impl Certificate {
    /// A certificate of these signatures. A member that comes twice counts once, with its last one.
    pub fn new(signatures: impl IntoIterator<Item = (Member, Signature)>) -> Self {
        let sorted: alloc::collections::BTreeMap<_, _> = signatures.into_iter().collect();
        let signers = sorted
            .keys()
            .filter_map(|member| 1u16.checked_shl((*member).into()))
            .fold(0, |signers, bit| signers | bit);
        Self::Sr25519 {
            signers,
            signatures: sorted.into_values().collect(),
        }
    }

    /// Each signer once, with its signature; `None` if there are more signatures than signers, or
    /// fewer.
    pub fn signed(&self) -> Option<Vec<(Member, &Signature)>> {
        let Self::Sr25519 {
            signers,
            signatures,
        } = self;
        let members: Vec<Member> = (0u8..16)
            .filter(|member| signers.checked_shr((*member).into()).unwrap_or(0) & 1 == 1)
            .collect();
        (members.len() == signatures.len()).then(|| members.into_iter().zip(signatures).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_signs_once() {
        let certificate = Certificate::new([(3, [3; 64]), (1, [1; 64]), (3, [4; 64])]);
        assert_eq!(
            certificate.signed(),
            Some(vec![(1, &[1; 64]), (3, &[4; 64])])
        );
        let Certificate::Sr25519 { signatures, .. } = certificate;
        let twice = Certificate::Sr25519 {
            signers: 1 << 3,
            signatures,
        };
        assert_eq!(twice.signed(), None);
    }
}
