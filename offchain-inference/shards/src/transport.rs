// SPDX-License-Identifier: Apache-2.0
//! The transport between nodes that hold spans. It carries bytes and knows no model.

use std::{sync::Weak, time::Duration};

pub use starling_evidence::{peer::MAX_PEER, ModelId, Peer};

/// Maximum size of a message between nodes, in bytes.
pub const MAX_MESSAGE: usize = 8 << 20;

/// Reasons why bytes were not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There is no connection to the peer, or it broke.
    #[error("peer {0} is not connected")]
    Disconnected(Peer),
    /// The peer did not answer, or did not accept a message, in time.
    #[error("peer {0} did not answer in time")]
    Timeout(Peer),
    /// The payload is longer than the transport carries.
    #[error("the message has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Size of the payload, in bytes.
        bytes: usize,
        /// Maximum size, in bytes.
        limit: usize,
    },
    /// The peer does not speak this protocol, or refused.
    #[error("peer {peer}: {reason}")]
    Refused {
        /// The peer.
        peer: Peer,
        /// The peer's reason.
        reason: String,
    },
}

/// Carries bytes between nodes. Implementations authenticate the peers' identities.
pub trait Transport: Send + Sync + 'static {
    /// This node.
    fn local(&self) -> Peer;

    /// Delivers incoming messages to `inbox` from now on, for as long as it lives. Called once.
    fn attach(&self, inbox: Weak<dyn Inbox>);

    /// Announces that this node holds parts of these models, and of no others.
    fn provide(&self, models: &[ModelId]);

    /// Other peers that are said to hold parts of `model`, as known now. Starts a fresh search in
    /// the background.
    fn providers(&self, model: &ModelId) -> Vec<Peer>;

    /// Sends a set-up request and waits for the response, at most `timeout`.
    fn request(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, TransportError>;

    /// Sends activations. Messages to one peer arrive in order; if the connection breaks, all
    /// messages after some point are lost. Returns once the message is queued, and waits for
    /// back-pressure at most `timeout`.
    fn send(&self, to: &Peer, payload: Vec<u8>, timeout: Duration) -> Result<(), TransportError>;

    /// Sends activations if that needs no waiting, for example because a connection is open.
    /// Returns the payload otherwise. Never blocks.
    fn try_send(&self, to: &Peer, payload: Vec<u8>) -> Result<(), Vec<u8>>;

    /// The largest payload of [`Transport::send`], in bytes.
    fn max_message(&self) -> usize;
}

/// Sends the response to a request. Dropped if there is no response.
pub type Respond = Box<dyn FnOnce(Vec<u8>) + Send>;

/// Receives incoming messages. Called from the transport's tasks, so it never blocks.
pub trait Inbox: Send + Sync + 'static {
    /// A set-up request.
    fn request(&self, from: Peer, payload: Vec<u8>, respond: Respond);

    /// Activations.
    fn message(&self, from: Peer, payload: Vec<u8>);

    /// Whether `peer` may open a substream of activations to this node: one of the two has an open
    /// session with the other. Implementations need not ask.
    fn welcome(&self, peer: &Peer) -> bool {
        let _ = peer;
        true
    }

    /// The connection to a peer is gone; messages under way are lost.
    fn disconnected(&self, peer: &Peer);
}
