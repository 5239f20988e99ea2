// SPDX-License-Identifier: Apache-2.0
//! The rules of the round protocol.
//!
//! Everything here is pure: no storage, no clock, no randomness, no currency. Every rule that
//! several parties must agree on, such as the chain and an off-chain worker, exists once, in this
//! crate. The numbers in brackets are sections and equations of arXiv 2409.08386.
//!
//! | module | rule |
//! |---|---|
//! | [`crypto`] | the agents' inference key |
//! | [`messages`] | the payloads that an inference key signs |
//! | [`sealing`] | `R_i = E(r_i, k_i)` and the commitment to `k_i` [3.2, (1)] |
//! | [`lane_value`] | a response of a lane as the bytes that a member seals |
//! | [`commitment`] | the commitment to scores |
//! | [`draw`] | the draw of agents for a full round |
//! | [`assignment`] | the assignment of responses to rankers [(2)] |
//! | [`selection`] | the best response by scores [(3)] |
//! | [`choice`] | the best response by votes and scores, and answer keys |
//! | [`rating`] | σ and rating over a window of rounds [3.3, (4), (5)] |
//! | [`quality`] | the record of an agent's answers, and its worth in a draw [3.3] |
//! | [`agreement`] | a ranker's agreement with the others, and its points |
//! | [`rewards`] | splitting a pot [4.1.1] |
//! | [`seats`] | the number of seats of validators, and the price of one |
//! | [`slots`] | the price of a slot for an open round |
//! | [`locks`] | the names of locks on bonds |
//! | [`ticket`] | the price of a ticket [4.1] |
//! | [`chat`] | a conversation as the prompt of a round |
//! | [`rules`] | the rules that the parameters of a chain keep together |
//! | [`deadline`] | the condition under which a deadline counts |
//!
//! Besides, [`round`] holds the public types of a round, [`api`] the runtime API, and [`traits`]
//! the interfaces between the pallets.

#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod agreement;
pub mod api;
pub mod assignment;
pub mod beacon;
pub mod chat;
pub mod choice;
pub mod commitment;
pub mod crypto;
pub mod deadline;
pub mod draw;
pub mod fixed;
pub mod lane_value;
pub mod locks;
pub mod messages;
pub mod quality;
pub mod rating;
pub mod rewards;
pub mod round;
pub mod rules;
pub mod sealing;
pub mod seats;
pub mod selection;
pub mod slots;
pub mod ticket;
pub mod traits;
mod types;

pub use crypto::{InferenceKey, InferenceSignature, INFERENCE};
pub use sp_core::H256;
pub use types::{Balance, Position, RoundId, Salt, Score, Secret};
