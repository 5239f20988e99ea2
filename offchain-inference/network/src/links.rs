// SPDX-License-Identifier: Apache-2.0
//! Open substreams, and the threads that wait for one.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use sc_network::{MessageSink, PeerId};

/// Time between two requests for a substream while a thread waits for it. A substream that closes
/// in between cancels the earlier request.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Time after which a silent substream is closed, because places are few.
const IDLE: Duration = Duration::from_secs(600);

/// Open substreams by peer.
#[derive(Default)]
pub(crate) struct Links {
    links: Mutex<BTreeMap<PeerId, Link>>,
    changed: Condvar,
}

struct Link {
    sink: Option<Arc<dyn MessageSink>>,
    /// Threads that wait for the substream.
    waiting: usize,
    used: Instant,
}

impl Link {
    fn new() -> Self {
        Self {
            sink: None,
            waiting: 0,
            used: Instant::now(),
        }
    }
}

impl Links {
    /// The substream to a peer. If there is none, `ask` requests one from the network, and the
    /// calling thread waits for it until `deadline`.
    pub(crate) fn to(
        &self,
        peer: &PeerId,
        deadline: Instant,
        ask: impl Fn(),
    ) -> Option<Arc<dyn MessageSink>> {
        let mut links = self.links.lock();
        let link = links.entry(*peer).or_insert_with(Link::new);
        link.used = Instant::now();
        if let Some(sink) = &link.sink {
            return Some(sink.clone());
        }
        link.waiting += 1;
        loop {
            ask();
            let until = deadline.min(Instant::now() + ASK_AGAIN);
            self.changed.wait_until(&mut links, until);
            let link = links.get_mut(peer)?;
            if link.sink.is_some() || deadline <= Instant::now() {
                link.waiting -= 1;
                let sink = link.sink.clone();
                if sink.is_none() && link.waiting == 0 {
                    links.remove(peer);
                }
                return sink;
            }
        }
    }

    /// The substream to a peer, if one is open.
    pub(crate) fn open(&self, peer: &PeerId) -> Option<Arc<dyn MessageSink>> {
        let mut links = self.links.lock();
        let link = links.get_mut(peer)?;
        let sink = link.sink.clone()?;
        link.used = Instant::now();
        Some(sink)
    }

    /// Whether a thread waits for a substream to this peer.
    pub(crate) fn is_awaited(&self, peer: &PeerId) -> bool {
        self.links
            .lock()
            .get(peer)
            .is_some_and(|link| link.waiting > 0)
    }

    /// Records an opened substream.
    pub(crate) fn opened(&self, peer: PeerId, sink: Arc<dyn MessageSink>) {
        let mut links = self.links.lock();
        let link = links.entry(peer).or_insert_with(Link::new);
        link.sink = Some(sink);
        link.used = Instant::now();
        self.changed.notify_all();
    }

    /// Records a closed substream. Returns whether it was one of these.
    pub(crate) fn closed(&self, peer: &PeerId) -> bool {
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(peer) else {
            return false;
        };
        let was_open = link.sink.take().is_some();
        if link.waiting == 0 {
            links.remove(peer);
        }
        was_open
    }

    /// Records an incoming message. Returns whether its substream is open.
    pub(crate) fn used(&self, peer: &PeerId) -> bool {
        let mut links = self.links.lock();
        let open = links.get_mut(peer).filter(|link| link.sink.is_some());
        open.map(|link| link.used = Instant::now()).is_some()
    }

    /// Peers whose substreams have long been silent.
    pub(crate) fn idle(&self, now: Instant) -> Vec<PeerId> {
        let links = self.links.lock();
        let idle = links.iter().filter(|(_, link)| {
            link.sink.is_some() && now.saturating_duration_since(link.used) >= IDLE
        });
        idle.map(|(peer, _)| *peer).collect()
    }

    /// Number of open substreams.
    pub(crate) fn len(&self) -> usize {
        let links = self.links.lock();
        links.values().filter(|link| link.sink.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_network::error::Error;
    use std::{cell::Cell, future::Future, pin::Pin, thread};

    struct Sink;

    impl MessageSink for Sink {
        fn send_sync_notification(&self, _: Vec<u8>) {}

        fn send_async_notification<'a, 'b>(
            &'a self,
            _: Vec<u8>,
        ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'b>>
        where
            'a: 'b,
        {
            Box::pin(async { Ok(()) })
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_waiting_thread_gets_the_substream_when_it_opens() {
        let (links, peer) = (Links::default(), PeerId::random());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| links.to(&peer, soon(), || {}).is_some());
            while !links.is_awaited(&peer) {
                thread::yield_now();
            }
            links.opened(PeerId::random(), Arc::new(Sink));
            links.opened(peer, Arc::new(Sink));
            assert!(waiting.join().unwrap());
        });
        assert_eq!(links.len(), 2);
        let nobody_asks = || panic!("it is open");
        assert!(links.to(&peer, soon(), nobody_asks).is_some());
        links.closed(&peer);
        assert_eq!(links.len(), 1);
    }

    #[test]
    fn a_thread_that_waited_in_vain_leaves_nothing_behind() {
        let (links, peer) = (Links::default(), PeerId::random());
        let asked = Cell::new(0);
        let ask = || asked.set(asked.get() + 1);
        assert!(links.to(&peer, Instant::now(), ask).is_none());
        assert_eq!(asked.get(), 1);
        assert!(links.links.lock().is_empty());
    }

    #[test]
    fn only_silent_substreams_are_idle() {
        let (links, peer) = (Links::default(), PeerId::random());
        links.opened(peer, Arc::new(Sink));
        let now = Instant::now();
        assert_eq!(links.idle(now), []);
        assert_eq!(links.idle(now + IDLE), [peer]);
        links.closed(&peer);
        assert_eq!(links.idle(now + IDLE), []);
    }
}
