// SPDX-License-Identifier: Apache-2.0
//! Watches the chain that a node follows: the clock by the slots of announced blocks, the rounds by the
//! events of final ones, and the votes by which blocks became final.

mod clock;
pub mod rounds;
mod votes;

pub use clock::Clock;
pub use votes::Votes;
