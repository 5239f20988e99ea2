// SPDX-License-Identifier: Apache-2.0
//! The choices that agents make.

use std::{cmp::Reverse, collections::BTreeMap};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use starling_primitives::{
    assignment::{positions, rankings, Assignment},
    commitment::assignment_seed,
    RoundId, Secret, H256,
};
use starling_runtime::{configs::MAX_RESPONSE, AccountId};

use crate::ability::Ability;

/// An agent's view of itself and of its friends.
pub struct Me<'a> {
    /// Its index in the swarm.
    pub index: usize,
    /// Its abilities.
    pub ability: &'a Ability,
    /// The agents that it works with, including itself.
    pub group: &'a [usize],
    /// Number of rounds that it has been in.
    pub rounds: u32,
}

impl Me<'_> {
    /// True if the agent at `other` belongs to its group.
    pub fn is_friend(&self, other: usize) -> bool {
        self.group.contains(&other)
    }
}

/// An agent's reaction to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Commit a response of this quality.
    Quality(f64),
    /// Commit a copy of a ciphertext that another agent has just sent, chosen at random.
    Copy,
    /// Pass without an answer.
    Pass,
    /// Say nothing: neither commit nor pass.
    Silence,
}

/// An agent's decision about a message that it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Send it now.
    Send,
    /// Decide in the next block.
    Wait,
    /// Send it after the phase has ended.
    Late,
    /// Never send it.
    Never,
}

/// A response to be ranked.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its author.
    pub author: usize,
    /// Its true quality. An honest agent sees it through [`Ability::perceive`].
    pub quality: f64,
}

/// Public knowledge in the phase Revealing, and the group's own.
pub struct Revealing<'a> {
    /// The round.
    pub round: RoundId,
    /// The randomness after the last block of Committing.
    pub commit_randomness: H256,
    /// The accounts of the swarm.
    pub accounts: &'a [AccountId],
    /// The keys that are public, by agent.
    pub revealed: BTreeMap<usize, Secret>,
    /// The keys of all committed agents; a group knows those of its own members.
    pub committed: BTreeMap<usize, Secret>,
    /// Minimum and maximum of k.
    pub rankings: (u32, u32),
}

/// A behaviour of agents. The default methods are those of an honest agent.
pub trait Behaviour: Send {
    /// Answers a request.
    fn respond(&mut self, me: &Me, rng: &mut ChaCha8Rng) -> Answer {
        Answer::Quality(me.ability.respond(rng))
    }

    /// Length of its responses in bytes; `None` means that of the swarm.
    fn response_bytes(&self) -> Option<usize> {
        None
    }

    /// Decides about the response.
    fn commit(&mut self, _me: &Me, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }

    /// Decides about the key.
    fn reveal(&mut self, _me: &Me, _state: &Revealing, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }

    /// Scores in `[0, 1]` for the responses, in their order.
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        honest_scores(me, seen, rng)
    }

    /// Decides about the commitment to the scores.
    fn commit_scores(&mut self, _me: &Me, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }

    /// Decides about the scores.
    fn disclose(&mut self, _me: &Me, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }
}

fn honest_scores(me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
    seen.iter()
        .map(|response| me.ability.perceive(response.quality, rng))
        .collect()
}

fn random_scores(seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
    seen.iter().map(|_| rng.random()).collect()
}

/// 1 for friends, `other` for the rest.
fn friendly_scores(me: &Me, seen: &[Seen], mut other: impl FnMut(&Seen) -> f64) -> Vec<f64> {
    seen.iter()
        .map(|response| match me.is_friend(response.author) {
            true => 1.0,
            false => other(response),
        })
        .collect()
}

/// The kinds of agents. Attacks that also need authors or requesters use [`crate::swarm::Plot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Answers and ranks as well as it can.
    Honest,
    /// Scores at random.
    Lazy,
    /// Always scores 0.5.
    Constant,
    /// Scores at random in a fifth of its rounds.
    Buggy,
    /// Inverts its scores: the best response gets the worst one.
    Inverted,
    /// Scores 1 for the group and 0 for the others.
    Ring,
    /// Scores 1 for the group and honestly for the others.
    Subtle,
    /// Scores 1 for the first of the group, who pays for it, and honestly for the others.
    Bribed,
    /// Commits a copy of another agent's ciphertext.
    Copycat,
    /// Never reveals its key.
    NeverReveal,
    /// Never discloses its scores.
    NeverDisclose,
    /// Sends each message too late in a fifth of the cases.
    Late,
    /// A ring whose members withhold up to three keys for the best assignment.
    WithholdingRing,
    /// A ring that ranks honestly for its first forty rounds.
    RatingFarmer,
    /// Neither commits nor passes, so that every round waits for it.
    Silent,
    /// Scores 0 or 1 at random until its rating is below the floor. Then scores 1 for what it finds
    /// poor and 0 for the rest, to make those look wrong that rank well.
    Weightless,
    /// Commits the longest response that the chain allows to any request.
    LongWinded,
}

