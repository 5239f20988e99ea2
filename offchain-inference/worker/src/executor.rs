// SPDX-License-Identifier: Apache-2.0

//! From a job to a result in the vault.

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc, Weak,
    },
    thread,
    time::{Duration, Instant},
};

use futures::channel::mpsc::UnboundedSender;
use parking_lot::RwLock;
use sp_core::H256;
use starling_primitives::{
    api::{SealedResponse, SealedScores, Task},
    round::BlockNumber,
    sealing::Slot,
    Balance, Position, RoundId, Score,
};

use crate::{
    agent::{ranking, Agent, Failure, Reply, Request, Signals},
    chain::Chain,
    jobs::{Job, JobId},
    metrics::{Metrics, Phase},
    problems::Problems,
    queue::Run,
    vault::{Answer, Place, Response, Vault, VaultError},
    AccountId, LOG_TARGET,
};

/// Pause before the vault is written to again after an error.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// The longest response that the executor seals, in bytes; longer ones are cut.
const MAX_RESPONSE: usize = 4096;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result is in the vault.
    Done,
    /// The agent will not answer; that is in the vault.
    Passed(String),
    /// It may work later.
    Failed(String),
    /// It was told to stop.
    Cancelled,
}

/// A job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub id: JobId,
    /// How.
    pub outcome: Outcome,
}

/// Executes jobs.
pub struct Executor {
    agent: RwLock<Arc<Agent>>,
    vault: Arc<Vault>,
    /// A job that does not end keeps its thread, and must not keep the node's transaction pool with
    /// it: the node would wait for that before it ends.
    chain: Weak<dyn Chain>,
    genesis: H256,
    now: AtomicU32,
    cold: AtomicBool,
    metrics: Metrics,
    problems: Arc<Problems>,
    finished: UnboundedSender<Finished>,
}

impl Executor {
    /// Executes jobs with `agent`, and tells `finished` about them.
    pub fn new(
        agent: Agent,
        vault: Arc<Vault>,
        chain: &Arc<dyn Chain>,
        metrics: Metrics,
        problems: Arc<Problems>,
        finished: UnboundedSender<Finished>,
    ) -> Self {
        Self {
            agent: RwLock::new(Arc::new(agent)),
            vault,
            genesis: chain.genesis(),
            chain: Arc::downgrade(chain),
            now: AtomicU32::new(0),
            cold: AtomicBool::new(true),
            metrics,
            problems,
            finished,
        }
    }

    /// The agent at work.
    pub fn agent(&self) -> Arc<Agent> {
        self.agent.read().clone()
    }

    /// Lets another agent do the jobs that begin from now on.
    pub fn replace(&self, agent: Agent) {
        *self.agent.write() = Arc::new(agent);
        self.warm_up();
    }

    /// Lets an idle thread load the models that are not loaded.
    pub fn warm_up(&self) {
        self.cold.store(true, Ordering::Relaxed);
    }

    /// Which block it is.
    pub fn set_now(&self, now: BlockNumber) {
        self.now.store(now, Ordering::Relaxed);
    }

    /// Gives a job up: passes, or scores by similarity to the own response.
    pub fn give_up(&self, job: &Job) -> Result<(), VaultError> {
        match &job.task {
            Task::Rank {
                seed, responses, ..
            } => {
                let (positions, texts) = texts(responses);
                let scores = ranking::by_similarity(&self.own(&job.id.place), &texts);
                self.put_scores(&job.id.place, *seed, positions, scores)
            },
            _ => self.put_response(&job.id, None).map(drop),
        }
    }

