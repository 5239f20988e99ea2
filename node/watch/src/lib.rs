// SPDX-License-Identifier: Apache-2.0
//! Watches the chain that a node follows: the clock by the slots of announced blocks, and the
//! rounds by the events of final ones.

mod clock;
pub mod rounds;

pub use clock::Clock;
