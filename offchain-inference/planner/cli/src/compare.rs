// SPDX-License-Identifier: Apache-2.0
//! The command `compare`: all methods of placing layers on the same instances, as a page.

mod fingerprints;

use starling_console::outln;
use std::{fs, path::PathBuf, sync::atomic::AtomicBool};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use starling_planner::{
    candidates,
    cost::clients,
    greedy::{exo, parallax, petals, random, COMPARED_STATES, ORDERS},
    plan,
    search::{Annealing, Brkga, Climbing, Search, Solver, REPORTED_CLIENTS},
    Budget, Costs, Evaluator, Fingerprint, Objective, Picture, Placement, Switch,
};

use crate::{
    draw::{Drawing, ModelShape, Topology},
    instance::Instance,
};

/// Arguments of `compare`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of topologies and instances.
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "offchain-inference/planner/data"
    )]
    data: PathBuf,
    /// Placements that each search may evaluate.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    evaluations: u64,
    /// Instances drawn for each topology and shape.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
}

/// Methods of placing layers, in the order of the columns.
const METHODS: [&str; 11] = [
    "random",
    "Petals",
    "Parallax",
    "exo",
    "climbing",
    "annealing",
    "BRKGA cold",
    "BRKGA warm",
    "BRKGA memetic",
    "plan",
    "plan, trimmed",
];

/// The results of the methods on one instance, in milliseconds; infinite if a layer has no holder.
struct Row {
    name: String,
    best_known: Option<f64>,
    scores: Vec<f64>,
    seconds: f64,
}

/// Seconds of the processor that this thread has used; 0 if the system does not tell.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split_whitespace().next();
    nanoseconds.and_then(|ns| ns.parse().ok()).unwrap_or(0.0) * 1e-9
}

fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), v| (sum + v.ln(), count + 1));
    f64::exp(sum / f64::from(count.max(1)))
}

fn milliseconds(evaluator: &mut Evaluator, placement: &Placement) -> f64 {
    let score = evaluator.score(placement, Switch::AtEnds);
    if score.uncovered > 0 {
        f64::INFINITY
    } else {
        score.total * 1e3
    }
}

impl Row {
    fn new(instance: &Instance, evaluations: u64) -> Result<Self> {
        let picture = instance.picture()?;
        let costs = Costs::new(&picture);
        let clients = clients(costs.nodes(), REPORTED_CLIENTS);
        let mut evaluator = Evaluator::new(&costs, Objective::default(), clients);
        let mut score = |placement: &Placement| milliseconds(&mut evaluator, placement);
        let three = |scores: [f64; 3]| geometric_mean(scores.into_iter());
        let mut scores = vec![
            three([0, 1, 2].map(|seed| score(&random(&picture, seed)))),
            three([0, 1, 2].map(|seed| score(&petals(&picture, &costs, seed, true)))),
            score(&parallax(&picture, &costs, COMPARED_STATES)),
            score(&exo(&picture)),
        ];
        debug_assert_eq!(ORDERS, 3);
        let full: Vec<_> = candidates(&picture, None, None)
            .iter()
            .map(|(_, placement)| Placement::full(&picture, &placement.starts()))
            .collect();
        let solvers: [&dyn Solver; 5] = [
            &Climbing::default(),
            &Annealing::default(),
            &Brkga::COLD,
            &Brkga::WARM,
            &Brkga::MEMETIC,
        ];
        for solver in solvers {
            let stop = AtomicBool::new(false);
            let mut search = Search::new(&picture, &costs, Objective::default(), &stop);
            search.allow(evaluations);
            let mut rng = ChaCha8Rng::from_seed(picture.hash());
            scores.push(score(&Placement(
                solver.solve(&mut search, &full, &mut rng).spans,
            )));
        }
        let before = processor_seconds();
        let planned = planned(&picture, evaluations);
        let seconds = processor_seconds() - before;
        scores.push(score(&planned.full));
        scores.push(score(&planned.placement));
        Ok(Self {
            name: instance.name.clone(),
            best_known: instance.reference["best_known"]["score"].as_f64(),
            scores,
            seconds,
        })
    }

    fn print(&self) {
        let best = self.best_known.unwrap_or(self.scores[9]);
        let ratios = self.scores.iter().map(|score| match score / best {
            ratio if ratio.is_finite() => format!("{ratio:.3}"),
            _ => "–".into(),
        });
        let ratios: Vec<_> = ratios.collect();
        outln!(
            "| {} | {} | {best:.3} | {:.2} |",
            self.name,
            ratios.join(" | "),
            self.seconds
        );
    }
}

/// The plan of a picture with the candidates of the simple rules.
fn planned(picture: &Picture, evaluations: u64) -> starling_planner::Planned {
    let seeds = candidates(picture, None, None);
    let budget = Budget { evaluations };
    let stop = AtomicBool::new(false);
    plan(picture, &seeds, &budget, &Objective::default(), &stop)
}

fn head(reference: &str) {
    outln!(
        "| instance | {} | {reference} ms | CPU s |\n|---|{}---|---|",
        METHODS.join(" | "),
        "---|".repeat(METHODS.len())
    );
}

/// Geometric means of the plan against the others. A mean leaves out the instances on which one of
/// the two leaves a layer without a holder.
fn summary(rows: &[Row]) {
    outln!("\n| plan against | geometric mean | worst | instances |\n|---|---|---|---|");
    let line = |name: &str, ratios: Vec<f64>| {
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        let mean = geometric_mean(ratios.iter().copied());
        outln!("| {name} | {mean:.3} | {worst:.3} | {} |", ratios.len());
    };
    for (column, name) in METHODS.iter().enumerate().take(9) {
        let ratio = |row: &Row| row.scores[9] / row.scores[column];
        let finite = rows.iter().filter(|row| row.scores[column].is_finite());
        line(name, finite.map(ratio).collect());
    }
    let greedy = |row: &Row| {
        row.scores[1..4]
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min)
    };
    line(
        "best of Petals, Parallax, exo",
        rows.iter().map(|r| r.scores[9] / greedy(r)).collect(),
    );
    line(
        "the same, plan trimmed",
        rows.iter().map(|r| r.scores[10] / greedy(r)).collect(),
    );
    let known: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(row.scores[9] / row.best_known?))
        .collect();
    if !known.is_empty() {
        line("best known", known);
    }
}

