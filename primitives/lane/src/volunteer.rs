// SPDX-License-Identifier: Apache-2.0
//! The payloads that an agent signs to serve in an epoch, and to stay out of it.

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

    /// Computed apart, over the SCALE encoding.
    #[test]
    fn the_payloads_are_these_bytes() {
        let joined = join(&[1; 32], &[2; 32], 3, &[4; 32], &[5; 32]);
        let left = leave(&[1; 32], &[2; 32], 3);
        assert_eq!(
            joined,
            [
                0x10, 0xac, 0xcd, 0x83, 0x53, 0x0a, 0xed, 0xb7, 0x3a, 0xf3, 0xa5, 0x82, 0x3d, 0x4e,
                0xc4, 0x3a, 0xbc, 0x22, 0x7c, 0x62, 0x06, 0x94, 0x72, 0x84, 0xca, 0x0c, 0x02, 0x16,
                0xc4, 0x32, 0xad, 0xd8
            ]
        );
        assert_eq!(
            left,
            [
                0x6d, 0x5b, 0xf5, 0x23, 0x07, 0xd2, 0x8e, 0xa3, 0x03, 0x8d, 0x26, 0x69, 0xc4, 0x6d,
                0x54, 0x19, 0xc5, 0xf7, 0xbb, 0xcf, 0x1d, 0x65, 0x3b, 0xd9, 0x0e, 0xda, 0xb1, 0x0e,
                0x71, 0x5a, 0x45, 0xbc
            ]
        );
    }

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
