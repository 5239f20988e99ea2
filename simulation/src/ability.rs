// SPDX-License-Identifier: Apache-2.0
//! The abilities of an agent, whatever it chooses to do.
//!
//! No model runs here. A response is a number: its true quality in `[0, 1]`, which the ranker sees
//! through its own noise. Rankers of the same quality see the same response differently, as two
//! language models do.

use rand::Rng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

/// Abilities to answer and to rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ability {
    /// Mean quality of its responses.
    pub skill: f64,
    /// Standard deviation of their quality.
    pub spread: f64,
    /// Standard deviation of its perception of a response's quality.
    pub noise: f64,
    /// Stretch of the scale around the middle; 1 means none.
    pub gain: f64,
    /// Constant added to every score.
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
    /// Ability to rank: 1 less the noise.
    pub fn ranking(&self) -> f64 {
        1.0 - self.noise
    }

    /// Draws the quality of one response.
    pub fn respond(&self, rng: &mut impl Rng) -> f64 {
        normal(self.skill, self.spread, rng).clamp(0.0, 1.0)
    }

    /// Draws the agent's score of a response of this quality.
    pub fn perceive(&self, quality: f64, rng: &mut impl Rng) -> f64 {
        let seen = normal(quality, self.noise, rng);
        (0.5 + self.gain * (seen - 0.5) + self.bias).clamp(0.0, 1.0)
    }
}

/// Draws a normal number; returns `mean` if the deviation is not positive.
fn normal(mean: f64, deviation: f64, rng: &mut impl Rng) -> f64 {
    Normal::new(mean, deviation.max(0.0)).map_or(mean, |normal| normal.sample(rng))
}
