// SPDX-License-Identifier: Apache-2.0
//! Both sides of a node: serving spans, and using them.

use std::{
    collections::BTreeMap,
    sync::{
        mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender, TrySendError},
        Arc, Weak,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use starling_engine::Model;
use starling_evidence::{exhibit::MAX_EXHIBIT, Evidence, Exhibit, Fault};
use starling_planner::{self as planner, picture::HOP_NS, Holding, View};

use crate::{
    accounts::Accounts,
    auth::{Directory, Identity},
    client::{self, Holder, Hub, Known, LinkError, Pipeline, Seen, WeakPipeline},
    config::{PipelineConfig, ServiceConfig},
    integrity::Case,
    loopback::Loopback,
    message::{self, Message, Refusal, Response},
    metrics::Metrics,
    seal::Secret,
    server::{Served, Server, Shape},
    spawn,
    transport::{Inbox, ModelId, Peer, Respond, Transport},
    wire::WireFormat,
    LOG_TARGET,
};

/// Maximum number of waiting set-up requests.
const REQUESTS: usize = 128;

/// Maximum size of a set-up request, in bytes. None that is valid has more than 300.
const MAX_REQUEST: usize = 1 << 10;

/// Threads that answer set-up requests; they check and make signatures.
const REQUEST_THREADS: usize = 2;

/// Maximum number of waiting spot checks.
const CHECKS: usize = 4;

/// Time between two refreshes of the holders of the models in use.
const REFRESH: Duration = Duration::from_secs(20);

/// Maximum number of holders whose round trips to each other are shown.
const MOST_SHOWN: usize = 64;

/// Time for the holders to answer.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// Reasons why a service could not start or serve.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The model's layers could not be loaded.
    #[error(transparent)]
    Engine(#[from] starling_engine::Error),
    /// A metric could not be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system did not start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The system gave no key for sealing.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The service was shut down.
    #[error("the service has been shut down")]
    Closed,
}

struct Ask {
    from: Peer,
    payload: Vec<u8>,
    respond: Respond,
}

/// Threads and channels that end with the service.
#[derive(Default)]
struct Work {
    asks: Option<SyncSender<Ask>>,
    /// Dropped to end the keeper thread.
    keeper: Option<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// A model whose layers nodes compute for each other, as this node sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// The model.
    pub model: ModelId,
    /// Number of its layers.
    pub layers: usize,
    /// The nodes that hold some of them, this one among them.
    pub holders: Vec<Seen>,
    /// Seconds of a round trip from each holder to each, as far as known; empty if there are more
    /// than 64.
    pub rtts: Vec<Vec<Option<f64>>>,
    /// The picture of the holders in their order, to plan with; none if there are more than 64, or
    /// before the first survey that includes them all.
    pub view: Option<View>,
}

/// The swarm of a model, to plan with.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarm {
    /// The holders by their identities, this node among them if it is one. All nodes have the same
    /// order.
    pub holders: Vec<Holder>,
    /// The picture of the holders, and their layers.
    pub view: View,
}

/// A node's service. It ends when dropped.
pub struct Service {
    server: Arc<Server>,
    hub: Arc<Hub>,
    /// The models that this node has served or used.
    models: Mutex<BTreeMap<ModelId, Shape>>,
    /// The pipelines that were made and are still there.
    pipelines: Mutex<Vec<WeakPipeline>>,
    work: Mutex<Work>,
}

