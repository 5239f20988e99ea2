// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet-rounds`.
//!
//! A runtime takes them from `frame-omni-bencher`, which writes an implementation of [`WeightInfo`]
//! from `benchmarking.rs`. The implementation for `()` serves this pallet's own tests: it counts
//! storage accesses and was not measured.

use frame_support::weights::{constants::ParityDbWeight, Weight};

/// The weights of the calls, of their authorizations, and of the hooks.
pub trait WeightInfo {
    /// `request` with a prompt of `p` bytes.
    fn request(p: u32) -> Weight;
    /// `commit` of `b` bytes into a full round.
    fn commit(b: u32) -> Weight;
    /// `pass`.
    fn pass() -> Weight;
    /// `reveal` of a response of `b` bytes.
    fn reveal(b: u32) -> Weight;
    /// `commit_scores`.
    fn commit_scores() -> Weight;
    /// `disclose` of `k` scores.
    fn disclose(k: u32) -> Weight;
    /// Authorizing `commit` of `b` bytes.
    fn authorize_commit(b: u32) -> Weight;
    /// Authorizing `pass`.
    fn authorize_pass() -> Weight;
    /// Authorizing `reveal`.
    fn authorize_reveal() -> Weight;
    /// Authorizing `commit_scores`.
    fn authorize_commit_scores() -> Weight;
    /// Authorizing `disclose` of `k` scores.
    fn authorize_disclose(k: u32) -> Weight;
    /// `report`.
    fn report() -> Weight;
    /// `silence` of `n` agents.
    fn silence(n: u32) -> Weight;
    /// `on_initialize`, and `on_finalize` without a transition, with `r` open rounds and `a`
    /// authorities.
    fn on_initialize(r: u32, a: u32) -> Weight;
    /// The transition of a round with `n` agents from Committing to Revealing.
    fn begin_revealing(n: u32) -> Weight;
    /// The transition of a round with `n` agents from Revealing to Ranking.
    fn assign(n: u32) -> Weight;
    /// The end of a round with `n` agents, with a winner by equation (3).
    fn settle(n: u32) -> Weight;
    /// The end of a round with `n` agents, with a winner by votes.
    fn choose(n: u32) -> Weight;
    /// The ratings of `p` agents of a round of `MaxResponses`.
    fn rate(p: u32) -> Weight;
    /// The purge of `i` items.
    fn purge(i: u32) -> Weight;
}

/// A base, a part for each unit, and storage accesses.
fn guess(base: u64, each: u64, units: u32, reads: u64, writes: u64) -> Weight {
    let time = each.saturating_mul(units.into()).saturating_add(base);
    Weight::from_parts(time, 0).saturating_add(ParityDbWeight::get().reads_writes(reads, writes))
}

/// Accesses that grow with the units.
fn times(units: u32, accesses: u64) -> u64 {
    accesses.saturating_mul(units.into())
}

impl WeightInfo for () {
    fn request(p: u32) -> Weight {
        guess(60_000_000, 1_000, p, 80, 20)
    }
    fn commit(b: u32) -> Weight {
        guess(80_000_000, 1_000, b, 15, 16)
    }
    fn pass() -> Weight {
        guess(30_000_000, 0, 0, 6, 3)
    }
    fn reveal(b: u32) -> Weight {
        guess(40_000_000, 10_000, b, 5, 5)
    }
    fn commit_scores() -> Weight {
        guess(25_000_000, 0, 0, 4, 3)
    }
    fn disclose(k: u32) -> Weight {
        let accesses = times(k, 1);
        guess(
            40_000_000,
            5_000_000,
            k,
            accesses.saturating_add(4),
            accesses.saturating_add(3),
        )
    }
    fn authorize_commit(b: u32) -> Weight {
        guess(80_000_000, 1_000, b, 11, 0)
    }
    fn authorize_pass() -> Weight {
        guess(75_000_000, 0, 0, 6, 0)
    }
    fn authorize_reveal() -> Weight {
        guess(75_000_000, 0, 0, 4, 0)
    }
    fn authorize_commit_scores() -> Weight {
        guess(75_000_000, 0, 0, 4, 0)
    }
    fn authorize_disclose(k: u32) -> Weight {
        guess(75_000_000, 100_000, k, 4, 0)
    }
    fn report() -> Weight {
        guess(60_000_000, 0, 0, 9, 6)
    }
    fn silence(n: u32) -> Weight {
        guess(
            20_000_000,
            60_000_000,
            n,
            times(n, 9).saturating_add(3),
            times(n, 6).saturating_add(2),
        )
    }
    fn on_initialize(r: u32, a: u32) -> Weight {
        guess(20_000_000, 200_000, r.saturating_add(a), 8, 4)
    }
    fn begin_revealing(n: u32) -> Weight {
        Self::settle(n)
    }
    fn assign(n: u32) -> Weight {
        guess(60_000_000, 20_000_000, n, times(n, 2), times(n, 2))
    }
    fn settle(n: u32) -> Weight {
        guess(90_000_000, 60_000_000, n, times(n, 8), times(n, 6))
    }
    fn choose(n: u32) -> Weight {
        let reads = times(n, 2).saturating_add(2);
        Self::settle(n).saturating_add(guess(0, 140_000_000, n, reads, 1))
    }
    fn rate(p: u32) -> Weight {
        guess(40_000_000, 20_000_000, p, times(p, 19), times(p, 2))
    }
    fn purge(i: u32) -> Weight {
        guess(30_000_000, 5_000_000, i, times(i, 1), times(i, 1))
    }
}
