// SPDX-License-Identifier: Apache-2.0
//! A model whose blocks other nodes compute.

use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use starling_engine::{Error, Hidden, Input, Model, Sequence, Step, Trunk};

use super::{
    check::Check,
    drive::{drive, Failure, Pace, Track},
    link::{Link, LinkError, Target},
    Hub, OpenError,
};
use crate::{
    config::ChainConfig,
    metrics::observe,
    routing::{self, Candidate, Need, NoRoute, Route, Stage},
    transport::ModelId,
};

/// Failures of spans that one call gets over.
const MAX_FAILURES: usize = 16;

/// How long to wait between two searches for holders.
const SEARCH_PAUSE: Duration = Duration::from_millis(250);

/// How often a route is compared with what else there is, unless a span straggles.
const REPLAN_AFTER: Duration = Duration::from_secs(30);

/// Tokens that a sequence is thought to have still to come, when a change of route is weighed
/// against the time of its replay.
const TOKENS_TO_COME: usize = 64;

/// Why a chain could not compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nobody that may be used holds these blocks.
    #[error(
        "no node that may be used holds blocks {}..{} of the model; looked for {:.1} s{}",
        .blocks.start, .blocks.end, .waited.as_secs_f64(), Last(.last)
    )]
    NoHolder {
        /// The first blocks that are missing.
        blocks: Range<usize>,
        /// How long they were looked for.
        waited: Duration,
        /// What went wrong last, if anything did.
        last: Option<String>,
    },
    /// Span after span failed.
    #[error("{failures} spans failed, the last one, blocks {}..{}, because {last}", .blocks.start, .blocks.end)]
    GaveUp {
        /// How many.
        failures: usize,
        /// Blocks of the last one.
        blocks: Range<usize>,
        /// Its error.
        last: String,
    },
    /// This node has no agent.
    #[error(transparent)]
    Open(OpenError),
}

struct Last<'a>(&'a Option<String>);

impl fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(last) => write!(f, "; last: {last}"),
            None => Ok(()),
        }
    }
}

impl From<ChainError> for Error {
    fn from(error: ChainError) -> Self {
        Self::Remote(Box::new(error))
    }
}

/// The route in use: sessions that cover all blocks in order, except where one has failed.
struct Plan {
    links: Vec<Arc<Link>>,
    /// When it was last compared with what else there is.
    compared: Instant,
}

struct Inner {
    hub: Arc<Hub>,
    model: ModelId,
    ends: Model,
    config: ChainConfig,
    plan: Mutex<Plan>,
}

/// A model whose ends are here and whose blocks other nodes compute. Clones share the sessions.
///
/// A span that fails is replaced by another one that holds its blocks, and brought to the same
/// state; with exact wire codes the results are the same, bit for bit, as without the failure.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("ends", &self.0.ends)
            .finish_non_exhaustive()
    }
}

impl Chain {
    pub(crate) fn new(hub: Arc<Hub>, model: ModelId, ends: Model, config: ChainConfig) -> Self {
        Self(Arc::new(Inner {
            hub,
            model,
            ends,
            config,
            plan: Mutex::new(Plan {
                links: vec![],
                compared: Instant::now(),
            }),
        }))
    }

    /// The blocks and servers of the route in use; empty before the first use.
    pub fn route(&self) -> Vec<(Range<usize>, crate::transport::Peer)> {
        let plan = self.0.plan.lock();
        let links = plan.links.iter().filter(|link| link.is_alive());
        links
            .map(|link| (link.blocks.clone(), link.peer.clone()))
            .collect()
    }
}

/// A sequence of a [`Chain`], with its caches on the servers.
pub struct ChainSession {
    chain: Chain,
    track: Track,
    len: usize,
}

impl fmt::Debug for ChainSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainSession")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Sequence for ChainSession {
    fn len(&self) -> usize {
        self.len
    }

    fn fork(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            track: self.track.fork(),
            len: self.len,
        }
    }

    fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.track.truncate(len);
        }
    }
}

impl Trunk for Chain {
    type Session = ChainSession;

    fn ends(&self) -> &Model {
        &self.0.ends
    }

    fn session(&self) -> ChainSession {
        ChainSession {
            chain: self.clone(),
            track: Track::default(),
            len: 0,
        }
    }

