// SPDX-License-Identifier: Apache-2.0
//! The one cost of placement and routing. It counts the time of a token through a pipeline, the
//! rate of a swarm through its weakest layer, and the risk that a layer has no holder.
//!
//! ```text
//! hop(i, j) = RTT / 2 + row / min(up of i, down of j) + σ     (the last one, to the client, without σ)
//! T(c)      = least over pipelines of the hops and of layers × seconds a layer; T its mean over clients
//! r(i)      = min(batch gain / (seconds a layer × layers held), up / row)
//! θ         = least over layers of the sum of r over holders
//! U         = sum over layers of the chance that all holders are away
//! G         = T^(1−ω) × θ^(−ω) × (1 + U), in seconds; smaller is better
//! ```
//!
//! T is a shortest path over the borders between layers. [`Switch::Anywhere`] lets a pipeline
//! change nodes at every border. [`Switch::AtEnds`] enters a node only at its own start or at the
//! end of the one before. That is an upper bound, equal if round-trip times obey the triangle
//! inequality, and much cheaper. All arithmetic is of correctly rounded operations (sums, products,
//! square roots), so that scores are the same on every machine.

use std::{cmp::Ordering, ops::Range};

use crate::{
    picture::Picture,
    placement::{Placement, Span},
};

/// Scores closer than this share are equal.
pub const EQUAL: f64 = 1e-9;

/// Clients that are evaluated at once.
const LANES: usize = 8;

const NEVER: f64 = 1e18;

/// Added to the score of a placement for each layer without a holder: worse than any complete one.
const UNCOVERED: f64 = 1e12;

/// Seconds of a picture's hops and layers.
#[derive(Clone, Debug)]
pub struct Costs {
    layers: u16,
    /// Seconds from node to node, with σ of the receiver, row after row.
    hop: Vec<f64>,
    overhead: f64,
    /// Seconds a layer.
    layer: Vec<f64>,
    batch: Vec<f64>,
    /// Rows a second that the link up takes.
    link: Vec<f64>,
    /// Chance to be away.
    away: Vec<f64>,
}

impl Costs {
    /// The costs of a picture.
    pub fn new(picture: &Picture) -> Self {
        let nodes = picture.nodes();
        let overhead = f64::from(picture.model().hop_ns) * 1e-9;
        let row_bits = f64::from(picture.model().row_bytes) * 8.0;
        let n = nodes.len();
        let mut hop = vec![overhead; n * n];
        for (i, from) in nodes.iter().enumerate() {
            for (j, to) in nodes.iter().enumerate().filter(|(j, _)| *j != i) {
                let rate = f64::from(from.up_kbps.min(to.down_kbps)) * 1e3;
                let half = f64::from(picture.rtt(i, j)) * 1e-4 / 2.0;
                hop[i * n + j] = half + row_bits / rate + overhead;
            }
        }
        let of = |f: fn(&crate::picture::Node) -> f64| nodes.iter().map(f).collect::<Vec<_>>();
        let mut link = of(|node| f64::from(node.up_kbps) * 1e3);
        link.iter_mut().for_each(|bits| *bits /= row_bits.max(1.0));
        Self {
            layers: picture.model().layers,
            hop,
            overhead,
            layer: of(|node| node.layer_ns as f64 * 1e-9),
            batch: of(|node| f64::from(node.batch_milli) * 1e-3),
            link,
            away: of(|node| 1.0 - f64::from(node.availability_ppm) * 1e-6),
        }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.layer.len()
    }

    /// The number of layers of the model.
    pub fn layers(&self) -> u16 {
        self.layers
    }

    /// Seconds for a row from one node to another, with the receiver's overhead; no time from a
    /// node to itself.
    pub fn hop(&self, from: usize, to: usize) -> f64 {
        self.hop[from * self.nodes() + to]
    }

    /// Seconds for a row from the last node of a pipeline back to the client.
    pub fn back(&self, from: usize, client: usize) -> f64 {
        self.hop(from, client) - self.overhead
    }

    /// Seconds that a node takes for one layer.
    pub fn layer(&self, node: usize) -> f64 {
        self.layer[node]
    }

    /// Rows a second that a node takes through a span of `length` layers.
    pub fn rate(&self, node: usize, length: u16) -> f64 {
        if length == 0 {
            return 0.0;
        }
        (self.batch[node] / (self.layer[node] * f64::from(length))).min(self.link[node])
    }

