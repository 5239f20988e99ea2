// SPDX-License-Identifier: Apache-2.0
//! Outgoing messages of a server.
//!
//! A message that the transport takes at once is sent from the compute thread. Any other message
//! waits in a thread of its session. So a slow peer delays neither a span nor other sessions.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{sync_channel, SyncSender},
        Arc,
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::queue::{Held, Key, Queue, Room};
use crate::{
    accounts::Accounts,
    config::ServiceConfig,
    message::{self, Done, Message, Next, Push, Refusal},
    metrics::Metrics,
    seal::VectorKey,
    transport::{Peer, Transport, TransportError},
    ServiceError, LOG_TARGET,
};

/// Maximum number of waiting messages of a session in one direction.
const WAITING: usize = 64;

/// Time without pushes to a server that did not take the last one.
const PUSH_AGAIN: Duration = Duration::from_secs(30);

/// The sending side of this node.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub transport: Arc<dyn Transport>,
    pub config: Arc<RwLock<ServiceConfig>>,
    pub metrics: Metrics,
    pub accounts: Arc<Accounts>,
}

/// A session's senders: to its client, and to the servers after this one.
#[derive(Default)]
pub(crate) struct Lanes {
    answers: Lane,
    pushes: Lane,
}

impl Outgoing {
    /// Sends an answer, now or later. If an answer cannot be delivered, its session ends.
    pub fn answer(&self, lanes: &mut Lanes, queue: &Arc<Queue>, key: &Key, done: Done) {
        if let Err(refusal) = &done.result {
            self.refused(&key.0, refusal);
        }
        let payload = message::encode(&Message::Done(done));
        let bytes = payload.len();
        let slowly = || {
            let (out, queue, key) = (self.clone(), queue.clone(), key.clone());
            move |peer: Peer, payload| match out.send(&peer, payload) {
                Ok(()) => true,
                Err(error) => {
                    log::debug!(target: LOG_TARGET, "an answer is lost: {error}");
                    queue.end(&key);
                    false
                },
            }
        };
        match lanes.answers.send(self, &key.0, payload, slowly) {
            Taken::Now => self.metrics.count_bytes("sent", "server", bytes),
            Taken::Later => {},
            Taken::Not => {
                queue.end(key);
            },
        }
    }

    /// Tells a peer that its message is refused, if that needs no waiting. Otherwise the peer finds
    /// out later.
    pub fn refuse(&self, (peer, session): &Key, sequence: u64, refusal: Refusal) {
        self.refused(peer, &refusal);
        let payload = message::encode(&Message::Done(Done {
            session: *session,
            sequence,
            result: Err(refusal),
        }));
        let bytes = payload.len();
        if self.transport.try_send(peer, payload).is_ok() {
            self.metrics.count_bytes("sent", "server", bytes);
        }
    }

    /// Logs and counts a refusal.
    pub fn refused(&self, peer: &Peer, refusal: &Refusal) {
        self.metrics.refuse(refusal);
        log::debug!(target: LOG_TARGET, "{peer} was refused: {refusal}");
    }

    /// Sends an output to the next server, sealed with its `key`, now or later, unless that server
    /// did not take the last one. The client brings rows that are not passed on.
    pub fn pass_on(&self, lanes: &mut Lanes, next: Next, key: &VectorKey, rows: Vec<u8>) {
        let Next {
            peer,
            session,
            sequence,
        } = next;
        let payload = message::encode(&Message::Push(Push {
            session,
            sequence,
            data: key.seal_push(session, sequence, rows),
        }));
        let bytes = payload.len();
        let slowly = || {
            let (out, mut silent) = (self.clone(), None);
            move |peer, payload| {
                out.push(&mut silent, peer, payload);
                true
            }
        };
        match lanes.pushes.send(self, &peer, payload, slowly) {
            Taken::Now => {
                self.metrics.push("sent");
                self.metrics.count_bytes("sent", "server", bytes);
            },
            Taken::Later => {},
            Taken::Not => self.metrics.push("failed"),
        }
    }

    fn push(&self, silent: &mut Option<(Peer, Instant)>, peer: Peer, payload: Vec<u8>) {
        let is_silent = silent
            .as_ref()
            .is_some_and(|(who, since)| *who == peer && since.elapsed() < PUSH_AGAIN);
        if is_silent {
            return self.metrics.push("failed");
        }
        match self.send(&peer, payload) {
            Ok(()) => self.metrics.push("sent"),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "cannot pass rows on to {peer}: {error}");
                self.metrics.push("failed");
                *silent = Some((peer, Instant::now()));
            },
        }
    }

    /// Sends a message, and waits for the peer up to the limit.
    fn send(&self, peer: &Peer, payload: Vec<u8>) -> Result<(), TransportError> {
        let (bytes, timeout) = (payload.len(), self.config.read().send_timeout);
        self.transport.send(peer, payload, timeout)?;
        self.metrics.count_bytes("sent", "server", bytes);
        Ok(())
    }
}

