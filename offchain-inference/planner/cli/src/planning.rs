// SPDX-License-Identifier: Apache-2.0
//! The commands `plan` and `score`.

use starling_console::outln;
use std::{path::PathBuf, sync::atomic::AtomicBool};

use anyhow::{ensure, Context, Result};
use serde::Serialize;
use starling_planner::{
    candidates,
    cost::clients,
    plan,
    search::{Planned, REPORTED_CLIENTS},
    Budget, Costs, Evaluator, Objective, Picture, Placement, Score, Span, Switch,
};

use crate::{
    instance::Instance,
    schemas::{hex, LibraryArgs},
    svg,
};

/// Arguments of `plan`.
#[derive(clap::Args)]
pub struct Args {
    /// The instance.
    #[arg(long, value_name = "FILE")]
    instance: PathBuf,
    /// Placements that the search may evaluate; by default 500 a node, at most 50,000, and fewer in
    /// large swarms.
    #[arg(long, value_name = "N")]
    evaluations: Option<u64>,
    /// Weight of throughput against latency, in eighths: 0 for latency alone, 8 for throughput
    /// alone.
    #[arg(long, value_name = "EIGHTHS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=8))]
    throughput: u8,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the topology and the placement to files whose names begin with this.
    #[arg(long, value_name = "PREFIX")]
    svg: Option<String>,
    /// A library of schemas, whose nearest are candidates.
    #[arg(long, value_name = "FILE", requires_all = ["genesis", "publisher"])]
    library: Option<PathBuf>,
    /// The hash of the chain's first block, with a library: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH", value_parser = hex)]
    genesis: Option<[u8; 32]>,
    /// A publisher that is trusted, with a library: 64 hexadecimal digits.
    #[arg(long, value_name = "KEY", value_parser = hex)]
    publisher: Vec<[u8; 32]>,
}

/// Arguments of `score`.
#[derive(clap::Args)]
pub struct ScoreArgs {
    /// The instance.
    #[arg(long, value_name = "FILE")]
    instance: PathBuf,
    /// The first layer of each node's span; the best known of the instance by default.
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    starts: Vec<u16>,
    /// The number of layers of each node; as many as its memory takes by default.
    #[arg(long, value_name = "LAYERS,…", value_delimiter = ',')]
    lengths: Vec<u16>,
}

/// A placement and its score, as printed.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The method that found it.
    pub origin: String,
    /// The first layer of each node's span.
    pub starts: Vec<u16>,
    /// The number of layers of each node.
    pub lengths: Vec<u16>,
    /// G in milliseconds, pipelines entered at the ends of spans.
    pub score: f64,
    /// G in milliseconds, pipelines that may change nodes at every border.
    pub score_full: f64,
    /// Mean milliseconds of a token.
    pub token_ms: f64,
    /// As `token_ms`, with pipelines that may change nodes at every border.
    pub token_ms_full: f64,
    /// Tokens a second through the weakest layer.
    pub tokens_s: f64,
    /// Layers that are expected to lose all holders within the next hour.
    pub risk: f64,
    /// Layers without a holder.
    pub uncovered: u16,
}

impl Report {
    /// Scores a placement with all clients.
    pub fn new(costs: &Costs, objective: Objective, origin: String, placement: &Placement) -> Self {
        let clients = clients(costs.nodes(), REPORTED_CLIENTS);
        let mut evaluator = Evaluator::new(costs, objective, clients);
        let ends = evaluator.score(placement, Switch::AtEnds);
        let anywhere = evaluator.score(placement, Switch::Anywhere);
        let milliseconds = |score: &Score| score.total * 1e3;
        Self {
            origin,
            starts: placement.starts(),
            lengths: placement.0.iter().map(Span::len).collect(),
            score: milliseconds(&ends),
            score_full: milliseconds(&anywhere),
            token_ms: ends.token * 1e3,
            token_ms_full: anywhere.token * 1e3,
            tokens_s: ends.rate,
            risk: ends.risk,
            uncovered: ends.uncovered,
        }
    }
}

/// The output of `plan`.
#[derive(Serialize)]
struct Output {
    name: String,
    evaluations: u64,
    bad_facts: usize,
    /// The best placement in which every node holds as many layers as its memory takes.
    #[serde(flatten)]
    plan: Report,
    /// A placement with shorter spans, if one is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    trimmed: Option<Report>,
    /// The simple rules.
    candidates: Vec<Report>,
}

impl Args {
    /// Plans.
    pub fn run(self) -> Result<()> {
        let instance = Instance::read(&self.instance)?;
        let picture = instance.picture()?;
        let budget = self.evaluations.map_or_else(
            || Budget::of(picture.nodes().len()),
            |evaluations| Budget { evaluations },
        );
        let objective = Objective {
            throughput_eighths: self.throughput,
        };
        let library = self.library.zip(self.genesis).map(|(file, genesis)| {
            let args = LibraryArgs::new(file, genesis, self.publisher);
            args.open()
        });
        let library = library.transpose()?;
        let seeds = candidates(&picture, library.as_ref(), None);
        let planned = plan(
            &picture,
            &seeds,
            &budget,
            &objective,
            &AtomicBool::new(false),
        );
        let costs = Costs::new(&picture);
        let report = |origin: String, p: &Placement| Report::new(&costs, objective, origin, p);
        if let Some(prefix) = self.svg {
            for (name, drawing) in [
                ("topology", svg::topology(&picture, &planned.placement)),
                ("placement", svg::placement(&picture, &planned.placement)),
            ] {
                let file = format!("{prefix}-{name}.svg");
                std::fs::write(&file, drawing).with_context(|| format!("cannot write {file}"))?;
            }
        }
        let better = planned.score.compare(&planned.full_score).is_lt();
        let Planned {
            placement,
            origin,
            full,
            full_origin,
            evaluations,
            ..
        } = planned;
        let output = Output {
            name: instance.name,
            evaluations,
            bad_facts: picture.bad_facts(),
            plan: report(full_origin.to_string(), &full),
            trimmed: better.then(|| report(origin.to_string(), &placement)),
            candidates: seeds
                .iter()
                .map(|(origin, placement)| report(origin.to_string(), placement))
                .collect(),
        };
        if self.json {
            outln!("{}", serde_json::to_string(&output)?);
        } else {
            output.print();
        }
        Ok(())
    }
}

