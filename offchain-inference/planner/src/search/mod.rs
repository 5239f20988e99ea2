// SPDX-License-Identifier: Apache-2.0
//! The search for a better placement.
//!
//! Solvers are small modules behind one trait, [`Solver`]. Each starts from the placements of
//! simple rules, counts its evaluations and stops at its budget or at the caller's flag. [`plan`]
//! runs several. Its answer is the best of all that they found and all that they started from, by
//! its score with all clients: no input can make it worse than the best of the rules.

mod annealing;
mod brkga;
mod climbing;
mod steps;

pub use annealing::Annealing;
pub use brkga::{Brkga, Decoder};
pub use climbing::Climbing;

use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    cost::{clients, Costs, Evaluator, Objective, Score, Switch},
    exact::{placements, Enumeration},
    greedy::Origin,
    picture::Picture,
    placement::{Placement, Span},
};

/// Clients that a search counts.
const SEARCHED_CLIENTS: usize = 32;

/// Clients that a reported score counts.
pub const REPORTED_CLIENTS: usize = 100;

/// Steps that together cost a budget as much as one evaluation, even if they needed none.
const FREE_STEPS: u64 = 16;

/// Nodes from which on climbing alone finds more than a genetic algorithm with the same budget.
const LARGE: usize = 48;

/// The limit of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Placements whose pipelines may be computed.
    pub evaluations: u64,
}

impl Budget {
    /// 500 evaluations a node, at most 50,000, and fewer in large swarms, where the time of one
    /// grows with the square of the nodes.
    pub fn of(nodes: usize) -> Self {
        let nodes = nodes.max(1) as u64;
        let evaluations = (500 * nodes).min(50_000).min(500_000_000 / (nodes * nodes));
        Self { evaluations }
    }
}

/// The answer of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The best placement.
    pub placement: Placement,
    /// Its score with all clients (at most [`REPORTED_CLIENTS`]).
    pub score: Score,
    /// The solver that found it.
    pub origin: Origin,
    /// The best placement in which every node holds as many layers as its memory takes.
    pub full: Placement,
    /// Its score.
    pub full_score: Score,
    /// The solver that found it.
    pub full_origin: Origin,
    /// Placements whose pipelines were computed.
    pub evaluations: u64,
    /// True if the caller's flag ended the search early. Only an uninterrupted plan is the same on
    /// every machine.
    pub interrupted: bool,
}

/// A placement and its total for the clients of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The spans of the nodes.
    pub spans: Vec<Span>,
    /// The total by [`Evaluator`], in seconds.
    pub total: f64,
}

/// A method of search.
pub trait Solver {
    /// Its name.
    fn origin(&self) -> Origin;

    /// Searches from `seeds`, at least one, until the search's budget is used.
    fn solve(&self, search: &mut Search, seeds: &[Placement], rng: &mut ChaCha8Rng) -> Found;
}

/// The state that solvers work with.
pub struct Search<'a> {
    picture: &'a Picture,
    evaluator: Evaluator<'a>,
    stop: &'a AtomicBool,
    /// Evaluations at which the present solver ends.
    until: u64,
    /// Placements looked at by the present solver.
    looked_at: u64,
}

impl<'a> Search<'a> {
    /// A search on a picture with its costs.
    pub fn new(
        picture: &'a Picture,
        costs: &'a Costs,
        objective: Objective,
        stop: &'a AtomicBool,
    ) -> Self {
        let clients = clients(costs.nodes(), SEARCHED_CLIENTS);
        Self {
            picture,
            evaluator: Evaluator::new(costs, objective, clients),
            stop,
            until: 0,
            looked_at: 0,
        }
    }

    /// Lets the next solver use this many more evaluations.
    pub fn allow(&mut self, evaluations: u64) {
        self.until = self.evaluator.evaluations() + evaluations;
        self.looked_at = 0;
    }

    /// Evaluations that the present solver has left.
    pub fn left(&self) -> u64 {
        if self.stop.load(Ordering::Relaxed) {
            return 0;
        }
        let free = self.looked_at / FREE_STEPS;
        self.until
            .saturating_sub(self.evaluator.evaluations())
            .saturating_sub(free)
    }

    /// The picture.
    pub fn picture(&self) -> &Picture {
        self.picture
    }

    /// The total of spans; `None` if it is beyond `limit`.
    pub(crate) fn total(&mut self, spans: &[Span], limit: f64) -> Option<f64> {
        self.looked_at += 1;
        self.evaluator.total_within(spans, limit)
    }

