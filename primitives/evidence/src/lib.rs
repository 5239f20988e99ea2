// SPDX-License-Identifier: Apache-2.0
//! Claims of servers about what they computed, evidence that two of them disagree, and the verdict
//! of a committee on it. Node and chain check the same bytes.
//!
//! | module | content |
//! |---|---|
//! | [`peer`] | the identity of a node |
//! | [`signed`] | statements of agents, and the bytes under their signatures |
//! | [`case`] | evidence and exhibit in a file |
//! | [`claim`] | a server's statement of its output |
//! | [`evidence`] | two claims that contradict each other |
//! | [`history`] | digests of a sequence of rows |
//! | [`exhibit`] | the rows and tokens that claims bind, and their bounds |
//! | [`messages`] | the payloads that accusers and executors sign |
//! | [`sample`] | the rows, the border and the signs that the draw of a case fixes |
//! | [`finding`] | the result of an executor, and its commitment |
//! | [`verdict`] | the verdict on the findings of a committee |
//!
//! Everything is arithmetic of integers over bytes: chain and node get the same verdict. Rows of
//! floats become sketches at the executors (`starling-sketch`).

#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

extern crate alloc;

pub mod case;
pub mod claim;
pub mod evidence;
pub mod exhibit;
pub mod finding;
mod hashing;
pub mod history;
pub mod messages;
pub mod peer;
pub mod sample;
pub mod signed;
pub mod verdict;

pub use case::Case;
pub use claim::{Claim, Code, SignedOutput};
pub use evidence::{Evidence, Flaw};
pub use exhibit::{Exhibit, Fault};
pub use finding::{Finding, Sketches};
pub use history::History;
pub use peer::Peer;
pub use signed::{Identity, Signed, Statement};
pub use starling_sketch::Sketch;
pub use verdict::{judge, Judgement, Ruling, Side};

/// A SHA-256 or blake2_256 digest.
pub type Digest = [u8; 32];

/// An account's bytes.
pub type Account = [u8; 32];

/// An sr25519 public key.
pub type Key = [u8; 32];

/// SHA-256 of a model's GGUF file.
pub type ModelId = [u8; 32];
