// SPDX-License-Identifier: Apache-2.0

//! From a job to a result in the vault.

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use futures::channel::mpsc::UnboundedSender;
use parking_lot::RwLock;
use sp_core::H256;
use starling_primitives::{
    api::{SealedResponse, SealedScores, Task},
    choice::Form,
    round::BlockNumber,
    sealing::{Format, Slot},
    Position, Salt, Score,
};
use starling_sketch::{shown::Kept, trace::Place};

use crate::{
    agent::{ranking, trace::Work as Computed, Agent, Failure, Prompt, Reply, Request, Signals},
    jobs::{Job, JobId},
    lanes::desk::{Done, Work},
    metrics::{Metrics, Phase},
    problems::Problems,
    queue::Run,
    vault::{Response, RoundKey, SealedAnswer, Vault, VaultError},
    AccountId, LOG_TARGET,
};

/// Pause before the vault is written to again after an error.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result is in the vault.
    Done,
    /// The agent will not answer; the vault says so.
    Passed(String),
    /// The job failed and may work later.
    Failed(String),
    /// The job was told to stop.
    Cancelled,
}

/// A job that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The job.
    pub id: JobId,
    /// Its end.
    pub outcome: Outcome,
}

/// Gives the hash of the block of a number.
pub type Blocks = Box<dyn Fn(BlockNumber) -> Result<H256, String> + Send + Sync>;

/// Executes jobs.
pub struct Executor {
    agent: RwLock<Arc<Agent>>,
    vault: Arc<Vault>,
    genesis: H256,
    blocks: Blocks,
    random: fn() -> Result<[u8; 32], String>,
    now: AtomicU32,
    cold: AtomicBool,
    metrics: Metrics,
    problems: Arc<Problems>,
    finished: UnboundedSender<Finished>,
}

