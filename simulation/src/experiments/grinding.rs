// SPDX-License-Identifier: Apache-2.0
//! The gain of colluding authors that leave out slots, and put a request into the block after which
//! the randomness draws most of their own agents into a full round.
//!
//! The draws follow from the randomness after the request's block. Each author's output is fixed,
//! so authors can only leave out blocks. With the next slots in a row they know what each of them
//! would give. The seed of the assignment contains the agents' keys, which the authors do not know.
//! Here the attackers have a row of slots at every request, so the results show the value of one
//! row. Other authors than theirs end a row.

use anyhow::Result;
use serde::Serialize;
use starling_runtime::parameters::Parameters;

use super::behaviours::{agents, part};
use crate::{
    behaviour::Kind,
    output::{Output, Panel, Series},
    runner::Runner,
    stats::{confidence, indicator, mean},
    swarm::{Config, Played, Plot, Swarm},
};

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parameters.
    pub parameters: Parameters,
    /// Number of agents.
    pub agents: usize,
    /// Number of agents in a round.
    pub seats: u32,
    /// Kinds of the attackers' agents.
    pub kinds: Vec<Kind>,
    /// Shares of the attackers among the agents.
    pub fractions: Vec<f64>,
    /// Numbers of slots in a row; the first one is the baseline.
    pub candidates: Vec<u32>,
    /// Rounds before grinding and counting begin, in which the ratings settle.
    pub warm_up: u32,
    /// Rounds that are counted.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Quality of the answers of agents that do not answer well.
    pub poor: f64,
}

/// Results for one number of slots. Intervals are over the seeds. Gains are over the first number
/// of slots with the same seed, whose warm-up is the same to the last byte.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Kind of the attackers' agents.
    pub kind: Kind,
    /// Share of the attackers among the agents.
    pub fraction: f64,
    /// Number of slots in a row.
    pub candidates: u32,
    /// Number of counted rounds, of all seeds.
    pub rounds: usize,
    /// The attackers' share of the seats.
    pub seats: f64,
    /// Half of its 95 % confidence interval.
    pub seats_ci: f64,
    /// Share of rounds that an attacker's response won.
    pub wins: f64,
    /// Half of its 95 % confidence interval.
    pub wins_ci: f64,
    /// Share of rounds that the truly best response in the round won.
    pub best_wins: f64,
    /// Half of its 95 % confidence interval.
    pub best_wins_ci: f64,
    /// Income of an attacker's agent a round, seated or not, in the currency's unit.
    pub income: f64,
    /// Half of its 95 % confidence interval.
    pub income_ci: f64,
    /// Gain in their share of the seats.
    pub seats_gain: f64,
    /// Half of its 95 % confidence interval.
    pub seats_gain_ci: f64,
    /// Gain in their share of wins.
    pub wins_gain: f64,
    /// Half of its 95 % confidence interval.
    pub wins_gain_ci: f64,
    /// Gain in the income of one of them.
    pub income_gain: f64,
    /// Half of its 95 % confidence interval.
    pub income_gain_ci: f64,
}

/// Means of one seed.
#[derive(Clone, Copy)]
struct Means {
    seats: f64,
    wins: f64,
    best: f64,
    income: f64,
}

