// SPDX-License-Identifier: Apache-2.0
//! Placements by simple rules: those of Petals, Parallax and exo, and by chance.
//!
//! The rules follow the papers and repositories, not their binaries: Petals (arXiv 2312.08361,
//! section 3.2), Parallax (arXiv 2509.26182, phase 1 and its water-filling), exo (rings of nodes,
//! layers in proportion to memory).

use std::{collections::HashMap, fmt};

use rand::{seq::SliceRandom, Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    choose,
    cost::Costs,
    library::{Library, NEAREST},
    picture::Picture,
    placement::Placement,
    relocate, Server, Span, MOVE_BELOW,
};

/// The origin of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The present placement.
    Present,
    /// Petals' rule for joining, in an order of arrival.
    Petals(u8),
    /// Parallax' allocation.
    Parallax,
    /// exo's rings.
    Exo,
    /// A schema of a library.
    Schema(u16),
    /// Climbing.
    Climbing,
    /// Annealing.
    Annealing,
    /// A genetic algorithm.
    Brkga,
    /// The enumeration of all placements.
    Enumeration,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => write!(f, "present"),
            Self::Petals(order) => write!(f, "petals {order}"),
            Self::Parallax => write!(f, "parallax"),
            Self::Exo => write!(f, "exo"),
            Self::Schema(place) => write!(f, "schema {place}"),
            Self::Climbing => write!(f, "climbing"),
            Self::Annealing => write!(f, "annealing"),
            Self::Brkga => write!(f, "brkga"),
            Self::Enumeration => write!(f, "enumeration"),
        }
    }
}

/// Orders of arrival in which Petals' rule is tried.
pub const ORDERS: u8 = 3;

/// States of Parallax' dynamic program for a candidate.
const CANDIDATE_STATES: usize = 20_000;
/// States of Parallax' dynamic program for a comparison.
pub const COMPARED_STATES: usize = 400_000;

/// The placements of simple rules, the present one if there is one, and those of the nearest
/// schemas of a library.
pub fn candidates(
    picture: &Picture,
    library: Option<&Library>,
    present: Option<&Placement>,
) -> Vec<(Origin, Placement)> {
    let costs = Costs::new(picture);
    let present = present.map(|p| (Origin::Present, p.allowed(picture)));
    let joined = (0..ORDERS).map(|k| (Origin::Petals(k), petals(picture, &costs, k, false)));
    let schemas = library.into_iter().flat_map(|library| {
        let near = library.nearest(picture, NEAREST).into_iter();
        near.filter_map(|place| {
            let placement = library.transfer(place, picture)?;
            Some((Origin::Schema(place as u16), placement))
        })
    });
    present
        .into_iter()
        .chain(joined)
        .chain([
            (
                Origin::Parallax,
                parallax(picture, &costs, CANDIDATE_STATES),
            ),
            (Origin::Exo, exo(picture)),
        ])
        .chain(schemas)
        .collect()
}

/// Petals' rule: nodes join in an order of arrival that `seed` draws. With `rebalanced` they then
/// move by [`relocate`], four times each or until none does.
pub fn petals(picture: &Picture, costs: &Costs, seed: u8, rebalanced: bool) -> Placement {
    let layers = usize::from(picture.model().layers);
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    let mut order: Vec<_> = (0..picture.nodes().len()).collect();
    order.shuffle(&mut rng);
    let server = |node: usize, span| Server {
        span,
        rate: costs.rate(node, picture.nodes()[node].capacity),
    };
    let mut joined: Vec<Server> = vec![];
    for &node in &order {
        let length = usize::from(picture.nodes()[node].capacity);
        let span = choose(layers, length, &joined).unwrap_or_default();
        joined.push(server(node, span));
    }
    for _ in 0..if rebalanced { 4 } else { 0 } {
        let mut turns: Vec<_> = (0..order.len()).collect();
        turns.shuffle(&mut rng);
        let mut moved = false;
        for turn in turns {
            let own = joined.remove(turn);
            let place = relocate(layers, &own, &joined, MOVE_BELOW);
            moved |= place.is_some();
            let span = place.unwrap_or(own.span);
            joined.insert(turn, Server { span, ..own });
        }
        if !moved {
            break;
        }
    }
    let mut spans = vec![Span::default(); order.len()];
    for (&node, server) in order.iter().zip(&joined) {
        spans[node] = Span::of(server.span.start as u16, server.span.len() as u16);
    }
    Placement(spans)
}

