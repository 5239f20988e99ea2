// SPDX-License-Identifier: Apache-2.0

//! Whether ratings find out who ranks well: figures 3 to 5 of the paper.

use anyhow::Result;
use serde::Serialize;
use starling_runtime::rules::RuleSet;

use super::{name, short};
use crate::{
    ability::Ability,
    output::{Output, Panel, Series},
    runner::Runner,
    stats::{confidence, mean, pearson, spearman},
    swarm::{Config, Spec, Swarm},
};

/// The noise of the best ranker and of the worst one.
const NOISE: (f64, f64) = (0.02, 0.38);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rules.
    pub rules: RuleSet,
    /// How many agents, from the best ranker to the worst one.
    pub agents: usize,
    /// How many rounds.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// One agent after some rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// The rules.
    pub rules: String,
    /// The seed.
    pub seed: u64,
    /// How many rounds were played.
    pub rounds: u32,
    /// The agent's true ability to rank: 1 less the noise through which it sees.
    pub ability: f64,
    /// Its rating on chain.
    pub rating: f64,
}

/// How well ratings follow abilities after some rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The rules.
    pub rules: String,
    /// How many rounds were played.
    pub rounds: u32,
    /// Spearman's coefficient, the mean of all seeds.
    pub spearman: f64,
    /// Half of its confidence interval, 95 %.
    pub spearman_ci: f64,
    /// Pearson's coefficient, the mean of all seeds.
    pub pearson: f64,
    /// Half of its confidence interval, 95 %.
    pub pearson_ci: f64,
    /// In how many of the seeds the order is right to the last agent.
    pub ordered: f64,
}

/// Agents that rank from well to badly, and answer alike.
pub fn graded(agents: usize) -> Vec<Spec> {
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

/// After which rounds ratings are read.
fn checkpoints(rounds: u32) -> Vec<u32> {
    let mut all: Vec<u32> = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1_000]
        .into_iter()
        .filter(|round| *round < rounds)
        .collect();
    all.push(rounds);
    all
}

/// Plays the rounds of each seed.
pub fn play(options: &Options, runner: Runner) -> Result<Vec<Estimate>> {
    let steps = u64::from(options.rounds) * options.seeds.len() as u64;
    let agents = graded(options.agents);
    let label = format!("ratings {}", name(options.rules));
    let estimates = runner.all(&label, steps, &options.seeds, |seed, bar| {
        let config = Config::new(short(options.rules), agents.clone(), *seed);
        let mut swarm = Swarm::new(config)?;
        let mut estimates = Vec::new();
        let mut played = 0;
        for checkpoint in checkpoints(options.rounds) {
            while played < checkpoint {
                swarm.play()?;
                bar.inc(1);
                played += 1;
            }
            for (spec, rating) in agents.iter().zip(swarm.ratings()) {
                estimates.push(Estimate {
                    rules: name(options.rules),
                    seed: *seed,
                    rounds: played,
                    ability: 1.0 - spec.ability.noise,
                    rating,
                });
            }
        }
        Ok(estimates)
    })?;
    Ok(estimates.concat())
}

/// What the estimates of all seeds say.
pub fn summary(estimates: &[Estimate]) -> Vec<Row> {
    let mut groups: Vec<(String, u32)> = estimates
        .iter()
        .map(|estimate| (estimate.rules.clone(), estimate.rounds))
        .collect();
    groups.sort();
    groups.dedup();
    groups
        .into_iter()
        .map(|(rules, rounds)| {
            let here = |estimate: &&Estimate| estimate.rules == rules && estimate.rounds == rounds;
            let here: Vec<&Estimate> = estimates.iter().filter(here).collect();
            let mut seeds: Vec<u64> = here.iter().map(|estimate| estimate.seed).collect();
            seeds.dedup();
            let (mut spearmans, mut pearsons) = (Vec::new(), Vec::new());
            for seed in seeds {
                let of_seed = here.iter().filter(|estimate| estimate.seed == seed);
                let (abilities, ratings): (Vec<f64>, Vec<f64>) = of_seed
                    .map(|estimate| (estimate.ability, estimate.rating))
                    .unzip();
                spearmans.push(spearman(&abilities, &ratings));
                pearsons.push(pearson(&abilities, &ratings));
            }
            let right = spearmans
                .iter()
                .filter(|value| **value > 1.0 - 1e-9)
                .count();
            Row {
                rules: rules.clone(),
                rounds,
                spearman: mean(&spearmans),
                spearman_ci: confidence(&spearmans),
                pearson: mean(&pearsons),
                pearson_ci: confidence(&pearsons),
                ordered: right as f64 / spearmans.len().max(1) as f64,
            }
        })
        .collect()
}

/// Plays under both sets of rules and writes tables and plots.
pub fn run(sets: &[Options], runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let mut estimates = Vec::new();
    for options in sets {
        estimates.extend(play(options, runner)?);
    }
    let rows = summary(&estimates);
    output.table("ratings", &estimates)?;
    output.table("ratings-summary", &rows)?;
    for options in sets {
        let rules = name(options.rules);
        let panels: Vec<Panel> = [10, 100, 1_000]
            .into_iter()
            .filter(|rounds| *rounds <= options.rounds)
            .map(|rounds| Panel {
                title: format!("{rounds} rounds ({rules})"),
                x: "true ability to rank".into(),
                y: "rating".into(),
                series: vec![Series::points(
                    "agents",
                    estimates
                        .iter()
                        .filter(|estimate| estimate.rules == rules && estimate.rounds == rounds)
                        .map(|estimate| (estimate.ability, estimate.rating))
                        .collect(),
                )],
            })
            .collect();
        output.plot(&format!("ratings-{rules}"), &panels)?;
    }
    let curve = |value: &dyn Fn(&Row) -> f64| {
        sets.iter()
            .map(|options| {
                let rules = name(options.rules);
                let of_rules = rows.iter().filter(|row| row.rules == rules);
                let points = of_rules.map(|row| (f64::from(row.rounds).log10(), value(row)));
                Series::line(rules.clone(), points.collect())
            })
            .collect()
    };
    let panel = |title: &str, series| Panel {
        title: title.into(),
        x: "rounds, decimal logarithm".into(),
        y: "coefficient".into(),
        series,
    };
    output.plot(
        "ratings-rounds",
        &[
            panel("Spearman", curve(&|row| row.spearman)),
            panel("Pearson", curve(&|row| row.pearson)),
        ],
    )?;
    Ok(rows)
}
