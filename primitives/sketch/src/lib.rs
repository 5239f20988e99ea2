// SPDX-License-Identifier: Apache-2.0
//! Sketches of computations: 256 bytes whose distance tells whether two machines ran the same
//! model on the same tokens. Traces of answers, and the checks of these.
//!
//! | module | content |
//! |---|---|
//! | [`layout`] | kinds of sketches, their rows and values; the chunks of an answer |
//! | [`sketch`] | the 128 values and their bytes |
//! | [`signs`] | the seed, and the signs of the projections |
//! | [`distance`] | the squared distance of two sketches, and verdicts on it |
//! | [`merkle`] | the root over an answer's sketches, and paths to it |
//! | [`trace`] | the trace of an answer, and the keys of its draws |
//! | [`check`] | the checks of a traced answer |
//! | [`shown`] | traces as they are kept, asked for and shown |
//! | `make` | with the feature `std`: sketches of rows of floats |
//!
//! Everything but `make` is arithmetic of integers: chain and node get the same bits. The sections
//! in brackets are those of the design of trust; amendment B3 gives each row signs of its own.
//!
//! ```
//! use starling_sketch::{layout::Layout, make::make, signs::{answer_seed, Signs}, distance};
//!
//! let signs = Signs::new(&answer_seed(&[1; 32], &[2; 32]), 8);
//! let rows: Vec<f32> = (0..32 * 8).map(|i| (i as f32).sin()).collect();
//! let sketch = make(Layout::ANSWER, &signs, &rows)?;
//! assert_eq!(distance::squared(Layout::ANSWER, &sketch, &sketch), 0);
//! # Ok::<_, starling_sketch::make::BadSketch>(())
//! ```

#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

extern crate alloc;

pub mod check;
pub mod distance;
pub mod layout;
#[cfg(feature = "std")]
pub mod make;
pub mod merkle;
pub mod shown;
pub mod signs;
pub mod sketch;
pub mod trace;

pub use layout::{Kind, Layout};
pub use sketch::Sketch;

/// A SHA-256 or blake2_256 hash.
pub type Hash = [u8; 32];
