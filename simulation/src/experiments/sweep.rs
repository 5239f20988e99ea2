// SPDX-License-Identifier: Apache-2.0

//! What the main parameters do: each is varied alone, against the attacks that it is there for.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use starling_runtime::rules::RuleSet;

use super::{
    alternatives::Method,
    behaviours::{self, Attack},
    ratings::graded,
    short,
};
use crate::{
    output::{Output, Panel, Series},
    rules::Rules,
    runner::Runner,
    stats::{confidence, mean, spearman},
    swarm::{Config, Swarm},
};

/// A parameter that is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameter {
    /// k, for all numbers of agents.
    Rankings,
    /// What a rating must exceed to weigh anything.
    WeightFloor,
    /// What a newcomer is rated.
    InitialRating,
    /// Scores before an agent is rated.
    MinSamples,
    /// How far apart responses must be for a round to count.
    MinSpread,
    /// The score without which nobody wins.
    ApprovalThreshold,
    /// What the rankers get of the pot; the winner gets what they leave.
    RankersShare,
    /// What a loser leaves of its ticket.
    LoserShare,
    /// What is slashed for a missing message, of the fee.
    SlashShare,
    /// Blocks of each phase.
    PhaseWindow,
    /// Rounds that a rating remembers. Computed from the scores of the same rounds.
    RatingWindow,
}

/// What a parameter is varied with.
struct Range {
    /// Its values.
    values: &'static [f64],
    /// The attacks, besides none.
    attacks: &'static [Attack],
    /// Whether it matters only to agents that are not known yet.
    newcomers: bool,
}

impl Parameter {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Rankings,
        Self::WeightFloor,
        Self::InitialRating,
        Self::MinSamples,
        Self::MinSpread,
        Self::ApprovalThreshold,
        Self::RankersShare,
        Self::LoserShare,
        Self::SlashShare,
        Self::PhaseWindow,
        Self::RatingWindow,
    ];

    /// Its name.
    pub fn name(self) -> String {
        behaviours::serde_name(&self)
    }

    fn range(self) -> Range {
        let range = |values, attacks| Range {
            values,
            attacks,
            newcomers: false,
        };
        let unknown = |values, attacks| Range {
            newcomers: true,
            ..range(values, attacks)
        };
        match self {
            Self::Rankings => range(
                &[2.0, 3.0, 5.0, 7.0, 10.0, 16.0],
                &[Attack::Lazy, Attack::Ring, Attack::Subtle],
            ),
            Self::WeightFloor => range(
                &[0.0, 0.3, 0.5, 0.6, 0.65],
                &[Attack::Lazy, Attack::Constant, Attack::Ring],
            ),
            Self::InitialRating => unknown(&[0.61, 0.65, 0.7, 0.8, 0.9], &[Attack::Lazy]),
            Self::MinSamples => unknown(&[0.0, 10.0, 30.0, 60.0], &[Attack::Lazy]),
            Self::MinSpread => range(&[0.0, 0.05, 0.1, 0.2, 0.3], &[Attack::Lazy]),
            Self::ApprovalThreshold => range(&[0.0, 0.15, 0.3, 0.45, 0.6], &[Attack::Ring]),
            Self::RankersShare => range(&[0.0, 0.1, 0.2, 0.3, 0.45], &[Attack::Constant]),
            Self::LoserShare => range(&[0.0, 0.05, 0.1, 0.3, 1.0], &[Attack::Lazy]),
            Self::SlashShare => range(
                &[0.0, 0.05, 0.1, 0.2],
                &[Attack::NeverReveal, Attack::NeverDisclose],
            ),
            Self::PhaseWindow => range(
                &[3.0, 6.0, 12.0, 24.0],
                &[Attack::Late, Attack::CensoringAuthor],
            ),
            Self::RatingWindow => range(&[5.0, 10.0, 20.0, 50.0, 100.0], &[]),
        }
    }

    fn set(self, rules: &mut Rules, value: f64) {
        match self {
            Self::Rankings => {
                rules.min_rankings = Some(value as u32);
                rules.max_rankings = Some(value as u32);
            },
            Self::WeightFloor => rules.weight_floor = Some(value),
            Self::InitialRating => rules.initial_rating = Some(value),
            Self::MinSamples => rules.min_samples = Some(value as u32),
            Self::MinSpread => rules.min_spread = Some(value),
            Self::ApprovalThreshold => rules.approval_threshold = Some(value),
            Self::RankersShare => {
                rules.rankers = Some(value);
                rules.winner = Some(0.9 - value);
            },
            Self::LoserShare => rules.loser = Some(value),
            Self::SlashShare => rules.slash_share = Some(value),
            Self::PhaseWindow => rules.window = Some(value as u32),
            // A constant of the runtime.
            Self::RatingWindow => {},
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parameters.
    pub parameters: Vec<Parameter>,
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
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The parameter.
    pub parameter: String,
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
    /// Half of the confidence interval of that, 95 %.
    pub attacker_income_ci: f64,
    /// The income of an honest agent in a round that it does not win.
    pub honest_beside: f64,
    /// The income of an attacker in a round that it does not win.
    pub attacker_beside: f64,
    /// The mean rating of the honest agents at the end.
    pub honest_rating: f64,
    /// The mean rating of the attackers at the end.
    pub attacker_rating: f64,
    /// Blocks a round.
    pub blocks: f64,
    /// Spearman's coefficient between ratings and abilities, where that is what is looked at.
    pub spearman: Option<f64>,
    /// Half of the confidence interval of that, 95 %, over the seeds.
    pub spearman_ci: Option<f64>,
}

/// Plays all values.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let inputs: Vec<(Parameter, f64, Option<Attack>)> = options
        .parameters
        .iter()
        .filter(|parameter| **parameter != Parameter::RatingWindow)
        .flat_map(|parameter| {
            let range = parameter.range();
            let attacks = std::iter::once(None).chain(range.attacks.iter().copied().map(Some));
            let attacks: Vec<_> = attacks.collect();
            range.values.iter().flat_map(move |value| {
                let cells = attacks.clone().into_iter();
                cells.map(move |attack| (*parameter, *value, attack))
            })
        })
        .collect();
    let rounds = u64::from(options.warm_up + options.rounds) * options.seeds.len() as u64;
    let mut rows = runner.all(
        "sweep",
        rounds * inputs.len() as u64,
        &inputs,
        |(parameter, value, attack), bar| {
            let row = cell(*parameter, *value, *attack, options);
            bar.inc(rounds);
            row
        },
    )?;
    if options.parameters.contains(&Parameter::RatingWindow) {
        rows.extend(rating_window(options, runner)?);
    }
    output.table("sweep", &rows)?;
    let of = |parameter: Parameter| {
        let name = parameter.name();
        rows.iter().filter(move |row| row.parameter == name)
    };
    let panels: Vec<Panel> = options
        .parameters
        .iter()
        .map(|parameter| {
            let mut attacks: Vec<&str> = of(*parameter).map(|row| row.attack.as_str()).collect();
            attacks.sort_unstable();
            attacks.dedup();
            let value = |row: &Row| row.spearman.unwrap_or(row.best_wins);
            Panel {
                title: parameter.name(),
                x: "value".into(),
                y: match parameter {
                    Parameter::RatingWindow => "Spearman".into(),
                    _ => "best response wins".into(),
                },
                series: attacks
                    .into_iter()
                    .map(|attack| {
                        let of = of(*parameter).filter(|row| row.attack == attack);
                        Series::line(attack, of.map(|row| (row.value, value(row))).collect())
                    })
                    .collect(),
            }
        })
        .collect();
    output.plot("sweep", &panels)?;
    Ok(rows)
}

