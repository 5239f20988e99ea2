// SPDX-License-Identifier: Apache-2.0
//! Weights from known answers.
//!
//! The answers to some questions become public when their rounds are over. They tell which agents
//! answer right, and which of them rank right answers above wrong ones. What the others say about
//! an agent does not count: where most share an error, it puts those last that know better.

use alloc::collections::BTreeMap;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::H256;

use super::{Form, Votes};
use crate::{
    fixed::{logit, ratio, sqrt_up, ONE},
    Score,
};

/// The least probability that an agent is credited with by chance: 0.02.
const LEAST: u64 = ONE / 50;

/// The greatest probability that an agent is credited with: 0.98.
const MOST: u64 = ONE - LEAST;

/// A ranker's pairs of a right and a wrong answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Two for each pair with the right answer above the wrong one, one for each tie.
    pub halves: u32,
    /// All pairs.
    pub all: u32,
}

/// The pairs in what a ranker scored: the key and the score of each response. `right` has the keys
/// of the right answer.
///
/// There is one pair for each wrong key, however many responses have it, so that copies of an easy
/// error make nobody look better. A response without a key is a wrong answer of its own. Answers
/// with several scores count by their mean.
pub fn pairs(right: &[H256], scored: &[(Option<H256>, Score)]) -> Pairs {
    let mut good = Mean::default();
    let mut wrong: BTreeMap<(Option<H256>, usize), Mean> = BTreeMap::new();
    for (index, (key, score)) in scored.iter().enumerate() {
        match key {
            Some(key) if right.contains(key) => good.add(*score),
            Some(_) => wrong.entry((*key, 0)).or_default().add(*score),
            None => wrong.entry((None, index)).or_default().add(*score),
        }
    }
    if good.count == 0 {
        return Pairs::default();
    }
    let mut pairs = Pairs::default();
    for wrong in wrong.values() {
        let halves = match good.product(wrong).cmp(&wrong.product(&good)) {
            core::cmp::Ordering::Greater => 2,
            core::cmp::Ordering::Equal => 1,
            core::cmp::Ordering::Less => 0,
        };
        pairs.halves = pairs.halves.saturating_add(halves);
        pairs.all = pairs.all.saturating_add(1);
    }
    pairs
}

#[derive(Default)]
struct Mean {
    sum: u64,
    count: u64,
}

impl Mean {
    fn add(&mut self, score: Score) {
        self.sum = self.sum.saturating_add(score.0.into());
        self.count = self.count.saturating_add(1);
    }

    /// Compares means: the greater one has the greater product with the other's count.
    fn product(&self, other: &Self) -> u128 {
        u128::from(self.sum).saturating_mul(other.count.into())
    }
}

/// The lesson of one known answer about an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether its own answer was right.
    pub is_right: bool,
    /// The share of right answers by chance, 32 fractional bits: one divided by the number of
    /// options, or 0.05.
    pub chance: u64,
    /// Its pairs as a ranker.
    pub pairs: Pairs,
}

/// An agent's record with known answers of one form: sums with 32 fractional bits, in which earlier
/// answers fade.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Capability {
    /// Number of known answers so far. It does not fade.
    pub rounds: u32,
    /// Its right answers.
    pub right: u64,
    /// Its answers.
    pub answers: u64,
    /// The shares of right answers by chance.
    pub chance: u64,
    /// Its pairs in the right order.
    pub ordered: u64,
    /// Its pairs.
    pub pairs: u64,
}

/// The records of an agent with known answers, one of each form whose answers are counted.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Capabilities {
    /// Of questions for a number.
    pub number: Capability,
    /// Of questions with options.
    pub choice: Capability,
    /// Of questions for a few words.
    pub short: Capability,
}

impl Capabilities {
    /// Reads the record of each form.
    pub fn read(known: impl Fn(Form) -> Capability) -> Self {
        Self {
            number: known(Form::Number),
            choice: known(Form::Choice),
            short: known(Form::Short),
        }
    }

