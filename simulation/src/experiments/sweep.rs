// SPDX-License-Identifier: Apache-2.0
//! The effects of the main parameters. Each is varied alone, against the attacks that it defends
//! against.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    behaviours::{
        self,
        Attack::{self, Agents},
        Cell,
    },
    name,
};
use crate::{
    behaviour::Kind,
    changes::Changes,
    output::{Output, Panel, Series},
    runner::Runner,
};

/// A parameter that is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameter {
    /// k, for all numbers of agents.
    Rankings,
    /// Rating above which a ranker has weight.
    WeightFloor,
    /// Rating of a newcomer.
    InitialRating,
    /// Number of scores before an agent is rated.
    MinSamples,
    /// Minimum spread of the responses for a round to count.
    MinSpread,
    /// Minimum score of a winner.
    ApprovalThreshold,
    /// The rankers' share of the pot; the winner gets the rest.
    RankersShare,
    /// Share of its ticket that a loser forfeits.
    LoserShare,
    /// Share of the fee that is slashed for a missing message.
    SlashShare,
    /// Blocks of each phase.
    PhaseWindow,
}

/// Values of a parameter, and the attacks to try them with.
struct Range {
    /// Its values.
    values: &'static [f64],
    /// The attacks, besides none.
    attacks: &'static [Attack],
    /// True if it matters only to new agents.
    newcomers: bool,
}

impl Parameter {
    /// All parameters.
    pub const ALL: [Self; 10] = [
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
    ];

    /// Its name.
    pub fn name(self) -> String {
        name(&self)
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
                &[2.0, 3.0, 5.0, 7.0, 9.0, 16.0],
                &[Agents(Kind::Lazy), Agents(Kind::Ring), Agents(Kind::Subtle)],
            ),
            Self::WeightFloor => range(
                &[0.0, 0.3, 0.5, 0.6, 0.65],
                &[
                    Agents(Kind::Lazy),
                    Agents(Kind::Constant),
                    Agents(Kind::Ring),
                ],
            ),
            Self::InitialRating => unknown(&[0.61, 0.65, 0.7, 0.8, 0.9], &[Agents(Kind::Lazy)]),
            Self::MinSamples => unknown(&[0.0, 10.0, 30.0, 60.0], &[Agents(Kind::Lazy)]),
            Self::MinSpread => range(&[0.0, 0.05, 0.1, 0.2, 0.3], &[Agents(Kind::Lazy)]),
            Self::ApprovalThreshold => range(&[0.0, 0.15, 0.3, 0.45, 0.6], &[Agents(Kind::Ring)]),
            Self::RankersShare => range(&[0.0, 0.1, 0.2, 0.3, 0.45], &[Agents(Kind::Constant)]),
            Self::LoserShare => range(&[0.0, 0.05, 0.1, 0.3, 1.0], &[Agents(Kind::Lazy)]),
            Self::SlashShare => range(
                &[0.0, 0.05, 0.1, 0.2],
                &[Agents(Kind::NeverReveal), Agents(Kind::NeverDisclose)],
            ),
            Self::PhaseWindow => range(
                &[3.0, 6.0, 12.0, 24.0],
                &[Agents(Kind::Late), Attack::CensoringAuthor],
            ),
        }
    }

    fn set(self, changes: &mut Changes, value: f64) {
        match self {
            Self::Rankings => {
                changes.min_rankings = Some(value as u32);
                changes.max_rankings = Some(value as u32);
            },
            Self::WeightFloor => changes.weight_floor = Some(value),
            Self::InitialRating => changes.initial_rating = Some(value),
            Self::MinSamples => changes.min_samples = Some(value as u32),
            Self::MinSpread => changes.min_spread = Some(value),
            Self::ApprovalThreshold => changes.approval_threshold = Some(value),
            Self::RankersShare => {
                changes.rankers = Some(value);
                changes.winner = Some(0.9 - value);
            },
            Self::LoserShare => changes.loser = Some(value),
            Self::SlashShare => changes.slash_share = Some(value),
            Self::PhaseWindow => changes.window = Some(value as u32),
        }
    }
}

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// Number of agents.
    pub agents: usize,
    /// Share of attackers among them.
    pub fraction: f64,
    /// Rounds before counting begins.
    pub warm_up: u32,
    /// Rounds that are counted.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// One value of one parameter.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// The parameter.
    pub parameter: String,
    /// Its value.
    pub value: f64,
}

/// Results of a value under one attack; the attack is `none` without attackers.
pub type Row = (Setting, Cell);

/// Plays all values.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let inputs: Vec<(Parameter, f64, Option<Attack>)> = options
        .parameters
        .iter()
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
    let rows = runner.all(
        "sweep",
        rounds * inputs.len() as u64,
        &inputs,
        |(parameter, value, attack), bar| {
            let row = cell(*parameter, *value, *attack, options);
            bar.inc(rounds);
            row
        },
    )?;
    output.table("sweep", &rows)?;
    let of = |parameter: Parameter| {
        let name = parameter.name();
        rows.iter()
            .filter(move |(setting, _)| setting.parameter == name)
    };
    let panels: Vec<Panel> = options
        .parameters
        .iter()
        .map(|parameter| {
            let attacks = of(*parameter).map(|(_, cell)| cell.attack.as_str());
            let mut attacks: Vec<&str> = attacks.collect();
            attacks.sort_unstable();
            attacks.dedup();
            Panel {
                title: parameter.name(),
                x: "value".into(),
                y: "best response wins".into(),
                series: attacks
                    .into_iter()
                    .map(|attack| {
                        let points = of(*parameter)
                            .filter(|(_, cell)| cell.attack == attack)
                            .map(|(setting, cell)| (setting.value, cell.best_wins));
                        Series::line(attack, points.collect())
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
    let mut changes = Changes::default();
    parameter.set(&mut changes, value);
    let matrix = behaviours::Options {
        parameters: changes.parameters()?,
        agents: options.agents,
        attacks: vec![attack.unwrap_or(Agents(Kind::Lazy))],
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
    let mut cell = outcomes.remove(0).cell;
    if attack.is_none() {
        cell.attack = "none".into();
    }
    let setting = Setting {
        parameter: parameter.name(),
        value,
    };
    Ok((setting, cell))
}
