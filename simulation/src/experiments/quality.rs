// SPDX-License-Identifier: Apache-2.0
//! Compares the answers of a swarm of real models with those of its models alone.

use std::path::PathBuf;

use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use starling_engine::rank::Quoting;
use starling_evaluation::{Choice, Task};

use super::answers::{
    by_question, compared, draws, greedy, load, majority, play, scale, swarms, Swarming,
};
use crate::{
    models::{Model, Scorer},
    output::Output,
    runner::Runner,
    stats::{indicator, mean},
    swarm::Given,
    votes::{Capabilities, Keys},
};

/// Options of the experiment.
pub struct Options {
    /// The models.
    pub models: Vec<Model>,
    /// The folder with the task sets.
    pub data: PathBuf,
    /// The task sets.
    pub tasks: Vec<Task>,
    /// Number of questions of each set to ask.
    pub limit: usize,
    /// Number of earlier questions that set the scale of scores. Their answers are known to the
    /// choice by votes, which needs at least ten.
    pub reference: usize,
    /// Number of agents in a swarm.
    pub agents: usize,
    /// Temperature at which they draw their answers.
    pub temperature: f64,
    /// The way in which they score.
    pub scorer: Scorer,
    /// The seeds of the draws.
    pub seeds: Vec<u64>,
}

/// Results of one way to answer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The task set.
    pub task: String,
    /// The swarm.
    pub swarm: String,
    /// The way to answer; see [`run`].
    pub method: String,
    /// Number of questions.
    pub questions: usize,
    /// The share of right answers.
    pub right: f64,
    /// Lower bound of its 95 % confidence interval, over the questions.
    pub right_low: f64,
    /// Upper bound.
    pub right_high: f64,
    /// Gain over the best single model's most probable answers.
    pub over_best: f64,
    /// Lower bound of its 95 % confidence interval, paired by question.
    pub over_best_low: f64,
    /// Upper bound.
    pub over_best_high: f64,
}

/// Questions with the log-probabilities and the scaled scores of all models for each choice.
struct Questions<'a> {
    items: &'a [Choice],
    logprobs: Vec<Vec<Vec<f64>>>,
    scores: Vec<Vec<Vec<f64>>>,
}

impl Questions<'_> {
    /// Records of the agents of a swarm that answers and ranks these questions, if their
    /// answers become known.
    fn capabilities(&self, swarm: &Swarming, temperature: f64, seed: u64) -> Capabilities {
        let mut capabilities = Capabilities::new(swarm.models.len());
        // Other draws than those of the questions that are asked.
        let drawn = draws(&self.logprobs, swarm, temperature, !seed);
        for (question, (item, drawn)) in self.items.iter().zip(&drawn).enumerate() {
            let mut given = Vec::new();
            for (ranker, model) in swarm.models.iter().enumerate() {
                let own = &self.scores[*model][question];
                for (author, choice) in drawn.iter().enumerate() {
                    if author != ranker {
                        given.push(Given {
                            ranker,
                            author,
                            score: own[*choice],
                        });
                    }
                }
            }
            let chance = 1.0 / item.choices.len().max(1) as f64;
            capabilities.learn(&keys(drawn), &given, item.gold as u64, chance);
        }
        capabilities
    }
}

/// The agents' choices as the keys of their answers.
fn keys(drawn: &[usize]) -> Keys {
    let key = |(agent, choice): (usize, &usize)| (agent, *choice as u64);
    drawn.iter().enumerate().map(key).collect()
}

/// A model's results for the questions.
struct Said {
    logprobs: Vec<Vec<f64>>,
    scores: Vec<Vec<f64>>,
}

/// Asks all questions and compares the ways to answer: the choice of the swarm's round (`swarm`),
/// the choice of the same round by votes and scores (`votes`), a single agent's answer (`single`),
/// the most frequent answer (`majority`), any right answer (`oracle`), and each model's most
/// probable answer (`greedy`). The best `greedy` over all questions of a set, known only
/// afterwards, is the best single model.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for task in &options.tasks {
        rows.extend(of_task(*task, options, runner)?);
        // Writes the results so far.
        output.table("quality", &rows)?;
    }
    Ok(rows)
}

