// SPDX-License-Identifier: Apache-2.0
//! The choice by votes: as exact as floats, in any order, and nothing is gained by splitting.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use starling_primitives::{
    choice::{log_odds, Choice, Evidence, Form, Odds, Outcome, Response, Votes},
    fixed::ONE,
    selection::{best, tie_break, Tally},
    Score, H256,
};

const SEED: H256 = H256::repeat_byte(7);

/// Agents that rank all others.
#[derive(Clone, Debug)]
struct Round {
    keys: Vec<Option<u8>>,
    /// Weights as authors, as rankers, and by ratings.
    weights: Vec<[u64; 3]>,
    disclosed: Vec<bool>,
    /// The score of each ranker for each response; its own does not count.
    scores: Vec<Vec<u16>>,
}

impl Round {
    fn responses(&self) -> Vec<Response<u64>> {
        let agents = self.keys.len();
        let mut responses: Vec<Response<u64>> = (0..agents)
            .map(|agent| Response {
                agent: agent as u64,
                tally: Tally::default(),
                key: self.keys[agent].map(H256::repeat_byte),
                weight: self.weights[agent][0],
                is_proven: true,
                has_disclosed: self.disclosed[agent],
                evidence: Evidence::default(),
            })
            .collect();
        for ranker in 0..agents {
            let ranked: Vec<usize> = (0..agents).filter(|other| *other != ranker).collect();
            let scores: Vec<Score> = ranked
                .iter()
                .map(|author| Score(self.scores[ranker][*author]))
                .collect();
            let [_, weight, rating] = self.weights[ranker];
            for ((author, score), odds) in ranked.iter().zip(&scores).zip(log_odds(&scores)) {
                let is_alike = self.alike(ranker, *author);
                let response = &mut responses[*author];
                response.tally.assigned += rating;
                response.evidence.tally.assigned += weight;
                if self.disclosed[ranker] {
                    response.tally.add(rating, *score);
                    response.evidence.add(weight, *score, odds, is_alike);
                }
            }
        }
        responses
    }

    fn alike(&self, ranker: usize, author: usize) -> bool {
        self.keys[ranker].is_some() && self.keys[ranker] == self.keys[author]
    }

    /// Whether rankers of at least half of the weight disclosed, and the author did.
    fn is_eligible(&self, author: usize) -> bool {
        let sum = |all: bool| -> u64 {
            (0..self.keys.len())
                .filter(|ranker| *ranker != author && (all || self.disclosed[*ranker]))
                .map(|ranker| self.weights[ranker][1])
                .sum()
        };
        self.disclosed[author] && sum(false) > 0 && 2 * sum(false) >= sum(true)
    }

    /// `ln(V_a + 0.001) + S_a` of the answers that can win, by floats, with the authors of those.
    fn supports(&self) -> Vec<(f64, Vec<usize>)> {
        let agents = self.keys.len();
        let mut answers: BTreeMap<(Option<u8>, usize), Vec<usize>> = BTreeMap::new();
        for (author, key) in self.keys.iter().enumerate() {
            let own = if key.is_some() { 0 } else { author };
            answers.entry((*key, own)).or_default().push(author);
        }
        let float = |weight: u64| weight as f64 / ONE as f64;
        let odds = |ranker: usize, author: usize| {
            let others = (0..agents).filter(|other| *other != ranker);
            let scores: Vec<u16> = others.map(|other| self.scores[ranker][other]).collect();
            let own = self.scores[ranker][author];
            let x = if scores.len() < 4 {
                (f64::from(own) / 65_535.0).clamp(0.1, 0.9)
            } else {
                let below = scores.iter().filter(|score| **score < own).count() as f64;
                let equal = scores.iter().filter(|score| **score == own).count() as f64;
                (below + equal / 2.0) / scores.len() as f64
            };
            ((x + 0.02) / (1.02 - x)).ln()
        };
        answers
            .into_values()
            .filter(|authors| authors.iter().any(|author| self.is_eligible(*author)))
            .map(|authors| {
                let mut votes: Vec<f64> = authors
                    .iter()
                    .map(|author| float(self.weights[*author][0]))
                    .collect();
                votes.sort_by(|left, right| right.total_cmp(left));
                let votes: f64 = votes.iter().take(3).sum();
                let heard = |author: usize| {
                    (0..agents).filter(move |ranker| *ranker != author && self.disclosed[*ranker])
                };
                let has_others = authors.iter().any(|author| {
                    let others = heard(*author).filter(|ranker| {
                        !self.alike(*ranker, *author) && self.weights[*ranker][1] > 0
                    });
                    others.count() >= 3
                });
                let (mut sum, mut weights) = (0.0, 0.0);
                for author in &authors {
                    for ranker in heard(*author) {
                        if has_others && self.alike(ranker, *author) {
                            continue;
                        }
                        let weight = float(self.weights[ranker][1]);
                        sum += weight * odds(ranker, *author);
                        weights += weight;
                    }
                }
                let mean = if weights > 0.0 { sum / weights } else { 0.0 };
                ((votes + 0.001).ln() + mean, authors)
            })
            .collect()
    }

