// SPDX-License-Identifier: Apache-2.0
//! Other methods of rating rankers, computed from the scores of the same rounds.

use std::collections::BTreeMap;

use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use starling_primitives::fixed::ONE;
use starling_runtime::parameters::Preset;

use super::{agreement::graded, short};
use crate::{
    ability::Ability,
    behaviour::Kind,
    output::{Output, Panel, Series},
    runner::Runner,
    selection::{by, Centre},
    stats::{confidence, deviation, exceeds, indicator, mean, median, pearson, spearman},
    swarm::{Config, Given, Played, Spec, Swarm},
};

/// A method of computing ratings from scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `1 − σ` of deviations from the mean of all rankers: the paper's method.
    Paper,
    /// `1 − σ` of deviations from the plain mean of the others.
    Others,
    /// `1 − σ`, deviations from the weighted mean of the others: this protocol's method without its
    /// floor.
    Weighted,
    /// The same, with only the part above production's floor as the weight: this protocol's method.
    Floored,
    /// `1 − σ` of scores with mean 0 and deviation 1 for each ranker.
    Standardised,
    /// `1 − 1.4826 · median` of the absolute deviations from the median of the others.
    Robust,
    /// Share of pairs in the same order as by the others' means, minus the share in the other
    /// order.
    Agreement,
    /// Pearson's coefficient between a ranker's scores and the others' means.
    Correlation,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 8] = [
        Self::Paper,
        Self::Others,
        Self::Weighted,
        Self::Floored,
        Self::Standardised,
        Self::Robust,
        Self::Agreement,
        Self::Correlation,
    ];

    /// The ratings of `agents` agents after these rounds.
    pub fn rate(self, rounds: &[Played], agents: usize) -> Vec<f64> {
        let scales = scales(rounds, agents);
        let mut pairs: Vec<Vec<(f64, f64)>> = vec![Vec::new(); agents];
        let mut agreed: Vec<(f64, f64)> = vec![(0.0, 0.0); agents];
        for round in rounds {
            let mut by_author: BTreeMap<usize, Vec<&Given>> = BTreeMap::new();
            for given in &round.scores {
                by_author.entry(given.author).or_default().push(given);
            }
            let mut of_ranker: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
            for given in &round.scores {
                let scored = &by_author[&given.author];
                if let Some(pair) = self.pair(round, given, scored, &scales) {
                    of_ranker.entry(given.ranker).or_default().push(pair);
                }
            }
            for (ranker, scored) in of_ranker {
                let (alike, all) = alike(&scored);
                agreed[ranker].0 += alike;
                agreed[ranker].1 += all;
                pairs[ranker].extend(scored);
            }
        }
        pairs
            .iter()
            .zip(agreed)
            .map(|(pairs, (alike, all))| self.rating(pairs, alike, all))
            .collect()
    }

    /// A ranker's score of a response, and the value that it is compared with.
    fn pair(
        self,
        round: &Played,
        given: &Given,
        scored: &[&Given],
        scales: &[(f64, f64)],
    ) -> Option<(f64, f64)> {
        let own = given.ranker;
        let others = || scored.iter().filter(move |other| other.ranker != own);
        if others().count() < 2 {
            return None;
        }
        let scores: Vec<f64> = others().map(|other| other.score).collect();
        match self {
            Self::Paper => {
                let all: Vec<f64> = scored.iter().map(|other| other.score).collect();
                Some((given.score, mean(&all)))
            },
            Self::Others | Self::Agreement | Self::Correlation => {
                Some((given.score, mean(&scores)))
            },
            Self::Weighted | Self::Floored => {
                let weight =
                    |other: &Given| round.weights.get(&other.ranker).copied().unwrap_or(0.0);
                let weights: f64 = others().map(|other| weight(other)).sum();
                let sum: f64 = others().map(|other| weight(other) * other.score).sum();
                (weights > 0.0).then(|| (given.score, sum / weights))
            },
            Self::Standardised => {
                let scaled = |given: &Given| {
                    let (mean, deviation) = scales[given.ranker];
                    (given.score - mean) / deviation
                };
                let others: Vec<f64> = others().map(|other| scaled(other)).collect();
                Some((scaled(given), mean(&others)))
            },
            Self::Robust => Some((given.score, median(&scores))),
        }
    }

    /// The weights of the rankers after these rounds.
    pub fn weights(self, rounds: &[Played], agents: usize) -> Vec<f64> {
        let ratings = self.rate(rounds, agents);
        ratings
            .into_iter()
            .map(|rating| self.weight(rating))
            .collect()
    }

    /// The weight of a ranker with this rating.
    fn weight(self, rating: f64) -> f64 {
        let floor = match self {
            Self::Floored => Preset::Production.parameters().ratings.weight_floor as f64,
            _ => 0.0,
        };
        (rating - floor / ONE as f64).max(0.0)
    }

    fn rating(self, pairs: &[(f64, f64)], alike: f64, all: f64) -> f64 {
        let deviations = || pairs.iter().map(|(own, others)| own - others);
        match self {
            Self::Paper | Self::Others | Self::Floored | Self::Weighted | Self::Standardised => {
                let squares: f64 = deviations().map(|deviation| deviation * deviation).sum();
                1.0 - (squares / pairs.len().saturating_sub(1).max(1) as f64).sqrt()
            },
            Self::Robust => {
                let absolute: Vec<f64> = deviations().map(f64::abs).collect();
                1.0 - 1.4826 * median(&absolute)
            },
            Self::Agreement => {
                if all == 0.0 {
                    0.0
                } else {
                    2.0 * alike / all - 1.0
                }
            },
            Self::Correlation => {
                let (own, others): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
                pearson(&own, &others)
            },
        }
    }
}

