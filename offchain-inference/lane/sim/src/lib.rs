// SPDX-License-Identifier: Apache-2.0
//! Plays schedules of the fast lane.
//!
//! | module | task |
//! |---|---|
//! | [`symbolic`] | seals without cryptography |
//! | [`explore`] | all schedules of a broadcast of four members with one liar |
//! | [`simulate`] | random schedules of requests: delays, loss, crashes, liars |

pub mod explore;
pub mod simulate;
pub mod symbolic;
