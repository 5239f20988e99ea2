// SPDX-License-Identifier: Apache-2.0
//! Climbing: single steps that make nothing worse.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{
    steps::{shift, trim},
    Found, Search, Solver,
};
use crate::{greedy::Origin, placement::Placement};

/// Climbs from the best of the seeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Climbing {
    /// True if the lengths of spans change, too.
    pub lengths: bool,
}

impl Solver for Climbing {
    fn origin(&self) -> Origin {
        Origin::Climbing
    }

    fn solve(&self, search: &mut Search, seeds: &[Placement], rng: &mut ChaCha8Rng) -> Found {
        let mut found = search.best_of(seeds);
        let left = search.left();
        climb(search, &mut found, left, 0.0, self.lengths, rng);
        found
    }
}

/// Climbs from a placement for `evaluations` evaluations. With a `temperature`, steps may be worse
/// by a share drawn below it, which falls to nothing as the evaluations are used; `found` keeps the
/// best on the way.
pub fn climb(
    search: &mut Search,
    found: &mut Found,
    evaluations: u64,
    temperature: f64,
    lengths: bool,
    rng: &mut ChaCha8Rng,
) {
    let end = search.left().saturating_sub(evaluations);
    let mut spans = found.spans.clone();
    let mut total = found.total;
    loop {
        let left = search.left();
        if left <= end {
            return;
        }
        let share = (left - end) as f64 / evaluations as f64;
        let limit = if temperature > 0.0 {
            total * (1.0 + temperature * share * rng.random::<f64>())
        } else {
            total
        };
        let step = if lengths && rng.random_bool(0.5) {
            trim(search.picture, &mut spans, rng)
        } else {
            shift(search.picture, &mut spans, rng)
        };
        match search.total(&spans, limit) {
            Some(value) => {
                total = value;
                if total < found.total {
                    found.total = total;
                    found.spans.copy_from_slice(&spans);
                }
            },
            None => step.undo(&mut spans),
        }
    }
}
