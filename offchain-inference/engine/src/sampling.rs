// SPDX-License-Identifier: Apache-2.0
//! Choosing the next token from logits.

use crate::tokenizer::TokenId;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use std::collections::BTreeSet;

/// Sampling parameters. Filters apply in llama.cpp's order: repetition penalty, top-k, top-p,
/// min-p, temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 always takes the most probable token.
    pub temperature: f32,
    /// Only the k most probable tokens; 0 for all.
    pub top_k: usize,
    /// Only the most probable tokens that together reach this probability, in (0, 1].
    pub top_p: f32,
    /// Only tokens at least this many times as probable as the most probable one, in [0, 1].
    pub min_p: f32,
    /// Divides positive logits of recent tokens and multiplies negative ones; 1 for none.
    pub repetition_penalty: f32,
    /// Number of the last tokens that the penalty looks at.
    pub repetition_window: usize,
    /// Seed of the random numbers: same seed, same tokens.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            repetition_window: 64,
            seed: 0,
        }
    }
}

/// An error in drawing a token.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SamplingError {
    /// A parameter is outside its range.
    #[error("{name} is {value}, but must be {range}")]
    OutOfRange {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f32,
        /// Its range.
        range: &'static str,
    },
    /// Every logit is −∞ or NaN.
    #[error("the model's output holds no finite logit")]
    NotFinite,
}

impl Sampling {
    /// The most probable token, always.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            ..Self::default()
        }
    }

    /// Checks the ranges of all parameters.
    pub fn validate(&self) -> Result<(), SamplingError> {
        let check = |name, value: f32, ok: bool, range| {
            if ok {
                Ok(())
            } else {
                Err(SamplingError::OutOfRange { name, value, range })
            }
        };
        let Self {
            temperature,
            top_p,
            min_p,
            repetition_penalty,
            ..
        } = *self;
        check(
            "temperature",
            temperature,
            (0.0..=100.0).contains(&temperature),
            "from 0 to 100",
        )?;
        check(
            "top_p",
            top_p,
            top_p > 0.0 && top_p <= 1.0,
            "above 0 and at most 1",
        )?;
        check("min_p", min_p, (0.0..=1.0).contains(&min_p), "from 0 to 1")?;
        check(
            "repetition_penalty",
            repetition_penalty,
            (0.1..=10.0).contains(&repetition_penalty),
            "from 0.1 to 10",
        )
    }
}

/// Draws tokens; holds the state of the random numbers.
pub struct Sampler {
    options: Sampling,
    random: ChaCha8Rng,
}

/// A token that may be drawn.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    pub id: TokenId,
    pub logit: f32,
}

/// The tokens whose logits are finite.
pub(crate) fn candidates(logits: &[f32]) -> Vec<Candidate> {
    (0..)
        .zip(logits)
        .filter(|(_, logit)| logit.is_finite())
        .map(|(id, &logit)| Candidate { id, logit })
        .collect()
}

impl Sampler {
    /// A sampler at the beginning of its random numbers.
    pub fn new(options: Sampling) -> Result<Self, SamplingError> {
        options.validate()?;
        let random = ChaCha8Rng::seed_from_u64(options.seed);
        Ok(Self { options, random })
    }

