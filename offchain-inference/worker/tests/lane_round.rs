// SPDX-License-Identifier: Apache-2.0

//! A lane judges as a round does: with the same responses, ratings, known answers, scores and seed
//! the same agent wins by the same votes, and all are paid the same, apart from subsidy, tickets
//! and slashes, which a lane has none of.
//!
//! The round here calls the rules in the order in which `pallet-rounds`, `pallet-capabilities` and
//! `pallet-rewards` call them. Where no response is eligible a lane ends like a round whose best
//! response is below the threshold.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};
use sp_core::{sr25519, H256};
use sp_runtime::Permill;
use starling_lane::{
    broadcast::Settled,
    cipher::{Ordered, Piece, Sealed},
    message::{Open, Signed},
};
use starling_lane_primitives::{
    hashing,
    messages::{Ask, Named},
    outcome::{self, Count, Key},
    seal::{self, DecryptionKey, Seal},
    Account, Form, Hash, Member, Phase, Slot, Terms, Way,
};
use starling_primitives::{
    agreement,
    api::lanes::{CommitteeView, LaneView, MemberView, RulesView},
    assignment::{positions, rankings, Assignment},
    choice::{key_of, Capabilities, Capability, Choice, Known, Pairs, Voter, Voters, Votes},
    fixed::{self, ONE},
    lane_value, rating, rewards,
    selection::{best, Tally},
    Balance, Position, Score,
};
use starling_worker::lanes::{
    chain::InForce,
    judge::{judge, open, Judged, Responses, LEAST_RANKERS},
    room::Room,
    value,
};

const MOST: usize = 10;
const MIN_RANKINGS: u32 = 9;
const MAX_RANKINGS: u32 = 16;
const REQUESTER: Account = [251; 32];
const TREASURY: Account = [250; 32];

/// The value that a member seals in one of the broadcasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Good,
    Bad,
    Nothing,
}

#[derive(Clone, Debug)]
struct Case {
    members: u8,
    random: u64,
    fee: Balance,
    floor: u64,
    threshold: Permill,
    winner: Permill,
    rankers: Permill,
    choice: Choice,
    form: Form,
    ratings: Vec<u64>,
    /// The record of each member in the form of the request.
    known: Vec<Capability>,
    responses: Vec<Said>,
    /// The text of each response.
    texts: Vec<String>,
    scores: Vec<Said>,
    /// The score that each member gives the response of each.
    opinions: Vec<Vec<u16>>,
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        12 => Just(Said::Good),
        1 => Just(Said::Bad),
        1 => Just(Said::Nothing),
    ]
}

/// Texts of a few answers, each in several ways, and texts without a key.
fn text() -> impl Strategy<Value = String> {
    let texts = [
        "4",
        "Answer: 4.",
        "Two and two.\nThe answer is 4",
        "5",
        "answer: 5",
        "\\boxed{1,000}",
        "Paris",
        "First this.\nThen that.",
        "First this.\nThen another.",
    ];
    select(texts.to_vec()).prop_map(ToOwned::to_owned)
}

/// The sums of an agent after some known answers.
fn capability() -> impl Strategy<Value = Capability> {
    let known = (any::<bool>(), 0..=4u32).prop_map(|(is_right, halves)| Known {
        is_right,
        chance: ONE / 20,
        pairs: Pairs { halves, all: 2 },
    });
    vec(known, 0..8).prop_map(|all| {
        let mut capability = Capability::default();
        for known in &all {
            capability.learn(known);
        }
        capability
    })
}

/// Equation (3), and votes that need more proven agents or fewer.
fn choice() -> impl Strategy<Value = Choice> {
    let votes = (0..=4u32, 1..=4u32, 0..=3u32, 0..=2u32).prop_map(|numbers| {
        Choice::Votes(Votes {
            proof: numbers.0,
            counted: numbers.1,
            rankers: numbers.2,
            authors: numbers.3,
            ..Votes::default()
        })
    });
    prop_oneof![1 => Just(Choice::Paper), 3 => votes]
}

