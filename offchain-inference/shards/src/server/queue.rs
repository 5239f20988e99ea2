// SPDX-License-Identifier: Apache-2.0
//! Sessions of one span, and their waiting messages.
//!
//! The transport's tasks add work and never block. The span's thread takes it in batches, one
//! message a session, in turns.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use prometheus::Gauge;

use crate::{
    auth::Account,
    config::ServiceConfig,
    message::{Push, Refusal, SessionId, Work},
    seal::{Chain, Keys},
    transport::Peer,
    wire::WireFormat,
};

/// Maximum number of waiting messages of a session, and of rows that arrive before their messages.
const WAITING: usize = 64;

/// Maximum number of edits of waiting messages that are joined.
const JOINED_EDITS: usize = 1_024;

/// Limits on waiting bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Of one agent.
    pub of_one: usize,
    /// Of all agents, in all queues and outgoing lanes.
    pub of_all: usize,
}

impl Room {
    /// The limits of a configuration.
    pub fn of(config: &ServiceConfig) -> Self {
        Self {
            of_one: config.max_waiting_bytes,
            of_all: config.max_all_waiting_bytes,
        }
    }
}

/// A number of held bytes, which a gauge counts for as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: usize,
    gauge: Gauge,
}

impl Held {
    /// Counts `bytes` more.
    pub fn new(gauge: &Gauge, bytes: usize) -> Self {
        gauge.add(bytes as f64);
        Self {
            bytes,
            gauge: gauge.clone(),
        }
    }

    fn set(&mut self, bytes: usize) {
        self.gauge.add(bytes as f64 - self.bytes as f64);
        self.bytes = bytes;
    }

    fn add(&mut self, bytes: usize) {
        self.set(self.bytes.saturating_add(bytes));
    }

    fn sub(&mut self, bytes: usize) {
        self.set(self.bytes.saturating_sub(bytes));
    }

    /// All bytes that the gauge counts.
    pub fn all(&self) -> usize {
        self.gauge.get() as usize
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Key of a session: its number is unique on this server, but only its peer may use it.
pub(crate) type Key = (Peer, SessionId);

/// Terms agreed when a session was opened.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub account: Account,
    pub layers: Range<usize>,
    pub wire: WireFormat,
    /// Opens the client's messages.
    pub up: Arc<Mutex<Chain>>,
    /// Seals the answers.
    pub down: Arc<Mutex<Chain>>,
}

/// A waiting message.
#[derive(Debug)]
pub(crate) struct Job {
    pub work: Work,
    pub rows: usize,
    /// Size of the rows, in bytes; of pushed ones with their seal.
    pub bytes: usize,
    /// The keys that came with the message.
    pub keys: Keys,
    /// Time at which the rows arrived.
    pub arrived: Instant,
}

impl Job {
    /// Whether all rows have arrived.
    fn is_complete(&self) -> bool {
        self.work.data.len() == self.bytes
    }

    /// Opens the rows that another server passed on. Only a message that was skipped has none.
    pub fn open_pushed(&mut self) -> Result<(), Refusal> {
        let Some(key) = self.keys.pushed.take().filter(|_| self.rows > 0) else {
            return Ok(());
        };
        let Work {
            session,
            sequence,
            data,
            ..
        } = &mut self.work;
        let opened = key.open_push(*session, *sequence, std::mem::take(data));
        *data = opened.ok_or(Refusal::BadPush)?;
        Ok(())
    }

    /// Whether `next` can be joined to this message: both change branches, and compute nothing.
    fn takes(&self, next: &Self) -> bool {
        let computes = |job: &Self| job.rows > 0 || !job.work.parts.is_empty();
        let edits = self.work.edits.len().saturating_add(next.work.edits.len());
        !computes(self) && !computes(next) && edits <= JOINED_EDITS
    }
}

/// A message to compute now.
#[derive(Debug)]
pub(crate) struct Task {
    pub key: Key,
    pub terms: Terms,
    pub job: Job,
}

struct Slot {
    terms: Terms,
    /// Number of the next message.
    next: u64,
    waiting: VecDeque<Job>,
    /// Memory of waiting messages and of early rows.
    held: Held,
    last_used: Instant,
    /// Time at which rows were last computed, or else of opening.
    useful: Instant,
    /// The peer that may push rows.
    upstream: Option<Peer>,
    /// Rows that arrived before their messages.
    early: BTreeMap<u64, Vec<u8>>,
}

#[derive(Default)]
struct State {
    slots: HashMap<Key, Slot>,
    /// Sessions with waiting messages, in the order of their turns.
    ready: VecDeque<Key>,
    /// Ended sessions whose caches must still be dropped.
    ended: Vec<Key>,
    stop: bool,
}

/// Work for the span's thread.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Sessions whose caches must be dropped before anything is computed.
    pub ended: Vec<Key>,
    /// Number of them that ended for want of messages.
    pub expired: usize,
    /// Messages of different sessions, all for the same layers.
    pub tasks: Vec<Task>,
}