    fn session_with_prefix(&self, _tokens: &[u32]) -> ChainSession {
        self.session()
    }

    fn forward(
        &self,
        batch: &mut [Step<'_, ChainSession>],
    ) -> starling_engine::Result<Vec<Hidden>> {
        let inputs = batch
            .iter()
            .map(|step| self.0.input(step))
            .collect::<starling_engine::Result<Vec<_>>>()?;
        let config = self.0.ends.config();
        let (width, end) = (config.width, config.blocks);
        for (step, input) in batch.iter_mut().zip(&inputs) {
            step.session.track.journal(0).push(input.as_slice(), width);
        }
        let from: Vec<_> = batch.iter().map(|step| step.session.len).collect();
        let mut tracks: Vec<_> = batch
            .iter_mut()
            .map(|step| &mut step.session.track)
            .collect();
        let outcome = self.0.advance(&mut tracks, &from);
        let mut outputs = Vec::with_capacity(batch.len());
        for (step, input) in batch.iter_mut().zip(&inputs) {
            let session = &mut step.session;
            if outcome.is_err() {
                session.track.truncate(session.len);
                continue;
            }
            let new = session.len..session.len + input.rows();
            let mut data = Vec::with_capacity(input.rows() * width);
            session
                .track
                .journal(end)
                .read(new.clone(), width, &mut data);
            outputs.push(Hidden::new(width, data)?);
            session.len = new.end;
        }
        outcome?;
        Ok(outputs)
    }
}

impl Inner {
    /// The rows that a step adds before block 0, if the step is sound.
    fn input(self: &Arc<Self>, step: &Step<'_, ChainSession>) -> starling_engine::Result<Hidden> {
        let config = self.ends.config();
        if !Arc::ptr_eq(self, &step.session.chain.0) {
            return Err(Error::Shape("the session belongs to another chain".into()));
        }
        let new = match step.input {
            Input::Tokens(tokens) => tokens.len(),
            Input::Hidden(hidden) => hidden.rows(),
        };
        if new == 0 {
            return Err(Error::EmptyInput);
        }
        let needed = step.session.len.saturating_add(new);
        if needed > config.context {
            return Err(Error::ContextFull {
                context: config.context,
                needed,
            });
        }
        match step.input {
            Input::Tokens(tokens) => self.ends.embed(tokens),
            Input::Hidden(hidden) if hidden.width() != config.width => Err(Error::Shape(format!(
                "hidden state of width {} for a model of width {}",
                hidden.width(),
                config.width
            ))),
            Input::Hidden(hidden) if !hidden.as_slice().iter().all(|x| x.is_finite()) => Err(
                Error::Shape("the hidden state holds what is not a number".into()),
            ),
            Input::Hidden(hidden) => Ok(hidden.clone()),
        }
    }

    /// Brings the last border of all tracks up to the first one, whatever it takes within the
    /// bounds of time. `from` are the positions that had been computed before.
    fn advance(&self, tracks: &mut [&mut Track], from: &[usize]) -> Result<(), ChainError> {
        let pace = Pace {
            chunk_rows: self.config.chunk_rows,
            least_timeout: self.config.least_step_timeout,
            most_timeout: self.config.most_step_timeout,
        };
        let mut since = Instant::now();
        let mut first_failure = None;
        let mut last: Option<(Range<usize>, String)> = None;
        for failures in 0..=MAX_FAILURES {
            let why = last.as_ref().map(|(_, error)| error.clone());
            let route = self.route(tracks, since + self.config.patience, why)?;
            for track in tracks.iter_mut() {
                track.keep(&route);
            }
            match drive(&route, tracks, from, &pace) {
                Ok(again) => {
                    self.hub.metrics.replayed_rows.inc_by(again as f64);
                    if let Some(failure) = first_failure {
                        let took = Instant::now().saturating_duration_since(failure);
                        observe(&self.hub.metrics.recovery_seconds, took);
                        log::info!(
                            target: "shards",
                            "after {failures} failures of spans the chain goes on; it took {} ms",
                            took.as_millis()
                        );
                    }
                    self.sample(&route, tracks, from);
                    return Ok(());
                },
                Err(failure) => {
                    first_failure.get_or_insert_with(Instant::now);
                    since = failure
                        .progress
                        .map_or(since, |progress| progress.max(since));
                    last = Some(self.failed(failure));
                    let over = since.elapsed() >= self.config.patience;
                    if over {
                        break;
                    }
                },
            }
        }
        let (blocks, last) = last.unwrap_or_default();
        Err(ChainError::GaveUp {
            failures: MAX_FAILURES,
            blocks,
            last,
        })
    }

