// SPDX-License-Identifier: Apache-2.0
//! Watches the chain that a node follows: the clock by the slots of announced blocks, the authors
//! by imported ones, and the rounds by the events of final ones.

pub mod authors;
mod clock;
pub mod rounds;

pub use clock::Clock;
