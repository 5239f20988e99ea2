// SPDX-License-Identifier: Apache-2.0

//! What each behaviour does to the swarm, by the fraction of agents that have it.

use anyhow::Result;
use rand::{seq::IteratorRandom, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use starling_runtime::rules::Parameters;

use crate::{
    ability::Ability,
    behaviour::Kind,
    output::{Heat, Output},
    runner::Runner,
    stats::{confidence, mean},
    swarm::{Config, Played, Plot, Spec, Swarm},
};

/// An attack: what the agents of a group do, and what else belongs to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Agents that score at random.
    Lazy,
    /// Agents that always score 0.5.
    Constant,
    /// Agents that score at random now and then.
    Buggy,
    /// Agents that score the best the worst.
    Inverted,
    /// Poor answers that score each other 1 and the others 0.
    Ring,
    /// Poor answers that score each other 1 and the others honestly.
    Subtle,
    /// Agents that are paid to score one poor answer 1.
    Bribed,
    /// Agents that commit copies of others' ciphertexts.
    Copycat,
    /// Agents that never reveal.
    NeverReveal,
    /// Agents that never disclose.
    NeverDisclose,
    /// Agents that are late in a fifth of their messages.
    Late,
    /// A ring whose share of the authors leaves out the others' messages.
    CensoringAuthor,
    /// A ring in rounds with half as many places as agents, whose share of the authors chooses among
    /// 16 hashes.
    GrindingAuthor,
    /// The same ring in the same rounds, without authors: what grinding is to be compared with.
    FullRounds,
    /// A ring that withholds keys to choose the assignment.
    WithholdingRing,
    /// A ring that belongs to the requester.
    SelfDealing,
    /// A ring that has ranked honestly for its first forty rounds.
    RatingFarmer,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Lazy,
        Self::Constant,
        Self::Buggy,
        Self::Inverted,
        Self::Ring,
        Self::Subtle,
        Self::Bribed,
        Self::Copycat,
        Self::NeverReveal,
        Self::NeverDisclose,
        Self::Late,
        Self::CensoringAuthor,
        Self::GrindingAuthor,
        Self::FullRounds,
        Self::WithholdingRing,
        Self::SelfDealing,
        Self::RatingFarmer,
    ];

    /// What the agents do.
    pub fn kind(self) -> Kind {
        match self {
            Self::Lazy => Kind::Lazy,
            Self::Constant => Kind::Constant,
            Self::Buggy => Kind::Buggy,
            Self::Inverted => Kind::Inverted,
            Self::Ring
            | Self::CensoringAuthor
            | Self::GrindingAuthor
            | Self::FullRounds
            | Self::SelfDealing => Kind::Ring,
            Self::Subtle => Kind::Subtle,
            Self::Bribed => Kind::Bribed,
            Self::Copycat => Kind::Copycat,
            Self::NeverReveal => Kind::NeverReveal,
            Self::NeverDisclose => Kind::NeverDisclose,
            Self::Late => Kind::Late,
            Self::WithholdingRing => Kind::Withholding,
            Self::RatingFarmer => Kind::Farmer,
        }
    }

    /// Its name.
    pub fn name(self) -> String {
        serde_name(&self)
    }
}

