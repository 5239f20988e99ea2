// SPDX-License-Identifier: Apache-2.0
//! Compares ratings with the true abilities to rank: figures 3 to 5 of the paper.

use anyhow::Result;
use serde::Serialize;
use starling_runtime::parameters::Preset;

use super::{
    agreement::{graded, Agreement},
    alternatives::Method,
    name, short,
};
use crate::{
    output::{Output, Panel, Series},
    runner::Runner,
    stats::{confidence, mean, median, spearman},
    swarm::{Config, Swarm},
};

/// Numbers of recent rounds that a rating might remember.
const WINDOWS: [usize; 9] = [5, 10, 20, 50, 100, 200, 300, 500, 1_000];

/// Levels of agreement between the order of the ratings and that of the abilities.
const LEVELS: [f64; 5] = [0.9, 0.95, 0.98, 0.99, 1.0];

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The preset.
    pub preset: Preset,
    /// Number of agents, from the best ranker to the worst one.
    pub agents: usize,
    /// Number of rounds.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// One agent after some rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// The preset.
    pub preset: String,
    /// The seed.
    pub seed: u64,
    /// Number of rounds played.
    pub rounds: u32,
    /// The agent's true ability to rank; see [`crate::ability::Ability::ranking`].
    pub ability: f64,
    /// Its rating on chain.
    pub rating: f64,
    /// The rating by the scores of all rounds, with none forgotten.
    pub unforgotten: f64,
}

/// The ratings of one seed.
#[derive(Clone, Debug)]
pub struct Course {
    /// The preset.
    pub preset: Preset,
    /// Every agent after some of the rounds.
    pub estimates: Vec<Estimate>,
    /// Spearman's coefficient of the ratings on chain after each round.
    pub orders: Vec<f64>,
    /// The same by the scores of the last rounds alone, for each of [`WINDOWS`].
    windows: Vec<Agreement>,
}

/// Agreement of ratings with abilities after some rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The preset.
    pub preset: String,
    /// Number of rounds played.
    pub rounds: u32,
    /// Spearman's coefficient, mean over the seeds.
    pub spearman: f64,
    /// Half of its 95 % confidence interval.
    pub spearman_ci: f64,
    /// Pearson's coefficient, mean over the seeds.
    pub pearson: f64,
    /// Half of its 95 % confidence interval.
    pub pearson_ci: f64,
    /// Share of the seeds with all agents in the right order.
    pub ordered: f64,
    /// Spearman's coefficient if no round is forgotten, mean over the seeds.
    pub unforgotten_spearman: f64,
    /// Half of its 95 % confidence interval.
    pub unforgotten_spearman_ci: f64,
    /// Pearson's coefficient if no round is forgotten, mean over the seeds.
    pub unforgotten_pearson: f64,
    /// Half of its 95 % confidence interval.
    pub unforgotten_pearson_ci: f64,
    /// Share of the seeds with all agents in the right order, if no round is forgotten.
    pub unforgotten_ordered: f64,
}

/// Agreement with abilities by the last rounds alone.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// The preset.
    pub preset: String,
    /// Number of rounds.
    pub window: usize,
    /// Spearman's coefficient, mean over the seeds.
    pub spearman: f64,
    /// Half of its 95 % confidence interval.
    pub spearman_ci: f64,
    /// Pearson's coefficient, mean over the seeds.
    pub pearson: f64,
    /// Half of its 95 % confidence interval.
    pub pearson_ci: f64,
    /// Share of the seeds with all agents in the right order.
    pub ordered: f64,
}

/// Time at which the ratings on chain first reach this order.
#[derive(Clone, Debug, Serialize)]
pub struct Level {
    /// The preset.
    pub preset: String,
    /// Spearman's coefficient; 1 means all agents in the right order.
    pub spearman: f64,
    /// Share of the seeds in which it is ever reached.
    pub reached: f64,
    /// Number of rounds to reach it, median of these seeds.
    pub median: Option<f64>,
    /// Number of rounds to reach it in the last of these seeds.
    pub latest: Option<usize>,
    /// Share of the rounds from there on in which it holds, mean of these seeds.
    pub holds: f64,
}

/// Numbers of rounds after which ratings are read.
fn checkpoints(rounds: u32) -> Vec<u32> {
    let mut all: Vec<u32> = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1_000]
        .into_iter()
        .filter(|round| *round < rounds)
        .collect();
    all.push(rounds);
    all
}