impl Executor {
    /// Executes jobs of the chain with this genesis block and these `blocks` with `agent`, and
    /// reports their ends to `finished`.
    pub fn new(
        agent: Agent,
        vault: Arc<Vault>,
        genesis: H256,
        blocks: Blocks,
        metrics: Metrics,
        problems: Arc<Problems>,
        finished: UnboundedSender<Finished>,
    ) -> Self {
        Self {
            agent: RwLock::new(Arc::new(agent)),
            vault,
            genesis,
            blocks,
            random,
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

    /// Lets another agent do all jobs that start from now on.
    pub fn replace(&self, agent: Agent) {
        *self.agent.write() = Arc::new(agent);
        self.warm_up();
    }

    /// Lets an idle thread load the models that are not loaded.
    pub fn warm_up(&self) {
        self.cold.store(true, Ordering::Relaxed);
    }

    /// Sets the number of the best block.
    pub fn set_now(&self, now: BlockNumber) {
        self.now.store(now, Ordering::Relaxed);
    }

    /// Gives a job up: passes, or scores by similarity to the own response.
    pub fn give_up(&self, job: &Job) -> Result<(), String> {
        let stored = match &job.task {
            Task::Rank {
                seed, responses, ..
            } => {
                let (positions, texts) = texts(responses);
                let scores = ranking::by_similarity(&self.own(&job.id.key), &texts);
                self.put_scores(&job.id.key, self.scored(*seed, positions, scores)?)
            },
            _ => self.put_pass(&job.id),
        };
        stored.map_err(|error| error.to_string())
    }

    fn execute(&self, job: &Job, signals: &Signals) -> Result<Outcome, Failure> {
        let agent = self.agent();
        let key = &job.id.key;
        match &job.task {
            Task::Respond {
                prompt,
                max_tokens,
                fee,
                slash,
                max_bytes,
                format,
            } => {
                let started = Instant::now();
                let request = Request {
                    round: key.round,
                    prompt: Prompt::from(&*String::from_utf8_lossy(prompt)),
                    max_tokens: *max_tokens,
                    fee: *fee,
                    slash: *slash,
                    form: job.form,
                    is_first: agent.config().is_first(&key.agent),
                    place: agent.config().traces.then(|| self.place(&job.id)),
                };
                let reply = agent.respond(&request, signals)?;
                self.metrics.took(Phase::Respond, started.elapsed());
                let (text, work) = match reply {
                    Reply::Text(text) => (text, None),
                    Reply::Traced(text, work) => (text, Some(work)),
                    Reply::Pass(reason) => {
                        self.store(signals, || self.put_pass(&job.id))?;
                        return Ok(Outcome::Passed(reason));
                    },
                };
                let answer = self.seal(key, &text, *max_bytes, *format)?;
                // Others cannot make a text that was cut.
                let work = work.filter(|_| answer.text == text);
                let trace = work.and_then(|work| self.trace(job, &work));
                self.store(signals, || {
                    self.put_answer(&job.id, answer.clone(), trace.as_ref())
                })
            },
            Task::Rank {
                prompt,
                seed,
                responses,
                max_tokens,
            } => {
                let started = Instant::now();
                let (positions, texts) = texts(responses);
                let prompt = String::from_utf8_lossy(prompt);
                let own = self.own(key);
                let scores = agent.rank(&prompt, &own, &texts, *max_tokens, signals)?;
                self.metrics.took(Phase::Rank, started.elapsed());
                let scores = self
                    .scored(*seed, positions, scores)
                    .map_err(Failure::Broken)?;
                self.store(signals, || self.put_scores(key, scores.clone()))
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

    /// Seals a response, cut to `max_bytes`.
    fn seal(
        &self,
        key: &RoundKey,
        text: &str,
        max_bytes: u32,
        format: Format,
    ) -> Result<SealedAnswer, Failure> {
        let longest = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let text = text
            .get(..text.floor_char_boundary(longest))
            .unwrap_or(text);
        let secret = (self.random)().map_err(Failure::Broken)?;
        let slot = Slot {
            genesis: self.genesis,
            round: key.round,
            agent: &key.agent,
        };
        let sealed = slot
            .seal(&secret, text, max_bytes, format)
            .ok_or_else(|| Failure::Broken("the response is too long".to_owned()))?;
        Ok(SealedAnswer {
            text: text.to_owned(),
            sealed: SealedResponse {
                key: secret,
                sealed,
            },
        })
    }

    /// The place of a response on the chain, which fixes the draws of its tokens.
    fn place(&self, id: &JobId) -> Place {
        Place {
            genesis: self.genesis.0,
            round: id.key.round,
            agent: id.key.agent.clone().into(),
            request: id.subject.0,
        }
    }

    /// The trace of a response. One without a trace is a response all the same.
    fn trace(&self, job: &Job, work: &Computed) -> Option<Kept> {
        let trace = || {
            let moment = (self.blocks)(job.since)?;
            work.trace(job.id.subject, moment, (self.random)()?)
        };
        self.problems.note("the trace of a response", trace())
    }

    /// Scores with a fresh salt. Without randomness there are none: a known salt would let anyone
    /// search the commitment for its scores.
    fn scored(
        &self,
        seed: H256,
        positions: Vec<Position>,
        scores: Vec<Score>,
    ) -> Result<SealedScores, String> {
        let salt: Salt = (self.random)()?;
        Ok(SealedScores {
            seed,
            scores: positions.into_iter().zip(scores).collect(),
            salt,
        })
    }

    fn put_pass(&self, id: &JobId) -> Result<(), VaultError> {
        let response = Response {
            request: id.subject,
            answer: None,
        };
        self.timed(|now| self.vault.put_response(&id.key, now, response))
            .map(drop)
    }

    /// Stores a response with its trace, if it has one.
    fn put_answer(
        &self,
        id: &JobId,
        answer: SealedAnswer,
        trace: Option<&Kept>,
    ) -> Result<(), VaultError> {
        let response = Response {
            request: id.subject,
            answer: Some(answer),
        };
        self.timed(|now| self.vault.put_traced(&id.key, now, response, trace))
            .map(drop)
    }

    fn put_scores(&self, key: &RoundKey, scores: SealedScores) -> Result<(), VaultError> {
        self.timed(|now| self.vault.put_scores(key, now, scores))
            .map(drop)
    }

    /// Does a job of a lane.
    pub fn work(&self, work: &Work, signals: &Signals) -> Done {
        let agent = self.agent();
        let started = Instant::now();
        let done = match catch_unwind(AssertUnwindSafe(|| compute(&agent, work, signals))) {
            Ok(Ok(done)) => done,
            Ok(Err(Failure::Cancelled)) => Done::Failed("it was cancelled".into()),
            Ok(Err(Failure::Broken(reason))) => Done::Failed(reason),
            Err(_) => {
                // The models may be damaged; nobody uses them again.
                agent.unload();
                Done::Failed("the engine crashed; its models will be loaded again".into())
            },
        };
        let phase = match work {
            Work::Respond { .. } => Phase::Respond,
            Work::Rank { .. } => Phase::Rank,
        };
        self.metrics.took(phase, started.elapsed());
        done
    }

    /// Does work that may panic.
    fn contain(&self, work: impl FnOnce() -> Result<Outcome, Failure>) -> Outcome {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Failure::Cancelled)) => Outcome::Cancelled,
            Ok(Err(Failure::Broken(reason))) => Outcome::Failed(reason),
            Err(_) => {
                // The models may be damaged; nobody uses them again.
                self.agent().unload();
                Outcome::Failed("the engine crashed; its models will be loaded again".into())
            },
        }
    }

    fn timed<T>(&self, put: impl FnOnce(BlockNumber) -> T) -> T {
        let started = Instant::now();
        let result = put(self.now.load(Ordering::Relaxed));
        self.metrics.took(Phase::Store, started.elapsed());
        result
    }

    /// The agent's own response in a round.
    fn own(&self, key: &RoundKey) -> String {
        let record = self.vault.record(key).unwrap_or_default();
        let mut answers = record.responses.into_iter().rev().filter_map(|r| r.answer);
        answers.next().map(|answer| answer.text).unwrap_or_default()
    }
}

/// The result of a job of a lane.
fn compute(agent: &Agent, work: &Work, signals: &Signals) -> Result<Done, Failure> {
    match work {
        Work::Respond {
            seq,
            prompt,
            max_tokens,
            fee,
            form,
        } => {
            let request = Request {
                round: (*seq).into(),
                prompt: Prompt::from(&**prompt),
                max_tokens: *max_tokens,
                fee: *fee,
                slash: 0,
                form: *form,
                // A lane takes one agent of a node.
                is_first: true,
                place: None,
            };
            Ok(match agent.respond(&request, signals)? {
                Reply::Text(text) | Reply::Traced(text, _) => Done::Response(Some(text)),
                Reply::Pass(_) => Done::Response(None),
            })
        },
        Work::Rank {
            prompt,
            own,
            texts,
            max_tokens,
        } => {
            let scores = agent.rank(prompt, own, texts, *max_tokens, signals)?;
            Ok(Done::Scores(scores))
        },
    }
}

impl Run for Executor {
    fn run(&self, job: &Job, signals: &Signals, waited: Duration) {
        self.metrics.took(Phase::Wait, waited);
        let outcome = self.contain(|| self.execute(job, signals));
        let id = job.id.clone();
        // Without a driver nobody reads it any more.
        let _ = self.finished.unbounded_send(Finished { id, outcome });
    }

    fn idle(&self) -> bool {
        let agent = self.agent();
        let is_cold = self.cold.swap(false, Ordering::Relaxed);
        let work = || {
            if is_cold {
                agent.warm_up();
            }
            agent.refresh()
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            agent.unload();
            log::error!(target: LOG_TARGET, "the engine crashed while it loaded its models");
            false
        })
    }
}

/// Positions and texts of responses; bytes that are not UTF-8 become U+FFFD.
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
    use crate::jobs::Kind;
    use futures::{channel::mpsc::UnboundedReceiver, executor::block_on, StreamExt};
    use starling_primitives::sealing;
    use tempfile::TempDir;