    /// Draws a token. `logits` has one entry a token of the vocabulary; `recent` are the tokens so
    /// far. Tokens with a logit that is NaN are never drawn.
    pub fn sample(&mut self, logits: &[f32], recent: &[TokenId]) -> Result<TokenId, SamplingError> {
        let mut candidates = candidates(logits);
        self.penalise(&mut candidates, recent);
        if self.options.temperature == 0.0 {
            let best = candidates
                .into_iter()
                .reduce(|a, b| if b.logit > a.logit { b } else { a });
            return best.map(|best| best.id).ok_or(SamplingError::NotFinite);
        }
        if self.options.top_k > 0 {
            keep_largest(&mut candidates, self.options.top_k);
        }
        let best = candidates.iter().map(|c| c.logit).reduce(f32::max);
        let best = best.ok_or(SamplingError::NotFinite)?;
        if self.options.top_p < 1.0 {
            keep_top_p(&mut candidates, best, self.options.top_p);
        }
        let floor = best + self.options.min_p.ln();
        candidates.retain(|c| c.logit >= floor);
        let weights: Vec<f64> = candidates
            .iter()
            .map(|c| (f64::from(c.logit - best) / f64::from(self.options.temperature)).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        let mut left = self.uniform() * total;
        let drawn = candidates.iter().zip(&weights).find(|(_, weight)| {
            left -= **weight;
            left < 0.0
        });
        // Rounding may leave a little mass behind the last candidate.
        drawn
            .map(|(c, _)| c.id)
            .or(candidates.last().map(|c| c.id))
            .ok_or(SamplingError::NotFinite)
    }

    fn penalise(&self, candidates: &mut [Candidate], recent: &[TokenId]) {
        let penalty = self.options.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let from = recent.len().saturating_sub(self.options.repetition_window);
        let seen: BTreeSet<_> = recent.iter().skip(from).collect();
        for candidate in candidates.iter_mut().filter(|c| seen.contains(&c.id)) {
            if candidate.logit > 0.0 {
                candidate.logit /= penalty;
            } else {
                candidate.logit *= penalty;
            }
        }
    }

    /// Uniform in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Keeps the most probable candidates that together reach the share `top_p` of the probability.
/// `best` is the largest logit.
fn keep_top_p(candidates: &mut Vec<Candidate>, best: f32, top_p: f32) {
    let weight = |c: &Candidate| f64::from(c.logit - best).exp();
    let wanted = candidates.iter().map(weight).sum::<f64>() * f64::from(top_p);
    // The mass sits in few tokens: sort a growing head instead of the whole vocabulary.
    let mut head = 256;
    loop {
        let mut sorted = candidates.clone();
        keep_largest(&mut sorted, head);
        let mut reached = 0.0;
        let needed = sorted.iter().position(|c| {
            reached += weight(c);
            reached >= wanted
        });
        if needed.is_some() || head >= candidates.len() {
            sorted.truncate(needed.map_or(sorted.len(), |last| last + 1));
            *candidates = sorted;
            return;
        }
        head *= 8;
    }
}

/// Keeps the `k` largest logits, sorted; among equals the lower id comes first.
pub(crate) fn keep_largest(candidates: &mut Vec<Candidate>, k: usize) {
    let order = |a: &Candidate, b: &Candidate| b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id));
    if k < candidates.len() {
        candidates.select_nth_unstable_by(k, order);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(order);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(options: Sampling, logits: &[f32], n: usize) -> Vec<TokenId> {
        let mut sampler = Sampler::new(options).unwrap();
        (0..n)
            .map(|_| sampler.sample(logits, &[]).unwrap())
            .collect()
    }

    fn open() -> Sampling {
        Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            ..Sampling::default()
        }
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits = [0.0f32, 2f32.ln(), f32::NEG_INFINITY, 5f32.ln()];
        let drawn = draw(open(), &logits, 20_000);
        let share = |id| drawn.iter().filter(|&&t| t == id).count() as f64 / drawn.len() as f64;
        for (id, p) in [(0, 1.0 / 8.0), (1, 2.0 / 8.0), (2, 0.0), (3, 5.0 / 8.0)] {
            // Four standard errors of a share of 20,000 draws.
            assert!(
                (share(id) - p).abs() <= 4.0 * (p * (1.0 - p) / 20_000.0).sqrt(),
                "{id}"
            );
        }
    }

    #[test]
    fn filters_leave_out_what_they_should() {
        let logits = [8f32.ln(), 4f32.ln(), 2f32.ln(), 1f32.ln(), 1f32.ln()];
        let distinct = |options| {
            draw(options, &logits, 2_000)
                .into_iter()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(distinct(Sampling { top_k: 2, ..open() }), [0, 1].into());
        assert_eq!(
            distinct(Sampling {
                top_p: 0.7,
                ..open()
            }),
            [0, 1].into()
        );
        assert_eq!(
            distinct(Sampling {
                min_p: 0.2,
                ..open()
            }),
            [0, 1, 2].into()
        );
        assert_eq!(
            distinct(Sampling {
                temperature: 0.0,
                ..open()
            }),
            [0].into()
        );
        assert_eq!(distinct(open()).len(), 5);
    }

    #[test]
    fn same_seed_same_tokens() {
        let logits: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin()).collect();
        let with = |seed| draw(Sampling { seed, ..open() }, &logits, 50);
        assert_eq!(with(7), with(7));
        assert_ne!(with(7), with(8));
    }

    #[test]
    fn top_p_over_a_flat_vocabulary_is_exact() {
        let logits = vec![0.0f32; 10_000];
        let mut candidates = candidates(&logits);
        keep_top_p(&mut candidates, 0.0, 0.5);
        assert_eq!(candidates.len(), 5_000);
    }

    #[test]
    fn repetition_is_penalised_within_the_window() {
        let options = Sampling {
            temperature: 0.0,
            repetition_penalty: 2.0,
            repetition_window: 1,
            ..Sampling::default()
        };
        let mut sampler = Sampler::new(options).unwrap();
        assert_eq!(sampler.sample(&[3.0, 2.0, -1.0], &[0]), Ok(1));
        assert_eq!(sampler.sample(&[3.0, 2.0, -1.0], &[0, 1]), Ok(0));
        assert_eq!(sampler.sample(&[-3.0, -2.0], &[1]), Ok(0));
    }

    #[test]
    fn absurd_values_are_refused_by_name() {
        let bad = |options: Sampling| options.validate().unwrap_err().to_string();
        for temperature in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(bad(Sampling {
                temperature,
                ..open()
            })
            .contains("temperature"));
        }
        for top_p in [0.0, -0.5, 1.5, f32::NAN] {
            assert!(bad(Sampling { top_p, ..open() }).contains("top_p"));
        }
        assert!(bad(Sampling {
            min_p: 2.0,
            ..open()
        })
        .contains("min_p"));
        assert!(bad(Sampling {
            repetition_penalty: 0.0,
            ..open()
        })
        .contains("repetition"));
    }

    #[test]
    fn logits_without_a_finite_value_are_an_error() {
        for options in [open(), Sampling::greedy()] {
            let mut sampler = Sampler::new(options).unwrap();
            assert_eq!(
                sampler.sample(&[f32::NAN; 4], &[]),
                Err(SamplingError::NotFinite)
            );
            assert_eq!(sampler.sample(&[f32::NAN, 1.0], &[]), Ok(1));
        }
    }
}
