// SPDX-License-Identifier: Apache-2.0
//! A member of the fast lane as a state machine without I/O.
//!
//! | module | task |
//! |---|---|
//! | [`request`] | two broadcasts and a vote: a request at one member |
//! | [`broadcast`] | one sealed broadcast at one member |
//! | [`fixing`] | the set that follows from what a quorum has said |
//! | [`message`], [`contents`] | what members send, and the sets that they name |
//! | [`cipher`] | seals, as far as the machine needs them |
//! | [`rules`], [`timing`] | rules that are compared, and waiting times |
//! | [`wire`], [`book`] | messages as bytes, with all their signatures |
//! | [`transport`] | what a node's network does for the lane |
//!
//! The machine has no clock, no socket and no randomness: every event comes with its time.

pub mod book;
pub mod broadcast;
pub mod cipher;
pub mod contents;
pub mod fixing;
pub mod message;
pub mod request;
pub mod rules;
pub mod timing;
pub mod transport;
pub mod wire;