impl Service {
    /// Starts a service over `transport`. It serves nothing yet.
    pub fn start(
        transport: Arc<dyn Transport>,
        directory: Arc<dyn Directory>,
        identity: Arc<dyn Identity>,
        config: ServiceConfig,
        registry: Option<&prometheus::Registry>,
    ) -> Result<Arc<Self>, ServiceError> {
        let metrics = Metrics::new(registry)?;
        let transport: Arc<dyn Transport> = Arc::new(Loopback::new(transport));
        let accounts = Arc::new(Accounts::default());
        let server = Server::new(
            transport.clone(),
            directory.clone(),
            identity.clone(),
            config,
            metrics.clone(),
            accounts.clone(),
            Secret::generate().map_err(ServiceError::Random)?,
        );
        let (checks, ordered) = sync_channel(CHECKS);
        let hub = Hub::new(
            transport.clone(),
            directory,
            identity,
            metrics,
            accounts,
            server.surveys().clone(),
            checks,
        );
        let (asks, incoming) = sync_channel(REQUESTS);
        let (keeper, end) = sync_channel(1);
        let service = Arc::new(Self {
            server,
            hub,
            models: Mutex::default(),
            pipelines: Mutex::default(),
            work: Mutex::new(Work {
                asks: Some(asks),
                keeper: Some(keeper),
                threads: vec![],
            }),
        });
        let mut threads = vec![];
        let incoming = Arc::new(Mutex::new(incoming));
        for _ in 0..REQUEST_THREADS {
            let (server, incoming) = (service.server.clone(), incoming.clone());
            threads.push(spawn("shards-setup", move || respond(&server, &incoming))?);
        }
        let hub = service.hub.clone();
        threads.push(spawn("shards-checks", move || {
            client::run_checks(&hub, ordered)
        })?);
        let (hub, server) = (service.hub.clone(), service.server.clone());
        threads.push(spawn("shards-keeper", move || keep(&hub, &server, &end))?);
        service.work.lock().threads = threads;
        let weak: Weak<Self> = Arc::downgrade(&service);
        transport.attach(weak);
        Ok(service)
    }

    /// Changes the limits. Open sessions stay.
    pub fn configure(&self, config: ServiceConfig) {
        self.server.configure(config);
    }

    /// Loads layers of a model and serves them from now on, in place of an earlier span of the
    /// model. Blocks the caller until they are loaded.
    pub fn serve(&self, model: ModelId, served: &Served) -> Result<(), ServiceError> {
        self.server.serve(model, served)?;
        if let Some(shape) = self.server.shape(&model) {
            self.models.lock().insert(model, shape);
        }
        Ok(())
    }

    /// Stops serving `model`.
    pub fn withdraw(&self, model: &ModelId) {
        self.server.withdraw(model);
    }

    /// Other holders of `model` with their layers, and their speed as far as it is believed. Asks
    /// them, measures them where that is due, and waits at most a few seconds for each answer.
    pub fn holders(&self, model: &ModelId) -> Vec<Holder> {
        self.hub.look(model, REFRESH_TIMEOUT);
        let local = self.hub.transport.local();
        let mut holders = self.hub.peers.holders(model);
        holders.retain(|holder| holder.peer != local);
        holders
    }

    /// The swarm of a model that this node has served or used, as far as it is believed: active
    /// agents, since other accounts are free, and this node. Excluded agents have no place in it.
    /// Asks the holders as [`Self::holders`] does. `None` if there are none.
    pub fn swarm(&self, model: &ModelId) -> Option<Swarm> {
        let shape = self.models.lock().get(model).copied()?;
        self.hub.look(model, REFRESH_TIMEOUT);
        let known = self.hub.known(model);
        let local = self.local();
        let counts = |holder: &Holder| {
            let agent = self.hub.directory.agent(&holder.account);
            let is_trusted = self.hub.peers.trust_in(&holder.account) > 0.0;
            holder.peer == local || (is_trusted && agent.is_some_and(|agent| agent.active))
        };
        let mut holders = self.hub.peers.holders(model);
        holders.retain(|holder| known.belief(&holder.peer).is_some() && counts(holder));
        holders.sort_by(|a, b| a.peer.cmp(&b.peer));
        let view = view(shape, &holders, &known)?;
        Some(Swarm { holders, view })
    }

