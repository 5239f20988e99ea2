// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use std::collections::{BTreeMap, BTreeSet};

use starling_primitives::{commitment::assignment_seed, traits::Ratings as _, Position};

#[test]
fn the_seed_follows_from_the_last_committing_block_s_randomness_and_the_keys_in_agent_order() {
    run(|| {
        let id = ask();
        to_revealing(id, 6);
        let last = System::block_number() - 1;
        let hash = System::block_hash(last);
        assert_eq!(round(id).commit_randomness, Some(hash));
        // Revealed in another order.
        for who in [4, 1, 6, 2, 5, 3] {
            reveal(id, who);
        }
        next_block();
        let keys: Vec<_> = (1..=6).map(|who| secret(id, who)).collect();
        assert_eq!(round(id).seed, Some(assignment_seed(id, hash, &keys)));
    });
}

#[test]
fn a_withheld_key_gives_another_seed_and_costs_its_owner() {
    let seed = |withheld: bool| {
        run(|| {
            let id = ask();
            to_revealing(id, 6);
            (1..=5).for_each(|who| reveal(id, who));
            if !withheld {
                reveal(id, 6);
            }
            blocks(RevealWindow::get());
            assert_eq!(phase(id), Phase::Ranking);
            round(id).seed.unwrap()
        })
    };
    assert_ne!(
        seed(true),
        seed(false),
        "one bit of choice for a ticket and a slash"
    );
}

#[test]
fn everybody_ranks_k_others_and_everything_is_ranked_by_k() {
    run(|| {
        let id = ask();
        to_ranking(id, 7);
        let it = round(id);
        assert_eq!(it.rankings, 3, "MinRankings");
        let mut ranked: BTreeMap<Position, u32> = BTreeMap::new();
        for who in 1..=7 {
            let scores = scores_by(id, who, quality);
            let own = Entries::<Test>::iter_prefix(id)
                .find(|(_, it)| it.agent == who)
                .unwrap()
                .0;
            let places: BTreeSet<_> = scores.iter().map(|(place, _)| *place).collect();
            assert_eq!(places.len(), 3);
            assert!(!places.contains(&own));
            places
                .into_iter()
                .for_each(|place| *ranked.entry(place).or_default() += 1);
        }
        assert_eq!(ranked.into_values().collect::<Vec<_>>(), vec![3; 7]);
    });
}

#[test]
fn weights_are_read_once() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let weight = Ratings::weight(&1);
        for (_, entry) in Entries::<Test>::iter_prefix(id) {
            assert_eq!(
                entry.tally.assigned,
                3 * weight,
                "three rankers of the initial weight"
            );
        }
        let deviations = starling_primitives::rating::Deviations {
            squares: 1 << 64,
            count: 20,
        };
        Ratings::record(&1, deviations);
        assert_ne!(Ratings::weight(&1), weight);
        let Response::Valid { weight: fixed, .. } = response_of(id, 1) else {
            panic!()
        };
        assert_eq!(fixed, weight);
    });
}

#[test]
fn the_assigned_weight_of_a_response_is_that_of_its_rankers() {
    run(|| {
        // Every agent has a past of its own.
        for who in AGENTS {
            let deviations = starling_primitives::rating::Deviations {
                squares: u128::from(who) << 60,
                count: 20,
            };
            Ratings::record(&who, deviations);
        }
        let id = ask();
        to_ranking(id, 8);
        let mut assigned: BTreeMap<Position, u64> = BTreeMap::new();
        for who in AGENTS {
            for (place, _) in scores_by(id, who, quality) {
                *assigned.entry(place).or_default() += Ratings::weight(&who);
            }
        }
        let distinct: BTreeSet<_> = assigned.values().collect();
        assert!(distinct.len() > 1);
        for (place, entry) in Entries::<Test>::iter_prefix(id) {
            assert_eq!(entry.tally.assigned, assigned[&place]);
        }
    });
}

#[test]
fn spoiled_responses_are_neither_ranked_nor_rank() {
    run(|| {
        let id = ask();
        next_block();
        commit_garbage(id, 8);
        (1..=7).for_each(|who| commit(id, who));
        next_block();
        (1..=8).for_each(|who| reveal(id, who));
        next_block();
        let agents: BTreeSet<_> = Entries::<Test>::iter_prefix(id)
            .map(|(_, entry)| entry.agent)
            .collect();
        assert_eq!(agents, (1..=7).collect());
        let call = commit_scores_call(id, 8, round(id).seed.unwrap(), &[]);
        assert_refused(call, custom(Error::NoResponse), Error::NoResponse);
    });
}