impl Output {
    fn print(&self) {
        outln!("{}: {} evaluations", self.name, self.evaluations);
        let rows = std::iter::once(&self.plan)
            .chain(&self.trimmed)
            .chain(&self.candidates);
        for row in rows {
            outln!(
                "{:12} G {:9.3} ms  T {:8.2} ms  {:9.1} tokens/s  risk {:.4}  uncovered {}",
                row.origin,
                row.score,
                row.token_ms,
                row.tokens_s,
                row.risk,
                row.uncovered
            );
        }
    }
}

impl ScoreArgs {
    /// Scores.
    pub fn run(self) -> Result<()> {
        let instance = Instance::read(&self.instance)?;
        let picture = instance.picture()?;
        let placement = given(&instance, &picture, &self.starts, &self.lengths)?;
        let costs = Costs::new(&picture);
        let report = Report::new(&costs, Objective::default(), "given".into(), &placement);
        outln!("{}", serde_json::to_string(&report)?);
        Ok(())
    }
}

/// The placement of the given starts and lengths; by default the best known of the instance, and
/// all that memory takes.
pub fn given(
    instance: &Instance,
    picture: &Picture,
    starts: &[u16],
    lengths: &[u16],
) -> Result<Placement> {
    let n = picture.nodes().len();
    let known = instance.reference["best_known"]["starts"].as_array();
    let starts: Vec<u16> = match (starts, known) {
        ([], Some(known)) => known
            .iter()
            .filter_map(|start| start.as_u64()?.try_into().ok())
            .collect(),
        _ => starts.to_vec(),
    };
    ensure!(starts.len() == n, "{} starts for {n} nodes", starts.len());
    if lengths.is_empty() {
        return Ok(Placement::full(picture, &starts));
    }
    ensure!(
        lengths.len() == n,
        "{} lengths for {n} nodes",
        lengths.len()
    );
    let both = starts.iter().zip(lengths);
    let placement = Placement(
        both.map(|(&start, &length)| Span::of(start, length))
            .collect(),
    );
    ensure!(
        placement.allowed(picture) == placement,
        "a span lies beyond the model or beyond its node's memory"
    );
    Ok(placement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The instances of the repository.
    fn instances() -> Vec<Instance> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/instances");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), 11);
        files
            .iter()
            .map(|file| Instance::read(file).unwrap())
            .collect()
    }

    fn scored(picture: &Picture, placement: &Placement) -> Report {
        let costs = Costs::new(picture);
        Report::new(&costs, Objective::default(), String::new(), placement)
    }

    fn near(a: f64, b: &Value) -> bool {
        (a / b.as_f64().unwrap() - 1.0).abs() < 1e-4
    }

    #[test]
    fn the_best_known_placements_score_as_their_files_say() {
        // The clients of larger files were drawn; the files do not record them.
        for instance in instances()
            .iter()
            .filter(|i| i.nodes.len() <= REPORTED_CLIENTS)
        {
            let picture = instance.picture().unwrap();
            let known = &instance.reference["best_known"];
            let starts: Vec<u16> = serde_json::from_value(known["starts"].clone()).unwrap();
            let report = scored(&picture, &Placement::full(&picture, &starts));
            assert!(near(report.score, &known["score"]), "{}", instance.name);
            assert!(
                near(report.score_full, &known["score_full"]),
                "{}",
                instance.name
            );
            assert!(
                near(report.token_ms_full, &known["token_ms_full"]),
                "{}",
                instance.name
            );
        }
    }

    #[test]
    fn the_rules_of_others_score_as_their_files_say() {
        for instance in instances()
            .iter()
            .filter(|i| i.nodes.len() <= REPORTED_CLIENTS)
        {
            let picture = instance.picture().unwrap();
            let costs = Costs::new(&picture);
            let exo = starling_planner::greedy::exo(&picture);
            assert!(near(
                scored(&picture, &exo).score,
                &instance.reference["exo"]["score"]
            ));
            let states = starling_planner::greedy::COMPARED_STATES;
            let parallax = starling_planner::greedy::parallax(&picture, &costs, states);
            let known = &instance.reference["parallax"]["score"];
            let report = scored(&picture, &parallax);
            assert!(
                near(report.score, known),
                "{} {} {known}",
                instance.name,
                report.score
            );
        }
    }

    #[test]
    fn plans_are_near_the_best_known_or_better() {
        let mut product = 1.0;
        let small: Vec<_> = instances()
            .into_iter()
            .filter(|i| i.nodes.len() <= 24)
            .collect();
        for instance in &small {
            let picture = instance.picture().unwrap();
            let seeds = candidates(&picture, None, None);
            let budget = Budget {
                evaluations: 10_000,
            };
            let stop = AtomicBool::new(false);
            let planned = plan(&picture, &seeds, &budget, &Objective::default(), &stop);
            let known = instance.reference["best_known"]["score"].as_f64().unwrap();
            let ratio = planned.full_score.total * 1e3 / known;
            assert!(ratio < 1.05, "{} {ratio}", instance.name);
            product *= ratio;
        }
        assert!(product.powf(1.0 / small.len() as f64) < 1.01);
    }
}