    /// The holders of each model that this node has served or used. Asks them, and waits at most a
    /// few seconds for the answers about each model.
    pub fn shared(&self) -> Vec<Shared> {
        let models = self.models.lock().clone();
        let shared = models.into_iter().map(|(model, shape)| {
            self.hub.refresh(&model, REFRESH_TIMEOUT);
            let mut holders = self.hub.peers.seen(&model);
            let known = self.hub.surveys.known(&model);
            for seen in &mut holders {
                let known = known.as_ref();
                seen.belief = known.and_then(|known| known.belief(&seen.holder.peer));
            }
            let rtt = |a: &Seen, b: &Seen| known.as_ref()?.rtt(&a.holder.peer, &b.holder.peer);
            let shown: &[Seen] = if holders.len() > MOST_SHOWN {
                &[]
            } else {
                holders.as_slice()
            };
            let row = |a: &Seen| shown.iter().map(|b| rtt(a, b)).collect();
            let rtts = shown.iter().map(row).collect();
            let of: Vec<_> = shown.iter().map(|seen| seen.holder.clone()).collect();
            let view = known.as_ref().and_then(|known| view(shape, &of, known));
            Shared {
                model,
                layers: shape.layers,
                holders,
                rtts,
                view,
            }
        });
        shared.collect()
    }

    /// This node's own identity among the holders.
    pub fn local(&self) -> Peer {
        self.hub.transport.local()
    }

    /// A model whose ends are local and whose layers are computed by others. Layers that `ends`
    /// holds too are computed here; they are the first ones. No peer is contacted before its first
    /// use.
    ///
    /// The others see hidden states, from which they can recover the prompt:
    /// `starling-shards invert` shows how much of it.
    pub fn pipeline(&self, model: ModelId, ends: Model, config: PipelineConfig) -> Pipeline {
        let shape = Shape::of(ends.config());
        self.models.lock().insert(model, shape);
        let pipeline = Pipeline::new(self.hub.clone(), model, ends, config);
        let mut pipelines = self.pipelines.lock();
        pipelines.retain(WeakPipeline::is_alive);
        pipelines.push(pipeline.downgrade());
        pipeline
    }

    /// Sends a canary through each pipeline that is in use and checks its servers. Returns once the
    /// rows are back; the checks come later.
    pub fn canaries(&self) {
        let pipelines = self.pipelines();
        for pipeline in pipelines.iter().filter(|pipeline| pipeline.is_checked()) {
            let tokens = pipeline.canary_tokens();
            if let Err(error) = pipeline.canary(&tokens) {
                log::debug!(target: LOG_TARGET, "a canary did not come back: {error}");
            }
        }
    }

    /// Whether [`Self::canaries`] would send one. Waits for nobody: a pipeline that is looking for
    /// servers counts once it has them.
    pub fn has_use_for_canaries(&self) -> bool {
        self.pipelines().iter().any(Pipeline::is_checked_now)
    }

    /// The pipelines that are still there.
    fn pipelines(&self) -> Vec<Pipeline> {
        let known = self.pipelines.lock();
        known.iter().filter_map(WeakPipeline::upgrade).collect()
    }

    /// Metrics of this node.
    pub fn metrics(&self) -> &Metrics {
        &self.hub.metrics
    }

    /// Trust in `peer`'s results: 1 at first, 0 once the peer is excluded.
    pub fn trust(&self, peer: &Peer) -> f64 {
        self.hub.peers.trust(peer)
    }

    /// Passes proofs from spot checks to `recorder`: signed claims of two agents that contradict
    /// each other, with the rows to judge them by. A case that could not be kept, for example
    /// because the disk is full, is offered again. At most 16 cases wait for that.
    pub fn record_evidence(&self, recorder: impl FnMut(&Case) -> bool + Send + 'static) {
        self.hub.record_with(Box::new(recorder));
    }

    /// Shows an exhibit to the executors of the chain. Only the newest few are shown.
    ///
    /// # Errors
    /// The fault for which no committee would judge by it.
    pub fn show(&self, evidence: &Evidence, exhibit: Exhibit) -> Result<(), Fault> {
        exhibit.admit(evidence, MAX_EXHIBIT)?;
        self.server.show(evidence, exhibit);
        Ok(())
    }

    /// The exhibit of some evidence, as `peer` shows it. Nothing of it is checked.
    pub fn exhibit(
        &self,
        peer: &Peer,
        evidence: &Evidence,
        timeout: Duration,
    ) -> Result<Exhibit, LinkError> {
        self.hub.exhibit(peer, evidence, timeout)
    }

