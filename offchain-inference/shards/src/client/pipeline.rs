// SPDX-License-Identifier: Apache-2.0
//! A model whose layers are computed by other nodes.

use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use starling_engine::{Error, Hidden, Input, Model, Sequence, Session, Step, Trunk};
use starling_evidence::exhibit::MAX_EXHIBIT;
use starling_planner::routing::{self, Candidate, Need, NoRoute, Route, Stage};

use super::{
    check::Check,
    link::{Broken, Link, LinkError, Target},
    schedule::{drive, Failure, Pace, SequenceState},
    Hub, OpenError,
};
use crate::{
    config::PipelineConfig,
    message::Refusal,
    metrics::observe,
    transport::{ModelId, Peer},
    wire::WireFormat,
    LOG_TARGET,
};

/// Minimum length of a common prefix that is worth keeping, in positions.
const LEAST_PREFIX: usize = 32;

/// Maximum number of span failures that one call survives.
const MAX_FAILURES: usize = 16;

/// Pause between two searches for holders.
const SEARCH_PAUSE: Duration = Duration::from_millis(250);

/// Time between two comparisons of the route with its alternatives, unless a span straggles.
const REPLAN_AFTER: Duration = Duration::from_secs(30);

/// Servers trusted less than this are replaced as soon as an alternative exists.
const LEAST_TRUST: f64 = 0.5;

/// Tokens of a canary, at most: one message, and an exhibit that fits the chain for small models.
const CANARY: usize = 16;

/// Bytes of an exhibit besides its rows and tokens, at most.
const EXHIBIT_OVERHEAD: usize = 1 << 10;

/// Tokens assumed to follow in a sequence, when the gain of a new route is compared with the cost
/// of its replay.
const TOKENS_TO_COME: usize = 64;

/// Reasons why a pipeline could not compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PipelineError {
    /// No usable node holds these layers.
    #[error("no node that may be used holds layers {}..{} of the model{}", .layers.start, .layers.end, Last(.last))]
    NoHolder {
        /// The first missing layers.
        layers: Range<usize>,
        /// Time spent looking for them.
        waited: Duration,
        /// The last error, if there was one.
        last: Option<String>,
    },
    /// Too many spans failed one after the other.
    #[error("too many spans failed in a row; the last was layers {}..{}: {last}", .layers.start, .layers.end)]
    GaveUp {
        /// Number of failures.
        failures: usize,
        /// Layers of the last failed span.
        layers: Range<usize>,
        /// Error of the last failed span.
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

impl From<PipelineError> for Error {
    fn from(error: PipelineError) -> Self {
        Self::Remote(Box::new(error))
    }
}

/// The route in use: sessions that cover all layers in order, except where one has failed.
struct Plan {
    links: Vec<Arc<Link>>,
    /// Time of the last comparison with the alternatives.
    compared: Instant,
}

struct Inner {
    hub: Arc<Hub>,
    model: ModelId,
    ends: Model,
    config: PipelineConfig,
    plan: Mutex<Plan>,
    recent: Mutex<VecDeque<Recent>>,
}

/// A finished sequence, kept for later ones with the same prefix.
struct Recent {
    tokens: Vec<u32>,
    track: SequenceState,
    own: Option<Session>,
}

/// A model whose ends are local and whose layers are computed by other nodes. Clones share the
/// sessions.
///
/// Layers that the ends were loaded with are computed here: other nodes compute the rest.
///
/// A failed span is replaced by another holder of its layers, which is brought to the same state.
/// With exact wire formats the results are equal to those without the failure, bit for bit.
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("ends", &self.0.ends)
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    pub(crate) fn new(hub: Arc<Hub>, model: ModelId, ends: Model, config: PipelineConfig) -> Self {
        Self(Arc::new(Inner {
            hub,
            model,
            ends,
            config,
            plan: Mutex::new(Plan {
                links: vec![],
                compared: Instant::now(),
            }),
            recent: Mutex::default(),
        }))
    }

    /// Computes tokens that no user wrote, and has a second holder of each span compute them again.
    /// Exhibits of these checks alone name their tokens: so a committee can judge them, and nobody's
    /// prompt leaves this node.
    pub fn canary(&self, tokens: &[u32]) -> starling_engine::Result<()> {
        let inner = &self.0;
        let mut session = self.session();
        let inputs = inner.inputs(&mut [Step {
            session: &mut session,
            input: Input::Tokens(tokens),
        }])?;
        let journal = session.track.journal(inner.first_border());
        for input in &inputs {
            journal.push(input.as_slice(), input.width());
        }
        inner.advance(&mut [&mut session.track], &[0], Some(tokens))?;
        Ok(())
    }

    pub(crate) fn downgrade(&self) -> WeakPipeline {
        WeakPipeline(Arc::downgrade(&self.0))
    }

    /// Whether it is in use, and its servers are checked.
    pub(crate) fn is_checked(&self) -> bool {
        self.0.config.spot_check > 0.0 && !self.route().is_empty()
    }

    /// As [`Self::is_checked`]; `false` while it looks for servers.
    pub(crate) fn is_checked_now(&self) -> bool {
        let Inner { config, plan, .. } = &*self.0;
        let has_servers =
            |plan: MutexGuard<'_, Plan>| plan.links.iter().any(|link| link.is_alive());
        config.spot_check > 0.0 && plan.try_lock().is_some_and(has_servers)
    }

    /// Random tokens for a [`Pipeline::canary`]; none without randomness.
    pub(crate) fn canary_tokens(&self) -> Vec<u32> {
        let config = self.0.ends.config();
        let vocab = u32::try_from(config.vocab).unwrap_or(u32::MAX);
        let token = || getrandom::u32().ok()?.checked_rem(vocab);
        let count = CANARY.min(admitted(config.width, self.0.config.wire));
        (0..count).map_while(|_| token()).collect()
    }

    /// The layers and servers of the route in use; empty before the first use.
    pub fn route(&self) -> Vec<(Range<usize>, crate::transport::Peer)> {
        let plan = self.0.plan.lock();
        let links = plan.links.iter().filter(|link| link.is_alive());
        links
            .map(|link| (link.layers.clone(), link.peer.clone()))
            .collect()
    }
}

