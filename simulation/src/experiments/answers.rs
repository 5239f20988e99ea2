// SPDX-License-Identifier: Apache-2.0
//! Shared parts of the experiments with real models: questions with choices, agents that draw
//! answers from their model's probabilities and score with the engine's rankers, and rounds of them
//! on the chain.

use anyhow::{ensure, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use starling_engine::rank::Quantiles;
use starling_evaluation::{Choice, Interval, Items, Task};
use starling_runtime::parameters::Preset;
use std::path::Path;

use super::short;
use crate::{
    ability::Ability,
    behaviour::{Behaviour, Recorded},
    models::Model,
    stats::indicator,
    swarm::{Config, Played, Spec, Swarm},
};

/// The questions of a set. The first ones set the scale of scores; the others are asked.
pub fn load(task: Task, data: &Path, reference: usize, limit: usize) -> Result<Vec<Choice>> {
    match task.load(data, reference.saturating_add(limit))? {
        Items::Choices(items) => {
            ensure!(items.len() > reference, "{task} has too few questions");
            Ok(items)
        },
        Items::Passages(_) => anyhow::bail!("{task} has no choices"),
    }
}

/// The models of a swarm's agents.
#[derive(Clone, Debug)]
pub struct Swarming {
    /// Name of the swarm.
    pub name: String,
    /// Index of each agent's model.
    pub models: Vec<usize>,
}

/// One swarm for each model, and one of all models.
pub fn swarms(models: &[Model], agents: usize) -> Vec<Swarming> {
    let mut swarms: Vec<Swarming> = models
        .iter()
        .enumerate()
        .map(|(index, model)| Swarming {
            name: model.name().to_owned(),
            models: vec![index; agents],
        })
        .collect();
    if models.len() > 1 {
        swarms.push(Swarming {
            name: "mixed".into(),
            models: (0..agents).map(|agent| agent % models.len()).collect(),
        });
    }
    swarms
}

/// The most probable choice.
pub fn greedy(logprobs: &[f64]) -> usize {
    let best = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let is_best = |value: &f64| *value == best;
    logprobs.iter().position(is_best).unwrap_or(0)
}

/// A choice drawn from the model at this temperature; the most probable one at 0.
pub fn sample(logprobs: &[f64], temperature: f64, rng: &mut ChaCha8Rng) -> usize {
    // Draws in any case, so that the draws of later agents do not depend on the temperature.
    let mut left: f64 = rng.random();
    if temperature == 0.0 {
        return greedy(logprobs);
    }
    let best = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logprobs
        .iter()
        .map(|logprob| ((logprob - best) / temperature).exp())
        .collect();
    left *= weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    weights.len().saturating_sub(1)
}

/// The draws of every agent for every question; the same seed gives the same draws.
pub fn draws(
    logprobs: &[Vec<Vec<f64>>],
    swarm: &Swarming,
    temperature: f64,
    seed: u64,
) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let questions = logprobs.first().map_or(0, Vec::len);
    (0..questions)
        .map(|question| {
            let of = |model: &usize| sample(&logprobs[*model][question], temperature, &mut rng);
            swarm.models.iter().map(of).collect()
        })
        .collect()
}

/// The most frequent choice; ties are broken at random.
pub fn majority(answers: &[usize], rng: &mut ChaCha8Rng) -> Option<usize> {
    let count = |answer: usize| answers.iter().filter(|other| **other == answer).count();
    let most = answers.iter().map(|answer| count(*answer)).max()?;
    let mut tied: Vec<usize> = answers.to_vec();
    tied.retain(|answer| count(*answer) == most);
    tied.sort_unstable();
    tied.dedup();
    tied.get(rng.random_range(0..tied.len())).copied()
}

/// Maps raw scores to quantiles of the first questions' scores, as nodes do.
pub fn scale(raw: &[Vec<f64>], reference: usize) -> Result<Vec<Vec<f64>>> {
    let known = raw.iter().take(reference).flatten().copied().collect();
    let quantiles = Quantiles::new(known)?;
    let scaled = |scores: &Vec<f64>| scores.iter().map(|raw| quantiles.quantile(*raw)).collect();
    Ok(raw.iter().map(scaled).collect())
}

/// Plays a round for each question on the chain, under the parameters of production. `scores` has
/// the score of each agent for each agent's response.
pub fn play(
    right: &[Vec<bool>],
    scores: impl Fn(usize, usize) -> Vec<f64>,
    agents: usize,
    seed: u64,
) -> Result<Vec<Played>> {
    let behaviours = (0..agents)
        .map(|agent| {
            let recorded = Recorded {
                qualities: right.iter().map(|right| indicator(right[agent])).collect(),
                scores: (0..right.len())
                    .map(|question| scores(question, agent))
                    .collect(),
            };
            Box::new(recorded) as Box<dyn Behaviour>
        })
        .collect();
    let specs = vec![Spec::honest(Ability::default()); agents];
    let config = Config::new(short(Preset::Production), specs, seed);
    let mut swarm = Swarm::of(config, behaviours)?;
    right.iter().map(|_| swarm.play()).collect()
}

/// Mean over the seeds for each question; draws of the same question are not independent.
pub fn by_question(of_seeds: &[Vec<f64>]) -> Vec<f64> {
    let questions = of_seeds.first().map_or(0, Vec::len);
    (0..questions)
        .map(|question| {
            let sum: f64 = of_seeds.iter().map(|of_seed| of_seed[question]).sum();
            sum / of_seeds.len() as f64
        })
        .collect()
}

/// A mean with its 95 % confidence interval, and the same for the differences to other values of
/// the same questions.
pub fn compared(values: &[f64], others: &[f64]) -> (Interval, Interval) {
    let differences: Vec<f64> = values
        .iter()
        .zip(others)
        .map(|(value, other)| value - other)
        .collect();
    (
        starling_evaluation::mean_interval(values),
        starling_evaluation::mean_interval(&differences),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_probabilities_and_the_temperature() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let logprobs = [0.2f64.ln(), 0.6f64.ln(), 0.2f64.ln()];
        let mut share = |temperature: f64| {
            let draws = (0..5_000).filter(|_| sample(&logprobs, temperature, &mut rng) == 1);
            draws.count() as f64 / 5_000.0
        };
        assert!((share(1.0) - 0.6).abs() < 0.03);
        // 0.36 : 0.04 : 0.04
        assert!((share(0.5) - 9.0 / 11.0).abs() < 0.03);
        assert_eq!(share(0.0), 1.0);
    }

    #[test]
    fn a_majority_is_what_most_have() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(majority(&[2, 1, 2, 0], &mut rng), Some(2));
        assert_eq!(majority(&[], &mut rng), None);
        let ties: Vec<_> = (0..50)
            .map(|_| majority(&[3, 1, 1, 3, 0], &mut rng))
            .collect();
        assert!(ties.contains(&Some(1)) && ties.contains(&Some(3)) && !ties.contains(&Some(0)));
    }

    #[test]
    fn the_swarm_chooses_what_its_rankers_like() -> Result<()> {
        // The agent at index 2 has the answer that everybody scores highest.
        let right = vec![vec![false, false, true, false, false, false]; 3];
        let scores = |_, _| vec![0.4, 0.5, 0.9, 0.4, 0.5, 0.4];
        for played in play(&right, scores, 6, 1)? {
            assert_eq!(played.winner, Some(2));
        }
        Ok(())
    }
}