    fn mean(&self, author: usize) -> f64 {
        let heard = (0..self.keys.len()).filter(|j| *j != author && self.disclosed[*j]);
        let (sum, weights) = heard.fold((0.0, 0.0), |(sum, weights), ranker| {
            let weight = self.weights[ranker][1] as f64;
            let score = f64::from(self.scores[ranker][author]);
            (sum + weight * score, weights + weight)
        });
        if weights > 0.0 {
            sum / weights
        } else {
            -1.0
        }
    }
}

/// The choice without a least number of proven agents.
fn always() -> Choice {
    Choice::Votes(Votes {
        rankers: 0,
        authors: 0,
        ..Votes::default()
    })
}

fn vote(responses: &[Response<u64>]) -> Option<Outcome<u64>> {
    always().best(SEED, Form::Short, responses)
}

/// Random numbers, by SplitMix64: a hundred thousand rounds of proptest take too long.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn round(&mut self) -> Round {
        let agents = 2 + self.below(7) as usize;
        // Few steps make ties, many make none.
        let steps = [5, 65_536][self.below(2) as usize];
        let weight = |random: &mut Self| match random.below(6) {
            0 => 0,
            1 => ONE / 10,
            _ => random.below(4 * ONE),
        };
        Round {
            keys: (0..agents)
                .map(|_| Some(self.below(4) as u8).filter(|key| *key > 0))
                .collect(),
            weights: (0..agents)
                .map(|_| [weight(self), weight(self), weight(self)])
                .collect(),
            disclosed: (0..agents).map(|_| self.below(8) > 0).collect(),
            scores: (0..agents)
                .map(|_| (0..agents).map(|_| self.below(steps) as u16).collect())
                .collect(),
        }
    }
}

#[test]
fn fixed_point_chooses_as_floats_do() {
    let mut random = Random(1);
    let mut compared = 0;
    for _ in 0..100_000 {
        let round = random.round();
        let mut supports = round.supports();
        let outcome = vote(&round.responses()).filter(|outcome| outcome.is_voted);
        assert_eq!(outcome.is_some(), !supports.is_empty(), "{round:?}");
        let Some(outcome) = outcome else { continue };
        supports.sort_by(|left, right| right.0.total_cmp(&left.0));
        if supports
            .get(1)
            .is_some_and(|second| supports[0].0 - second.0 < 1e-5)
        {
            continue;
        }
        let authors = &supports[0].1;
        let winner = outcome.winner as usize;
        assert!(authors.contains(&winner), "{outcome:?} {round:?}");
        assert!(round.is_eligible(winner));
        assert_eq!(outcome.votes as usize, authors.len());
        let eligible = authors.iter().filter(|author| round.is_eligible(**author));
        for author in eligible {
            assert!(round.mean(winner) >= round.mean(*author) - 1e-6);
        }
        compared += 1;
    }
    assert!(compared > 80_000, "{compared}");
}

fn rounds() -> impl Strategy<Value = Round> {
    any::<u64>().prop_map(|seed| Random(seed).round())
}

/// A response with this key that scores cannot tell from another one.
fn alike(agent: u64, key: u8, weight: u64, odds: i64) -> Response<u64> {
    let mut evidence = Evidence::default();
    evidence.tally.assigned = ONE;
    evidence.add(ONE, Score(9), odds, false);
    Response {
        agent,
        tally: evidence.tally,
        key: Some(H256::repeat_byte(key)),
        weight,
        is_proven: true,
        has_disclosed: true,
        evidence,
    }
}

