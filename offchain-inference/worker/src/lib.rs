// SPDX-License-Identifier: Apache-2.0

//! The off-chain worker of a Starling node.
//!
//! The runtime decides which jobs are due and how results become transactions. After every best
//! block, the worker runs the off-chain hook of the runtime and reads the job board. An [`agent`]
//! computes the jobs on its own threads. A [`vault`] stores every result before any part of it
//! leaves the machine. The runtime signs and sends the results that are due.
//!
//! | module | content |
//! |---|---|
//! | [`driver`] | waits for blocks and results without blocking the node |
//! | [`worker`] | the work after a block, a result, or finality |
//! | [`chain`] | the questions of the worker to the chain |
//! | [`jobs`] | pure rules: which jobs to start, hurry, cancel or give up |
//! | [`queue`] | bounded queue and threads |
//! | [`executor`] | computes jobs, and puts their results into the vault |
//! | [`vault`] | results on disk |
//! | [`agent`] | responding and ranking |
//! | [`lanes`] | requests that a committee answers off the chain |
//! | [`shards`] | layers of models that nodes compute for each other |
//! | [`config`], [`watch`] | the configuration file of the agent, read again after changes |
//! | [`Accounts`] | the agents that the node works for |
//! | [`metrics`], [`problems`] | the view of the operators |

mod accounts;
pub mod agent;
pub mod chain;
pub mod config;
mod disk;
pub mod driver;
pub mod executor;
mod externalities;
pub mod file;
pub mod jobs;
pub mod lanes;
pub mod metrics;
mod panics;
pub mod problems;
pub mod queue;
pub mod shards;
pub mod traces;
pub mod vault;
pub mod watch;
pub mod worker;

pub use accounts::Accounts;
pub use chain::Client;
pub use driver::run;
pub use worker::Worker;

/// An account of the chain.
pub type AccountId = sp_runtime::AccountId32;

/// The target of the worker's logs.
pub const LOG_TARGET: &str = "agent";