/// Plays all kinds, fractions and numbers of blocks.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let inputs: Vec<(Kind, f64, u32, u64)> = options
        .kinds
        .iter()
        .flat_map(|kind| options.fractions.iter().map(move |share| (*kind, *share)))
        .flat_map(|(kind, share)| {
            let candidates = options.candidates.iter();
            candidates.map(move |candidates| (kind, share, *candidates))
        })
        .flat_map(|(kind, share, candidates)| {
            let seeds = options.seeds.iter();
            seeds.map(move |seed| (kind, share, candidates, *seed))
        })
        .collect();
    let steps = inputs.len() as u64 * u64::from(options.warm_up + options.rounds);
    let found = runner.all("grinding", steps, &inputs, |input, bar| {
        let (kind, share, candidates, seed) = *input;
        play(kind, share, candidates, seed, options, &|| bar.inc(1))
    })?;
    let seeds = options.seeds.len();
    let rows: Vec<Row> = found
        .chunks(seeds * options.candidates.len())
        .zip(inputs.chunks(seeds * options.candidates.len()))
        .flat_map(|(found, inputs)| {
            let bare = &found[..seeds];
            found
                .chunks(seeds)
                .zip(inputs.chunks(seeds))
                .map(|(found, inputs)| row(inputs[0], found, bare, options))
        })
        .collect();
    output.table("grinding", &rows)?;
    let panel = |title: &str, y: &str, value: fn(&Row) -> f64| Panel {
        title: title.into(),
        x: "blocks to choose among, binary logarithm".into(),
        y: y.into(),
        series: rows
            .chunks(options.candidates.len())
            .map(|rows| {
                let points = rows
                    .iter()
                    .map(|row| (f64::from(row.candidates).log2(), value(row)));
                let label = rows.first().map_or_else(String::new, |row| {
                    format!("{:?}, {:.0} %", row.kind, 100.0 * row.fraction)
                });
                Series::line(label, points.collect())
            })
            .collect(),
    };
    output.plot(
        "grinding",
        &[
            panel("Seats", "attackers' share", |row| row.seats),
            panel("Wins", "share of the rounds", |row| row.wins),
            panel("Income", "of one attacker a round", |row| row.income),
        ],
    )?;
    Ok(rows)
}

fn play(
    kind: Kind,
    fraction: f64,
    candidates: u32,
    seed: u64,
    options: &Options,
    step: &dyn Fn(),
) -> Result<Means> {
    let attackers = part(fraction, options.agents);
    let agents = agents(kind, attackers, options.agents, options.poor);
    let config = Config {
        max_responses: Some(options.seats),
        ..Config::new(options.parameters.clone(), agents, seed)
    };
    let validators = config.validators;
    let mut swarm = Swarm::new(config)?;
    for _ in 0..options.warm_up {
        swarm.play()?;
        step();
    }
    swarm.set_plot(Plot::Grind {
        validators,
        candidates,
    });
    let before: f64 = swarm.wealth()[..attackers].iter().sum();
    let mut rounds: Vec<Played> = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(swarm.play()?);
        step();
    }
    let after: f64 = swarm.wealth()[..attackers].iter().sum();
    let over = |value: &dyn Fn(&Played) -> f64| mean(&rounds.iter().map(value).collect::<Vec<_>>());
    Ok(Means {
        seats: over(&|played| {
            let seated = played.qualities.keys().filter(|agent| **agent < attackers);
            seated.count() as f64 / played.qualities.len().max(1) as f64
        }),
        wins: over(&|played| indicator(played.winner.is_some_and(|winner| winner < attackers))),
        best: over(&|played| indicator(played.winner.is_some() && played.winner == played.best())),
        income: (after - before) / attackers.max(1) as f64 / f64::from(options.rounds.max(1)),
    })
}

fn row(
    (kind, fraction, candidates, _): (Kind, f64, u32, u64),
    found: &[Means],
    bare: &[Means],
    options: &Options,
) -> Row {
    let all = |value: fn(&Means) -> f64| found.iter().map(value).collect::<Vec<f64>>();
    let gains = |value: fn(&Means) -> f64| -> Vec<f64> {
        let pairs = found.iter().zip(bare);
        pairs
            .map(|(found, bare)| value(found) - value(bare))
            .collect()
    };
    let of = |values: Vec<f64>| (mean(&values), confidence(&values));
    let (seats, seats_ci) = of(all(|means| means.seats));
    let (wins, wins_ci) = of(all(|means| means.wins));
    let (best_wins, best_wins_ci) = of(all(|means| means.best));
    let (income, income_ci) = of(all(|means| means.income));
    let (seats_gain, seats_gain_ci) = of(gains(|means| means.seats));
    let (wins_gain, wins_gain_ci) = of(gains(|means| means.wins));
    let (income_gain, income_gain_ci) = of(gains(|means| means.income));
    Row {
        kind,
        fraction,
        candidates,
        rounds: found.len() * options.rounds as usize,
        seats,
        seats_ci,
        wins,
        wins_ci,
        best_wins,
        best_wins_ci,
        income,
        income_ci,
        seats_gain,
        seats_gain_ci,
        wins_gain,
        wins_gain_ci,
        income_gain,
        income_gain_ci,
    }
}
