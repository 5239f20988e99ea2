// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::BoundedVec;
use scale_info::TypeInfo;
use sp_runtime::traits::ConstU32;
use starling_attestation::{
    Basis, Item, Kind, Status, MAX_ADVISORIES, MAX_ADVISORY, MAX_COLLATERAL,
};
use starling_primitives::{round::BlockNumber, InferenceKey, H256};

/// Maximum length of the serial number of a certificate, in bytes.
const MAX_SERIAL: u32 = 21;

/// The name of an advisory of a vendor.
pub type Advisory = BoundedVec<u8, ConstU32<{ MAX_ADVISORY as u32 }>>;
/// The advisories for a platform.
pub type Advisories = BoundedVec<Advisory, ConstU32<{ MAX_ADVISORIES as u32 }>>;

/// A checked item of collateral.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Stored {
    /// The list, the document, or the key.
    pub body: BoundedVec<u8, ConstU32<{ MAX_COLLATERAL as u32 }>>,
    /// The serial number of the certificate that vouches for it.
    pub signer: BoundedVec<u8, ConstU32<MAX_SERIAL>>,
    /// The second in which it was issued.
    pub issued: u64,
    /// The last second in which it counts.
    pub until: u64,
    /// The number of the event that it knows of; zero for lists and keys.
    pub evaluation: u32,
}

impl Stored {
    /// `None` if the item is larger than an item may be.
    pub(crate) fn new(item: Item) -> Option<Self> {
        Some(Self {
            body: item.body.try_into().ok()?,
            signer: item.signer.try_into().ok()?,
            issued: item.issued,
            until: item.until,
            evaluation: item.evaluation,
        })
    }

    /// Whether it may take the place of `other`: it is issued later, and knows of no fewer events.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.issued > other.issued && self.evaluation >= other.evaluation
    }
}

impl From<Stored> for Item {
    fn from(stored: Stored) -> Self {
        Self {
            body: stored.body.into_inner(),
            signer: stored.signer.into_inner(),
            issued: stored.issued,
            until: stored.until,
            evaluation: stored.evaluation,
        }
    }
}

/// An agent's words on its measured code, which the quote must be bound to.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Claim {
    /// The identity of its node in the peer-to-peer network: a public key on Ed25519.
    pub peer: [u8; 32],
    /// The key on X25519 to which hidden states are sealed for it.
    pub hop_key: [u8; 32],
    /// A recent block, whose hash the quote knows.
    pub block: BlockNumber,
}

/// An agent's attestation.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Attestation {
    /// The technology.
    pub kind: Kind,
    /// The hash of what was measured.
    pub measurement: H256,
    /// The inference key, which never left the measured code.
    pub key: InferenceKey,
    /// The hash of the model's file.
    pub model: H256,
    /// The agent's words besides.
    pub claim: Claim,
    /// The hash of the platform's name.
    pub platform: H256,
    /// The state of the platform's firmware.
    pub status: Status,
    /// The vendor's advisories for the platform.
    pub advisories: Advisories,
    /// The ground of the status.
    pub basis: Basis,
    /// The block of the attestation.
    pub at: BlockNumber,
    /// The last block in which it counts.
    pub until: BlockNumber,
}
