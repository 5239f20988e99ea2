// SPDX-License-Identifier: Apache-2.0
//! The cost of a round, by its number of agents.
//!
//! A table, for up to 500 agents (minutes without optimisation):
//!
//! ```text
//! STARLING_SCALE=10,50,100,250,500 cargo test --release -p pallet-rounds scale -- --nocapture
//! ```

use codec::Encode;
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    weights::{constants::WEIGHT_REF_TIME_PER_SECOND, Weight},
};

use starling_primitives::Score;

use crate::{mock::*, *};

/// Half of a block of two seconds.
const BUDGET: u64 = WEIGHT_REF_TIME_PER_SECOND;

/// Observations of a round.
#[derive(Default)]
struct Seen {
    blocks: u32,
    bytes: usize,
    heaviest: u64,
    items: usize,
    state: usize,
}

/// Keys and bytes of the whole state, without the accounts.
fn state() -> (usize, usize) {
    let mut key = sp_io::hashing::twox_128(b"Rounds_").to_vec();
    let prefix = key.clone();
    let (mut items, mut bytes) = (0, 0);
    while let Some(next) = sp_io::storage::next_key(&key) {
        if !next.starts_with(&prefix) {
            break;
        }
        let value = sp_io::storage::get(&next).map_or(0, |value| value.len());
        items += 1;
        bytes += next.len() + value;
        key = next;
    }
    (items, bytes)
}

/// Fills blocks with the messages, each up to the budget, like an author would, until the round is
/// in the next phase.
fn deliver(id: u64, seen: &mut Seen, messages: Vec<Call<Test>>, next: Phase) {
    for message in messages {
        let call = RuntimeCall::from(message.clone());
        let info = call.get_dispatch_info();
        let weight = info
            .call_weight
            .saturating_add(frame_support::traits::Authorize::weight_of_authorize(&call));
        if System::block_weight()
            .total()
            .saturating_add(weight)
            .ref_time()
            > BUDGET
        {
            end(seen);
        }
        System::register_extra_weight_unchecked(weight, DispatchClass::Operational);
        // Extrinsic: the call, the version byte and the length.
        seen.bytes += call.encoded_size() + 4;
        send(message).unwrap_or_else(|error| panic!("round {id}: {error:?}"));
    }
    end(seen);
    // If the last messages left no room, the transition is the first thing in the next block.
    if phase(id) != next {
        end(seen);
    }
    assert_eq!(phase(id), next);
}

fn end(seen: &mut Seen) {
    seen.blocks += 1;
    next_block();
    seen.heaviest = seen.heaviest.max(LastWeight::get().ref_time());
    let (items, bytes) = state();
    seen.items = seen.items.max(items);
    seen.state = seen.state.max(bytes);
}

fn play_with(n: u32) -> Seen {
    // No agent answers its own request.
    let agents: Vec<AccountId> = (1..)
        .filter(|who| *who != REQUESTER)
        .take(n as usize)
        .collect();
    MaxResponses::set(n.max(8));
    MaxTransitionAgents::set(n.max(32));
    RatingPage::set(50);
    PurgePage::set(2_000);
    MaxResponse::set(1_024);
    CommitWindow::set(200);
    RevealWindow::set(200);
    RankWindow::set(200);
    DiscloseWindow::set(200);
    let mut seen = Seen::default();
    for who in agents.iter().filter(|who| !AGENTS.contains(*who)) {
        use frame_support::traits::fungible::Mutate;
        Balances::mint_into(who, ENDOWMENT).expect("it is an account");
        register(*who, BOND).expect("it becomes an agent");
    }
    let before = state();
    let id = ask_with(FEE, 4, MaxResponses::get()).expect("the request is good");
    next_block();
    let text = "a".repeat(1_000);
    let commits = agents
        .iter()
        .map(|who| {
            let key = secret(id, *who);
            let sealed = seal(id, *who, &text);
            commit_call(id, *who, sealed, &key)
        })
        .collect();
    deliver(id, &mut seen, fresh(commits), Phase::Revealing);
    let reveals = agents
        .iter()
        .map(|who| reveal_call(id, *who, secret(id, *who)))
        .collect();
    deliver(id, &mut seen, fresh(reveals), Phase::Ranking);
    let seed = round(id).seed.expect("assigned");
    let judge = |who: AccountId| Score(u16::try_from(30_000 + who * 60).expect("a score"));
    let all: AllScores = agents
        .iter()
        .map(|who| (*who, scores_by(id, *who, judge)))
        .collect();
    let commitments = all
        .iter()
        .map(|(who, scores)| commit_scores_call(id, *who, seed, scores))
        .collect();
    deliver(id, &mut seen, fresh(commitments), Phase::Disclosing);
    let scores = all
        .iter()
        .map(|(who, scores)| disclose_call(id, *who, scores))
        .collect();
    deliver(id, &mut seen, fresh(scores), Phase::Done);
    while Rounds::<Test>::contains_key(id) {
        next_block_with_idle(Weight::from_parts(BUDGET, u64::MAX));
    }
    let after = state();
    // Values of the pallet as a whole are written for the first time: the number of the next
    // round, the queue of ended ones, the agenda and the list of rounds in Committing.
    assert!(
        after.0 <= before.0 + 4,
        "{} items are left of {}",
        after.0,
        before.0
    );
    seen
}

/// All messages of a phase are signed when it begins, and the last ones arrive many blocks later.
fn fresh(messages: Vec<Call<Test>>) -> Vec<Call<Test>> {
    Longevity::set(200);
    messages
}

#[test]
fn a_round_fits_whatever_its_size_and_leaves_nothing() {
    let sizes = std::env::var("STARLING_SCALE").unwrap_or_else(|_| "10,50".into());
    println!("agents blocks extrinsic-bytes heaviest-block-ms peak-items peak-state-bytes");
    for size in sizes.split(',') {
        let n = size.trim().parse().expect("numbers of agents");
        let seen = run(|| play_with(n));
        assert!(seen.heaviest <= BUDGET);
        println!(
            "{n} {} {} {:.1} {} {}",
            seen.blocks,
            seen.bytes,
            seen.heaviest as f64 / 1e9,
            seen.items,
            seen.state
        );
    }
}
