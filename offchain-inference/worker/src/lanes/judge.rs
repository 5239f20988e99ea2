// SPDX-License-Identifier: Apache-2.0

//! The outcome of a request, from what was opened: the rules of a round, on the seals of a lane.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use codec::Encode;
use parking_lot::Mutex;
use sp_core::H256;
use sp_runtime::Permill;
use starling_lane::{
    broadcast::Settled,
    cipher::{Piece, Sealed},
    request::Judge,
};
use starling_lane_primitives::{
    messages::Ask,
    outcome::{self, keys_root, Key, Outcome},
    Account, Form, Hash, Member, Proof,
};
use starling_primitives::{
    agreement,
    api::lanes::MemberView,
    assignment::{positions, rankings, Assignment},
    choice::{self, key_of, Voter, Voters},
    fixed, lane_value, rating, rewards,
    selection::Tally,
    Balance, Position, Score,
};

use super::{room::Room, value};
use crate::AccountId;

/// The least number of rankers of a response. With fewer, a liar's response may be ranked by liars
/// alone, so there is no winner, and nothing is paid.
pub const LEAST_RANKERS: u32 = 3;

/// The opened values of a set, in the order of members, with their keys. A spoiled one has a key of
/// zeros and no value.
pub fn open(room: &Room, settled: &Settled<Sealed>) -> Vec<(Member, [u8; 32], Option<Vec<u8>>)> {
    let opened = settled
        .seals
        .iter()
        .enumerate()
        .map(|(index, (member, seal))| {
            let shares: Vec<_> = settled
                .opens
                .iter()
                .filter_map(|open| match open.body.pieces.get(index)? {
                    Piece::Share(share) => Some((open.by, *share)),
                    Piece::Complaint(_) => None,
                })
                .collect();
            match seal.0.open(room.committee, settled.way, &shares) {
                Ok(opened) => (*member, opened.key, Some(opened.value)),
                Err(_) => (*member, [0; 32], None),
            }
        });
    opened.collect()
}

/// The responses of a request, and who ranks which.
pub struct Responses {
    set: Hash,
    keys: Vec<Key>,
    /// The valid responses.
    pub texts: BTreeMap<Member, String>,
    seed: H256,
    assignment: Assignment,
    rankers: u32,
    /// The members with a valid response, by position.
    order: BTreeMap<Position, Member>,
    weights: BTreeMap<Member, u64>,
}

impl Responses {
    /// Opens a settled set of responses.
    pub fn new(room: &Room, ask: &Ask, settled: &Settled<Sealed>) -> Self {
        let opened = open(room, settled);
        let keys: Vec<Key> = opened.iter().map(|(by, key, _)| (*by, *key)).collect();
        let texts: BTreeMap<Member, String> = opened
            .into_iter()
            .filter_map(|(by, _, value)| Some((by, lane_value::text(&value?, ask.max_tokens)?)))
            .collect();
        let set = settled.set.root();
        let seed = H256(outcome::seed(&room.slot(ask.seq), &set, &keys));
        let mut agents: Vec<(Account, Member)> = texts
            .keys()
            .filter_map(|member| Some((room.account(*member)?, *member)))
            .collect();
        agents.sort_unstable();
        let n = u32::try_from(agents.len()).unwrap_or(u32::MAX);
        let rules = &room.rules;
        let rankers = rankings(n, rules.min_rankings, rules.max_rankings);
        let ratings: Vec<u64> = agents
            .iter()
            .map(|(_, member)| room.member(*member).map_or(0, |view| view.rating))
            .collect();
        let members = || agents.iter().map(|(_, member)| *member);
        let weights = members().zip(rating::weights(&ratings, room.weight_floor));
        Self {
            set,
            keys,
            seed,
            assignment: Assignment::new(seed, n, rankers),
            rankers,
            order: positions(seed, n).into_iter().zip(members()).collect(),
            weights: weights.collect(),
            texts,
        }
    }

    /// Whether enough members rank each response.
    pub fn are_enough(&self) -> bool {
        self.rankers >= LEAST_RANKERS
    }

    /// The responses that a member ranks, in the order of positions; `None` if it has no valid
    /// response itself.
    pub fn assigned(&self, ranker: Member) -> Option<Vec<Member>> {
        let mut places = self.order.iter();
        let (position, _) = places.find(|(_, member)| **member == ranker)?;
        let assigned = self.assignment.responses(*position);
        Some(
            assigned
                .iter()
                .filter_map(|at| self.order.get(at).copied())
                .collect(),
        )
    }

