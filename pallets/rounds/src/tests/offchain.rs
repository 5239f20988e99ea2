// SPDX-License-Identifier: Apache-2.0
//! The job board, and `submit`.

use codec::{Decode, Encode};
use sp_core::{
    offchain::{
        testing::{PoolState, TestOffchainExt, TestTransactionPoolExt},
        OffchainDbExt, OffchainWorkerExt, TransactionPoolExt,
    },
    Pair,
};
use sp_keystore::{testing::MemoryKeystore, Keystore, KeystoreExt};
use sp_runtime::offchain::storage::StorageValueRef;
use starling_primitives::{
    api::{
        job_board_key, JobBoard, SealedResponse, SealedScores, Sent, StoredJobBoard, Task,
        VaultEntry,
    },
    INFERENCE,
};
use std::sync::Arc;

use crate::{mock::*, *};

/// A chain with a node that runs agent 1.
fn on_a_node(test: impl FnOnce(&dyn Fn() -> Vec<RuntimeCall>)) {
    let mut ext = ext();
    let keystore = MemoryKeystore::new();
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&1u64.to_le_bytes());
    let suri = format!(
        "0x{}",
        seed.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    keystore
        .insert(INFERENCE, &suri, pair(1).public().as_ref())
        .expect("the keystore takes it");
    let (offchain, _) = TestOffchainExt::new();
    let (pool, state): (_, Arc<parking_lot::RwLock<PoolState>>) = TestTransactionPoolExt::new();
    ext.register_extension(KeystoreExt::new(keystore));
    ext.register_extension(OffchainDbExt::new(offchain.clone()));
    ext.register_extension(OffchainWorkerExt::new(offchain));
    ext.register_extension(TransactionPoolExt::new(pool));
    ext.execute_with(|| {
        let sent = || {
            let transactions = core::mem::take(&mut state.write().transactions);
            transactions
                .into_iter()
                .map(|bytes| {
                    Extrinsic::decode(&mut &bytes[..])
                        .expect("an extrinsic")
                        .function
                })
                .collect()
        };
        test(&sent);
        check();
    });
}

/// Includes the node's messages in the block.
fn include(calls: Vec<RuntimeCall>) {
    for call in calls {
        let RuntimeCall::Rounds_(call) = call else {
            panic!("a call of another pallet")
        };
        send(call).expect("a submitted message is valid");
    }
}

fn board() -> JobBoard<AccountId> {
    Rounds_::write_job_boards();
    let key = job_board_key(&pair(1).public());
    let stored = StorageValueRef::persistent(&key).get();
    let StoredJobBoard::V2(board) = stored.expect("it decodes").expect("there is one");
    board
}

fn entry(id: u64, who: AccountId) -> VaultEntry<AccountId> {
    let key = secret(id, who);
    let sealed = seal(id, who, &answer(who));
    VaultEntry {
        round: id,
        agent: who,
        response: Some(SealedResponse { key, sealed }),
        scores: None,
    }
}

#[test]
fn a_local_agent_plays_a_round_by_board_and_submit() {
    on_a_node(|sent| {
        let id = ask();
        let mut result = entry(id, 1);
        assert!(matches!(board().jobs[0].task, Task::Respond { .. }));
        assert_eq!(
            Rounds_::submit(vec![result.clone()], 0),
            vec![],
            "not in the request's block"
        );
        next_block();
        assert_eq!(
            Rounds_::submit(vec![result.clone()], 0),
            vec![(id, 1, Sent::Commit)]
        );
        include(sent());
        assert_eq!(
            Rounds_::submit(vec![result.clone()], 0),
            vec![],
            "it is on chain"
        );
        assert_eq!(board().jobs, vec![], "nothing to compute");
        (2..=6).for_each(|who| commit(id, who));
        for who in 7..=8 {
            send(pass_call(id, who)).expect("it may pass");
        }
        next_block();
        let finalized = round(id).since;
        assert_eq!(
            Rounds_::submit(vec![result.clone()], finalized - 1),
            vec![],
            "not final"
        );
        let expected = vec![(id, 1, Sent::Reveal)];
        assert_eq!(Rounds_::submit(vec![result.clone()], finalized), expected);
        include(sent());
        (2..=6).for_each(|who| reveal(id, who));
        next_block();
        let Task::Rank {
            seed, responses, ..
        } = board().jobs.remove(0).task
        else {
            panic!()
        };
        let scores: Vec<_> = responses
            .iter()
            .map(|(place, author, _)| (*place, quality(*author)))
            .collect();
        result.scores = Some(SealedScores {
            seed,
            scores,
            salt: salt(id, 1),
        });
        let expected = vec![(id, 1, Sent::CommitScores)];
        assert_eq!(Rounds_::submit(vec![result.clone()], 0), expected);
        include(sent());
        let all = all_scores(id, 2..=6, honest);
        commit_all(id, &all);
        next_block();
        let finalized = round(id).since;
        assert_eq!(
            Rounds_::submit(vec![result.clone()], finalized - 1),
            vec![],
            "not final"
        );
        let expected = vec![(id, 1, Sent::Disclose)];
        assert_eq!(Rounds_::submit(vec![result], finalized), expected);
        include(sent());
        disclose_all(id, &all);
        next_block();
        assert_eq!(phase(id), Phase::Done);
    });
}

#[test]
fn when_half_the_phase_has_passed_it_does_not_wait_for_finality() {
    on_a_node(|_| {
        let id = ask();
        to_revealing(id, 5);
        let result = entry(id, 1);
        assert_eq!(Rounds_::submit(vec![result.clone()], 0), vec![]);
        while Rounds_::now() < round(id).since + RevealWindow::get() / 2 {
            next_block();
        }
        assert_eq!(
            Rounds_::submit(vec![result], 0),
            vec![(id, 1, Sent::Reveal)]
        );
    });
}

#[test]
fn an_agent_without_a_ticket_is_told_to_pass_and_passes() {
    on_a_node(|sent| {
        let id = ask();
        next_block();
        let free = pallet_tickets::Accounts::<Test>::get(1).free;
        Tickets::refund(RuntimeOrigin::signed(1), free).expect("they are free");
        assert_eq!(board().jobs[0].task, Task::Pass);
        assert_eq!(
            Rounds_::submit(vec![entry(id, 1)], 0),
            vec![(id, 1, Sent::Pass)]
        );
        include(sent());
        assert!(Absent::<Test>::contains_key(id, 1));
    });
}

#[test]
fn nothing_is_sent_for_an_agent_whose_key_is_elsewhere() {
    on_a_node(|sent| {
        let id = ask();
        next_block();
        assert_eq!(Rounds_::submit(vec![entry(id, 2)], 0), vec![]);
        assert!(sent().is_empty());
    });
}

#[test]
fn a_resubmission_is_a_new_transaction_with_the_same_content() {
    on_a_node(|sent| {
        let id = ask();
        next_block();
        let result = vec![entry(id, 1)];
        Rounds_::submit(result.clone(), 0);
        let first = sent();
        next_block();
        Rounds_::submit(result, 0);
        let second = sent();
        assert_ne!(first.encode(), second.encode());
        let sealed = |calls: &[RuntimeCall]| match &calls[0] {
            RuntimeCall::Rounds_(Call::commit {
                sealed,
                key_commitment,
                ..
            }) => (sealed.clone(), *key_commitment),
            _ => panic!("not a commit"),
        };
        assert_eq!(sealed(&first), sealed(&second), "byte for byte");
        include(second);
    });
}
