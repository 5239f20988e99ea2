// SPDX-License-Identifier: Apache-2.0
//! Statements of agents, and the bytes under their signatures.
//!
//! Every signature is over SCALE of `(DOMAIN, network, signer's peer, other peer, body)`. So no
//! signature is valid on another chain, from another node, or towards another node. Signatures are
//! sr25519 in the context `substrate`, the form that keystores make.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{Account, Key, Peer};

/// Prefix of all signed bytes.
pub const DOMAIN: &[u8] = b"starling/shards/v1";

/// The context of signatures that Substrate's keystores make.
#[cfg(feature = "std")]
const CONTEXT: &[u8] = b"substrate";

/// This node's own agent.
pub trait Identity: Send + Sync + 'static {
    /// Its account, if the node has an agent.
    fn account(&self) -> Option<Account>;

    /// Its inference key.
    fn key(&self) -> Option<Key>;

    /// Signs with that key, in the context `substrate`.
    fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;
}

/// The bytes that are signed for `body`.
pub fn signed_bytes(
    network: &[u8; 32],
    signer: &Peer,
    other: Option<&Peer>,
    body: &[u8],
) -> Vec<u8> {
    let other = other.map(Peer::as_bytes);
    (DOMAIN, network, signer.as_bytes(), other, body).encode()
}

/// Whether `signature` over `message` was made with `key`.
#[cfg(feature = "std")]
pub fn verify(key: &Key, message: &[u8], signature: &[u8; 64]) -> bool {
    use schnorrkel::{PublicKey, Signature};

    let (Ok(key), Ok(signature)) = (PublicKey::from_bytes(key), Signature::from_bytes(signature))
    else {
        return false;
    };
    key.verify_simple(CONTEXT, message, &signature).is_ok()
}

/// A type of content that an agent signs.
pub trait Statement: Encode {
    /// Separates statements of different kinds.
    const PURPOSE: &'static [u8];
}

/// A statement with its signer.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Signed<T> {
    /// The agent's account.
    pub account: Account,
    /// The agent's inference key.
    pub key: Key,
    /// The statement.
    pub body: T,
    /// Signature over purpose, account, key and body; see [`signed_bytes`].
    pub signature: [u8; 64],
}

impl<T: Statement> Signed<T> {
    /// Signs `body` as `identity`, on the node `signer`, towards `other` or towards everyone.
    /// Returns `None` if the node has no agent or its key is gone.
    pub fn new(
        body: T,
        identity: &dyn Identity,
        network: &[u8; 32],
        signer: &Peer,
        other: Option<&Peer>,
    ) -> Option<Self> {
        let (account, key) = (identity.account()?, identity.key()?);
        let message = message(&account, &key, &body, network, signer, other);
        let signature = identity.sign(&message)?;
        Some(Self {
            account,
            key,
            body,
            signature,
        })
    }

    /// The bytes that were signed, if the signature is genuine.
    pub fn message(&self, network: &[u8; 32], signer: &Peer, other: Option<&Peer>) -> Vec<u8> {
        message(&self.account, &self.key, &self.body, network, signer, other)
    }

    /// Whether the signature was made with `key`, on the node `signer`, towards `other` or
    /// everyone.
    #[cfg(feature = "std")]
    pub fn is_genuine(&self, network: &[u8; 32], signer: &Peer, other: Option<&Peer>) -> bool {
        let message = self.message(network, signer, other);
        verify(&self.key, &message, &self.signature)
    }
}

fn message<T: Statement>(
    account: &Account,
    key: &Key,
    body: &T,
    network: &[u8; 32],
    signer: &Peer,
    other: Option<&Peer>,
) -> Vec<u8> {
    let body = (T::PURPOSE, account, key, body).encode();
    signed_bytes(network, signer, other, &body)
}