    fn execute(&self, job: &Job, signals: &Signals) -> Result<Outcome, Failure> {
        let agent = self.agent();
        let place = &job.id.place;
        match &job.task {
            Task::Respond { prompt, max_tokens } => {
                let started = Instant::now();
                let request = Request {
                    round: place.1,
                    prompt: String::from_utf8_lossy(prompt).into_owned(),
                    max_tokens: *max_tokens,
                    fee: self.fee(place.1)?,
                };
                let reply = agent.respond(&request, signals)?;
                self.metrics.took(Phase::Respond, started.elapsed());
                match reply {
                    Reply::Text(text) => {
                        let answer = self.seal(place, &text)?;
                        self.store(signals, || self.put_response(&job.id, Some(answer.clone())))
                    },
                    Reply::Pass(reason) => {
                        self.store(signals, || self.put_response(&job.id, None))?;
                        Ok(Outcome::Passed(reason))
                    },
                }
            },
            Task::Rank {
                prompt,
                seed,
                responses,
            } => {
                let started = Instant::now();
                let (positions, texts) = texts(responses);
                let prompt = String::from_utf8_lossy(prompt);
                let scores = agent.rank(&prompt, &self.own(place), &texts, signals)?;
                self.metrics.took(Phase::Rank, started.elapsed());
                self.store(signals, || {
                    self.put_scores(place, *seed, positions.clone(), scores.clone())
                })
            },
            Task::Pass | Task::Reveal | Task::Disclose { .. } => Ok(Outcome::Done),
        }
    }

    /// Stores a result as soon as the disk takes it. Nothing is submitted before.
    fn store(
        &self,
        signals: &Signals,
        put: impl Fn() -> Result<(), VaultError>,
    ) -> Result<Outcome, Failure> {
        loop {
            let stored = put().map_err(|error| error.to_string());
            if self.problems.note("the vault", stored).is_some() {
                return Ok(Outcome::Done);
            }
            if signals.is_set() {
                return Err(Failure::Cancelled);
            }
            thread::sleep(STORE_AGAIN);
        }
    }

    /// What the requester pays.
    fn fee(&self, round: RoundId) -> Result<Balance, Failure> {
        // Without a chain the node is about to end.
        let chain = self.chain.upgrade().ok_or(Failure::Cancelled)?;
        let view = chain.round(chain.best(), round).ok().flatten();
        Ok(view.map_or(0, |view| view.round.terms.fee))
    }

    fn seal(&self, place: &Place, text: &str) -> Result<Answer, Failure> {
        let broken = |what: &str| Failure::Broken(what.to_owned());
        let text = text
            .get(..text.floor_char_boundary(MAX_RESPONSE))
            .unwrap_or(text);
        let key = random().map_err(|error| broken(&error))?;
        let slot = Slot {
            genesis: self.genesis,
            round: place.1,
            agent: &place.0,
        };
        let sealed = slot
            .seal(&key, text)
            .ok_or_else(|| broken("the response is too long"))?;
        Ok(Answer {
            text: text.to_owned(),
            sealed: SealedResponse { key, sealed },
        })
    }

    fn put_response(&self, id: &JobId, answer: Option<Answer>) -> Result<(), VaultError> {
        let response = Response {
            request: id.subject,
            answer,
        };
        self.timed(|now| self.vault.put_response(&id.place, now, response))
            .map(drop)
    }

    fn put_scores(
        &self,
        place: &Place,
        seed: H256,
        positions: Vec<Position>,
        scores: Vec<Score>,
    ) -> Result<(), VaultError> {
        let scores = SealedScores {
            seed,
            scores: positions.into_iter().zip(scores).collect(),
            // Without randomness the machine could not have made its keys either.
            salt: random().unwrap_or_default(),
        };
        self.timed(|now| self.vault.put_scores(place, now, scores))
            .map(drop)
    }

    fn timed<T>(&self, put: impl FnOnce(BlockNumber) -> T) -> T {
        let started = Instant::now();
        let result = put(self.now.load(Ordering::Relaxed));
        self.metrics.took(Phase::Store, started.elapsed());
        result
    }

    /// The agent's own response in a round.
    fn own(&self, place: &Place) -> String {
        let record = self.vault.record(place).unwrap_or_default();
        let mut answers = record.responses.into_iter().rev().filter_map(|r| r.answer);
        answers.next().map(|answer| answer.text).unwrap_or_default()
    }
}