/// The sessions of one span, and their waiting messages.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    open: Gauge,
    held: Gauge,
}

impl Queue {
    /// Creates a queue. `open` counts the sessions of all queues, `held` their waiting bytes.
    pub fn new(open: Gauge, held: Gauge) -> Self {
        Self {
            held,
            state: Mutex::default(),
            wake: Condvar::new(),
            open,
        }
    }

    /// Adds a session.
    pub fn open(&self, key: Key, terms: Terms) {
        let slot = Slot {
            terms,
            next: 0,
            waiting: VecDeque::new(),
            held: Held::new(&self.held, 0),
            last_used: Instant::now(),
            useful: Instant::now(),
            upstream: None,
            early: BTreeMap::new(),
        };
        let mut state = self.state.lock();
        if !state.stop && state.slots.insert(key, slot).is_none() {
            self.open.inc();
        }
        drop(state);
        // The time until the next expiry may be shorter now.
        self.wake.notify_one();
    }

    /// Terms of a session.
    pub fn terms(&self, key: &Key) -> Option<Terms> {
        let state = self.state.lock();
        state.slots.get(key).map(|slot| slot.terms.clone())
    }

    /// Whether `peer` has a session, or is the upstream of one.
    pub fn has(&self, peer: &Peer) -> bool {
        let state = self.state.lock();
        let mut slots = state.slots.iter();
        slots.any(|(key, slot)| key.0 == *peer || slot.upstream.as_ref() == Some(peer))
    }

    /// Number of sessions, of one agent or of all.
    pub fn sessions(&self, account: Option<&Account>) -> usize {
        let state = self.state.lock();
        let slots = state.slots.values();
        slots
            .filter(|slot| account.is_none_or(|account| slot.terms.account == *account))
            .count()
    }

    /// Adds a message behind the others of its session.
    pub fn push(&self, key: &Key, mut job: Job, room: Room) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let fits = state.fits(key, job.work.held(), room);
        let slot = state.slots.get_mut(key).ok_or(Refusal::UnknownSession)?;
        if job.work.sequence != slot.next {
            return Err(Refusal::OutOfOrder);
        }
        if !fits {
            return Err(Refusal::Busy);
        }
        slot.last_used = Instant::now();
        // Clients drop branches one by one, and faster than a slow pass ends.
        if let Some(last) = slot.waiting.back_mut().filter(|last| last.takes(&job)) {
            slot.held.add(size_of_val(job.work.edits.as_slice()));
            last.work.edits.append(&mut job.work.edits);
            if let Some(data) = slot.early.remove(&slot.next) {
                slot.held.sub(data.len());
            }
            slot.next = slot.next.saturating_add(1);
            return Ok(());
        }
        if slot.waiting.len() >= WAITING {
            return Err(Refusal::Busy);
        }
        slot.held.add(job.work.held());
        if let Some(data) = slot.early.remove(&slot.next) {
            if job.work.pushed && data.len() == job.bytes {
                job.work.data = data;
            } else {
                slot.held.sub(data.len());
            }
        }
        slot.next = slot.next.saturating_add(1);
        slot.waiting.push_back(job);
        state.make_ready(key);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Lets `peer` push rows into a session. Returns whether the session exists.
    pub fn set_upstream(&self, key: &Key, peer: Peer) -> bool {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(key) else {
            return false;
        };
        if slot.upstream.as_ref() != Some(&peer) {
            // Rows that another peer sent too early are dropped.
            let freed: usize = slot.early.values().map(Vec::len).sum();
            slot.held.sub(freed);
            slot.early.clear();
            slot.upstream = Some(peer);
        }
        true
    }

