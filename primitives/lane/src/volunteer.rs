// SPDX-License-Identifier: Apache-2.0
//! What an agent signs to serve in an epoch, and to stay out of it.

use crate::{hashing, Account, Hash};

const JOIN: &[u8] = b"starling/lane-join/1";
const LEAVE: &[u8] = b"starling/lane-leave/1";

/// An agent serves in epoch `e` if it joins in epoch `e - AHEAD`. Then volunteers, bonds and lanes
/// are fixed when epoch `e - 2` begins, and the seed follows from that epoch's blocks.
pub const AHEAD: u32 = 3;

/// The signed payload of a volunteer for `epoch`. `point` is its public
/// [`DecryptionKey`](crate::seal::DecryptionKey), `peer` the ed25519 public key of its node.
pub fn join(
    genesis: &Hash,
    agent: &Account,
    epoch: u32,
    point: &[u8; 32],
    peer: &[u8; 32],
) -> Hash {
    hashing::hash(&(JOIN, genesis, agent, epoch, point, peer))
}

/// The signed payload of a volunteer that takes its word for `epoch` back.
pub fn leave(genesis: &Hash, agent: &Account, epoch: u32) -> Hash {
    hashing::hash(&(LEAVE, genesis, agent, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_what_is_signed() {
        let all = [
            join(&[1; 32], &[2; 32], 3, &[4; 32], &[5; 32]),
            join(&[9; 32], &[2; 32], 3, &[4; 32], &[5; 32]),
            join(&[1; 32], &[9; 32], 3, &[4; 32], &[5; 32]),
            join(&[1; 32], &[2; 32], 9, &[4; 32], &[5; 32]),
            join(&[1; 32], &[2; 32], 3, &[9; 32], &[5; 32]),
            join(&[1; 32], &[2; 32], 3, &[4; 32], &[9; 32]),
            leave(&[1; 32], &[2; 32], 3),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
