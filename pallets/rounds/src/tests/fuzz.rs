// SPDX-License-Identifier: Apache-2.0
//! Arbitrary messages by arbitrary accounts, with the invariants checked after every block.
//!
//! `CASES` sequences of `LENGTH` operations are 100,000 operations. Sequences that once failed are
//! kept in `proptest-regressions/fuzz.txt` and tried first. A run of 10^6 operations:
//!
//! ```text
//! STARLING_FUZZ_CASES=4000 STARLING_FUZZ_SEED=1 \
//!     cargo test --release -p pallet-rounds fuzz -- --nocapture
//! ```
//!
//! The same seed gives the same sequences. Without one each run draws its own, and prints it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use frame_support::weights::Weight;
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use sp_core::Pair;
use starling_primitives::{
    messages::{ownership_payload, Message},
    sealing, Balance, Position, RoundId, Score,
};

use crate::{mock::*, *};

/// Length in tokens that every request allows.
const SHORT: u32 = 16;

/// Enough cases to meet each outcome: the rarest one ended about two rounds in a hundred cases.
const CASES: u32 = 400;
const LENGTH: usize = 250;

/// One operation. Indices are taken modulo the number of items, so that most of them hit something.
#[derive(Clone, Debug)]
enum Op {
    Request {
        by: u8,
        fee: Balance,
        min: u32,
        max: u32,
    },
    /// Requests in one block, each with a higher fee than the one before, by two accounts in turn.
    Fill {
        fee: Balance,
        count: u8,
    },
    Commit {
        who: u8,
        round: u8,
        garbage: bool,
    },
    /// A response that is longer than the request allows.
    Long {
        who: u8,
        round: u8,
        more: u16,
    },
    /// A copy of another agent's ciphertext.
    Copy {
        who: u8,
        round: u8,
    },
    /// A message in the name of another agent.
    Forge {
        who: u8,
        by: u8,
        round: u8,
    },
    Pass {
        who: u8,
        round: u8,
    },
    Reveal {
        who: u8,
        round: u8,
        wrong: bool,
        paid: bool,
    },
    CommitScores {
        who: u8,
        round: u8,
        skew: u8,
    },
    Disclose {
        who: u8,
        round: u8,
        skew: u8,
        paid: bool,
    },
    /// All agents do what they owe.
    Everybody {
        round: u8,
        skew: u8,
    },
    Agent {
        who: u8,
        what: u8,
        amount: Balance,
    },
    Report {
        who: u8,
        round: u8,
    },
    Author(u8),
    Blocks {
        count: u8,
        idle: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..14u8;
    let round = 0..4u8;
    let skew = prop_oneof![3 => Just(0u8), 1 => 1..6u8];
    // Some are so high that their slash exceeds the bonds.
    let fee = prop_oneof![19 => 50_000..3_000_000u128, 1 => 3_000_000..60_000_000u128];
    prop_oneof![
        2 => (any::<u8>(), fee, 0..9u32, 0..10u32)
            .prop_map(|(by, fee, min, max)| Op::Request { by, fee, min, max }),
        1 => (200_000..600_000u128, 2..8u8).prop_map(|(fee, count)| Op::Fill { fee, count }),
        1 => (who.clone(), round.clone(), 1..5_000u16)
            .prop_map(|(who, round, more)| Op::Long { who, round, more }),
        1 => (who.clone(), round.clone()).prop_map(|(who, round)| Op::Copy { who, round }),
        1 => (who.clone(), who.clone(), round.clone())
            .prop_map(|(who, by, round)| Op::Forge { who, by, round }),
        6 => (who.clone(), round.clone(), prop::bool::weighted(0.15))
            .prop_map(|(who, round, garbage)| Op::Commit { who, round, garbage }),
        3 => (who.clone(), round.clone()).prop_map(|(who, round)| Op::Pass { who, round }),
        6 => (who.clone(), round.clone(), prop::bool::weighted(0.1), prop::bool::weighted(0.2))
            .prop_map(|(who, round, wrong, paid)| Op::Reveal { who, round, wrong, paid }),
        6 => (who.clone(), round.clone(), skew.clone())
            .prop_map(|(who, round, skew)| Op::CommitScores { who, round, skew }),
        6 => (who.clone(), round.clone(), skew.clone(), prop::bool::weighted(0.2))
            .prop_map(|(who, round, skew, paid)| Op::Disclose { who, round, skew, paid }),
        9 => (round.clone(), skew).prop_map(|(round, skew)| Op::Everybody { round, skew }),
        3 => (who.clone(), any::<u8>(), 1..400_000u128)
            .prop_map(|(who, what, amount)| Op::Agent { who, what, amount }),
        1 => (who.clone(), round.clone()).prop_map(|(who, round)| Op::Report { who, round }),
        1 => (0..5u8).prop_map(Op::Author),
        6 => (1..3u8, any::<bool>()).prop_map(|(count, idle)| Op::Blocks { count, idle }),
    ]
}

/// The number of one of the stored rounds.
fn pick(round: u8) -> u64 {
    let mut ids: Vec<u64> = Rounds::<Test>::iter_keys().collect();
    ids.sort();
    let newest = ids
        .len()
        .saturating_sub(1 + usize::from(round) % ids.len().max(1));
    ids.get(newest).copied().unwrap_or(0)
}

/// The scores of an agent, a pure function of round, agent and skew. A skew of 3 inverts them, one
/// of 4 or more makes scores for responses other than the assigned ones.
fn judge(id: u64, who: AccountId, skew: u8) -> Vec<(Position, Score)> {
    let Some(it) = Rounds::<Test>::get(id) else {
        return Vec::new();
    };
    let participant = Participants::<Test>::get(id, who);
    let (Some(seed), Some(Response::Valid { position, .. })) =
        (it.seed, participant.map(|it| it.response))
    else {
        return vec![(0, Score(1))];
    };
    let assignment =
        starling_primitives::assignment::Assignment::new(seed, it.counts.valid, it.rankings);
    let mut scores: Vec<_> = assignment
        .responses(position)
        .into_iter()
        .map(|place| {
            let honest = u16::from_le_bytes([place as u8, 200 - place as u8]);
            let noise = sp_io::hashing::blake2_256(&codec::Encode::encode(&(id, who, place)));
            let noise = u16::from_le_bytes([noise[0], noise[1]]);
            let score = match skew {
                1 => noise,
                2 => noise / 64,
                3 => u16::MAX - honest.saturating_add(noise / 64),
                _ => honest.saturating_add(noise / 64),
            };
            (place, Score(score))
        })
        .collect();
    if skew >= 4 {
        scores.pop();
    }
    scores
}

/// A message that was let in and failed would be free spam.
fn sent(result: Result<sp_runtime::transaction_validity::ValidTransaction, Refused>) -> bool {
    match result {
        Ok(_) => true,
        Err(Refused::Pool(_)) => false,
        Err(Refused::Dispatch(error)) => panic!("let in, and failed: {error:?}"),
    }
}

fn commit_op(id: u64, who: AccountId, garbage: bool) -> bool {
    let key = secret(id, who);
    let sealed = if garbage {
        vec![7; 40]
    } else {
        seal(id, who, &answer(who))
    };
    sent(send(commit_call(id, who, sealed, &key)))
}

fn commit_scores_op(id: u64, who: AccountId, skew: u8) -> bool {
    let seed = Rounds::<Test>::get(id)
        .and_then(|it| it.seed)
        .unwrap_or_default();
    sent(send(commit_scores_call(
        id,
        who,
        seed,
        &judge(id, who, skew),
    )))
}

fn disclose_op(id: u64, who: AccountId, skew: u8, paid: bool) -> bool {
    let scores = judge(id, who, skew);
    if paid {
        let scores = scores.try_into().expect("few scores");
        let payer = RuntimeOrigin::signed(REQUESTER);
        return Rounds_::disclose(payer, id, who, scores, salt(id, who), None).is_ok();
    }
    sent(send(disclose_call(id, who, &scores)))
}

fn everybody(id: u64, skew: u8) {
    let Some(it) = Rounds::<Test>::get(id) else {
        return;
    };
    let agents: Vec<AccountId> = pallet_agents::Agents::<Test>::iter_keys().collect();
    for who in agents {
        match it.phase {
            Phase::Committing => drop(commit_op(id, who, false)),
            Phase::Revealing => drop(sent(send(reveal_call(id, who, secret(id, who))))),
            Phase::Ranking => drop(commit_scores_op(id, who, skew)),
            // One of them is what it committed.
            Phase::Disclosing => {
                let _ = (0..5).any(|skew| disclose_op(id, who, skew, false));
            },
            Phase::Done | Phase::Failed(_) => {},
        }
    }
}

fn agent_op(who: AccountId, what: u8, amount: Balance) {
    let signed = RuntimeOrigin::signed(who);
    let _ = frame_support::storage::with_storage_layer(|| match what % 10 {
        0 | 1 => register(who, amount + 100_000),
        2 => Agents::bond_extra(signed, amount),
        3 => Agents::unbond(signed, amount),
        4 => Agents::withdraw_unbonded(signed),
        5 => Agents::chill(signed),
        6 => Agents::unchill(signed),
        7 => Tickets::buy(signed, amount),
        8 => Tickets::refund(signed, amount),
        _ if amount.is_multiple_of(7) => Agents::deregister(signed),
        _ if amount.is_multiple_of(5) => {
            let next = pair(who + 1_000);
            let proof = next.sign(&ownership_payload(genesis_hash(), &who));
            Agents::rotate_key(signed, next.public(), proof)
        },
        _ => Agents::slash(RuntimeOrigin::root(), who, amount),
    });
}

fn request_op(by: AccountId, fee: Balance, min: u32, max: u32) -> bool {
    let by = RuntimeOrigin::signed(by);
    frame_support::storage::with_storage_layer(|| {
        Rounds_::request(by, b"why?".to_vec(), fee, SHORT, min, max)
    })
    .is_ok()
}

fn apply(op: Op) -> bool {
    let account = |who: u8| AccountId::from(who % 14) + 1;
    match op {
        Op::Request { by, fee, min, max } => {
            let by = if by % 8 == 0 {
                account(by)
            } else {
                REQUESTER + u64::from(by % 2)
            };
            request_op(by, fee, min, max)
        },
        Op::Fill { fee, count } => {
            let opened = (0..u64::from(count)).filter(|more| {
                let fee = fee + Balance::from(*more) * 1_000;
                request_op(REQUESTER + more % 2, fee, 4, 4)
            });
            opened.count() > 0
        },
        Op::Commit {
            who,
            round,
            garbage,
        } => commit_op(pick(round), account(who), garbage),
        Op::Long { who, round, more } => {
            let (id, who) = (pick(round), account(who));
            let most = sealing::max_bytes(SHORT, MaxResponse::get()) + sealing::OVERHEAD;
            let sealed = vec![7; most as usize + usize::from(more)];
            let accepted = sent(send(commit_call(id, who, sealed, &secret(id, who))));
            assert!(!accepted, "a response longer than allowed");
            accepted
        },
        Op::Copy { who, round } => {
            let (id, who) = (pick(round), account(who));
            let first = Sealed::<Test>::iter_prefix(id).next();
            first.is_some_and(|(_, sealed)| {
                sent(send(commit_call(id, who, sealed.into(), &secret(id, who))))
            })
        },
        Op::Forge { who, by, round } => {
            let (id, who, by) = (pick(round), account(who), account(by));
            let signed = sign_at(id, who, &Message::Pass, Rounds_::now(), &pair(by));
            let pass = Call::pass {
                round: id,
                agent: who,
                proof: signed,
            };
            let accepted = sent(send(pass));
            assert!(!accepted || who == by, "a message in another's name");
            accepted
        },
        Op::Pass { who, round } => sent(send(pass_call(pick(round), account(who)))),
        Op::Reveal {
            who,
            round,
            wrong,
            paid,
        } => {
            let (id, who) = (pick(round), account(who));
            let key = if wrong { [3; 32] } else { secret(id, who) };
            if paid {
                let payer = RuntimeOrigin::signed(REQUESTER);
                return Rounds_::reveal(payer, id, who, key, None).is_ok();
            }
            sent(send(reveal_call(id, who, key)))
        },
        Op::CommitScores { who, round, skew } => commit_scores_op(pick(round), account(who), skew),
        Op::Disclose {
            who,
            round,
            skew,
            paid,
        } => disclose_op(pick(round), account(who), skew, paid),
        Op::Everybody { round, skew } => {
            everybody(pick(round), skew);
            true
        },
        Op::Agent { who, what, amount } => {
            agent_op(account(who), what, amount);
            true
        },
        Op::Report { who, round } => {
            let reporter = RuntimeOrigin::signed(REQUESTER);
            frame_support::storage::with_storage_layer(|| {
                Rounds_::report(reporter, pick(round), account(who))
            })
            .is_ok()
        },
        Op::Author(author) => {
            Author::set((author > 0).then_some(author.into()));
            true
        },
        Op::Blocks { count, idle } => {
            let weight = if idle {
                Weight::from_parts(u64::MAX / 4, 0)
            } else {
                Weight::zero()
            };
            (0..count).for_each(|_| block(weight));
            true
        },
    }
}

/// Numbers of rounds by outcome: with a winner, and with each failure.
static ENDED: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

fn count(phase: Phase) {
    let place = match phase {
        Phase::Failed(Failure::TooFewCommits) => 1,
        Phase::Failed(Failure::TooFewReveals) => 2,
        Phase::Failed(Failure::NoRankings) => 3,
        Phase::Failed(Failure::BelowThreshold) => 4,
        Phase::Failed(Failure::Outbid) => 5,
        _ => 0,
    };
    ENDED[place].fetch_add(1, Ordering::Relaxed);
}

thread_local! {
    /// The fees of the case's rounds, of which the chain forgets some at once.
    static FEES: RefCell<BTreeMap<RoundId, Balance>> = const { RefCell::new(BTreeMap::new()) };
}

/// Ends a block, and checks the issuance: only subsidies are minted, and only amounts that the
/// parameters name are burnt.
fn block(idle: Weight) {
    let before = Balances::total_issuance();
    next_block_with_idle(idle);
    let (minted, burnt) = LastEvents::get()
        .into_iter()
        .map(|event| match event {
            Event::Settled { settlement, .. } => (settlement.subsidy, settlement.burnt),
            _ => (0, 0),
        })
        .fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
    assert_eq!(
        Balances::total_issuance() + burnt,
        before + minted,
        "issuance in on_finalize"
    );
    for event in LastEvents::get() {
        if let Event::Requested { round, fee, .. } = event {
            FEES.with_borrow_mut(|fees| fees.insert(round, fee));
        }
        if let Event::Settled {
            round: id,
            phase,
            settlement,
            winner,
            ..
        } = event
        {
            assert_eq!(winner.is_some(), phase == Phase::Done);
            count(phase);
            let out = settlement.winner
                + settlement.rankers
                + settlement.treasury
                + settlement.burnt
                + settlement.refunded;
            let fee = FEES.with_borrow(|fees| fees[&id]);
            let withheld = matches!(
                phase,
                Phase::Failed(Failure::TooFewReveals | Failure::NoRankings)
            );
            let lost = settlement.slashed + settlement.forfeited;
            let slashed = if withheld { settlement.slashed } else { 0 };
            assert_eq!(
                out,
                fee + settlement.subsidy + settlement.forfeited + slashed,
                "fee, subsidy and losses are paid out to the last unit"
            );
            assert!(
                !withheld || settlement.refunded <= lost,
                "the requester gets no more than those lost that withheld"
            );
        }
    }
}

#[test]
fn nothing_breaks_whatever_anybody_sends() {
    let cases = std::env::var("STARLING_FUZZ_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES);
    let seed = std::env::var("STARLING_FUZZ_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("STARLING_FUZZ_CASES={cases} STARLING_FUZZ_SEED={seed}");
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    };
    let (ops, hits) = (AtomicU64::new(0), AtomicU64::new(0));
    TestRunner::new(config)
        .run(&prop::collection::vec(op(), LENGTH), |sequence| {
            run(|| {
                Authorities::set(vec![1, 2, 3]);
                SlotPrice::set(60_000);
                MaxOpenRounds::set(4);
                for op in sequence {
                    ops.fetch_add(1, Ordering::Relaxed);
                    hits.fetch_add(u64::from(apply(op)), Ordering::Relaxed);
                }
                // Let everything come to its end.
                for number in 0..60u64 {
                    Author::set(Some(1 + number % 3));
                    block(Weight::from_parts(u64::MAX / 4, 0));
                }
                assert!(Agenda::<Test>::get().is_empty(), "every round ends");
                assert_eq!(Rounds::<Test>::iter().count(), 0, "and is purged");
                assert!(Participants::<Test>::iter().next().is_none());
                assert_eq!(on_hold(REQUESTER) + on_hold(REQUESTER + 1), 0);
            });
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let ended = ENDED.each_ref().map(value);
    println!(
        "{} operations, {} accepted; rounds ended: {ended:?}",
        value(&ops),
        value(&hits)
    );
    if cases >= CASES {
        assert!(value(&ops) >= 20_000);
        assert!(
            ended.iter().all(|count| *count > 0),
            "every outcome was met"
        );
    }
}
