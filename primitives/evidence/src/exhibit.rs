// SPDX-License-Identifier: Apache-2.0
//! The rows and tokens that claims bind, and their bounds.
//!
//! Computing the layers again shows which of two claims is wrong. The claims bind the exhibit by
//! digests, so it can be supplied later and elsewhere. The tokens let a committee compute the inputs
//! from the embedding on: rows that no tokens lead to are judged by nobody.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use core::{error::Error, fmt};
use scale_info::TypeInfo;
use sha2::{Digest as _, Sha256};

use crate::{Claim, Digest, Evidence, History};

/// The longest exhibit that a committee judges, encoded, in bytes. A set-up response carries it.
pub const MAX_EXHIBIT: usize = 1_000_000;

/// Bytes of a binary32.
const FLOAT: usize = 4;

/// The bits of a binary32's exponent: all of them are set in infinities and in what is no number.
const EXPONENT: u32 = 0x7f80_0000;

/// Inputs and outputs that the claims name by digest, and the tokens that lead to the inputs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Exhibit {
    /// Elements of a row.
    pub width: u32,
    /// All input rows of the sequence up to and with the step, as little-endian binary32.
    pub inputs: Vec<u8>,
    /// Wire bytes of the first server's output.
    pub first: Vec<u8>,
    /// Wire bytes of the second server's output.
    pub second: Vec<u8>,
    /// The tokens of all positions of the inputs. Empty if they are a user's: then no committee
    /// judges.
    pub tokens: Vec<u32>,
}

/// An exhibit that is not that of the claims, or that no committee judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is longer than a committee reads.
    TooLong,
    /// The tokens are not one for each position of the inputs.
    Tokens,
    /// The claims are about positions that the inputs do not have.
    Outside,
    /// An input is infinite or not a number.
    NotFinite,
    /// The inputs are not those of the claims.
    Inputs,
    /// An output is not that of its claim.
    Outputs,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the exhibit is too long; check shorter sequences",
            Self::Tokens => "the exhibit does not name one token for each position",
            Self::Outside => "the claims are about positions that the exhibit does not have",
            Self::NotFinite => "the exhibit's inputs hold a number that is not finite",
            Self::Inputs => "the exhibit's inputs are not those of the claims",
            Self::Outputs => "the exhibit's outputs are not those of the claims",
        })
    }
}

impl Error for Fault {}

impl Exhibit {
    /// Checks that this is the exhibit of the claims, which are about the same computation.
    ///
    /// # Errors
    /// The [`Fault`], if it is not.
    pub fn check(&self, evidence: &Evidence) -> Result<(), Fault> {
        let (first, second) = (&evidence.first.claim.body, &evidence.second.claim.body);
        self.check_inputs(first)?;
        let named = (first.output, second.output);
        if (sha256(&self.first), sha256(&self.second)) == named {
            Ok(())
        } else {
            Err(Fault::Outputs)
        }
    }

    /// Checks that a committee can judge by it, if it has at most `longest` bytes.
    ///
    /// # Errors
    /// The [`Fault`], if it cannot.
    pub fn admit(&self, evidence: &Evidence, longest: usize) -> Result<(), Fault> {
        if self.encoded_size() > longest {
            return Err(Fault::TooLong);
        }
        let total = evidence.first.claim.body.total().ok_or(Fault::Outside)?;
        if u32::try_from(self.tokens.len()) != Ok(total) {
            return Err(Fault::Tokens);
        }
        self.check(evidence)
    }

    fn check_inputs(&self, claim: &Claim) -> Result<(), Fault> {
        let size = |n: u32| usize::try_from(n).map_err(|_| Fault::Outside);
        let total = size(claim.total().ok_or(Fault::Outside)?)?;
        let row = size(self.width)?
            .checked_mul(FLOAT)
            .filter(|row| *row > 0)
            .ok_or(Fault::Outside)?;
        if row.checked_mul(total) != Some(self.inputs.len()) {
            return Err(Fault::Outside);
        }
        if !self.inputs.chunks_exact(FLOAT).all(is_finite) {
            return Err(Fault::NotFinite);
        }
        let mut history = History::default();
        for row in self.inputs.chunks_exact(row) {
            history.push_row(row);
        }
        let named = (Some(claim.before), claim.after);
        if (history.digest_at(size(claim.positions)?), history.digest()) == named {
            Ok(())
        } else {
            Err(Fault::Inputs)
        }
    }
}

fn is_finite(float: &[u8]) -> bool {
    let bits = <[u8; FLOAT]>::try_from(float).map(u32::from_le_bytes);
    bits.is_ok_and(|bits| bits & EXPONENT != EXPONENT)
}

fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}
