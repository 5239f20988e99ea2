// SPDX-License-Identifier: Apache-2.0
//! The assignment of responses to rankers, equation (2).

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use proptest::prelude::*;
use starling_primitives::{
    assignment::{positions, rankings, Assignment},
    commitment::assignment_seed,
    H256,
};

fn seed(n: u64) -> H256 {
    H256::from_low_u64_be(n)
}

fn rounds() -> impl Strategy<Value = (H256, u32, u32)> {
    (any::<[u8; 32]>(), 2..200u32).prop_flat_map(|(seed, n)| (Just(H256(seed)), Just(n), 0..n + 3))
}

proptest! {
    #[test]
    fn every_agent_ranks_exactly_k_others((seed, n, k) in rounds()) {
        let assignment = Assignment::new(seed, n, k);
        for ranker in 0..n as u16 {
            let responses = assignment.responses(ranker);
            prop_assert_eq!(responses.len() as u32, k.min(n - 1));
            prop_assert!(!responses.contains(&ranker), "never its own");
            prop_assert!(responses.windows(2).all(|pair| pair[0] < pair[1]), "each once");
            prop_assert!(responses.iter().all(|response| u32::from(*response) < n));
        }
    }

    #[test]
    fn every_response_is_ranked_by_exactly_k((seed, n, k) in rounds()) {
        let assignment = Assignment::new(seed, n, k);
        let mut rankers = vec![Vec::new(); n as usize];
        for ranker in 0..n as u16 {
            for response in assignment.responses(ranker) {
                rankers[response as usize].push(ranker);
            }
        }
        for (response, rankers) in rankers.into_iter().enumerate() {
            prop_assert_eq!(rankers.len() as u32, k.min(n - 1));
            prop_assert_eq!(assignment.rankers(response as u16), rankers);
        }
    }

    #[test]
    fn the_shuffle_is_a_permutation_and_follows_from_the_seed(seed: [u8; 32], n in 0..600u32) {
        let order = positions(H256(seed), n);
        prop_assert_eq!(&order, &positions(H256(seed), n));
        let mut sorted = order;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..n as u16).collect::<Vec<_>>());
    }

    #[test]
    fn the_assignment_follows_from_the_seed((seed, n, k) in rounds()) {
        prop_assert_eq!(Assignment::new(seed, n, k), Assignment::new(seed, n, k));
    }

    #[test]
    fn k_is_a_third_within_its_bounds(n in 0..1000u32, minimum in 0..20u32, more in 0..400u32) {
        let k = rankings(n, minimum, minimum + more);
        prop_assert!(k <= n.saturating_sub(1));
        if n > minimum {
            prop_assert!(k >= minimum);
        }
        prop_assert!(k <= minimum + more);
        let third = n.saturating_sub(1).div_ceil(3);
        if (minimum..=minimum + more).contains(&third) {
            prop_assert_eq!(k, third);
        }
    }

    #[test]
    fn the_seed_depends_on_everything_it_is_made_of(
        round: u64, hash: [u8; 32], mut keys in prop::collection::vec(any::<[u8; 32]>(), 1..9),
        at: prop::sample::Index
    ) {
        let seed = assignment_seed(round, H256(hash), &keys);
        prop_assert_ne!(seed, assignment_seed(round.wrapping_add(1), H256(hash), &keys));
        prop_assert_ne!(seed, assignment_seed(round, H256::repeat_byte(hash[0]), &keys));
        prop_assert_ne!(seed, assignment_seed(round, H256(hash), &keys[1..]));
        let at = at.index(keys.len());
        keys[at][0] ^= 1;
        prop_assert_ne!(seed, assignment_seed(round, H256(hash), &keys));
    }
}

#[test]
fn every_shuffle_is_equally_likely() {
    let mut counts = std::collections::BTreeMap::new();
    for number in 0..24_000 {
        *counts.entry(positions(seed(number), 4)).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24, "all orders of four");
    let squares = counts
        .values()
        .map(|count| (f64::from(*count) - 1000.0).powi(2));
    let statistic = squares.sum::<f64>() / 1000.0;
    // χ² with 23 degrees of freedom: its mean and five standard deviations.
    assert!(statistic < 23.0 + 5.0 * 46f64.sqrt(), "χ² {statistic}");
}

#[test]
fn positions_that_do_not_exist_have_no_assignment() {
    let assignment = Assignment::new(seed(1), 5, 3);
    assert!(assignment.responses(5).is_empty());
    assert!(assignment.rankers(5).is_empty());
    assert!(Assignment::new(seed(1), 1, 3).responses(0).is_empty());
    assert!(Assignment::new(seed(1), 0, 3).responses(0).is_empty());
}

/// Counts each ordered pair of agents over many seeds. Returns χ² over the pairs, and its degrees
/// of freedom.
fn pair_statistic(n: u32, k: u32, seeds: u64) -> (f64, f64) {
    let agents = n as usize;
    let mut counts = vec![0u64; agents * agents];
    for number in 0..seeds {
        let order = positions(seed(number), n);
        let assignment = Assignment::new(seed(number), n, k);
        let mut agent_at = vec![0; agents];
        for (agent, position) in order.iter().enumerate() {
            agent_at[*position as usize] = agent;
        }
        for (agent, position) in order.iter().enumerate() {
            for response in assignment.responses(*position) {
                counts[agent * agents + agent_at[response as usize]] += 1;
            }
        }
    }
    let pairs = (agents * (agents - 1)) as f64;
    let likely = f64::from(k) / f64::from(n - 1);
    let expected = seeds as f64 * likely;
    let mut statistic = 0.0;
    for ranker in 0..agents {
        for response in 0..agents {
            let count = counts[ranker * agents + response] as f64;
            if ranker == response {
                assert_eq!(count, 0.0, "never its own");
            } else {
                // Each count is binomial: standardised with its own variance.
                statistic += (count - expected).powi(2) / (expected * (1.0 - likely));
            }
        }
    }
    (statistic, pairs)
}

#[test]
fn every_ordered_pair_is_equally_likely() {
    for (n, k) in [(4, 1), (5, 2), (10, 3), (13, 4), (50, 16)] {
        let (statistic, degrees) = pair_statistic(n, k, 4000);
        // The counts of one round are dependent, because each agent ranks exactly k. That only
        // takes degrees of freedom away: the mean of χ² is that of independent pairs. A limit of
        // five standard deviations, sqrt(2·degrees) each, catches any distribution that is not
        // uniform.
        let limit = degrees + 5.0 * (2.0 * degrees).sqrt();
        assert!(
            statistic < limit,
            "n {n}, k {k}: χ² {statistic} of {degrees}"
        );
        assert!(
            statistic > degrees / 4.0,
            "n {n}, k {k}: χ² {statistic} is too even"
        );
    }
}