    /// Stops serving, and ends all sessions of this node's pipelines.
    pub fn shutdown(&self) {
        let Work {
            asks,
            keeper,
            threads,
        } = std::mem::take(&mut *self.work.lock());
        drop((asks, keeper));
        self.server.stop();
        self.hub.close();
        for thread in threads {
            crate::join(thread);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Inbox for Service {
    fn request(&self, from: Peer, payload: Vec<u8>, respond: Respond) {
        if payload.len() > MAX_REQUEST {
            let refusal = Refusal::Malformed;
            self.hub.metrics.refuse(&refusal);
            return respond(message::encode(&Response::Refused(refusal)));
        }
        let ask = Ask {
            from,
            payload,
            respond,
        };
        let outcome = match &self.work.lock().asks {
            Some(asks) => asks.try_send(ask),
            None => Err(TrySendError::Disconnected(ask)),
        };
        let (ask, refusal) = match outcome {
            Ok(()) => return,
            Err(TrySendError::Full(ask)) => (ask, Refusal::Busy),
            Err(TrySendError::Disconnected(ask)) => (ask, Refusal::Closing),
        };
        self.hub.metrics.refuse(&refusal);
        (ask.respond)(message::encode(&Response::Refused(refusal)));
    }

    fn message(&self, from: Peer, payload: Vec<u8>) {
        match message::decode(&payload) {
            Ok(Message::Work(work)) => self.server.work(from, work, payload.len()),
            Ok(Message::Done(done)) => self.hub.done(from, done, payload.len()),
            Ok(Message::Close(session)) => self.server.close(from, session),
            Ok(Message::Push(push)) => self.server.pushed(from, push, payload.len()),
            Ok(Message::Upstream { session, peer }) => self.server.upstream(from, session, peer),
            Ok(Message::Skip { session, before }) => self.server.skip(from, session, before),
            Err(refusal) => self.server.unreadable(&from, &refusal),
        }
    }

    fn welcome(&self, peer: &Peer) -> bool {
        self.server.serves(peer) || self.hub.uses(peer)
    }

    fn disconnected(&self, peer: &Peer) {
        self.server.disconnected(peer);
        self.hub.disconnected(peer);
    }
}

/// The picture of holders and their layers; `None` without holders, or if one of them is not known
/// yet.
fn view(shape: Shape, holders: &[Holder], known: &Known) -> Option<View> {
    let model = planner::Model {
        layers: shape.layers.try_into().ok()?,
        row_bytes: WireFormat::default()
            .bytes(1, shape.width)
            .try_into()
            .ok()?,
        hop_ns: HOP_NS,
    };
    let layer = |layer: usize| u16::try_from(layer).unwrap_or(u16::MAX);
    let holding = |holder: &Holder| {
        let span = planner::Span {
            start: layer(holder.layers.start),
            end: layer(holder.layers.end),
        };
        let belief = known.belief(&holder.peer)?;
        Some(Holding { span, belief })
    };
    let holdings: Vec<_> = holders.iter().map(holding).collect::<Option<_>>()?;
    let rtt = |i: usize, j: usize| known.rtt(&holders.get(i)?.peer, &holders.get(j)?.peer);
    View::new(model, &holdings, rtt).ok()
}

fn respond(server: &Server, incoming: &Mutex<Receiver<Ask>>) {
    loop {
        // One thread waits for the next request; the other answers or waits for its turn.
        let Ok(ask) = incoming.lock().recv() else {
            return;
        };
        let response = server.request(&ask.from, &ask.payload);
        (ask.respond)(message::encode(&response));
    }
}

/// Keeps the knowledge of models in use fresh, so that a failing span is replaced at once. Also
/// offers waiting evidence to the recorder again.
///
/// Holders measure each other about once a minute.
fn keep(hub: &Arc<Hub>, server: &Server, end: &Receiver<()>) {
    while end.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
        let used = hub.models();
        let served = server.models().into_iter().filter(|m| !used.contains(m));
        for model in used.iter().copied().chain(served) {
            if used.contains(&model) || hub.surveys.is_due(&model, Instant::now()) {
                hub.look(&model, REFRESH_TIMEOUT);
            }
        }
        hub.peers.tidy();
        hub.pushes.tidy();
        hub.record();
    }
}
