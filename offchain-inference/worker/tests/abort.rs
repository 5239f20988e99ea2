// SPDX-License-Identifier: Apache-2.0
//! A process that dies at any moment loses none of the results that it owes.
//!
//! A child process runs a worker against a chain of one round that is kept in a file. It aborts at
//! its n-th contact with the chain, for every possible n, and another child goes on. The chain
//! checks its messages as the true one does: a second commitment ends the test, and so do a key or
//! scores that do not fit the commitment.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{abort, Command, ExitStatus},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc,
    },
};

use codec::{Decode, Encode};
use futures::{channel::mpsc::UnboundedReceiver, executor::block_on, StreamExt};
use parking_lot::Mutex;
use sp_core::H256;
use starling_primitives::{
    api::{JobBoard, Owed, ResponseView, RoundView, Sent, Task, VaultEntry},
    choice::Form,
    round::{BlockNumber, Counts, Phase, Round, Terms},
    sealing::{Format, Slot},
    RoundId, Secret,
};
use starling_worker::{
    chain::{At, Chain, Standing},
    executor::Finished,
    AccountId, Accounts, Worker,
};

const FOLDER: &str = "STARLING_ABORT_TEST_FOLDER";
const ABORT_AT: &str = "STARLING_ABORT_TEST_AT";
const ROUND: RoundId = 3;
const SEED: H256 = H256([5; 32]);

const MODULES: &str = r#"
[[primary]]
[[primary.patterns]]
pattern = 'starling'
answer = "A bird."
"#;

/// The chain.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct State {
    number: BlockNumber,
    since: BlockNumber,
    /// 0 Committing, 1 Revealing, 2 Ranking, 3 Disclosing, 4 Done.
    phase: u8,
    commit: Option<(Vec<u8>, H256)>,
    key: Option<Secret>,
    score_commit: Option<H256>,
    disclosed: bool,
}

struct OneRound {
    file: PathBuf,
    /// True if the runtime is newer than the state: it knows no round then.
    upgrading: AtomicBool,
    abort_at: usize,
    contacts: AtomicUsize,
    state: Mutex<State>,
}

fn agent() -> AccountId {
    [1; 32].into()
}

fn config() -> String {
    format!("accounts = [\"{}\"]{MODULES}", agent())
}

