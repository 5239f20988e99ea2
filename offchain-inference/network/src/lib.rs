// SPDX-License-Identifier: Apache-2.0
//! Carries the messages of off-chain inference over the network of a Substrate node. It works with
//! both backends of `sc-network`.
//!
//! Between the shards of a model, as a [`Transport`]:
//!
//! | purpose | on the network |
//! |---|---|
//! | discovery of the holders of a model | provider records of the DHT, under the model's hash |
//! | set-up | a request-response protocol, `/<genesis>/shards-setup/2` |
//! | activations | a notification protocol with one long-lived substream a peer, `/<genesis>/shards/2` |
//!
//! [`Protocols::register`] adds the protocols to the configuration of a network.
//! [`Protocols::connect`] makes the transport once the network runs. [`Driver::run`] is the task
//! that receives incoming messages.
//!
//! Between the members of lanes, [`LaneProtocol`] does the same for a notification protocol,
//! `/<genesis>/lane/1`, with one substream for each peer of a committee.
//!
//! For the traces of answers, [`TraceProtocol`] does the same for a request-response protocol,
//! `/<genesis>/starling/trace/1`, with provider records under the accounts of agents.
//!
//! [`Transport`]: starling_shards::transport::Transport

mod discovery;
mod driver;
mod lane;
mod links;
mod metrics;
mod protocols;
mod traces;
mod transport;

pub use driver::Driver;
pub use lane::{LaneDriver, LaneNetwork, LaneProtocol};
pub use protocols::Protocols;
pub use traces::{Source, TraceDriver, TraceNetwork, TraceProtocol};
pub use transport::Network;

/// Log target of this crate.
pub(crate) const LOG_TARGET: &str = "shards";