    /// Takes in rows from a session's upstream. Refused rows are dropped, and the session goes on.
    pub fn pushed(&self, from: &Peer, push: Push, room: Room) -> Result<(), (Refusal, Push)> {
        let mut state = self.state.lock();
        let found = state
            .slots
            .iter()
            .find(|(key, slot)| key.1 == push.session && slot.upstream.as_ref() == Some(from));
        let Some(key) = found.map(|(key, _)| key.clone()) else {
            return Err((Refusal::UnknownSession, push));
        };
        let bytes = push.data.len();
        if !state.fits(&key, bytes, room) {
            return Err((Refusal::Busy, push));
        }
        let Some(slot) = state.slots.get_mut(&key) else {
            return Err((Refusal::UnknownSession, push));
        };
        if push.sequence >= slot.next {
            let ahead = push.sequence - slot.next;
            if ahead >= WAITING as u64 || slot.early.contains_key(&push.sequence) {
                return Err((Refusal::OutOfOrder, push));
            }
            slot.early.insert(push.sequence, push.data);
        } else {
            let mut waiting = slot.waiting.iter_mut();
            let awaited =
                waiting.find(|job| job.work.sequence == push.sequence && !job.is_complete());
            let Some(job) = awaited else {
                return Err((Refusal::OutOfOrder, push));
            };
            if push.data.len() != job.bytes {
                return Err((Refusal::BadPush, push));
            }
            job.work.data = push.data;
            job.arrived = Instant::now();
        }
        slot.held.add(bytes);
        state.make_ready(&key);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Stops waiting for pushed rows of messages before this one. Returns whether the session
    /// exists.
    pub fn skip(&self, key: &Key, before: u64) -> bool {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(key) else {
            return false;
        };
        let mut freed = 0;
        for job in &mut slot.waiting {
            if job.work.pushed && job.work.sequence < before {
                freed += std::mem::take(&mut job.work.data).len();
                job.work.parts.iter_mut().for_each(|part| part.rows = 0);
                (job.rows, job.bytes) = (0, 0);
            }
        }
        let later = slot.early.split_off(&before);
        freed += slot.early.values().map(Vec::len).sum::<usize>();
        slot.early = later;
        slot.held.sub(freed);
        slot.last_used = Instant::now();
        state.make_ready(key);
        drop(state);
        self.wake.notify_one();
        true
    }

    /// Ends a session. Returns whether it existed.
    pub fn end(&self, key: &Key) -> bool {
        let ended = self.remove(&mut self.state.lock(), key);
        self.wake.notify_one();
        ended
    }

    /// Ends all sessions of a peer.
    pub fn end_peer(&self, peer: &Peer) {
        let mut state = self.state.lock();
        let keys: Vec<_> = state
            .slots
            .keys()
            .filter(|key| key.0 == *peer)
            .cloned()
            .collect();
        for key in &keys {
            self.remove(&mut state, key);
        }
        drop(state);
        self.wake.notify_one();
    }

    fn remove(&self, state: &mut State, key: &Key) -> bool {
        if state.slots.remove(key).is_none() {
            return false;
        }
        self.open.dec();
        state.ready.retain(|ready| ready != key);
        state.ended.push(key.clone());
        true
    }

    /// Ends all sessions; [`next`](Self::next) returns `None` from now on.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        self.open.sub(state.slots.len() as f64);
        state.slots.clear();
        state.ready.clear();
        drop(state);
        self.wake.notify_all();
    }

    /// Waits for messages of up to `max_rows` rows together (but at least one message), or for
    /// sessions that ended, had no message for `idle`, or awaited pushed rows for that time.
    pub fn next(&self, max_rows: usize, idle: Duration) -> Option<Turn> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return None;
            }
            let now = Instant::now();
            let idle_since = |slot: &Slot| now.saturating_duration_since(slot.silent_since());
            let expired: Vec<_> = state
                .slots
                .iter()
                .filter(|(_, slot)| !slot.is_ready() && idle_since(slot) >= idle)
                .map(|(key, _)| key.clone())
                .collect();
            for key in &expired {
                self.remove(&mut state, key);
            }
            if !state.ready.is_empty() || !state.ended.is_empty() {
                return Some(Turn {
                    expired: expired.len(),
                    ended: std::mem::take(&mut state.ended),
                    tasks: state.take(max_rows),
                });
            }
            match state.slots.values().map(idle_since).max() {
                Some(longest) => {
                    self.wake.wait_for(&mut state, idle.saturating_sub(longest));
                },
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Records that messages of these sessions, with rows or without, were computed just now.
    pub fn used(&self, keys: &[(Key, bool)]) {
        let mut state = self.state.lock();
        let now = Instant::now();
        for (key, rows) in keys {
            if let Some(slot) = state.slots.get_mut(key) {
                slot.last_used = now;
                if *rows {
                    slot.useful = now;
                }
            }
        }
    }

    /// All sessions, with their accounts and the times when they were last useful.
    pub fn usefulness(&self) -> Vec<(Key, Account, Instant)> {
        let state = self.state.lock();
        let slots = state.slots.iter();
        slots
            .map(|(key, slot)| (key.clone(), slot.terms.account, slot.useful))
            .collect()
    }
}

