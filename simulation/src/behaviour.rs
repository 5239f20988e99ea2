// SPDX-License-Identifier: Apache-2.0

//! What agents choose to do.

use std::{cmp::Reverse, collections::BTreeMap};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use starling_primitives::{
    assignment::{positions, rankings, Assignment},
    commitment::assignment_seed,
    RoundId, Secret, H256,
};
use starling_runtime::AccountId;

use crate::ability::Ability;

/// What an agent knows of itself and of its friends.
pub struct Me<'a> {
    /// Its place in the swarm.
    pub index: usize,
    /// What it is able to do.
    pub ability: &'a Ability,
    /// The agents that it works with, itself among them.
    pub group: &'a [usize],
    /// How many rounds it has been in.
    pub rounds: u32,
}

impl Me<'_> {
    /// Whether the agent at `other` belongs to its group.
    pub fn is_friend(&self, other: usize) -> bool {
        self.group.contains(&other)
    }
}

/// What an agent does about a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// It commits a response of this quality.
    Quality(f64),
    /// It commits a ciphertext that another agent has just sent, any of those on their way.
    Copy,
    /// It passes.
    Pass,
}

/// What an agent does about a message that it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It sends it.
    Send,
    /// It decides in the next block.
    Wait,
    /// It sends it when the phase is over.
    Late,
    /// It does not send it.
    Never,
}

/// A response to be ranked.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Whose it is.
    pub author: usize,
    /// Its true quality, which an honest agent looks at through [`Ability::perceive`].
    pub quality: f64,
}

/// What is known while keys are revealed.
pub struct Revealing<'a> {
    /// The round.
    pub round: RoundId,
    /// The hash of the last block of Committing.
    pub commit_hash: H256,
    /// The accounts of the swarm.
    pub accounts: &'a [AccountId],
    /// The keys that are public.
    pub revealed: BTreeMap<usize, Secret>,
    /// The keys of all that have committed: what a group knows of its own members.
    pub committed: BTreeMap<usize, Secret>,
    /// The bounds of k.
    pub rankings: (u32, u32),
}

/// How an agent behaves. What it does not say, it does as an honest agent.
pub trait Behaviour: Send {
    /// Answers a request.
    fn respond(&mut self, me: &Me, rng: &mut ChaCha8Rng) -> Answer {
        Answer::Quality(me.ability.respond(rng))
    }

    /// Whether it sends the response that it has.
    fn commit(&mut self, _me: &Me, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }

    /// Whether it reveals its key now.
    fn reveal(&mut self, _me: &Me, _state: &Revealing, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }

    /// Scores in `[0, 1]` for the responses, in their order.
    fn score(&mut self, me: &Me, seen: &[Seen], rng: &mut ChaCha8Rng) -> Vec<f64> {
        honest_scores(me, seen, rng)
    }

    /// Whether it commits the scores that it has.
    fn commit_scores(&mut self, _me: &Me, _rng: &mut ChaCha8Rng) -> Move {
        Move::Send
    }

    /// Whether it discloses its scores now.
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

/// 1 for friends, `other` for the others.
fn friendly_scores(me: &Me, seen: &[Seen], mut other: impl FnMut(&Seen) -> f64) -> Vec<f64> {
    seen.iter()
        .map(|response| match me.is_friend(response.author) {
            true => 1.0,
            false => other(response),
        })
        .collect()
}

/// The kinds of agents. What else an attack takes, of authors or of requesters, is in
/// [`crate::swarm::Plot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Answers and ranks as well as it can.
    Honest,
    /// Scores at random.
    Lazy,
    /// Always scores 0.5.
    Constant,
    /// In a fifth of its rounds scores at random.
    Buggy,
    /// Scores the best the worst.
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
    /// A ring that has ranked honestly for its first forty rounds.
    RatingFarmer,
}

impl Kind {
    /// All kinds but the honest one.
    pub const DISHONEST: [Self; 13] = [
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
    ];

    /// How an agent of this kind behaves.
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
        }
    }

    /// Whether an agent of this kind answers as well as an honest one. The others put their work
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

/// Answers and scores as was found out before: what a model said.
pub struct Recorded {
    /// The quality of its response in each round.
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
            // Who is bribed only sells its scores.
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

/// Waits until everybody else has revealed, and then withholds those of the ring's keys, at most
/// `at_most`, without which the most friends rank one friend's response.
struct Withholding {
    at_most: u32,
    decided: Option<(RoundId, Vec<usize>)>,
}

impl Withholding {
    /// The members whose keys stay secret. Every member comes to the same result.
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
                // Of equal ones the one that withholds less.
                let worth = friendly_rankings(me, state, &set);
                (worth, Reverse(set.len()), set)
            })
            .max()
            .map(|(.., set)| set)
            .unwrap_or_default()
    }
}

/// How many friends rank the friend's response that most friends rank, if these keys stay secret.
fn friendly_rankings(me: &Me, state: &Revealing, withheld: &[usize]) -> usize {
    let mut revealed: Vec<(&AccountId, usize, Secret)> = state
        .committed
        .iter()
        .filter(|(index, _)| !withheld.contains(index))
        .map(|(index, key)| (&state.accounts[*index], *index, *key))
        .collect();
    revealed.sort();
    let keys: Vec<Secret> = revealed.iter().map(|(_, _, key)| *key).collect();
    let seed = assignment_seed(state.round, state.commit_hash, &keys);
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
