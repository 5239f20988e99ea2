// SPDX-License-Identifier: Apache-2.0
//! The choice of spans for a pipeline, and the decision to leave a pipeline for another.
//!
//! The rules are pure. A pipeline covers the layers [0, n) of a model with stages; each is a part
//! of some server's span. After Petals (arXiv 2209.01188, 2312.08361 section 3.2) the cost of a
//! pipeline is the time for a token:
//!
//! ```text
//! cost(stage) = (transfer + serialisation + layers / throughput) × doubt  [+ cache_full]
//! doubt       = 1 / (trust × (½ + ½ rating / best rating) × (½ + ½ bond / (bond + median bond)))
//! ```
//!
//! Transfers take half a round trip each, as in Petals: from the client, from server to server,
//! and back. Where the distance of two servers is unknown, or the first does not pass its rows on,
//! the client carries them: half a round trip of each of the two. A server without room for the sequence gets a fixed cost on top, as in Petals: its cache may be
//! freed before waiting for other servers pays off.
//!
//! A server that cheats loses its bond and its rating, and the rating shows its record. Both count
//! up to a factor of two: a fast stranger is preferred to a very slow friend, but not to one that
//! is nearly as fast. Local trust has no such bound: a cheat seen by this node excludes the server.

use std::ops::Range;

use crate::cost::{cheapest, Way};

/// A server that may take a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate<P> {
    /// The node.
    pub peer: P,
    /// Layers that it holds; any part of them can be a stage.
    pub layers: Range<usize>,
    /// Tokens · layers per second of decoding: measured, or announced if there is no measurement.
    pub throughput: f64,
    /// Round-trip time between this node and it, in seconds.
    pub rtt: f64,
    /// Free positions in its cache.
    pub free: usize,
    /// The agent's bond.
    pub bond: u128,
    /// The agent's rating, at least 0; `None` if the node has no agent.
    pub rating: Option<f64>,
    /// This node's trust in it, in [0, 1]; 0 excludes it.
    pub trust: f64,
}

/// Requirements of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Layers [start, end) to cover.
    pub layers: Range<usize>,
    /// Positions that each stage's cache should have free.
    pub positions: usize,
    /// Seconds of a stage besides network and layers: coding, signing, waking threads.
    pub serialisation: f64,
    /// Additional seconds of a stage without room.
    pub cache_full: f64,
}

impl Need {
    /// Petals' penalty for a full cache, and a millisecond for serialisation (Petals: 18).
    pub fn new(layers: Range<usize>, positions: usize) -> Self {
        Self {
            layers,
            positions,
            serialisation: 1e-3,
            cache_full: 10.0,
        }
    }
}

/// A part of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Index of the server among the candidates.
    pub candidate: usize,
    /// Layers [start, end) that it computes.
    pub layers: Range<usize>,
}

/// A pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The stages in order; each begins where the one before ends.
    pub stages: Vec<Stage>,
    /// Seconds a token, with all penalties.
    pub cost: f64,
}

/// No trusted server holds these layers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no server is known for the layers {}..{}", .layers.start, .layers.end)]
pub struct NoRoute {
    /// The first run of missing layers.
    pub layers: Range<usize>,
}

/// Reference values for comparing candidates: their best rating and their median bond.
struct Field {
    rating: f64,
    bond: f64,
}

impl Field {
    fn of<P>(candidates: &[Candidate<P>]) -> Self {
        let rating = candidates
            .iter()
            .filter_map(|c| c.rating.filter(|r| r.is_finite()))
            .fold(0.0, f64::max);
        let mut bonds: Vec<_> = candidates.iter().map(|c| c.bond).collect();
        bonds.sort_unstable();
        let bond = bonds.get(bonds.len() / 2).map_or(0.0, |&bond| bond as f64);
        Self { rating, bond }
    }

