// SPDX-License-Identifier: Apache-2.0
//! The draw of agents for a full round.
//!
//! First come, first served would let Sybils fill a round in its first block. Instead every agent
//! has a draw, and the lowest draws stay. Splitting a bond does not improve a draw. The draw
//! follows from public data, so an agent knows it before it spends any work.

use codec::Encode;
use sp_core::{H256, U256};
use sp_io::hashing::blake2_256;

use crate::{Balance, RoundId};

const DOMAIN: &[u8] = b"starling/draw/1";

/// `H(randomness after the request's block ‖ round ‖ agent) / bond`. Lower is better.
pub fn draw<AccountId: Encode>(
    request_block: H256,
    round: RoundId,
    agent: &AccountId,
    bond: Balance,
) -> U256 {
    let hash = blake2_256(&(DOMAIN, request_block, round, agent).encode());
    U256::from_big_endian(&hash)
        .checked_div(bond.into())
        .unwrap_or(U256::MAX)
}
