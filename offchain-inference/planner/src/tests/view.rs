// SPDX-License-Identifier: Apache-2.0
//! Pictures made of surveys, with liars among the nodes.

use std::ops::Range;

use proptest::prelude::*;

use super::total;
use crate::{
    moves::{self, Hysteresis},
    picture::HOP_NS,
    relocate,
    survey::{believe, Beliefs, Planner, Reporter, Sight},
    Holding, Model, Objective, Placement, Server, Span, View, MOVE_BELOW,
};

const NODES: usize = 20;

const MODEL: Model = Model {
    layers: 8,
    row_bytes: 612,
    hop_ns: HOP_NS,
};

/// Every gain is worth a move.
const FREE: Hysteresis = Hysteresis {
    price: 0.0,
    least_gain: 0.0,
};

/// A node's place on a plane, in seconds of a round trip, and its tokens · layers a second.
type Node = (f64, f64, f64);

/// A liar's claim of its own speed, and its sights of others.
type Lie = (Option<f64>, Vec<(usize, Sight)>);

fn worlds() -> impl Strategy<Value = Vec<Node>> {
    proptest::collection::vec((0f64..0.2, 0f64..0.2, 50f64..500.0), NODES)
}

fn distance(world: &[Node], i: usize, j: usize) -> f64 {
    let (a, b) = (world[i], world[j]);
    1e-3 + (a.0 - b.0).hypot(a.1 - b.1)
}

/// Nodes of different accounts with what each measures of all others.
fn honest(world: &[Node]) -> Vec<Reporter> {
    let sight = |i: usize, j: usize| Sight {
        rtt: Some(distance(world, i, j)),
        throughput: Some(world[j].2),
        kbps: Some(10e3),
        heard: Some(1.0),
    };
    let reporter = |i: usize| Reporter {
        account: [i as u8; 32],
        throughput: world[i].2,
        links: [None; 2],
        sights: (0..NODES)
            .filter(|j| *j != i)
            .map(|j| (j, sight(i, j)))
            .collect(),
    };
    (0..NODES).map(reporter).collect()
}

/// Nodes that say to be a hundred times as fast, and next to every honest one.
fn boasting(world: &[Node], liars: usize) -> Vec<Reporter> {
    let mut all = honest(world);
    for node in &mut all[..liars] {
        node.throughput *= 100.0;
        for (_, sight) in node.sights.iter_mut().filter(|(other, _)| *other >= liars) {
            sight.rtt = Some(5e-4);
        }
    }
    all
}

/// Every layer has at least four holders.
fn spans() -> Vec<Span> {
    (0..NODES)
        .map(|node| Span::of(node as u16 % 5, 4))
        .collect()
}

fn believed(all: &[Reporter]) -> Beliefs {
    let outside = Planner {
        place: None,
        sights: &[],
        watches: &[],
    };
    believe(all, outside)
}

fn view(all: &[Reporter]) -> View {
    let beliefs = believed(all);
    let both = spans().into_iter().zip(&beliefs.nodes);
    let holdings: Vec<_> = both
        .map(|(span, belief)| Holding {
            span,
            belief: *belief,
        })
        .collect();
    View::new(MODEL, &holdings, |i, j| beliefs.rtt(i, j)).unwrap()
}

/// The placement after a node has moved, if it moves.
fn after(now: &Placement, node: usize, to: Option<Span>) -> Placement {
    let mut placement = now.clone();
    placement.0[node] = to.unwrap_or(now.0[node]);
    placement
}

/// Any number, and often one that makes no sense.
fn anything() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        Just(Some(f64::NAN)),
        Just(Some(-1.0)),
        Just(Some(5e-4)),
        Just(Some(60.0)),
        any::<f64>().prop_map(Some),
    ]
}

/// Lies that speak of the nodes `about`.
fn lies(liars: usize, about: Range<usize>) -> impl Strategy<Value = Vec<Lie>> {
    let sight = (anything(), anything(), anything(), anything()).prop_map(
        |(rtt, throughput, kbps, heard)| Sight {
            rtt,
            throughput,
            kbps,
            heard,
        },
    );
    let sights = proptest::collection::vec((about, sight), 0..NODES);
    proptest::collection::vec((anything(), sights), liars)
}

fn lying(world: &[Node], lies: Vec<Lie>) -> Vec<Reporter> {
    let mut all = honest(world);
    for (node, (throughput, sights)) in all.iter_mut().zip(lies) {
        node.throughput = throughput.unwrap_or(f64::NAN);
        node.sights = sights;
    }
    all
}

