// SPDX-License-Identifier: Apache-2.0

//! The work after a best block, after a job, and after finality. It blocks; the driver calls it
//! outside the executor of the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Instant,
};

use futures::channel::mpsc::{self, UnboundedReceiver};
use parking_lot::RwLock;
use sp_core::crypto::Ss58Codec;
use starling_primitives::{
    api::{JobBoard, RoundView, Sent, Task, VaultEntry},
    round::{BlockNumber, Failure, Phase as RoundPhase},
    InferenceKey, RoundId,
};
use starling_shards::{auth::Identity, ServiceError};
use substrate_prometheus_endpoint::{PrometheusError, Registry};

use crate::{
    accounts::Accounts,
    agent::Agent,
    chain::{At, Chain, Standing},
    config::{Config, ConfigError},
    disputes::{court::Parts, Court, CourtChain},
    executor::{Executor, Finished, Outcome},
    jobs::{self, Action, Job, JobId, State},
    lanes::desk::Front,
    metrics::{Metrics, Phase},
    problems::Problems,
    queue::{Queue, Size},
    shards::{Layers, Network, Shards},
    vault::{Record, RoundKey, Vault, VaultError},
    watch::Watch,
    AccountId, LOG_TARGET,
};

/// Blocks between two checks of the node's keys, and between two tries to load a model that failed
/// to load.
const LOOK_AROUND: BlockNumber = 20;

/// Blocks after which the record of a round that the finalised chain does not know is dropped.
const UNKNOWN_ROUND: BlockNumber = 1_000;

/// A worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("agent configuration: {0}")]
    Config(#[from] ConfigError),
    /// The vault cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The metrics cannot be registered.
    #[error(transparent)]
    Metrics(#[from] PrometheusError),
    /// The threads cannot be started.
    #[error("cannot start the worker's threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The shards cannot be started.
    #[error("shards: {0}")]
    Shards(#[from] ServiceError),
}

/// An agent at work.
pub struct Worker {
    chain: Arc<dyn Chain>,
    /// The agents that the node works for.
    accounts: Accounts,
    /// Keys of other agents, which are ignored.
    foreign: BTreeSet<InferenceKey>,
    vault: Arc<Vault>,
    /// True once the vault is taken to be of this chain.
    is_own: bool,
    executor: Arc<Executor>,
    /// Shared with the desk of lanes.
    queue: Arc<RwLock<Queue>>,
    shards: Option<Shards>,
    watch: Watch,
    states: BTreeMap<JobId, State>,
    /// The jobs of the last block, and the boards that list them.
    due: Vec<Job>,
    boards: Vec<JobBoard<AccountId>>,
    block: Option<At>,
    /// Rounds in which the chain accepts no response from the agents of this node.
    refused: BTreeSet<RoundId>,
    metrics: Metrics,
    problems: Arc<Problems>,
}

/// Courts and desks of lanes share the queue, and may live on until its jobs end.
impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.read().stop();
    }
}

impl Worker {
    /// Reads the configuration, opens the vault and starts the threads. Without a `network`, nodes
    /// compute no layers for each other. `accounts` become those of the configuration. The folder
    /// `evidence` beside the vault stores proofs that a server computed wrongly. The second result
    /// receives the jobs that end: give each to [`Worker::on_finished`].
    pub fn start(
        chain: Arc<dyn Chain>,
        network: Option<Network>,
        accounts: Accounts,
        config: &Path,
        vault: &Path,
        registry: Option<&Registry>,
    ) -> Result<(Self, UnboundedReceiver<Finished>), Error> {
        crate::panics::contain();
        let metrics = Metrics::new(registry)?;
        let problems = Arc::new(Problems::new(metrics.clone()));
        let (watch, config) = Watch::open(config)?;
        let size = size(&config);
        accounts.configure(&config);
        let shards = network.map(|network| {
            let (metrics, problems) = (metrics.clone(), problems.clone());
            let evidence = vault.with_file_name("evidence");
            Shards::start(network, &config, evidence, metrics, problems, registry)
        });
        let shards = shards.transpose()?;
        let service = shards.as_ref().map(Shards::service);
        let agent = Agent::new(config, None, service, metrics.clone(), problems.clone())?;
        let vault = Arc::new(Vault::open(vault)?);
        let (finished, finishes) = mpsc::unbounded();
        let blocks = chain.clone();
        let executor = Arc::new(Executor::new(
            agent,
            vault.clone(),
            chain.genesis(),
            Box::new(move |number| blocks.hash(number)),
            metrics.clone(),
            problems.clone(),
            finished,
        ));
        let queue = Arc::new(RwLock::new(Queue::start(size, executor.clone())?));
        let worker = Self {
            chain,
            accounts,
            foreign: BTreeSet::new(),
            vault,
            is_own: false,
            executor,
            queue,
            shards,
            watch,
            states: BTreeMap::new(),
            due: vec![],
            boards: vec![],
            block: None,
            refused: BTreeSet::new(),
            metrics,
            problems,
        };
        Ok((worker, finishes))
    }