impl Slot {
    /// Whether the first message can be computed.
    fn is_ready(&self) -> bool {
        self.waiting.front().is_some_and(Job::is_complete)
    }

    /// Time since which nothing useful has happened. Neither other messages nor pushes renew the
    /// time that the first message awaits its rows.
    fn silent_since(&self) -> Instant {
        let awaiting = self.waiting.front().filter(|job| !job.is_complete());
        awaiting.map_or(self.last_used, |job| job.arrived.min(self.last_used))
    }
}

impl State {
    /// Whether a session's agent may hold `more` bytes.
    fn fits(&self, key: &Key, more: usize, room: Room) -> bool {
        let Some(slot) = self.slots.get(key) else {
            return true;
        };
        let account = slot.terms.account;
        let own = self.slots.values();
        let own: usize = own
            .filter(|slot| slot.terms.account == account)
            .map(|slot| slot.held.bytes)
            .fold(more, usize::saturating_add);
        own <= room.of_one && slot.held.all().saturating_add(more) <= room.of_all
    }

    /// Gives a session a turn, if it needs one and has none.
    fn make_ready(&mut self, key: &Key) {
        if self.slots.get(key).is_some_and(Slot::is_ready) && !self.ready.contains(key) {
            self.ready.push_back(key.clone());
        }
    }