    /// An executor whose agent answers `answer` to everything, its vault and its results.
    struct Bench {
        executor: Executor,
        finishes: UnboundedReceiver<Finished>,
        _folder: TempDir,
    }

    impl Bench {
        fn new(answer: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let vault = Arc::new(Vault::open(folder.path().join("vault.redb")).unwrap());
            let metrics = Metrics::new(None).unwrap();
            let problems = Arc::new(Problems::default());
            let config =
                format!("[[primary]]\n[[primary.patterns]]\npattern = 'x'\nanswer = {answer:?}");
            let config = toml::from_str(&config).unwrap();
            let agent = Agent::new(config, None, None, metrics.clone(), problems.clone()).unwrap();
            let (finished, finishes) = futures::channel::mpsc::unbounded();
            let genesis = H256::zero();
            let blocks: Blocks = Box::new(|_| Ok(H256::repeat_byte(8)));
            Self {
                executor: Executor::new(agent, vault, genesis, blocks, metrics, problems, finished),
                finishes,
                _folder: folder,
            }
        }

        fn outcome(&mut self, task: Task<AccountId>) -> Outcome {
            self.executor
                .run(&job(task), &Signals::default(), Duration::ZERO);
            block_on(self.finishes.next()).unwrap().outcome
        }

        fn record(&self) -> crate::vault::Record {
            self.executor.vault.record(&key()).unwrap_or_default()
        }
    }

