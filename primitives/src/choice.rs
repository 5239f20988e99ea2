// SPDX-License-Identifier: Apache-2.0
//! The choice of a round's best response: by equation (3) alone, or by votes and scores together.
//!
//! Equation (3) does not count how many agents gave the same answer, and trusts rankers by how much
//! they are like the others. [`Votes`] counts equal answers, and trusts authors and rankers by what
//! they did with known answers.

mod ballot;
mod candidate;
mod capability;
mod evidence;
mod key;
mod odds;
mod question;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::H256;
use starling_lane_primitives::outcome::Count;

pub use ballot::{key_of, Voter, Voters};
pub use capability::{pairs, rankers, Capabilities, Capability, Known, Pairs, Weights};
pub use evidence::{Evidence, Odds};
pub use key::{Key, MAX_BYTES, VERSION};
pub use odds::log_odds;
pub use question::{commitment, leaf, REQUESTS_PER_ANSWER};
pub use starling_lane_primitives::Form;

use crate::{
    fixed::{ratio, ONE},
    selection::Tally,
};
use ballot::responses;
use candidate::{by_scores, by_votes, candidates, Candidate};

/// A way to choose the best response.
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
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// The greatest weighted mean of scores, equation (3), as in the paper.
    #[default]
    #[codec(index = 0)]
    Paper,
    /// The most weight of votes and the best scores together.
    #[codec(index = 1)]
    Votes(Votes),
}

/// Parameters of the choice by votes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Votes {
    /// Number of known answers that prove an agent.
    pub proof: u32,
    /// The weight of an agent that is not proven, as a ranker and as an author. No vote weighs
    /// less, or an author would do better under a fresh identity.
    pub unproven: u64,
    /// Number of votes of an answer that count, the greatest first: those of many identities with
    /// little weight do not add up.
    pub counted: u32,
    /// Minimum number of proven rankers that disclosed. With fewer, equation (3) decides.
    pub rankers: u32,
    /// Minimum number of proven authors besides these rankers. With fewer, equation (3) decides.
    pub authors: u32,
}

impl Default for Votes {
    fn default() -> Self {
        Self {
            proof: 10,
            unproven: ONE / 10,
            counted: 3,
            rankers: 3,
            authors: 2,
        }
    }
}

/// A valid response at the end of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<AccountId> {
    /// Its author.
    pub agent: AccountId,
    /// Its scores by the rankers' ratings.
    pub tally: Tally,
    /// Its answer key. Without one it is an answer of its own.
    pub key: Option<H256>,
    /// The weight of the author's vote: `v_i`.
    pub weight: u64,
    /// Whether known answers have proven the author.
    pub is_proven: bool,
    /// Whether the author disclosed its scores of others.
    pub has_disclosed: bool,
    /// Its scores by the rankers' weights from known answers.
    pub evidence: Evidence,
}

/// A round's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<AccountId> {
    /// The author of the best response.
    pub winner: AccountId,
    /// The scores of the best response, by the weights that decided.
    pub tally: Tally,
    /// Whether votes decided, and not equation (3).
    pub is_voted: bool,
    /// Number of responses that give the winner's answer.
    pub votes: u32,
    /// Number of all responses.
    pub responses: u32,
    /// The weight of votes behind the answer.
    pub weight: u64,
    /// The weight of votes behind all answers.
    pub weights: u64,
}

impl<AccountId> Outcome<AccountId> {
    /// The share of the responses that give the answer, 32 fractional bits.
    pub fn share_of_votes(&self) -> u64 {
        ratio(self.votes.into(), self.responses.into())
    }

    /// The share of the weight of votes that is behind the answer, 32 fractional bits. 0 if no vote
    /// has a weight.
    pub fn share_of_weight(&self) -> u64 {
        ratio(self.weight, self.weights)
    }

    /// The votes behind the answer, as members of a lane sign them.
    pub fn count(&self) -> Count {
        Count {
            is_voted: self.is_voted,
            votes: self.votes,
            responses: self.responses,
            share_of_votes: self.share_of_votes(),
            share_of_weight: self.share_of_weight(),
        }
    }
}

impl Choice {
    /// The parameters of the choice by votes: the default ones where equation (3) chooses.
    pub fn votes(&self) -> Votes {
        match self {
            Self::Paper => Votes::default(),
            Self::Votes(votes) => *votes,
        }
    }

    /// Whether equal answers in this form are counted.
    pub fn is_counted(&self, form: Form) -> bool {
        *self != Self::Paper && form.is_counted()
    }

    /// Chooses the best response, by what agents answered and what they say about each other. A
    /// round and a lane call it. `None` if no response is eligible.
    pub fn of_voters<AccountId: Clone + Encode + PartialEq>(
        &self,
        seed: H256,
        form: Form,
        voters: &Voters<AccountId>,
    ) -> Option<Outcome<AccountId>> {
        self.best(seed, form, &responses(voters))
    }

    /// Chooses the best of a round's responses, in any order. `None` if no response is eligible.
    ///
    /// Answers in free form have no keys: equation (3) decides.
    pub fn best<AccountId: Clone + Encode + PartialEq>(
        &self,
        seed: H256,
        form: Form,
        responses: &[Response<AccountId>],
    ) -> Option<Outcome<AccountId>> {
        let votes = self.votes();
        let may_vote = self.is_counted(form) && votes.suffice(responses);
        let candidates = candidates(form, responses);
        let voted = may_vote.then(|| by_votes(seed, votes.counted, &candidates));
        let (is_voted, (chosen, winner)) = match voted.flatten() {
            Some(chosen) => (true, chosen),
            None => (false, by_scores(seed, &candidates)?),
        };
        let weight = |candidate: &Candidate<AccountId>| candidate.weight(votes.counted);
        Some(Outcome {
            winner: winner.agent.clone(),
            tally: match is_voted {
                true => winner.evidence.tally,
                false => winner.tally,
            },
            is_voted,
            votes: chosen.votes(),
            responses: count(responses),
            weight: weight(chosen),
            weights: candidates.iter().map(weight).fold(0, u64::saturating_add),
        })
    }
}

impl Votes {
    /// Whether enough proven agents took part.
    fn suffice<AccountId>(&self, responses: &[Response<AccountId>]) -> bool {
        let proven = responses.iter().filter(|response| response.is_proven);
        let rankers = proven.clone().filter(|response| response.has_disclosed);
        count(rankers) >= self.rankers && count(proven) >= self.rankers.saturating_add(self.authors)
    }
}

fn count(items: impl IntoIterator) -> u32 {
    u32::try_from(items.into_iter().count()).unwrap_or(u32::MAX)
}
