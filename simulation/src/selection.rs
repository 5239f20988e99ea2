// SPDX-License-Identifier: Apache-2.0
//! Other ways to choose a response from the scores of the same round, for comparison with the
//! protocol's.

use rand::{seq::IteratorRandom, Rng};
use rand_chacha::ChaCha8Rng;

use crate::{
    stats::ranks,
    swarm::{Given, Played},
    votes::{Capabilities, Keys},
};

/// Weights of the rankers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Equal weights.
    Equal,
    /// Weights as on chain, by the deviations from the others' means.
    Chain,
    /// The same by five times as many rounds: what an agent did before it began to lie weighs
    /// longer.
    Long,
    /// By the share of pairs that a ranker orders like the others, over a window of rounds.
    Agreement,
}

/// Knowledge of each agent from earlier rounds, and the answers of this one.
#[derive(Clone, Debug)]
pub struct Known {
    /// Weight by five times as many rounds.
    pub long: Vec<f64>,
    /// Agreement in the order of pairs, from −1 (none) to 1 (all).
    pub agreement: Vec<f64>,
    /// Records with known answers.
    pub capabilities: Capabilities,
    /// The answers.
    pub keys: Keys,
}

/// A statistic of a response's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// Mean, as on chain.
    Mean,
    /// Median.
    Median,
    /// Mean of the ranks among each ranker's scores: nobody gains by exaggerating.
    Ranks,
}

/// A way to choose a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The chain's choice.
    Protocol,
    /// The truly best response.
    Oracle,
    /// The response that most rankers scored highest among those that they saw.
    Tops,
    /// Votes of equal answers and scores together, by weights from known answers.
    Votes,
    /// The response that a single ranker, drawn at random, scored highest.
    One,
    /// The largest statistic of weighted scores.
    By(Weights, Centre),
}

impl Selection {
    /// All ways. Equal weights and means give the unweighted mean.
    pub const ALL: [Self; 15] = [
        Self::Protocol,
        Self::Oracle,
        Self::Tops,
        Self::Votes,
        Self::One,
        Self::By(Weights::Equal, Centre::Mean),
        Self::By(Weights::Equal, Centre::Median),
        Self::By(Weights::Equal, Centre::Ranks),
        Self::By(Weights::Chain, Centre::Mean),
        Self::By(Weights::Chain, Centre::Median),
        Self::By(Weights::Chain, Centre::Ranks),
        Self::By(Weights::Long, Centre::Mean),
        Self::By(Weights::Agreement, Centre::Mean),
        Self::By(Weights::Agreement, Centre::Median),
        Self::By(Weights::Agreement, Centre::Ranks),
    ];