    /// The fastest pipeline of a client through a placement, which may change nodes at every
    /// border.
    pub fn fastest(&self, placement: &Placement, client: usize) -> Option<Way> {
        let held = |node: usize| match placement.0.get(node) {
            Some(span) => span.start.into()..span.end.into(),
            None => 0..0,
        };
        cheapest(
            self.nodes(),
            0..self.layers.into(),
            held,
            |from, to| self.hop(from.unwrap_or(client), to),
            |node| self.layer(node),
            |node| self.back(node, client),
        )
    }

    /// Seconds of a token through a client's pipeline; `stages` are nodes with the number of layers
    /// that each computes.
    pub fn pipeline(&self, client: usize, stages: &[(usize, u16)]) -> f64 {
        let mut at = client;
        let mut time = 0.0;
        for &(node, layers) in stages {
            time += self.hop(at, node) + f64::from(layers) * self.layer(node);
            at = node;
        }
        time + self.back(at, client)
    }
}

/// The borders at which a pipeline may change nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// At the end of a node's span or at the start of the next one's.
    AtEnds,
    /// At every border between layers.
    Anywhere,
}

/// The objective of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective {
    /// ω in eighths: 0 counts latency alone, 8 throughput alone.
    pub throughput_eighths: u8,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            throughput_eighths: 4,
        }
    }
}

impl Objective {
    /// G of a token's time, the weakest layer's rate and the risk.
    fn total(&self, token: f64, rate: f64, risk: f64) -> f64 {
        let weight = self.throughput_eighths.min(8);
        eighths(token, 8 - weight) / eighths(rate, weight) * (1.0 + risk)
    }
}

/// `value` to the power of `eighths` / 8, by square roots alone.
fn eighths(value: f64, eighths: u8) -> f64 {
    let half = value.sqrt();
    let quarter = half.sqrt();
    [(8, value), (4, half), (2, quarter), (1, quarter.sqrt())]
        .into_iter()
        .filter(|(bit, _)| eighths & bit != 0)
        .fold(1.0, |product, (_, power)| product * power)
}

/// The quality of a placement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean seconds of a token over clients; huge if a layer has no holder.
    pub token: f64,
    /// Tokens a second through the weakest layer.
    pub rate: f64,
    /// Layers that are expected to lose all holders within the next hour.
    pub risk: f64,
    /// Layers without a holder.
    pub uncovered: u16,
    /// G in seconds; smaller is better. Beyond 10¹² if a layer has no holder.
    pub total: f64,
}

impl Score {
    /// Orders scores by quality; scores that differ by less than [`EQUAL`] are equal.
    pub fn compare(&self, other: &Self) -> Ordering {
        if (self.total - other.total).abs() <= EQUAL * self.total.min(other.total) {
            Ordering::Equal
        } else {
            self.total.total_cmp(&other.total)
        }
    }
}

/// A layer with less than this times the weakest layer's rate also counts as weak.
const NEARLY_WEAKEST: f64 = 1.02;

/// The price that a search pays for a placement without weak layers over one whose layers are all
/// weak.
const FEWER_WEAK: f64 = 1e-3;

/// Factor on a group's least time so far: no group of clients is expected to be faster than that.
const LITTLE_FASTER: f64 = 0.97;

/// Clients that stand for all nodes: all if there are at most `most`, else `most` of them in even
/// steps.
pub fn clients(nodes: usize, most: usize) -> Vec<usize> {
    if nodes <= most {
        return (0..nodes).collect();
    }
    (0..most).map(|k| k * nodes / most).collect()
}

/// Clients whose pipelines are computed together.
struct Group {
    weight: [f64; LANES],
    /// The least sum of their times in any placement so far; 0 before the first.
    least: f64,
    /// Seconds from the clients to each node.
    enter: Vec<[f64; LANES]>,
    /// Seconds from each node to the clients.
    leave: Vec<[f64; LANES]>,
}

/// One border at which pipelines may change nodes; ranges are of the list of nodes.
struct Border {
    at: f64,
    /// Nodes that hold the layers on both sides.
    going_on: Range<usize>,
    /// Nodes that hold the layer before and end here.
    ending: Range<usize>,
    /// Nodes that start here.
    starting: Range<usize>,
    /// Nodes from which those that go on may be entered.
    sources: Range<usize>,
}

/// Scores placements. Keeps its memory between calls.
pub struct Evaluator<'a> {
    costs: &'a Costs,
    objective: Objective,
    clients: Vec<usize>,
    groups: Vec<Group>,
    rates: Vec<f64>,
    risks: Vec<f64>,
    best: Vec<[f64; LANES]>,
    entered: Vec<[f64; LANES]>,
    by_start: Buckets,
    by_end: Buckets,
    active: Vec<u32>,
    lists: Vec<u32>,
    borders: Vec<Border>,
    /// Groups whose pipelines were computed.
    work: u64,
}