    /// Takes the first message of the next sessions, as long as they fit together.
    fn take(&mut self, max_rows: usize) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut passed = VecDeque::new();
        let mut rows = 0usize;
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            let Some(job) = slot.waiting.front() else {
                continue;
            };
            let fits = match tasks.first() {
                Some(first) => {
                    first.terms.layers == slot.terms.layers
                        && rows.saturating_add(job.rows) <= max_rows
                },
                None => true,
            };
            if !fits {
                passed.push_back(key);
                continue;
            }
            if let Some(job) = slot.waiting.pop_front() {
                rows = rows.saturating_add(job.rows);
                slot.held.sub(job.work.held());
                if slot.is_ready() {
                    self.ready.push_back(key.clone());
                }
                tasks.push(Task {
                    key,
                    terms: slot.terms.clone(),
                    job,
                });
            }
        }
        // Sessions that were passed over come first next time.
        passed.append(&mut self.ready);
        self.ready = passed;
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Edit, Part, Span},
        seal::{Binding, Chains, Secret},
    };

    /// A chain that nothing is sealed with here.
    fn chain() -> Arc<Mutex<Chain>> {
        let [own, announced, fresh] = [0; 3].map(|_| Secret::generate().unwrap());
        let binding = Binding {
            network: [0; 32],
            client: Peer::new(*b"client"),
            client_account: [0; 32],
            server: Peer::new(*b"server"),
            server_account: [0; 32],
            model: [0; 32],
            layers: Span { start: 0, end: 4 },
            wire: WireFormat::F32,
            session: 0,
            nonce: [0; 16],
        };
        let chains = Chains::of_client(&own, &announced.public(), &fresh.public(), &binding);
        Arc::new(Mutex::new(chains.unwrap().up))
    }

    fn key(n: u8) -> Key {
        (Peer::new([n]), n.into())
    }

    fn queue(sessions: u8) -> Queue {
        let queue = Queue::new(
            Gauge::new("open", "open").unwrap(),
            Gauge::new("held", "held").unwrap(),
        );
        for n in 0..sessions {
            let terms = Terms {
                account: [n % 2; 32],
                layers: 0..4,
                wire: WireFormat::F32,
                up: chain(),
                down: chain(),
            };
            queue.open(key(n), terms);
        }
        queue
    }

    fn job(sequence: u64, rows: usize) -> Job {
        let work = Work {
            session: 0,
            sequence,
            edits: vec![],
            parts: vec![],
            data: vec![0; rows],
            pushed: false,
            next: None,
        };
        Job {
            work,
            rows,
            bytes: rows,
            keys: Keys {
                pushed: None,
                next: None,
            },
            arrived: Instant::now(),
        }
    }

    const FIXED: usize = size_of::<Work>();

    const PLENTY: Room = room(1 << 20);

    /// Room for one message of so many rows.
    const fn room(rows: usize) -> Room {
        Room {
            of_one: FIXED + rows,
            of_all: 1 << 20,
        }
    }

    const IDLE: Duration = Duration::from_secs(3600);

    fn turn(queue: &Queue) -> Vec<(u8, u64)> {
        let turn = queue.next(8, IDLE).unwrap();
        let tasks = turn.tasks.iter();
        tasks
            .map(|task| (task.key.1 as u8, task.job.work.sequence))
            .collect()
    }

    #[test]
    fn sessions_take_turns_and_go_together() {
        let queue = queue(3);
        for (n, sequence, rows) in [(0, 0, 2), (0, 1, 2), (1, 0, 8), (2, 0, 6), (0, 2, 1)] {
            queue.push(&key(n), job(sequence, rows), PLENTY).unwrap();
        }
        assert_eq!(turn(&queue), [(0, 0), (2, 0)], "as many as fit, one each");
        assert_eq!(turn(&queue), [(1, 0)], "the passed-over one comes first");
        assert_eq!(turn(&queue), [(0, 1)]);
        assert_eq!(turn(&queue), [(0, 2)]);
    }

    #[test]
    fn a_message_longer_than_a_pass_is_taken_alone() {
        let queue = queue(2);
        queue.push(&key(0), job(0, 20), PLENTY).unwrap();
        queue.push(&key(1), job(0, 1), PLENTY).unwrap();
        assert_eq!(turn(&queue), [(0, 0)]);
        assert_eq!(turn(&queue), [(1, 0)]);
    }

    #[test]
    fn messages_out_of_order_too_many_or_of_nobody_are_refused() {
        let queue = queue(1);
        assert_eq!(
            queue.push(&key(0), job(1, 1), room(9)),
            Err(Refusal::OutOfOrder)
        );
        assert_eq!(queue.push(&key(0), job(0, 5), room(9)), Ok(()));
        assert_eq!(
            queue.push(&key(0), job(0, 1), room(9)),
            Err(Refusal::OutOfOrder)
        );
        assert_eq!(queue.push(&key(0), job(1, 5), room(9)), Err(Refusal::Busy));
        let stranger = (Peer::new([9]), 0);
        assert_eq!(
            queue.push(&stranger, job(0, 1), room(9)),
            Err(Refusal::UnknownSession)
        );
        assert_eq!(turn(&queue).len(), 1);
        assert_eq!(
            queue.push(&key(0), job(1, 9), room(9)),
            Ok(()),
            "there is room again"
        );
    }

    #[test]
    fn an_ended_session_is_told_once_and_its_messages_are_gone() {
        let queue = queue(4);
        assert_eq!(
            (queue.sessions(None), queue.sessions(Some(&[1; 32]))),
            (4, 2)
        );
        queue.push(&key(0), job(0, 1), room(9)).unwrap();
        queue.push(&key(1), job(0, 1), room(9)).unwrap();
        assert!(queue.end(&key(0)));
        assert!(!queue.end(&key(0)));
        queue.end_peer(&Peer::new([3]));
        let turn = queue.next(8, IDLE).unwrap();
        assert_eq!(turn.ended, [key(0), key(3)]);
        assert_eq!(turn.tasks.len(), 1);
        assert_eq!(queue.open.get(), 2.0);
        queue.stop();
        assert!(queue.next(8, IDLE).is_none());
        assert_eq!(queue.open.get(), 0.0);
    }

    #[test]
    fn an_idle_session_ends_and_one_with_a_waiting_message_does_not() {
        let queue = queue(2);
        queue.push(&key(0), job(0, 1), room(9)).unwrap();
        let turn = queue.next(8, Duration::ZERO).unwrap();
        assert_eq!(
            (turn.expired, turn.ended, turn.tasks.len()),
            (1, vec![key(1)], 1)
        );
    }

    /// A message whose rows, `bytes` in total, come from its session's upstream.
    fn awaiting(sequence: u64, bytes: usize) -> Job {
        let mut job = job(sequence, 0);
        job.work.pushed = true;
        (job.rows, job.bytes) = (bytes, bytes);
        job
    }

    fn push(session: u8, sequence: u64, bytes: usize) -> Push {
        Push {
            session: session.into(),
            sequence,
            data: vec![7; bytes],
        }
    }

    #[test]
    fn pushed_rows_and_their_messages_meet_in_whatever_order_they_come() {
        let queue = queue(2);
        let upstream = Peer::new([9]);
        assert!(queue.set_upstream(&key(0), upstream.clone()) && queue.has(&upstream));
        let pushed = |push| {
            queue
                .pushed(&upstream, push, PLENTY)
                .map_err(|(why, _)| why)
        };
        queue.push(&key(0), awaiting(0, 2), PLENTY).unwrap();
        queue.push(&key(0), job(1, 3), PLENTY).unwrap();
        queue.push(&key(1), job(0, 1), PLENTY).unwrap();
        assert_eq!(turn(&queue), [(1, 0)], "the other session does not wait");
        pushed(push(0, 2, 4)).unwrap();
        queue.push(&key(0), awaiting(2, 4), PLENTY).unwrap();
        pushed(push(0, 0, 2)).unwrap();
        assert_eq!(turn(&queue), [(0, 0)]);
        assert_eq!(turn(&queue), [(0, 1)]);
        let last = queue.next(8, IDLE).unwrap().tasks.remove(0);
        assert_eq!(last.job.work.data, [7; 4]);
        assert_eq!(queue.state.lock().slots[&key(0)].held.bytes, 0);
    }

    #[test]
    fn only_the_upstream_pushes_and_only_what_is_awaited() {
        let queue = queue(2);
        let upstream = Peer::new([9]);
        queue.set_upstream(&key(0), upstream.clone());
        queue.push(&key(0), awaiting(0, 2), room(20)).unwrap();
        let refused = |from: &Peer, push| queue.pushed(from, push, room(20)).unwrap_err().0;
        let unknown = Refusal::UnknownSession;
        assert_eq!(refused(&Peer::new([8]), push(0, 0, 2)), unknown);
        assert_eq!(refused(&key(0).0, push(0, 0, 2)), unknown);
        assert_eq!(refused(&upstream, push(1, 0, 2)), unknown);
        assert_eq!(refused(&upstream, push(0, 0, 3)), Refusal::BadPush);
        assert_eq!(refused(&upstream, push(0, 0, 21)), Refusal::Busy);
        let far = WAITING as u64 + 1;
        assert_eq!(refused(&upstream, push(0, far, 2)), Refusal::OutOfOrder);
        queue.pushed(&upstream, push(0, 0, 2), room(20)).unwrap();
        assert_eq!(refused(&upstream, push(0, 0, 2)), Refusal::OutOfOrder);
        queue.pushed(&upstream, push(0, 1, 2), room(20)).unwrap();
        assert_eq!(refused(&upstream, push(0, 1, 2)), Refusal::OutOfOrder);
        // A new upstream inherits nothing from the previous one.
        queue.set_upstream(&key(0), Peer::new([8]));
        assert_eq!(refused(&upstream, push(0, 1, 2)), unknown);
        assert_eq!(queue.state.lock().slots[&key(0)].held.bytes, FIXED + 2);
    }

    #[test]
    fn messages_that_await_rows_are_few_and_end_with_an_idle_session() {
        let queue = queue(1);
        for sequence in 0..WAITING as u64 {
            queue.push(&key(0), awaiting(sequence, 2), PLENTY).unwrap();
        }
        let next = WAITING as u64;
        assert_eq!(
            queue.push(&key(0), awaiting(next, 2), PLENTY),
            Err(Refusal::Busy)
        );
        let turn = queue.next(8, Duration::ZERO).unwrap();
        assert_eq!((turn.expired, turn.ended), (1, vec![key(0)]));
    }

    #[test]
    fn a_skipped_message_is_not_awaited_and_computes_nothing() {
        let queue = queue(1);
        let upstream = Peer::new([9]);
        queue.set_upstream(&key(0), upstream.clone());
        for sequence in 0..3 {
            queue.push(&key(0), awaiting(sequence, 2), PLENTY).unwrap();
        }
        queue.pushed(&upstream, push(0, 1, 2), PLENTY).unwrap();
        queue.pushed(&upstream, push(0, 4, 2), PLENTY).unwrap();
        assert!(queue.skip(&key(0), 2));
        for sequence in 0..2 {
            let task = queue.next(8, IDLE).unwrap().tasks.remove(0);
            assert_eq!(task.job.work.sequence, sequence);
            assert_eq!((task.job.rows, task.job.work.data.len()), (0, 0));
        }
        assert!(queue.state.lock().ready.is_empty(), "the third is awaited");
        queue.skip(&key(0), 9);
        assert_eq!(turn(&queue), [(0, 2)]);
        assert_eq!(queue.state.lock().slots[&key(0)].held.bytes, 0);
        assert!(!queue.skip(&(Peer::new([5]), 0), 9));
    }

    #[test]
    fn every_kind_of_waiting_memory_counts_for_the_agent_and_for_all() {
        let queue = queue(4);
        // Sessions 0 and 2 are of one agent.
        let mut edits = job(0, 0);
        edits.work.edits = vec![Edit::Drop(1); 100];
        edits.work.parts = vec![
            Part {
                branch: 0,
                position: 0,
                rows: 0
            };
            100
        ];
        let size = edits.work.held();
        assert!(size >= FIXED + 100 * (size_of::<Edit>() + size_of::<Part>()));
        let of_one = Room {
            of_one: size + FIXED + 5,
            of_all: 1 << 20,
        };
        queue.push(&key(0), edits, of_one).unwrap();
        assert_eq!(queue.push(&key(2), job(0, 6), of_one), Err(Refusal::Busy));
        assert_eq!(queue.push(&key(2), job(0, 5), of_one), Ok(()));
        let of_all = Room {
            of_one: 1 << 20,
            of_all: size + 2 * FIXED + 5,
        };
        assert_eq!(queue.held.get() as usize, size + FIXED + 5);
        assert_eq!(queue.push(&key(1), job(0, 1), of_all), Err(Refusal::Busy));
        assert_eq!(queue.push(&key(1), job(0, 0), of_all), Ok(()));
        queue.end(&key(0));
        assert_eq!(queue.held.get() as usize, 2 * FIXED + 5);
        queue.stop();
        assert_eq!(queue.held.get(), 0.0);
    }

    #[test]
    fn waiting_messages_are_few_whatever_they_are_and_edits_are_joined() {
        let queue = queue(1);
        let part = Part {
            branch: 0,
            position: 0,
            rows: 1,
        };
        for sequence in 0..WAITING as u64 {
            let mut job = job(sequence, 1);
            job.work.parts.push(part);
            queue.push(&key(0), job, PLENTY).unwrap();
        }
        let mut edits = job(WAITING as u64, 0);
        edits.work.edits.push(Edit::Drop(1));
        assert_eq!(queue.push(&key(0), edits, PLENTY), Err(Refusal::Busy));
        turn(&queue);
        for n in 0..300 {
            let mut edits = job(WAITING as u64 + n, 0);
            edits.work.edits.push(Edit::Drop(n as u32));
            queue.push(&key(0), edits, PLENTY).unwrap();
        }
        assert_eq!(queue.state.lock().slots[&key(0)].waiting.len(), WAITING);
        for _ in 1..WAITING {
            turn(&queue);
        }
        let last = queue.next(8, IDLE).unwrap().tasks.remove(0);
        assert_eq!(last.job.work.edits.len(), 300);
        assert_eq!(queue.held.get(), 0.0);
    }

    #[test]
    fn neither_messages_nor_pushes_renew_the_wait_for_rows() {
        let queue = queue(1);
        let upstream = Peer::new([9]);
        queue.set_upstream(&key(0), upstream.clone());
        queue.push(&key(0), awaiting(0, 2), PLENTY).unwrap();
        let since = |queue: &Queue| queue.state.lock().slots[&key(0)].silent_since();
        let first = since(&queue);
        queue.pushed(&upstream, push(0, 1, 2), PLENTY).unwrap();
        queue.push(&key(0), job(1, 0), PLENTY).unwrap();
        queue.used(&[(key(0), false)]);
        assert_eq!(since(&queue), first);
        queue.pushed(&upstream, push(0, 0, 2), PLENTY).unwrap();
        assert!(since(&queue) >= first, "it is no longer awaited");
        assert_eq!(turn(&queue), [(0, 0)]);
    }
}