fn form() -> impl Strategy<Value = Form> {
    select(vec![Form::Free, Form::Number, Form::Choice, Form::Short])
}

fn case() -> impl Strategy<Value = Case> {
    let score = || prop_oneof![Just(u16::MAX), 0..=3u16, any::<u16>()];
    let rules = (
        select(vec![0, ONE / 2, ONE]),
        0..=100u32,
        50..=80u32,
        0..=20u32,
    );
    let sizes = (select(vec![4u8, 7, 10]), any::<u64>(), 1..1_000_000u128);
    let members = (
        vec(prop_oneof![Just(0u64), Just(ONE), 0..=2 * ONE], MOST),
        vec(said(), MOST),
        vec(said(), MOST),
        vec(vec(score(), MOST), MOST),
    );
    let answers = (choice(), form(), vec(text(), MOST), vec(capability(), MOST));
    (sizes, rules, members, answers).prop_map(|(sizes, rules, members, answers)| Case {
        members: sizes.0,
        random: sizes.1,
        fee: sizes.2,
        floor: rules.0,
        threshold: Permill::from_percent(rules.1),
        winner: Permill::from_percent(rules.2),
        rankers: Permill::from_percent(rules.3),
        ratings: members.0,
        responses: members.1,
        scores: members.2,
        opinions: members.3,
        choice: answers.0,
        form: answers.1,
        texts: answers.2,
        known: answers.3,
    })
}

/// The account of a member. The order of accounts is not that of members.
fn account(member: Member) -> Account {
    [member.wrapping_mul(97) ^ 0x5a; 32]
}

fn key(member: Member) -> DecryptionKey {
    DecryptionKey::from_bytes(&[member.wrapping_add(1); 64])
}

fn room(case: &Case) -> Room {
    let rules = RulesView {
        genesis: H256([5; 32]),
        treasury: TREASURY.into(),
        min_committee: 4,
        min_fee: 1,
        min_deposit: 1,
        burnt: Permill::zero(),
        lane_bond: 1,
        dispute_window: 20,
        winner: case.winner,
        rankers: case.rankers,
        min_rankings: MIN_RANKINGS,
        max_rankings: MAX_RANKINGS,
        approval_threshold: case.threshold,
    };
    let lane = LaneView {
        id: 3,
        requester: REQUESTER.into(),
        terms: Terms {
            members: case.members,
            max_fee: case.fee,
            max_tokens: 64,
            answer_ms: 1,
            rank_ms: 1,
            key: [0; 32],
            peer: None,
        },
        first_epoch: 1,
        last_epoch: None,
        reclaimable: None,
        deposited: case.fee,
        free: case.fee,
        pending: 0,
        paid: 0,
        burnt: 0,
        returned: 0,
        max_pending: 1_000_000,
    };
    let member = |member: Member| MemberView {
        agent: account(member).into(),
        key: sr25519::Public::from_raw([member; 32]).into(),
        point: key(member).public(),
        peer: [member; 32],
        bond: 1,
        rating: case.ratings[usize::from(member)],
        // Only the record in the form of the request counts.
        known: Capabilities::read(|form| match form == case.form {
            true => case.known[usize::from(member)],
            false => Capability::default(),
        }),
    };
    let committee = CommitteeView {
        choice: case.choice,
        members: (0..case.members).map(member).collect(),
    };
    let in_force = InForce {
        rules,
        weight_floor: case.floor,
        slot_ms: 1_000,
    };
    Room::new(lane, 9, committee, in_force, None).unwrap()
}

fn ask(case: &Case) -> Ask {
    Ask {
        genesis: [5; 32],
        lane: 3,
        epoch: 9,
        seq: 4,
        prompt: b"why?".to_vec(),
        max_tokens: 64,
        form: case.form,
        fee: case.fee,
        expiry: 100,
    }
}