impl<'a> Evaluator<'a> {
    /// An evaluator for the token time of these clients.
    pub fn new(costs: &'a Costs, objective: Objective, clients: Vec<usize>) -> Self {
        let groups = clients
            .chunks(LANES)
            .map(|c| Group::new(costs, c))
            .collect();
        let layers = usize::from(costs.layers);
        Self {
            costs,
            objective,
            groups,
            clients,
            rates: vec![0.0; layers],
            risks: vec![0.0; layers],
            best: vec![],
            entered: vec![],
            by_start: Buckets::default(),
            by_end: Buckets::default(),
            active: vec![],
            lists: vec![],
            borders: vec![],
            work: 0,
        }
    }

    /// The number of placements whose pipelines were computed. One that was given up after some
    /// groups of clients counts in part.
    pub fn evaluations(&self) -> u64 {
        self.work.div_ceil(self.groups.len().max(1) as u64)
    }

    /// The clients.
    pub fn clients(&self) -> &[usize] {
        &self.clients
    }

    /// Scores a placement. The caller must cut spans beyond the model or the costs' nodes with
    /// [`Placement::allowed`].
    pub fn score(&mut self, placement: &Placement, switch: Switch) -> Score {
        let (rate, risk, uncovered) = self.weakest(&placement.0);
        if uncovered > 0 {
            return Score {
                token: NEVER,
                rate,
                risk,
                uncovered,
                total: UNCOVERED * f64::from(uncovered) + risk,
            };
        }
        let token = self.token(&placement.0, switch);
        Score {
            token,
            rate,
            risk,
            uncovered,
            total: self.objective.total(token, rate, risk),
        }
    }

    /// The total of a placement as a search sees it, or `None` if it is beyond `limit`.
    ///
    /// Groups of clients are computed one after the other. The rest is left out once it would have
    /// to be much faster than in any placement so far. Of placements that are otherwise equally
    /// good, one with fewer weak layers is a little better, since θ alone does not tell how far the
    /// next gain is.
    pub(crate) fn total_within(&mut self, spans: &[Span], limit: f64) -> Option<f64> {
        let (rate, risk, uncovered) = self.weakest(spans);
        if uncovered > 0 {
            let total = UNCOVERED * f64::from(uncovered) + risk;
            return (total <= limit).then_some(total);
        }
        let near = self.rates.iter().filter(|r| **r < rate * NEARLY_WEAKEST);
        let weak = 1.0 + FEWER_WEAK * near.count() as f64 / self.rates.len() as f64;
        let count = self.clients.len() as f64;
        let objective = self.objective;
        let total = |sum: f64| objective.total(sum / count, rate, risk) * weak;
        let mut missing = self.groups.iter().map(|g| g.least).sum::<f64>() * LITTLE_FASTER;
        if total(missing) > limit {
            return None;
        }
        self.borders(spans, Switch::AtEnds);
        let mut sum = 0.0;
        for group in 0..self.groups.len() {
            let time = self.group_sum(group);
            let known = &mut self.groups[group].least;
            missing -= *known * LITTLE_FASTER;
            if *known == 0.0 || time < *known {
                *known = time;
            }
            sum += time;
            if total(sum + missing) > limit {
                return None;
            }
        }
        Some(total(sum))
    }

    /// Seconds of a token for each client.
    pub fn token_times(&mut self, placement: &Placement, switch: Switch) -> Vec<f64> {
        self.borders(&placement.0, switch);
        let mut times = vec![];
        for group in 0..self.groups.len() {
            times.extend(self.group_times(group));
        }
        times.truncate(self.clients.len());
        times
    }

    /// θ, U and the number of layers without a holder.
    fn weakest(&mut self, spans: &[Span]) -> (f64, f64, u16) {
        self.rates.fill(0.0);
        self.risks.fill(1.0);
        for (node, span) in spans.iter().enumerate() {
            let rate = self.costs.rate(node, span.len());
            let away = self.costs.away[node];
            let held = usize::from(span.start)..usize::from(span.end);
            for total in &mut self.rates[held.clone()] {
                *total += rate;
            }
            for risk in &mut self.risks[held] {
                *risk *= away;
            }
        }
        let mut least = f64::MAX;
        let mut uncovered = 0;
        for &rate in &self.rates {
            least = least.min(rate);
            uncovered += u16::from(rate <= 0.0);
        }
        (least, self.risks.iter().sum(), uncovered)
    }

    /// T: the mean seconds of a token.
    fn token(&mut self, spans: &[Span], switch: Switch) -> f64 {
        self.borders(spans, switch);
        let sum: f64 = (0..self.groups.len()).map(|g| self.group_sum(g)).sum();
        sum / self.clients.len().max(1) as f64
    }

