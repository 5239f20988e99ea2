// SPDX-License-Identifier: Apache-2.0
//! Agents of known abilities, and how well ratings agree with them.

use crate::{
    ability::Ability,
    stats::{pearson, spearman},
    swarm::Spec,
};

/// Noise of the best ranker and of the worst one.
const NOISE: (f64, f64) = (0.02, 0.38);

/// Agents with graded abilities to rank that answer equally well.
pub(super) fn graded(agents: usize) -> Vec<Spec> {
    let steps = agents.saturating_sub(1).max(1) as f64;
    (0..agents)
        .map(|index| {
            let noise = NOISE.0 + (NOISE.1 - NOISE.0) * index as f64 / steps;
            Spec::honest(Ability {
                noise,
                ..Ability::default()
            })
        })
        .collect()
}

/// Agreement of ratings with abilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreement {
    pub(super) spearman: f64,
    pub(super) pearson: f64,
}

impl Agreement {
    pub(super) fn new(abilities: &[f64], ratings: &[f64]) -> Self {
        Self {
            spearman: spearman(abilities, ratings),
            pearson: pearson(abilities, ratings),
        }
    }
}
