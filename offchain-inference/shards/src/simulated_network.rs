// SPDX-License-Identifier: Apache-2.0
//! A network in one process, with delay, faults and a table of agents. It serves tests and
//! measurements of network costs.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        mpsc::{channel, sync_channel, Receiver, RecvTimeoutError, Sender, SyncSender},
        Arc, OnceLock, Weak,
    },
    time::{Duration, Instant, SystemTime},
};

use parking_lot::{Condvar, Mutex};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey};

use crate::{
    auth::{Account, AgentRecord, Directory, Identity, Key},
    transport::{Inbox, ModelId, Peer, Transport, TransportError, MAX_MESSAGE},
};

/// Changes a message of a peer.
type Corruption = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// Faults of a peer.
#[derive(Clone, Default)]
struct Faults {
    paused: bool,
    slow: Duration,
    corrupt: Option<Corruption>,
}

enum Load {
    Message(Vec<u8>),
    Request(Vec<u8>, SyncSender<Vec<u8>>),
    Response(Vec<u8>, SyncSender<Vec<u8>>),
}

struct Parcel {
    load: Load,
    due: Instant,
}

/// Traffic from one peer to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of messages.
    pub messages: u64,
    /// Number of bytes.
    pub bytes: u64,
}

#[derive(Default)]
struct State {
    inboxes: HashMap<Peer, Arc<OnceLock<Weak<dyn Inbox>>>>,
    provided: HashMap<Peer, Vec<ModelId>>,
    /// One thread each.
    lines: HashMap<(Peer, Peer), Sender<Parcel>>,
    traffic: HashMap<(Peer, Peer), Traffic>,
    faults: HashMap<Peer, Faults>,
    severed: HashSet<(Peer, Peer)>,
    clogged: HashSet<(Peer, Peer)>,
    delay: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A peer was killed, or its faults have changed.
    changed: Condvar,
}

