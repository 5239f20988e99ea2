// SPDX-License-Identifier: Apache-2.0
//! Who speaks: agents, their inference keys, and what they sign.
//!
//! Every signature is over SCALE of `(DOMAIN, network, signer's peer, other peer, body)`, so that
//! none is good on another chain, from another node, or towards another node. It is sr25519 in the
//! context `substrate`, as keystores make it.

use codec::Encode;
use schnorrkel::{PublicKey, Signature};

use crate::transport::Peer;

/// What all signed bytes begin with.
pub const DOMAIN: &[u8] = b"starling/shards/v1";

/// The context of signatures that Substrate's keystores make.
const CONTEXT: &[u8] = b"substrate";

/// An account's bytes.
pub type Account = [u8; 32];
/// An sr25519 public key.
pub type Key = [u8; 32];

/// An agent as the chain knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRecord {
    /// Its account.
    pub account: Account,
    /// Its inference key.
    pub key: Key,
    /// Its bond, in the smallest unit of the currency.
    pub bond: u128,
    /// Its rating: weight of its votes, at least 0.
    pub rating: f64,
    /// Whether it takes part in rounds: bonded enough, and not leaving.
    pub active: bool,
}

/// What the chain knows about agents, and its clock.
pub trait Directory: Send + Sync + 'static {
    /// An agent.
    fn agent(&self, account: &Account) -> Option<AgentRecord>;

    /// Hash of the genesis block.
    fn network(&self) -> [u8; 32];

    /// Milliseconds since the epoch of Unix.
    fn now(&self) -> u64;
}

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

/// Whether `signature` over `message` is by `key`.
pub fn verify(key: &Key, message: &[u8], signature: &[u8; 64]) -> bool {
    let (Ok(key), Ok(signature)) = (PublicKey::from_bytes(key), Signature::from_bytes(signature))
    else {
        return false;
    };
    key.verify_simple(CONTEXT, message, &signature).is_ok()
}