proptest! {
    #[test]
    fn the_order_of_responses_does_not_matter(
        (round, order) in rounds().prop_flat_map(|round| {
            let order: Vec<usize> = (0..round.keys.len()).collect();
            (Just(round), Just(order).prop_shuffle())
        })
    ) {
        let responses = round.responses();
        let shuffled: Vec<_> = order.iter().map(|index| responses[*index].clone()).collect();
        for choice in [Choice::Paper, Choice::Votes(Votes::default()), always()] {
            for form in [Form::Free, Form::Short] {
                prop_assert_eq!(
                    choice.best(SEED, form, &responses),
                    choice.best(SEED, form, &shuffled)
                );
            }
        }
    }

    #[test]
    fn the_order_of_disclosures_does_not_matter(
        (list, shuffled) in prop::collection::vec(
            (0..=4 * ONE, any::<u16>(), -4 * ONE as i64..=4 * ONE as i64, any::<bool>()),
            0..40,
        ).prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle()))
    ) {
        let sum = |list: &[(u64, u16, i64, bool)]| {
            let mut evidence = Evidence::default();
            for (weight, score, odds, is_alike) in list {
                evidence.add(*weight, Score(*score), *odds, *is_alike);
            }
            evidence
        };
        prop_assert_eq!(sum(&list), sum(&shuffled));
    }

    #[test]
    fn equation_3_decides_in_the_preset_of_the_paper_and_for_free_answers(round in rounds()) {
        let responses = round.responses();
        let tallies = responses.iter().map(|response| (response.agent, response.tally));
        let by_scores = best(SEED, tallies);
        for (choice, form) in [
            (Choice::Paper, Form::Short),
            (Choice::Paper, Form::Free),
            (always(), Form::Free),
        ] {
            let outcome = choice.best(SEED, form, &responses);
            prop_assert!(outcome.as_ref().is_none_or(|outcome| !outcome.is_voted));
            let chosen = outcome.map(|outcome| (outcome.winner, outcome.tally));
            prop_assert_eq!(chosen, by_scores);
        }
    }

    #[test]
    fn splitting_an_answer_never_helps(
        weights in prop::collection::vec(0..=8 * ONE, 2..8),
        rivals in prop::collection::vec((0..=8 * ONE, -4 * ONE as i64..=4 * ONE as i64), 1..6),
        odds in -4 * ONE as i64..=4 * ONE as i64,
        at: prop::sample::Index,
    ) {
        let group = |key: &dyn Fn(usize) -> u8| {
            let own = weights.iter().enumerate().map(|(index, weight)| {
                alike(index as u64, key(index), *weight, odds)
            });
            let others = rivals.iter().enumerate().map(|(index, (weight, odds))| {
                alike(100 + index as u64, 100 + index as u8, *weight, *odds)
            });
            let responses: Vec<_> = own.chain(others).collect();
            vote(&responses).unwrap().winner < 100
        };
        let at = at.index(weights.len());
        let together = group(&|_| 1);
        let apart = group(&|index| if index < at { 1 } else { 2 });
        prop_assert!(together || !apart);
    }

    #[test]
    fn splitting_a_weight_among_identities_never_helps(
        weight in 0..=8 * ONE,
        rivals in prop::collection::vec((0..=8 * ONE, -4 * ONE as i64..=4 * ONE as i64), 1..6),
        odds in -4 * ONE as i64..=4 * ONE as i64,
        identities in 2..9u64,
    ) {
        // Of equal answers that of more identities has more chances of the lowest hash.
        prop_assume!(!rivals.contains(&(weight, odds)));
        let wins = |parts: u64| {
            let own = (0..parts).map(|index| alike(index, 1, weight / parts, odds));
            let others = rivals.iter().enumerate().map(|(index, (weight, odds))| {
                alike(100 + index as u64, 100 + index as u8, *weight, *odds)
            });
            let responses: Vec<_> = own.chain(others).collect();
            vote(&responses).unwrap().winner < 100
        };
        prop_assert!(wins(1) || !wins(identities));
    }

    #[test]
    fn a_vote_for_the_winner_never_hurts_it(
        round in rounds(),
        weight in 0..=8 * ONE,
        more in 0..=ONE,
    ) {
        let mut responses = round.responses();
        let Some(before) = vote(&responses) else { return Ok(()) };
        let winner = responses.iter().position(|other| other.agent == before.winner).unwrap();
        prop_assume!(responses[winner].key.is_some());
        responses.push(Response {
            agent: 1_000,
            tally: Tally::default(),
            key: responses[winner].key,
            weight,
            is_proven: false,
            has_disclosed: false,
            evidence: Evidence::default(),
        });
        let after = vote(&responses).unwrap();
        prop_assert_eq!(after.winner, before.winner);
        prop_assert_eq!(after.votes, before.votes + 1);
        prop_assert!(after.weight >= before.weight);
        responses[winner].weight += more;
        prop_assert_eq!(vote(&responses).unwrap().winner, before.winner);
    }

    #[test]
    fn better_odds_never_hurt_the_winner(round in rounds(), more in 0..=4 * ONE as i64) {
        let mut responses = round.responses();
        let Some(before) = vote(&responses) else { return Ok(()) };
        let winner = responses.iter().position(|other| other.agent == before.winner).unwrap();
        let others = &mut responses[winner].evidence.others;
        others.sum += i128::from(others.weight) * i128::from(more);
        prop_assert_eq!(vote(&responses).unwrap().winner, before.winner);
    }

    #[test]
    fn any_numbers_give_an_outcome(
        responses in prop::collection::vec(
            (
                0..4u8,
                prop::array::uniform8(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]),
                prop::array::uniform2(prop_oneof![Just(i128::MIN), Just(i128::MAX), any::<i128>()]),
                any::<[u32; 4]>(),
            ),
            0..12,
        ),
        limits: [u32; 4],
        unproven: u64,
    ) {
        let responses: Vec<Response<u64>> = responses
            .into_iter()
            .enumerate()
            .map(|(index, (key, weights, sums, counts))| {
                let tally = Tally {
                    assigned: weights[0],
                    disclosed: weights[1],
                    weighted: u128::from(weights[2]) * u128::from(weights[3]),
                    total: counts[0],
                    count: counts[1],
                };
                Response {
                    agent: index as u64,
                    tally,
                    key: Some(H256::repeat_byte(key)).filter(|_| key > 0),
                    weight: weights[4],
                    is_proven: counts[2].is_multiple_of(2),
                    has_disclosed: counts[3].is_multiple_of(2),
                    evidence: Evidence {
                        tally,
                        others: Odds { weight: weights[5], sum: sums[0], rankers: counts[2] },
                        alike: Odds { weight: weights[6], sum: sums[1], rankers: counts[3] },
                    },
                }
            })
            .collect();
        let votes = Votes {
            proof: limits[0],
            unproven,
            counted: limits[1],
            rankers: limits[2] % 4,
            authors: limits[3] % 4,
        };
        for choice in [Choice::Paper, Choice::Votes(votes), always()] {
            let outcome = choice.best(SEED, Form::Number, &responses);
            let is_eligible = |response: &Response<u64>| response.tally.is_eligible();
            prop_assert_eq!(outcome.is_some(), responses.iter().any(is_eligible));
            if let Some(outcome) = outcome {
                prop_assert!((1..=ONE).contains(&outcome.share_of_votes()));
                prop_assert!(outcome.share_of_weight() <= ONE);
            }
        }
        let mut evidence = responses.first().map_or_else(Evidence::default, |one| one.evidence);
        for odds in [i64::MIN, i64::MAX] {
            evidence.add(u64::MAX, Score::ONE, odds, odds > 0);
        }
    }
}