/// A network of peers in this process. Clones share it.
#[derive(Clone, Default)]
pub struct Network(Arc<Shared>);

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// A network without peers and without delay.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a peer.
    pub fn join(&self, name: &str) -> Arc<Endpoint> {
        let local = Peer::new(name);
        let mut state = self.0.state.lock();
        state.inboxes.insert(local.clone(), Arc::default());
        Arc::new(Endpoint {
            network: self.clone(),
            local,
        })
    }

    /// Sets the delay between any two peers, in each direction.
    pub fn set_delay(&self, delay: Duration) {
        self.0.state.lock().delay = delay;
    }

    /// Delays messages from this peer by `by` in addition.
    pub fn slow(&self, peer: &Peer, by: Duration) {
        self.fault(peer, |faults| faults.slow = by);
    }

    /// Holds all messages to and from this peer until it is resumed; none is lost.
    pub fn pause(&self, peer: &Peer) {
        self.fault(peer, |faults| faults.paused = true);
    }

    /// Ends a pause.
    pub fn resume(&self, peer: &Peer) {
        self.fault(peer, |faults| faults.paused = false);
    }

    /// Cuts the connection from one peer to the other; the sender gets an error.
    pub fn sever(&self, from: &Peer, to: &Peer) {
        let line = (from.clone(), to.clone());
        self.0.state.lock().severed.insert(line);
    }

    /// Makes `to` take no more messages from `from`; senders wait until their timeout.
    pub fn clog(&self, from: &Peer, to: &Peer) {
        let line = (from.clone(), to.clone());
        self.0.state.lock().clogged.insert(line);
    }

    /// Applies `change` to all messages of this peer.
    pub fn corrupt(&self, peer: &Peer, change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) {
        self.fault(peer, |faults| faults.corrupt = Some(Arc::new(change)));
    }

    fn fault(&self, peer: &Peer, change: impl FnOnce(&mut Faults)) {
        let mut state = self.0.state.lock();
        change(state.faults.entry(peer.clone()).or_default());
        drop(state);
        self.0.changed.notify_all();
    }

    /// Takes a peer off the network. Messages under way are lost, and all connected peers are told.
    pub fn kill(&self, peer: &Peer) {
        let mut state = self.0.state.lock();
        state.inboxes.remove(peer);
        state.faults.remove(peer);
        state.provided.remove(peer);
        let touches = |(from, to): &(Peer, Peer)| from == peer || to == peer;
        let connected: HashSet<_> = state
            .lines
            .keys()
            .filter(|line| touches(line))
            .map(|(from, to)| if from == peer { to } else { from }.clone())
            .collect();
        state.lines.retain(|line, _| !touches(line));
        state.clogged.retain(|line| !touches(line));
        let inboxes: Vec<_> = connected
            .iter()
            .filter_map(|other| state.inbox(other))
            .collect();
        drop(state);
        self.0.changed.notify_all();
        for inbox in inboxes {
            inbox.disconnected(peer);
        }
    }

    /// Traffic of [`Transport::send`] from one peer to another.
    pub fn traffic(&self, from: &Peer, to: &Peer) -> Traffic {
        let state = self.0.state.lock();
        let line = (from.clone(), to.clone());
        state.traffic.get(&line).copied().unwrap_or_default()
    }

    fn post(&self, from: &Peer, to: &Peer, load: Load) -> Result<(), TransportError> {
        let disconnected = || TransportError::Disconnected(to.clone());
        let mut state = self.0.state.lock();
        let known = |peer| state.inboxes.contains_key(peer);
        if !known(from) || !known(to) || state.severed.contains(&(from.clone(), to.clone())) {
            return Err(disconnected());
        }
        let slow = state.faults.get(from).map_or(Duration::ZERO, |f| f.slow);
        let due = Instant::now() + state.delay + slow;
        let key = (from.clone(), to.clone());
        if let Load::Message(payload) = &load {
            let traffic = state.traffic.entry(key.clone()).or_default();
            traffic.messages += 1;
            traffic.bytes += payload.len() as u64;
        }
        let line = match state.lines.get(&key) {
            Some(line) => line.clone(),
            None => {
                let (line, parcels) = channel();
                let (network, from, to) = (self.clone(), from.clone(), to.clone());
                crate::spawn("memory-line", move || network.carry(&from, &to, &parcels))
                    .map_err(|_| disconnected())?;
                state.lines.insert(key, line.clone());
                line
            },
        };
        line.send(Parcel { load, due }).map_err(|_| disconnected())
    }

    /// Delivers parcels in order, each when it is due.
    fn carry(&self, from: &Peer, to: &Peer, parcels: &Receiver<Parcel>) {
        for parcel in parcels {
            let Some((inbox, corrupt)) = self.wait(from, to, parcel.due) else {
                return;
            };
            match (parcel.load, corrupt) {
                (Load::Message(mut payload), corrupt) => {
                    if let Some(corrupt) = corrupt {
                        corrupt(&mut payload);
                    }
                    inbox.message(from.clone(), payload);
                },
                (Load::Request(payload, answer), _) => {
                    let (network, asker, to) = (self.clone(), from.clone(), to.clone());
                    let respond = move |payload| {
                        // The asking peer may be gone.
                        let _ = network.post(&to, &asker, Load::Response(payload, answer));
                    };
                    inbox.request(from.clone(), payload, Box::new(respond));
                },
                // The receiver may be gone.
                (Load::Response(payload, answer), _) => drop(answer.try_send(payload)),
            }
        }
    }

    /// Waits until a parcel may be delivered; `None` if one of the two peers is gone.
    fn wait(
        &self,
        from: &Peer,
        to: &Peer,
        due: Instant,
    ) -> Option<(Arc<dyn Inbox>, Option<Corruption>)> {
        let mut state = self.0.state.lock();
        loop {
            if !state.lines.contains_key(&(from.clone(), to.clone())) {
                return None;
            }
            let paused = [from, to]
                .iter()
                .any(|peer| state.faults.get(peer).is_some_and(|f| f.paused));
            if paused {
                self.0.changed.wait(&mut state);
            } else if Instant::now() < due {
                self.0.changed.wait_until(&mut state, due);
            } else {
                let corrupt = state.faults.get(from).and_then(|f| f.corrupt.clone());
                return Some((state.inbox(to)?, corrupt));
            }
        }
    }
}

impl State {
    fn inbox(&self, peer: &Peer) -> Option<Arc<dyn Inbox>> {
        self.inboxes.get(peer)?.get()?.upgrade()
    }
}

/// One peer's access to a [`Network`].
pub struct Endpoint {
    network: Network,
    local: Peer,
}

impl Transport for Endpoint {
    fn local(&self) -> Peer {
        self.local.clone()
    }

