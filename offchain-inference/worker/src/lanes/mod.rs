// SPDX-License-Identifier: Apache-2.0

//! Lanes: requests that a committee of agents answers in a few message delays, off the chain.
//!
//! | module | content |
//! |---|---|
//! | [`service`] | all lanes of a node, one event at a time |
//! | [`play`] | one request: the machine of `starling-lane` with signatures, seals and times |
//! | [`room`] | a committee, as this node sees it |
//! | [`judge`] | assignment, winner and payments |
//! | [`value`] | scores as bytes |
//! | [`ledger`] | checkpoints |
//! | [`look`], [`chain`] | the work after a block |
//! | [`store`] | what a member must not forget |
//! | [`desk`] | the agent |
//! | [`progress`], [`metrics`] | what requesters and operators see |
//!
//! One thread does all the work of messages, and a second one that of the chain, which blocks.

pub mod chain;
pub mod desk;
pub mod judge;
pub mod ledger;
pub mod look;
pub mod metrics;
pub mod play;
pub mod progress;
pub mod room;
pub mod service;
pub mod store;
pub mod value;

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use futures::{channel::oneshot, FutureExt, StreamExt};
use parking_lot::Mutex;
use sc_client_api::BlockchainEvents;
use sp_runtime::traits::Block as BlockT;
use starling_lane::{
    timing::Time,
    transport::{Inbox, Peer, Transport},
};
use starling_lane_primitives::{certificate::Signature, messages::Ask, Hash};
use starling_primitives::api::lanes::{Epoch, LaneId};
use substrate_prometheus_endpoint::{PrometheusError, Registry};
use tokio::{sync::watch, task::spawn_blocking};

use self::{
    chain::LaneChain,
    desk::Desk,
    look::{Found, Look},
    metrics::Metrics,
    progress::{Board, Progress},
    service::{AskError, Asked, Core, Event, Parts, Status},
    store::Store,
};
use crate::{problems::Problems, Accounts};

/// The most events that wait. Messages beyond are lost.
const MOST_WAITING: usize = 4_096;

/// The most messages of one peer that wait.
const MOST_OF_A_PEER: usize = 512;

/// The longest wait for an event.
const PAUSE: Duration = Duration::from_secs(1);

/// Lanes cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of lanes cannot be opened.
    #[error("cannot open the file of lanes: {0}")]
    Store(String),
    /// The metrics cannot be registered.
    #[error(transparent)]
    Metrics(#[from] PrometheusError),
    /// The thread cannot be started.
    #[error("cannot start the thread of lanes: {0}")]
    Thread(#[from] std::io::Error),
}

/// The lanes of a running node. Clones are of the same.
#[derive(Clone)]
pub struct Lanes {
    events: SyncSender<Event>,
    board: Arc<Board>,
    look: Arc<Look>,
    /// The network holds it weakly.
    _inbox: Arc<Post>,
}

/// Puts messages into the queue of events.
struct Post {
    events: SyncSender<Event>,
    waiting: Arc<Waiting>,
    metrics: Metrics,
}

/// The numbers of messages in the queue, by the peers that they came from. No peer takes the places
/// of others.
#[derive(Default)]
struct Waiting(Mutex<HashMap<Peer, usize>>);

impl Waiting {
    /// Whether a peer may put one more message into the queue. It counts then.
    fn enter(&self, peer: Peer) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(peer).or_default();
        let may = *count < MOST_OF_A_PEER;
        if may {
            *count = count.saturating_add(1);
        }
        may
    }

    /// A message of the peer left the queue.
    fn leave(&self, peer: &Peer) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(peer);
            }
        }
    }
}

impl Inbox for Post {
    fn opened(&self, peer: Peer) {
        self.put(Event::Opened(peer));
    }

    fn message(&self, from: Peer, message: Vec<u8>) -> bool {
        if !self.waiting.enter(from) {
            self.metrics.refuse("full");
            return false;
        }
        let taken = self.put(Event::Message(from, message));
        if !taken {
            self.waiting.leave(&from);
        }
        taken
    }
}

/// Nobody has the lanes any more: the thread ends.
impl Drop for Post {
    fn drop(&mut self) {
        self.put(Event::End);
    }
}

impl Post {
    fn put(&self, event: Event) -> bool {
        let taken = self.events.try_send(event).is_ok();
        if !taken {
            self.metrics.refuse("full");
        }
        taken
    }
}