impl Args {
    /// Prints the page.
    pub fn run(self) -> Result<()> {
        outln!("{INTRODUCTION}");
        self.named()?;
        let topologies = self.topologies()?;
        self.drawn(&topologies)?;
        self.speed()?;
        fingerprints::page(&topologies)?;
        outln!("{LIMITS}");
        Ok(())
    }

    fn named(&self) -> Result<()> {
        let folder = self.data.join("instances");
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let mut files: Vec<_> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        outln!("\n## Named instances\n");
        outln!(
            "G over the best known G of the file, {} evaluations a search; Petals and random are means of three draws. \
             Round-trip times are measured (drawn in `geo`), devices drawn.\n",
            self.evaluations
        );
        head("best known");
        let mut rows = vec![];
        for file in files {
            let instance = Instance::read(&file)?;
            if instance.nodes.len() <= REPORTED_CLIENTS {
                let row = Row::new(&instance, self.evaluations)?;
                row.print();
                rows.push(row);
            }
        }
        summary(&rows);
        Ok(())
    }

    fn topologies(&self) -> Result<Vec<(Topology, bool)>> {
        [
            ("wonder-235", true),
            ("planetlab-even-245", false),
            ("seattle-300", false),
            ("aws-21", true),
            ("ibm-13", true),
        ]
        .into_iter()
        .map(|(name, last_mile)| {
            let file = self.data.join("topologies").join(format!("{name}.csv"));
            Ok((Topology::read(&file)?, last_mile))
        })
        .collect()
    }

    fn drawn(&self, topologies: &[(Topology, bool)]) -> Result<()> {
        outln!("\n## Drawn instances\n");
        outln!(
            "G over that of the plan, {} evaluations a search. Round-trip times are measured, nodes, devices and the last \
             miles of clouds drawn; the constants of the search were not chosen on these draws.\n",
            self.evaluations
        );
        head("plan");
        let mut rows = vec![];
        for (topology, last_mile) in topologies {
            for (nodes, model, home) in [
                (6, ModelShape::T12, true),
                (6, ModelShape::S30, true),
                (12, ModelShape::S30, true),
                (12, ModelShape::L32, false),
                (24, ModelShape::L32, true),
                (24, ModelShape::L80, false),
                (48, ModelShape::L80, true),
                (48, ModelShape::L126, true),
                (100, ModelShape::L126, true),
            ] {
                for seed in 0..self.seeds {
                    let drawing = Drawing {
                        model,
                        nodes,
                        seed: 1000 + seed,
                        home,
                        last_mile: *last_mile,
                    };
                    let row = Row::new(&drawing.draw(topology), self.evaluations)?;
                    row.print();
                    rows.push(row);
                }
            }
        }
        summary(&rows);
        Ok(())
    }

    fn speed(&self) -> Result<()> {
        outln!("\n## Time\n");
        outln!("Seconds of one processor core.\n");
        outln!("| what | seconds |\n|---|---|");
        let picture = |name: &str| {
            let file = self.data.join("instances").join(format!("{name}.json"));
            Instance::read(&file)?.picture()
        };
        for name in ["planetlab-24-l80", "world-100-l80"] {
            let picture = picture(name)?;
            let before = processor_seconds();
            planned(&picture, 10_000);
            let seconds = processor_seconds() - before;
            outln!("| a plan of `{name}`, 10,000 evaluations | {seconds:.3} |");
        }
        let large = picture("world-500-l80")?;
        let costs = Costs::new(&large);
        let mut evaluator = Evaluator::new(&costs, Objective::default(), clients(500, 16));
        let placement = petals(&large, &costs, 0, false);
        let before = processor_seconds();
        for _ in 0..20 {
            evaluator.score(&placement, Switch::AtEnds);
        }
        let seconds = (processor_seconds() - before) / 20.0;
        outln!("| an evaluation of `world-500-l80` with 16 clients | {seconds:.5} |");
        let hundred = picture("world-100-l80")?;
        let before = processor_seconds();
        Fingerprint::new(&hundred);
        let seconds = processor_seconds() - before;
        outln!("| the fingerprint of `world-100-l80` | {seconds:.4} |");
        Ok(())
    }
}

const INTRODUCTION: &str = "# Where layers go: results

Made by one command, at the root of the repository:

```sh
cargo run --release -p starling-plan -- compare
```

G is the geometric mean of a token's mean time over clients and of the time a token takes through the weakest layer, times one plus the
layers that are expected to lose all holders (`src/cost.rs`); smaller is better. Rules of others follow their papers and
repositories, not their binaries: Petals (arXiv 2312.08361, 3.2; joins, then moves below 0.75), Parallax (arXiv
2509.26182; its program up to 24 nodes, its greedy rule beyond, water-filling), exo (disjoint rings, layers in proportion to memory).
In `plan` every node holds as many layers as its memory takes, as in the format of instances; `plan, trimmed` may
hold fewer. A dash marks placements that leave a layer without a holder.";

const LIMITS: &str = "
## Limits

Classes of devices and the last miles of clouds are drawn. Round-trip times are static. Queues count in the weakest layer's rate only. The best
known scores are the best that the prototype's and earlier searches found, not optima.";