    /// Factor of a server's times, at least 1; `None` excludes the server.
    fn doubt<P>(&self, candidate: &Candidate<P>) -> Option<f64> {
        let share = |part: f64, whole: f64| {
            let share = part / whole;
            if share.is_finite() {
                share.clamp(0.0, 1.0)
            } else {
                0.0
            }
        };
        let rating = share(candidate.rating.unwrap_or(0.0), self.rating);
        let bond = candidate.bond as f64;
        let bond = share(bond, bond + self.bond);
        // False for a trust that is not a number.
        (candidate.trust > 0.0).then(|| {
            let faith = candidate.trust.min(1.0) * (0.5 + 0.5 * rating) * (0.5 + 0.5 * bond);
            (1.0 / faith).min(MOST_DOUBT)
        })
    }
}

/// Largest factor of a server's times: sums stay finite.
const MOST_DOUBT: f64 = 1e12;

/// Seconds of a sensible measurement or announcement; a day otherwise.
fn seconds(value: f64) -> f64 {
    const DAY: f64 = 86_400.0;
    if value >= 0.0 {
        value.min(DAY)
    } else {
        DAY
    }
}

/// The cost of a server as a stage, in seconds.
#[derive(Clone, Copy, Default)]
struct StageCost {
    doubt: f64,
    /// Half a round trip of the client.
    transfer: f64,
    /// Besides transfers and layers.
    fixed: f64,
    layer: f64,
}

/// The costs of all servers; `None` excludes one.
struct StageCosts<F> {
    of: Vec<Option<StageCost>>,
    between: F,
}

impl<F: Fn(usize, usize) -> Option<f64>> StageCosts<F> {
    fn new<P>(candidates: &[Candidate<P>], need: &Need, between: F) -> Self {
        let field = Field::of(candidates);
        let cost = |candidate: &Candidate<P>| {
            let doubt = field.doubt(candidate)?;
            let full = if candidate.free < need.positions {
                need.cache_full
            } else {
                0.0
            };
            Some(StageCost {
                doubt,
                transfer: doubt * seconds(candidate.rtt) / 2.0,
                fixed: doubt * need.serialisation + full,
                layer: doubt * seconds(1.0 / candidate.throughput),
            })
        };
        Self {
            of: candidates.iter().map(cost).collect(),
            between,
        }
    }

    fn of(&self, server: usize) -> Option<StageCost> {
        self.of.get(server).copied().flatten()
    }

    /// Seconds to enter a server, from the client (`None`) or from another server.
    fn hop(&self, from: Option<usize>, to: usize) -> f64 {
        let entered = self.of(to).unwrap_or_default();
        let transfer = match from {
            None => entered.transfer,
            Some(from) => {
                let left = self.of(from).unwrap_or_default();
                let carried = left.transfer + entered.transfer;
                (self.between)(from, to).map_or(carried, |rtt| {
                    let pushed = left.doubt.max(entered.doubt) * seconds(rtt) / 2.0;
                    pushed.min(carried)
                })
            },
        };
        transfer + entered.fixed
    }

    /// Seconds from a server back to the client.
    fn leave(&self, server: usize) -> f64 {
        self.of(server).unwrap_or_default().transfer
    }
}

/// The cheapest pipeline, by the shortest path that also scores placements ([`cheapest`]).
/// `between` gives the seconds of a round trip between two servers, of which the first passes its
/// rows on to the second; `None` where the client carries them.
pub fn route<P>(
    candidates: &[Candidate<P>],
    need: &Need,
    between: impl Fn(usize, usize) -> Option<f64>,
) -> Result<Route, NoRoute> {
    let costs = StageCosts::new(candidates, need, between);
    let held = |node: usize| match (costs.of(node), candidates.get(node)) {
        (Some(_), Some(candidate)) => candidate.layers.clone(),
        _ => 0..0,
    };
    let way = cheapest(
        candidates.len(),
        need.layers.clone(),
        held,
        |from, to| costs.hop(from, to),
        |node| costs.of(node).unwrap_or_default().layer,
        |node| costs.leave(node),
    );
    let Some(Way { stages, cost }) = way else {
        return Err(missing(candidates, need.layers.clone()));
    };
    let stages = stages.into_iter();
    Ok(Route {
        stages: stages
            .map(|(candidate, layers)| Stage { candidate, layers })
            .collect(),
        cost,
    })
}