    /// The Prometheus metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The present problems.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// The view of the node of the layers that nodes compute for each other.
    pub fn layers(&self) -> Layers {
        let shards = self.shards.as_ref();
        shards.map(Shards::layers).unwrap_or_default()
    }

    /// The agent, for lanes.
    pub fn desk(&self) -> Front {
        Front::new(self.queue.clone(), self.executor.clone())
    }

    /// The part of the node's agent in disputes; `None` for a node without shards. `vault` is the file
    /// beside which evidence and findings lie.
    pub fn court(
        &self,
        chain: Arc<dyn CourtChain>,
        identity: Arc<dyn Identity>,
        vault: &Path,
        registry: Option<&Registry>,
    ) -> Result<Option<Arc<Court>>, Error> {
        let Some(shards) = &self.shards else {
            return Ok(None);
        };
        let parts = Parts {
            chain,
            identity,
            service: shards.service().clone(),
            evidence: vault.with_file_name("evidence"),
            findings: vault.with_file_name("findings"),
        };
        let (queue, executor) = (self.queue.clone(), self.executor.clone());
        Ok(Some(Court::new(parts, queue, executor, registry)?))
    }

    /// The vault.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Handles a new best block that the transaction pool knows.
    pub fn on_block(&mut self) {
        let best = self.chain.best();
        if self.block == Some(best) {
            return;
        }
        self.reload();
        if !self.has_begun() || !self.is_migrated(best) {
            return;
        }
        self.executor.set_now(best.number);
        if self.block.is_none() || best.number.is_multiple_of(LOOK_AROUND) {
            self.look_around(best);
        }
        self.block = Some(best);
        let started = Instant::now();
        let boards = self.chain.boards(best);
        self.metrics.took(Phase::Hook, started.elapsed());
        if let Some(mut boards) = self.problems.note("the off-chain hook", boards) {
            boards.retain(|board| self.accounts.contains(&board.agent));
            self.due = jobs::due(&boards, best.number);
            self.boards = boards;
            self.tell_refusals(best.number);
            self.schedule(best.number);
        }
        self.submit(best, |_| true);
        self.count();
    }

    /// Handles the end of a job.
    pub fn on_finished(&mut self, finished: Finished) {
        let Finished { id, outcome } = finished;
        let (agent, round) = (id.key.agent.to_ss58check(), id.key.round);
        let kind = id.kind.name();
        let count = |outcome| self.metrics.jobs.with_label_values(&[kind, outcome]).inc();
        match outcome {
            Outcome::Done => {
                count("done");
                log::info!(target: LOG_TARGET, "round {round}: {kind} done for {agent}");
            },
            Outcome::Passed(reason) => {
                count("passed");
                log::info!(target: LOG_TARGET, "round {round}: {agent} passes: {reason}");
            },
            Outcome::Failed(reason) => {
                count("failed");
                log::debug!(target: LOG_TARGET, "round {round}: {kind} failed: {reason}");
                return self.failed(id);
            },
            Outcome::Cancelled => {
                count("cancelled");
                log::debug!(target: LOG_TARGET, "round {round}: {kind} cancelled for {agent}");
                // A hurried job had no result yet. Any other was given up; if it is due again, its
                // state is that of its successor.
                if let Some(State::Active { hurried: true, .. }) = self.states.get(&id) {
                    self.failed(id);
                }
                return;
            },
        }
        self.states.remove(&id);
        if let Some(block) = self.block {
            self.submit(block, |entry| {
                (&entry.agent, entry.round) == (&id.key.agent, id.key.round)
            });
        }
        self.count();
    }