    /// Takes note of a failure; the plan has a gap now.
    fn failed(&self, failure: Failure) -> (Range<usize>, String) {
        let Failure { link, error, .. } = failure;
        link.fail(&error);
        self.hub
            .metrics
            .failures
            .with_label_values(&[error.name()])
            .inc();
        log::info!(
            target: "shards",
            "blocks {}..{} at {} failed: {error}",
            link.blocks.start,
            link.blocks.end,
            link.peer
        );
        match &error {
            // The same server can be asked again at once.
            LinkError::Refused(crate::message::Refusal::UnknownSession) => {},
            error if error.is_forgivable() => self.hub.peers.busy(&link.peer),
            _ => self.hub.peers.failed(&link.peer),
        }
        (link.blocks.clone(), format!("{}: {error}", link.peer))
    }

    fn candidates(&self) -> Vec<Candidate> {
        let Hub {
            peers, directory, ..
        } = &*self.hub;
        peers.candidates(&self.model, &**directory, self.config.only_bonded)
    }

    /// Sessions that cover all blocks. Opens what is missing; looks for holders until `deadline`.
    fn route(
        &self,
        tracks: &mut [&mut Track],
        deadline: Instant,
        mut last: Option<String>,
    ) -> Result<Vec<Arc<Link>>, ChainError> {
        let started = Instant::now();
        let mut plan = self.plan.lock();
        self.reconsider(&mut plan, tracks);
        loop {
            plan.links.retain(|link| link.is_alive());
            let Some((at, gap)) = gap(&plan.links, self.ends.config().blocks) else {
                return Ok(plan.links.clone());
            };
            let need = self.need(gap, tracks);
            let mut candidates = self.candidates();
            let mut found = routing::route(&candidates, &need);
            if found.is_err() {
                self.hub.refresh(&self.model, self.config.request_timeout);
                candidates = self.candidates();
                found = routing::route(&candidates, &need);
            }
            let missing = match found {
                Ok(route) => match self.open(&candidates, &route.stages) {
                    Ok(links) => {
                        plan.links.splice(at..at, links);
                        plan.compared = Instant::now();
                        continue;
                    },
                    Err((blocks, OpenError::Link(error))) => {
                        last = Some(error.to_string());
                        blocks
                    },
                    Err((_, error)) => return Err(ChainError::Open(error)),
                },
                Err(NoRoute { blocks }) => blocks,
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(ChainError::NoHolder {
                    blocks: missing,
                    waited: now.saturating_duration_since(started),
                    last,
                });
            }
            if routing::route(&self.candidates(), &need).is_err() {
                let left = deadline.saturating_duration_since(now);
                self.hub.peers.wait(SEARCH_PAUSE.min(left));
            }
        }
    }

    /// Opens a session for each stage. A server that refuses or fails is put off.
    fn open(
        &self,
        candidates: &[Candidate],
        stages: &[Stage],
    ) -> Result<Vec<Arc<Link>>, (Range<usize>, OpenError)> {
        let mut links = Vec::with_capacity(stages.len());
        for stage in stages {
            let Some(candidate) = candidates.get(stage.candidate) else {
                continue;
            };
            let target = Target {
                peer: candidate.peer.clone(),
                model: self.model,
                blocks: stage.blocks.clone(),
                code: self.config.wire,
                width: self.ends.config().width,
                expected: candidate.rtt + stage.blocks.len() as f64 / candidate.throughput,
            };
            match self.hub.open(target, self.config.request_timeout) {
                Ok(link) => links.push(link),
                Err(error) => {
                    log::info!(target: "shards", "{} opens no session: {error}", candidate.peer);
                    if let OpenError::Link(error) = &error {
                        if error.is_forgivable() {
                            self.hub.peers.busy(&candidate.peer);
                        } else {
                            self.hub.peers.failed(&candidate.peer);
                        }
                    }
                    return Err((stage.blocks.clone(), error));
                },
            }
        }
        Ok(links)
    }

