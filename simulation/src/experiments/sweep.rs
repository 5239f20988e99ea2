// SPDX-License-Identifier: Apache-2.0

//! What the main parameters do: each is varied alone, against the attacks that it is there for.

use anyhow::Result;
use serde::Serialize;

use super::behaviours::{self, Attack};
use crate::{
    output::{Output, Panel, Series},
    rules::Rules,
    runner::Runner,
};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many agents in all.
    pub agents: usize,
    /// The share of them that attacks.
    pub fraction: f64,
    /// Rounds that are played before anything is counted.
    pub warm_up: u32,
    /// Rounds in which it is.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// One value of one parameter under one attack.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The parameter.
    pub parameter: &'static str,
    /// Its value.
    pub value: f64,
    /// The attack; none of the agents attack where it is `none`.
    pub attack: String,
    /// How often the truly best response won.
    pub best_wins: f64,
    /// Half of the confidence interval of that, 95 %.
    pub best_wins_ci: f64,
    /// How often an attacker's response won.
    pub attacker_wins: f64,
    /// How often there was no winner.
    pub no_winner: f64,
    /// What the chosen response lacks of the best one's quality.
    pub regret: f64,
    /// The income of an honest agent a round.
    pub honest_income: f64,
    /// The income of an attacker a round.
    pub attacker_income: f64,
}

/// A parameter: its name, its values, and how a scenario sets it.
type Parameter = (&'static str, &'static [f64], fn(&mut Rules, f64));

static PARAMETERS: [Parameter; 7] = [
    (
        "rankings",
        &[2.0, 3.0, 5.0, 7.0, 10.0, 16.0],
        |rules, value| {
            rules.min_rankings = Some(value as u32);
            rules.max_rankings = Some(value as u32);
        },
    ),
    (
        "weight-floor",
        &[0.0, 0.3, 0.5, 0.6, 0.65],
        |rules, value| {
            rules.weight_floor = Some(value);
        },
    ),
    (
        "initial-rating",
        &[0.61, 0.65, 0.7, 0.8, 0.9],
        |rules, value| {
            rules.initial_rating = Some(value);
        },
    ),
    ("min-samples", &[0.0, 10.0, 30.0, 60.0], |rules, value| {
        rules.min_samples = Some(value as u32);
    }),
    (
        "approval-threshold",
        &[0.0, 0.15, 0.3, 0.45, 0.6],
        |rules, value| {
            rules.approval_threshold = Some(value);
        },
    ),
    (
        "rankers-share",
        &[0.0, 0.1, 0.2, 0.3, 0.45],
        |rules, value| {
            rules.rankers = Some(value);
            rules.winner = Some(0.9 - value);
        },
    ),
    (
        "loser-share",
        &[0.0, 0.05, 0.1, 0.3, 1.0],
        |rules, value| {
            rules.loser = Some(value);
        },
    ),
];

/// The attacks, and the honest swarm to compare with.
const ATTACKS: [(Attack, bool); 4] = [
    (Attack::Lazy, false),
    (Attack::Lazy, true),
    (Attack::Ring, true),
    (Attack::Subtle, true),
];

/// Plays all values.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let inputs: Vec<(&Parameter, f64, Attack, bool)> = PARAMETERS
        .iter()
        .flat_map(|parameter| parameter.1.iter().map(move |value| (parameter, *value)))
        .flat_map(|(parameter, value)| ATTACKS.map(|(attack, on)| (parameter, value, attack, on)))
        .collect();
    let rounds = u64::from(options.warm_up + options.rounds) * options.seeds.len() as u64;
    let steps = rounds * inputs.len() as u64;
    let rows = runner
        .all(
            "sweep",
            steps,
            &inputs,
            |(parameter, value, attack, on), bar| {
                let mut rules = Rules::default();
                let set = parameter.2;
                set(&mut rules, *value);
                let options = behaviours::Options {
                    parameters: rules.parameters()?,
                    agents: options.agents,
                    attacks: vec![*attack],
                    fractions: vec![if *on { options.fraction } else { 0.0 }],
                    warm_up: options.warm_up,
                    rounds: options.rounds,
                    seeds: options.seeds.clone(),
                    poor: super::POOR,
                };
                let cells = behaviours::matrix(&options, Runner { quiet: true })?;
                bar.inc(rounds);
                Ok(cells
                    .into_iter()
                    .map(|cell| Row {
                        parameter: parameter.0,
                        value: *value,
                        attack: if *on { cell.attack } else { "none".into() },
                        best_wins: cell.best_wins,
                        best_wins_ci: cell.best_wins_ci,
                        attacker_wins: cell.attacker_wins,
                        no_winner: cell.no_winner,
                        regret: cell.regret,
                        honest_income: cell.honest_income,
                        attacker_income: cell.attacker_income,
                    })
                    .collect::<Vec<_>>())
            },
        )?
        .concat();
    output.table("sweep", &rows)?;
    let panels: Vec<Panel> = PARAMETERS
        .iter()
        .map(|parameter| Panel {
            title: parameter.0.into(),
            x: "value".into(),
            y: "best response wins".into(),
            series: ["none", "lazy", "ring", "subtle"]
                .into_iter()
                .map(|attack| {
                    let of = rows
                        .iter()
                        .filter(|row| row.parameter == parameter.0 && row.attack == attack);
                    Series::line(attack, of.map(|row| (row.value, row.best_wins)).collect())
                })
                .collect(),
        })
        .collect();
    output.plot("sweep", &panels)?;
    Ok(rows)
}