/// Plays the rounds of each seed.
pub fn play(options: &Options, runner: Runner) -> Result<Vec<Course>> {
    let steps = u64::from(options.rounds) * options.seeds.len() as u64;
    let agents = graded(options.agents);
    let abilities: Vec<f64> = agents.iter().map(|spec| spec.ability.ranking()).collect();
    let method = match options.preset {
        Preset::Paper => Method::Paper,
        Preset::Production | Preset::Dev => Method::Others,
    };
    let label = format!("ratings {}", name(&options.preset));
    runner.all(&label, steps, &options.seeds, |seed, bar| {
        let config = Config::new(short(options.preset), agents.clone(), *seed);
        let mut swarm = Swarm::new(config)?;
        let (mut estimates, mut orders) = (Vec::new(), Vec::new());
        let mut history = Vec::new();
        let checkpoints = checkpoints(options.rounds);
        for round in 1..=options.rounds {
            history.push(swarm.play()?);
            bar.inc(1);
            let ratings = swarm.ratings();
            orders.push(spearman(&abilities, &ratings));
            if !checkpoints.contains(&round) {
                continue;
            }
            let unforgotten = method.rate(&history, agents.len());
            for ((ability, rating), unforgotten) in abilities.iter().zip(ratings).zip(unforgotten) {
                estimates.push(Estimate {
                    preset: name(&options.preset),
                    seed: *seed,
                    rounds: round,
                    ability: *ability,
                    rating,
                    unforgotten,
                });
            }
        }
        let windows = WINDOWS.map(|window| {
            let last = &history[history.len().saturating_sub(window)..];
            Agreement::new(&abilities, &method.rate(last, agents.len()))
        });
        Ok(Course {
            preset: options.preset,
            estimates,
            orders,
            windows: windows.into(),
        })
    })
}

/// True if ratings with this coefficient are in the right order to the last agent.
fn right(spearman: f64) -> bool {
    spearman > 1.0 - 1e-9
}

/// Means, half intervals and the share of right orders, over all seeds.
struct Summary {
    spearman: f64,
    spearman_ci: f64,
    pearson: f64,
    pearson_ci: f64,
    ordered: f64,
}

impl Summary {
    fn new(of_seeds: &[Agreement]) -> Self {
        let spearmans: Vec<f64> = of_seeds.iter().map(|seed| seed.spearman).collect();
        let pearsons: Vec<f64> = of_seeds.iter().map(|seed| seed.pearson).collect();
        let ordered = spearmans.iter().filter(|value| right(**value)).count();
        Self {
            spearman: mean(&spearmans),
            spearman_ci: confidence(&spearmans),
            pearson: mean(&pearsons),
            pearson_ci: confidence(&pearsons),
            ordered: ordered as f64 / spearmans.len().max(1) as f64,
        }
    }
}

/// Summaries of the ratings of all seeds under one preset, after some of the rounds.
pub fn summary(courses: &[Course]) -> Vec<Row> {
    let mut rounds: Vec<u32> = courses
        .iter()
        .flat_map(|course| course.estimates.iter().map(|estimate| estimate.rounds))
        .collect();
    rounds.sort_unstable();
    rounds.dedup();
    rounds
        .into_iter()
        .map(|rounds| {
            let agreement = |rating: fn(&Estimate) -> f64| {
                let of_seed = |course: &Course| {
                    let (abilities, ratings): (Vec<f64>, Vec<f64>) = course
                        .estimates
                        .iter()
                        .filter(|estimate| estimate.rounds == rounds)
                        .map(|estimate| (estimate.ability, rating(estimate)))
                        .unzip();
                    Agreement::new(&abilities, &ratings)
                };
                Summary::new(&courses.iter().map(of_seed).collect::<Vec<_>>())
            };
            let on_chain = agreement(|estimate| estimate.rating);
            let unforgotten = agreement(|estimate| estimate.unforgotten);
            Row {
                preset: preset_of(courses),
                rounds,
                spearman: on_chain.spearman,
                spearman_ci: on_chain.spearman_ci,
                pearson: on_chain.pearson,
                pearson_ci: on_chain.pearson_ci,
                ordered: on_chain.ordered,
                unforgotten_spearman: unforgotten.spearman,
                unforgotten_spearman_ci: unforgotten.spearman_ci,
                unforgotten_pearson: unforgotten.pearson,
                unforgotten_pearson_ci: unforgotten.pearson_ci,
                unforgotten_ordered: unforgotten.ordered,
            }
        })
        .collect()
}

fn preset_of(courses: &[Course]) -> String {
    courses
        .first()
        .map_or_else(String::new, |course| name(&course.preset))
}

/// Agreement by the last rounds alone, under one preset.
fn windows(courses: &[Course], rounds: u32) -> Vec<Window> {
    WINDOWS
        .into_iter()
        .enumerate()
        .filter(|(_, window)| *window <= rounds as usize)
        .map(|(index, window)| {
            let of_seeds: Vec<Agreement> =
                courses.iter().map(|course| course.windows[index]).collect();
            let summary = Summary::new(&of_seeds);
            Window {
                preset: preset_of(courses),
                window,
                spearman: summary.spearman,
                spearman_ci: summary.spearman_ci,
                pearson: summary.pearson,
                pearson_ci: summary.pearson_ci,
                ordered: summary.ordered,
            }
        })
        .collect()
}