    /// Handles newly finalised blocks: counts and removes the rounds that ended in them, makes the
    /// traces of revealed responses public, and sends keys and scores that waited for finality
    /// without waiting for the next best block.
    pub fn on_finalized(&mut self) {
        let finalized = self.chain.finalized();
        if !self.has_begun() || !self.is_migrated(finalized) {
            return;
        }
        let (mut gone, mut revealed) = (vec![], BTreeSet::new());
        for (key, record) in self.vault.records() {
            match self.chain.round(finalized, key.round) {
                Ok(Some(view)) if view.round.phase.is_final() => {
                    self.tell_end(&key, &record, &view);
                    if is_revealed(&key.agent, &record, &view) {
                        revealed.insert(key.clone());
                    }
                    gone.push(key);
                },
                Ok(None) if finalized.number > record.changed.saturating_add(UNKNOWN_ROUND) => {
                    gone.push(key);
                },
                Ok(_) => {},
                Err(error) => log::debug!(target: LOG_TARGET, "round {}: {error}", key.round),
            }
        }
        // Without a write there is no news about the vault.
        if !gone.is_empty() {
            let purged = self.vault.purge(&gone, &revealed, finalized.number);
            let purged = purged.map_err(|error| error.to_string());
            self.problems.note("the vault", purged);
        }
        let expired = self.vault.expire(finalized.number);
        let expired = expired.map_err(|error| error.to_string());
        self.problems.note("the old traces of the vault", expired);
        if let Some(block) = self.block {
            self.submit(block, |_| true);
        }
        self.count();
    }

    /// True once the first block is final, which says whose records the vault has. Until then the
    /// worker waits: records of an earlier chain with the same genesis hold keys that are public. A
    /// node that cannot prove the first block takes the vault for its own.
    fn has_begun(&mut self) -> bool {
        if self.is_own {
            return true;
        }
        let Some(first_block) = self.chain.first_block() else {
            self.is_own = self.chain.finalized().number > 0;
            return self.is_own;
        };
        let is_proven = || self.chain.descends_from(first_block);
        let belongs = self.vault.belong(first_block, is_proven);
        let belongs = belongs.map_err(|error| error.to_string());
        let Some(forgotten) = self.problems.note("the chain of the vault", belongs) else {
            return false;
        };
        if forgotten > 0 {
            log::warn!(
                target: LOG_TARGET,
                "the vault had {forgotten} records of another chain with the same genesis: they are \
                 forgotten"
            );
        }
        self.is_own = true;
        true
    }

    /// True if the runtime's answers after a block count. If they do not, the worker waits for the
    /// next block: jobs go on, and nothing is cancelled, submitted or forgotten.
    fn is_migrated(&self, at: At) -> bool {
        let migrated = self.chain.is_migrated(at);
        let migrated = self.problems.note("the runtime's version", migrated);
        if migrated == Some(false) {
            log::info!(target: LOG_TARGET, "the runtime is new: waiting for its migrations");
        }
        migrated == Some(true)
    }

    /// Starts, hurries, cancels and gives up jobs.
    fn schedule(&mut self, now: BlockNumber) {
        let vault = &self.vault;
        let stored = |id: &JobId| {
            let record = vault.record(&id.key).unwrap_or_default();
            match id.kind {
                jobs::Kind::Respond => record.response(id.subject).is_some(),
                jobs::Kind::Rank => record.scores(id.subject).is_some(),
            }
        };
        for (id, action) in jobs::plan(&self.due, now, stored, &self.states) {
            let job = self.due.iter().find(|job| job.id == id).cloned();
            match (action, job) {
                (Action::Start, Some(job)) => self.start_job(job),
                (Action::GiveUp, Some(job)) => self.give_up(&job),
                (Action::Hurry, _) => {
                    self.queue.read().hurry(&id);
                    let attempts = self.states.get(&id).map_or(1, State::attempts);
                    let hurried = true;
                    self.states.insert(id, State::Active { attempts, hurried });
                },
                (Action::Cancel, _) | (_, None) => {
                    self.queue.read().cancel(&id);
                    self.states.remove(&id);
                },
            }
        }
    }

    fn start_job(&mut self, mut job: Job) {
        let id = job.id.clone();
        if let (jobs::Kind::Respond, Some(block)) = (id.kind, self.block) {
            let form = self.chain.form(block, id.key.round);
            let form = self.problems.note("the forms of answers", form);
            job.form = form.unwrap_or_default();
        }
        let attempts = self.states.get(&id).map_or(0, State::attempts);
        let active = State::Active {
            attempts: attempts.saturating_add(1),
            hurried: false,
        };
        self.states.insert(id, active);
        let refused = self.queue.read().push(job);
        if let Some(refused) = refused {
            let kind = refused.kind.name();
            self.metrics
                .jobs
                .with_label_values(&[kind, "refused"])
                .inc();
            log::warn!(target: LOG_TARGET, "the queue is full: round {} waits", refused.key.round);
            self.failed(refused);
        }
    }