    fn need(&self, blocks: Range<usize>, tracks: &mut [&mut Track]) -> Need {
        let positions = tracks.iter_mut().map(|track| track.journal(0).len()).sum();
        Need::new(blocks, positions)
    }

    /// Leaves the route for one that is much better, if a span straggles or some time is over.
    fn reconsider(&self, plan: &mut Plan, tracks: &mut [&mut Track]) {
        let blocks = self.ends.config().blocks;
        let straggles = plan.links.iter().any(|link| link.straggles());
        let due = straggles || plan.compared.elapsed() >= REPLAN_AFTER;
        let complete =
            plan.links.iter().all(|link| link.is_alive()) && gap(&plan.links, blocks).is_none();
        if !due || !complete {
            return;
        }
        plan.compared = Instant::now();
        let need = self.need(0..blocks, tracks);
        let candidates = self.candidates();
        let present = plan.links.iter().map(|link| {
            let candidate = candidates.iter().position(|c| c.peer == link.peer)?;
            Some(Stage {
                candidate,
                blocks: link.blocks.clone(),
            })
        });
        // A server that is not known any more is as good as gone.
        let present = present
            .collect::<Option<Vec<_>>>()
            .and_then(|stages| routing::cost(&candidates, &stages, &need))
            .unwrap_or(f64::MAX);
        let Ok(Route { stages, cost }) = routing::route(&candidates, &need) else {
            return;
        };
        let positions: usize = tracks.iter_mut().map(|track| track.journal(0).len()).sum();
        // Prefill is several times as fast a token as decoding is.
        let replay = cost * positions as f64 / 4.0;
        if !routing::much_better(present, cost, replay, TOKENS_TO_COME) {
            return;
        }
        let mut links = Vec::with_capacity(stages.len());
        for stage in &stages {
            let kept = plan.links.iter().find(|link| {
                let peer = candidates.get(stage.candidate).map(|c| &c.peer);
                link.blocks == stage.blocks && Some(&link.peer) == peer
            });
            match kept {
                Some(link) => links.push(link.clone()),
                None => match self.open(&candidates, std::slice::from_ref(stage)) {
                    Ok(opened) => links.extend(opened),
                    // The present route still works.
                    Err(_) => return,
                },
            }
        }
        log::info!(
            target: "shards",
            "another route is taken: {:.1} ms a token expected instead of {:.1} ms",
            1e3 * cost,
            1e3 * present
        );
        self.hub.metrics.replanned.inc();
        plan.links = links;
    }

    /// Has a second holder compute a share of what was just computed, in the background.
    fn sample(&self, route: &[Arc<Link>], tracks: &mut [&mut Track], from: &[usize]) {
        if self.config.spot_check <= 0.0 {
            return;
        }
        for (track, from) in tracks.iter_mut().zip(from) {
            let len = track.journal(0).len();
            for link in route {
                // The check computes all `len` rows: so in the mean a share of `spot_check` of all
                // rows is computed twice.
                let chance = self.config.spot_check * (len - from) as f64 / len.max(1) as f64;
                let random = getrandom::u32().unwrap_or(u32::MAX);
                if f64::from(random) / f64::from(u32::MAX) >= chance.min(1.0) {
                    continue;
                }
                let check = Check {
                    link: link.clone(),
                    inputs: track.journal(link.blocks.start).clone(),
                    outputs: track.journal(link.blocks.end).clone(),
                    config: self.config.clone(),
                };
                self.hub.order(check);
            }
        }
    }
}

/// The first blocks below `end` that `links`, which are in order, do not cover, and the place among
/// them where they belong.
fn gap(links: &[Arc<Link>], end: usize) -> Option<(usize, Range<usize>)> {
    let mut covered = 0;
    for (at, link) in links.iter().enumerate() {
        if link.blocks.start > covered {
            return Some((at, covered..link.blocks.start));
        }
        covered = link.blocks.end;
    }
    (covered < end).then_some((links.len(), covered..end))
}
