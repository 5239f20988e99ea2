// SPDX-License-Identifier: Apache-2.0
//! Annealing, by thresholds: a step may be worse by a share that falls to nothing. It needs no
//! logarithm, so that it is the same on every machine.

use rand_chacha::ChaCha8Rng;

use super::{climbing::climb, Found, Search, Solver};
use crate::{greedy::Origin, placement::Placement};

/// Anneals from the best of the seeds.
#[derive(Clone, Copy, Debug)]
pub struct Annealing {
    /// The share by which a step may be worse at first.
    pub temperature: f64,
}

impl Default for Annealing {
    fn default() -> Self {
        Self { temperature: 0.05 }
    }
}

impl Solver for Annealing {
    fn origin(&self) -> Origin {
        Origin::Annealing
    }

    fn solve(&self, search: &mut Search, seeds: &[Placement], rng: &mut ChaCha8Rng) -> Found {
        let mut found = search.best_of(seeds);
        let left = search.left();
        climb(search, &mut found, left, self.temperature, false, rng);
        found
    }
}
