// SPDX-License-Identifier: Apache-2.0

//! What each behaviour does to the swarm, by the fraction of agents that have it.

use std::str::FromStr;

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use starling_runtime::parameters::Parameters;

use super::{alternatives::Method, name};
use crate::{
    ability::Ability,
    behaviour::Kind,
    output::{Heat, Output},
    runner::Runner,
    selection::{Known, Selection},
    stats::{confidence, indicator, mean},
    swarm::{Config, Played, Plot, Spec, Swarm},
};

/// An attack: what the agents of a group do, and what else belongs to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// A ring whose share of the authors leaves out the others' messages.
    CensoringAuthor,
    /// A ring in rounds with half as many places as agents, whose share of the authors chooses among
    /// [`CANDIDATES`] hashes.
    GrindingAuthor,
    /// The same ring in the same rounds, without authors: what grinding is to be compared with.
    FullRounds,
    /// A ring that belongs to the requester.
    SelfDealing,
    /// Agents of this kind, and nothing else.
    #[serde(untagged)]
    Agents(Kind),
}

/// Among how many hashes a grinding author chooses.
const CANDIDATES: u32 = 16;

impl Attack {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let with_more = [
            Self::CensoringAuthor,
            Self::GrindingAuthor,
            Self::FullRounds,
            Self::SelfDealing,
        ];
        Kind::DISHONEST
            .map(Self::Agents)
            .into_iter()
            .chain(with_more)
            .collect()
    }

    /// What the agents do.
    pub fn kind(self) -> Kind {
        match self {
            Self::Agents(kind) => kind,
            Self::CensoringAuthor | Self::GrindingAuthor | Self::FullRounds | Self::SelfDealing => {
                Kind::Ring
            },
        }
    }

    /// Whether it matters for it, or for what it is compared with, who authors a block.
    fn is_of_authors(self) -> bool {
        match self {
            Self::CensoringAuthor | Self::GrindingAuthor | Self::FullRounds => true,
            Self::SelfDealing | Self::Agents(_) => false,
        }
    }

    /// Its name.
    pub fn name(self) -> String {
        name(&self)
    }
}

impl FromStr for Attack {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::all().into_iter().map(Self::name);
        Self::all()
            .into_iter()
            .find(|attack| attack.name() == text)
            .with_context(|| {
                format!(
                    "it must be one of {}",
                    names().collect::<Vec<_>>().join(", ")
                )
            })
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parameters.
    pub parameters: Parameters,
    /// How many agents in all.
    pub agents: usize,
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// The shares of the agents that attack.
    pub fractions: Vec<f64>,
    /// Rounds that are played before anything is counted, for the ratings to settle.
    pub warm_up: u32,
    /// Rounds in which it is.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The quality of the answers of those who do not answer well.
    pub poor: f64,
}

/// A cell of the matrix. Incomes are an agent's, a round, in the currency's unit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    /// The attack.
    pub attack: String,
    /// The share of the agents that attack.
    pub fraction: f64,
    /// How many agents that are.
    pub attackers: usize,
    /// Rounds that were counted.
    pub rounds: usize,
    /// How often the truly best response won.
    pub best_wins: f64,
    /// Half of the confidence interval of that, 95 %.
    pub best_wins_ci: f64,
    /// How often an attacker's response won.
    pub attacker_wins: f64,
    /// How often there was no winner.
    pub no_winner: f64,
    /// What the chosen response lacks of the best one's quality, where one was chosen.
    pub regret: f64,
    /// The income of an honest agent.
    pub honest_income: f64,
    /// Half of the confidence interval of that, 95 %.
    pub honest_income_ci: f64,
    /// The income of an attacker.
    pub attacker_income: f64,
    /// Half of the confidence interval of that, 95 %.
    pub attacker_income_ci: f64,
    /// The income of an honest agent in a round that it does not win: what it has of ranking.
    pub honest_beside: f64,
    /// The income of an attacker in a round that it does not win.
    pub attacker_beside: f64,
    /// What the group and the requester gain together, if they are one.
    pub group_and_requester: f64,
    /// The mean rating of the honest agents at the end.
    pub honest_rating: f64,
    /// The mean rating of the attackers at the end.
    pub attacker_rating: f64,
    /// Messages that the chain refused, a round.
    pub refused: f64,
    /// Blocks a round.
    pub blocks: f64,
}