fn cell(
    parameter: Parameter,
    value: f64,
    attack: Option<Attack>,
    options: &Options,
) -> Result<Row> {
    let mut rules = Rules::default();
    parameter.set(&mut rules, value);
    let matrix = behaviours::Options {
        parameters: rules.parameters()?,
        agents: options.agents,
        attacks: vec![attack.unwrap_or(Attack::Lazy)],
        fractions: vec![attack.map_or(0.0, |_| options.fraction)],
        warm_up: match parameter.range().newcomers {
            true => 0,
            false => options.warm_up,
        },
        rounds: options.rounds,
        seeds: options.seeds.clone(),
        poor: super::POOR,
    };
    let mut outcomes = behaviours::matrix(&matrix, Runner { quiet: true })?;
    let cell = outcomes.remove(0).cell;
    Ok(Row {
        parameter: parameter.name(),
        value,
        attack: attack.map_or_else(|| "none".into(), Attack::name),
        best_wins: cell.best_wins,
        best_wins_ci: cell.best_wins_ci,
        attacker_wins: cell.attacker_wins,
        no_winner: cell.no_winner,
        regret: cell.regret,
        honest_income: cell.honest_income,
        attacker_income: cell.attacker_income,
        attacker_income_ci: cell.attacker_income_ci,
        honest_beside: cell.honest_beside,
        attacker_beside: cell.attacker_beside,
        honest_rating: cell.honest_rating,
        attacker_rating: cell.attacker_rating,
        blocks: cell.blocks,
        spearman: None,
        spearman_ci: None,
    })
}

/// How well rankers are told apart by the last rounds of as many as the longest window has.
fn rating_window(options: &Options, runner: Runner) -> Result<Vec<Row>> {
    let windows = Parameter::RatingWindow.range().values;
    let rounds = windows.iter().copied().fold(0.0, f64::max) as usize;
    let agents = graded(10);
    let abilities: Vec<f64> = agents.iter().map(|spec| 1.0 - spec.ability.noise).collect();
    let steps = (rounds * options.seeds.len()) as u64;
    let of_seeds = runner.all("rating window", steps, &options.seeds, |seed, bar| {
        let config = Config::new(short(RuleSet::Production), agents.clone(), *seed);
        let mut swarm = Swarm::new(config)?;
        let mut played = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            played.push(swarm.play()?);
            bar.inc(1);
        }
        let of_window = |window: &f64| {
            let window = &played[rounds.saturating_sub(*window as usize)..];
            spearman(&abilities, &Method::Others.rate(window, agents.len()))
        };
        Ok(windows.iter().map(of_window).collect::<Vec<f64>>())
    })?;
    let row = |(index, value): (usize, &f64)| {
        let found: Vec<f64> = of_seeds.iter().map(|of_seed| of_seed[index]).collect();
        Row {
            parameter: Parameter::RatingWindow.name(),
            value: *value,
            attack: "none".into(),
            spearman: Some(mean(&found)),
            spearman_ci: Some(confidence(&found)),
            ..Row::default()
        }
    };
    Ok(windows.iter().enumerate().map(row).collect())
}