    fn attach(&self, inbox: Weak<dyn Inbox>) {
        if let Some(slot) = self.network.0.state.lock().inboxes.get(&self.local) {
            // Called once.
            let _ = slot.set(inbox);
        }
    }

    fn provide(&self, models: &[ModelId]) {
        let mut state = self.network.0.state.lock();
        if state.inboxes.contains_key(&self.local) {
            state.provided.insert(self.local.clone(), models.to_vec());
        }
    }

    fn providers(&self, model: &ModelId) -> Vec<Peer> {
        let state = self.network.0.state.lock();
        let provided = state.provided.iter();
        let mut peers: Vec<_> = provided
            .filter(|(peer, models)| **peer != self.local && models.contains(model))
            .map(|(peer, _)| peer.clone())
            .collect();
        peers.sort();
        peers
    }

    fn request(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, TransportError> {
        let (answer, answered) = sync_channel(1);
        self.network
            .post(&self.local, to, Load::Request(payload, answer))?;
        answered.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => TransportError::Timeout(to.clone()),
            RecvTimeoutError::Disconnected => TransportError::Disconnected(to.clone()),
        })
    }

    fn send(&self, to: &Peer, payload: Vec<u8>, timeout: Duration) -> Result<(), TransportError> {
        if payload.len() > MAX_MESSAGE {
            return Err(TransportError::TooLarge {
                bytes: payload.len(),
                limit: MAX_MESSAGE,
            });
        }
        let Network(shared) = &self.network;
        let line = (self.local.clone(), to.clone());
        let waited = shared.changed.wait_while_for(
            &mut shared.state.lock(),
            |state| state.clogged.contains(&line),
            timeout,
        );
        if waited.timed_out() {
            return Err(TransportError::Timeout(to.clone()));
        }
        self.network.post(&self.local, to, Load::Message(payload))
    }

    fn try_send(&self, to: &Peer, payload: Vec<u8>) -> Result<(), Vec<u8>> {
        let state = self.network.0.state.lock();
        let line = (self.local.clone(), to.clone());
        let takes = state.inboxes.contains_key(to)
            && !state.clogged.contains(&line)
            && !state.severed.contains(&line)
            && payload.len() <= MAX_MESSAGE;
        drop(state);
        if !takes {
            return Err(payload);
        }
        // If the peer leaves in between, the message is lost like any other under way.
        let _ = self.network.post(&self.local, to, Load::Message(payload));
        Ok(())
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

impl Drop for Endpoint {
    /// Leaves the network.
    fn drop(&mut self) {
        self.network.kill(&self.local);
    }
}

/// An agent with a key made from a number.
pub struct Agent {
    account: Account,
    pair: Keypair,
}

impl Agent {
    /// The agent with this number.
    pub fn new(number: u8) -> Self {
        let secret = MiniSecretKey::from_bytes(&[number; 32]);
        let secret = secret.unwrap_or_else(|_| unreachable!("32 bytes are a secret key"));
        Self {
            account: [number; 32],
            pair: secret.expand_to_keypair(ExpansionMode::Ed25519),
        }
    }

    /// The agent's record on chain.
    pub fn record(&self) -> AgentRecord {
        AgentRecord {
            account: self.account,
            key: self.pair.public.to_bytes(),
            bond: 1_000,
            rating: 1.0,
            active: true,
        }
    }
}

impl Identity for Agent {
    fn account(&self) -> Option<Account> {
        Some(self.account)
    }

    fn key(&self) -> Option<Key> {
        Some(self.pair.public.to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(self.pair.sign_simple(b"substrate", message).to_bytes())
    }
}

/// A table of agents and of the owners of all their keys, with the system's clock.
#[derive(Debug, Default)]
pub struct Agents {
    records: Mutex<HashMap<Account, AgentRecord>>,
    owners: Mutex<HashMap<Key, Account>>,
}

impl Agents {
    /// Adds or changes an agent.
    pub fn insert(&self, record: AgentRecord) {
        self.owners.lock().insert(record.key, record.account);
        self.records.lock().insert(record.account, record);
    }
}

impl Directory for Agents {
    fn agent(&self, account: &Account) -> Option<AgentRecord> {
        self.records.lock().get(account).cloned()
    }

    fn owner(&self, key: &Key) -> Option<Account> {
        self.owners.lock().get(key).copied()
    }

    fn network(&self) -> [u8; 32] {
        [7; 32]
    }

    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
    }
}
