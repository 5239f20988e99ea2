// SPDX-License-Identifier: Apache-2.0

//! Carries what shards of a model say to each other over the network of a Substrate node
//! (`sc-network`, with either of its backends), as a [`Transport`].
//!
//! | what | on the network |
//! |---|---|
//! | who holds parts of a model | provider records of the DHT, under the model's hash |
//! | set-up | a request-response protocol, `/<genesis>/shards-setup/1` |
//! | activations | a notification protocol with one long-lived substream a peer, `/<genesis>/shards/1` |
//!
//! [`Protocols::register`] adds the protocols to a network that is being configured,
//! [`Protocols::connect`] makes the transport once it runs, and [`Driver::run`] is the task that
//! takes what comes in.
//!
//! [`Transport`]: starling_shards::transport::Transport

mod discovery;
mod driver;
mod links;
mod metrics;
mod protocols;
mod transport;

pub use driver::Driver;
pub use protocols::Protocols;
pub use transport::Network;

/// What logs are filtered by.
pub(crate) const LOG_TARGET: &str = "shards";