/// The first layers that no trusted candidate holds.
fn missing<P>(candidates: &[Candidate<P>], layers: Range<usize>) -> NoRoute {
    let held = |layer: &usize| {
        candidates
            .iter()
            .any(|c| c.trust > 0.0 && c.layers.contains(layer))
    };
    let start = layers.clone().find(|b| !held(b)).unwrap_or(layers.start);
    let end = (start..layers.end).find(held).unwrap_or(layers.end);
    NoRoute { layers: start..end }
}

/// The cost of a pipeline with the candidates' present numbers, and `between` as in [`route`].
/// `None` if a stage's server is gone, excluded, or no longer holds its layers.
pub fn cost<P>(
    candidates: &[Candidate<P>],
    stages: &[Stage],
    need: &Need,
    between: impl Fn(usize, usize) -> Option<f64>,
) -> Option<f64> {
    let costs = StageCosts::new(candidates, need, between);
    let mut from = None;
    let mut total = 0.0;
    for stage in stages {
        let held = &candidates.get(stage.candidate)?.layers;
        if stage.layers.start < held.start || stage.layers.end > held.end {
            return None;
        }
        let layers = costs.of(stage.candidate)?.layer * stage.layers.len() as f64;
        total += costs.hop(from, stage.candidate) + layers;
        from = Some(stage.candidate);
    }
    Some(total + from.map_or(0.0, |last| costs.leave(last)))
}

/// True if a pipeline is worth leaving in the middle of a sequence. Over the `tokens` still to
/// come, the `best` pipeline with its `replay` (seconds to recompute the caches) must take less
/// than three quarters of the present one's time, so that noise does not make pipelines alternate.
pub fn much_better(present: f64, best: f64, replay: f64, tokens: usize) -> bool {
    let tokens = tokens as f64;
    replay + best * tokens < 0.75 * present * tokens
}

/// Detects stragglers: stages whose last eight steps have a median of more than twice the expected
/// time and 20 ms.
#[derive(Clone, Debug, Default)]
pub struct Straggler {
    /// Steps as shares of their time limit.
    last: [f64; Self::STEPS],
    next: usize,
    seen: usize,
}

impl Straggler {
    /// Steps of the median: a pause of one step, such as another's prefill, is no reason.
    const STEPS: usize = 8;
    /// Tolerated factor of the expected duration.
    const FACTOR: f64 = 2.0;
    /// Tolerated additional seconds: below them, a change is not worth a replay.
    const SLACK: f64 = 0.02;

