// SPDX-License-Identifier: Apache-2.0
//! Private heads: small networks whose weights stay secret, and proofs that a score is theirs.
//!
//! | module | content |
//! |---|---|
//! | [`features`] | 256 numbers of a prompt and a response, which everybody derives alike |
//! | [`head`] | the network over them, in integers |
//! | [`table`] | the score that follows from an output |
//! | [`commitment`] | the registered points that bind the weights and hide them |
//! | [`statement`] | the case and the values that a proof is about |
//! | [`proof`] | the bytes of a proof |
//! | [`generators`] | the points of the group that all of it is over |
//! | [`verify`] | the check of a proof |
//! | `secret` | with the feature `std`: a head with its seed, which commits and proves |
//! | `file` | with the feature `std`: the file of a private head |
//!
//! Section 6 of the design of trust has the construct. It needs no set-up. Its parts are published:
//! the range proof and the linear proof of `bulletproofs`, and a proof of Schnorr's kind. Their
//! composition is this crate's own, and nobody outside has reviewed it.
//!
//! ```
//! use starling_zk::{
//!     features::Features, generators::Generators, head::{Head, Unit}, secret::Secret,
//!     statement::{Case, Statement}, verify::verify,
//! };
//!
//! let unit = Unit { row: [1; 256], bias: -3, weight: 5 };
//! let secret = Secret::new(Head { units: [unit; 16], bias: 7 }, [1; 32]);
//! let generators = Generators::new();
//! let commitment = secret.commitment(&generators);
//!
//! let case = Case { genesis: [2; 32], round: 3, ranker: [4; 32], position: 5 };
//! let features = Features::of(b"Why is the sky blue?", b"Air scatters blue light most.");
//! let (output, proof) = secret.prove(&generators, &case, &features, [6; 32])?;
//!
//! let statement = Statement { case: &case, head: &commitment, features: &features, output };
//! verify(&generators, &statement, &proof)?;
//! # Ok::<_, starling_zk::verify::Invalid>(())
//! ```

#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod commitment;
pub mod features;
#[cfg(feature = "std")]
pub mod file;
pub mod generators;
pub mod head;
pub mod proof;
mod relation;
#[cfg(feature = "std")]
pub mod secret;
pub mod statement;
pub mod table;
pub mod verify;

/// Features of a prompt and a response.
pub const WIDTH: usize = 256;

/// Hidden units of a head.
pub const HIDDEN: usize = 16;

/// A point of Ristretto in its 32 bytes.
pub type Point = [u8; 32];