impl Lanes {
    /// Starts the thread of lanes. `file` is where a member writes down what it must not forget.
    pub fn start(
        transport: Arc<dyn Transport>,
        chain: Arc<dyn LaneChain>,
        desk: Arc<dyn Desk>,
        accounts: Accounts,
        file: &Path,
        registry: Option<&Registry>,
    ) -> Result<Self, Error> {
        let metrics = Metrics::new(registry)?;
        let store = Arc::new(Store::open(file).map_err(Error::Store)?);
        let parts = Parts {
            transport: transport.clone(),
            chain: chain.clone(),
            desk: desk.clone(),
            store: store.clone(),
            metrics: metrics.clone(),
            board: Arc::default(),
            ready: Arc::new(Mutex::default()),
            accused: Arc::new(Mutex::default()),
            shown: Arc::new(Mutex::default()),
            watched: Arc::new(Mutex::default()),
            ahead: Arc::new(Mutex::default()),
        };
        let look = Arc::new(Look {
            chain,
            accounts,
            desk,
            store,
            transport: transport.clone(),
            ready: parts.ready.clone(),
            accused: parts.accused.clone(),
            shown: parts.shown.clone(),
            watched: parts.watched.clone(),
            ahead: parts.ahead.clone(),
            metrics: metrics.clone(),
            drawn: Mutex::default(),
            failures: Mutex::default(),
        });
        let board = parts.board.clone();
        let (events, waiting) = sync_channel(MOST_WAITING);
        let core = Core::new(parts, events.clone());
        let counts = Arc::new(Waiting::default());
        thread::Builder::new().name("agent-lanes".into()).spawn({
            let counts = counts.clone();
            move || work(core, &waiting, &counts)
        })?;
        let inbox = Arc::new(Post {
            events: events.clone(),
            waiting: counts,
            metrics,
        });
        let weak: Arc<dyn Inbox> = inbox.clone();
        transport.attach(Arc::downgrade(&weak));
        Ok(Self {
            events,
            board,
            look,
            _inbox: inbox,
        })
    }

    /// Follows the chain, until the node ends.
    pub async fn follow<Block, Client>(self, client: Arc<Client>)
    where
        Block: BlockT,
        Client: BlockchainEvents<Block>,
    {
        let problems = Problems::default();
        let mut blocks = client.import_notification_stream().fuse();
        while blocks.next().await.is_some() {
            while let Some(Some(_)) = blocks.next().now_or_never() {}
            let (look, events) = (self.look.clone(), self.events.clone());
            let looked = spawn_blocking(move || -> Result<(), String> {
                if let Some(view) = look.look()? {
                    // If this fails, the node ends.
                    let _ = events.send(Event::View(Box::new(view)));
                }
                Ok(())
            });
            let looked = looked.await.unwrap_or_else(|error| Err(error.to_string()));
            problems.note("the lanes", looked);
        }
    }

    /// Asks the committee of a lane.
    pub async fn ask(&self, ask: Ask, signature: Signature) -> Result<Hash, AskError> {
        let found = self.find(ask.lane, Some(ask.epoch)).await?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            ask,
            signature,
            found,
            reply,
        };
        self.put(Event::Ask(Box::new(asked)))?;
        answer.await.unwrap_or(Err(AskError::Busy))
    }

    /// The state of a lane at this node.
    pub async fn status(&self, lane: LaneId) -> Result<Status, AskError> {
        let found = self.find(lane, None).await?;
        let (reply, answer) = oneshot::channel();
        self.put(Event::Status(lane, found.map(Box::new), reply))?;
        answer.await.map_err(|_| AskError::Busy)
    }

    /// A lane with its committee, by default in the present epoch.
    async fn find(&self, lane: LaneId, epoch: Option<Epoch>) -> Result<Option<Found>, AskError> {
        let look = self.look.clone();
        let found = spawn_blocking(move || -> Result<Option<Found>, String> {
            let Some((best, now)) = look.chain.now()? else {
                return Ok(None);
            };
            let epoch = epoch.unwrap_or(now.epoch);
            look.find(best, &now, lane, epoch)
        });
        let found = found.await.unwrap_or_else(|error| Err(error.to_string()));
        found.map_err(AskError::Refused)
    }

    /// Follows the progress of a request.
    pub fn progress(&self, id: &Hash) -> Option<watch::Receiver<Progress>> {
        self.board.follow(id)
    }

    fn put(&self, event: Event) -> Result<(), AskError> {
        self.events.try_send(event).map_err(|_| AskError::Busy)
    }
}

/// Takes events until the end.
fn work(mut core: Core, events: &Receiver<Event>, waiting: &Waiting) {
    let began = Instant::now();
    let now = || -> Time { began.elapsed().as_micros().try_into().unwrap_or(Time::MAX) };
    loop {
        let wait = core.next_wake().map_or(PAUSE, |at| {
            Duration::from_micros(at.saturating_sub(now())).min(PAUSE)
        });
        match events.recv_timeout(wait) {
            Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(event) => {
                if let Event::Message(from, _) = &event {
                    waiting.leave(from);
                }
                core.on(now(), event);
            },
            Err(RecvTimeoutError::Timeout) => {},
        }
        core.wake(now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_takes_the_places_of_others() {
        let waiting = Waiting::default();
        for _ in 0..MOST_OF_A_PEER {
            assert!(waiting.enter([1; 32]));
        }
        assert!(!waiting.enter([1; 32]));
        assert!(waiting.enter([2; 32]));
        waiting.leave(&[1; 32]);
        assert!(waiting.enter([1; 32]));
        waiting.leave(&[2; 32]);
        assert!(!waiting.0.lock().contains_key(&[2; 32]), "it is forgotten");
    }
}
