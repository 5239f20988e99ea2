// SPDX-License-Identifier: Apache-2.0
//! A scenario from a file.

use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};
use starling_runtime::{Balance, UNIT};

use crate::{
    ability::Ability,
    behaviour::Kind,
    changes::Changes,
    output::{Output, Panel, Series},
    runner::Runner,
    stats::mean,
    swarm::{Config, Plot, Spec, Swarm},
};

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The parameters.
    pub parameters: Changes,
    /// Rounds of each seed.
    pub rounds: u32,
    /// Number of seeds, from the first one on.
    pub seeds: u64,
    /// Fee of a request, in the currency's unit.
    pub fee: f64,
    /// Maximum number of agents in a round; all of them if left out.
    pub max_responses: Option<u32>,
    /// Number of validators.
    pub validators: usize,
    /// Number of validators that belong to the attackers.
    pub malicious_validators: usize,
    /// Maximum number of slots in a row that they choose from. With more than one they grind;
    /// without it they censor.
    pub grinding_candidates: Option<u32>,
    /// The agents.
    pub agents: Vec<Group>,
}

/// A group of equal agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Number of agents.
    pub count: usize,
    /// Their behaviour.
    pub kind: Kind,
    /// Their abilities.
    #[serde(default)]
    pub ability: Ability,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            parameters: Changes::default(),
            rounds: 100,
            seeds: 1,
            fee: 20.0,
            max_responses: None,
            validators: 10,
            malicious_validators: 0,
            grinding_candidates: None,
            agents: Vec::new(),
        }
    }
}

/// An agent at the end of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The seed.
    pub seed: u64,
    /// Its index in the swarm.
    pub agent: usize,
    /// Its behaviour.
    pub kind: Kind,
    /// Number of its wins.
    pub wins: usize,
    /// Number of rounds in which it had the best response.
    pub best: usize,
    /// Its income a round, in the currency's unit.
    pub income: f64,
    /// Its rating.
    pub rating: f64,
}

impl Scenario {
    fn config(&self, seed: u64) -> Result<Config> {
        ensure!(!self.agents.is_empty(), "a scenario needs [[agents]]");
        ensure!(
            self.malicious_validators <= self.validators,
            "more malicious validators than validators"
        );
        ensure!(
            (0.0..=1e6).contains(&self.fee),
            "fee must be between 0 and a million"
        );
        let agents: Vec<Spec> = self
            .agents
            .iter()
            .flat_map(|group| {
                let spec = Spec {
                    ability: group.ability,
                    kind: group.kind,
                    attacker: group.kind != Kind::Honest,
                };
                std::iter::repeat_n(spec, group.count)
            })
            .collect();
        let validators = self.malicious_validators;
        let plot = match self.grinding_candidates {
            _ if validators == 0 => Plot::None,
            Some(candidates) => Plot::Grind {
                validators,
                candidates,
            },
            None => Plot::Censor { validators },
        };
        Ok(Config {
            validators: self.validators,
            fee: (self.fee * UNIT as f64).round() as Balance,
            max_responses: self.max_responses,
            plot,
            ..Config::new(self.parameters.parameters()?, agents, seed)
        })
    }
}

/// Plays a scenario.
pub fn run(scenario: &Scenario, first: u64, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let seeds: Vec<u64> = (first..first.saturating_add(scenario.seeds)).collect();
    let steps = scenario.seeds * u64::from(scenario.rounds);
    let rows = runner
        .all("scenario", steps, &seeds, |seed, bar| {
            let config = scenario.config(*seed)?;
            let agents = config.agents.clone();
            let mut swarm = Swarm::new(config)?;
            let before = swarm.wealth();
            let (mut wins, mut best) = (vec![0; agents.len()], vec![0; agents.len()]);
            for _ in 0..scenario.rounds {
                let played = swarm.play()?;
                if let Some(winner) = played.winner {
                    wins[winner] += 1;
                }
                if let Some(agent) = played.best() {
                    best[agent] += 1;
                }
                bar.inc(1);
            }
            let (after, ratings) = (swarm.wealth(), swarm.ratings());
            let row = |agent: usize| Row {
                seed: *seed,
                agent,
                kind: agents[agent].kind,
                wins: wins[agent],
                best: best[agent],
                income: (after[agent] - before[agent]) / f64::from(scenario.rounds.max(1)),
                rating: ratings[agent],
            };
            Ok((0..agents.len()).map(row).collect::<Vec<_>>())
        })?
        .concat();
    output.table("scenario", &rows)?;
    let mut kinds: Vec<Kind> = rows.iter().map(|row| row.kind).collect();
    kinds.sort();
    kinds.dedup();
    let by_kind = |value: &dyn Fn(&Row) -> f64| {
        kinds
            .iter()
            .map(|kind| {
                let of_kind = rows.iter().filter(|row| row.kind == *kind);
                let points: Vec<(f64, f64)> = of_kind.map(|row| (row.rating, value(row))).collect();
                let label = format!(
                    "{kind:?}, {:.3} on average",
                    mean(&points.iter().map(|point| point.1).collect::<Vec<_>>())
                );
                Series::points(label, points)
            })
            .collect()
    };
    output.plot(
        "scenario",
        &[Panel {
            title: "Income by rating".into(),
            x: "rating".into(),
            y: "income a round".into(),
            series: by_kind(&|row| row.income),
        }],
    )?;
    Ok(rows)
}