/// With boasters among the nodes everybody has the picture of the truth, and no node moves to a
/// place that is worse than the one by announcements alone.
fn boasters_change_nothing(world: &[Node], liars: usize) -> Result<(), TestCaseError> {
    let all = boasting(world, liars);
    let (truth, seen) = (view(&honest(world)), view(&all));
    prop_assert_eq!(&truth, &seen);
    let announced = |node: usize, span: Span| Server {
        span: span.start.into()..span.end.into(),
        rate: all[node].throughput / f64::from(span.len()),
    };
    let servers = spans().into_iter().enumerate();
    let servers: Vec<_> = servers.map(|(node, span)| announced(node, span)).collect();
    for node in [liars, NODES - 1] {
        let View { picture, placement } = &seen;
        let to = moves::next(picture, placement, node, &Objective::default(), &FREE);
        let mut others = servers.clone();
        let own = others.remove(node);
        let before = relocate(MODEL.layers.into(), &own, &others, MOVE_BELOW);
        let before = before.map(|span| Span::of(span.start as u16, span.len() as u16));
        let total = |to| total(&truth.picture, &after(placement, node, to));
        prop_assert!(total(to) <= total(before) * (1.0 + 1e-9));
    }
    Ok(())
}

/// Whatever liars say of themselves and of honest nodes, no placement is worse than it seems.
fn nothing_seems_better_than_it_is(
    world: &[Node],
    all: &[Reporter],
    liars: usize,
) -> Result<(), TestCaseError> {
    let (truth, seen) = (view(&honest(world)), view(all));
    let promised = |placement: &Placement| total(&seen.picture, placement);
    for node in [liars, NODES - 1] {
        let View { picture, placement } = &seen;
        let to = moves::next(picture, placement, node, &Objective::default(), &FREE);
        let to = after(placement, node, to);
        prop_assert!(total(&truth.picture, &to) <= promised(&to) * (1.0 + 1e-9));
        prop_assert!(promised(&to) <= promised(placement) * (1.0 + 1e-9));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn one_boaster_in_ten_changes_no_picture(world in worlds()) {
        boasters_change_nothing(&world, 2)?;
    }

    #[test]
    fn three_boasters_in_ten_change_no_picture(world in worlds()) {
        boasters_change_nothing(&world, 6)?;
    }

    #[test]
    fn one_liar_in_ten_makes_nothing_seem_better(world in worlds(), lies in lies(2, 2..NODES)) {
        nothing_seems_better_than_it_is(&world, &lying(&world, lies), 2)?;
    }

    #[test]
    fn three_liars_in_ten_make_nothing_seem_better(world in worlds(), lies in lies(6, 6..NODES)) {
        nothing_seems_better_than_it_is(&world, &lying(&world, lies), 6)?;
    }

    /// Whatever all nodes say, and however much is missing.
    #[test]
    fn any_reports_give_a_picture(world in worlds(), lies in lies(NODES, 0..NODES + 2)) {
        let View { picture, placement } = view(&lying(&world, lies));
        prop_assert_eq!(placement.0, spans());
        prop_assert_eq!(picture.bad_facts(), 0);
    }
}

#[test]
fn a_silent_swarm_has_a_picture_of_defaults() {
    let mut all = honest(&[(0.0, 0.0, 100.0); NODES]);
    for node in &mut all {
        node.sights.clear();
    }
    let View { picture, placement } = view(&all);
    assert_eq!(picture.rtt(0, 1), crate::picture::UNKNOWN_RTT);
    assert_eq!(picture.nodes()[0].layer_ns, 10_000_000);
    assert_eq!(picture.nodes()[0].availability_ppm, 900_000);
    assert_eq!(placement.0, spans());
}

#[test]
fn a_span_beyond_the_model_counts_within_it() {
    let beliefs = believed(&honest(&[(0.0, 0.0, 100.0); NODES]));
    let holding = |start, end| Holding {
        span: Span { start, end },
        belief: beliefs.nodes[0],
    };
    let holdings = [holding(0, u16::MAX), holding(9, 12), holding(7, 3)];
    // A round trip longer than a picture holds is the longest one, not an unknown one.
    let seen = View::new(MODEL, &holdings, |_, _| Some(70.0)).unwrap();
    let lengths: Vec<_> = seen.placement.0.iter().map(Span::len).collect();
    assert_eq!(lengths, [8, 0, 0]);
    assert_eq!(seen.picture.rtt(0, 1), 600_000);
    assert_eq!(seen.picture.bad_facts(), 0);
}