    fn weight(&self, member: Member) -> u64 {
        self.weights.get(&member).copied().unwrap_or(0)
    }

    /// The tallies of all responses, and the scores of each member that gave some.
    fn tallies(&self, scores: &BTreeMap<Member, Vec<Score>>) -> BTreeMap<Member, Tally> {
        let mut tallies: BTreeMap<Member, Tally> = self
            .texts
            .keys()
            .map(|member| (*member, Tally::default()))
            .collect();
        for ranker in self.texts.keys() {
            let weight = self.weight(*ranker);
            let given = scores.get(ranker);
            for (index, response) in self.assigned(*ranker).into_iter().flatten().enumerate() {
                let Some(tally) = tallies.get_mut(&response) else {
                    continue;
                };
                tally.assigned = tally.assigned.saturating_add(weight);
                if let Some(score) = given.and_then(|given| given.get(index)) {
                    tally.add(weight, *score);
                }
            }
        }
        tallies
    }

    /// The best response by the epoch's way to choose: the rule of a round.
    fn best(
        &self,
        room: &Room,
        form: Form,
        scores: &BTreeMap<Member, Vec<Score>>,
        tallies: &BTreeMap<Member, Tally>,
    ) -> Option<choice::Outcome<AccountId>> {
        let votes = room.choice.votes();
        let voter = |position: Position, member: Member| {
            let view = room.member(member)?;
            let assigned = self.assignment.responses(position);
            let given = scores.get(&member);
            Some(Voter {
                agent: view.agent.clone(),
                tally: tallies.get(&member).copied().unwrap_or_default(),
                key: key_of(self.texts.get(&member)?.as_bytes()),
                weights: view.known.in_form(form).weights(&votes),
                scores: given
                    .map(|given| assigned.into_iter().zip(given.iter().copied()).collect()),
            })
        };
        let voters: Voters<AccountId> = self
            .order
            .iter()
            .filter_map(|(position, member)| Some((*position, voter(*position, *member)?)))
            .collect();
        room.choice.of_voters(self.seed, form, &voters)
    }

    /// The points of a member for its agreement with the others.
    fn points(
        &self,
        room: &Room,
        member: Member,
        scores: &[Score],
        tallies: &BTreeMap<Member, Tally>,
    ) -> u64 {
        let (weight, view) = (self.weight(member), room.member(member));
        let (Some(assigned), Some(view)) = (self.assigned(member), view) else {
            return 0;
        };
        if weight == 0 {
            return 0;
        }
        let scored: Vec<_> = assigned
            .iter()
            .zip(scores)
            .filter_map(|(response, score)| Some((*score, *tallies.get(response)?)))
            .collect();
        agreement::points(view.rating, agreement::agreement(weight, &scored))
    }
}

/// An answer of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The member.
    pub member: Member,
    /// Its account.
    pub agent: AccountId,
    /// The text.
    pub text: String,
}

/// The outcome of both broadcasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The subject of the members' votes, and what binds the best response to it.
    pub proof: Arc<Proof>,
    /// The best response.
    pub answer: Option<Answer>,
}

impl Judged {
    /// The subject of the members' votes.
    pub fn outcome(&self) -> &Outcome {
        &self.proof.outcome
    }
}

/// Judges a request. `given` are its opened `responses`.
pub fn judge(
    room: &Room,
    ask: &Ask,
    given: &Responses,
    responses: &Settled<Sealed>,
    scores: &Settled<Sealed>,
) -> Judged {
    let opened = open(room, scores);
    let score_keys: Vec<Key> = opened.iter().map(|(by, key, _)| (*by, *key)).collect();
    let read = |by: Member, value: Option<Vec<u8>>| {
        let assigned = given.assigned(by)?;
        Some((by, value::read_scores(&value?, assigned.len())?))
    };
    let said: BTreeMap<Member, Vec<Score>> = opened
        .into_iter()
        .filter_map(|(by, _, value)| read(by, value))
        .collect();
    let tallies = given.tallies(&said);
    let threshold = fixed::share(room.rules.approval_threshold);
    let best = given.best(room, ask.form, &said, &tallies);
    let winner = best
        .as_ref()
        .filter(|best| given.are_enough() && best.tally.reaches(threshold))
        .and_then(|best| {
            let mut members = given.texts.keys().copied();
            let is_best = |view: &MemberView<AccountId>| view.agent == best.winner;
            members.find(|member| room.member(*member).is_some_and(is_best))
        });
    let count = best.filter(|_| room.choice.is_counted(ask.form));
    let points: Vec<(Account, u64)> = said
        .iter()
        .filter_map(|(member, scores)| {
            let points = given.points(room, *member, scores, &tallies);
            Some((room.account(*member)?, points))
        })
        .collect();
    let winning = winner.and_then(|member| room.account(member));
    let answer = winner.and_then(|member| answer(room, given, member));
    let outcome = Outcome {
        ask: ask.hash(),
        basis: room.basis,
        responses: given.set,
        response_keys: keys_root(&given.keys),
        scores: scores.set.root(),
        score_keys: keys_root(&score_keys),
        winner,
        count: count.map(|best| best.count()),
        payouts: payouts(room, ask.fee, winning, &points),
    };
    let mut seals = responses.seals.iter();
    let seal = seals.find(|(member, _)| Some(*member) == winner);
    let proof = Proof {
        outcome,
        responses: responses.set.iter().copied().collect(),
        keys: given.keys.clone(),
        seal: seal.map(|(_, seal)| seal.0.clone()),
    };
    Judged {
        proof: Arc::new(proof),
        answer,
    }
}

