// SPDX-License-Identifier: Apache-2.0
//! The test of fingerprints as keys to good schemas: libraries, queries and rules of choice.

use starling_console::outln;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use rand::{seq::index::sample, SeedableRng};
use rand_chacha::ChaCha8Rng;
use starling_planner::{
    candidates, plan, Budget, Costs, Evaluator, Fingerprint, Library, Objective, Origin, Picture,
    Placement, Schema,
};

use super::{clients, geometric_mean, milliseconds, planned, REPORTED_CLIENTS};
use crate::draw::{Drawing, ModelShape, Topology};

/// Evaluations for a schema, for the reference of a query, and for a search with seeds.
const SCHEMA: u64 = 6_000;
const REFERENCE: u64 = 12_000;
const SEEDED: u64 = 2_000;

/// Schemas that a rule chooses.
const CHOSEN: usize = 5;

/// Rules that choose schemas.
const RULES: [&str; 7] = [
    "H0, H1 and capacity (the format)",
    "H0 and H1",
    "H0 alone",
    "capacity alone",
    "quantiles of RTT and capacity",
    "by chance",
    "all evaluated exactly",
];

/// The features of a swarm that the rules compare.
struct Features {
    print: Fingerprint,
    quantiles: Vec<f64>,
}

impl Features {
    fn new(picture: &Picture) -> Self {
        let n = picture.nodes().len();
        let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        let mut times: Vec<_> = pairs
            .map(|(i, j)| f64::from(picture.rtt(i, j).max(5)).ln())
            .collect();
        times.sort_by(f64::total_cmp);
        let quantile = |k: usize| times[(times.len() - 1) * (5 + 90 * k / 12) / 100];
        Self {
            print: Fingerprint::new(picture),
            quantiles: (0..13).map(quantile).collect(),
        }
    }

    /// The distance of two swarms by a rule that is not by chance.
    fn distance(&self, other: &Self, rule: usize) -> f64 {
        let (mut a, mut b) = (self.print.clone(), other.print.clone());
        for print in [&mut a, &mut b] {
            if matches!(rule, 1 | 2) {
                print.capacity = [0; 8];
            }
            if matches!(rule, 2..=4) {
                print.h1 = [0; 192];
            }
            if matches!(rule, 3 | 4) {
                print.h0 = [0; 64];
            }
        }
        let quantiles = self.quantiles.iter().zip(&other.quantiles);
        let times: f64 = match rule {
            4 => quantiles.map(|(a, b)| (a - b) * (a - b)).sum(),
            _ => 0.0,
        };
        (a.distance(&b).powi(2) + times).sqrt()
    }
}

fn drawing(nodes: usize, seed: u64, last_mile: bool) -> Drawing {
    Drawing {
        model: ModelShape::L80,
        nodes,
        seed,
        home: seed.is_multiple_of(2),
        last_mile,
    }
}

/// The results for one query: totals over that of the reference.
struct Query {
    greedy: f64,
    seeded: f64,
    /// For each rule: the nearest schema, the best of those chosen, and a search that they seed.
    rules: Vec<[f64; 3]>,
}

/// Prints the comparison.
pub fn page(topologies: &[(Topology, bool)]) -> Result<()> {
    let (known, unseen) = topologies.split_at(topologies.len() - 1);
    let mut schemas = vec![];
    let mut features = vec![];
    for (topology, last_mile) in known {
        for k in 0..15 {
            let nodes = [24, 32, 40][k as usize % 3];
            let picture = drawing(nodes, 100 + k, *last_mile)
                .draw(topology)
                .picture()?;
            schemas.push(Schema::new(&picture, &planned(&picture, SCHEMA).full));
            features.push(Features::new(&picture));
        }
    }
    let library = Library::new(schemas);
    let mut queries = vec![];
    for (topology, last_mile) in known
        .iter()
        .chain(known)
        .chain(known)
        .chain(unseen)
        .chain(unseen)
    {
        for _ in 0..64 / (3 * known.len() + 2) + 1 {
            if queries.len() < 64 {
                let seed = 1500 + queries.len() as u64;
                let nodes = 24 + (seed * 7 % 17) as usize;
                let picture = drawing(nodes, seed, *last_mile).draw(topology).picture()?;
                queries.push(query(&library, &features, &picture, seed));
            }
        }
    }
    print(&queries, library.schemas.len());
    Ok(())
}

