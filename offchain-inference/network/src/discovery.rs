// SPDX-License-Identifier: Apache-2.0
//! Discovery of the holders of models, and of the nodes of agents, by provider records of the
//! network's DHT. Models and agents have names of 32 bytes.
//!
//! Pure but for [`Command::send`]: events come in with their time, and commands for the DHT come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use sc_network::{service::traits::NetworkService, DhtEvent, KademliaKey, PeerId};

use crate::LOG_TARGET;

/// A name: that of a model, or the account of an agent.
pub(crate) type Name = [u8; 32];

/// Prefix of the keys of a kind of records, which keeps them apart from other keys.
pub(crate) type Prefix = &'static [u8];

/// Of the holders of models.
pub(crate) const SHARDS: Prefix = b"starling/shards/";

/// Of the nodes that show the traces of agents.
pub(crate) const TRACES: Prefix = b"starling/traces/";

/// Time after which a record that was not stored is sent again; a node that has just started knows
/// no peer yet. The DHT itself renews stored records.
const PROVIDE_AGAIN: Duration = Duration::from_secs(5);

/// Time after which a search gives up on an answer.
const SEARCH_PATIENCE: Duration = Duration::from_secs(30);

/// Minimum time between two searches for the same name.
const SEARCH_AGAIN: Duration = Duration::from_secs(2);

/// The DHT's key of a name.
fn key(prefix: Prefix, name: &Name) -> KademliaKey {
    [prefix, name].concat().into()
}

fn name(prefix: Prefix, key: &KademliaKey) -> Option<Name> {
    key.as_ref().strip_prefix(prefix)?.try_into().ok()
}

/// A command for the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Announce that this node provides the name.
    Provide(Name),
    /// Withdraw the announcement.
    Withdraw(Name),
    /// Search for providers of the name.
    Search(Name),
}

impl Command {
    /// Gives the command to the DHT, about a record of this kind.
    pub(crate) fn send(self, prefix: Prefix, dht: &dyn NetworkService) {
        log::debug!(target: LOG_TARGET, "DHT: {self:?}");
        match self {
            Self::Provide(name) => dht.start_providing(key(prefix, &name)),
            Self::Withdraw(name) => dht.stop_providing(key(prefix, &name)),
            Self::Search(name) => dht.get_providers(key(prefix, &name)),
        }
    }
}

/// The names that this node provides, and the known providers of others.
#[derive(Debug)]
pub(crate) struct Discovery {
    prefix: Prefix,
    /// Time of the next announcement; `None` once the record is stored.
    provided: BTreeMap<Name, Option<Instant>>,
    searches: BTreeMap<Name, Search>,
}

#[derive(Debug, Default)]
struct Search {
    /// Holders found by the last search that found any.
    known: BTreeSet<PeerId>,
    /// Holders found so far by the running search.
    found: BTreeSet<PeerId>,
    /// Start of the running search.
    running: Option<Instant>,
    /// End of the last search.
    ended: Option<Instant>,
}

impl Discovery {
    /// Of one kind of records.
    pub(crate) fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            provided: BTreeMap::new(),
            searches: BTreeMap::new(),
        }
    }

    /// Sets the names that this node provides.
    pub(crate) fn provide(&mut self, names: &[Name], now: Instant) -> Vec<Command> {
        let wanted: BTreeSet<_> = names.iter().copied().collect();
        let mut commands = vec![];
        self.provided.retain(|name, _| {
            let stays = wanted.contains(name);
            if !stays {
                commands.push(Command::Withdraw(*name));
            }
            stays
        });
        for name in wanted {
            self.provided.entry(name).or_insert_with(|| {
                commands.push(Command::Provide(name));
                Some(now + PROVIDE_AGAIN)
            });
        }
        commands
    }

    /// Known providers of a name, besides this node, and whether to search for more.
    pub(crate) fn providers(
        &mut self,
        name: &Name,
        now: Instant,
    ) -> (Vec<PeerId>, Option<Command>) {
        let search = self.searches.entry(*name).or_default();
        let command = search.is_due(now).then(|| {
            search.found.clear();
            search.running = Some(now);
            Command::Search(*name)
        });
        (search.known.iter().copied().collect(), command)
    }

    /// Forgets the providers of a name.
    pub(crate) fn forget(&mut self, name: &Name) {
        self.searches.remove(name);
    }

    /// Takes in news from the DHT.
    pub(crate) fn on_event(&mut self, event: DhtEvent, now: Instant) {
        match event {
            DhtEvent::StartedProviding(key) => self.published(&key, None),
            DhtEvent::StartProvidingFailed(key) => {
                self.published(&key, Some(now + PROVIDE_AGAIN));
            },
            DhtEvent::ProvidersFound(key, peers) => {
                if let Some(search) = self.search(&key) {
                    search.found.extend(&peers);
                    // No need to wait for the end of the search.
                    search.known.extend(peers);
                }
            },
            DhtEvent::NoMoreProviders(key) => {
                if let Some(search) = self.search(&key) {
                    search.known = std::mem::take(&mut search.found);
                    search.end(now);
                }
            },
            DhtEvent::ProvidersNotFound(key) => {
                // The search failed; that says nothing about the known holders.
                if let Some(search) = self.search(&key) {
                    search.end(now);
                }
            },
            _ => {},
        }
    }

    /// Commands that are due.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Command> {
        let mut commands = vec![];
        for (name, again) in &mut self.provided {
            if again.is_some_and(|at| at <= now) {
                *again = Some(now + PROVIDE_AGAIN);
                commands.push(Command::Provide(*name));
            }
        }
        commands
    }

    fn published(&mut self, key: &KademliaKey, again: Option<Instant>) {
        let name = name(self.prefix, key);
        if let Some(entry) = name.and_then(|name| self.provided.get_mut(&name)) {
            *entry = again;
        }
    }

    fn search(&mut self, key: &KademliaKey) -> Option<&mut Search> {
        self.searches.get_mut(&name(self.prefix, key)?)
    }
}