/// What another way to choose would have chosen in the rounds of a cell.
#[derive(Clone, Debug, Serialize)]
pub struct Chosen {
    /// The attack.
    pub attack: String,
    /// The share of the agents that attack.
    pub fraction: f64,
    /// The way: see [`Selection`].
    pub selection: String,
    /// How often it would have chosen the truly best response.
    pub best_wins: f64,
    /// Half of the confidence interval of that, 95 %.
    pub best_wins_ci: f64,
    /// How often an attacker's.
    pub attacker_wins: f64,
    /// Half of the confidence interval of that, 95 %.
    pub attacker_wins_ci: f64,
    /// What the chosen response lacks of the best one's quality.
    pub regret: f64,
}

/// A cell, and what other ways to choose make of its rounds.
pub struct Outcome {
    /// The protocol's.
    pub cell: Cell,
    /// The others'.
    pub chosen: Vec<Chosen>,
}

/// Plays the matrix, and writes tables and plots.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Cell>> {
    let (cells, chosen): (Vec<Cell>, Vec<Vec<Chosen>>) = matrix(options, runner)?
        .into_iter()
        .map(|outcome| (outcome.cell, outcome.chosen))
        .unzip();
    output.table("behaviours", &cells)?;
    output.table("behaviours-selections", &chosen.concat())?;
    let heat = |title: &str, value: &dyn Fn(&Cell) -> f64| Heat {
        title: title.into(),
        x: "share of attackers".into(),
        y: "behaviour".into(),
        columns: options
            .fractions
            .iter()
            .map(|share| format!("{:.0} %", share * 100.0))
            .collect(),
        rows: options
            .attacks
            .iter()
            .map(|attack| {
                let row = cells.iter().filter(|cell| cell.attack == attack.name());
                (attack.name(), row.map(value).collect())
            })
            .collect(),
    };
    output.heat(
        "behaviours-best",
        &heat("How often the best response wins", &|cell| cell.best_wins),
    )?;
    output.heat(
        "behaviours-attackers",
        &heat("How often an attacker wins", &|cell| cell.attacker_wins),
    )?;
    output.heat(
        "behaviours-regret",
        &heat("Quality lost", &|cell| -cell.regret),
    )?;
    output.heat(
        "behaviours-honest",
        &heat("An honest agent's income", &|cell| cell.honest_income),
    )?;
    output.heat(
        "behaviours-income",
        &heat("An attacker's income", &|cell| cell.attacker_income),
    )?;
    Ok(cells)
}

/// Plays the matrix.
pub fn matrix(options: &Options, runner: Runner) -> Result<Vec<Outcome>> {
    let inputs: Vec<(Attack, f64)> = options
        .attacks
        .iter()
        .flat_map(|attack| options.fractions.iter().map(move |share| (*attack, *share)))
        .collect();
    let rounds = u64::from(options.warm_up + options.rounds) * options.seeds.len() as u64;
    let steps = rounds * inputs.len() as u64;
    runner.all("behaviours", steps, &inputs, |(attack, fraction), bar| {
        cell(*attack, *fraction, options, &|| bar.inc(1))
    })
}

/// The rounds by which agreement is known: as many as the chain remembers.
const WINDOW: usize = 50;

/// The rounds by which agents are known that are not to live on their past.
const RECENT: usize = 10;

/// What one way to choose came to.
#[derive(Clone, Copy, Default)]
struct Judged {
    best: f64,
    attacker: f64,
    regret: Option<f64>,
}

