// SPDX-License-Identifier: Apache-2.0
//! Petals' rules for the layers that a server holds.
//!
//! A model is a row of layers, and a swarm answers no faster than its weakest layer lets it. A
//! server that joins takes the span that raises the weakest layers ([`choose`]). A server checks
//! from time to time whether another place is much better ([`relocate`]). These are the rules of
//! Petals (Borzunov et al., "Distributed Inference and Fine-tuning of Large Language Models Over
//! The Internet", arXiv 2312.08361, section 3.2 and appendix D), over a picture of the swarm that
//! every server has for itself. Nobody coordinates.
//!
//! Rates are integers, in thousandths: sums are exact and the same in any order, so that servers
//! with the same picture come to the same place, and none moves for a rounding error.
//!
//! ```
//! use starling_planner::{choose, relocate, weakest, Server, MOVE_BELOW};
//!
//! let mut swarm = vec![Server { span: 0..15, rate: 100.0 }];
//! let span = choose(30, 15, &swarm);
//! assert_eq!(span, Some(15..30));
//! swarm.extend(span.map(|span| Server { span, rate: 80.0 }));
//! assert_eq!(weakest(30, &swarm), 80.0);
//! let (own, others) = swarm.split_first().unwrap();
//! assert_eq!(relocate(30, own, others, MOVE_BELOW), None);
//! ```

use std::ops::Range;

/// A server moves if the swarm's weakest layer now has less than this share of the rate that it
/// would have after moving. Petals' default.
pub const MOVE_BELOW: f64 = 0.75;

/// Rounds in which the others are imagined to move too. Small swarms settle in two or three.
const ROUNDS: usize = 8;

/// The span and the rate of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Layers [start, end) that it serves. The part outside the model is ignored.
    pub span: Range<usize>,
    /// Tokens per second that it takes through its span. A negative rate, or one that is not a
    /// number, counts as nothing.
    pub rate: f64,
}

/// Rates of layers in thousandths of tokens per second.
#[derive(Clone)]
struct Load(Vec<u64>);

impl Load {
    fn of<'a>(layers: usize, servers: impl IntoIterator<Item = &'a Server>) -> Self {
        let mut load = Self(vec![0; layers]);
        for server in servers {
            load.add(&server.span, thousandths(server.rate));
        }
        load
    }

    fn add(&mut self, span: &Range<usize>, rate: u64) {
        for layer in self.span_mut(span) {
            *layer = layer.saturating_add(rate);
        }
    }

    fn remove(&mut self, span: &Range<usize>, rate: u64) {
        for layer in self.span_mut(span) {
            *layer = layer.saturating_sub(rate);
        }
    }

    fn span_mut(&mut self, span: &Range<usize>) -> impl Iterator<Item = &mut u64> {
        let length = span.end.saturating_sub(span.start);
        self.0.iter_mut().skip(span.start).take(length)
    }

    fn weakest(&self) -> u64 {
        self.0.iter().copied().min().unwrap_or(0)
    }

    fn uncovered(&self) -> usize {
        self.0.iter().filter(|&&rate| rate == 0).count()
    }

    /// The place whose rates, sorted, come first: it holds the weakest layer, among those the most
    /// of them, and so on. `preferred` wins among equal places, else the first.
    ///
    /// Serving there makes the sorted rates of all layers come last among all places, so each move
    /// raises them, and moving one at a time ends.
    fn best(&self, length: usize, preferred: Option<usize>) -> Option<Range<usize>> {
        // Only a place with the weakest layer can come first.
        let least = self.0.iter().min()?;
        let start = self
            .0
            .windows(length.max(1))
            .enumerate()
            .filter(|(_, window)| window.contains(least))
            .map(|(start, window)| {
                let mut sorted = window.to_vec();
                sorted.sort_unstable();
                (start, sorted)
            })
            .min_by_key(|(start, sorted)| (sorted.clone(), Some(*start) != preferred, *start))?
            .0;
        Some(start..start.saturating_add(length))
    }
}

/// At most 2⁴⁰, so that sums over any swarm stay exact; 0 for a negative rate or one that is not a
/// number.
fn thousandths(rate: f64) -> u64 {
    ((rate * 1e3).round() as u64).min(1 << 40)
}

/// Tokens per second that the swarm takes through its weakest layer.
pub fn weakest(layers: usize, servers: &[Server]) -> f64 {
    Load::of(layers, servers).weakest() as f64 / 1e3
}

/// The span at which a server that can hold `length` layers joins a swarm of `servers` for a model
/// of `layers`. `None` for a model or a span of no layers.
pub fn choose(layers: usize, length: usize, servers: &[Server]) -> Option<Range<usize>> {
    if length == 0 {
        return None;
    }
    Load::of(layers, servers).best(length.min(layers), None)
}

/// The new span of the server `own`, if it moves.
///
/// A server stays while it alone serves a layer of a swarm that can answer, since nobody would
/// serve it until the new span is loaded. Else it imagines that it moves to the best place and that
/// the others then follow the same rule. It moves if the weakest layer now has less than the share
/// `below` of its rate then ([`MOVE_BELOW`]). In a swarm that cannot answer even then, it moves if
/// that leaves fewer layers without a server.
///
/// Servers should check at different times (Petals: after a random delay), or they may all go to
/// the same place.
pub fn relocate(
    layers: usize,
    own: &Server,
    others: &[Server],
    below: f64,
) -> Option<Range<usize>> {
    let rate = thousandths(own.rate);
    let length = own
        .span
        .end
        .min(layers)
        .saturating_sub(own.span.start.min(layers));
    if rate == 0 || length == 0 {
        return None;
    }
    let mut load = Load::of(layers, others.iter().chain([own]));
    let (before, uncovered) = (load.weakest(), load.uncovered());
    load.remove(&own.span, rate);
    if before > 0 && load.weakest() == 0 {
        return None;
    }
    let place = load.best(length, Some(own.span.start))?;
    if place == own.span {
        return None;
    }
    load.add(&place, rate);
    let left_uncovered = load.uncovered();
    settle(&mut load, others.to_vec());
    let after = load.weakest();
    let better = if after == 0 {
        left_uncovered < uncovered
    } else {
        (before as f64) < below * after as f64
    };
    better.then_some(place)
}

/// Lets `others` move to their best places in turn until none wants to.
fn settle(load: &mut Load, mut others: Vec<Server>) {
    for _ in 0..ROUNDS {
        let mut moved = false;
        for server in &mut others {
            let rate = thousandths(server.rate);
            let length = server.span.end.saturating_sub(server.span.start);
            load.remove(&server.span, rate);
            if let Some(place) = load.best(length, Some(server.span.start)) {
                // A server of nothing, or one that claims to be outside the model, stays.
                if rate > 0 && length > 0 && server.span.end <= load.0.len() {
                    moved |= place != server.span;
                    server.span = place;
                }
            }
            load.add(&server.span, rate);
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests;
