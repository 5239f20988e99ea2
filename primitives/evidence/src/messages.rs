// SPDX-License-Identifier: Apache-2.0
//! The payloads that accusers and executors sign with their inference keys.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{hashing::hash, Account, Digest, Evidence, ModelId, Peer};

const ACCUSE: &[u8] = b"starling/accuse/1";
const HOLD: &[u8] = b"starling/hold/1";
const COMMIT: &[u8] = b"starling/commit-finding/1";

/// An accusation: evidence, the chain that it is of, and the node that shows the exhibit.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Accusation {
    /// Hash of the genesis block of the chain that the claims were signed for.
    pub network: [u8; 32],
    /// The claims.
    pub evidence: Evidence,
    /// The node that shows the exhibit to the executors.
    pub shown_by: Peer,
}

/// The signed payload of an accuser.
pub fn accuse(genesis: &[u8; 32], agent: &Account, accusation: &Accusation) -> Digest {
    hash(&(ACCUSE, genesis, agent, accusation))
}

/// The signed payload of an agent that holds models as of block `at`, and may be drawn to compute
/// with them.
pub fn hold(genesis: &[u8; 32], agent: &Account, models: &[ModelId], at: u32) -> Digest {
    hash(&(HOLD, genesis, agent, models, at))
}

/// The signed payload of the commitment to a finding. `draw` is that of the committee.
pub fn commit(
    genesis: &[u8; 32],
    agent: &Account,
    case: u64,
    draw: &Digest,
    commitment: &Digest,
) -> Digest {
    hash(&(COMMIT, genesis, agent, case, draw, commitment))
}
