// SPDX-License-Identifier: Apache-2.0
//! The draw of agents for a full round, for the committee of a lane, and for that of a case.
//!
//! First come, first served would let Sybils fill a round in its first block. Instead every agent
//! has a draw, and the lowest draws stay. Splitting a bond does not improve a draw. The draw
//! follows from public data, so an agent knows it before it spends any work. The bond of an agent
//! with a good record of answers [counts for more](crate::quality::strength).

use codec::Encode;
use sp_core::{H256, U256};
use sp_io::hashing::blake2_256;

use crate::{Balance, RoundId};

const DOMAIN: &[u8] = b"starling/draw/1";
const LANE_DOMAIN: &[u8] = b"starling/lane-draw/1";
const CASE_DOMAIN: &[u8] = b"starling/case-draw/1";
const EXECUTOR_DOMAIN: &[u8] = b"starling/executor-draw/1";

/// `H(randomness after the request's block ‖ round ‖ agent) / bond`. Lower is better.
pub fn draw<AccountId: Encode>(
    request_block: H256,
    round: RoundId,
    agent: &AccountId,
    bond: Balance,
) -> U256 {
    over_bond(&(DOMAIN, request_block, round, agent), bond)
}

/// `H(seed ‖ lane ‖ agent) / bond`: the draw of an agent for the committee of a lane. Lower is
/// better.
pub fn lane_draw<AccountId: Encode>(
    seed: H256,
    lane: u64,
    agent: &AccountId,
    bond: Balance,
) -> U256 {
    over_bond(&(LANE_DOMAIN, seed, lane, agent), bond)
}

/// `H(lot) / bond`. Without a bond, the highest draw there is.
fn over_bond(lot: &impl Encode, bond: Balance) -> U256 {
    U256::from_big_endian(&blake2_256(&lot.encode()))
        .checked_div(bond.into())
        .unwrap_or(U256::MAX)
}

/// The seed of everything that is drawn for a case: the chain's randomness some blocks after the case
/// was opened, and the number of the attempt.
pub fn case_seed(randomness: H256, case: u64, attempt: u8) -> H256 {
    blake2_256(&(CASE_DOMAIN, randomness, case, attempt).encode()).into()
}

/// `H(seed ‖ agent) / bond`: the draw of an agent for the committee of a case. Lower is better.
pub fn executor_draw<AccountId: Encode>(seed: H256, agent: &AccountId, bond: Balance) -> U256 {
    let hash = blake2_256(&(EXECUTOR_DOMAIN, seed, agent).encode());
    U256::from_big_endian(&hash)
        .checked_div(bond.into())
        .unwrap_or(U256::MAX)
}

/// Number of agents that a round with so many places displaces, at least in the mean, if `active`
/// agents with random draws come one after the other: `n · ⌈log2(active / n)⌉`, above the exact
/// `Σ n / i` over `i` from `n + 1` to `active`.
pub fn displaced(places: u32, active: u32) -> u32 {
    let ratio = active.div_ceil(places.max(1)).max(1);
    let doublings = ratio
        .checked_next_power_of_two()
        .map_or(u32::BITS, u32::ilog2);
    places.saturating_mul(doublings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_fewer_are_displaced_than_in_the_mean(places in 1..600u32, active in 0..3_000u32) {
            let mean: f64 = (places + 1..=active).map(|i| f64::from(places) / f64::from(i)).sum();
            let bound = f64::from(displaced(places, active));
            prop_assert!(mean <= bound, "{mean} and {bound}");
            prop_assert!(active > places || bound == 0.0);
        }
    }

    #[test]
    fn any_numbers_have_a_bound() {
        assert_eq!(displaced(0, u32::MAX), 0);
        assert_eq!(displaced(1, u32::MAX), 32);
        assert_eq!(displaced(u32::MAX, u32::MAX), 0);
        assert_eq!(displaced(u32::MAX / 2, u32::MAX), u32::MAX - 1);
    }
}