    /// The record of this form: an empty one for free text.
    pub fn in_form(&self, form: Form) -> Capability {
        match form {
            Form::Free => Capability::default(),
            Form::Number => self.number,
            Form::Choice => self.choice,
            Form::Short => self.short,
        }
    }
}

/// The weights of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// The weight of its scores: `w`.
    pub ranker: u64,
    /// The weight of its vote: `v`.
    pub author: u64,
    /// Whether enough known answers stand behind them.
    pub is_proven: bool,
}

impl Capability {
    /// Adds a known answer. All earlier ones fade to 63/64.
    pub fn learn(&mut self, known: &Known) {
        self.each(|sum| sum.saturating_sub(sum >> 6));
        self.rounds = self.rounds.saturating_add(1);
        self.right = self
            .right
            .saturating_add(u64::from(known.is_right).saturating_mul(ONE));
        self.answers = self.answers.saturating_add(ONE);
        self.chance = self.chance.saturating_add(known.chance.min(ONE));
        let halves = u64::from(known.pairs.halves).saturating_mul(ONE / 2);
        self.ordered = self.ordered.saturating_add(halves);
        let pairs = u64::from(known.pairs.all).saturating_mul(ONE);
        self.pairs = self.pairs.saturating_add(pairs);
    }

    /// Halves what is known, after a time without known answers.
    pub fn fade(&mut self) {
        self.each(|sum| sum >> 1);
    }

    fn each(&mut self, change: impl Fn(u64) -> u64) {
        for sum in [
            &mut self.right,
            &mut self.answers,
            &mut self.chance,
            &mut self.ordered,
            &mut self.pairs,
        ] {
            *sum = change(*sum);
        }
    }

    /// The weights. Too few known answers give the same small weights to everybody, and no vote
    /// weighs less than that of a fresh identity.
    pub fn weights(&self, votes: &Votes) -> Weights {
        if self.rounds < votes.proof {
            return Weights {
                ranker: votes.unproven,
                author: votes.unproven,
                is_proven: false,
            };
        }
        Weights {
            ranker: self.ranker(),
            author: self.author().max(votes.unproven),
            is_proven: true,
        }
    }

    /// `w = logit(p)` with `p = (ordered + 1.5)/(pairs + 3)` within `[0.5, 0.98]`.
    fn ranker(&self) -> u64 {
        let ordered = self.ordered.saturating_add(ONE.saturating_mul(3) / 2);
        let probability = ratio(ordered, more(self.pairs)).clamp(ONE / 2, MOST);
        u64::try_from(logit(probability)).unwrap_or_default()
    }

    /// `v = logit(p) − logit(p₀)` with `p = (right + 3·p₀)/(answers + 3)`, less a standard error,
    /// and not below `p₀`, the share of right answers by chance.
    fn author(&self) -> u64 {
        let chance = ratio(self.chance, self.answers).clamp(LEAST, MOST);
        let all = more(self.answers);
        let right = self.right.saturating_add(chance.saturating_mul(3));
        let probability = ratio(right, all).min(ONE);
        let probability = probability
            .saturating_sub(standard_error(probability, all))
            .max(chance)
            .min(MOST);
        let weight = logit(probability).saturating_sub(logit(chance));
        u64::try_from(weight).unwrap_or_default()
    }
}

/// `n + 3`.
fn more(count: u64) -> u64 {
    count.saturating_add(ONE.saturating_mul(3))
}

/// `sqrt(p(1 − p)/n)`.
fn standard_error(probability: u64, count: u64) -> u64 {
    let against = ONE.saturating_sub(probability);
    let variance = u128::from(probability)
        .saturating_mul(against.into())
        .saturating_mul(ONE.into())
        .checked_div(count.into());
    sqrt_up(variance.unwrap_or_default())
}