impl OneRound {
    fn open(folder: &Path, abort_at: usize) -> Self {
        let file = folder.join("chain");
        let state = match fs::read(&file) {
            Ok(bytes) => State::decode(&mut bytes.as_slice()).unwrap(),
            Err(_) => State::default(),
        };
        Self {
            file,
            upgrading: AtomicBool::new(false),
            abort_at,
            contacts: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// The process may die here.
    fn contact(&self) {
        if self.contacts.fetch_add(1, Ordering::SeqCst) + 1 == self.abort_at {
            abort();
        }
    }

    fn state(&self) -> State {
        self.state.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        fs::write(&self.file, state.encode()).unwrap();
    }

    /// The next block: a phase ends once its message is in.
    fn advance(&self) {
        self.change(|state| {
            state.number += 1;
            let over = match state.phase {
                0 => state.commit.is_some(),
                1 => state.key.is_some(),
                2 => state.score_commit.is_some(),
                3 => state.disclosed,
                _ => false,
            };
            if over {
                state.phase += 1;
                state.since = state.number;
            }
            assert!(
                state.number < state.since + 30,
                "a message is missing: {state:?}"
            );
        });
    }

    fn slot<T>(&self, work: impl FnOnce(Slot<'_, AccountId>) -> T) -> T {
        work(Slot {
            genesis: self.genesis(),
            round: ROUND,
            agent: &agent(),
        })
    }

    fn send(&self, result: VaultEntry<AccountId>) -> Option<Sent> {
        let response = result.response.expect("the agent answers");
        let commitment = self.slot(|slot| slot.key_commitment(&response.key));
        let state = self.state();
        match (&state.commit, result.scores) {
            (None, _) => {
                assert_eq!(state.phase, 0);
                self.change(|state| state.commit = Some((response.sealed, commitment)));
                Some(Sent::Commit)
            },
            (Some(first), scores) => {
                assert_eq!(
                    *first,
                    (response.sealed.clone(), commitment),
                    "another response"
                );
                match (state.phase, scores) {
                    (1, _) if state.key.is_none() => {
                        let opened = self.slot(|slot| slot.open(&response.key, &response.sealed));
                        assert_eq!(opened, Ok(b"A bird.".to_vec()));
                        self.change(|state| state.key = Some(response.key));
                        Some(Sent::Reveal)
                    },
                    (2 | 3, Some(scores)) => {
                        assert_eq!(scores.seed, SEED);
                        let commitment = self.slot(|slot| {
                            slot.scores_commitment(scores.seed, &scores.scores, &scores.salt)
                        });
                        if let Some(first) = state.score_commit {
                            assert_eq!(first, commitment, "other scores");
                        }
                        if state.phase == 2 && state.score_commit.is_none() {
                            self.change(|state| state.score_commit = Some(commitment));
                            return Some(Sent::CommitScores);
                        }
                        if state.phase == 3 && !state.disclosed {
                            self.change(|state| state.disclosed = true);
                            return Some(Sent::Disclose);
                        }
                        None
                    },
                    _ => None,
                }
            },
        }
    }

    fn task(&self) -> Option<Task<AccountId>> {
        if self.upgrading.load(Ordering::SeqCst) {
            return None;
        }
        let state = self.state();
        match state.phase {
            0 if state.commit.is_none() => Some(Task::Respond {
                prompt: b"What is a starling?".to_vec(),
                max_tokens: 8,
                fee: 10,
                slash: 1,
                max_bytes: 64,
                format: Format::Padded,
            }),
            2 if state.score_commit.is_none() => Some(Task::Rank {
                prompt: b"What is a starling?".to_vec(),
                seed: SEED,
                responses: vec![
                    (0, [2; 32].into(), b"A bird of course.".to_vec()),
                    (2, [3; 32].into(), b"No idea".to_vec()),
                ],
                max_tokens: 8,
            }),
            _ => None,
        }
    }
}

impl Chain for OneRound {
    fn is_migrated(&self, _: At) -> Result<bool, String> {
        Ok(!self.upgrading.load(Ordering::SeqCst))
    }

    fn boards(&self, at: At) -> Result<Vec<JobBoard<AccountId>>, String> {
        self.contact();
        let since = self.state().since;
        let jobs = self.task().map(|task| Owed {
            round: ROUND,
            deadline: since + 100,
            since,
            task,
        });
        Ok(vec![JobBoard {
            block: at.number,
            agent: agent(),
            jobs: jobs.into_iter().collect(),
        }])
    }

    fn round(&self, _: At, id: RoundId) -> Result<Option<RoundView<AccountId>>, String> {
        self.contact();
        let state = self.state();
        if self.upgrading.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let phase = match state.phase {
            0 => Phase::Committing,
            1 => Phase::Revealing,
            2 => Phase::Ranking,
            3 => Phase::Disclosing,
            _ => Phase::Done,
        };
        Ok(Some(RoundView {
            id,
            prompt: b"What is a starling?".to_vec(),
            round: Round {
                requester: [9; 32].into(),
                terms: Terms {
                    fee: 10,
                    deposit: 0,
                    ticket: 0,
                    slash: 0,
                    max_tokens: 8,
                    min_responses: 2,
                    max_responses: 4,
                    active: 3,
                    activations: 3,
                },
                requested_at: 0,
                phase,
                since: state.since,
                deadline: state.since + 100,
                request_randomness: None,
                commit_randomness: None,
                seed: (state.phase > 1).then_some(SEED),
                rankings: 2,
                counts: Counts::default(),
                rated: 0,
                winner: Some(agent()),
            },
            responses: vec![ResponseView {
                agent: agent(),
                text: Some(b"A bird.".to_vec()),
                spoiled: false,
                position: Some(1),
                rating: Some(1),
                weight: Some(1),
                tally: None,
                scores: state.disclosed.then(Vec::new),
            }],
        }))
    }

    fn form(&self, _: At, _: RoundId) -> Result<Form, String> {
        Ok(Form::Free)
    }

    fn standings(&self, _: At) -> Result<Vec<Standing>, String> {
        Ok(vec![])
    }

    fn submit(
        &self,
        _: At,
        results: Vec<VaultEntry<AccountId>>,
        _: BlockNumber,
    ) -> Result<Vec<(RoundId, AccountId, Sent)>, String> {
        self.contact();
        assert!(
            !self.upgrading.load(Ordering::SeqCst),
            "the state is not that of the runtime"
        );
        let sent = results.into_iter().filter_map(|result| {
            let (round, agent) = (result.round, result.agent.clone());
            let sent = self.send(result)?;
            Some((round, agent, sent))
        });
        let sent = sent.collect();
        self.contact();
        Ok(sent)
    }

    fn best(&self) -> At {
        let number = self.state().number;
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
        Some(H256([9; 32]))
    }

    fn descends_from(&self, _: H256) -> bool {
        true
    }
}

/// A worker with its configuration and its vault in this folder.
fn start(folder: &Path, chain: Arc<OneRound>) -> (Worker, UnboundedReceiver<Finished>) {
    let config = folder.join("agent.toml");
    fs::write(&config, self::config()).unwrap();
    let vault = folder.join("vault.redb");
    Worker::start(chain, None, Accounts::default(), &config, &vault, None).unwrap()
}

/// The child: works until the round is over, or until it dies.
#[test]
#[ignore = "started by the other test"]
fn child() {
    let folder = PathBuf::from(env::var_os(FOLDER).expect("a folder"));
    let abort_at = env::var(ABORT_AT).unwrap().parse().unwrap();
    let chain = Arc::new(OneRound::open(&folder, abort_at));
    let (mut worker, mut finished) = start(&folder, chain.clone());
    while chain.state().phase < 4 {
        chain.advance();
        worker.on_block();
        // A result that is not in the vault is being computed.
        if chain.task().is_some() {
            let job = block_on(finished.next()).unwrap();
            chain.contact();
            worker.on_finished(job);
        }
        worker.on_finalized();
    }
    worker.on_finalized();
    assert!(worker.vault().is_empty(), "the round is over");
}

fn run(folder: &Path, abort_at: usize) -> ExitStatus {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "abort::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(ABORT_AT, abort_at.to_string())
        .output()
        .unwrap();
    if output.status.code().is_some_and(|code| code != 0) {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status
}

#[test]
fn nothing_is_lost_whenever_the_process_aborts() {
    let mut deaths = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        if run(folder.path(), deaths + 1).success() {
            break;
        }
        deaths += 1;
        assert!(run(folder.path(), 0).success(), "after death {deaths}");
        let bytes = fs::read(folder.path().join("chain")).unwrap();
        let state = State::decode(&mut bytes.as_slice()).unwrap();
        assert!(
            state.disclosed && state.phase == 4,
            "after death {deaths}: {state:?}"
        );
    }
    // At each block the hook runs, something is submitted, or a job ends.
    assert!(deaths > 15, "only {deaths} contacts");
}

#[test]
fn finality_without_anything_to_write_does_not_end_the_troubles_of_the_vault() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(OneRound::open(folder.path(), 0));
    let (mut worker, _finished) = start(folder.path(), chain);
    worker.problems().found("the vault", "full".into());
    worker.on_finalized();
    assert!(worker.problems().active().contains_key("the vault"));
}

#[test]
fn nothing_is_dropped_while_the_runtime_is_newer_than_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(OneRound::open(folder.path(), 0));
    let (mut worker, mut finished) = start(folder.path(), chain.clone());
    // The response is in the vault when the code changes.
    chain.advance();
    worker.on_block();
    let job = block_on(finished.next()).unwrap();
    chain.upgrading.store(true, Ordering::SeqCst);
    // Far enough that an unknown round would be forgotten.
    chain.change(|state| state.number += 2_000);
    worker.on_block();
    worker.on_finalized();
    assert_eq!(worker.vault().len(), 1);
    chain.upgrading.store(false, Ordering::SeqCst);
    chain.change(|state| state.number += 1);
    worker.on_block();
    worker.on_finished(job);
    assert!(chain.state().commit.is_some());
}
