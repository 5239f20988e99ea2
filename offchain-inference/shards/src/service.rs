// SPDX-License-Identifier: Apache-2.0
//! Both sides of a node: what it serves, and what it uses.

use std::{
    sync::{
        mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender, TrySendError},
        Arc, Weak,
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use starling_engine::Model;

use crate::{
    auth::{Directory, Identity},
    client::{self, Holder, Hub, Pipeline},
    config::{PipelineConfig, ServiceConfig},
    integrity::Case,
    loopback::Loopback,
    message::{self, Message, Refusal, Response},
    metrics::Metrics,
    server::{Served, Server},
    spawn,
    transport::{Inbox, ModelId, Peer, Respond, Transport},
};

/// Requests of set-up that may wait.
const REQUESTS: usize = 128;

/// Threads that answer them: signatures are checked and made there.
const REQUEST_THREADS: usize = 2;

/// Spot checks that may wait.
const CHECKS: usize = 4;

/// How often holders of the models in use are asked what they hold.
const REFRESH: Duration = Duration::from_secs(20);

/// How long they may take to say so.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// What keeps a service from starting or serving.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The model's layers could not be loaded.
    #[error(transparent)]
    Engine(#[from] starling_engine::Error),
    /// A metric could not be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The service was shut down.
    #[error("the service has been shut down")]
    Closed,
}

struct Ask {
    from: Peer,
    payload: Vec<u8>,
    respond: Respond,
}

/// What ends with the service.
#[derive(Default)]
struct Work {
    asks: Option<SyncSender<Ask>>,
    /// Dropped to end the thread that looks after what is known.
    keeper: Option<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// A node's service. Ends when dropped.
pub struct Service {
    server: Arc<Server>,
    hub: Arc<Hub>,
    work: Mutex<Work>,
}

impl Service {
    /// Starts serving and using spans over `transport`; nothing is served yet.
    pub fn start(
        transport: Arc<dyn Transport>,
        directory: Arc<dyn Directory>,
        identity: Arc<dyn Identity>,
        config: ServiceConfig,
        registry: Option<&prometheus::Registry>,
    ) -> Result<Arc<Self>, ServiceError> {
        let metrics = Metrics::new(registry)?;
        let transport: Arc<dyn Transport> = Arc::new(Loopback::new(transport));
        let server = Server::new(
            transport.clone(),
            directory.clone(),
            identity.clone(),
            config,
            metrics.clone(),
        );
        let (checks, ordered) = sync_channel(CHECKS);
        let hub = Hub::new(transport.clone(), directory, identity, metrics, checks);
        let (asks, incoming) = sync_channel(REQUESTS);
        let (keeper, end) = sync_channel(1);
        let service = Arc::new(Self {
            server,
            hub,
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
        let hub = service.hub.clone();
        threads.push(spawn("shards-keeper", move || keep(&hub, &end))?);
        service.work.lock().threads = threads;
        let weak: Weak<Self> = Arc::downgrade(&service);
        transport.attach(weak);
        Ok(service)
    }

    /// Changes the limits; open sessions stay.
    pub fn configure(&self, config: ServiceConfig) {
        self.server.configure(config);
    }

    /// Loads layers of a model and computes them for others from now on, in place of what was
    /// served of it. Blocks the caller until they are loaded.
    pub fn serve(&self, model: ModelId, served: &Served) -> Result<(), ServiceError> {
        self.server.serve(model, served)
    }

    /// Serves nothing of `model` any more.
    pub fn withdraw(&self, model: &ModelId) {
        self.server.withdraw(model);
    }

    /// Measured tokens · layers a second that this node's span of `model` decodes for one sequence.
    pub fn throughput(&self, model: &ModelId) -> Option<f64> {
        self.server.throughput(model)
    }

    /// Who else holds which layers of `model`. Asks them, and waits for their answers, at most a few
    /// seconds.
    pub fn holders(&self, model: &ModelId) -> Vec<Holder> {
        self.hub.refresh(model, REFRESH_TIMEOUT);
        let local = self.hub.transport.local();
        let mut holders = self.hub.peers.holders(model);
        holders.retain(|holder| holder.peer != local);
        holders
    }

    /// A model whose ends are here and whose layers others compute. Nothing is asked of anyone
    /// before its first use.
    pub fn pipeline(&self, model: ModelId, ends: Model, config: PipelineConfig) -> Pipeline {
        Pipeline::new(self.hub.clone(), model, ends, config)
    }

    /// What this node has seen so far.
    pub fn metrics(&self) -> &Metrics {
        &self.hub.metrics
    }

    /// How far `peer`'s results are trusted: 1 at first, 0 where it is not used any more.
    pub fn trust(&self, peer: &Peer) -> f64 {
        self.hub.peers.trust(peer)
    }

    /// Has `recorder` keep what spot checks prove: signed claims of two agents that contradict each
    /// other, and the rows to judge them by. What it could not keep, such as for want of disk, is
    /// offered again; up to 16 cases wait for that.
    pub fn record_evidence(&self, recorder: impl FnMut(&Case) -> bool + Send + 'static) {
        self.hub.record_with(Box::new(recorder));
    }

    /// Ends serving and all sessions of this node's pipelines.
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
            Err(_) => self.server.malformed(&from),
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

fn respond(server: &Server, incoming: &Mutex<Receiver<Ask>>) {
    loop {
        // One thread waits for the next request, the other one answers or waits for its turn.
        let Ok(ask) = incoming.lock().recv() else {
            return;
        };
        let response = server.request(&ask.from, &ask.payload);
        (ask.respond)(message::encode(&response));
    }
}

/// Keeps what is known of the models in use fresh, so that a failing span is replaced at once, and
/// has evidence recorded that could not be before.
fn keep(hub: &Arc<Hub>, end: &Receiver<()>) {
    while end.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
        for model in hub.models() {
            hub.refresh(&model, REFRESH_TIMEOUT);
        }
        hub.peers.tidy();
        hub.pushes.tidy();
        hub.record();
    }
}