/// A pipeline, as long as somebody else has it.
pub(crate) struct WeakPipeline(Weak<Inner>);

impl WeakPipeline {
    /// The pipeline, if it is still there.
    pub fn upgrade(&self) -> Option<Pipeline> {
        self.0.upgrade().map(Pipeline)
    }

    /// Whether it is still there.
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// A sequence of a [`Pipeline`], with its caches on the servers.
pub struct PipelineSession {
    pipeline: Pipeline,
    track: SequenceState,
    /// The sequence in the layers that are computed here, if any are.
    own: Option<Session>,
    /// The sequence, as long as it was extended by tokens only.
    tokens: Vec<u32>,
    len: usize,
    is_fork: bool,
}

impl fmt::Debug for PipelineSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineSession")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Sequence for PipelineSession {
    fn len(&self) -> usize {
        self.len
    }

    fn fork(&self) -> Self {
        Self {
            pipeline: self.pipeline.clone(),
            track: self.track.fork(),
            own: self.own.as_ref().map(Session::fork),
            tokens: self.tokens.clone(),
            len: self.len,
            is_fork: true,
        }
    }

    fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.tokens.truncate(len);
            self.forget_from(len);
        }
    }
}

impl PipelineSession {
    /// Forgets the rows from position `len` on.
    fn forget_from(&mut self, len: usize) {
        self.track.truncate(len);
        if let Some(own) = &mut self.own {
            own.truncate(len);
        }
    }
}

impl Drop for PipelineSession {
    fn drop(&mut self) {
        let Inner { config, recent, .. } = &*self.pipeline.0;
        if self.is_fork || self.tokens.len() < self.len || self.len < LEAST_PREFIX {
            return;
        }
        let newest = Recent {
            tokens: std::mem::take(&mut self.tokens),
            track: std::mem::take(&mut self.track),
            own: self.own.take(),
        };
        let mut recent = recent.lock();
        recent.push_front(newest);
        let kept = config.remembered.min(recent.len());
        let oldest = recent.split_off(kept);
        drop(recent);
        // Servers are told outside the lock.
        drop(oldest);
    }
}

impl Trunk for Pipeline {
    type Session = PipelineSession;
    type Ends = Model;

    fn ends(&self) -> &Model {
        &self.0.ends
    }

