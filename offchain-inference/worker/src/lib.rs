// SPDX-License-Identifier: Apache-2.0

//! The off-chain worker of a Starling node.
//!
//! The runtime says which jobs are due and how results become transactions. The worker runs the
//! runtime's off-chain hook after every best block, reads the job board, lets an [`agent`] compute
//! on threads of its own, keeps every result in a [`vault`] before anything of it leaves the
//! machine, and lets the runtime sign and send what is due.
//!
//! | module | what it does |
//! |---|---|
//! | [`driver`] | wakes up for blocks and results; nothing in it blocks the node |
//! | [`worker`] | what happens at a block, at a result, at finality |
//! | [`chain`] | what the worker asks the chain |
//! | [`jobs`] | which jobs to start, to hurry, to cancel, to give up: pure |
//! | [`queue`] | bounded queue and threads |
//! | [`executor`] | from a job to a result in the vault |
//! | [`vault`] | results on disk |
//! | [`agent`] | responding and ranking |
//! | [`shards`] | layers of models that nodes compute for each other |
//! | [`config`], [`watch`] | the agent's configuration file, read again when it changes |
//! | [`metrics`], [`problems`] | what operators see |

pub mod agent;
pub mod chain;
pub mod config;
pub mod driver;
pub mod executor;
mod externalities;
pub mod file;
pub mod jobs;
pub mod metrics;
mod panics;
pub mod problems;
pub mod queue;
pub mod shards;
pub mod vault;
pub mod watch;
pub mod worker;

pub use chain::Client;
pub use driver::run;
pub use worker::Worker;

/// The accounts of the chain.
pub type AccountId = sp_runtime::AccountId32;

/// What logs are filtered by.
pub const LOG_TARGET: &str = "agent";