impl Kind {
    /// All kinds but the honest one.
    pub const DISHONEST: [Self; 16] = [
        Self::Lazy,
        Self::Constant,
        Self::Buggy,
        Self::Inverted,
        Self::Ring,
        Self::Subtle,
        Self::Bribed,
        Self::Copycat,
        Self::NeverReveal,
        Self::NeverDisclose,
        Self::Late,
        Self::WithholdingRing,
        Self::RatingFarmer,
        Self::Silent,
        Self::Weightless,
        Self::LongWinded,
    ];

    /// The behaviour of this kind.
    pub fn behaviour(self) -> Box<dyn Behaviour> {
        match self {
            Self::Honest => Box::new(Honest),
            Self::Lazy => Box::new(Lazy { share: 1.0 }),
            Self::Constant => Box::new(Constant),
            Self::Buggy => Box::new(Lazy { share: 0.2 }),
            Self::Inverted => Box::new(Inverted),
            Self::Ring => Box::new(Ring { honest_rounds: 0 }),
            Self::Subtle => Box::new(Subtle),
            Self::Bribed => Box::new(Bribed),
            Self::Copycat => Box::new(Copycat),
            Self::NeverReveal => Box::new(Mute {
                reveal: Move::Never,
                disclose: Move::Send,
            }),
            Self::NeverDisclose => Box::new(Mute {
                reveal: Move::Send,
                disclose: Move::Never,
            }),
            Self::Late => Box::new(Late { share: 0.2 }),
            Self::WithholdingRing => Box::new(Withholding {
                at_most: 3,
                decided: None,
            }),
            Self::RatingFarmer => Box::new(Ring { honest_rounds: 40 }),
            Self::Silent => Box::new(Silent),
            Self::Weightless => Box::new(Weightless { random_rounds: 15 }),
            Self::LongWinded => Box::new(LongWinded),
        }
    }

    /// True if an agent of this kind answers as well as an honest one. The others put their effort
    /// into getting a poor response chosen.
    pub fn answers_well(self) -> bool {
        !matches!(
            self,
            Self::Ring | Self::Subtle | Self::Bribed | Self::WithholdingRing | Self::RatingFarmer
        )
    }
}

struct Honest;

impl Behaviour for Honest {}

/// Replays the recorded answers and scores of a model.
pub struct Recorded {
    /// Quality of its response in each round.
    pub qualities: Vec<f64>,
    /// Its score of each agent's response in each round.
    pub scores: Vec<Vec<f64>>,
}

impl Behaviour for Recorded {
    fn respond(&mut self, me: &Me, _: &mut ChaCha8Rng) -> Answer {
        match self.qualities.get(me.rounds as usize) {
            Some(quality) => Answer::Quality(*quality),
            None => Answer::Pass,
        }
    }

    fn score(&mut self, me: &Me, seen: &[Seen], _: &mut ChaCha8Rng) -> Vec<f64> {
        let round = self.scores.get(me.rounds as usize);
        let score = |response: &Seen| round?.get(response.author).copied();
        seen.iter()
            .map(|response| score(response).unwrap_or(0.0))
            .collect()
    }
}

struct Lazy {
    share: f64,
}

impl Behaviour for Lazy {
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        if rng.random_bool(self.share) {
            random_scores(seen, rng)
        } else {
            honest_scores(me, seen, rng)
        }
    }
}

struct Constant;

impl Behaviour for Constant {
    fn score(&mut self, _: &Me, seen: &[Seen], _: &mut ChaCha8Rng) -> Vec<f64> {
        vec![0.5; seen.len()]
    }
}

struct Inverted;

impl Behaviour for Inverted {
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let scores = honest_scores(me, seen, rng);
        scores.into_iter().map(|score| 1.0 - score).collect()
    }
}

struct Ring {
    honest_rounds: u32,
}

impl Behaviour for Ring {
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        if me.rounds < self.honest_rounds {
            honest_scores(me, seen, rng)
        } else {
            friendly_scores(me, seen, |_| 0.0)
        }
    }
}

struct Subtle;

impl Behaviour for Subtle {
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        friendly_scores(me, seen, |response| {
            me.ability.perceive(response.quality, rng)
        })
    }
}

struct Bribed;

impl Behaviour for Bribed {
    fn respond(&mut self, me: &Me, rng: &mut ChaCha8Rng) -> Answer {
        let briber = me.group.first() == Some(&me.index);
        let ability = if briber {
            *me.ability
        } else {
            // A bribed agent only sells its scores.
            Ability {
                skill: Ability::default().skill,
                ..*me.ability
            }
        };
        Answer::Quality(ability.respond(rng))
    }

    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        seen.iter()
            .map(
                |response| match me.group.first() == Some(&response.author) {
                    true => 1.0,
                    false => me.ability.perceive(response.quality, rng),
                },
            )
            .collect()
    }
}

struct Copycat;

impl Behaviour for Copycat {
    fn respond(&mut self, _: &Me, _: &mut ChaCha8Rng) -> Answer {
        Answer::Copy
    }
}

struct Silent;

impl Behaviour for Silent {
    fn respond(&mut self, _: &Me, _: &mut ChaCha8Rng) -> Answer {
        Answer::Silence
    }
}

