// SPDX-License-Identifier: Apache-2.0
//! Exact answers for small swarms: every placement, and the best pipeline for one client.

use rand_chacha::ChaCha8Rng;

use crate::{
    cost::Costs,
    greedy::Origin,
    picture::Picture,
    placement::{Placement, Span},
    search::{Found, Search, Solver},
};

/// Nodes up to which the best private pipeline is computed.
pub const MAX_PRIVATE: usize = 16;

/// The number of placements in which every node holds as much as its memory takes; `None` beyond
/// 2⁶⁴.
pub fn placements(picture: &Picture) -> Option<u64> {
    let layers = picture.model().layers;
    let mut nodes = picture.nodes().iter();
    nodes.try_fold(1u64, |product, node| {
        product.checked_mul(u64::from(layers - node.capacity) + 1)
    })
}

/// Tries every placement in which nodes hold as much as their memory takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enumeration;

impl Solver for Enumeration {
    fn origin(&self) -> Origin {
        Origin::Enumeration
    }

    fn solve(&self, search: &mut Search, seeds: &[Placement], _: &mut ChaCha8Rng) -> Found {
        let mut found = search.best_of(seeds);
        let picture = search.picture();
        let layers = picture.model().layers;
        let capacities: Vec<_> = picture.nodes().iter().map(|node| node.capacity).collect();
        let mut spans: Vec<_> = capacities.iter().map(|&c| Span::of(0, c)).collect();
        while search.left() > 0 {
            // No limit: a search with one skips what is unlikely to be better.
            if let Some(total) = search.total(&spans, f64::INFINITY) {
                if total < found.total {
                    found = Found {
                        spans: spans.clone(),
                        total,
                    };
                }
            }
            // The next placement: a counter whose digits are starts.
            let next = (0..spans.len()).find(|&node| spans[node].end < layers);
            let Some(next) = next else { break };
            for node in 0..next {
                spans[node] = Span::of(0, capacities[node]);
            }
            spans[next] = Span::of(spans[next].start + 1, capacities[next]);
        }
        found
    }
}

/// A pipeline, as nodes with the number of layers that each computes, and its seconds of a token.
pub type Private = (Vec<(usize, u16)>, f64);

/// The best pipeline for one client that may place the whole model as it likes, by Held and Karp's
/// program over subsets; the layers of a set go to its fastest nodes first. `None` for more than
/// [`MAX_PRIVATE`] nodes, or if memory does not suffice.
pub fn private_pipeline(picture: &Picture, costs: &Costs, client: usize) -> Option<Private> {
    let n = costs.nodes();
    if n > MAX_PRIVATE {
        return None;
    }
    let mut fastest: Vec<_> = (0..n).collect();
    fastest.sort_by(|&a, &b| costs.layer(a).total_cmp(&costs.layer(b)));
    let sets = 1usize << n;
    // The least network time from the client over all nodes of a set to its last one.
    let mut times = vec![f64::INFINITY; sets * n];
    let mut before = vec![0u8; sets * n];
    let mut best: Option<(f64, usize, usize)> = None;
    for node in 0..n {
        times[(1 << node) * n + node] = costs.hop(client, node);
    }
    for set in 1..sets {
        let work = lengths(picture, &fastest, set).map(|l| {
            l.iter()
                .map(|&(i, l)| f64::from(l) * costs.layer(i))
                .sum::<f64>()
        });
        for last in (0..n).filter(|&last| set >> last & 1 == 1) {
            let time = times[set * n + last];
            if !time.is_finite() {
                continue;
            }
            if let Some(work) = work {
                let whole = time + work + costs.back(last, client);
                if best.is_none_or(|(least, ..)| whole < least) {
                    best = Some((whole, set, last));
                }
            }
            for next in (0..n).filter(|&next| set >> next & 1 == 0) {
                let longer = (set | 1 << next) * n + next;
                let reached = time + costs.hop(last, next);
                if reached < times[longer] {
                    times[longer] = reached;
                    before[longer] = last as u8;
                }
            }
        }
    }
    let (time, mut set, mut last) = best?;
    let held = lengths(picture, &fastest, set)?;
    let mut stages = vec![];
    loop {
        stages.extend(held.iter().find(|(node, _)| *node == last));
        let rest = set & !(1 << last);
        if rest == 0 {
            break;
        }
        last = before[set * n + last].into();
        set = rest;
    }
    stages.reverse();
    Some((stages, time))
}

/// The number of layers of each node of a set: at least one, the fastest as many as they can.
/// `None` if the set cannot hold the model or has more nodes than layers.
fn lengths(picture: &Picture, fastest: &[usize], set: usize) -> Option<Vec<(usize, u16)>> {
    let layers = u32::from(picture.model().layers);
    let members = fastest.iter().filter(|&&node| set >> node & 1 == 1);
    let capacity = |node: usize| u32::from(picture.nodes()[node].capacity);
    let held: u32 = members.clone().map(|&node| capacity(node)).sum();
    let count = set.count_ones();
    if held < layers || count > layers || members.clone().any(|&node| capacity(node) == 0) {
        return None;
    }
    let mut rest = layers - count;
    let taken = members.map(|&node| {
        let more = (capacity(node) - 1).min(rest);
        rest -= more;
        (node, (more + 1) as u16)
    });
    Some(taken.collect())
}