fn of_task(task: Task, options: &Options, runner: Runner) -> Result<Vec<Row>> {
    let items = load(task, &options.data, options.reference, options.limit)?;
    let said = ask(task, &items, options, runner)?;
    let (first, asked) = items.split_at(options.reference);
    let mut logprobs: Vec<Vec<Vec<f64>>> = said.iter().map(|said| said.logprobs.clone()).collect();
    let mut scaled = said
        .iter()
        .map(|said| scale(&said.scores, options.reference))
        .collect::<Result<Vec<Vec<Vec<f64>>>>>()?;
    let split = |all: &mut Vec<Vec<f64>>| {
        let asked = all.split_off(options.reference);
        std::mem::replace(all, asked)
    };
    let known = Questions {
        items: first,
        logprobs: logprobs.iter_mut().map(split).collect(),
        scores: scaled.iter_mut().map(split).collect(),
    };

    let greedy: Vec<Vec<f64>> = logprobs
        .iter()
        .map(|logprobs| {
            let of =
                |(item, logprobs): (&Choice, &Vec<f64>)| indicator(greedy(logprobs) == item.gold);
            asked.iter().zip(logprobs).map(of).collect()
        })
        .collect();
    let best = greedy
        .iter()
        .max_by(|left, right| mean(left).total_cmp(&mean(right)))
        .cloned()
        .unwrap_or_default();

    let row = |swarm: &str, method: &str, values: &[f64]| {
        let (right, over) = compared(values, &best);
        Row {
            task: task.to_string(),
            swarm: swarm.into(),
            method: method.into(),
            questions: values.len(),
            right: right.value,
            right_low: right.low,
            right_high: right.high,
            over_best: over.value,
            over_best_low: over.low,
            over_best_high: over.high,
        }
    };
    let mut rows: Vec<Row> = options
        .models
        .iter()
        .zip(&greedy)
        .map(|(model, right)| row(model.name(), "greedy", right))
        .collect();
    for swarm in swarms(&options.models, options.agents) {
        let label = format!("{task} {}", swarm.name);
        let steps = options.seeds.len() as u64;
        let of_seeds = runner.all(&label, steps, &options.seeds, |seed, bar| {
            let drawn = draws(&logprobs, &swarm, options.temperature, *seed);
            let right: Vec<Vec<bool>> = drawn
                .iter()
                .zip(asked)
                .map(|(drawn, item)| drawn.iter().map(|choice| *choice == item.gold).collect())
                .collect();
            let scores = |question: usize, agent: usize| {
                let own = &scaled[swarm.models[agent]][question];
                drawn[question].iter().map(|choice| own[*choice]).collect()
            };
            let rounds = play(&right, scores, options.agents, *seed)?;
            let winners = rounds.iter().map(|played| played.winner);
            let capabilities = known.capabilities(&swarm, options.temperature, *seed);
            let by_votes = rounds
                .iter()
                .zip(&drawn)
                .map(|(played, drawn)| capabilities.choose(played, &keys(drawn)));
            let mut rng = ChaCha8Rng::seed_from_u64(*seed);
            let share = |right: &Vec<bool>| {
                right.iter().filter(|right| **right).count() as f64 / right.len() as f64
            };
            let won = |(right, winner): (&Vec<bool>, Option<usize>)| {
                indicator(winner.is_some_and(|winner| right[winner]))
            };
            let voted = |(drawn, item): (&Vec<usize>, &Choice)| {
                indicator(majority(drawn, &mut rng) == Some(item.gold))
            };
            bar.inc(1);
            Ok([
                right.iter().zip(winners).map(won).collect::<Vec<f64>>(),
                right.iter().zip(by_votes).map(won).collect(),
                right.iter().map(share).collect(),
                drawn.iter().zip(asked).map(voted).collect(),
                right
                    .iter()
                    .map(|right| indicator(right.contains(&true)))
                    .collect(),
            ])
        })?;
        let methods = ["swarm", "votes", "single", "majority", "oracle"];
        for (index, method) in methods.iter().enumerate() {
            let of_method: Vec<Vec<f64>> = of_seeds
                .iter()
                .map(|of_seed| of_seed[index].clone())
                .collect();
            rows.push(row(&swarm.name, method, &by_question(&of_method)));
        }
    }
    Ok(rows)
}

fn ask(task: Task, items: &[Choice], options: &Options, runner: Runner) -> Result<Vec<Said>> {
    let asked: Vec<(&Model, &Choice)> = options
        .models
        .iter()
        .flat_map(|model| items.iter().map(move |item| (model, item)))
        .collect();
    let steps = asked.len() as u64;
    let answers = runner.all(&format!("{task}"), steps, &asked, |(model, item), bar| {
        let logprobs = model.logprobs(item)?;
        let quoting = Quoting::default();
        let scores = model.scores(options.scorer, quoting, &item.question, &item.choices)?;
        bar.inc(1);
        Ok((logprobs, scores))
    })?;
    let of_model = |answers: &[(Vec<f64>, Vec<f64>)]| {
        let (logprobs, scores) = answers.iter().cloned().unzip();
        Said { logprobs, scores }
    };
    Ok(answers.chunks(items.len().max(1)).map(of_model).collect())
}