/// Every node with its full memory at a random place: the first of 200 draws that leaves no layer
/// without a holder, else the last.
pub fn random(picture: &Picture, seed: u64) -> Placement {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let layers = picture.model().layers;
    let mut draw = || {
        let nodes = picture.nodes().iter();
        let starts: Vec<_> = nodes
            .map(|node| rng.random_range(0..=layers - node.capacity))
            .collect();
        Placement::full(picture, &starts)
    };
    let mut placement = draw();
    for _ in 0..199 {
        if placement.holders(layers).iter().all(|&held| held > 0) {
            break;
        }
        placement = draw();
    }
    placement
}

/// Nodes by memory, most first.
fn by_memory(picture: &Picture) -> Vec<usize> {
    let mut order: Vec<_> = (0..picture.nodes().len()).collect();
    order.sort_by_key(|&node| std::cmp::Reverse(picture.nodes()[node].capacity));
    order.retain(|&node| picture.nodes()[node].capacity > 0);
    order
}

/// exo's rule: rings of the fewest nodes with memory for the model, layers in proportion to memory.
/// The nodes that are left over hold nothing.
pub fn exo(picture: &Picture) -> Placement {
    let layers = picture.model().layers;
    let capacity = |node: &usize| picture.nodes()[*node].capacity;
    let mut spans = vec![Span::default(); picture.nodes().len()];
    let order = by_memory(picture);
    let mut left = &order[..];
    loop {
        let mut held = 0;
        let count = left.iter().position(|node| {
            held += u32::from(capacity(node));
            held >= u32::from(layers)
        });
        let Some(count) = count else {
            return Placement(spans);
        };
        let (ring, rest) = left.split_at(count + 1);
        let memory: Vec<_> = ring.iter().map(|n| f64::from(capacity(n))).collect();
        lay(picture, &mut spans, ring, &memory);
        left = rest;
    }
}

/// Lays the layers over a ring of nodes, in proportion to `weights`.
fn lay(picture: &Picture, spans: &mut [Span], ring: &[usize], weights: &[f64]) {
    let capacities: Vec<_> = ring.iter().map(|&n| picture.nodes()[n].capacity).collect();
    let mut start = 0;
    for (&node, length) in ring
        .iter()
        .zip(split(picture.model().layers, weights, &capacities))
    {
        spans[node] = Span::of(start, length);
        start += length;
    }
}

/// Shares `total` in proportion to weights, each at least one and at most its capacity, by largest
/// remainder. The capacities together are at least the total.
fn split(total: u16, weights: &[f64], capacities: &[u16]) -> Vec<u16> {
    let sum: f64 = weights.iter().sum();
    let wanted: Vec<_> = weights.iter().map(|w| w / sum * f64::from(total)).collect();
    let mut shares: Vec<_> = wanted
        .iter()
        .zip(capacities)
        .map(|(wanted, &most)| (wanted.floor() as u16).min(most).max(1))
        .collect();
    let missing = |shares: &[u16]| {
        let given: u32 = shares.iter().map(|&share| u32::from(share)).sum();
        i64::from(total) - i64::from(given)
    };
    loop {
        let by = missing(&shares);
        // The first of equal remainders counts.
        let most = |may: &dyn Fn(usize) -> bool, sign: f64| {
            let gap = |i: usize| sign * (wanted[i] - f64::from(shares[i]));
            let places = (0..shares.len()).filter(|&i| may(i));
            places.reduce(|best, i| if gap(i) > gap(best) { i } else { best })
        };
        let change = match by {
            0 => return shares,
            1.. => most(&|i| shares[i] < capacities[i], 1.0).map(|i| (i, shares[i] + 1)),
            _ => most(&|i| shares[i] > 1, -1.0).map(|i| (i, shares[i] - 1)),
        };
        match change {
            Some((place, share)) => shares[place] = share,
            None => return shares,
        }
    }
}