/// Number of pairs that a ranker orders like the others, and number of all pairs.
fn alike(scored: &[(f64, f64)]) -> (f64, f64) {
    let (mut alike, mut all) = (0.0, 0.0);
    for (index, first) in scored.iter().enumerate() {
        for second in &scored[index + 1..] {
            all += 1.0;
            if (first.0 - second.0) * (first.1 - second.1) > 0.0 {
                alike += 1.0;
            }
        }
    }
    (alike, all)
}

/// Mean and deviation of each ranker's scores; the deviation is never 0.
fn scales(rounds: &[Played], agents: usize) -> Vec<(f64, f64)> {
    let mut scores: Vec<Vec<f64>> = vec![Vec::new(); agents];
    for given in rounds.iter().flat_map(|round| &round.scores) {
        scores[given.ranker].push(given.score);
    }
    scores
        .iter()
        .map(|scores| (mean(scores), deviation(scores).max(1e-3)))
        .collect()
}

/// Results of one method for one swarm.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The swarm.
    pub swarm: &'static str,
    /// The method.
    pub method: Method,
    /// Spearman's coefficient between ratings and abilities of the honest agents.
    pub spearman: f64,
    /// Half of its 95 % confidence interval.
    pub spearman_ci: f64,
    /// Probability that an honest agent rates above a dishonest one; 1 if all are honest.
    pub separation: f64,
    /// Half of its 95 % confidence interval.
    pub separation_ci: f64,
    /// Share of the second half of the rounds in which the best response has the largest mean under
    /// the resulting weights.
    pub best_wins: f64,
    /// Half of its 95 % confidence interval, over the seeds.
    pub best_wins_ci: f64,
    /// Share of these rounds in which a dishonest agent's response has the largest mean.
    pub attacker_wins: f64,
    /// Half of its 95 % confidence interval, over the seeds.
    pub attacker_wins_ci: f64,
}

/// Results of one method with one seed.
struct Judged {
    spearman: f64,
    separation: f64,
    best_wins: f64,
    attacker_wins: f64,
}

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rounds of each swarm.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// The swarms: ten honest agents of graded ability, with others.
fn swarms() -> Vec<(&'static str, Vec<Spec>)> {
    let with = |kind: Kind, count: usize, attacker: bool| {
        let mut agents = graded(10);
        let spec = Spec {
            kind,
            attacker,
            ..Spec::honest(Ability::default())
        };
        agents.extend(vec![spec; count]);
        agents
    };
    // Models that express the same opinion in other numbers.
    let mut scaled = graded(10);
    for (index, spec) in scaled.iter_mut().enumerate() {
        (spec.ability.gain, spec.ability.bias) = match index % 3 {
            0 => (1.0, 0.0),
            1 => (0.4, 0.15),
            _ => (0.7, -0.15),
        };
    }
    vec![
        ("honest", graded(10)),
        ("own-scales", scaled),
        ("lazy", with(Kind::Lazy, 4, true)),
        ("constant", with(Kind::Constant, 4, true)),
        ("inverted", with(Kind::Inverted, 4, true)),
        ("ring", with(Kind::Ring, 4, true)),
        ("subtle", with(Kind::Subtle, 4, true)),
    ]
}

