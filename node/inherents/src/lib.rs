// SPDX-License-Identifier: Apache-2.0
//! Inherents of a block's author besides slot and time: the output of its VRF for
//! the chain's randomness, and the votes by which its newest final block became final.

mod given;
mod output;
mod votes;

pub use given::Given;
pub use output::Author;
pub use votes::Votes;
