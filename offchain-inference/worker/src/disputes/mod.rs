// SPDX-License-Identifier: Apache-2.0

//! Disputes: replays for the committees of the chain, and accusations.
//!
//! | module | content |
//! |---|---|
//! | [`court`] | the work after a block: holding, committing, revealing, accusing |
//! | [`replay`] | computes a disputed span again |
//! | [`models`] | the models that the node holds whole |
//! | [`store`] | findings that must not be forgotten before they are revealed |
//! | [`chain`] | the questions to the chain |
//! | [`metrics`] | the view of operators |
//!
//! A replay waits in the worker's queue until no answer is due. The accuser shows exhibits of
//! canaries alone: no user's tokens leave the node.

pub mod chain;
pub mod court;
pub mod metrics;
pub mod models;
pub mod replay;
pub mod store;

pub use chain::{CourtChain, CourtClient};
pub use court::Court;
