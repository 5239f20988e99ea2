// SPDX-License-Identifier: Apache-2.0
//! The fast lane as a state machine without I/O, its schedules, and its simulator.
//!
//! | module | task |
//! |---|---|
//! | [`broadcast`] | one sealed broadcast at one member |
//! | [`fixing`] | the set that follows from what a quorum has said |
//! | [`request`] | two broadcasts and a vote: a request at one member |
//! | [`cipher`], [`symbolic`] | seals, with cryptography and without |
//! | [`rules`], [`timing`] | rules that are compared, and waiting times |
//! | [`explore`] | all schedules of a broadcast of four members with one liar |
//! | [`simulate`] | random schedules of requests: delays, loss, crashes, liars |
//!
//! The machine has no clock, no socket and no randomness: every event comes with its time.

pub mod broadcast;
pub mod cipher;
pub mod contents;
pub mod explore;
pub mod fixing;
pub mod message;
pub mod request;
pub mod rules;
pub mod simulate;
pub mod symbolic;
pub mod timing;
