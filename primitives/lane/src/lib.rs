// SPDX-License-Identifier: Apache-2.0
//! The rules of the fast lane, on which members, requesters and the chain must agree.
//!
//! | module | rule |
//! |---|---|
//! | [`committee`] | numbers of members, faults and quorum |
//! | [`form`] | the form of answers, which says whether equal ones are counted |
//! | [`slot`] | the place that a message belongs to |
//! | [`way`] | the ways in which a set is fixed |
//! | [`gf256`], [`shamir`] | shares of a key |
//! | [`seal`] | a sealed value with shares that each member can verify |
//! | [`complaint`] | the proof that a member got a bad share |
//! | [`messages`] | the bytes that are signed, and the pairs that nobody may sign |
//! | [`outcome`] | the seed of the assignment, and the outcome of a request |
//! | [`proof`] | what shows a requester the response that an outcome names |
//! | [`checkpoint`] | the outcomes of up to 64 requests, for the chain |
//! | [`certificate`] | the signatures of a quorum |
//! | [`terms`] | what a requester fixes when it opens a lane |
//! | [`volunteer`] | what an agent signs to serve in an epoch |
//! | [`hashing`] | the hash of values, and secrets from them |
//!
//! Everything here is pure: no storage, no clock, no source of randomness. The crate needs nothing
//! of polkadot-sdk, so that the state machine over it and its simulator compile in seconds.

#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod certificate;
pub mod checkpoint;
pub mod committee;
pub mod complaint;
mod curve;
pub mod form;
pub mod gf256;
pub mod hashing;
pub mod messages;
pub mod outcome;
pub mod proof;
pub mod seal;
pub mod shamir;
pub mod slot;
pub mod terms;
pub mod volunteer;
pub mod way;

pub use certificate::Certificate;
pub use committee::{Committee, Member};
pub use form::Form;
pub use proof::Proof;
pub use slot::{Phase, Slot};
pub use terms::Terms;
pub use way::{PerWay, Way};

/// A hash of BLAKE2b with 256 bits.
pub type Hash = [u8; 32];

/// The account of a member or a requester.
pub type Account = [u8; 32];

/// An amount of the chain's currency, in its smallest unit.
pub type Balance = u128;

/// A secret of 32 fresh random bytes, or a key derived from one.
pub type Secret = [u8; 32];