#[test]
fn the_most_weight_of_votes_wins_among_equal_scores() {
    let responses = [
        alike(0, 1, ONE, 0),
        alike(1, 1, ONE, 0),
        alike(2, 2, 3 * ONE / 2, 0),
        alike(3, 3, ONE / 4, 0),
    ];
    let outcome = vote(&responses).unwrap();
    assert!(outcome.winner < 2 && outcome.is_voted);
    assert_eq!((outcome.votes, outcome.responses), (2, 4));
    assert_eq!(outcome.share_of_votes(), ONE / 2);
    assert_eq!(outcome.weight, 2 * ONE);
    assert_eq!(outcome.weights, 2 * ONE + 3 * ONE / 2 + ONE / 4);
}

#[test]
fn many_identities_without_proof_do_not_outvote_one_that_knows() {
    let votes = Votes::default();
    let mut responses: Vec<_> = (0..40)
        .map(|agent| alike(agent, 1, votes.unproven, 0))
        .collect();
    responses.push(alike(40, 2, ONE, 0));
    let outcome = vote(&responses).unwrap();
    assert_eq!(outcome.winner, 40);
    assert_eq!(outcome.weights, ONE + 3 * votes.unproven);
}

#[test]
fn scores_decide_between_answers_without_votes() {
    let good = ONE as i64;
    let responses = [
        alike(0, 1, 0, -good),
        alike(1, 2, 0, good),
        alike(2, 1, 0, -good),
    ];
    let outcome = vote(&responses).unwrap();
    assert_eq!(outcome.winner, 1);
    assert_eq!(outcome.share_of_weight(), 0);
}