/// Parallax' rule: pipelines by dynamic program up to 24 nodes (by a greedy rule beyond, or if the
/// program takes more than `states`), layers by water-filling over speed, the rest of the nodes to
/// the lightest layer.
pub fn parallax(picture: &Picture, costs: &Costs, states: usize) -> Placement {
    let layers = picture.model().layers;
    let order = by_memory(picture);
    let mut spans = vec![Span::default(); picture.nodes().len()];
    let pipelines = if order.len() <= 24 {
        Pipelines::new(picture, &order, states).best()
    } else {
        None
    };
    let pipelines = pipelines.unwrap_or_else(|| closing_pipelines(picture, &order));
    let mut used = vec![false; spans.len()];
    for pipeline in &pipelines {
        let water = water_level(picture, costs, pipeline);
        lay(picture, &mut spans, pipeline, &water);
        pipeline.iter().for_each(|&node| used[node] = true);
    }
    // By speed alone: Parallax knows no links here.
    let speed = |node: usize, length: u16| 1.0 / (costs.layer(node) * f64::from(length));
    let mut load = vec![0.0; usize::from(layers)];
    let add = |load: &mut [f64], node: usize, span: Span| {
        for layer in &mut load[span.start.into()..span.end.into()] {
            *layer += speed(node, span.len());
        }
    };
    for (node, span) in spans.iter().enumerate().filter(|(node, _)| used[*node]) {
        add(&mut load, node, *span);
    }
    for &node in order.iter().filter(|&&node| !used[node]) {
        let lightest = (0..load.len()).reduce(|a, b| if load[b] < load[a] { b } else { a });
        let capacity = picture.nodes()[node].capacity;
        let start = (lightest.unwrap_or(0) as u16).min(layers - capacity);
        spans[node] = Span::of(start, capacity);
        add(&mut load, node, spans[node]);
    }
    Placement(spans)
}

/// Layers of each node of a pipeline if all were equally long at work, up to its memory.
fn water_level(picture: &Picture, costs: &Costs, pipeline: &[usize]) -> Vec<f64> {
    let layers = f64::from(picture.model().layers);
    let slowest = pipeline.iter().map(|&n| costs.layer(n)).fold(0.0, f64::max);
    let share = |level: f64, node: usize| {
        let memory = f64::from(picture.nodes()[node].capacity);
        memory.min(level / costs.layer(node)).max(1e-9)
    };
    let (mut low, mut high) = (0.0, layers * slowest);
    for _ in 0..60 {
        let level = (low + high) / 2.0;
        if pipeline.iter().map(|&n| share(level, n)).sum::<f64>() >= layers {
            high = level;
        } else {
            low = level;
        }
    }
    pipeline.iter().map(|&node| share(high, node)).collect()
}

/// Parallax' greedy rule: the largest node left, until the smallest that closes the pipeline.
fn closing_pipelines(picture: &Picture, order: &[usize]) -> Vec<Vec<usize>> {
    let layers = u32::from(picture.model().layers);
    let capacity = |node: usize| u32::from(picture.nodes()[node].capacity);
    let mut left = order.to_vec();
    let mut pipelines = vec![];
    while left.iter().map(|&n| capacity(n)).sum::<u32>() >= layers {
        let mut pipeline = vec![];
        let mut held = 0;
        while held < layers {
            let closes = |place: &usize| capacity(left[*place]) >= layers - held;
            let place = (0..left.len())
                .filter(closes)
                .reduce(|a, b| {
                    if capacity(left[b]) < capacity(left[a]) {
                        b
                    } else {
                        a
                    }
                })
                .unwrap_or(0);
            let node = left.remove(place);
            held += capacity(node);
            pipeline.push(node);
        }
        pipelines.push(pipeline);
    }
    pipelines
}

/// Parallax' dynamic program over nodes by memory: k pipelines of the fewest nodes, for each k.
struct Pipelines<'a> {
    order: &'a [usize],
    capacities: Vec<u16>,
    /// Memory of all nodes from a place on.
    suffix: Vec<u32>,
    layers: u16,
    left: usize,
    known: HashMap<State, (u32, Step)>,
}

/// The next node, the needs of the open pipelines (ascending), and the number of closed ones.
type State = (usize, Vec<u16>, usize);

#[derive(Clone, Copy)]
enum Step {
    None,
    Skip,
    /// The node joins the open pipeline with this need.
    Join(u16),
    Start,
}

const IMPOSSIBLE: u32 = 1 << 20;

impl<'a> Pipelines<'a> {
    fn new(picture: &Picture, order: &'a [usize], states: usize) -> Self {
        let capacities: Vec<_> = order.iter().map(|&n| picture.nodes()[n].capacity).collect();
        let mut suffix = vec![0; order.len() + 1];
        for place in (0..order.len()).rev() {
            suffix[place] = suffix[place + 1] + u32::from(capacities[place]);
        }
        Self {
            order,
            capacities,
            suffix,
            layers: picture.model().layers,
            left: states,
            known: HashMap::new(),
        }
    }

