// SPDX-License-Identifier: Apache-2.0

//! What an agent is able to do, whatever it chooses to do.
//!
//! No model runs here. A response is a number, its true quality in `[0, 1]`, which the ranker sees
//! through its own noise. Rankers of the same quality see the same response differently, as two
//! language models do.

use rand::Rng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

/// How well an agent answers and ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ability {
    /// The mean quality of its responses.
    pub skill: f64,
    /// The standard deviation of their quality.
    pub spread: f64,
    /// The standard deviation of what it sees of a response's quality.
    pub noise: f64,
    /// How it stretches the scale around the middle: 1 not at all.
    pub gain: f64,
    /// What it adds to every score.
    pub bias: f64,
}

impl Default for Ability {
    /// The agent of the protocol's design: quality spread 0.15, noise 0.12.
    fn default() -> Self {
        Self {
            skill: 0.5,
            spread: 0.15,
            noise: 0.12,
            gain: 1.0,
            bias: 0.0,
        }
    }
}

impl Ability {
    /// How well it ranks: 1 less the noise through which it sees.
    pub fn ranking(&self) -> f64 {
        1.0 - self.noise
    }

    /// The quality of one response.
    pub fn respond(&self, rng: &mut impl Rng) -> f64 {
        normal(self.skill, self.spread, rng).clamp(0.0, 1.0)
    }

    /// What the agent thinks of a response of this quality.
    pub fn perceive(&self, quality: f64, rng: &mut impl Rng) -> f64 {
        let seen = normal(quality, self.noise, rng);
        (0.5 + self.gain * (seen - 0.5) + self.bias).clamp(0.0, 1.0)
    }
}

/// A normal number; `mean` where the deviation is none.
fn normal(mean: f64, deviation: f64, rng: &mut impl Rng) -> f64 {
    Normal::new(mean, deviation.max(0.0)).map_or(mean, |normal| normal.sample(rng))
}
