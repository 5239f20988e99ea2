// SPDX-License-Identifier: Apache-2.0

use proptest::prelude::*;

use super::pictures;
use crate::{
    exact::{placements, private_pipeline},
    Costs, Picture,
};

/// The least time over every order of every set, with every way to share the layers.
fn least(
    picture: &Picture,
    costs: &Costs,
    client: usize,
    stages: &mut Vec<(usize, u16)>,
    left: u16,
) -> f64 {
    if left == 0 {
        return costs.pipeline(client, stages);
    }
    let mut best = f64::INFINITY;
    for (node, facts) in picture.nodes().iter().enumerate() {
        if stages.iter().any(|(used, _)| *used == node) {
            continue;
        }
        for length in 1..=facts.capacity.min(left) {
            stages.push((node, length));
            best = best.min(least(picture, costs, client, stages, left - length));
            stages.pop();
        }
    }
    best
}

proptest! {
    #[test]
    fn no_private_pipeline_is_faster(picture in pictures(6, 4)) {
        let costs = Costs::new(&picture);
        let client = costs.nodes() - 1;
        let best = least(&picture, &costs, client, &mut vec![], picture.model().layers);
        match private_pipeline(&picture, &costs, client) {
            Some((stages, time)) => {
                prop_assert!((time - best).abs() <= 1e-9 * best, "{time} {best}");
                prop_assert!((costs.pipeline(client, &stages) - time).abs() <= 1e-9 * time);
                prop_assert!(stages.iter().all(|&(node, length)| length <= picture.nodes()[node].capacity));
            },
            None => prop_assert!(best.is_infinite()),
        }
    }

    #[test]
    fn small_swarms_are_planned_as_well_as_every_placement_tried(picture in pictures(7, 3)) {
        // Few enough to be tried all within the budget.
        let all = placements(&picture).unwrap();
        let planned = super::search::planned(&picture, &[], all * 2 + 10);
        let layers = picture.model().layers;
        let mut starts = vec![0; picture.nodes().len()];
        let mut best = f64::INFINITY;
        for mut number in 0..all {
            for (start, node) in starts.iter_mut().zip(picture.nodes()) {
                let choices = u64::from(layers - node.capacity) + 1;
                *start = (number % choices) as u16;
                number /= choices;
            }
            let placement = crate::Placement::full(&picture, &starts);
            best = best.min(super::search::total(&picture, &placement));
        }
        prop_assert!(planned.full_score.total <= best * (1.0 + 1.1e-3));
    }
}