/// What was seen of one round.
struct Sample {
    own: Judged,
    none: f64,
    honest: f64,
    attackers: f64,
    requester: f64,
    beside: [Option<f64>; 2],
    chosen: Vec<Judged>,
    refused: f64,
    blocks: f64,
}

/// How many of them are at most this share: 49 % of ten are four, as five would be half.
pub(super) fn part(fraction: f64, of: usize) -> usize {
    (fraction * of as f64 + 1e-9).floor() as usize
}

/// A swarm of so many agents, the first ones of which attack. Those of them that do not answer well
/// give answers of the quality `poor`.
pub(super) fn agents(kind: Kind, attackers: usize, of: usize, poor: f64) -> Vec<Spec> {
    let skill = match kind.answers_well() {
        true => Ability::default().skill,
        false => poor,
    };
    let attacker = Spec {
        ability: Ability {
            skill,
            ..Ability::default()
        },
        kind,
        attacker: true,
    };
    let mut agents = vec![attacker; attackers];
    agents.resize(of, Spec::honest(Ability::default()));
    agents
}

fn config(attack: Attack, fraction: f64, options: &Options, seed: u64) -> Config {
    let attackers = part(fraction, options.agents);
    let agents = agents(attack.kind(), attackers, options.agents, options.poor);
    let mut config = Config::new(options.parameters.clone(), agents, seed);
    let validators = part(fraction, config.validators);
    let half = Some(options.agents as u32 / 2);
    match attack {
        Attack::CensoringAuthor => config.plot = Plot::Censor { validators },
        Attack::GrindingAuthor => {
            config.max_responses = half;
            config.plot = Plot::Grind {
                validators,
                candidates: CANDIDATES,
            };
        },
        Attack::FullRounds => config.max_responses = half,
        Attack::SelfDealing | Attack::Agents(_) => {},
    }
    config
}

fn cell(attack: Attack, fraction: f64, options: &Options, step: &dyn Fn()) -> Result<Outcome> {
    let mut samples = Vec::new();
    let (mut honest_rating, mut attacker_rating) = (Vec::new(), Vec::new());
    let attackers = part(fraction, options.agents);
    for seed in &options.seeds {
        let config = config(attack, fraction, options, *seed);
        let validators = config.validators.max(1) as u32;
        let mut swarm = Swarm::new(config)?;
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        // Where it matters whose turn it is, requests come at any time: else the same validators
        // would author the same phase of every round.
        let play = |swarm: &mut Swarm, rng: &mut ChaCha8Rng| {
            if attack.is_of_authors() {
                swarm.rest(rng.random_range(0..validators))?;
            }
            step();
            swarm.play()
        };
        let mut history = Vec::new();
        for _ in 0..options.warm_up {
            history.push(play(&mut swarm, &mut rng)?);
        }
        let mut before = (swarm.wealth(), swarm.requester_wealth());
        for _ in 0..options.rounds {
            let last = |rounds: usize| &history[history.len().saturating_sub(rounds)..];
            let known = Known {
                recent: Method::Floored.weights(last(RECENT), options.agents),
                agreement: Method::Agreement.rate(last(WINDOW), options.agents),
            };
            let played = play(&mut swarm, &mut rng)?;
            let after = (swarm.wealth(), swarm.requester_wealth());
            let gains: Vec<f64> = after
                .0
                .iter()
                .zip(&before.0)
                .map(|(after, before)| after - before)
                .collect();
            samples.push(sample(
                &played,
                attackers,
                &gains,
                after.1 - before.1,
                &known,
                &mut rng,
            ));
            history.push(played);
            before = after;
        }
        let ratings = swarm.ratings();
        attacker_rating.extend_from_slice(&ratings[..attackers]);
        honest_rating.extend_from_slice(&ratings[attackers..]);
    }
    let all = |value: &dyn Fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
    let some = |value: &dyn Fn(&Sample) -> Option<f64>| {
        mean(&samples.iter().filter_map(value).collect::<Vec<f64>>())
    };
    let best = all(&|sample| sample.own.best);
    let (honest, attacking) = (
        all(&|sample| sample.honest),
        all(&|sample| sample.attackers),
    );
    let chosen = Selection::ALL
        .into_iter()
        .enumerate()
        .map(|(index, selection)| {
            let best = all(&|sample| sample.chosen[index].best);
            let attacker = all(&|sample| sample.chosen[index].attacker);
            Chosen {
                attack: attack.name(),
                fraction,
                selection: selection.name(),
                best_wins: mean(&best),
                best_wins_ci: confidence(&best),
                attacker_wins: mean(&attacker),
                attacker_wins_ci: confidence(&attacker),
                regret: some(&|sample| sample.chosen[index].regret),
            }
        });
    let chosen = chosen.collect();
    let cell = Cell {
        attack: attack.name(),
        fraction,
        attackers,
        rounds: samples.len(),
        best_wins: mean(&best),
        best_wins_ci: confidence(&best),
        attacker_wins: mean(&all(&|sample| sample.own.attacker)),
        no_winner: mean(&all(&|sample| sample.none)),
        regret: some(&|sample| sample.own.regret),
        honest_income: mean(&honest),
        honest_income_ci: confidence(&honest),
        attacker_income: mean(&attacking),
        attacker_income_ci: confidence(&attacking),
        honest_beside: some(&|sample| sample.beside[0]),
        attacker_beside: some(&|sample| sample.beside[1]),
        group_and_requester: mean(&all(&|sample| {
            sample.attackers * attackers as f64 + sample.requester
        })),
        honest_rating: mean(&honest_rating),
        attacker_rating: mean(&attacker_rating),
        refused: mean(&all(&|sample| sample.refused)),
        blocks: mean(&all(&|sample| sample.blocks)),
    };
    Ok(Outcome { cell, chosen })
}