    /// Scores a placement without any limit.
    pub(crate) fn found(&mut self, spans: Vec<Span>) -> Found {
        let total = self.total(&spans, f64::INFINITY).unwrap_or(f64::INFINITY);
        Found { spans, total }
    }

    /// The best of placements.
    pub(crate) fn best_of(&mut self, seeds: &[Placement]) -> Found {
        let mut best = Found {
            spans: vec![Span::default(); self.picture.nodes().len()],
            total: f64::INFINITY,
        };
        for seed in seeds {
            let found = self.found(seed.0.clone());
            if found.total < best.total {
                best = found;
            }
        }
        best
    }
}

/// Searches for the best placement within a budget. `seeds` are known placements, such as
/// [`crate::candidates`]; the answer is never worse than the best of them. Setting `stop` ends the
/// search early.
pub fn plan(
    picture: &Picture,
    seeds: &[(Origin, Placement)],
    budget: &Budget,
    objective: &Objective,
    stop: &AtomicBool,
) -> Planned {
    let costs = Costs::new(picture);
    let mut rng = ChaCha8Rng::from_seed(picture.hash());
    let mut search = Search::new(picture, &costs, *objective, stop);
    let mut best = Best::new(picture, &costs, *objective);
    // Spans of full memory, which all searches but the last keep.
    let mut full: Vec<_> = seeds
        .iter()
        .map(|(_, seed)| Placement::full(picture, &seed.starts()))
        .collect();
    if full.is_empty() {
        full.push(Placement::full(picture, &[]));
    }
    for (origin, seed) in seeds {
        best.offer(*origin, seed.allowed(picture));
    }
    for seed in &full {
        best.offer(Origin::Climbing, seed.clone());
    }
    let share = |part: u64| budget.evaluations * part / 100;
    let mut run =
        |solver: &dyn Solver, evaluations, seeds: &mut Vec<Placement>, best: &mut Best| {
            search.allow(evaluations);
            let found = solver.solve(&mut search, seeds, &mut rng);
            let placement = Placement(found.spans);
            best.offer(solver.origin(), placement.clone());
            seeds.insert(0, placement);
            search.evaluator.evaluations()
        };
    let climbed = if picture.nodes().len() < LARGE {
        (40, 40)
    } else {
        (60, 20)
    };
    // Every placement is looked at once, and each look costs a little besides.
    let all = placements(picture)
        .and_then(|all| all.checked_add(all / FREE_STEPS + full.len() as u64 + 1))
        .filter(|all| *all <= share(80));
    if let Some(all) = all {
        run(&Enumeration, all, &mut full, &mut best);
    } else {
        run(&Climbing::default(), share(climbed.0), &mut full, &mut best);
        run(&Brkga::MEMETIC, share(climbed.1), &mut full, &mut best);
    }
    let mut trimmed = vec![best.any.1.clone()];
    let evaluations = run(
        &Climbing { lengths: true },
        share(20),
        &mut trimmed,
        &mut best,
    );
    best.planned(evaluations, stop.load(Ordering::Relaxed))
}

/// The best placements so far, by the clients of a report.
struct Best<'a> {
    picture: &'a Picture,
    evaluator: Evaluator<'a>,
    any: (Origin, Placement, Score),
    full: (Origin, Placement, Score),
}

impl<'a> Best<'a> {
    fn new(picture: &'a Picture, costs: &'a Costs, objective: Objective) -> Self {
        let clients = clients(costs.nodes(), REPORTED_CLIENTS);
        let mut evaluator = Evaluator::new(costs, objective, clients);
        let placement = Placement::full(picture, &[]);
        let score = evaluator.score(&placement, Switch::AtEnds);
        let first = (Origin::Present, placement, score);
        Self {
            picture,
            evaluator,
            any: first.clone(),
            full: first,
        }
    }

    fn offer(&mut self, origin: Origin, placement: Placement) {
        let score = self.evaluator.score(&placement, Switch::AtEnds);
        let better = |best: &(Origin, Placement, Score)| {
            score
                .compare(&best.2)
                .then_with(|| placement.cmp(&best.1))
                .is_lt()
        };
        if placement.is_full(self.picture) && better(&self.full) {
            self.full = (origin, placement.clone(), score);
        }
        if better(&self.any) {
            self.any = (origin, placement, score);
        }
    }

    fn planned(self, evaluations: u64, interrupted: bool) -> Planned {
        Planned {
            placement: self.any.1,
            score: self.any.2,
            origin: self.any.0,
            full: self.full.1,
            full_score: self.full.2,
            full_origin: self.full.0,
            evaluations: evaluations + self.evaluator.evaluations(),
            interrupted,
        }
    }
}