    /// Seconds of a token for all clients of a group together.
    fn group_sum(&mut self, group: usize) -> f64 {
        let times = self.group_times(group);
        let weights = &self.groups[group].weight;
        times.iter().zip(weights).map(|(t, w)| t * w).sum()
    }

    /// Lists the borders at which pipelines may change nodes, for all clients alike.
    fn borders(&mut self, spans: &[Span], switch: Switch) {
        let layers = self.costs.layers;
        let held = |span: &Span| !span.is_empty();
        self.by_start
            .fill(layers, spans, |s| held(s).then_some(s.start));
        self.by_end
            .fill(layers, spans, |s| held(s).then_some(s.end));
        self.borders.clear();
        self.lists.clear();
        self.active.clear();
        self.active.extend_from_slice(self.by_start.at(0));
        for border in 1..layers {
            let starting = self.by_start.at(border);
            let ends = !self.by_end.at(border).is_empty();
            if starting.is_empty() && !ends && switch == Switch::AtEnds {
                continue;
            }
            let first = self.lists.len();
            let goes_on = |node: &&u32| spans[**node as usize].end > border;
            self.lists.extend(self.active.iter().filter(goes_on));
            let ending = self.lists.len();
            let ends_here = self.active.iter().filter(|node| !goes_on(node));
            self.lists.extend(ends_here);
            let start = self.lists.len();
            self.lists.extend_from_slice(starting);
            let end = self.lists.len();
            self.active.clear();
            self.active.extend_from_slice(&self.lists[first..ending]);
            self.active.extend_from_slice(&self.lists[start..end]);
            self.borders.push(Border {
                at: f64::from(border),
                going_on: first..ending,
                ending: ending..start,
                starting: start..end,
                sources: match switch {
                    Switch::AtEnds => ending..start,
                    Switch::Anywhere => first..start,
                },
            });
        }
    }

    /// Seconds of a token for each client of a group.
    fn group_times(&mut self, group: usize) -> [f64; LANES] {
        self.work += 1;
        let Self {
            costs,
            groups,
            best,
            entered,
            by_start,
            active,
            lists,
            borders,
            ..
        } = self;
        let group = &groups[group];
        let n = costs.nodes();
        best.clear();
        best.resize(n, [NEVER; LANES]);
        for &node in by_start.at(0) {
            best[node as usize] = group.enter[node as usize];
        }
        for border in borders.iter() {
            let before = &lists[border.going_on.start..border.ending.end];
            let sources = &lists[border.sources.clone()];
            let going_on = match sources {
                [] => &[],
                _ => &lists[border.going_on.clone()],
            };
            let starting = &lists[border.starting.clone()];
            // All entries of a border are computed before any is applied.
            entered.clear();
            entered.extend(
                starting
                    .iter()
                    .map(|n| enter(costs, best, before, *n, border.at)),
            );
            entered.extend(
                going_on
                    .iter()
                    .map(|n| enter(costs, best, sources, *n, border.at)),
            );
            for (&node, times) in starting.iter().chain(going_on).zip(entered.iter()) {
                for (best, time) in best[node as usize].iter_mut().zip(times) {
                    *best = lesser(*time, *best);
                }
            }
        }
        let mut least = [NEVER; LANES];
        let layers = f64::from(costs.layers);
        for &node in active.iter() {
            let node = node as usize;
            let work = layers * costs.layer[node];
            for ((least, best), leave) in least.iter_mut().zip(&best[node]).zip(&group.leave[node])
            {
                let time = best + work + leave;
                *least = lesser(time, *least);
            }
        }
        least
    }
}

/// The time at which `node` can be entered at the border `at` from one of `sources`, less its own
/// time for the layers before.
#[inline]
fn enter(
    costs: &Costs,
    best: &[[f64; LANES]],
    sources: &[u32],
    node: u32,
    at: f64,
) -> [f64; LANES] {
    let node = node as usize;
    let own = at * costs.layer[node];
    let mut least = [NEVER; LANES];
    for &from in sources {
        let from = from as usize;
        let step = costs.hop(from, node) + at * costs.layer[from] - own;
        for (least, best) in least.iter_mut().zip(&best[from]) {
            *least = lesser(best + step, *least);
        }
    }
    least
}

/// A pipeline and its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Nodes and the layers that each computes, in order.
    pub stages: Vec<(usize, Range<usize>)>,
    /// The sum of its costs.
    pub cost: f64,
}