    fn failed(&mut self, id: JobId) {
        let state = State::Failed {
            attempts: self.states.get(&id).map_or(1, State::attempts),
            at: self.block.map_or(0, |block| block.number),
        };
        self.states.insert(id, state);
    }

    fn give_up(&mut self, job: &Job) {
        let given_up = self.executor.give_up(job);
        if self.problems.note("the vault", given_up).is_none() {
            return;
        }
        let what = match job.id.kind {
            jobs::Kind::Respond => "passes",
            jobs::Kind::Rank => "scores by similarity to its own response",
        };
        log::warn!(
            target: LOG_TARGET,
            "round {}: no result in time: {} {what}",
            job.id.key.round,
            job.id.key.agent.to_ss58check(),
        );
        self.queue.read().cancel(&job.id);
        self.states.remove(&job.id);
    }

    /// Has the runtime sign and send the results that are due and `wanted`.
    fn submit(&self, at: At, wanted: impl Fn(&VaultEntry<AccountId>) -> bool) {
        let mut entries = jobs::entries(&self.vault.records(), &self.boards, at.number);
        entries.retain(|entry| self.accounts.contains(&entry.agent) && wanted(entry));
        if entries.is_empty() {
            return;
        }
        let finalized = self.chain.finalized().number;
        let started = Instant::now();
        let sent = self.chain.submit(at, entries, finalized);
        self.metrics.took(Phase::Submit, started.elapsed());
        for (round, _, sent) in self.problems.note("submit", sent).unwrap_or_default() {
            let message = message(sent);
            self.metrics.messages.with_label_values(&[message]).inc();
            log::debug!(target: LOG_TARGET, "round {round}: sent {message}");
        }
    }

    /// Reads the configuration again if it has changed.
    fn reload(&mut self) {
        let Some(changed) = self.watch.changed() else {
            return;
        };
        let reloaded = changed.and_then(|config| self.replace(config));
        let reloaded = reloaded.map_err(|error| format!("{error}; the old one stays in force"));
        if self
            .problems
            .note("the agent configuration", reloaded)
            .is_some()
        {
            self.metrics.reloads.inc();
            log::info!(target: LOG_TARGET, "the agent configuration has been read again");
        }
    }

    fn replace(&mut self, config: Config) -> Result<(), ConfigError> {
        let size = size(&config);
        let previous = self.executor.agent();
        let (metrics, problems) = (self.metrics.clone(), self.problems.clone());
        let service = self.shards.as_ref().map(Shards::service);
        let agent = Agent::new(config, Some(&previous), service, metrics, problems)?;
        if let Some(shards) = &self.shards {
            shards.configure(agent.config());
        }
        self.accounts.configure(agent.config());
        self.executor.replace(agent);
        if size != self.queue.read().size() {
            let queue = Queue::start(size, self.executor.clone());
            let queue = queue.map_err(|error| error.to_string());
            if let Some(queue) = self.problems.note("the worker's threads", queue) {
                // The old one cancels its jobs; the next block starts them in the new one.
                let old = std::mem::replace(&mut *self.queue.write(), queue);
                drop(old);
                self.states.clear();
            }
        }
        self.queue.read().nudge();
        Ok(())
    }

    /// Checks whether the agents of this node can work.
    fn look_around(&mut self, at: At) {
        let standings = self.chain.standings(at);
        if let Some(standings) = self.problems.note("the agents' standing", standings) {
            let have_keys = self.accounts.have_keys(&standings);
            self.problems.note("the inference key", have_keys);
            for standing in standings {
                let topic = format!("the inference key {}", standing.key);
                if self.accounts.is_foreign(&standing) {
                    self.problems.solved(&topic);
                    self.tell_foreign(standing);
                } else {
                    self.problems.note(&topic, able(&standing));
                }
            }
        }
        self.executor.warm_up();
        self.queue.read().nudge();
    }

    /// Logs once for each key that it is ignored.
    fn tell_foreign(&mut self, standing: Standing) {
        let Standing { key, agent, .. } = standing;
        let Some((agent, _)) = agent else { return };
        if self.foreign.insert(key.clone()) {
            log::warn!(
                target: LOG_TARGET,
                "the inference key {key} of the keystore is ignored: it serves {}, which \
                 `accounts` of the agent configuration does not name",
                agent.to_ss58check(),
            );
        }
    }

