// SPDX-License-Identifier: Apache-2.0

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::{alike, pictures};
use crate::{
    candidates, cost::clients, plan, search::REPORTED_CLIENTS, Budget, Costs, Evaluator, Objective,
    Origin, Picture, Placement, Planned, Span, Switch,
};

pub(super) fn planned(
    picture: &Picture,
    seeds: &[(Origin, Placement)],
    evaluations: u64,
) -> Planned {
    let stop = AtomicBool::new(false);
    let budget = Budget { evaluations };
    plan(picture, seeds, &budget, &Objective::default(), &stop)
}

pub(crate) fn total(picture: &Picture, placement: &Placement) -> f64 {
    let costs = Costs::new(picture);
    let clients = clients(costs.nodes(), REPORTED_CLIENTS);
    let mut evaluator = Evaluator::new(&costs, Objective::default(), clients);
    evaluator.score(placement, Switch::AtEnds).total
}

proptest! {
    #[test]
    fn no_candidate_is_better_than_the_plan(picture in pictures(12, 9), evaluations in 0u64..300) {
        let seeds = candidates(&picture, None, None);
        let planned = planned(&picture, &seeds, evaluations);
        prop_assert_eq!(planned.score.total, total(&picture, &planned.placement));
        prop_assert_eq!(planned.full_score.total, total(&picture, &planned.full));
        for (origin, seed) in &seeds {
            let best = planned.score.total * (1.0 - 1e-9);
            prop_assert!(best <= total(&picture, seed), "{origin}");
        }
    }

    #[test]
    fn a_plan_is_within_the_model_and_memory(picture in pictures(12, 9)) {
        let planned = planned(&picture, &candidates(&picture, None, None), 200);
        for placement in [&planned.placement, &planned.full] {
            prop_assert_eq!(&placement.allowed(&picture), placement);
        }
        prop_assert!(planned.full.is_full(&picture));
    }

    #[test]
    fn the_same_picture_has_the_same_plan(picture in pictures(12, 9)) {
        let seeds = candidates(&picture, None, None);
        prop_assert_eq!(planned(&picture, &seeds, 200), planned(&picture, &seeds, 200));
    }

    #[test]
    fn hostile_seeds_make_no_plan_worse(picture in pictures(12, 9), spans in proptest::collection::vec((any::<u16>(), any::<u16>()), 0..12)) {
        let mut seeds = candidates(&picture, None, None);
        let hostile = spans.into_iter().map(|(start, end)| Span { start, end }).collect();
        seeds.push((Origin::Schema(0), Placement(hostile)));
        let planned = planned(&picture, &seeds, 100);
        for (_, seed) in &seeds[..seeds.len() - 1] {
            prop_assert!(planned.score.total * (1.0 - 1e-9) <= total(&picture, seed));
        }
    }
}

#[test]
fn a_raised_flag_ends_the_search_and_is_told() {
    let picture = alike(5);
    let seeds = candidates(&picture, None, None);
    let budget = Budget {
        evaluations: 1 << 40,
    };
    let stop = AtomicBool::new(true);
    let planned = plan(&picture, &seeds, &budget, &Objective::default(), &stop);
    assert!(planned.interrupted);
    assert!(planned.evaluations < 1000);
}