fn query(library: &Library, known: &[Features], picture: &Picture, seed: u64) -> Query {
    let costs = Costs::new(picture);
    let everyone = clients(costs.nodes(), REPORTED_CLIENTS);
    let mut evaluator = Evaluator::new(&costs, Objective::default(), everyone);
    let mut score = |placement: &Placement| milliseconds(&mut evaluator, placement);
    let reference = score(&planned(picture, REFERENCE).full);
    let seeds = candidates(picture, None, None);
    let greedy = seeds
        .iter()
        .map(|(_, seed)| score(seed))
        .fold(f64::INFINITY, f64::min);
    let carried: Vec<_> = (0..library.schemas.len())
        .filter_map(|place| library.transfer(place, picture))
        .collect();
    let totals: Vec<_> = carried.iter().map(&mut score).collect();
    let own = Features::new(picture);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rules = vec![];
    for rule in 0..RULES.len() {
        let mut order: Vec<_> = (0..carried.len()).collect();
        match rule {
            5 => order = sample(&mut rng, carried.len(), CHOSEN).into_vec(),
            6 => order.sort_by(|&a, &b| totals[a].total_cmp(&totals[b])),
            _ => order.sort_by(|&a, &b| {
                let far = |place: usize| own.distance(&known[place], rule);
                far(a).total_cmp(&far(b)).then(a.cmp(&b))
            }),
        }
        order.truncate(CHOSEN);
        let best = order
            .iter()
            .map(|&place| totals[place])
            .fold(f64::INFINITY, f64::min);
        let more = order
            .iter()
            .map(|&place| (Origin::Schema(place as u16), carried[place].clone()));
        let seeded: Vec<_> = seeds.iter().cloned().chain(more).collect();
        let found = score(&search(picture, &seeded));
        rules.push([totals[order[0]], best, found].map(|total| total / reference));
    }
    Query {
        greedy: greedy / reference,
        seeded: score(&search(picture, &seeds)) / reference,
        rules,
    }
}

fn search(picture: &Picture, seeds: &[(Origin, Placement)]) -> Placement {
    let budget = Budget {
        evaluations: SEEDED,
    };
    let stop = AtomicBool::new(false);
    plan(picture, seeds, &budget, &Objective::default(), &stop).full
}

fn print(queries: &[Query], schemas: usize) {
    outln!("\n## Does persistent homology choose a good schema?\n");
    outln!(
        "A model of 80 layers, {schemas} schemas of 24 to 40 nodes of four topologies, {} queries of 24 to 40 nodes, some of a fifth \
         topology that no schema is of. G over that of a plan with {REFERENCE} evaluations; schemas are carried over and \
         repaired, a search has {SEEDED} evaluations.\n",
        queries.len()
    );
    outln!(
        "| chosen by | nearest | best of {CHOSEN} | a search that they seed |\n|---|---|---|---|"
    );
    outln!(
        "| no library: the simple rules | {:.3} | – | {:.3} |",
        geometric_mean(queries.iter().map(|q| q.greedy)),
        geometric_mean(queries.iter().map(|q| q.seeded)),
    );
    for (rule, name) in RULES.iter().enumerate() {
        let mean = |column: usize| {
            let values = queries.iter().map(|q| q.rules[rule][column]);
            geometric_mean(values.filter(|v| v.is_finite()))
        };
        outln!(
            "| {name} | {:.3} | {:.3} | {:.3} |",
            mean(0),
            mean(1),
            mean(2)
        );
    }
    let paired = |a: &dyn Fn(&Query) -> f64, b: &dyn Fn(&Query) -> f64| {
        let gaps: Vec<_> = queries.iter().map(|q| (a(q) / b(q)).ln()).collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let spread = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (count - 1.0);
        format!("{mean:+.4} ± {:.4}", (spread / count).sqrt())
    };
    outln!(
        "\nPaired over the queries, ln of a search's G (mean ± standard error): with schemas chosen by the format, less\n\
         without a library {}, less with quantiles of RTT and capacity {}, less by chance {}.",
        paired(&|q| q.rules[0][2], &|q| q.seeded),
        paired(&|q| q.rules[0][2], &|q| q.rules[4][2]),
        paired(&|q| q.rules[0][2], &|q| q.rules[5][2]),
    );
}