/// A set of these values that a quorum has opened.
fn settled(
    room: &Room,
    case: &Case,
    phase: Phase,
    values: Vec<(Member, Vec<u8>)>,
) -> Settled<Sealed> {
    let committee = room.committee;
    let slot = Slot {
        phase,
        ..room.slot(4)
    };
    let points: Vec<_> = room.members.iter().map(|view| view.point).collect();
    let seals: Vec<(Member, Ordered)> = values
        .into_iter()
        .map(|(member, value)| {
            let secret: Hash = hashing::hash(&(case.random, phase, member));
            let place = seal::Place {
                slot,
                ask: ask(case).hash(),
                sealer: account(member),
            };
            let seal = Seal::new(committee, place, &points, 0, &secret, &value);
            (member, Ordered(seal.unwrap()))
        })
        .collect();
    let named = seals.iter().map(|(member, seal)| Named {
        member: *member,
        seal: Some(seal.0.hash()),
    });
    let set: starling_lane::contents::Contents = named.collect();
    let opens = (0..committee.quorum()).map(|by| {
        let share = |seal: &Seal| seal.own_shares(by, &key(by)).unwrap().unwrap().full;
        let pieces = seals.iter().map(|(_, seal)| Piece::Share(share(&seal.0)));
        Arc::new(Signed {
            by,
            body: Open {
                way: Way::Full,
                set: set.clone(),
                pieces: pieces.collect(),
            },
        })
    });
    Settled {
        opens: opens.collect(),
        way: Way::Full,
        set,
        seals,
    }
}

/// The outcome of the lane, and the seed of its assignment.
fn lane(case: &Case) -> (Judged, H256) {
    let (room, ask) = (room(case), ask(case));
    let response = |member: Member| match case.responses[usize::from(member)] {
        Said::Good => Some(lane_value::response(&case.texts[usize::from(member)], 64)),
        // No text.
        Said::Bad => Some(lane_value::response("", 64)),
        Said::Nothing => None,
    };
    let said = (0..case.members).filter_map(|member| Some((member, response(member)?)));
    let responses = settled(&room, case, Phase::Responses, said.collect());
    let given = Responses::new(&room, &ask, &responses);
    let scores = |member: Member| {
        let assigned = given.assigned(member).unwrap_or_default();
        let mut scores: Vec<Score> = assigned
            .iter()
            .map(|author| opinion(case, member, *author))
            .collect();
        match case.scores[usize::from(member)] {
            Said::Good => {},
            // One too many.
            Said::Bad => scores.push(Score(0)),
            Said::Nothing => return None,
        }
        Some(value::scores(&scores))
    };
    let said = (0..case.members).filter_map(|member| Some((member, scores(member)?)));
    let scores = settled(&room, case, Phase::Scores, said.collect());
    let keys: Vec<Key> = open(&room, &responses)
        .into_iter()
        .map(|(member, key, _)| (member, key))
        .collect();
    let seed = outcome::seed(&room.slot(4), &responses.set.root(), &keys);
    let judged = judge(&room, &ask, &given, &responses, &scores);
    (judged, H256(seed))
}

fn opinion(case: &Case, ranker: Member, author: Member) -> Score {
    Score(case.opinions[usize::from(ranker)][usize::from(author)])
}

/// An agent with a valid response in the round.
struct Participant {
    member: Member,
    rating: u64,
    weight: u64,
    position: Position,
    disclosed: Option<Vec<(Position, Score)>>,
}

/// The end of a round: its winner, the votes behind its best response, and all payments.
type End = (Option<Account>, Option<Count>, BTreeMap<Account, Balance>);

