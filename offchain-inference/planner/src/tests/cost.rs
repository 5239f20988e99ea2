// SPDX-License-Identifier: Apache-2.0

use proptest::prelude::*;

use super::placements;
use crate::{Costs, Evaluator, Objective, Placement, Switch};

/// The least time over every pipeline from `border` on, whose last node is `at`.
fn least(
    costs: &Costs,
    placement: &Placement,
    client: usize,
    at: Option<usize>,
    border: u16,
) -> f64 {
    if border == costs.layers() {
        return at.map_or(f64::INFINITY, |node| costs.back(node, client));
    }
    let mut best = f64::INFINITY;
    for (node, span) in placement.0.iter().enumerate() {
        if span.start <= border && border < span.end && at != Some(node) {
            for end in border + 1..=span.end {
                let hop = costs.hop(at.unwrap_or(client), node);
                let work = f64::from(end - border) * costs.layer(node);
                let rest = least(costs, placement, client, Some(node), end);
                best = best.min(hop + work + rest);
            }
        }
    }
    best
}

proptest! {
    #[test]
    fn a_token_takes_the_least_of_all_pipelines((picture, placement) in placements(5, 4)) {
        let costs = Costs::new(&picture);
        let clients: Vec<_> = (0..costs.nodes()).collect();
        let mut evaluator = Evaluator::new(&costs, Objective::default(), clients.clone());
        let anywhere = evaluator.token_times(&placement, Switch::Anywhere);
        let ends = evaluator.token_times(&placement, Switch::AtEnds);
        for client in clients {
            let best = least(&costs, &placement, client, None, 0);
            if best.is_finite() {
                prop_assert!((anywhere[client] - best).abs() < 1e-9 * best);
                let way = costs.fastest(&placement, client).unwrap();
                prop_assert!((way.cost - best).abs() < 1e-9 * best);
                let stages: Vec<_> = way.stages.iter().map(|(node, layers)| (*node, layers.len() as u16)).collect();
                prop_assert!((costs.pipeline(client, &stages) - best).abs() < 1e-9 * best);
                // Entering at the ends of spans alone is an upper bound.
                prop_assert!(ends[client] >= best * (1.0 - 1e-9) && ends[client] < 1e12);
            } else {
                prop_assert_eq!(costs.fastest(&placement, client), None);
                prop_assert!(anywhere[client] > 1e12 && ends[client] > 1e12);
            }
        }
    }

    #[test]
    fn entering_at_ends_is_enough_where_the_triangle_inequality_holds((picture, placement) in placements(6, 5)) {
        // All pairs equally far, all links equally fast.
        let facts: Vec<_> = picture.nodes().iter().map(|node| crate::NodeFacts {
            capacity: node.capacity.into(),
            layer_us: node.layer_ns as f64 * 1e-3,
            batch: 2.0,
            up_kbps: 20e3,
            down_kbps: 100e3,
            availability: 0.9,
        }).collect();
        let even = crate::Picture::new(*picture.model(), &facts, |_, _| Some(300.0)).unwrap();
        let costs = Costs::new(&even);
        let mut evaluator = Evaluator::new(&costs, Objective::default(), (0..costs.nodes()).collect());
        let anywhere = evaluator.token_times(&placement, Switch::Anywhere);
        let ends = evaluator.token_times(&placement, Switch::AtEnds);
        for (a, b) in anywhere.iter().zip(ends) {
            prop_assert!((a - b).abs() <= 1e-9 * b);
        }
    }

    #[test]
    fn the_score_follows_its_formula((picture, placement) in placements(6, 6)) {
        let costs = Costs::new(&picture);
        let clients: Vec<_> = (0..costs.nodes()).collect();
        let mut evaluator = Evaluator::new(&costs, Objective::default(), clients);
        let score = evaluator.score(&placement, Switch::Anywhere);
        let holders = placement.holders(costs.layers());
        let uncovered = holders.iter().filter(|&&held| held == 0).count();
        prop_assert_eq!(usize::from(score.uncovered), uncovered);
        let layer = |layer: u16| {
            let holding = placement.0.iter().enumerate().filter(move |(_, s)| s.start <= layer && layer < s.end);
            holding.map(|(node, span)| {
                let facts = &picture.nodes()[node];
                let seconds = facts.layer_ns as f64 * 1e-9 * f64::from(span.len());
                let rows = f64::from(facts.up_kbps) * 1e3 / (8.0 * 8704.0);
                ((f64::from(facts.batch_milli) * 1e-3 / seconds).min(rows), 1.0 - f64::from(facts.availability_ppm) * 1e-6)
            }).collect::<Vec<_>>()
        };
        let layers: Vec<_> = (0..costs.layers()).map(layer).collect();
        let rate = layers.iter().map(|l| l.iter().map(|(r, _)| r).sum::<f64>()).fold(f64::MAX, f64::min);
        let risk: f64 = layers.iter().map(|l| l.iter().map(|(_, away)| away).product::<f64>()).sum();
        prop_assert!((score.rate - rate).abs() <= 1e-9 * rate);
        prop_assert!((score.risk - risk).abs() <= 1e-9 * risk);
        if uncovered == 0 {
            let total = (score.token / rate).sqrt() * (1.0 + risk);
            prop_assert!((score.total - total).abs() <= 1e-9 * total);
        } else {
            prop_assert!(score.total > 1e11);
        }
    }
}
