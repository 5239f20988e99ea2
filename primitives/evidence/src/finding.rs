// SPDX-License-Identifier: Apache-2.0
//! The result of an executor, and its commitment.

use alloc::boxed::Box;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use starling_sketch::Sketch;

use crate::{hashing::hash, Account, Digest};

const DOMAIN: &[u8] = b"starling/finding/1";

/// Six sketches of the same drawn rows of the step.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Sketches {
    /// The executor's own rows behind the span, in its finest numerics.
    pub own: Sketch,
    /// The same in activations of 8 bits.
    pub coarse: Sketch,
    /// `own`, as the code of the claims carries them.
    pub coded: Sketch,
    /// The executor's own rows at another border, which no exhibit shows.
    pub elsewhere: Sketch,
    /// The first server's output; `None` if its bytes are no rows.
    pub first: Option<Sketch>,
    /// The second server's output; `None` if its bytes are no rows.
    pub second: Option<Sketch>,
}

/// The result of an executor.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Finding {
    /// It computed the span again.
    #[codec(index = 0)]
    Computed(Box<Sketches>),
    /// Nobody showed it an exhibit of these claims that it can judge by.
    #[codec(index = 1)]
    Unavailable,
    /// The inputs do not follow from the tokens.
    #[codec(index = 2)]
    Unnatural,
}

impl Finding {
    /// The commitment to a finding: bound to the chain, the case, its draw and the executor, so that
    /// nobody can take over another's.
    pub fn commitment(
        &self,
        genesis: &[u8; 32],
        agent: &Account,
        case: u64,
        draw: &Digest,
        salt: &[u8; 32],
    ) -> Digest {
        hash(&(DOMAIN, genesis, agent, case, draw, self, salt))
    }
}
