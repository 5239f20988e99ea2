// SPDX-License-Identifier: Apache-2.0
#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

mod bytes;
mod certificate;
pub mod collateral;
pub mod dcap;
mod document;
mod evidence;
mod fault;
pub mod fixtures;
mod pck;
mod quote;
mod revocation;
mod rsa;
pub mod snp;
mod tcb;
#[cfg(test)]
mod tests;

pub use certificate::Roots;
pub use collateral::{Collateral, Item, Key};
pub use evidence::{
    measurement, report_data, Basis, Binding, Evidence, Kind, Product, SnpTcb, View,
};
pub use fault::{Fault, Refusal};
pub use tcb::Status;

/// Maximum length of a quote, in bytes.
pub const MAX_QUOTE: usize = 8_192;
/// Maximum length of an item of collateral, in bytes.
pub const MAX_COLLATERAL: usize = 8_192;
/// Maximum length of the certificate of a chip by AMD, in bytes.
pub const MAX_VCEK: usize = 2_048;
/// Maximum number of advisories of one attestation.
pub const MAX_ADVISORIES: usize = 64;
/// Maximum length of the name of an advisory, in bytes.
pub const MAX_ADVISORY: usize = 32;

/// A hash of SHA-256.
pub type Hash = [u8; 32];