/// Fate of a message.
enum Taken {
    Now,
    Later,
    Not,
}

/// A lane of messages that arrive in order. It has a thread once a message had to wait.
#[derive(Default)]
struct Lane(Option<Slow>);

struct Slow {
    queue: SyncSender<(Peer, Vec<u8>, Held)>,
    /// Bytes of waiting messages.
    waiting: Arc<AtomicUsize>,
}

impl Lane {
    /// Hands a message to the transport, or to the lane's thread. The thread sends one message
    /// after the other with the function that `slowly` makes, until that function says to stop.
    fn send<S>(
        &mut self,
        out: &Outgoing,
        to: &Peer,
        mut payload: Vec<u8>,
        slowly: impl FnOnce() -> S,
    ) -> Taken
    where
        S: FnMut(Peer, Vec<u8>) -> bool + Send + 'static,
    {
        // Only the caller adds to the waiting messages, so none of them can be overtaken.
        let waits = |slow: &Slow| slow.waiting.load(Ordering::Acquire) > 0;
        if !self.0.as_ref().is_some_and(waits) {
            match out.transport.try_send(to, payload) {
                Ok(()) => return Taken::Now,
                Err(back) => payload = back,
            }
        }
        let slow = match self.0.take().map_or_else(|| Slow::start(slowly()), Ok) {
            Ok(slow) => self.0.insert(slow),
            Err(error) => {
                log::warn!(target: LOG_TARGET, "{error}");
                return Taken::Not;
            },
        };
        let (bytes, room) = (payload.len(), Room::of(&out.config.read()));
        let held = Held::new(&out.metrics.waiting_bytes, bytes);
        let before = slow.waiting.fetch_add(bytes, Ordering::AcqRel);
        let fits = before.saturating_add(bytes) <= room.of_one && held.all() <= room.of_all;
        if fits && slow.queue.try_send((to.clone(), payload, held)).is_ok() {
            return Taken::Later;
        }
        slow.waiting.fetch_sub(bytes, Ordering::AcqRel);
        Taken::Not
    }
}

impl Slow {
    fn start(
        mut send: impl FnMut(Peer, Vec<u8>) -> bool + Send + 'static,
    ) -> Result<Self, ServiceError> {
        let (queue, queued) = sync_channel::<(Peer, Vec<u8>, Held)>(WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        crate::spawn("shards-waits", move || {
            for (peer, payload, held) in queued {
                let bytes = payload.len();
                let goes_on = send(peer, payload);
                drop(held);
                left.fetch_sub(bytes, Ordering::AcqRel);
                if !goes_on {
                    return;
                }
            }
        })?;
        Ok(Self { queue, waiting })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, Sender};

    use parking_lot::Mutex;

    use super::*;
    use crate::transport::{Inbox, ModelId};

    /// A transport that takes nothing, and reports the peer that it waited for.
    struct Stuck(Mutex<Sender<Peer>>);

    impl Transport for Stuck {
        fn local(&self) -> Peer {
            Peer::new(*b"here")
        }

        fn attach(&self, _: std::sync::Weak<dyn Inbox>) {}

        fn provide(&self, _: &[ModelId]) {}

        fn providers(&self, _: &ModelId) -> Vec<Peer> {
            vec![]
        }

        fn request(&self, to: &Peer, _: Vec<u8>, _: Duration) -> Result<Vec<u8>, TransportError> {
            Err(TransportError::Timeout(to.clone()))
        }

        fn send(&self, to: &Peer, _: Vec<u8>, _: Duration) -> Result<(), TransportError> {
            self.0.lock().send(to.clone()).unwrap();
            Err(TransportError::Timeout(to.clone()))
        }

        fn try_send(&self, _: &Peer, payload: Vec<u8>) -> Result<(), Vec<u8>> {
            Err(payload)
        }

        fn max_message(&self) -> usize {
            usize::MAX
        }
    }

    #[test]
    fn a_server_that_took_nothing_is_not_waited_for_again() {
        let (sender, waited) = channel();
        let out = Outgoing {
            transport: Arc::new(Stuck(Mutex::new(sender))),
            config: Arc::default(),
            metrics: Metrics::new(None).unwrap(),
            accounts: Arc::default(),
        };
        let mut lanes = Lanes::default();
        for (sequence, peer) in [b"one", b"one", b"one", b"two", b"two"].iter().enumerate() {
            let next = Next {
                peer: Peer::new(*peer),
                session: 7,
                sequence: sequence as u64,
            };
            out.pass_on(
                &mut lanes,
                next,
                &VectorKey::random().unwrap(),
                vec![1, 2, 3],
            );
        }
        // Ends the thread once it is done, and closes its channel.
        let failed = out.metrics.pushes.with_label_values(&["failed"]);
        drop((lanes, out));
        let waited: Vec<_> = waited.iter().collect();
        assert_eq!(waited, [Peer::new(*b"one"), Peer::new(*b"two")]);
        assert_eq!(failed.get(), 5.0);
    }
}
