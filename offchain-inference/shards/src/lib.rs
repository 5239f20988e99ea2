// SPDX-License-Identifier: Apache-2.0
//! Models across nodes: a node serves a span of a model's layers to other agents, and a pipeline of
//! such spans is used as one model.
//!
//! [`Service`] is both sides of a node: [`Service::serve`] loads a span and computes it for agents
//! that open sessions, [`Service::pipeline`] gives a [`Pipeline`] that an engine's backend runs like a
//! model in its own process. The crate knows no blockchain and no network: who may speak comes
//! through [`auth::Directory`], how bytes travel through [`transport::Transport`].

pub mod auth;
mod client;
mod config;
pub mod integrity;
mod loopback;
pub mod message;
mod metrics;
mod server;
mod service;
pub mod simulated_network;
pub mod transport;
pub mod wire;

/// Target of everything that this crate logs.
pub(crate) const LOG_TARGET: &str = "shards";

pub use client::{Holder, LinkError, OpenError, Pipeline, PipelineError, PipelineSession};
pub use config::{PipelineConfig, ServiceConfig};
pub use metrics::Metrics;
pub use server::Served;
pub use service::{Service, ServiceError};

/// Starts a thread. Its name shows whose it is.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, ServiceError> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(body).map_err(ServiceError::Thread)
}

/// Waits for a thread's end, unless it is the caller.
pub(crate) fn join(thread: std::thread::JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
        log::error!(target: LOG_TARGET, "a thread has panicked");
    }
}