/// Plays all swarms and rates them by all methods.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let inputs: Vec<(&'static str, Vec<Spec>, u64)> = swarms()
        .into_iter()
        .flat_map(|(name, agents)| {
            options
                .seeds
                .iter()
                .map(move |seed| (name, agents.clone(), *seed))
        })
        .collect();
    let steps = inputs.len() as u64 * u64::from(options.rounds);
    let found = runner.all(
        "alternatives",
        steps,
        &inputs,
        |(name, agents, seed), bar| {
            let config = Config::new(short(Preset::Production), agents.clone(), *seed);
            let mut swarm = Swarm::new(config)?;
            let mut rounds = Vec::new();
            for _ in 0..options.rounds {
                rounds.push(swarm.play()?);
                bar.inc(1);
            }
            let results: Vec<Judged> = Method::ALL
                .into_iter()
                .map(|method| judge(method, &rounds, agents, *seed))
                .collect();
            Ok((*name, results))
        },
    )?;
    let mut rows = Vec::new();
    for (swarm, _) in swarms() {
        for (index, method) in Method::ALL.into_iter().enumerate() {
            let of_swarm = || found.iter().filter(|(name, _)| *name == swarm);
            let all = |value: &dyn Fn(&Judged) -> f64| -> Vec<f64> {
                of_swarm()
                    .map(|(_, results)| value(&results[index]))
                    .collect()
            };
            let orders = all(&|judged| judged.spearman);
            let apart = all(&|judged| judged.separation);
            let best = all(&|judged| judged.best_wins);
            let attacker = all(&|judged| judged.attacker_wins);
            rows.push(Row {
                swarm,
                method,
                spearman: mean(&orders),
                spearman_ci: confidence(&orders),
                separation: mean(&apart),
                separation_ci: confidence(&apart),
                best_wins: mean(&best),
                best_wins_ci: confidence(&best),
                attacker_wins: mean(&attacker),
                attacker_wins_ci: confidence(&attacker),
            });
        }
    }
    output.table("alternatives", &rows)?;
    let panel = |title: &str, value: &dyn Fn(&Row) -> f64| Panel {
        title: title.into(),
        x: format!(
            "swarm: {}",
            swarms()
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        y: title.into(),
        series: Method::ALL
            .into_iter()
            .map(|method| {
                let of_method = rows.iter().filter(|row| row.method == method);
                let points = of_method
                    .enumerate()
                    .map(|(index, row)| (index as f64, value(row)));
                Series::line(format!("{method:?}"), points.collect())
            })
            .collect(),
    };
    output.plot(
        "alternatives",
        &[
            panel("Spearman of the honest", &|row| row.spearman),
            panel("Honest above others", &|row| row.separation),
            panel("Best response wins", &|row| row.best_wins),
        ],
    )?;
    Ok(rows)
}

fn judge(method: Method, rounds: &[Played], agents: &[Spec], seed: u64) -> Judged {
    let ratings = method.rate(rounds, agents.len());
    let of = |attacker: bool| -> Vec<f64> {
        let rated = ratings.iter().zip(agents);
        rated
            .filter(|(_, spec)| spec.attacker == attacker)
            .map(|(rating, _)| *rating)
            .collect()
    };
    let (honest, others) = (of(false), of(true));
    let abilities = agents.iter().filter(|spec| !spec.attacker);
    let abilities: Vec<f64> = abilities.map(|spec| spec.ability.ranking()).collect();
    let separation = if others.is_empty() {
        1.0
    } else {
        exceeds(&honest, &others)
    };
    // Each round is decided by the knowledge before it.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut best, mut attacker) = (Vec::new(), Vec::new());
    for (index, round) in rounds.iter().enumerate().skip(rounds.len() / 2) {
        let weights = method.weights(&rounds[..index], agents.len());
        let chosen = by(round, |ranker| weights[ranker], Centre::Mean, &mut rng);
        best.push(indicator(chosen.is_some() && chosen == round.best()));
        attacker.push(indicator(
            chosen.is_some_and(|chosen| agents[chosen].attacker),
        ));
    }
    Judged {
        spearman: spearman(&abilities, &honest),
        separation,
        best_wins: mean(&best),
        attacker_wins: mean(&attacker),
    }
}
