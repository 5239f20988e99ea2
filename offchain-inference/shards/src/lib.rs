// SPDX-License-Identifier: Apache-2.0
//! Models across nodes. A node serves a span of a model's layers to other agents. A pipeline of
//! such spans is used as one model.
//!
//! [`Service`] is both sides of a node. [`Service::serve`] loads a span and computes it for agents
//! that open sessions. [`Service::pipeline`] gives a [`Pipeline`], which an engine's backend runs
//! like a local model. The crate knows no blockchain and no network: permissions come through
//! [`auth::Directory`], and bytes travel through [`transport::Transport`].

mod accounts;
pub mod auth;
mod client;
mod config;
pub mod integrity;
mod loopback;
pub mod message;
mod metrics;
pub mod seal;
mod server;
mod service;
pub mod simulated_network;
pub mod transport;
pub mod wire;

/// Log target of this crate.
pub(crate) const LOG_TARGET: &str = "shards";

pub use client::{
    Holder, LinkError, OpenError, Pipeline, PipelineError, PipelineSession, Seen, State,
};
pub use config::{PipelineConfig, ServiceConfig};
pub use metrics::Metrics;
pub use server::Served;
pub use service::{Service, ServiceError, Shared, Swarm};

/// Starts a thread under a name that shows its purpose.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, ServiceError> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(body).map_err(ServiceError::Thread)
}

/// Waits for a thread's end, unless it is the calling thread.
pub(crate) fn join(thread: std::thread::JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
        log::error!(target: LOG_TARGET, "a thread has panicked");
    }
}
