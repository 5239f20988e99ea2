// SPDX-License-Identifier: Apache-2.0
//! The identity of a node.

use alloc::{vec, vec::Vec};
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, Input, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

/// Maximum size of a peer's identity in a message, in bytes. Those of libp2p have 38 or 34.
pub const MAX_PEER: usize = 64;

/// A node of the network: the bytes of its p2p identity (`PeerId::to_bytes`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, TypeInfo)]
pub struct Peer(Vec<u8>);

impl Decode for Peer {
    /// Refuses an identity of more than [`MAX_PEER`] bytes before it takes memory.
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let Compact(len) = Compact::<u32>::decode(input)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > MAX_PEER {
            return Err("the peer's identity is too long".into());
        }
        let mut bytes = vec![0; len];
        input.read(&mut bytes)?;
        Ok(Self(bytes))
    }
}

// Its memory is bounded.
impl DecodeWithMemTracking for Peer {}

impl MaxEncodedLen for Peer {
    fn max_encoded_len() -> usize {
        // The length takes two bytes from 64 on.
        MAX_PEER.saturating_add(2)
    }
}

impl Peer {
    /// From the identity's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The identity's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Shows the last eight bytes in hexadecimal, because identities of one kind begin alike.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.len().saturating_sub(8);
        self.0
            .iter()
            .skip(start)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({self})")
    }
}