/// The answer of a member with a valid response.
pub fn answer(room: &Room, responses: &Responses, member: Member) -> Option<Answer> {
    Some(Answer {
        member,
        agent: room.member(member)?.agent.clone(),
        text: responses.texts.get(&member)?.clone(),
    })
}

/// The payments of a request: those of a round, without a subsidy.
fn payouts(
    room: &Room,
    fee: Balance,
    winner: Option<Account>,
    points: &[(Account, u64)],
) -> Vec<(Account, Balance)> {
    let rules = &room.rules;
    let parts = rewards::split(fee, rules.winner, rules.rankers);
    let all: Vec<u64> = points.iter().map(|(_, points)| *points).collect();
    let (shares, rest) = rewards::divide(parts.rankers, &all);
    let mut paid: BTreeMap<Account, Balance> = BTreeMap::new();
    let mut pay = |to: Account, amount: Balance| {
        let sum = paid.entry(to).or_default();
        *sum = sum.saturating_add(amount);
    };
    for ((account, _), share) in points.iter().zip(shares) {
        pay(*account, share);
    }
    // Without a winner half of the fee goes back, as in a round that fails.
    let back = Permill::from_percent(50).mul_floor(fee).min(parts.winner);
    let (to, prize) = match winner {
        Some(winner) => (winner, parts.winner),
        None => (room.lane.requester.clone().into(), back),
    };
    pay(to, prize);
    let kept = parts.winner.saturating_sub(prize);
    let treasury = parts.treasury.saturating_add(rest).saturating_add(kept);
    pay(rules.treasury.clone().into(), treasury);
    paid.into_iter().filter(|(_, amount)| *amount > 0).collect()
}

/// Judges the request of a machine, and remembers what it has found. The machine settles on one set
/// of responses, which is opened once.
pub struct Verdict {
    room: Arc<Room>,
    ask: Ask,
    given: OnceLock<Responses>,
    found: Mutex<Option<Judged>>,
}

impl Verdict {
    /// Judges a request of this committee.
    pub fn new(room: Arc<Room>, ask: Ask) -> Self {
        Self {
            room,
            ask,
            given: OnceLock::new(),
            found: Mutex::default(),
        }
    }

    /// Opens the responses on which the machine has settled.
    pub fn open(&self, settled: &Settled<Sealed>) -> &Responses {
        self.given
            .get_or_init(|| Responses::new(&self.room, &self.ask, settled))
    }

    /// The responses, once they are open.
    pub fn given(&self) -> Option<&Responses> {
        self.given.get()
    }

    /// Whether it has judged.
    pub fn is_found(&self) -> bool {
        self.found.lock().is_some()
    }

    /// The finding.
    pub fn found(&self) -> Option<Judged> {
        self.found.lock().clone()
    }
}

impl Judge<Sealed> for Verdict {
    fn outcome(&self, responses: &Settled<Sealed>, scores: &Settled<Sealed>) -> Hash {
        let given = self.open(responses);
        let judged = judge(&self.room, &self.ask, given, responses, scores);
        let hash = judged.outcome().hash();
        *self.found.lock() = Some(judged);
        hash
    }
}

/// The bytes of what a member keeps of a certified request.
pub fn transcript(
    ask: &Ask,
    outcome: &Outcome,
    certificate: &starling_lane_primitives::Certificate,
) -> Vec<u8> {
    (ask, outcome, certificate).encode()
}