    /// Name in tables.
    pub fn name(self) -> String {
        match self {
            Self::By(weights, centre) => format!("{weights:?}-{centre:?}").to_lowercase(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// The response that it chooses; ties are broken at random.
    pub fn choose(self, played: &Played, known: &Known, rng: &mut ChaCha8Rng) -> Option<usize> {
        match self {
            Self::Protocol => played.winner,
            Self::Oracle => played.best(),
            Self::Votes => known.capabilities.choose(played, &known.keys),
            Self::Tops => {
                let tops: Vec<usize> = rankers(played)
                    .into_iter()
                    .filter_map(|ranker| top_of(played, ranker, rng))
                    .collect();
                let count = |author: usize| tops.iter().filter(|top| **top == author).count();
                let authors = played.qualities.keys();
                largest(authors.map(|author| (*author, count(*author) as f64)), rng)
            },
            Self::One => {
                let ranker = rankers(played).into_iter().choose(rng)?;
                top_of(played, ranker, rng)
            },
            Self::By(weights, centre) => {
                let of = |all: &[f64], who: usize| all.get(who).map_or(0.0, |own| own.max(0.0));
                let weight = |ranker: usize| match weights {
                    Weights::Equal => 1.0,
                    Weights::Chain => played.weights.get(&ranker).copied().unwrap_or(0.0),
                    Weights::Long => of(&known.long, ranker),
                    Weights::Agreement => of(&known.agreement, ranker),
                };
                by(played, weight, centre, rng)
            },
        }
    }
}

/// The response with the largest statistic of its scores under these weights.
pub fn by(
    played: &Played,
    weight: impl Fn(usize) -> f64,
    centre: Centre,
    rng: &mut ChaCha8Rng,
) -> Option<usize> {
    let known = played.scores.iter().any(|given| weight(given.ranker) > 0.0);
    // As long as no agent is known, all count the same.
    let weight = |given: &Given| if known { weight(given.ranker) } else { 1.0 };
    let places = match centre {
        Centre::Ranks => places(played),
        Centre::Mean | Centre::Median => played.scores.iter().map(|given| given.score).collect(),
    };
    let centres = played.qualities.keys().filter_map(|author| {
        let scores: Vec<(f64, f64)> = played
            .scores
            .iter()
            .zip(&places)
            .filter(|(given, _)| given.author == *author)
            .map(|(given, place)| (weight(given), *place))
            .collect();
        let centre = match centre {
            Centre::Median => weighted_median(scores),
            Centre::Mean | Centre::Ranks => weighted_mean(&scores),
        };
        Some((*author, centre?))
    });
    let centres: Vec<(usize, f64)> = centres.collect();
    largest(centres.into_iter(), rng)
}

fn weighted_mean(scores: &[(f64, f64)]) -> Option<f64> {
    let all: f64 = scores.iter().map(|(weight, _)| weight).sum();
    let sum: f64 = scores.iter().map(|(weight, score)| weight * score).sum();
    (all > 0.0).then(|| sum / all)
}

/// The score at which half of the weight is reached; between two scores, their middle.
fn weighted_median(mut scores: Vec<(f64, f64)>) -> Option<f64> {
    scores.retain(|(weight, _)| *weight > 0.0);
    scores.sort_by(|left, right| left.1.total_cmp(&right.1));
    let half = scores.iter().map(|(weight, _)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (index, (weight, score)) in scores.iter().enumerate() {
        below += weight;
        if (below - half).abs() < 1e-12 {
            let next = scores.get(index + 1).map_or(*score, |(_, next)| *next);
            return Some((score + next) / 2.0);
        }
        if below > half {
            return Some(*score);
        }
    }
    None
}

/// Rank of each score among those of its ranker, from 0, the worst, to 1.
fn places(played: &Played) -> Vec<f64> {
    let own = |ranker: usize| {
        played
            .scores
            .iter()
            .filter(move |given| given.ranker == ranker)
    };
    played
        .scores
        .iter()
        .map(|given| {
            let scores: Vec<f64> = own(given.ranker).map(|other| other.score).collect();
            let at = own(given.ranker).position(|other| other.author == given.author);
            let place = at.and_then(|at| ranks(&scores).get(at).copied());
            match (place, scores.len()) {
                (Some(place), n) if n > 1 => (place - 1.0) / (n - 1) as f64,
                _ => 0.5,
            }
        })
        .collect()
}

/// The response that a ranker scored highest.
fn top_of(played: &Played, ranker: usize, rng: &mut ChaCha8Rng) -> Option<usize> {
    let own = played.scores.iter().filter(|given| given.ranker == ranker);
    largest(own.map(|given| (given.author, given.score)), rng)
}

fn rankers(played: &Played) -> Vec<usize> {
    let mut rankers: Vec<usize> = played.scores.iter().map(|given| given.ranker).collect();
    rankers.sort_unstable();
    rankers.dedup();
    rankers
}

/// The item with the largest value. Ties are broken at random, because the order tells attackers
/// from others.
fn largest(values: impl Iterator<Item = (usize, f64)>, rng: &mut impl Rng) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    let mut equal = 0u32;
    for (who, value) in values {
        match best {
            Some((_, most)) if value < most => continue,
            Some((_, most)) if value == most => {
                equal += 1;
                if !rng.random_ratio(1, equal) {
                    continue;
                }
            },
            _ => equal = 1,
        }
        best = Some((who, value));
    }
    best.map(|(who, _)| who)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    /// Rankers 3, 4 and 5 score the responses 0 and 1; 1 is the better one, and 5 lies.
    fn played() -> Played {
        let scores = [(3, 0.4, 0.6), (4, 0.45, 0.55), (5, 1.0, 0.0)];
        let given = |ranker, author, score| Given {
            ranker,
            author,
            score,
        };
        Played {
            id: 0,
            blocks: Vec::new(),
            done: true,
            winner: Some(0),
            qualities: BTreeMap::from([(0, 0.4), (1, 0.6)]),
            scores: scores
                .iter()
                .flat_map(|(ranker, first, second)| {
                    [given(*ranker, 0, *first), given(*ranker, 1, *second)]
                })
                .collect(),
            weights: BTreeMap::from([(3, 0.2), (4, 0.2), (5, 0.2)]),
            rankings: 2,
            rejected: 0,
        }
    }

    #[test]
    fn exaggerating_moves_means_and_neither_medians_nor_ranks() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut choose =
            |selection: Selection, known: &Known| selection.choose(&played(), known, &mut rng);
        let known = |long: [f64; 6], agreement: [f64; 6]| Known {
            long: long.into(),
            agreement: agreement.into(),
            capabilities: Capabilities::new(6),
            keys: Keys::from([(0, 0), (1, 1)]),
        };
        let alike = known([1.0; 6], [1.0; 6]);
        assert_eq!(choose(Selection::Protocol, &alike), Some(0));
        assert_eq!(choose(Selection::Oracle, &alike), Some(1));
        assert_eq!(choose(Selection::Tops, &alike), Some(1));
        // Without known answers equation (3) decides, as on chain.
        assert_eq!(choose(Selection::Votes, &alike), Some(0));
        for (centre, who) in [(Centre::Mean, 0), (Centre::Median, 1), (Centre::Ranks, 1)] {
            for weights in [
                Weights::Equal,
                Weights::Chain,
                Weights::Long,
                Weights::Agreement,
            ] {
                assert_eq!(choose(Selection::By(weights, centre), &alike), Some(who));
            }
        }
        // An agent known to disagree does not count.
        let honest = [0.0, 0.0, 0.0, 1.0, 1.0, -1.0];
        for (weights, known) in [
            (Weights::Agreement, known([1.0; 6], honest)),
            (Weights::Long, known(honest, [1.0; 6])),
        ] {
            assert_eq!(
                choose(Selection::By(weights, Centre::Mean), &known),
                Some(1)
            );
        }
    }

    #[test]
    fn equal_responses_win_equally_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values = [(0, 0.5), (1, 0.7), (2, 0.7), (3, 0.7)];
        let mut wins = [0; 4];
        for _ in 0..3_000 {
            wins[largest(values.into_iter(), &mut rng).expect("there are values")] += 1;
        }
        assert_eq!(wins[0], 0);
        assert!(
            wins[1..].iter().all(|wins| (850..1_150).contains(wins)),
            "{wins:?}"
        );
    }

    #[test]
    fn medians_are_weighted() {
        assert_eq!(
            weighted_median(vec![(1.0, 0.9), (1.0, 0.1), (1.0, 0.2)]),
            Some(0.2)
        );
        assert_eq!(
            weighted_median(vec![(3.0, 0.9), (1.0, 0.1), (1.0, 0.2)]),
            Some(0.9)
        );
        assert_eq!(weighted_median(vec![(1.0, 0.25), (1.0, 0.75)]), Some(0.5));
        assert_eq!(weighted_median(vec![(0.0, 0.25)]), None);
    }
}
