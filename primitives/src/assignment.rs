// SPDX-License-Identifier: Apache-2.0
//! The assignment of responses to rankers: the paper's `S_i`, equation (2).
//!
//! The agents of a round are shuffled into positions `0 .. n`. The seed also draws `k` distinct
//! offsets out of `1 .. n`; the agent at position `p` ranks the responses at `p + d mod n` for each
//! offset `d`. That is a circulant graph under a random labelling, so:
//!
//! - every agent ranks exactly `k` responses, and every response is ranked by exactly `k` agents;
//! - nobody ranks its own response, as no offset is 0;
//! - every ordered pair of agents is equally likely: the shuffle puts a pair at every distance
//!   equally often, whatever the offsets are. Its probability is `k / (n − 1)`.
//!
//! The seed draws the offsets, too, for a richer *joint* distribution. With fixed offsets, the
//! agents that share one response would nearly determine those that share the next.

use alloc::{collections::BTreeSet, vec::Vec};

use codec::Encode;
use sp_core::H256;
use sp_io::hashing::blake2_256;

use crate::Position;

const SHUFFLE_DOMAIN: &[u8] = b"starling/shuffle/1";
const OFFSETS_DOMAIN: &[u8] = b"starling/offsets/1";

/// Number of responses that each of `n` agents ranks: `k = clamp(⌈(n − 1)/3⌉, minimum, maximum)`,
/// at most `n − 1`. The paper's third has a `minimum` of 0 and no bound as `maximum`.
pub fn rankings(n: u32, minimum: u32, maximum: u32) -> u32 {
    let others = n.saturating_sub(1);
    others.div_ceil(3).min(maximum).max(minimum).min(others)
}

/// The shuffle: element `i` is the position of the `i`-th agent in the order of accounts.
pub fn positions(seed: H256, n: u32) -> Vec<Position> {
    let mut stream = Stream::new(SHUFFLE_DOMAIN, seed);
    let n = Position::try_from(n).unwrap_or(Position::MAX);
    let mut positions: Vec<Position> = (0..n).collect();
    // Fisher and Yates, from the end.
    for last in (1..positions.len()).rev() {
        let bound = u32::try_from(last).unwrap_or(u32::MAX).saturating_add(1);
        positions.swap(last, stream.below(bound) as usize);
    }
    positions
}

/// The assignments of a round, from its seed alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    n: u32,
    offsets: Vec<u32>,
}

impl Assignment {
    /// The assignments of `n` agents that rank `k` responses each; `k` is cut to `n − 1`.
    pub fn new(seed: H256, n: u32, k: u32) -> Self {
        let mut stream = Stream::new(OFFSETS_DOMAIN, seed);
        let others = n.saturating_sub(1);
        let k = k.min(others);
        // Floyd: a uniformly random subset of `1 ..= others` with `k` elements.
        let mut offsets = BTreeSet::new();
        for candidate in others.saturating_sub(k).saturating_add(1)..=others {
            let drawn = stream.below(candidate).saturating_add(1);
            if !offsets.insert(drawn) {
                offsets.insert(candidate);
            }
        }
        Self {
            n,
            offsets: offsets.into_iter().collect(),
        }
    }

    /// The responses that the agent at `ranker` ranks, ascending; empty for a position that does
    /// not exist.
    pub fn responses(&self, ranker: Position) -> Vec<Position> {
        self.shifted(ranker, |ranker, offset| ranker.checked_add(offset))
    }

    /// The agents that rank the response at `response`, ascending: `S_i`.
    pub fn rankers(&self, response: Position) -> Vec<Position> {
        self.shifted(response, |response, offset| {
            response.checked_add(self.n)?.checked_sub(offset)
        })
    }

    fn shifted(&self, from: Position, shift: impl Fn(u32, u32) -> Option<u32>) -> Vec<Position> {
        let from = u32::from(from);
        if from >= self.n {
            return Vec::new();
        }
        let mut positions: Vec<Position> = self
            .offsets
            .iter()
            .filter_map(|offset| shift(from, *offset)?.checked_rem(self.n)?.try_into().ok())
            .collect();
        positions.sort_unstable();
        positions
    }
}

/// Uniform numbers from a seed: `H(domain ‖ seed ‖ 0) ‖ H(domain ‖ seed ‖ 1) ‖ …`, 32 bits each.
struct Stream {
    domain: &'static [u8],
    seed: H256,
    next: u32,
    words: Vec<u32>,
}

impl Stream {
    fn new(domain: &'static [u8], seed: H256) -> Self {
        Self {
            domain,
            seed,
            next: 0,
            words: Vec::new(),
        }
    }

    fn word(&mut self) -> u32 {
        if let Some(word) = self.words.pop() {
            return word;
        }
        let block = blake2_256(&(self.domain, self.seed, self.next).encode());
        self.next = self.next.wrapping_add(1);
        self.words.extend(
            block
                .as_chunks::<4>()
                .0
                .iter()
                .rev()
                .map(|word| u32::from_le_bytes(*word)),
        );
        self.words.pop().unwrap_or_default()
    }

    /// A number below `bound`, each equally likely: numbers beyond the largest multiple of `bound`
    /// are discarded. 0 if `bound` is 0.
    fn below(&mut self, bound: u32) -> u32 {
        let surplus = (1u64 << 32).checked_rem(bound.into()).unwrap_or(0);
        let usable = (1u64 << 32).saturating_sub(surplus);
        loop {
            let word = self.word();
            if u64::from(word) < usable {
                return word.checked_rem(bound).unwrap_or(0);
            }
        }
    }
}