/// The weights of a round's rankers: as they are, or equal ones if nobody's is above 0. Otherwise
/// rankers that know nothing would decide no round.
pub fn rankers(weights: &mut [u64]) {
    if weights.iter().all(|weight| *weight == 0) {
        weights.fill(ONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> Option<H256> {
        Some(H256::repeat_byte(byte))
    }

    fn counted(scored: &[(Option<H256>, u16)]) -> (u32, u32) {
        let scored: Vec<_> = scored.iter().map(|(key, x)| (*key, Score(*x))).collect();
        let pairs = pairs(&[H256::repeat_byte(1)], &scored);
        (pairs.halves, pairs.all)
    }

    fn learnt(answers: &[(bool, u64, u32, u32)]) -> Capability {
        let mut capability = Capability::default();
        for (is_right, chance, halves, all) in answers {
            capability.learn(&Known {
                is_right: *is_right,
                chance: *chance,
                pairs: Pairs {
                    halves: *halves,
                    all: *all,
                },
            });
        }
        capability
    }

    fn weights(capability: &Capability) -> (f64, f64) {
        let Weights { ranker, author, .. } = capability.weights(&Votes {
            proof: 0,
            unproven: 0,
            ..Votes::default()
        });
        let float = |weight: u64| weight as f64 / ONE as f64;
        (float(ranker), float(author))
    }

    #[test]
    fn each_wrong_answer_makes_one_pair() {
        assert_eq!(counted(&[(key(1), 9), (key(2), 5)]), (2, 1));
        assert_eq!(
            counted(&[(key(1), 9), (key(2), 5), (key(2), 6), (key(2), 7)]),
            (2, 1),
            "copies of an error"
        );
        assert_eq!(
            counted(&[(key(1), 9), (key(2), 9), (key(3), 10), (None, 1), (None, 2)]),
            (5, 4),
            "a tie is a half, and responses without a key are answers of their own"
        );
        assert_eq!(
            counted(&[(key(2), 9), (None, 5)]),
            (0, 0),
            "no right answer"
        );
        assert_eq!(counted(&[(key(1), 9)]), (0, 0), "no wrong answer");
        assert_eq!(counted(&[(key(1), 4), (key(1), 8), (key(2), 7)]), (0, 1));
    }

    #[test]
    fn nobody_weighs_by_luck() {
        for rounds in [10, 20, 60] {
            for chance in [ONE / 20, ONE / 4, ONE / 2] {
                let none = learnt(&vec![(false, chance, 1, 1); rounds]);
                let (ranker, author) = weights(&none);
                assert!(ranker < 1e-6 && author == 0.0, "{ranker} {author}");
            }
        }
        // Five of ten with two options are what chance gives.
        let half: Vec<_> = (0..10).map(|i| (i % 2 == 0, ONE / 2, 1, 1)).collect();
        assert!(weights(&learnt(&half)).1 == 0.0);
    }

    #[test]
    fn an_unproven_agent_has_a_small_weight() {
        let votes = Votes::default();
        let few = learnt(&[(true, ONE / 20, 2, 1); 9]).weights(&votes);
        assert_eq!(
            few,
            Weights {
                ranker: votes.unproven,
                author: votes.unproven,
                is_proven: false
            }
        );
        let enough = learnt(&[(true, ONE / 20, 2, 1); 10]).weights(&votes);
        assert!(enough.is_proven && enough.author > ONE && enough.ranker > ONE);
    }

    #[test]
    fn a_vote_weighs_no_less_than_that_of_a_fresh_identity() {
        let votes = Votes::default();
        let fresh = Capability::default().weights(&votes);
        let wrong = learnt(&[(false, ONE / 20, 0, 1); 20]).weights(&votes);
        assert!(wrong.is_proven);
        assert_eq!(wrong.author, fresh.author);
        assert!(wrong.ranker < fresh.ranker, "a fresh one knows less");
    }

    #[test]
    fn weights_are_bounded_whatever_the_sums_are() {
        let sums = [0, 1, ONE / 50, ONE, 64 * ONE, u64::MAX];
        let (most_ranker, most_author) = (49f64.ln() + 1e-5, 2.0 * 49f64.ln() + 1e-5);
        for right in sums {
            for answers in sums {
                for chance in sums {
                    let (ranker, author) = weights(&Capability {
                        rounds: u32::MAX,
                        right,
                        answers,
                        chance,
                        ordered: right,
                        pairs: answers,
                    });
                    assert!((0.0..=most_ranker).contains(&ranker), "{ranker}");
                    assert!((0.0..=most_author).contains(&author), "{author}");
                }
            }
        }
    }

    #[test]
    fn sums_never_overflow() {
        let mut full = Capability {
            rounds: u32::MAX,
            right: u64::MAX,
            answers: u64::MAX,
            chance: u64::MAX,
            ordered: u64::MAX,
            pairs: u64::MAX,
        };
        full.learn(&Known {
            is_right: true,
            chance: u64::MAX,
            pairs: Pairs {
                halves: u32::MAX,
                all: u32::MAX,
            },
        });
        assert_eq!(full.rounds, u32::MAX);
        full.fade();
        assert!(full.right <= u64::MAX / 2);
    }

    #[test]
    fn equal_weights_stand_in_for_none() {
        let (mut none, mut some) = ([0; 3], [0, 5, 0]);
        rankers(&mut none);
        rankers(&mut some);
        assert_eq!((none, some), ([ONE; 3], [0, 5, 0]));
        rankers(&mut []);
    }

    fn histories() -> impl Strategy<Value = Vec<(bool, u64, u32, u32)>> {
        let answer = (any::<bool>(), ONE / 20..=ONE / 2, 0..9u32, 0..9u32);
        let answer = answer.prop_map(|(is_right, chance, halves, all)| {
            (is_right, chance, halves.min(2 * all), all)
        });
        prop::collection::vec(answer, 0..80)
    }

    proptest! {
        #[test]
        fn weights_agree_with_floats(answers in histories()) {
            let mut sums = [0f64; 5];
            for (is_right, chance, halves, all) in &answers {
                let chance = *chance as f64 / ONE as f64;
                let right = f64::from(u8::from(*is_right));
                let new = [right, 1.0, chance, f64::from(*halves) / 2.0, f64::from(*all)];
                for (sum, new) in sums.iter_mut().zip(new) {
                    *sum = *sum * 63.0 / 64.0 + new;
                }
            }
            let [right, all, chance, ordered, pairs] = sums;
            let logit = |p: f64| (p / (1.0 - p)).ln();
            let ranker = logit(((ordered + 1.5) / (pairs + 3.0)).clamp(0.5, 0.98));
            let mean = if all > 0.0 { chance / all } else { 0.0 };
            let chance = mean.clamp(0.02, 0.98);
            let p = (right + 3.0 * chance) / (all + 3.0);
            let p = (p - (p * (1.0 - p) / (all + 3.0)).sqrt()).clamp(chance, 0.98);
            let author = logit(p) - logit(chance);
            let computed = weights(&learnt(&answers));
            prop_assert!((computed.0 - ranker).abs() < 1e-5, "{} {}", computed.0, ranker);
            prop_assert!((computed.1 - author).abs() < 1e-5, "{} {}", computed.1, author);
        }

        #[test]
        fn a_right_answer_never_lowers_a_weight(
            answers in histories(),
            chance in ONE / 20..=ONE / 2,
        ) {
            // At one level of chance, as in a pool of questions of one kind.
            let at = |right: bool| {
                let alike = answers.iter().map(|(is_right, ..)| (*is_right, chance, 0, 0));
                let all: Vec<_> = alike.chain([(right, chance, 0, 0)]).collect();
                weights(&learnt(&all)).1
            };
            prop_assert!(at(true) >= at(false));
        }
    }
}