/// The choice of `pallet-capabilities`.
fn chosen(
    case: &Case,
    seed: H256,
    participants: &[Participant],
    tallies: &BTreeMap<Position, Tally>,
) -> Option<(Account, Tally, Option<Count>)> {
    let agents: BTreeMap<Position, Account> = participants
        .iter()
        .map(|one| (one.position, account(one.member)))
        .collect();
    let (Choice::Votes(votes), true) = (case.choice, case.form.is_counted()) else {
        let entries = tallies.iter().map(|(at, tally)| (agents[at], *tally));
        return best(seed, entries).map(|(agent, tally)| (agent, tally, None));
    };
    let voter = |one: &Participant| Voter {
        agent: account(one.member),
        tally: tallies[&one.position],
        key: key_of(case.texts[usize::from(one.member)].as_bytes()),
        weights: case.known[usize::from(one.member)].weights(&votes),
        scores: one.disclosed.clone(),
    };
    let voters: Voters<Account> = participants
        .iter()
        .map(|one| (one.position, voter(one)))
        .collect();
    let outcome = case.choice.of_voters(seed, case.form, &voters)?;
    let count = outcome.count();
    Some((outcome.winner, outcome.tally, Some(count)))
}

/// The round.
fn round(case: &Case, seed: H256) -> End {
    // The assignment.
    let mut agents: Vec<Member> = (0..case.members)
        .filter(|member| case.responses[usize::from(*member)] == Said::Good)
        .collect();
    agents.sort_by_key(|member| account(*member));
    let n = u32::try_from(agents.len()).unwrap();
    let k = rankings(n, MIN_RANKINGS, MAX_RANKINGS);
    let ratings: Vec<u64> = agents
        .iter()
        .map(|member| case.ratings[usize::from(*member)])
        .collect();
    let weights = rating::weights(&ratings, case.floor);
    let mut participants: Vec<Participant> = agents
        .iter()
        .zip(positions(seed, n))
        .zip(ratings.iter().zip(weights))
        .map(|((member, position), (rating, weight))| Participant {
            member: *member,
            rating: *rating,
            weight,
            position,
            disclosed: None,
        })
        .collect();
    let authors: BTreeMap<Position, Member> = participants
        .iter()
        .map(|one| (one.position, one.member))
        .collect();
    let weight_at: BTreeMap<Position, u64> = participants
        .iter()
        .map(|one| (one.position, one.weight))
        .collect();
    let assignment = Assignment::new(seed, n, k);
    let mut tallies: BTreeMap<Position, Tally> = authors
        .keys()
        .map(|position| {
            let rankers = assignment.rankers(*position);
            let tally = Tally {
                assigned: rankers.iter().map(|ranker| weight_at[ranker]).sum(),
                ..Default::default()
            };
            (*position, tally)
        })
        .collect();

    // The disclosures.
    for one in &mut participants {
        if case.scores[usize::from(one.member)] != Said::Good {
            continue;
        }
        let assigned = assignment.responses(one.position);
        let scores = assigned.into_iter().map(|position| {
            let score = opinion(case, one.member, authors[&position]);
            (position, score)
        });
        let scores: Vec<(Position, Score)> = scores.collect();
        for (position, score) in &scores {
            if let Some(tally) = tallies.get_mut(position) {
                tally.add(one.weight, *score);
            }
        }
        one.disclosed = Some(scores);
    }

    // The best response.
    let best = chosen(case, seed, &participants, &tallies);
    let count = best.as_ref().and_then(|(.., count)| *count);
    let winner = best
        .filter(|(_, tally, _)| tally.reaches(fixed::share(case.threshold)))
        .map(|(agent, ..)| agent);

    // The payments.
    let points = participants.iter().filter_map(|one| {
        let disclosed = one.disclosed.as_ref().filter(|_| one.weight > 0)?;
        let scored: Vec<(Score, Tally)> = disclosed
            .iter()
            .map(|(position, score)| (*score, tallies[position]))
            .collect();
        let agreement = agreement::agreement(one.weight, &scored);
        let points = agreement::points(one.rating, agreement);
        (points > 0).then(|| (account(one.member), points))
    });
    let points: Vec<(Account, u64)> = points.collect();
    let (to, prize, share) = match winner {
        Some(winner) => {
            let parts = rewards::split(case.fee, case.winner, case.rankers);
            (winner, parts.winner, parts.rankers)
        },
        None => {
            let refund = Permill::from_percent(50).mul_floor(case.fee);
            let rest = case.fee - refund;
            let share = case.rankers.mul_floor(case.fee).min(rest);
            (REQUESTER, refund, share)
        },
    };
    let all: Vec<u64> = points.iter().map(|(_, points)| *points).collect();
    let (shares, _) = rewards::divide(share, &all);
    let paid: Balance = shares.iter().sum();
    let rankers = points.iter().map(|(agent, _)| *agent).zip(shares);
    let treasury = case.fee - prize - paid;
    let mut payments: BTreeMap<Account, Balance> = BTreeMap::new();
    for (to, amount) in rankers.chain([(to, prize), (TREASURY, treasury)]) {
        *payments.entry(to).or_default() += amount;
    }
    payments.retain(|_, amount| *amount > 0);
    (winner, count, payments)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_lane_judges_as_a_round_does(case in case()) {
        let (judged, seed) = lane(&case);
        let winner = judged.outcome().winner.map(account);
        let paid: BTreeMap<Account, Balance> = judged.outcome().payouts.iter().copied().collect();
        prop_assert_eq!(paid.len(), judged.outcome().payouts.len());
        let valid = |said: &&Said| **said == Said::Good;
        let members = usize::from(case.members);
        let n = case.responses[..members].iter().filter(valid).count();
        let k = rankings(u32::try_from(n).unwrap(), MIN_RANKINGS, MAX_RANKINGS);
        if k < LEAST_RANKERS {
            // A round is content with fewer rankers.
            prop_assert_eq!(winner, None);
        } else {
            prop_assert_eq!((winner, judged.outcome().count, paid), round(&case, seed));
        }
    }
}

