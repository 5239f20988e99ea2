// SPDX-License-Identifier: Apache-2.0
//! Pipelines of spans between nodes of one process give the same results as the whole model, even
//! when servers fail.

mod equal;
mod faults;
#[path = "../../../engine/src/fixtures.rs"]
#[allow(dead_code)]
mod fixtures;
mod leaks;
mod refusals;
mod surveys;
mod swarm;

/// For `fixtures`, which is the engine's.
mod config {
    pub use starling_engine::config::Architecture;
}