    fn session(&self) -> PipelineSession {
        let ends = &self.0.ends;
        PipelineSession {
            pipeline: self.clone(),
            track: SequenceState::default(),
            own: (self.0.first_border() > 0).then(|| ends.session()),
            tokens: vec![],
            len: 0,
            is_fork: false,
        }
    }

    fn session_with_prefix(&self, tokens: &[u32]) -> PipelineSession {
        let mut session = self.session();
        let most = tokens.len().saturating_sub(1);
        let recent = self.0.recent.lock();
        let common = |known: &Recent| {
            let pairs = known.tokens.iter().zip(tokens.iter().take(most));
            pairs.take_while(|(a, b)| a == b).count()
        };
        let best = recent.iter().map(|known| (common(known), known));
        if let Some((len @ LEAST_PREFIX.., known)) = best.max_by_key(|(len, _)| *len) {
            session.track = known.track.fork();
            session.own = known.own.as_ref().map(Session::fork);
            session.forget_from(len);
            session.tokens = tokens.iter().take(len).copied().collect();
            session.len = len;
        }
        session
    }

    fn free_rows(&self, _: &PipelineSession) -> usize {
        self.0.free_rows()
    }

    fn forward(
        &self,
        batch: &mut [Step<'_, PipelineSession>],
    ) -> starling_engine::Result<Vec<Hidden>> {
        let inputs = self.0.inputs(batch)?;
        let config = self.0.ends.config();
        let (width, end) = (config.width, config.layers);
        let first = self.0.first_border();
        for (step, input) in batch.iter_mut().zip(&inputs) {
            let journal = step.session.track.journal(first);
            journal.push(input.as_slice(), width);
        }
        let from: Vec<_> = batch.iter().map(|step| step.session.len).collect();
        let mut tracks: Vec<_> = batch
            .iter_mut()
            .map(|step| &mut step.session.track)
            .collect();
        let outcome = self.0.advance(&mut tracks, &from, None);
        let mut outputs = Vec::with_capacity(batch.len());
        for (step, input) in batch.iter_mut().zip(&inputs) {
            let session = &mut step.session;
            if outcome.is_err() {
                session.forget_from(session.len);
                continue;
            }
            let new = session.len..session.len + input.rows();
            let mut data = Vec::with_capacity(input.rows() * width);
            session
                .track
                .journal(end)
                .read(new.clone(), width, &mut data);
            outputs.push(Hidden::new(width, data)?);
            if let (Input::Tokens(tokens), true) = (step.input, session.tokens.len() == session.len)
            {
                session.tokens.extend_from_slice(tokens);
            }
            session.len = new.end;
        }
        outcome?;
        Ok(outputs)
    }
}

impl Inner {
    /// Rows that the servers of the route compute in the time of its round trips.
    fn free_rows(&self) -> usize {
        let plan = self.plan.lock();
        let (mut round_trips, mut a_row) = (0.0, 0.0);
        for link in &plan.links {
            let peers = &self.hub.peers;
            let layers = link.layers.len();
            let rtt = peers.rtt(&link.peer);
            let Some((rtt, expected)) = rtt.zip(peers.expected(&link.peer, &self.model, layers, 1))
            else {
                return 0;
            };
            round_trips += rtt;
            a_row += expected - rtt;
        }
        // Infinite where nothing is known, and not a number before the first route: both become 0
        // or the limit.
        ((round_trips / a_row) as usize).min(self.config.guesses)
    }

    /// The first border that rows leave this node at: layers before it are computed here.
    fn first_border(&self) -> usize {
        self.ends.layers().end
    }