#[test]
fn votes_of_proven_members_decide_where_scores_alone_would_not() {
    let mut proven = Capability::default();
    for _ in 0..20 {
        proven.learn(&Known {
            is_right: true,
            chance: ONE / 20,
            pairs: Pairs { halves: 2, all: 1 },
        });
    }
    // The first four know the answer. The herd of the others has the higher ratings, and prefers
    // itself.
    let knows = |member: &usize| *member < 4;
    let each = || 0..MOST;
    let opinion = |ranker: &usize, author: &usize| match knows(ranker) == knows(author) {
        true => 60_000,
        false => 10_000,
    };
    let case = |choice| Case {
        members: 7,
        random: 1,
        fee: 1_000,
        floor: 0,
        threshold: Permill::zero(),
        winner: Permill::from_percent(70),
        rankers: Permill::from_percent(20),
        choice,
        form: Form::Number,
        ratings: each()
            .map(|member| if knows(&member) { ONE / 10 } else { ONE })
            .collect(),
        known: each()
            .map(|member| {
                if knows(&member) {
                    proven
                } else {
                    Capability::default()
                }
            })
            .collect(),
        responses: vec![Said::Good; MOST],
        texts: each()
            .map(|member| {
                if knows(&member) {
                    "4".into()
                } else {
                    "5".into()
                }
            })
            .collect(),
        scores: vec![Said::Good; MOST],
        opinions: each()
            .map(|ranker| each().map(|author| opinion(&ranker, &author)).collect())
            .collect(),
    };
    let judged = |choice| {
        let (judged, _) = lane(&case(choice));
        let text = judged.answer.clone().unwrap().text;
        (text, judged.outcome().count)
    };
    assert_eq!(judged(Choice::Paper), ("5".into(), None));
    let votes = Votes {
        authors: 1,
        ..Votes::default()
    };
    let (text, count) = judged(Choice::Votes(votes));
    let count = count.unwrap();
    assert_eq!((text.as_str(), count.is_voted), ("4", true));
    assert_eq!((count.votes, count.responses), (4, 7));
    // Too few of them are proven: the scores decide, and the count says so.
    let (text, count) = judged(Choice::Votes(Votes::default()));
    assert_eq!((text.as_str(), count.unwrap().is_voted), ("5", false));
}
