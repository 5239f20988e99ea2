// SPDX-License-Identifier: Apache-2.0
//! A span at work: one thread runs the waiting messages of all sessions in common passes.

use std::{
    collections::HashMap,
    ops::Range,
    path::PathBuf,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use starling_engine::{self as engine, Hidden, Input, LoadOptions, Model, Step};

use super::{
    outgoing::{Lanes, Outgoing},
    queue::{Key, Queue, Task, Terms},
};
use crate::{
    auth::{Directory, Identity, Signed},
    integrity::{Claim, Digest, History},
    message::{self, Branch, Done, Edit, Next, Refusal, Signatures, Work},
    metrics::observe,
    seal::{VectorKey, KEY, TAG},
    transport::ModelId,
    wire::WireFormat,
    LOG_TARGET,
};

/// A span to load, and the resources to run it.
#[derive(Clone, Debug)]
pub struct Served {
    /// The model's GGUF file.
    pub path: PathBuf,
    /// Layers to load and to compute.
    pub layers: Range<usize>,
    /// Threads of a pass; 0 means one for each core.
    pub threads: usize,
    /// Bytes for the key-value caches of all sessions together.
    pub cache_bytes: usize,
    /// Bits of the activations. Results of holders with another value differ, by less than checks
    /// tolerate.
    pub activation_bits: engine::ActivationBits,
}

/// The result of a task.
struct Computed {
    key: Key,
    terms: Terms,
    sequence: u64,
    arrived: Instant,
    result: Result<Rows, Refusal>,
}

/// Rows to encode.
struct Rows {
    data: Vec<f32>,
    wire: WireFormat,
    layers: Range<usize>,
    parts: Vec<PartDone>,
    /// SHA-256 of the inputs' wire bytes, if they were pushed.
    input: Option<Digest>,
    /// Second destination of the rows, and the key for it.
    next: Option<(Next, VectorKey)>,
}

/// Origin of a part's rows.
#[derive(Clone, Copy)]
struct PartDone {
    position: u32,
    rows: u32,
    /// Digests of the branch's inputs before and after the part.
    before: Digest,
    after: Digest,
}

/// A loaded span.
pub(crate) struct Span {
    pub id: ModelId,
    pub model: Model,
    pub queue: Arc<Queue>,
    /// Bits of an f64: tokens · layers a second of decoding one sequence.
    throughput: AtomicU64,
    directory: Arc<dyn Directory>,
    identity: Arc<dyn Identity>,
    outgoing: Outgoing,
}

/// A branch: its cache, and the digests of its input rows.
struct Cached {
    session: engine::Session,
    history: History,
}

/// State of a session.
#[derive(Default)]
struct Held {
    branches: HashMap<Branch, Cached>,
    lanes: Lanes,
}

type Sessions = HashMap<Key, Held>;

/// A task with a valid message. Its branches are taken out of the caches for the pass.
struct Prepared {
    task: Task,
    branches: Vec<(Branch, Cached)>,
    inputs: Vec<Hidden>,
    parts: Vec<PartDone>,
}

impl Span {
    /// Loads the span and measures its decoding speed.
    pub fn load(
        id: ModelId,
        served: &Served,
        directory: Arc<dyn Directory>,
        identity: Arc<dyn Identity>,
        outgoing: Outgoing,
    ) -> engine::Result<Self> {
        let options = LoadOptions {
            layers: Some(served.layers.clone()),
            ends: false,
            threads: served.threads,
            cache_bytes: served.cache_bytes,
            activation_bits: served.activation_bits,
            ..LoadOptions::default()
        };
        let model = Model::load(&served.path, &options)?;
        let throughput = measure(&model)?;
        Ok(Self {
            id,
            queue: Arc::new(Queue::new(
                outgoing.metrics.sessions.clone(),
                outgoing.metrics.waiting_bytes.clone(),
            )),
            throughput: AtomicU64::new(throughput.to_bits()),
            model,
            directory,
            identity,
            outgoing,
        })
    }

    /// Measured tokens · layers a second of decoding one sequence.
    pub fn throughput(&self) -> f64 {
        f64::from_bits(self.throughput.load(Ordering::Relaxed))
    }

    /// Free positions of the caches.
    pub fn free_positions(&self) -> usize {
        let (all, used) = (
            self.model.cache_positions(),
            self.model.cache_positions_used(),
        );
        all.saturating_sub(used)
    }

    /// Whether `work`, still sealed, may wait for its turn: all checks that need no session caches.
    /// Returns the number of its rows and their size in bytes, with their seal if another server
    /// passes them on.
    pub fn check(&self, work: &Work, wire: WireFormat) -> Result<(usize, usize), Refusal> {
        let config = self.outgoing.config.read();
        let rows = work
            .parts
            .iter()
            .fold(0usize, |rows, part| rows.saturating_add(part.rows as usize));
        if rows > config.max_rows
            || work.parts.len() > config.max_branches
            || work.edits.len() > config.max_branches.saturating_mul(2)
        {
            return Err(Refusal::TooLarge);
        }
        let bare = wire.bytes(rows, self.model.config().width);
        let (here, bytes) = match work.pushed {
            true => (0, bare.saturating_add(TAG)),
            false => (bare, bare),
        };
        let key = if work.next.is_some() { KEY } else { 0 };
        if work.data.len() != here.saturating_add(key).saturating_add(TAG)
            || work.pushed && rows == 0
            || work.parts.iter().any(|part| part.rows == 0)
        {
            return Err(Refusal::Malformed);
        }
        Ok((rows, bytes))
    }

    /// Runs until the queue is stopped.
    pub fn run(&self) {
        let mut sessions = Sessions::new();
        let metrics = &self.outgoing.metrics;
        let mut positions = 0.0;
        loop {
            let (max_rows, idle) = {
                let config = self.outgoing.config.read();
                (config.max_rows, config.idle)
            };
            let turn = self.queue.next(max_rows, idle);
            let stopped = turn.is_none();
            let turn = turn.unwrap_or_default();
            metrics.expired.inc_by(turn.expired as f64);
            for key in &turn.ended {
                sessions.remove(key);
            }
            if stopped {
                sessions.clear();
            }
            let used: Vec<_> = turn
                .tasks
                .iter()
                .map(|task| (task.key.clone(), task.job.rows > 0))
                .collect();
            for answer in self.compute(&mut sessions, turn.tasks) {
                if answer.result.is_err() {
                    self.queue.end(&answer.key);
                    let mut ended = sessions.remove(&answer.key).unwrap_or_default();
                    self.answer(&mut ended.lanes, answer);
                } else if let Some(held) = sessions.get_mut(&answer.key) {
                    self.answer(&mut held.lanes, answer);
                }
            }
            self.queue.used(&used);
            let now = self.model.cache_positions_used() as f64;
            metrics.positions.add(now - positions);
            positions = now;
            if stopped {
                return;
            }
        }
    }

    /// Computes `tasks`, which are for the same layers, in one pass.
    fn compute(&self, sessions: &mut Sessions, tasks: Vec<Task>) -> Vec<Computed> {
        let limits = {
            let config = self.outgoing.config.read();
            (config.max_branches, config.max_positions)
        };
        let mut answers = Vec::with_capacity(tasks.len());
        let mut ready = Vec::with_capacity(tasks.len());
        for mut task in tasks {
            if let Err(refusal) = task.job.open_pushed() {
                answers.push(task.answer(Err(refusal)));
                continue;
            }
            let held = sessions.entry(task.key.clone()).or_default();
            match prepare(&self.model, &mut held.branches, &task, limits) {
                Ok((branches, inputs, parts)) if !inputs.is_empty() => ready.push(Prepared {
                    task,
                    branches,
                    inputs,
                    parts,
                }),
                Ok(_) => {},
                Err(refusal) => answers.push(task.answer(Err(refusal))),
            }
        }
        let outcome = self.pass(&mut ready);
        let alone = outcome.is_err() && ready.len() > 1;
        let mut outputs = outcome.map(Vec::into_iter);
        for mut prepared in ready {
            // A message that asks too much must not make the others fail.
            let result = if alone {
                self.pass(std::slice::from_mut(&mut prepared))
            } else {
                match &mut outputs {
                    Ok(outputs) => Ok(outputs.by_ref().take(prepared.inputs.len()).collect()),
                    Err(refusal) => Err(refusal.clone()),
                }
            };
            let Prepared {
                mut task,
                branches,
                parts,
                ..
            } = prepared;
            let key = task.job.keys.next.take();
            let Work {
                pushed, data, next, ..
            } = &task.job.work;
            let held = sessions.entry(task.key.clone()).or_default();
            held.branches.extend(branches);
            let rows = result.map(|outputs: Vec<Hidden>| Rows {
                data: outputs.into_iter().flat_map(Hidden::into_vec).collect(),
                wire: task.terms.wire,
                layers: task.terms.layers.clone(),
                parts,
                input: pushed.then(|| Sha256::digest(data).into()),
                next: next.clone().zip(key),
            });
            answers.push(task.answer(rows));
        }
        answers
    }

    /// Runs one pass. The outputs are in the order of tasks and of their parts.
    fn pass(&self, ready: &mut [Prepared]) -> Result<Vec<Hidden>, Refusal> {
        let Some(layers) = ready.first().map(|first| first.task.terms.layers.clone()) else {
            return Ok(vec![]);
        };
        let rows: usize = ready.iter().map(|prepared| prepared.task.job.rows).sum();
        let mut steps: Vec<_> = ready
            .iter_mut()
            .flat_map(|prepared| prepared.branches.iter_mut().zip(&prepared.inputs))
            .map(|((_, cached), hidden)| Step {
                session: &mut cached.session,
                input: Input::Hidden(hidden),
            })
            .collect();
        let started = Instant::now();
        let count = layers.len();
        let outputs = self
            .model
            .forward_layers(layers, &mut steps)
            .map_err(refusal)?;
        let took = started.elapsed();
        for Prepared { task, .. } in ready.iter() {
            let accounts = &self.outgoing.accounts;
            accounts.took(&task.terms.account, task.job.rows, count);
        }
        let metrics = &self.outgoing.metrics;
        observe(&metrics.pass_seconds, took);
        metrics.pass_rows.observe(rows as f64);
        metrics.served_rows.inc_by(rows as f64);
        if rows == 1 {
            let newest = count as f64 / took.as_secs_f64().max(1e-9);
            let smooth = 0.9 * self.throughput() + 0.1 * newest;
            self.throughput.store(smooth.to_bits(), Ordering::Relaxed);
        }
        Ok(outputs)
    }
}

impl Span {
    /// Encodes an answer, signs for it, seals it, and sends it. Without a key to sign with, the
    /// session ends.
    fn answer(&self, lanes: &mut Lanes, answer: Computed) {
        let result = answer.result.and_then(|mut rows| {
            let data = rows.wire.encode(&rows.data, self.model.config().width);
            // The next server's answer counts only with these rows as the client gets them.
            if let Some((next, key)) = rows.next.take() {
                self.outgoing.pass_on(lanes, next, &key, data.clone());
            }
            let signatures = self.sign(&rows, &data).ok_or(Refusal::Closing)?;
            let held = answer.arrived.elapsed().as_micros();
            let held = held.try_into().unwrap_or(u32::MAX);
            let mut chain = answer.terms.down.lock();
            Ok(chain.seal_output(
                answer.key.1,
                answer.sequence,
                held,
                data,
                rows.input,
                signatures,
            ))
        });
        if result.is_err() {
            self.queue.end(&answer.key);
        }
        let done = Done {
            session: answer.key.1,
            sequence: answer.sequence,
            result,
        };
        self.outgoing.answer(lanes, &self.queue, &answer.key, done);
    }

    /// Signs claims about the encoded rows, part by part. `None` if the node has no agent, or its
    /// key changes meanwhile.
    fn sign(&self, rows: &Rows, data: &[u8]) -> Option<Signatures> {
        let layers = message::Span::new(&rows.layers)?;
        let width = self.model.config().width;
        let (network, local) = (self.directory.network(), self.outgoing.transport.local());
        let (key, time) = (self.identity.key()?, self.directory.now());
        let mut parts = Vec::with_capacity(rows.parts.len());
        let mut rest = data;
        for part in &rows.parts {
            let bytes = rows.wire.bytes(part.rows as usize, width);
            let (own, others) = rest.split_at_checked(bytes)?;
            rest = others;
            let claim = Claim {
                model: self.id,
                layers: (layers.start, layers.end),
                wire: rows.wire.into(),
                positions: part.position,
                rows: part.rows,
                before: part.before,
                after: part.after,
                output: Sha256::digest(own).into(),
                time,
            };
            let signed = Signed::new(claim, &*self.identity, &network, &local, None)?;
            parts.push(signed.signature);
            if signed.key != key {
                return None;
            }
        }
        Some(Signatures { key, time, parts })
    }
}

impl Task {
    fn answer(self, result: Result<Rows, Refusal>) -> Computed {
        Computed {
            key: self.key,
            terms: self.terms,
            sequence: self.job.work.sequence,
            arrived: self.job.arrived,
            result,
        }
    }
}

type Taken = (Vec<(Branch, Cached)>, Vec<Hidden>, Vec<PartDone>);

/// Applies the edits and takes out the branches to extend, with their inputs. After a refusal the
/// session must be ended.
fn prepare(
    model: &Model,
    branches: &mut HashMap<Branch, Cached>,
    task: &Task,
    (max_branches, max_positions): (usize, usize),
) -> Result<Taken, Refusal> {
    let Work {
        edits,
        parts,
        data,
        pushed,
        ..
    } = &task.job.work;
    for edit in edits {
        match *edit {
            Edit::Drop(branch) => {
                branches.remove(&branch).ok_or(Refusal::WrongBranch)?;
            },
            Edit::Fork {
                branch,
                parent,
                len,
            } => {
                let len = len as usize;
                let parent = branches
                    .get(&parent)
                    .filter(|parent| parent.session.len() >= len)
                    .ok_or(Refusal::WrongBranch)?;
                let mut fork = Cached {
                    session: parent.session.fork(),
                    history: parent.history.clone(),
                };
                fork.truncate(len);
                if branches.len() >= max_branches {
                    return Err(Refusal::TooLarge);
                }
                if branches.insert(branch, fork).is_some() {
                    return Err(Refusal::WrongBranch);
                }
            },
        }
    }
    let held: usize = branches.values().map(|cached| cached.session.len()).sum();
    if held.saturating_add(task.job.rows) > max_positions {
        return Err(Refusal::CacheFull);
    }
    let width = model.config().width;
    let data = task
        .terms
        .wire
        .decode(data, task.job.rows, width)
        .map_err(|_| match pushed {
            true => Refusal::BadPush,
            false => Refusal::Malformed,
        })?;
    let mut rest = data.as_slice();
    let mut taken = Vec::with_capacity(parts.len());
    let mut inputs = Vec::with_capacity(parts.len());
    let mut done = Vec::with_capacity(parts.len());
    for part in parts {
        let position = part.position as usize;
        if part.rows == 0 {
            // Its rows never came. The branch begins nevertheless, because the client goes on with
            // it.
            if branches.len() >= max_branches {
                return Err(Refusal::TooLarge);
            }
            branches
                .entry(part.branch)
                .or_insert_with(|| Cached::new(model));
            continue;
        }
        let mut cached = match branches.remove(&part.branch) {
            Some(cached) if cached.session.len() >= position => cached,
            // A branch that this message named before is out of the map, and reaches this arm too.
            None if position == 0 && !taken.iter().any(|(branch, _)| *branch == part.branch) => {
                if branches.len().saturating_add(taken.len()) >= max_branches {
                    return Err(Refusal::TooLarge);
                }
                Cached::new(model)
            },
            _ => return Err(Refusal::WrongBranch),
        };
        cached.truncate(position);
        let floats = (part.rows as usize).saturating_mul(width);
        let (rows, others) = rest.split_at_checked(floats).ok_or(Refusal::Malformed)?;
        rest = others;
        inputs.push(Hidden::new(width, rows.to_vec()).map_err(|_| Refusal::Malformed)?);
        let before = cached.history.digest();
        cached.history.push(rows, width);
        done.push(PartDone {
            position: part.position,
            rows: part.rows,
            before,
            after: cached.history.digest(),
        });
        taken.push((part.branch, cached));
    }
    Ok((taken, inputs, done))
}

impl Cached {
    fn new(model: &Model) -> Self {
        Self {
            session: model.session(),
            history: History::default(),
        }
    }

    fn truncate(&mut self, len: usize) {
        self.session.truncate(len);
        self.history.truncate(len);
    }
}

/// Translates the engine's error for the client.
fn refusal(error: engine::Error) -> Refusal {
    match error {
        engine::Error::CacheFull { .. } => Refusal::CacheFull,
        engine::Error::ContextFull { .. } => Refusal::ContextFull,
        engine::Error::Shape(_) | engine::Error::EmptyInput => Refusal::Malformed,
        other => {
            log::error!(target: LOG_TARGET, "a pass failed: {other}");
            Refusal::Failed
        },
    }
}

/// Measures tokens · layers a second of decoding one sequence, after a short prefix.
fn measure(model: &Model) -> engine::Result<f64> {
    const STEPS: usize = 24;
    const MOST: Duration = Duration::from_millis(500);
    let width = model.config().width;
    // Values do not matter for speed, but the values of different rows differ.
    let rows = |n: usize| {
        let data = (0..n * width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0);
        Hidden::new(width, data.collect())
    };
    let mut session = model.session();
    session.extend_hidden(&rows(8)?)?;
    let row = rows(1)?;
    session.extend_hidden(&row)?;
    let started = Instant::now();
    let mut steps = 0u32;
    while steps == 0 || (steps < STEPS as u32 && started.elapsed() < MOST) {
        session.extend_hidden(&row)?;
        steps += 1;
    }
    let seconds = started.elapsed().as_secs_f64().max(1e-9);
    Ok(f64::from(steps) * model.layers().len() as f64 / seconds)
}
