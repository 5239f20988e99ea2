// SPDX-License-Identifier: Apache-2.0
//! The client of a Starling chain.
//!
//! The library of the program `starling`, and of dApps in Rust. It connects to a node, sends
//! transactions, follows rounds and reports their outcome.
//!
//! | module | content |
//! |---|---|
//! | [`chain`] | a connection, and reads at a block |
//! | [`attestation`] | quotes and collateral for the chain, and its word on them |
//! | [`answers`] | the form of answers, and the commitments of requests |
//! | [`transaction`] | the calls of agents and requesters, and sending them |
//! | [`signer`] | the signer: a seed, a keystore file, a development account |
//! | [`inference_key`] | the key of an agent's worker, and its place in a node's keystore |
//! | [`events`] | the events of rounds in a block |
//! | [`follow`] | a round from its request to its end, block by block |
//! | [`progress`] | the progress of a round |
//! | [`lane`] | the fast lane: requests that a committee answers off the chain |
//! | [`disputes`] | cases about servers that contradict each other |
//! | [`report`] | the outcome of a round: candidates, scores, rankers, payouts, blocks |
//! | [`explain`] | the outcome of a round in one sentence |
//! | [`amount`], [`account`], [`text`] | amounts, accounts and texts for people |
//!
//! Rounds are read through the runtime APIs [`RoundsApi` and
//! `CapabilitiesApi`](starling_primitives::api) with the types of `starling-primitives`. Everything
//! else goes by names that the metadata resolves, so the library holds no copy of the metadata. A
//! chain without `CapabilitiesApi` counts no equal answers: equation (3) chooses in all rounds.

#![warn(missing_docs)]

pub mod account;
pub mod amount;
pub mod answers;
pub mod attestation;
pub mod chain;
pub mod disputes;
mod error;
pub mod events;
pub mod explain;
pub mod follow;
pub mod inference_key;
pub mod lane;
mod line;
pub mod progress;
pub mod report;
mod secret_uri;
pub mod signer;
pub mod text;
pub mod transaction;
mod turn;

pub use chain::{At, Chain};
pub use error::{Error, Result};
pub use line::Messages;
pub use sp_core::crypto::AccountId32;
pub use subxt_signer::sr25519::Keypair;
