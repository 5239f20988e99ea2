// SPDX-License-Identifier: Apache-2.0
//! The effect of each behaviour on the swarm, by the fraction of agents that have it.

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
    votes::{Capabilities, Keys},
};

/// An attack: a kind of agents, and the other means of their group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// A ring whose share of the authors leaves out the others' messages.
    CensoringAuthor,
    /// A ring in rounds with half as many places as agents. Its share of the authors chooses among
    /// the slots that its validators have in a row.
    GrindingAuthor,
    /// The same ring in the same rounds, without authors: the baseline of grinding.
    FullRounds,
    /// A ring that belongs to the requester.
    SelfDealing,
    /// Agents of this kind, with no other means.
    #[serde(untagged)]
    Agents(Kind),
}

/// Length in tokens that a request allows if agents try longer responses.
const SHORT: u32 = 64;

/// More slots in a row than its validators have.
const CANDIDATES: u32 = 16;

impl Attack {
    /// All attacks.
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

    /// Kind of the attacking agents.
    pub fn kind(self) -> Kind {
        match self {
            Self::Agents(kind) => kind,
            Self::CensoringAuthor | Self::GrindingAuthor | Self::FullRounds | Self::SelfDealing => {
                Kind::Ring
            },
        }
    }

    /// True if the attack, or its baseline, depends on the authors of blocks.
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

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parameters.
    pub parameters: Parameters,
    /// Number of agents.
    pub agents: usize,
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// Shares of attackers among the agents.
    pub fractions: Vec<f64>,
    /// Rounds before counting begins, in which the ratings settle.
    pub warm_up: u32,
    /// Rounds that are counted.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Quality of the answers of agents that do not answer well.
    pub poor: f64,
}

/// A cell of the matrix. Incomes are per agent and round, in the currency's unit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cell {
    /// The attack.
    pub attack: String,
    /// Share of attackers among the agents.
    pub fraction: f64,
    /// Number of attackers.
    pub attackers: usize,
    /// Number of counted rounds.
    pub rounds: usize,
    /// Share of rounds that the truly best response won.
    pub best_wins: f64,
    /// Half of its 95 % confidence interval.
    pub best_wins_ci: f64,
    /// Share of rounds that an attacker's response won.
    pub attacker_wins: f64,
    /// Share of rounds without a winner.
    pub no_winner: f64,
    /// Mean difference between the best and the chosen response's quality, in rounds with a winner.
    pub regret: f64,
    /// The income of an honest agent.
    pub honest_income: f64,
    /// Half of its 95 % confidence interval.
    pub honest_income_ci: f64,
    /// The income of an attacker.
    pub attacker_income: f64,
    /// Half of its 95 % confidence interval.
    pub attacker_income_ci: f64,
    /// Income of an honest agent in rounds that it does not win: its income from ranking.
    pub honest_beside: f64,
    /// Income of an attacker in rounds that it does not win.
    pub attacker_beside: f64,
    /// Joint income of the group and the requester, if they are one.
    pub group_and_requester: f64,
    /// Mean final rating of the honest agents.
    pub honest_rating: f64,
    /// Mean final rating of the attackers.
    pub attacker_rating: f64,
    /// Messages a round that the chain refused.
    pub refused: f64,
    /// Blocks a round.
    pub blocks: f64,
}

/// Results of another way to choose, for the rounds of a cell.
#[derive(Clone, Debug, Serialize)]
pub struct Chosen {
    /// The attack.
    pub attack: String,
    /// Share of attackers among the agents.
    pub fraction: f64,
    /// The way to choose; see [`Selection`].
    pub selection: String,
    /// Share of rounds in which it chooses the truly best response.
    pub best_wins: f64,
    /// Half of its 95 % confidence interval.
    pub best_wins_ci: f64,
    /// Share of rounds in which it chooses an attacker's response.
    pub attacker_wins: f64,
    /// Half of its 95 % confidence interval.
    pub attacker_wins_ci: f64,
    /// Mean difference between the best and the chosen response's quality.
    pub regret: f64,
}

/// A cell, with the results of other ways to choose.
pub struct Outcome {
    /// The protocol's results.
    pub cell: Cell,
    /// The results of other ways.
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

/// Number of rounds that agreement is computed from, the same as the chain remembers.
const WINDOW: usize = 10;

/// Number of rounds of a longer memory.
const LONG: usize = 50;

/// After the warm-up the answer to one question in so many becomes known, as on chain.
const KNOWN: u32 = 25;

/// Share of right answers by chance to a question without options.
const CHANCE: f64 = 0.05;

/// The number of the right answer.
const RIGHT: u64 = 0;

/// The number of the wrong answer that attackers agree about.
const AGREED: u64 = 1;

/// Results of one way to choose.
#[derive(Clone, Copy, Default)]
struct Judged {
    best: f64,
    attacker: f64,
    regret: Option<f64>,
}

/// Observations of one round.
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

/// Number of agents that is at most this share: 49 % of ten are four, since five would be half.
pub(super) fn part(fraction: f64, of: usize) -> usize {
    (fraction * of as f64 + 1e-9).floor() as usize
}

/// A swarm of `of` agents; the first `attackers` attack. Attackers that do not answer well give
/// answers of the quality `poor`.
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
        Attack::Agents(Kind::LongWinded) => config.max_tokens = SHORT,
        Attack::SelfDealing | Attack::Agents(_) => {},
    }
    config
}

/// The answers of a round as if it had asked for short ones. Responses are right if they are at
/// least as good as those of an honest agent on average. Wrong answers differ, but those of a group
/// that answers poorly on purpose are the same: votes help it most then.
fn keys(played: &Played, kind: Kind, attackers: usize) -> Keys {
    let key = |(who, quality): (&usize, &f64)| {
        let key = if *quality >= Ability::default().skill {
            RIGHT
        } else if *who < attackers && !kind.answers_well() {
            AGREED
        } else {
            AGREED + 1 + *who as u64
        };
        (*who, key)
    };
    played.qualities.iter().map(key).collect()
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
        // If the order of authors matters, requests come at random times. Otherwise the same
        // validators would author the same phase of every round.
        let play = |swarm: &mut Swarm, rng: &mut ChaCha8Rng| {
            if attack.is_of_authors() {
                swarm.rest(rng.random_range(0..validators))?;
            }
            step();
            swarm.play()
        };
        let keys = |played: &Played| keys(played, attack.kind(), attackers);
        let mut capabilities = Capabilities::new(options.agents);
        let mut history = Vec::new();
        for _ in 0..options.warm_up {
            let played = play(&mut swarm, &mut rng)?;
            capabilities.learn(&keys(&played), &played.scores, RIGHT, CHANCE);
            history.push(played);
        }
        let mut before = (swarm.wealth(), swarm.requester_wealth());
        for round in 1..=options.rounds {
            let played = play(&mut swarm, &mut rng)?;
            let last = |rounds: usize| &history[history.len().saturating_sub(rounds)..];
            let known = Known {
                long: Method::Floored.weights(last(LONG), options.agents),
                agreement: Method::Agreement.rate(last(WINDOW), options.agents),
                capabilities: capabilities.clone(),
                keys: keys(&played),
            };
            if round.is_multiple_of(KNOWN) {
                capabilities.learn(&known.keys, &played.scores, RIGHT, CHANCE);
            }
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

/// The attackers are the first agents of the swarm.
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
        assert_eq!(names.len(), 20);
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
