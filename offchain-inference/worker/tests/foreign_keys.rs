// SPDX-License-Identifier: Apache-2.0
//! A key in the keystore is no order to work: the worker serves the agents that its configuration
//! names.

use std::{fs, path::Path, sync::Arc};

use futures::{executor::block_on, StreamExt};
use parking_lot::Mutex;
use sp_core::{sr25519, H256};
use starling_primitives::{
    api::{AgentView, JobBoard, Owed, RoundView, Sent, Task, VaultEntry},
    choice::Form,
    round::BlockNumber,
    sealing::Format,
    RoundId,
};
use starling_worker::{
    chain::{At, Chain, Standing},
    vault::{RoundKey, Vault},
    AccountId, Accounts, Worker,
};

const ROUND: RoundId = 3;

/// Blocks between two checks of the keystore.
const LOOK_AROUND: BlockNumber = 20;

fn own() -> AccountId {
    [1; 32].into()
}

fn mallory() -> AccountId {
    [2; 32].into()
}

/// A chain that asks both agents, whose keys are in the keystore.
#[derive(Default)]
struct Both {
    number: Mutex<BlockNumber>,
    sent: Mutex<Vec<AccountId>>,
    first_block: Mutex<Option<H256>>,
}

impl Both {
    fn advance(&self, blocks: BlockNumber) {
        *self.number.lock() += blocks;
    }

    fn sent(&self) -> Vec<AccountId> {
        std::mem::take(&mut *self.sent.lock())
    }
}

impl Chain for Both {
    fn is_migrated(&self, _: At) -> Result<bool, String> {
        Ok(true)
    }

    fn boards(&self, at: At) -> Result<Vec<JobBoard<AccountId>>, String> {
        let board = |agent| JobBoard {
            block: at.number,
            agent,
            jobs: vec![Owed {
                round: ROUND,
                deadline: 1_000,
                since: 0,
                task: Task::Respond {
                    prompt: b"What is a starling?".to_vec(),
                    max_tokens: 8,
                    fee: 10,
                    slash: 1,
                    max_bytes: 64,
                    format: Format::Padded,
                },
            }],
        };
        Ok(vec![board(mallory()), board(own())])
    }

    fn round(&self, _: At, _: RoundId) -> Result<Option<RoundView<AccountId>>, String> {
        Ok(None)
    }

    fn form(&self, _: At, _: RoundId) -> Result<Form, String> {
        Ok(Form::Free)
    }

    fn standings(&self, _: At) -> Result<Vec<Standing>, String> {
        let standing = |id: u8, agent| {
            let key = sr25519::Public::from_raw([id; 32]);
            let view = AgentView {
                key: key.into(),
                // What ails another's agent is none of this node's problems.
                active: agent == own(),
                bond: 1,
                open_rounds: 0,
                reserved: 0,
                staked_tickets: 0,
                rating: 1,
                weight: 1,
            };
            Standing {
                key: key.into(),
                agent: Some((agent, view)),
                opens: true,
            }
        };
        Ok(vec![standing(2, mallory()), standing(1, own())])
    }

    fn submit(
        &self,
        _: At,
        results: Vec<VaultEntry<AccountId>>,
        _: BlockNumber,
    ) -> Result<Vec<(RoundId, AccountId, Sent)>, String> {
        let agents = results.into_iter().map(|result| result.agent);
        self.sent.lock().extend(agents);
        Ok(vec![])
    }

    fn best(&self) -> At {
        let number = *self.number.lock();
        At {
            hash: H256::from_low_u64_be(number.into()),
            number,
        }
    }

    fn finalized(&self) -> At {
        self.best()
    }

    fn genesis(&self) -> H256 {
        H256([8; 32])
    }

    fn hash(&self, _: BlockNumber) -> Result<H256, String> {
        Ok(H256::zero())
    }

    fn first_block(&self) -> Option<H256> {
        *self.first_block.lock()
    }

    fn descends_from(&self, _: H256) -> bool {
        true
    }
}

/// Writes the file anew, at once and with another length.
fn configure(path: &Path, accounts: &[AccountId]) {
    let accounts: Vec<_> = accounts.iter().map(ToString::to_string).collect();
    let text = format!(
        "accounts = {accounts:?}\n[[primary]]\n[[primary.patterns]]\npattern = '.'\n\
         answer = \"A bird.\"\n"
    );
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

#[test]
fn nobody_works_for_a_key_of_an_account_that_is_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    configure(&path, &[own()]);
    let vault = folder.path().join("vault.redb");
    let (chain, accounts) = (Arc::new(Both::default()), Accounts::default());
    let (mut worker, mut finished) =
        Worker::start(chain.clone(), None, accounts.clone(), &path, &vault, None).unwrap();

    chain.advance(1);
    worker.on_block();
    let job = block_on(finished.next()).unwrap();
    assert_eq!(job.id.key.agent, own());
    worker.on_finished(job);
    assert_eq!(chain.sent(), [own()]);
    // The queue has one worker and takes jobs of one deadline in their order: had there been one of
    // the other agent, it would have come first.
    assert_eq!(worker.vault().len(), 1);
    assert!(worker.problems().active().is_empty());

    // Both are named now.
    configure(&path, &[own(), mallory()]);
    chain.advance(LOOK_AROUND - 1);
    worker.on_block();
    assert!(accounts.contains(&mallory()));
    let topics: Vec<_> = worker.problems().active().into_keys().collect();
    assert_eq!(topics.len(), 1, "its agent is chilled: {topics:?}");
    let job = block_on(finished.next()).unwrap();
    assert_eq!(job.id.key.agent, mallory());
    worker.on_finished(job);
    assert_eq!(worker.vault().len(), 2);
    assert!(chain.sent().contains(&mallory()));

    // Not any more: its sealed response stays where it is, and nobody sends it.
    configure(&path, &[own()]);
    chain.advance(LOOK_AROUND);
    worker.on_block();
    assert_eq!(chain.sent(), [own()]);
    assert!(worker.problems().active().is_empty());
    let key = RoundKey {
        agent: mallory(),
        round: ROUND,
    };
    assert!(worker.vault().record(&key).is_some());
}

#[test]
fn a_block_that_turns_up_while_the_worker_works_makes_it_forget_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    configure(&path, &[own()]);
    let vault = folder.path().join("vault.redb");
    let earlier = Vault::open(&vault).unwrap();
    earlier.belong(H256([9; 32]), || true).unwrap();
    drop(earlier);
    // The node has no history yet, as after a sync from finality proofs.
    let chain = Arc::new(Both::default());
    let (mut worker, mut finished) = Worker::start(
        chain.clone(),
        None,
        Accounts::default(),
        &path,
        &vault,
        None,
    )
    .unwrap();
    chain.advance(1);
    worker.on_block();
    worker.on_finished(block_on(finished.next()).unwrap());
    *chain.first_block.lock() = Some(H256([7; 32]));
    chain.advance(1);
    worker.on_block();
    assert_eq!(worker.vault().len(), 1);
    assert!(chain.sent().contains(&own()));
}