    /// The rows that each step adds at the first border, if all steps are valid. Otherwise no
    /// sequence has changed.
    fn inputs(
        self: &Arc<Self>,
        batch: &mut [Step<'_, PipelineSession>],
    ) -> starling_engine::Result<Vec<Hidden>> {
        for step in batch.iter() {
            if !Arc::ptr_eq(self, &step.session.pipeline.0) {
                return Err(Error::Shape(
                    "the session belongs to another pipeline".into(),
                ));
            }
            step.input.check(self.ends.config(), step.session.len)?;
        }
        if self.first_border() > 0 {
            let own = batch.iter_mut().filter_map(|step| {
                let session = step.session.own.as_mut()?;
                let input = step.input;
                Some(Step { session, input })
            });
            // Each session of a pipeline with layers of its own has one for them.
            return self.ends.forward(&mut own.collect::<Vec<_>>());
        }
        let inputs = batch.iter().map(|step| match step.input {
            Input::Tokens(tokens) => self.ends.embed(tokens),
            Input::Hidden(hidden) => Ok(hidden.clone()),
        });
        inputs.collect()
    }

    /// Brings the last border of all tracks up to the first one, retrying within the time limits.
    /// `from` holds the positions that had been computed before, `canary` the tokens of a
    /// [`Pipeline::canary`].
    fn advance(
        &self,
        tracks: &mut [&mut SequenceState],
        from: &[usize],
        canary: Option<&[u32]>,
    ) -> Result<(), PipelineError> {
        let pace = Pace {
            chunk_rows: self.config.chunk_rows,
            push_from: self.config.push_from,
            least_timeout: self.config.least_step_timeout,
            most_timeout: self.config.most_step_timeout,
        };
        let started = Instant::now();
        let mut deadline = started + self.config.patience;
        let mut first_failure: Option<Instant> = None;
        let mut last_failure = None;
        for failures in 0.. {
            let why = last_failure.clone();
            let (route, broken) = self.route(tracks, deadline, why)?;
            if let Some(broken) = broken {
                first_failure.get_or_insert(broken.max(started));
            }
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
                            target: LOG_TARGET,
                            "the pipeline goes on after {failures} failed spans, with {} ms lost",
                            took.as_millis()
                        );
                    }
                    self.sample(&route, tracks, from, canary);
                    break;
                },
                Err(failure) => {
                    let now = Instant::now();
                    if failure.progress || failures == 0 {
                        deadline = now + self.config.patience;
                    }
                    let Failure { link, error, .. } = failure;
                    if error != LinkError::NotPushed {
                        link.fail(&error);
                    }
                    let (layers, last) = (link.layers.clone(), format!("{}: {error}", link.peer));
                    if failures >= MAX_FAILURES || now >= deadline {
                        return Err(PipelineError::GaveUp {
                            failures: failures + 1,
                            layers,
                            last,
                        });
                    }
                    last_failure = Some(last);
                },
            }
        }
        Ok(())
    }

    /// Records a failure.
    fn failed(&self, link: &Link, error: &LinkError) {
        self.hub
            .metrics
            .failures
            .with_label_values(&[error.name()])
            .inc();
        log::info!(
            target: LOG_TARGET,
            "layers {}..{} at {} failed: {error}",
            link.layers.start,
            link.layers.end,
            link.peer
        );
        match error {
            // The same server can be asked again at once.
            LinkError::Refused(Refusal::UnknownSession) => {},
            error if error.is_forgivable() => self.hub.peers.busy(&link.peer),
            _ => self.hub.peers.failed(&link.peer),
        }
    }

    fn candidates(&self) -> Vec<Candidate<Peer>> {
        let Hub {
            peers, directory, ..
        } = &*self.hub;
        peers.candidates(&self.model, &**directory, self.config.only_bonded)
    }

    fn cheapest(&self, candidates: &[Candidate<Peer>], need: &Need) -> Result<Route, NoRoute> {
        routing::route(candidates, need, self.between(candidates))
    }

    /// Seconds of a round trip between two candidates of which the first passes its rows on to the
    /// second.
    fn between(&self, candidates: &[Candidate<Peer>]) -> impl Fn(usize, usize) -> Option<f64> {
        let push_from = self.config.push_from.as_secs_f64();
        let known = self.hub.surveys.known(&self.model);
        let rtt = |from: &Candidate<Peer>, to: &Candidate<Peer>| {
            let rtt = known.as_ref()?.rtt(&from.peer, &to.peer)?;
            let pushed = to.rtt >= push_from && self.hub.pushes.may(&from.peer, &to.peer);
            pushed.then_some(rtt)
        };
        let pairs = candidates
            .iter()
            .flat_map(|from| candidates.iter().map(move |to| (from, to)));
        let pairs: Vec<_> = pairs.map(|(from, to)| rtt(from, to)).collect();
        let columns = candidates.len();
        move |from, to| pairs.get(from * columns + to).copied().flatten()
    }

    /// Sessions that cover all layers, and the time of the first failure among those that were
    /// replaced. Opens missing sessions and looks for holders until `deadline`.
    fn route(
        &self,
        tracks: &mut [&mut SequenceState],
        deadline: Instant,
        mut last: Option<String>,
    ) -> Result<(Vec<Arc<Link>>, Option<Instant>), PipelineError> {
        let started = Instant::now();
        let mut plan = self.plan.lock();
        self.reconsider(&mut plan, tracks);
        let mut first_broken = None;
        loop {
            plan.links.retain(|link| match link.broken() {
                Some(Broken { at, error }) => {
                    first_broken = Some(first_broken.map_or(at, |first: Instant| first.min(at)));
                    self.failed(link, &error);
                    false
                },
                None => true,
            });
            let all = self.first_border()..self.ends.config().layers;
            let Some((at, gap)) = gap(&plan.links, all) else {
                return Ok((plan.links.clone(), first_broken));
            };
            let need = self.need(gap, tracks);
            let mut candidates = self.candidates();
            let mut found = self.cheapest(&candidates, &need);
            if found.is_err() {
                self.hub.refresh(&self.model, self.config.request_timeout);
                candidates = self.candidates();
                found = self.cheapest(&candidates, &need);
            }
            let missing = match found {
                Ok(route) => match self.open(&candidates, &route.stages) {
                    Ok(links) => {
                        plan.links.splice(at..at, links);
                        plan.compared = Instant::now();
                        continue;
                    },
                    Err((layers, OpenError::Link(error))) => {
                        last = Some(error.to_string());
                        layers
                    },
                    Err((_, error)) => return Err(PipelineError::Open(error)),
                },
                Err(NoRoute { layers }) => layers,
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(PipelineError::NoHolder {
                    layers: missing,
                    waited: now.saturating_duration_since(started),
                    last,
                });
            }
            if self.cheapest(&self.candidates(), &need).is_err() {
                let left = deadline.saturating_duration_since(now);
                self.hub.peers.wait(SEARCH_PAUSE.min(left));
            }
        }
    }

    /// Opens a session for each stage. A server that refuses or fails is put off.
    fn open(
        &self,
        candidates: &[Candidate<Peer>],
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
                layers: stage.layers.clone(),
                wire: self.config.wire,
                width: self.ends.config().width,
                expected: candidate.rtt + stage.layers.len() as f64 / candidate.throughput,
            };
            match self.hub.open(target, self.config.request_timeout) {
                Ok(link) => links.push(link),
                Err(error) => {
                    log::info!(target: LOG_TARGET, "{} opens no session: {error}", candidate.peer);
                    if let OpenError::Link(error) = &error {
                        if error.is_forgivable() {
                            self.hub.peers.busy(&candidate.peer);
                        } else {
                            self.hub.peers.failed(&candidate.peer);
                        }
                    }
                    return Err((stage.layers.clone(), error));
                },
            }
        }
        Ok(links)
    }

    fn need(&self, layers: Range<usize>, tracks: &mut [&mut SequenceState]) -> Need {
        let positions = self.positions(tracks);
        Need::new(layers, positions)
    }

    /// Positions of all tracks together.
    fn positions(&self, tracks: &mut [&mut SequenceState]) -> usize {
        let first = self.first_border();
        tracks
            .iter_mut()
            .map(|track| track.journal(first).len())
            .sum()
    }

    /// Changes to a much better route, if a server lost trust, a span straggles, or the last
    /// comparison is long ago.
    fn reconsider(&self, plan: &mut Plan, tracks: &mut [&mut SequenceState]) {
        let layers = self.first_border()..self.ends.config().layers;
        let straggles = plan.links.iter().any(|link| link.straggles());
        let distrusted = |link: &Arc<Link>| self.hub.peers.trust(&link.peer) < LEAST_TRUST;
        let due = plan.links.iter().any(distrusted)
            || self.config.replan && (straggles || plan.compared.elapsed() >= REPLAN_AFTER);
        let complete = plan.links.iter().all(|link| link.is_alive())
            && gap(&plan.links, layers.clone()).is_none();
        if !due || !complete {
            return;
        }
        plan.compared = Instant::now();
        let need = self.need(layers, tracks);
        let candidates = self.candidates();
        let between = self.between(&candidates);
        let present = plan.links.iter().map(|link| {
            let candidate = candidates.iter().position(|c| c.peer == link.peer)?;
            Some(Stage {
                candidate,
                layers: link.layers.clone(),
            })
        });
        // A server that is no longer known counts as gone.
        let present = present
            .collect::<Option<Vec<_>>>()
            .and_then(|stages| routing::cost(&candidates, &stages, &need, &between))
            .unwrap_or(f64::MAX);
        let Ok(Route { stages, cost }) = routing::route(&candidates, &need, &between) else {
            return;
        };
        let positions = self.positions(tracks);
        // Prefill is several times faster per token than decoding.
        let replay = cost * positions as f64 / 4.0;
        if !routing::much_better(present, cost, replay, TOKENS_TO_COME) {
            return;
        }
        let mut links = Vec::with_capacity(stages.len());
        for stage in &stages {
            let kept = plan.links.iter().find(|link| {
                let peer = candidates.get(stage.candidate).map(|c| &c.peer);
                link.layers == stage.layers && Some(&link.peer) == peer
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
            target: LOG_TARGET,
            "the route is changed: {:.1} ms a token expected instead of {:.1} ms",
            1e3 * cost,
            1e3 * present
        );
        self.hub.metrics.replanned.inc();
        plan.links = links;
    }

    /// Has a second holder recompute a share of the new rows in the background, and all of those of
    /// a canary.
    fn sample(
        &self,
        route: &[Arc<Link>],
        tracks: &mut [&mut SequenceState],
        from: &[usize],
        canary: Option<&[u32]>,
    ) {
        let share = canary.map_or(self.config.spot_check, |_| 1.0);
        if share <= 0.0 {
            return;
        }
        for (track, from) in tracks.iter_mut().zip(from) {
            let len = track.journal(self.first_border()).len();
            for link in route {
                // The check computes all `len` rows. So on average a share of `spot_check` of all
                // rows is computed twice.
                let chance = share * (len - from) as f64 / len.max(1) as f64;
                let random = getrandom::u32().unwrap_or(u32::MAX);
                if f64::from(random) / f64::from(u32::MAX) >= chance.min(1.0) {
                    continue;
                }
                let check = Check {
                    link: link.clone(),
                    last: track.last(link).cloned(),
                    inputs: track.journal(link.layers.start).clone(),
                    outputs: track.journal(link.layers.end).clone(),
                    tokens: canary.unwrap_or_default().to_vec(),
                    config: self.config.clone(),
                };
                self.hub.order(check);
            }
        }
    }
}

/// Number of tokens whose exhibit a committee judges: each has an input of floats, and two outputs as
/// `wire` carries them.
fn admitted(width: usize, wire: WireFormat) -> usize {
    let inputs = WireFormat::F32.bytes(1, width);
    let token = inputs + 2 * wire.bytes(1, width) + size_of::<u32>();
    MAX_EXHIBIT.saturating_sub(EXHIBIT_OVERHEAD) / token
}

/// The first layers of `all` that `links`, in order, do not cover, and the index at which their
/// links belong.
fn gap(links: &[Arc<Link>], all: Range<usize>) -> Option<(usize, Range<usize>)> {
    let (mut covered, end) = (all.start, all.end);
    for (at, link) in links.iter().enumerate() {
        if link.layers.start > covered {
            return Some((at, covered..link.layers.start));
        }
        covered = link.layers.end;
    }
    (covered < end).then_some((links.len(), covered..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;
    use starling_evidence::Exhibit;

    #[test]
    fn a_canary_of_the_widest_model_fits_an_exhibit() {
        for width in [576, 5_120, 8_192, 16_384] {
            let tokens = CANARY.min(admitted(width, WireFormat::F32));
            assert!(tokens > 0, "{width}");
            let rows = vec![0; WireFormat::F32.bytes(tokens, width)];
            let exhibit = Exhibit {
                width: width as u32,
                inputs: rows.clone(),
                first: rows.clone(),
                second: rows,
                tokens: vec![0; tokens],
            };
            assert!(exhibit.encoded_size() <= MAX_EXHIBIT, "{width}");
        }
        assert_eq!(CANARY.min(admitted(576, WireFormat::F32)), CANARY);
    }
}
