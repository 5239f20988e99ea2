// SPDX-License-Identifier: Apache-2.0
//! Discovery of the holders of models, by provider records of the network's DHT.
//!
//! Pure: events come in with their time, and commands for the DHT come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use sc_network::{DhtEvent, KademliaKey, PeerId};
use starling_shards::transport::ModelId;

/// Prefix of the keys of models, which keeps them apart from other keys.
const PREFIX: &[u8] = b"starling/shards/";

/// Time after which a record that was not stored is sent again; a node that has just started knows
/// no peer yet. The DHT itself renews stored records.
const PROVIDE_AGAIN: Duration = Duration::from_secs(5);

/// Time after which a search gives up on an answer.
const SEARCH_PATIENCE: Duration = Duration::from_secs(30);

/// Minimum time between two searches for the same model.
const SEARCH_AGAIN: Duration = Duration::from_secs(2);

/// The DHT's key of a model.
pub(crate) fn key(model: &ModelId) -> KademliaKey {
    [PREFIX, model].concat().into()
}

fn model(key: &KademliaKey) -> Option<ModelId> {
    key.as_ref().strip_prefix(PREFIX)?.try_into().ok()
}

/// A command for the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Announce that this node holds parts of the model.
    Provide(ModelId),
    /// Withdraw the announcement.
    Withdraw(ModelId),
    /// Search for holders of the model.
    Search(ModelId),
}

/// The models that this node provides, and the known holders of others.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    /// Time of the next announcement; `None` once the record is stored.
    provided: BTreeMap<ModelId, Option<Instant>>,
    searches: BTreeMap<ModelId, Search>,
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
    /// Sets the models that this node holds parts of.
    pub(crate) fn provide(&mut self, models: &[ModelId], now: Instant) -> Vec<Command> {
        let wanted: BTreeSet<_> = models.iter().copied().collect();
        let mut commands = vec![];
        self.provided.retain(|model, _| {
            let stays = wanted.contains(model);
            if !stays {
                commands.push(Command::Withdraw(*model));
            }
            stays
        });
        for model in wanted {
            self.provided.entry(model).or_insert_with(|| {
                commands.push(Command::Provide(model));
                Some(now + PROVIDE_AGAIN)
            });
        }
        commands
    }

    /// Known holders of parts of a model, besides this node, and whether to search for more.
    pub(crate) fn providers(
        &mut self,
        model: &ModelId,
        now: Instant,
    ) -> (Vec<PeerId>, Option<Command>) {
        let search = self.searches.entry(*model).or_default();
        let command = search.is_due(now).then(|| {
            search.found.clear();
            search.running = Some(now);
            Command::Search(*model)
        });
        (search.known.iter().copied().collect(), command)
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
        for (model, again) in &mut self.provided {
            if again.is_some_and(|at| at <= now) {
                *again = Some(now + PROVIDE_AGAIN);
                commands.push(Command::Provide(*model));
            }
        }
        commands
    }

    fn published(&mut self, key: &KademliaKey, again: Option<Instant>) {
        if let Some(entry) = model(key).and_then(|model| self.provided.get_mut(&model)) {
            *entry = again;
        }
    }

    fn search(&mut self, key: &KademliaKey) -> Option<&mut Search> {
        self.searches.get_mut(&model(key)?)
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

    const A: ModelId = [1; 32];
    const B: ModelId = [2; 32];

    #[test]
    fn a_record_is_published_until_it_is_stored() {
        let (mut discovery, start) = (Discovery::default(), Instant::now());
        assert_eq!(discovery.provide(&[A], start), [Command::Provide(A)]);
        assert_eq!(discovery.provide(&[A], start), []);
        assert_eq!(discovery.due(start), []);
        let later = start + PROVIDE_AGAIN;
        assert_eq!(discovery.due(later), [Command::Provide(A)]);
        discovery.on_event(DhtEvent::StartProvidingFailed(key(&A)), later);
        let later = later + PROVIDE_AGAIN;
        assert_eq!(discovery.due(later), [Command::Provide(A)]);
        discovery.on_event(DhtEvent::StartedProviding(key(&A)), later);
        assert_eq!(discovery.due(later + PROVIDE_AGAIN), []);
    }

    #[test]
    fn a_model_that_is_no_longer_held_is_withdrawn() {
        let (mut discovery, now) = (Discovery::default(), Instant::now());
        discovery.provide(&[A], now);
        let commands = discovery.provide(&[B], now);
        assert_eq!(commands, [Command::Withdraw(A), Command::Provide(B)]);
        let later = now + PROVIDE_AGAIN;
        assert_eq!(discovery.due(later), [Command::Provide(B)]);
    }

    #[test]
    fn a_search_replaces_what_is_known_unless_it_fails() {
        let (mut discovery, start) = (Discovery::default(), Instant::now());
        let [one, two] = [PeerId::random(), PeerId::random()];
        let first = discovery.providers(&A, start);
        assert_eq!(first, (vec![], Some(Command::Search(A))));
        // One search at a time.
        assert_eq!(discovery.providers(&A, start), (vec![], None));
        discovery.on_event(DhtEvent::ProvidersFound(key(&A), vec![one]), start);
        assert_eq!(discovery.providers(&A, start).0, [one]);
        discovery.on_event(DhtEvent::NoMoreProviders(key(&A)), start);
        assert_eq!(discovery.providers(&A, start), (vec![one], None));

        let later = start + SEARCH_AGAIN;
        let again = discovery.providers(&A, later);
        assert_eq!(again, (vec![one], Some(Command::Search(A))));
        discovery.on_event(DhtEvent::ProvidersNotFound(key(&A)), later);
        assert_eq!(discovery.providers(&A, later).0, [one]);

        let later = later + SEARCH_AGAIN;
        discovery.providers(&A, later);
        discovery.on_event(DhtEvent::ProvidersFound(key(&A), vec![two]), later);
        discovery.on_event(DhtEvent::NoMoreProviders(key(&A)), later);
        assert_eq!(discovery.providers(&A, later).0, [two]);
        assert_eq!(discovery.providers(&B, later).0, []);
    }

    #[test]
    fn a_search_without_an_answer_is_given_up() {
        let (mut discovery, start) = (Discovery::default(), Instant::now());
        discovery.providers(&A, start);
        let later = start + SEARCH_PATIENCE;
        assert_eq!(discovery.providers(&A, later).1, Some(Command::Search(A)));
    }

    #[test]
    fn other_records_do_not_concern_shards() {
        let mut discovery = Discovery::default();
        let foreign = KademliaKey::new(b"something else");
        let event = DhtEvent::ProvidersFound(foreign, vec![PeerId::random()]);
        discovery.on_event(event, Instant::now());
        assert!(discovery.searches.is_empty());
    }
}