#[test]
fn of_equal_answers_the_lowest_hash_wins() {
    let responses: Vec<_> = (0..20)
        .map(|agent| alike(agent, agent as u8, ONE, 0))
        .collect();
    let lowest = (0..20)
        .min_by_key(|agent: &u64| tie_break(SEED, agent))
        .unwrap();
    assert_eq!(vote(&responses).unwrap().winner, lowest);
    // Within one answer, too.
    let responses: Vec<_> = (0..20).map(|agent| alike(agent, 1, ONE, 0)).collect();
    assert_eq!(vote(&responses).unwrap().winner, lowest);
}

#[test]
fn nobody_is_a_witness_for_its_own_answer() {
    // Four of a ring praise their answer, three others do not.
    let praised = |others: u32| {
        let mut ring = alike(0, 1, ONE, 0);
        ring.evidence = Evidence::default();
        for _ in 0..4 {
            ring.evidence.add(ONE, Score::ONE, 3 * ONE as i64, true);
        }
        for _ in 0..others {
            ring.evidence.add(ONE, Score(0), -3 * ONE as i64, false);
        }
        ring.evidence.tally.assigned = ring.evidence.tally.disclosed;
        vote(&[ring, alike(1, 2, ONE, 0)]).unwrap().winner
    };
    assert_eq!(praised(3), 1);
    assert_eq!(praised(2), 0, "two others are too few to be heard alone");
    // Others without a weight say nothing.
    let mut ring = alike(0, 1, ONE, 0);
    ring.evidence = Evidence::default();
    ring.evidence.add(ONE, Score::ONE, 3 * ONE as i64, true);
    (0..9).for_each(|_| ring.evidence.add(0, Score(0), -3 * ONE as i64, false));
    assert_eq!(vote(&[ring, alike(1, 2, ONE, 0)]).unwrap().winner, 0);
}

#[test]
fn equation_3_decides_until_enough_agents_are_proven() {
    let votes = Choice::Votes(Votes::default());
    let agents = |proven: usize, disclosed: usize| {
        let response = |agent: usize| Response {
            is_proven: agent < proven,
            has_disclosed: agent < disclosed,
            ..alike(agent as u64, agent as u8, ONE, 0)
        };
        let responses: Vec<_> = (0..6).map(response).collect();
        votes.best(SEED, Form::Number, &responses).unwrap().is_voted
    };
    assert!(agents(5, 3));
    assert!(agents(6, 6));
    assert!(!agents(4, 4), "nobody besides the rankers");
    assert!(!agents(6, 2), "two rankers");
    assert!(!agents(0, 6));
}

#[test]
fn who_withholds_its_scores_wins_no_vote() {
    let withheld = Response {
        has_disclosed: false,
        ..alike(0, 1, 4 * ONE, 3 * ONE as i64)
    };
    let others = [alike(1, 2, ONE, 0), alike(2, 3, ONE / 2, 0)];
    let responses = [[withheld.clone()].as_slice(), &others].concat();
    let outcome = vote(&responses).unwrap();
    assert!(outcome.is_voted);
    assert_eq!(outcome.winner, 1);
    // Its vote still counts for an answer that another one gives, too.
    let same = Response {
        key: withheld.key,
        ..alike(3, 1, 0, 0)
    };
    let responses = [responses.as_slice(), &[same]].concat();
    assert_eq!(vote(&responses).unwrap().winner, 3);
    // Where nobody can win by votes, equation (3) decides.
    assert!(!vote(&[withheld]).unwrap().is_voted);
}

#[test]
fn no_responses_have_no_winner() {
    assert_eq!(vote(&[]), None);
    assert_eq!(Choice::Paper.best::<u64>(SEED, Form::Free, &[]), None);
}