    fn key() -> RoundKey {
        RoundKey {
            agent: [1; 32].into(),
            round: 1,
        }
    }

    fn job(task: Task<AccountId>) -> Job {
        let kind = match task {
            Task::Rank { .. } => Kind::Rank,
            _ => Kind::Respond,
        };
        Job {
            id: JobId {
                key: key(),
                kind,
                subject: SEED,
            },
            since: 0,
            deadline: 9,
            form: Form::Free,
            task,
        }
    }

    const SEED: H256 = H256([2; 32]);

    fn respond(max_bytes: u32) -> Task<AccountId> {
        respond_as(Format::Padded, max_bytes)
    }

    fn respond_as(format: Format, max_bytes: u32) -> Task<AccountId> {
        Task::Respond {
            prompt: b"x".to_vec(),
            max_tokens: 1,
            fee: 5,
            slash: 1,
            max_bytes,
            format,
        }
    }

    fn rank() -> Task<AccountId> {
        Task::Rank {
            prompt: b"x".to_vec(),
            seed: SEED,
            responses: vec![(4, [2; 32].into(), b"z".to_vec())],
            max_tokens: 8,
        }
    }

    #[test]
    fn a_crash_is_a_failure_and_the_next_job_is_done() {
        let mut bench = Bench::new("y");
        let crash = || panic!("as a bug in the engine would");
        let crashed = bench.executor.contain(crash);
        assert!(matches!(crashed, Outcome::Failed(reason) if reason.contains("crashed")));
        assert_eq!(bench.outcome(rank()), Outcome::Done);
        assert_eq!(bench.record().scores(SEED).unwrap().scores.len(), 1);
    }

    #[test]
    fn a_job_of_a_lane_leaves_nothing_in_the_vault() {
        let bench = Bench::new("y");
        let respond = Work::Respond {
            seq: 1,
            prompt: "x".into(),
            max_tokens: 1,
            fee: 5,
            form: Form::Free,
        };
        let done = bench.executor.work(&respond, &Signals::default());
        assert_eq!(done, Done::Response(Some("y".into())));
        let rank = Work::Rank {
            prompt: "x".into(),
            own: "y".into(),
            texts: vec!["y".into(), "z".into()],
            max_tokens: 1,
        };
        let Done::Scores(scores) = bench.executor.work(&rank, &Signals::default()) else {
            panic!("no scores");
        };
        assert!(scores[0] > scores[1]);
        assert_eq!(bench.record(), Default::default());
    }

    #[test]
    fn a_response_is_cut_to_what_the_chain_takes() {
        let mut bench = Bench::new("äää");
        assert_eq!(bench.outcome(respond(5)), Outcome::Done);
        let answer = bench.record().responses[0].answer.clone().unwrap();
        assert_eq!(answer.text, "ää");
        let overhead = usize::try_from(sealing::OVERHEAD).unwrap();
        assert_eq!(
            answer.sealed.sealed.len(),
            5 + overhead,
            "with a byte of padding"
        );
    }

    #[test]
    fn a_chain_of_the_first_version_gets_a_response_that_it_can_open() {
        let mut bench = Bench::new("yes");
        assert_eq!(bench.outcome(respond_as(Format::Plain, 64)), Outcome::Done);
        let answer = bench.record().responses[0].answer.clone().unwrap();
        let tag = usize::try_from(sealing::TAG).unwrap();
        assert_eq!(answer.sealed.sealed.len(), 3 + tag);
    }

    #[test]
    fn without_randomness_nothing_is_sealed_and_nothing_committed() {
        let mut bench = Bench::new("y");
        bench.executor.random = || Err("no randomness".into());
        for task in [respond(9), rank()] {
            let outcome = bench.outcome(task);
            assert_eq!(outcome, Outcome::Failed("no randomness".into()));
        }
        let given_up = bench.executor.give_up(&job(rank()));
        assert_eq!(given_up, Err("no randomness".into()));
        assert_eq!(bench.record(), Default::default());
    }
}