    /// The pipelines of the best k: the largest k² / nodes.
    fn best(mut self) -> Option<Vec<Vec<usize>>> {
        let mut best: Option<(f64, Vec<Vec<usize>>)> = None;
        let most = (self.suffix[0] / u32::from(self.layers)) as usize;
        for count in 1..=most.min(self.order.len()) {
            self.known.clear();
            let nodes = self.fewest((0, vec![], 0), count);
            if nodes < IMPOSSIBLE {
                let value = (count * count) as f64 / f64::from(nodes);
                if best.as_ref().is_none_or(|(least, _)| value > *least) {
                    best = self.trace(count).map(|pipelines| (value, pipelines));
                }
            }
            if self.left == 0 {
                break;
            }
        }
        best.map(|(_, pipelines)| pipelines)
    }

    /// The fewest nodes that close `count` pipelines from a state on.
    fn fewest(&mut self, state: State, count: usize) -> u32 {
        let (place, ref open, closed) = state;
        if closed == count && open.is_empty() {
            return 0;
        }
        if place == self.order.len() {
            return IMPOSSIBLE;
        }
        if let Some((nodes, _)) = self.known.get(&state) {
            return *nodes;
        }
        if self.left == 0 {
            return IMPOSSIBLE;
        }
        self.left -= 1;
        let to_start = count.saturating_sub(closed + open.len());
        let need = open.iter().map(|&n| u32::from(n)).sum::<u32>()
            + to_start as u32 * u32::from(self.layers);
        let hopeless = closed + open.len() > count
            || self.suffix[place] < need
            || closed + open.len() + (self.order.len() - place) < count;
        let mut best = (IMPOSSIBLE, Step::None);
        if !hopeless {
            let mut take = |nodes: u32, step: Step| {
                if nodes < best.0 {
                    best = (nodes, step);
                }
            };
            take(
                self.fewest((place + 1, open.clone(), closed), count),
                Step::Skip,
            );
            for (which, &need) in open.iter().enumerate() {
                if which > 0 && open[which - 1] == need {
                    continue;
                }
                let next = self.joined(&state, need);
                take(1 + self.fewest(next, count), Step::Join(need));
            }
            if to_start > 0 {
                let next = self.started(&state);
                take(1 + self.fewest(next, count), Step::Start);
            }
        }
        self.known.insert(state, best);
        best.0
    }

    fn joined(&self, (place, open, closed): &State, need: u16) -> State {
        let mut open = open.clone();
        if let Some(which) = open.iter().position(|&n| n == need) {
            open.remove(which);
        }
        self.with(*place, open, *closed, need)
    }

    fn started(&self, (place, open, closed): &State) -> State {
        self.with(*place, open.clone(), *closed, self.layers)
    }

    /// The state after the node at `place` took its part of `need`.
    fn with(&self, place: usize, mut open: Vec<u16>, closed: usize, need: u16) -> State {
        let rest = need.saturating_sub(self.capacities[place]);
        if rest == 0 {
            return (place + 1, open, closed + 1);
        }
        let at = open.partition_point(|&n| n <= rest);
        open.insert(at, rest);
        (place + 1, open, closed)
    }

    /// The pipelines along the best steps of the known states.
    fn trace(&self, count: usize) -> Option<Vec<Vec<usize>>> {
        let mut state: State = (0, vec![], 0);
        let mut open: Vec<(u16, Vec<usize>)> = vec![];
        let mut pipelines = vec![];
        while !(state.2 == count && state.1.is_empty()) {
            let place = state.0;
            let (_, step) = self.known.get(&state)?;
            let (need, mut members, next) = match *step {
                Step::None => return None,
                Step::Skip => {
                    state.0 += 1;
                    continue;
                },
                Step::Join(need) => {
                    let which = open.iter().position(|(n, _)| *n == need)?;
                    (need, open.remove(which).1, self.joined(&state, need))
                },
                Step::Start => (self.layers, vec![], self.started(&state)),
            };
            members.push(self.order[place]);
            match need.saturating_sub(self.capacities[place]) {
                0 => pipelines.push(members),
                rest => open.push((rest, members)),
            }
            state = next;
        }
        Some(pipelines)
    }
}