struct Weightless {
    random_rounds: u32,
}

impl Behaviour for Weightless {
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let scores = match me.rounds < self.random_rounds {
            true => random_scores(seen, rng),
            false => honest_scores(me, seen, rng),
        };
        // Extremes, which no honest ranker gives: they keep its rating below the floor.
        scores
            .into_iter()
            .map(|score| (1.0 - score).round())
            .collect()
    }
}

struct LongWinded;

impl Behaviour for LongWinded {
    fn response_bytes(&self) -> Option<usize> {
        Some(MAX_RESPONSE as usize)
    }
}

struct Mute {
    reveal: Move,
    disclose: Move,
}

impl Behaviour for Mute {
    fn reveal(&mut self, _: &Me, _: &Revealing, _: &mut ChaCha8Rng) -> Move {
        self.reveal
    }

    fn disclose(&mut self, _: &Me, _: &mut ChaCha8Rng) -> Move {
        self.disclose
    }
}

struct Late {
    share: f64,
}

impl Late {
    fn roll(&self, rng: &mut ChaCha8Rng) -> Move {
        match rng.random_bool(self.share) {
            true => Move::Late,
            false => Move::Send,
        }
    }
}

impl Behaviour for Late {
    fn commit(&mut self, _: &Me, rng: &mut ChaCha8Rng) -> Move {
        self.roll(rng)
    }

    fn reveal(&mut self, _: &Me, _: &Revealing, rng: &mut ChaCha8Rng) -> Move {
        self.roll(rng)
    }

    fn commit_scores(&mut self, _: &Me, rng: &mut ChaCha8Rng) -> Move {
        self.roll(rng)
    }

    fn disclose(&mut self, _: &Me, rng: &mut ChaCha8Rng) -> Move {
        self.roll(rng)
    }
}

/// Waits until everybody else has revealed. Then withholds at most `at_most` of the ring's keys, so
/// that as many friends as possible rank one friend's response.
struct Withholding {
    at_most: u32,
    decided: Option<(RoundId, Vec<usize>)>,
}

impl Withholding {
    /// The members that keep their keys secret. Every member computes the same result.
    fn decide(&self, me: &Me, state: &Revealing) -> Vec<usize> {
        let ring: Vec<usize> = state
            .committed
            .keys()
            .copied()
            .filter(|index| me.is_friend(*index))
            .collect();
        let withheld = |set: u32| -> Vec<usize> {
            ring.iter()
                .enumerate()
                .filter(|(bit, _)| (set >> bit) & 1 == 1)
                .map(|(_, index)| *index)
                .collect()
        };
        // A set of bits, for the first ten members: a thousand seeds.
        let sets = 1u32 << ring.len().min(10);
        (0..sets)
            .filter(|set| set.count_ones() <= self.at_most)
            .map(withheld)
            .map(|set| {
                // Among equal sets, prefers the one that withholds fewer keys.
                let worth = friendly_rankings(me, state, &set);
                (worth, Reverse(set.len()), set)
            })
            .max()
            .map(|(.., set)| set)
            .unwrap_or_default()
    }
}

/// Maximum number of friends that rank the same friend's response, if these keys stay secret.
fn friendly_rankings(me: &Me, state: &Revealing, withheld: &[usize]) -> usize {
    let mut revealed: Vec<(&AccountId, usize, Secret)> = state
        .committed
        .iter()
        .filter(|(index, _)| !withheld.contains(index))
        .map(|(index, key)| (&state.accounts[*index], *index, *key))
        .collect();
    revealed.sort();
    let keys: Vec<Secret> = revealed.iter().map(|(_, _, key)| *key).collect();
    let seed = assignment_seed(state.round, state.commit_randomness, &keys);
    let n = revealed.len() as u32;
    let assignment = Assignment::new(seed, n, rankings(n, state.rankings.0, state.rankings.1));
    let friends: Vec<_> = revealed
        .iter()
        .zip(positions(seed, n))
        .filter(|((_, index, _), _)| me.is_friend(*index))
        .map(|(_, position)| position)
        .collect();
    friends
        .iter()
        .map(|response| {
            let rankers = assignment.rankers(*response);
            rankers
                .iter()
                .filter(|ranker| friends.contains(ranker))
                .count()
        })
        .max()
        .unwrap_or(0)
}

impl Behaviour for Withholding {
    fn reveal(&mut self, me: &Me, state: &Revealing, _: &mut ChaCha8Rng) -> Move {
        let others_done = state
            .committed
            .keys()
            .all(|index| me.is_friend(*index) || state.revealed.contains_key(index));
        if !others_done {
            return Move::Wait;
        }
        if self.decided.as_ref().map(|(round, _)| *round) != Some(state.round) {
            self.decided = Some((state.round, self.decide(me, state)));
        }
        match &self.decided {
            Some((_, withheld)) if withheld.contains(&me.index) => Move::Never,
            _ => Move::Send,
        }
    }

    fn score(&mut self, me: &Me, seen: &[Seen], _: &mut ChaCha8Rng) -> Vec<f64> {
        friendly_scores(me, seen, |_| 0.0)
    }
}