/// Rounds after which the ratings of all seeds under one preset are in order.
pub fn levels(courses: &[Course]) -> Vec<Level> {
    LEVELS
        .into_iter()
        .map(|level| {
            let holds = |order: &f64| *order >= level - 1e-9;
            let (mut firsts, mut shares) = (Vec::new(), Vec::new());
            for course in courses {
                if let Some(before) = course.orders.iter().position(holds) {
                    let after = &course.orders[before..];
                    let held = after.iter().filter(|order| holds(order)).count();
                    firsts.push(before + 1);
                    shares.push(held as f64 / after.len() as f64);
                }
            }
            let rounds: Vec<f64> = firsts.iter().map(|first| *first as f64).collect();
            Level {
                preset: preset_of(courses),
                spearman: level,
                reached: firsts.len() as f64 / courses.len().max(1) as f64,
                median: (!rounds.is_empty()).then(|| median(&rounds)),
                latest: firsts.into_iter().max(),
                holds: mean(&shares),
            }
        })
        .collect()
}

/// Plays under all presets and writes tables and plots.
pub fn run(sets: &[Options], runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let (mut rows, mut estimates) = (Vec::new(), Vec::new());
    let (mut all_windows, mut all_levels) = (Vec::new(), Vec::new());
    for options in sets {
        let courses = play(options, runner)?;
        rows.extend(summary(&courses));
        all_windows.extend(windows(&courses, options.rounds));
        all_levels.extend(levels(&courses));
        estimates.extend(courses.into_iter().flat_map(|course| course.estimates));
        // Writes the results so far.
        output.table("ratings", &estimates)?;
        output.table("ratings-summary", &rows)?;
        output.table("ratings-windows", &all_windows)?;
        output.table("ratings-levels", &all_levels)?;
    }
    for options in sets {
        let preset = name(&options.preset);
        let panels: Vec<Panel> = [10, 100, 1_000]
            .into_iter()
            .filter(|rounds| *rounds <= options.rounds)
            .map(|rounds| {
                let points = |label: &str, rating: fn(&Estimate) -> f64| {
                    let here = estimates
                        .iter()
                        .filter(|estimate| estimate.preset == preset && estimate.rounds == rounds);
                    let points = here.map(|estimate| (estimate.ability, rating(estimate)));
                    Series::points(label, points.collect())
                };
                Panel {
                    title: format!("{rounds} rounds ({preset})"),
                    x: "true ability to rank".into(),
                    y: "rating".into(),
                    series: vec![
                        points("on chain", |estimate| estimate.rating),
                        points("nothing forgotten", |estimate| estimate.unforgotten),
                    ],
                }
            })
            .collect();
        output.plot(&format!("ratings-{preset}"), &panels)?;
    }
    let curve = |on_chain: fn(&Row) -> f64, unforgotten: fn(&Row) -> f64| {
        let line = |preset: &str, label: String, value: fn(&Row) -> f64| {
            let of_preset = rows.iter().filter(|row| row.preset == preset);
            let points = of_preset.map(|row| (f64::from(row.rounds).log10(), value(row)));
            Series::line(label, points.collect())
        };
        sets.iter()
            .flat_map(|options| {
                let preset = name(&options.preset);
                [
                    line(&preset, preset.clone(), on_chain),
                    line(&preset, format!("{preset}, nothing forgotten"), unforgotten),
                ]
            })
            .collect()
    };
    let panel = |title: &str, series| Panel {
        title: title.into(),
        x: "rounds, decimal logarithm".into(),
        y: "coefficient".into(),
        series,
    };
    output.plot(
        "ratings-rounds",
        &[
            panel(
                "Spearman",
                curve(|row| row.spearman, |row| row.unforgotten_spearman),
            ),
            panel(
                "Pearson",
                curve(|row| row.pearson, |row| row.unforgotten_pearson),
            ),
        ],
    )?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_of_the_first_round_that_reaches_them() {
        let course = |orders: &[f64]| Course {
            preset: Preset::Paper,
            estimates: Vec::new(),
            orders: orders.into(),
            windows: Vec::new(),
        };
        let courses = [
            course(&[0.1, 0.92, 0.8, 0.96]),
            course(&[0.1, 0.2, 0.3, 0.91]),
        ];
        let levels = levels(&courses);
        let level = |index: usize| (levels[index].reached, levels[index].median);
        assert_eq!(level(0), (1.0, Some(3.0)));
        assert_eq!(levels[0].latest, Some(4));
        // Two of three rounds of one seed, and the only round of the other.
        assert!((levels[0].holds - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-9);
        assert_eq!(level(1), (0.5, Some(4.0)));
        assert_eq!(level(4), (0.0, None));
    }
}
