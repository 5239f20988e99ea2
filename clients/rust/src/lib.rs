// SPDX-License-Identifier: Apache-2.0
//! The client of a Starling chain.
//!
//! The library is what the program `starling` is made of, and what a Rust dApp needs: connect to a
//! node, send a transaction, follow a round, and tell what became of it.
//!
//! | module | what is there |
//! |---|---|
//! | [`chain`] | a connection, and what may be read at a block |
//! | [`transaction`] | the calls of agents and requesters, sending them |
//! | [`signer`] | the account that signs: a seed, a keystore file, a development account |
//! | [`inference_key`] | the key of an agent's off-chain worker, and its place in a node's keystore |
//! | [`events`] | what the events of a block say about rounds |
//! | [`follow`] | a round from its request to its end, as blocks come in |
//! | [`progress`] | how far a round is |
//! | [`report`] | what became of a round: candidates, scores, rankers, payouts, blocks |
//! | [`explain`] | one sentence why that answer won, or why none did |
//! | [`amount`], [`account`], [`text`] | what people write and read |
//!
//! The chain is read through its runtime API [`RoundsApi`](starling_primitives::api), whose types
//! are those of `starling-primitives`; the rest goes by names that the node's metadata resolves. So
//! no copy of the metadata is kept here.

#![warn(missing_docs)]

pub mod account;
pub mod amount;
pub mod chain;
mod error;
pub mod events;
pub mod explain;
pub mod follow;
pub mod inference_key;
pub mod progress;
pub mod report;
pub mod signer;
pub mod text;
pub mod transaction;

pub use chain::{At, Chain};
pub use error::{Error, Result};
pub use sp_core::crypto::AccountId32;
pub use subxt_signer::sr25519::Keypair;