impl Run for Executor {
    fn run(&self, job: &Job, signals: &Signals, waited: Duration) {
        self.metrics.took(Phase::Wait, waited);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(job, signals)));
        let outcome = match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Failure::Cancelled)) => Outcome::Cancelled,
            Ok(Err(Failure::Broken(reason))) => Outcome::Failed(reason),
            Err(_) => {
                // Whatever it left behind, nobody uses it again.
                self.agent().unload();
                Outcome::Failed("the engine crashed; its models will be loaded again".into())
            },
        };
        let id = job.id.clone();
        // Without a driver nobody is interested any more.
        let _ = self.finished.unbounded_send(Finished { id, outcome });
    }

    fn idle(&self) {
        if self.cold.swap(false, Ordering::Relaxed) {
            let agent = self.agent();
            if catch_unwind(AssertUnwindSafe(|| agent.warm_up())).is_err() {
                agent.unload();
                log::error!(target: LOG_TARGET, "the engine crashed while it loaded its models");
            }
        }
    }
}

/// Positions and texts of responses; what is no text counts as empty.
fn texts(responses: &[(Position, AccountId, Vec<u8>)]) -> (Vec<Position>, Vec<String>) {
    let split = responses
        .iter()
        .map(|(position, _, text)| (*position, String::from_utf8_lossy(text).into_owned()));
    split.unzip()
}

fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(format!("the system gives no randomness: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::{At, Standing},
        jobs::Kind,
    };
    use starling_primitives::api::{JobBoard, RoundView, Sent, VaultEntry};

    /// A chain that makes whoever asks it for a round crash.
    struct Crashing;

    impl Chain for Crashing {
        fn boards(&self, _: At) -> Result<Vec<JobBoard<AccountId>>, String> {
            Ok(vec![])
        }

        fn round(&self, _: At, _: RoundId) -> Result<Option<RoundView<AccountId>>, String> {
            panic!("as a bug in the engine would")
        }

        fn standings(&self, _: At) -> Result<Vec<Standing>, String> {
            Ok(vec![])
        }

        fn submit(
            &self,
            _: At,
            _: Vec<VaultEntry<AccountId>>,
            _: BlockNumber,
        ) -> Result<Vec<(RoundId, AccountId, Sent)>, String> {
            Ok(vec![])
        }

        fn best(&self) -> At {
            At {
                hash: H256::zero(),
                number: 1,
            }
        }

        fn finalized(&self) -> At {
            self.best()
        }

        fn genesis(&self) -> H256 {
            H256::zero()
        }
    }

    fn job(task: Task<AccountId>) -> Job {
        Job {
            id: JobId {
                place: ([1; 32].into(), 1),
                kind: Kind::Rank,
                subject: H256::repeat_byte(2),
            },
            since: 0,
            deadline: 9,
            task,
        }
    }

    #[test]
    fn a_crash_is_a_failure_and_the_next_job_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::open(folder.path().join("vault.redb")).unwrap());
        let metrics = Metrics::new(None).unwrap();
        let problems = Arc::new(Problems::default());
        let config = "[[primary]]\n[[primary.patterns]]\npattern = 'x'\nanswer = \"y\"";
        let config = toml::from_str(config).unwrap();
        let agent = Agent::new(config, None, None, metrics.clone(), problems.clone()).unwrap();
        let (finished, mut finishes) = futures::channel::mpsc::unbounded();
        let chain: Arc<dyn Chain> = Arc::new(Crashing);
        let executor = Executor::new(agent, vault.clone(), &chain, metrics, problems, finished);
        let mut outcome = |task| {
            executor.run(&job(task), &Signals::default(), Duration::ZERO);
            futures::executor::block_on(futures::StreamExt::next(&mut finishes))
                .unwrap()
                .outcome
        };
        let crashed = outcome(Task::Respond {
            prompt: b"x".to_vec(),
            max_tokens: 1,
        });
        assert!(matches!(crashed, Outcome::Failed(reason) if reason.contains("crashed")));
        let seed = H256::repeat_byte(2);
        let ranked = outcome(Task::Rank {
            prompt: b"x".to_vec(),
            seed,
            responses: vec![(4, [2; 32].into(), b"z".to_vec())],
        });
        assert_eq!(ranked, Outcome::Done);
        let record = vault.record(&([1; 32].into(), 1)).unwrap();
        assert_eq!(record.scores(seed).unwrap().scores.len(), 1);
    }
}