    /// Logs once for each round that the chain accepts no response.
    fn tell_refusals(&mut self, now: BlockNumber) {
        let current = self.boards.iter().filter(|board| board.block == now);
        let refused: BTreeSet<_> = current
            .flat_map(|board| &board.jobs)
            .filter(|owed| owed.task == Task::Pass)
            .map(|owed| owed.round)
            .collect();
        for round in refused.difference(&self.refused) {
            log::warn!(
                target: LOG_TARGET,
                "round {round}: the agent can only pass: it has no ticket or not enough free bond, \
                 the round is full, or the request is its own"
            );
        }
        self.refused = refused;
    }

    fn tell_end(&self, key: &RoundKey, record: &Record, view: &RoundView<AccountId>) {
        let RoundKey { agent, round } = key;
        for phase in missed(agent, record, view) {
            self.metrics.missed.with_label_values(&[phase]).inc();
            log::warn!(target: LOG_TARGET, "round {round}: {} missed {phase}", agent.to_ss58check());
        }
        if let Some(outcome) = ended(agent, view) {
            self.metrics.rounds.with_label_values(&[outcome]).inc();
            log::info!(target: LOG_TARGET, "round {round}: {outcome} for {}", agent.to_ss58check());
        }
    }

    fn count(&self) {
        let set = |gauge: &substrate_prometheus_endpoint::Gauge<_>, value: usize| {
            gauge.set(value.try_into().unwrap_or(u64::MAX));
        };
        let (waiting, running) = self.queue.read().len();
        set(&self.metrics.waiting, waiting);
        set(&self.metrics.running, running);
        set(&self.metrics.stored, self.vault.len());
    }
}

/// Whether the last response of an agent, whose trace the vault has, is the one that the round knows
/// with its text.
fn is_revealed(agent: &AccountId, record: &Record, view: &RoundView<AccountId>) -> bool {
    let request = jobs::request_hash(&view.prompt, view.round.terms.max_tokens);
    let last = record.responses.last();
    let mut responses = view.responses.iter();
    last.is_some_and(|last| last.request == request)
        && responses.any(|response| response.agent == *agent && response.text.is_some())
}

fn size(config: &Config) -> Size {
    Size {
        workers: config.workers.get(),
        capacity: config.queue.get(),
        niceness: config.niceness.get(),
    }
}

fn message(sent: Sent) -> &'static str {
    match sent {
        Sent::Commit => "commit",
        Sent::Pass => "pass",
        Sent::Reveal => "reveal",
        Sent::CommitScores => "commit_scores",
        Sent::Disclose => "disclose",
    }
}

/// Fails if an agent cannot work.
fn able(standing: &Standing) -> Result<(), String> {
    match &standing.agent {
        Some(_) if !standing.opens => Err(
            "the key in the keystore does not open with this node's password; insert it with \
             `starling-node key insert` and the same password"
                .into(),
        ),
        None => Err("it serves no agent on this chain; register one with it".into()),
        Some((agent, view)) if !view.active => Err(format!(
            "its agent {} is not active: it is chilled, or its bond is too small",
            agent.to_ss58check()
        )),
        Some(_) => Ok(()),
    }
}

/// The phases of a finished round that an agent missed although it owed a message.
fn missed(agent: &AccountId, record: &Record, view: &RoundView<AccountId>) -> Vec<&'static str> {
    let round = &view.round;
    let answered = record
        .responses
        .iter()
        .any(|response| response.answer.is_some());
    let Some(response) = view
        .responses
        .iter()
        .find(|response| response.agent == *agent)
    else {
        // In a full round, a lower draw may have displaced it.
        let full = round.counts.commits >= round.terms.max_responses;
        return if answered && !full {
            vec!["commit"]
        } else {
            vec![]
        };
    };
    let mut missed = vec![];
    let revealing = !matches!(
        round.phase,
        RoundPhase::Failed(Failure::TooFewCommits | Failure::Outbid)
    );
    if revealing && response.text.is_none() && !response.spoiled {
        missed.push("reveal");
    }
    if response.position.is_some() && response.scores.is_none() {
        missed.push("disclose");
    }
    missed
}

/// The outcome of a round for an agent that took part.
fn ended(agent: &AccountId, view: &RoundView<AccountId>) -> Option<&'static str> {
    view.responses
        .iter()
        .find(|response| response.agent == *agent)?;
    Some(match view.round.phase {
        RoundPhase::Done if view.round.winner.as_ref() == Some(agent) => "won",
        RoundPhase::Done => "lost",
        _ => "failed",
    })
}