/// The attackers are the first ones of the swarm.
fn sample(
    played: &Played,
    attackers: usize,
    gains: &[f64],
    requester: f64,
    known: &Known,
    rng: &mut ChaCha8Rng,
) -> Sample {
    let best = played.best();
    let quality = |who: usize| played.qualities.get(&who).copied().unwrap_or(0.0);
    let regret = |who: usize| best.map_or(0.0, |best| quality(best) - quality(who));
    let judged = |who: Option<usize>| Judged {
        best: indicator(who.is_some() && who == best),
        attacker: indicator(who.is_some_and(|who| who < attackers)),
        regret: who.map(regret),
    };
    let beside = |group: std::ops::Range<usize>| {
        let gains: Vec<f64> = group
            .filter(|who| played.winner != Some(*who))
            .map(|who| gains[who])
            .collect();
        (!gains.is_empty()).then(|| mean(&gains))
    };
    Sample {
        own: judged(played.winner),
        none: indicator(!played.done),
        honest: mean(&gains[attackers..]),
        attackers: mean(&gains[..attackers]),
        requester,
        beside: [beside(attackers..gains.len()), beside(0..attackers)],
        chosen: Selection::ALL
            .map(|selection| judged(selection.choose(played, known, rng)))
            .into(),
        refused: played.rejected as f64,
        blocks: played.blocks.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_found_by_its_name() -> Result<()> {
        let all = Attack::all();
        for attack in &all {
            assert_eq!(attack.name().parse::<Attack>()?, *attack);
        }
        let mut names: Vec<String> = all.iter().map(|attack| attack.name()).collect();
        names.dedup();
        assert_eq!(names.len(), 17);
        assert!("never".parse::<Attack>().is_err_and(|error| error
            .to_string()
            .starts_with("it must be one of lazy, constant, ")));
        Ok(())
    }

    #[test]
    fn forty_nine_of_a_hundred_are_no_half() {
        assert_eq!([part(0.49, 10), part(0.33, 10), part(0.2, 10)], [4, 3, 2]);
        assert_eq!(part(0.5, 10), 5);
    }
}
