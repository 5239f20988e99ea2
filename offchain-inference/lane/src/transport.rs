// SPDX-License-Identifier: Apache-2.0
//! The network of a node, as the lane uses it.

use std::{collections::BTreeSet, sync::Weak};

/// The ed25519 public key of a node's network identity.
pub type Peer = [u8; 32];

/// The largest message, in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;

/// Carries messages between the nodes of members and requesters. No call blocks.
pub trait Transport: Send + Sync {
    /// The key of this node.
    fn local(&self) -> Option<Peer>;

    /// Keeps links to these peers open, and to no other.
    fn reserve(&self, peers: BTreeSet<Peer>);

    /// Whether the link to a peer is open.
    fn is_open(&self, peer: &Peer) -> bool;

    /// Sends a message. Returns false if it is lost: there is no open link, or no room in its
    /// queue.
    fn send(&self, to: &Peer, message: Vec<u8>) -> bool;

    /// Gives incoming messages to `inbox`, once and for all.
    fn attach(&self, inbox: Weak<dyn Inbox>);
}

/// Takes messages. No call may block.
pub trait Inbox: Send + Sync {
    /// The link to a peer was opened, perhaps once more.
    fn opened(&self, peer: Peer);

    /// A message came. The link says who sent it. Returns false if there is no room for it.
    fn message(&self, from: Peer, message: Vec<u8>) -> bool;
}