/// The cheapest pipeline over `layers` of nodes below `nodes`, which may change nodes at every
/// border; `None` if a layer has no holder.
///
/// `held` are the layers of a node. `hop` is the cost to enter a node, from the client (`None`) or
/// from another node; `layer` the cost of a layer there; `leave` the cost to go back to the client.
/// Costs are finite.
pub fn cheapest(
    nodes: usize,
    layers: Range<usize>,
    held: impl Fn(usize) -> Range<usize>,
    hop: impl Fn(Option<usize>, usize) -> f64,
    layer: impl Fn(usize) -> f64,
    leave: impl Fn(usize) -> f64,
) -> Option<Way> {
    /// The entry into a node, and the place of the entry into the one before.
    struct Entry {
        node: usize,
        border: usize,
        before: Option<usize>,
    }
    let holds: Vec<_> = (0..nodes).map(held).collect();
    let mut entries: Vec<Entry> = vec![];
    // The cheapest way to the present border that ends at each node.
    let mut ways: Vec<Option<(f64, usize)>> = vec![None; nodes];
    for border in layers.clone() {
        let mut entered = vec![];
        for node in (0..nodes).filter(|&node| holds[node].contains(&border)) {
            let sources = ways.iter().enumerate().filter(|(from, _)| *from != node);
            let from_others = sources.filter_map(|(from, way)| {
                way.map(|(cost, entry)| (cost + hop(Some(from), node), Some(entry)))
            });
            let from_client = (border == layers.start).then(|| (hop(None, node), None));
            let least = from_others
                .chain(from_client)
                .min_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((cost, before)) = least {
                if ways[node].is_none_or(|(known, _)| cost < known) {
                    entered.push((node, cost, before));
                }
            }
        }
        for (node, cost, before) in entered {
            ways[node] = Some((cost, entries.len()));
            entries.push(Entry {
                node,
                border,
                before,
            });
        }
        for (node, way) in ways.iter_mut().enumerate() {
            *way = way
                .filter(|_| holds[node].contains(&border))
                .map(|(cost, entry)| (cost + layer(node), entry));
        }
    }
    let ends = ways.iter().enumerate();
    let (cost, last) = ends
        .filter_map(|(node, way)| way.map(|(cost, entry)| (cost + leave(node), entry)))
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let mut stages = vec![];
    let mut end = layers.end;
    let mut next = Some(last);
    while let Some(entry) = next.map(|place| &entries[place]) {
        stages.push((entry.node, entry.border..end));
        end = entry.border;
        next = entry.before;
    }
    stages.reverse();
    Some(Way { stages, cost })
}

/// The lesser of two numbers, none of which is NaN: one instruction for several lanes.
#[inline]
fn lesser(a: f64, b: f64) -> f64 {
    if a < b {
        a
    } else {
        b
    }
}

impl Group {
    fn new(costs: &Costs, clients: &[usize]) -> Self {
        let mut group = Self {
            weight: [0.0; LANES],
            least: 0.0,
            enter: vec![[0.0; LANES]; costs.nodes()],
            leave: vec![[0.0; LANES]; costs.nodes()],
        };
        for (lane, &client) in clients.iter().enumerate() {
            group.weight[lane] = 1.0;
            for node in 0..costs.nodes() {
                group.enter[node][lane] = costs.hop(client, node);
                group.leave[node][lane] = costs.back(node, client);
            }
        }
        group
    }
}

/// Nodes sorted by a border.
#[derive(Default)]
struct Buckets {
    /// The first place of each border's nodes.
    from: Vec<u32>,
    nodes: Vec<u32>,
}

impl Buckets {
    fn fill(&mut self, layers: u16, spans: &[Span], border: impl Fn(&Span) -> Option<u16>) {
        self.from.clear();
        self.from.resize(usize::from(layers) + 2, 0);
        for at in spans.iter().filter_map(&border) {
            self.from[usize::from(at) + 1] += 1;
        }
        let mut sum = 0;
        for from in &mut self.from {
            sum += *from;
            *from = sum;
        }
        self.nodes.clear();
        self.nodes.resize(sum as usize, 0);
        // `from` has the end of each border's nodes; counting down leaves their start.
        for (node, span) in spans.iter().enumerate().rev() {
            if let Some(at) = border(span) {
                let next = &mut self.from[usize::from(at) + 1];
                *next -= 1;
                self.nodes[*next as usize] = node as u32;
            }
        }
        self.from.push(sum);
    }

    /// The nodes of a border, by number.
    fn at(&self, border: u16) -> &[u32] {
        let border = usize::from(border) + 1;
        &self.nodes[self.from[border] as usize..self.from[border + 1] as usize]
    }
}