impl Search {
    fn is_due(&self, now: Instant) -> bool {
        let passed = |since: Instant, time| now.saturating_duration_since(since) >= time;
        match self.running {
            Some(since) => passed(since, SEARCH_PATIENCE),
            None => self.ended.is_none_or(|at| passed(at, SEARCH_AGAIN)),
        }
    }

    fn end(&mut self, now: Instant) {
        self.running = None;
        self.ended = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Name = [1; 32];
    const B: Name = [2; 32];

    #[test]
    fn a_record_is_published_until_it_is_stored() {
        let (mut discovery, start) = (Discovery::new(SHARDS), Instant::now());
        assert_eq!(discovery.provide(&[A], start), [Command::Provide(A)]);
        assert_eq!(discovery.provide(&[A], start), []);
        assert_eq!(discovery.due(start), []);
        let later = start + PROVIDE_AGAIN;
        assert_eq!(discovery.due(later), [Command::Provide(A)]);
        discovery.on_event(DhtEvent::StartProvidingFailed(key(SHARDS, &A)), later);
        let later = later + PROVIDE_AGAIN;
        assert_eq!(discovery.due(later), [Command::Provide(A)]);
        discovery.on_event(DhtEvent::StartedProviding(key(SHARDS, &A)), later);
        assert_eq!(discovery.due(later + PROVIDE_AGAIN), []);
    }

    #[test]
    fn a_model_that_is_no_longer_held_is_withdrawn() {
        let (mut discovery, now) = (Discovery::new(SHARDS), Instant::now());
        discovery.provide(&[A], now);
        let commands = discovery.provide(&[B], now);
        assert_eq!(commands, [Command::Withdraw(A), Command::Provide(B)]);
        let later = now + PROVIDE_AGAIN;
        assert_eq!(discovery.due(later), [Command::Provide(B)]);
    }

    #[test]
    fn a_search_replaces_what_is_known_unless_it_fails() {
        let (mut discovery, start) = (Discovery::new(SHARDS), Instant::now());
        let [one, two] = [PeerId::random(), PeerId::random()];
        let first = discovery.providers(&A, start);
        assert_eq!(first, (vec![], Some(Command::Search(A))));
        // One search at a time.
        assert_eq!(discovery.providers(&A, start), (vec![], None));
        discovery.on_event(DhtEvent::ProvidersFound(key(SHARDS, &A), vec![one]), start);
        assert_eq!(discovery.providers(&A, start).0, [one]);
        discovery.on_event(DhtEvent::NoMoreProviders(key(SHARDS, &A)), start);
        assert_eq!(discovery.providers(&A, start), (vec![one], None));

        let later = start + SEARCH_AGAIN;
        let again = discovery.providers(&A, later);
        assert_eq!(again, (vec![one], Some(Command::Search(A))));
        discovery.on_event(DhtEvent::ProvidersNotFound(key(SHARDS, &A)), later);
        assert_eq!(discovery.providers(&A, later).0, [one]);

        let later = later + SEARCH_AGAIN;
        discovery.providers(&A, later);
        discovery.on_event(DhtEvent::ProvidersFound(key(SHARDS, &A), vec![two]), later);
        discovery.on_event(DhtEvent::NoMoreProviders(key(SHARDS, &A)), later);
        assert_eq!(discovery.providers(&A, later).0, [two]);
        assert_eq!(discovery.providers(&B, later).0, []);
    }

    #[test]
    fn a_search_without_an_answer_is_given_up() {
        let (mut discovery, start) = (Discovery::new(SHARDS), Instant::now());
        discovery.providers(&A, start);
        let later = start + SEARCH_PATIENCE;
        assert_eq!(discovery.providers(&A, later).1, Some(Command::Search(A)));
    }

    #[test]
    fn other_records_do_not_concern_shards() {
        let mut discovery = Discovery::new(SHARDS);
        for foreign in [KademliaKey::new(b"something else"), key(TRACES, &A)] {
            let event = DhtEvent::ProvidersFound(foreign, vec![PeerId::random()]);
            discovery.on_event(event, Instant::now());
        }
        assert!(discovery.searches.is_empty());
    }

    #[test]
    fn who_is_forgotten_is_searched_for_anew() {
        let (mut discovery, now) = (Discovery::new(TRACES), Instant::now());
        discovery.providers(&A, now);
        discovery.on_event(
            DhtEvent::ProvidersFound(key(TRACES, &A), vec![PeerId::random()]),
            now,
        );
        discovery.forget(&A);
        let anew = discovery.providers(&A, now);
        assert_eq!(anew, (vec![], Some(Command::Search(A))));
    }
}