/// The name of a variant, as files have it.
fn serde_name(value: &impl Serialize) -> String {
    toml::Value::try_from(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rules.
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
    /// The income of an attacker.
    pub attacker_income: f64,
    /// What the group and the requester gain together, if they are one.
    pub group_and_requester: f64,
    /// The mean rating of the honest agents at the end.
    pub honest_rating: f64,
    /// The mean rating of the attackers at the end.
    pub attacker_rating: f64,
    /// How often the best response had the best mean score, without weights.
    pub mean_best: f64,
    /// How often most rankers scored the best response highest.
    pub votes_best: f64,
    /// How often one ranker, drawn at random, scored the best response highest of those it saw.
    pub single_best: f64,
    /// What the response with the best mean score lacks of the best one's quality.
    pub mean_regret: f64,
    /// What the response that most rankers scored highest lacks.
    pub votes_regret: f64,
    /// What the response lacks that one ranker, drawn at random, scored highest.
    pub single_regret: f64,
    /// Messages that the chain refused, a round.
    pub refused: f64,
    /// Blocks a round.
    pub blocks: f64,
}

/// The response with the best mean score, without weights.
pub fn by_mean(played: &Played) -> Option<usize> {
    let mean_of = |author: usize| {
        let scores = played.scores.iter().filter(|given| given.author == author);
        mean(&scores.map(|given| given.score).collect::<Vec<_>>())
    };
    let authors = played.qualities.keys().copied();
    authors.max_by(|left, right| mean_of(*left).total_cmp(&mean_of(*right)))
}

/// What a ranker scored highest.
fn top_of(played: &Played, ranker: usize) -> Option<usize> {
    let own = played.scores.iter().filter(|given| given.ranker == ranker);
    own.max_by(|left, right| left.score.total_cmp(&right.score))
        .map(|given| given.author)
}

fn rankers(played: &Played) -> Vec<usize> {
    let mut rankers: Vec<usize> = played.scores.iter().map(|given| given.ranker).collect();
    rankers.dedup();
    rankers
}

/// The response that most rankers scored highest of what they saw.
pub fn by_votes(played: &Played) -> Option<usize> {
    let votes: Vec<usize> = rankers(played)
        .into_iter()
        .filter_map(|ranker| top_of(played, ranker))
        .collect();
    let count = |author: usize| votes.iter().filter(|vote| **vote == author).count();
    played
        .qualities
        .keys()
        .copied()
        .max_by_key(|author| count(*author))
}

/// The response that one ranker, drawn at random, scored highest.
pub fn by_one(played: &Played, rng: &mut ChaCha8Rng) -> Option<usize> {
    top_of(played, rankers(played).into_iter().choose(rng)?)
}

/// Plays the matrix, and writes tables and plots.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Cell>> {
    let cells = matrix(options, runner)?;
    output.table("behaviours", &cells)?;
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
pub fn matrix(options: &Options, runner: Runner) -> Result<Vec<Cell>> {
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

/// What was seen of one round.
struct Sample {
    best: f64,
    attacker: f64,
    none: f64,
    regret: Option<f64>,
    honest: f64,
    attackers: f64,
    requester: f64,
    others: [Option<(f64, f64)>; 3],
    refused: f64,
    blocks: f64,
}

fn config(attack: Attack, fraction: f64, options: &Options, seed: u64) -> Config {
    let attackers = (fraction * options.agents as f64).round() as usize;
    let kind = attack.kind();
    let skill = match kind.answers_well() {
        true => Ability::default().skill,
        false => options.poor,
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
    agents.resize(options.agents, Spec::honest(Ability::default()));
    let mut config = Config::new(options.parameters.clone(), agents, seed);
    let validators = (fraction * config.validators as f64).round() as usize;
    let half = Some(options.agents as u32 / 2);
    match attack {
        Attack::CensoringAuthor => config.plot = Plot::Censor { validators },
        Attack::GrindingAuthor => {
            config.max_responses = half;
            config.plot = Plot::Grind {
                validators,
                candidates: 16,
            };
        },
        Attack::FullRounds => config.max_responses = half,
        _ => {},
    }
    config
}

fn cell(attack: Attack, fraction: f64, options: &Options, step: &dyn Fn()) -> Result<Cell> {
    let mut samples = Vec::new();
    let (mut honest_rating, mut attacker_rating) = (Vec::new(), Vec::new());
    let attackers = (fraction * options.agents as f64).round() as usize;
    for seed in &options.seeds {
        let mut swarm = Swarm::new(config(attack, fraction, options, *seed))?;
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        for _ in 0..options.warm_up {
            swarm.play()?;
            step();
        }
        let mut before = (swarm.wealth(), swarm.requester_wealth());
        for _ in 0..options.rounds {
            let played = swarm.play()?;
            step();
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
                &mut rng,
            ));
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
    let best = all(&|sample| sample.best);
    Ok(Cell {
        attack: attack.name(),
        fraction,
        rounds: samples.len(),
        best_wins: mean(&best),
        best_wins_ci: confidence(&best),
        attacker_wins: mean(&all(&|sample| sample.attacker)),
        no_winner: mean(&all(&|sample| sample.none)),
        regret: some(&|sample| sample.regret),
        honest_income: mean(&all(&|sample| sample.honest)),
        attacker_income: mean(&all(&|sample| sample.attackers)),
        group_and_requester: mean(&all(&|sample| {
            sample.attackers * attackers as f64 + sample.requester
        })),
        honest_rating: mean(&honest_rating),
        attacker_rating: mean(&attacker_rating),
        mean_best: some(&|sample| Some(sample.others[0]?.0)),
        votes_best: some(&|sample| Some(sample.others[1]?.0)),
        single_best: some(&|sample| Some(sample.others[2]?.0)),
        mean_regret: some(&|sample| Some(sample.others[0]?.1)),
        votes_regret: some(&|sample| Some(sample.others[1]?.1)),
        single_regret: some(&|sample| Some(sample.others[2]?.1)),
        refused: mean(&all(&|sample| sample.refused)),
        blocks: mean(&all(&|sample| sample.blocks)),
    })
}

/// The attackers are the first ones of the swarm.
fn sample(
    played: &Played,
    attackers: usize,
    gains: &[f64],
    requester: f64,
    rng: &mut ChaCha8Rng,
) -> Sample {
    let best = played.best();
    let quality = |who: usize| played.qualities.get(&who).copied().unwrap_or(0.0);
    let regret = |who: usize| best.map_or(0.0, |best| quality(best) - quality(who));
    let judged = |who: usize| (f64::from(u8::from(Some(who) == best)), regret(who));
    let is = |condition: bool| f64::from(u8::from(condition));
    Sample {
        best: is(played.winner.is_some() && played.winner == best),
        attacker: is(played.winner.is_some_and(|winner| winner < attackers)),
        none: is(!played.done),
        regret: played.winner.map(regret),
        honest: mean(&gains[attackers..]),
        attackers: mean(&gains[..attackers]),
        requester,
        others: [by_mean(played), by_votes(played), by_one(played, rng)].map(|who| who.map(judged)),
        refused: played.rejected as f64,
        blocks: played.blocks.len() as f64,
    }
}
