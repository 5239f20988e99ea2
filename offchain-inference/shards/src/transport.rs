// SPDX-License-Identifier: Apache-2.0
//! How nodes that hold spans reach each other. Bytes in, bytes out; knows no model.

use std::{fmt, sync::Weak, time::Duration};

/// SHA-256 of a model's GGUF file.
pub type ModelId = [u8; 32];

/// A node of the network: the bytes of its p2p identity (`PeerId::to_bytes`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(Vec<u8>);

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

/// The last eight bytes in hexadecimal: identities of one kind begin alike.
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

/// Why bytes did not get through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There is no connection to the peer, or it broke.
    #[error("peer {0} is not connected")]
    Disconnected(Peer),
    /// The peer did not answer, or did not take what was sent, in time.
    #[error("peer {0} did not answer in time")]
    Timeout(Peer),
    /// The payload is longer than the transport carries.
    #[error("a message of {bytes} bytes; at most {limit} are carried")]
    TooLarge {
        /// Bytes of the payload.
        bytes: usize,
        /// The most that is carried.
        limit: usize,
    },
    /// The peer does not speak this protocol, or refused.
    #[error("peer {peer}: {reason}")]
    Refused {
        /// The peer.
        peer: Peer,
        /// What it said.
        reason: String,
    },
}

/// Carries bytes between nodes. The peers' identities are authenticated by the implementation.
pub trait Transport: Send + Sync + 'static {
    /// This node.
    fn local(&self) -> Peer;

    /// Hands what comes in to `inbox` from now on, for as long as it lives. Called once.
    fn attach(&self, inbox: Weak<dyn Inbox>);

    /// This node holds parts of these models, and of no others.
    fn provide(&self, models: &[ModelId]);

    /// Peers other than this node that are said to hold parts of `model`, as far as is known now.
    /// Starts a fresh search in the background.
    fn providers(&self, model: &ModelId) -> Vec<Peer>;

    /// Sends a request of set-up and waits for the response, at most `timeout`.
    fn request(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, TransportError>;

    /// Sends activations. Messages to one peer arrive in order or, where the connection breaks, not
    /// at all from some message on. Returns when the message is queued; waits no longer than
    /// back-pressure demands, at most `timeout`.
    fn send(&self, to: &Peer, payload: Vec<u8>, timeout: Duration) -> Result<(), TransportError>;

    /// Sends activations if that takes no waiting at all, as to a peer with which a connection is
    /// open; gives them back where it does. Never blocks.
    fn try_send(&self, to: &Peer, payload: Vec<u8>) -> Result<(), Vec<u8>>;

    /// The largest payload of [`Transport::send`], in bytes.
    fn max_message(&self) -> usize;
}

/// Sends the response to a request; dropped where there is none.
pub type Respond = Box<dyn FnOnce(Vec<u8>) + Send>;

/// Takes what comes in. Called from the transport's tasks: never blocks.
pub trait Inbox: Send + Sync + 'static {
    /// A request of set-up.
    fn request(&self, from: Peer, payload: Vec<u8>, respond: Respond);

    /// Activations.
    fn message(&self, from: Peer, payload: Vec<u8>);

    /// Whether `peer` may open a substream of activations to this node: it has an open session
    /// here, or this node has one there. Implementations need not ask.
    fn welcome(&self, peer: &Peer) -> bool {
        let _ = peer;
        true
    }

    /// The connection to a peer is gone: what was under way to or from it is lost.
    fn disconnected(&self, peer: &Peer);
}
