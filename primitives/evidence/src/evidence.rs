// SPDX-License-Identifier: Apache-2.0
//! Two claims that contradict each other.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{error::Error, fmt};
use scale_info::TypeInfo;

use crate::{hashing::hash, Digest, SignedOutput};

/// Two answers that contradict each other. About 600 bytes, which fit a transaction.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Evidence {
    /// One answer.
    pub first: SignedOutput,
    /// The other answer.
    pub second: SignedOutput,
}

/// Two claims that contradict nothing. The signatures are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Both claims are by the same agent.
    SameAgent,
    /// The claims are about different inputs, layers or models.
    OtherQuestion,
    /// The claims name the same output.
    SameOutput,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameAgent => "both claims are by the same agent",
            Self::OtherQuestion => "the claims are not about the same computation",
            Self::SameOutput => "the claims name the same output",
        })
    }
}

impl Error for Flaw {}

impl Evidence {
    /// The name by which nodes ask for the exhibit.
    pub fn name(&self) -> Digest {
        hash(&(b"starling/evidence/1", self))
    }

    /// Both answers, the first one first.
    pub const fn answers(&self) -> [&SignedOutput; 2] {
        [&self.first, &self.second]
    }

    /// Checks that two agents claim different outputs of the same computation.
    ///
    /// # Errors
    /// The [`Flaw`], if they do not.
    pub fn contradicts(&self) -> Result<(), Flaw> {
        let (first, second) = (&self.first.claim, &self.second.claim);
        if first.account == second.account {
            return Err(Flaw::SameAgent);
        }
        let (first, second) = (&first.body, &second.body);
        if !first.same_question(second) {
            return Err(Flaw::OtherQuestion);
        }
        if (first.output, first.wire) == (second.output, second.wire) {
            return Err(Flaw::SameOutput);
        }
        Ok(())
    }
}