    /// Records a step that took `seconds` instead of the `expected` ones. Returns true if the stage
    /// is a straggler now.
    pub fn observe(&mut self, seconds: f64, expected: f64) -> bool {
        if let Some(slot) = self.last.get_mut(self.next) {
            *slot = seconds / (Self::FACTOR * expected.max(0.0) + Self::SLACK);
        }
        self.next = (self.next + 1) % Self::STEPS;
        self.seen = (self.seen + 1).min(Self::STEPS);
        let mut sorted = self.last;
        sorted.sort_by(f64::total_cmp);
        self.seen == Self::STEPS
            && sorted
                .get(Self::STEPS / 2)
                .is_some_and(|&share| share > 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(layers: Range<usize>, throughput: f64, rtt: f64) -> Candidate<()> {
        Candidate {
            peer: (),
            layers,
            throughput,
            rtt,
            free: 1000,
            bond: 100,
            rating: Some(1.0),
            trust: 1.0,
        }
    }

    /// The client carries all rows.
    fn carried(_: usize, _: usize) -> Option<f64> {
        None
    }

    fn picked(candidates: &[Candidate<()>], layers: usize) -> Vec<(usize, Range<usize>)> {
        let route = route(candidates, &Need::new(0..layers, 100), carried).unwrap();
        let stages = route.stages.into_iter();
        stages.map(|s| (s.candidate, s.layers)).collect()
    }

    fn candidates(layers: usize) -> impl Strategy<Value = Vec<Candidate<()>>> {
        let one = (
            0..layers,
            1..=layers,
            0.5f64..500.0,
            0f64..0.2,
            prop_oneof![Just(0usize), Just(50), Just(1000)],
            0u128..1000,
            proptest::option::of(0f64..1.0),
            prop_oneof![Just(0.0), 0.05f64..1.0, Just(1.0)],
        )
            .prop_map(|(start, len, throughput, rtt, free, bond, rating, trust)| {
                Candidate {
                    free,
                    bond,
                    rating,
                    trust,
                    ..candidate(start..start + len, throughput, rtt)
                }
            });
        proptest::collection::vec(one, 0..5)
    }

    /// Every pipeline there is.
    fn pipelines(candidates: &[Candidate<()>], from: usize, to: usize) -> Vec<Vec<Stage>> {
        if from == to {
            return vec![vec![]];
        }
        let mut all = vec![];
        for (i, c) in candidates.iter().enumerate() {
            for end in from + 1..=to {
                if c.layers.start <= from && end <= c.layers.end && c.trust > 0.0 {
                    for rest in pipelines(candidates, end, to) {
                        let stage = Stage {
                            candidate: i,
                            layers: from..end,
                        };
                        all.push([vec![stage], rest].concat());
                    }
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn no_pipeline_is_cheaper(
            candidates in candidates(5),
            start in 0usize..3,
            pairs in proptest::collection::vec(proptest::option::of(0f64..0.2), 25),
        ) {
            let between = |from: usize, to: usize| pairs[from.min(to) * 5 + from.max(to)];
            let need = Need::new(start..5, 60);
            let best = pipelines(&candidates, start, 5)
                .iter()
                .map(|stages| cost(&candidates, stages, &need, between).unwrap())
                .min_by(f64::total_cmp);
            match route(&candidates, &need, between) {
                Ok(route) => {
                    let best = best.unwrap();
                    prop_assert!((route.cost - best).abs() <= 1e-9 * best, "{} {best}", route.cost);
                    let again = cost(&candidates, &route.stages, &need, between);
                    prop_assert_eq!(again.map(|c| (c - route.cost).abs() < 1e-9 * c), Some(true));
                    let mut at = start;
                    for stage in &route.stages {
                        prop_assert_eq!(stage.layers.start, at);
                        at = stage.layers.end;
                    }
                    prop_assert_eq!(at, 5);
                },
                Err(NoRoute { layers }) => {
                    prop_assert!(best.is_none());
                    prop_assert!(start <= layers.start && layers.end <= 5 && !layers.is_empty());
                    for layer in layers {
                        prop_assert!(!candidates.iter().any(|c| c.trust > 0.0 && c.layers.contains(&layer)));
                    }
                },
            }
        }

        #[test]
        fn nonsense_in_announcements_is_survived(
            spans in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<f64>(), any::<f64>(), any::<f64>(), any::<u128>()), 0..4),
        ) {
            let mut candidates: Vec<_> = spans
                .iter()
                .map(|&(a, b, throughput, rtt, trust, bond)| Candidate {
                    trust,
                    bond,
                    rating: Some(throughput),
                    ..candidate(a..b, throughput, rtt)
                })
                .collect();
            candidates.push(candidate(0..4, 1.0, 0.1));
            let between = |from: usize, _: usize| spans.get(from).map(|span| span.2);
            let route = route(&candidates, &Need::new(0..4, 10), between).unwrap();
            prop_assert!(route.cost.is_finite() && route.cost > 0.0);
        }
    }

    #[test]
    fn spans_are_used_in_part() {
        // The fast one holds the middle only; the slow ones do the rest and no more.
        let all = [
            candidate(0..20, 100.0, 0.0),
            candidate(10..20, 10_000.0, 0.0),
            candidate(15..30, 100.0, 0.0),
        ];
        assert_eq!(picked(&all, 30), [(0, 0..10), (1, 10..20), (2, 20..30)]);
    }

    #[test]
    fn a_hop_must_be_worth_its_round_trip() {
        let whole = candidate(0..30, 3000.0, 0.005);
        // Half the time for half of the layers, but another round trip.
        let near = [whole.clone(), candidate(15..30, 6000.0, 0.0005)];
        assert_eq!(picked(&near, 30).len(), 2);
        let far = [whole, candidate(15..30, 6000.0, 0.1)];
        assert_eq!(picked(&far, 30), [(0, 0..30)]);
    }

    #[test]
    fn servers_that_are_near_each_other_are_preferred_where_they_push() {
        // All are 100 ms away; the last two hold the same layers, and one is next to the first.
        let all = [
            candidate(0..15, 3000.0, 0.1),
            candidate(15..30, 3000.0, 0.1),
            candidate(15..30, 2900.0, 0.1),
        ];
        let need = Need::new(0..30, 100);
        let near = |from: usize, to: usize| Some(if (from, to) == (0, 2) { 0.002 } else { 0.25 });
        let pushed = route(&all, &need, near).unwrap();
        assert_eq!(pushed.stages[1].candidate, 2);
        let carried = route(&all, &need, carried).unwrap();
        assert_eq!(carried.stages[1].candidate, 1);
        assert!(pushed.cost < 0.6 * carried.cost);
        // A detour is no better than the way over the client.
        let far = route(&all, &need, |_, _| Some(9.0)).unwrap();
        assert_eq!(far, carried);
    }

    #[test]
    fn trust_rating_bond_and_room_count() {
        let good = candidate(0..8, 100.0, 0.01);
        for bad in [
            Candidate {
                trust: 0.3,
                ..good.clone()
            },
            Candidate {
                rating: None,
                ..good.clone()
            },
            Candidate {
                rating: Some(0.5),
                ..good.clone()
            },
            Candidate {
                bond: 1,
                ..good.clone()
            },
            Candidate {
                free: 99,
                ..good.clone()
            },
        ] {
            assert_eq!(picked(&[bad.clone(), good.clone()], 8), [(1, 0..8)]);
            // None of these faults excludes it if there is no other server.
            assert_eq!(picked(std::slice::from_ref(&bad), 8), [(0, 0..8)]);
            // A hundred times the speed of another makes up for all but a full cache.
            let fast = Candidate {
                throughput: 10_000.0,
                rtt: 0.0,
                ..bad
            };
            assert_eq!(
                picked(&[fast.clone(), good.clone()], 8)[0].0 == 0,
                fast.free >= 100
            );
        }
        let banned = Candidate { trust: 0.0, ..good };
        assert_eq!(
            route(&[banned], &Need::new(0..8, 1), carried),
            Err(NoRoute { layers: 0..8 })
        );
    }

    #[test]
    fn the_gap_is_named() {
        let all = [candidate(0..3, 1.0, 0.0), candidate(5..8, 1.0, 0.0)];
        let error = route(&all, &Need::new(0..8, 1), carried).unwrap_err();
        assert_eq!(error.to_string(), "no server is known for the layers 3..5");
    }

    #[test]
    fn one_slow_step_makes_no_straggler_and_eight_do() {
        let mut stage = Straggler::default();
        for _ in 0..20 {
            assert!(!stage.observe(0.010, 0.010));
        }
        assert!(!stage.observe(5.0, 0.010));
        for _ in 0..7 {
            assert!(!stage.observe(0.010, 0.010));
        }
        let told = (0..8).position(|_| stage.observe(0.1, 0.010));
        assert!(told.is_some_and(|steps| steps >= 3), "{told:?}");
        // A stage that has hardly begun is not judged.
        assert!(!Straggler::default().observe(9.0, 0.010));
    }

    #[test]
    fn pipelines_are_left_for_much_better_ones_that_pay_for_the_replay() {
        assert!(much_better(0.1, 0.05, 1.0, 100));
        assert!(!much_better(0.1, 0.05, 1.0, 10));
        assert!(!much_better(0.1, 0.08, 0.0, 1000));
        assert!(!much_better(0.1, 0.05, 0.0, 0));
    }
}
