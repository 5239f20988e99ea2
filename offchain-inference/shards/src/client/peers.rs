// SPDX-License-Identifier: Apache-2.0
//! Knowledge of other nodes: the spans that they announce, their speed, and their trust.

use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use starling_planner::{routing::Candidate, survey::Belief};

use super::surveys::Known as Surveyed;
use crate::{
    auth::{Account, Directory, Signed},
    integrity::{trust_after, trust_after_failure, trust_after_mismatch, Verdict},
    message::Announcement,
    seal::SealingKey,
    transport::{ModelId, Peer},
};

/// Announcements older than this are ignored.
const MAX_AGE: Duration = Duration::from_secs(90);

/// Weight of the newest measurement in a running mean.
const NEWEST: f64 = 0.2;

/// Maximum rows of a message that counts as a measurement of the round-trip time.
const SMALL: usize = 8;

/// Time that a failed server is left alone. It doubles with each further failure in a row.
const COOLDOWN: Duration = Duration::from_secs(1);
const MAX_DOUBLINGS: u32 = 6;

/// Time in which a measurement by work makes pings needless.
const LATELY: Duration = Duration::from_secs(30);

/// Seconds in which half of the lost reliability is restored.
const HALF_LIFE: f64 = 60.0;

/// Part of a model that another node holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The node.
    pub peer: Peer,
    /// Its agent.
    pub account: Account,
    /// The layers.
    pub layers: Range<usize>,
    /// Tokens · layers a second: measured, or announced if there is no measurement.
    pub throughput: f64,
}

/// The knowledge of a node's part of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The node and its layers.
    pub holder: Holder,
    /// Whether it takes work.
    pub state: State,
    /// Number of sessions that it would still open.
    pub free_sessions: u32,
    /// Free positions in its caches.
    pub free_positions: u32,
    /// Seconds of a round trip.
    pub rtt: Option<f64>,
    /// Trust in its results, and in its answering at all.
    pub trust: f64,
    /// Age of what it last announced.
    pub heard: Duration,
    /// Its links and availability, as far as reports about them are believed.
    pub belief: Option<Belief>,
}

/// A node's claims about itself, and the measurements of this node.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub peer: Peer,
    pub account: Account,
    /// Announced tokens · layers a second.
    pub announced: f64,
    /// Measured ones.
    pub measured: Option<f64>,
    /// Seconds of a round trip.
    pub rtt: Option<f64>,
}

/// Whether a node takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has room for a session.
    Free,
    /// It has no room, or is left alone after a failure.
    Busy,
    /// It has announced nothing for long.
    Stale,
}

/// Announcements older than this are stale. Whoever answers is heard far more often.
const STALE: Duration = Duration::from_secs(45);

struct Held {
    account: Account,
    announcement: Announcement,
    heard: Instant,
    /// Measured tokens · layers a second.
    throughput: Option<f64>,
    /// Tokens · layers a second up to which the announced ones count.
    limit: f64,
}

#[derive(Default)]
struct Known {
    held: HashMap<ModelId, Held>,
    /// Seconds.
    rtt: Option<f64>,
    /// The last measurement by work.
    worked: Option<Instant>,
    /// The agent of its last announcement.
    account: Option<Account>,
    standing: Standing,
}

/// Reliability of a node.
struct Standing {
    /// Reliability by its failures, at the time of the last one.
    reliability: f64,
    failed: Option<Instant>,
    in_a_row: u32,
    /// Earliest time to use the node again.
    not_before: Option<Instant>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            reliability: 1.0,
            failed: None,
            in_a_row: 0,
            not_before: None,
        }
    }
}

impl Standing {
    fn reliability(&self, now: Instant) -> f64 {
        let Some(failed) = self.failed else {
            return 1.0;
        };
        let since = now.saturating_duration_since(failed).as_secs_f64();
        1.0 - (1.0 - self.reliability) * 0.5f64.powf(since / HALF_LIFE)
    }

    fn fail(&mut self, now: Instant) {
        self.reliability = trust_after_failure(self.reliability(now));
        self.failed = Some(now);
        let doubled = COOLDOWN * 2u32.pow(self.in_a_row.min(MAX_DOUBLINGS));
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.postpone(now, doubled);
    }

    fn postpone(&mut self, now: Instant, by: Duration) {
        let until = now + by;
        self.not_before = Some(self.not_before.map_or(until, |before| before.max(until)));
    }

    fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|before| before <= now)
    }
}

/// Announcements and measurements of all known nodes, and trust in their agents.
#[derive(Default)]
pub(crate) struct Peers {
    known: Mutex<HashMap<Peer, Known>>,
    /// Trust in agents by comparison of their results, if it is below 1; 0 excludes an agent for
    /// good. A node's identity is free, and an account's bond is not.
    trust: Mutex<HashMap<Account, f64>>,
    /// Tokens · layers a second up to which the announcement of a node that nobody measured counts.
    limits: Mutex<HashMap<ModelId, f64>>,
    news: Condvar,
}

impl Peers {
    /// Records a genuine announcement and the time that the request for it took.
    pub fn heard(&self, peer: &Peer, signed: Signed<Announcement>, rtt: Duration) {
        let limit = self.limits.lock().get(&signed.body.model).copied();
        let mut all = self.known.lock();
        let known = all.entry(peer.clone()).or_default();
        known.account = Some(signed.account);
        let before = known.held.get(&signed.body.model);
        let before = before.filter(|held| held.account == signed.account);
        let throughput = before.and_then(|held| held.throughput);
        let limit = before.map(|held| held.limit).or(limit);
        let held = Held {
            account: signed.account,
            announcement: signed.body,
            heard: Instant::now(),
            throughput,
            limit: limit.unwrap_or(f64::INFINITY),
        };
        known.held.insert(held.announcement.model, held);
        // The smallest time is nearest to the truth; messages of activations refine it later.
        let rtt = rtt.as_secs_f64();
        known.rtt = Some(known.rtt.map_or(rtt, |before| before.min(rtt)));
        drop(all);
        self.news.notify_all();
    }

    /// Records that a node holds nothing of `model`, or cannot be asked.
    pub fn not_held(&self, peer: &Peer, model: &ModelId) {
        if let Some(known) = self.known.lock().get_mut(peer) {
            known.held.remove(model);
        }
    }

    /// Records the duration of an answer: `held` by the server, the rest on the `wire`, if known.
    pub fn measured(
        &self,
        peer: &Peer,
        model: &ModelId,
        layers: usize,
        rows: usize,
        held: Duration,
        wire: Option<Duration>,
    ) {
        let mut all = self.known.lock();
        let Some(known) = all.get_mut(peer) else {
            return;
        };
        known.standing.in_a_row = 0;
        if let Some(wire) = wire.filter(|_| rows <= SMALL) {
            known.rtt = Some(mean(known.rtt, wire.as_secs_f64()));
            known.worked = Some(Instant::now());
        }
        if let Some(entry) = known.held.get_mut(model).filter(|_| rows == 1) {
            let newest = layers as f64 / held.as_secs_f64().max(1e-6);
            // Times are averaged, not speeds: a pause must count for its whole duration.
            let before = entry.throughput.map(f64::recip);
            entry.throughput = Some(mean(before, newest.recip()).recip());
        }
    }

    /// The part of `held`, which is the server's word, in which it can have computed: rows together
    /// take no longer than one after the other. `None` while nobody has timed a single row.
    pub fn computed(
        &self,
        peer: &Peer,
        model: &ModelId,
        layers: usize,
        rows: usize,
        held: Duration,
    ) -> Option<Duration> {
        let all = self.known.lock();
        let throughput = all.get(peer)?.held.get(model)?.throughput?;
        let most = Duration::try_from_secs_f64((layers * rows) as f64 / throughput);
        Some(most.map_or(held, |most| most.min(held)))
    }

    /// Records a lower bound of the time that `rows` rows take to a node and back.
    pub fn takes_at_least(&self, peer: &Peer, rows: usize, wire: Duration) {
        let wire = wire.as_secs_f64();
        if let Some(known) = self.known.lock().get_mut(peer) {
            if rows <= SMALL && known.rtt.is_some_and(|rtt| rtt < wire) {
                known.rtt = Some(mean(known.rtt, wire));
            }
        }
    }

    /// Records the round-trip time that pings have measured, unless work measured it lately.
    pub fn pinged(&self, peer: &Peer, rtt: f64) {
        if let Some(known) = self.known.lock().get_mut(peer) {
            if !known.has_worked() {
                known.rtt = Some(rtt);
            }
        }
    }

    /// Whether work has lately measured the round-trip time to a node.
    pub fn has_worked(&self, peer: &Peer) -> bool {
        self.known.lock().get(peer).is_some_and(Known::has_worked)
    }

    /// Claims and measurements of all known holders of `model`, by their peers.
    pub fn facts(&self, model: &ModelId) -> Vec<Fact> {
        let now = Instant::now();
        let all = self.known.lock();
        let facts = all.iter().filter_map(|(peer, known)| {
            let held = known.held.get(model).filter(|held| held.is_fresh(now))?;
            Some(Fact {
                peer: peer.clone(),
                account: held.account,
                announced: held.announcement.throughput.into(),
                measured: held.throughput,
                rtt: known.rtt,
            })
        });
        let mut facts: Vec<_> = facts.collect();
        drop(all);
        facts.sort_by(|a, b| a.peer.cmp(&b.peer));
        facts
    }

    /// Limits the announced speeds of the holders of `model` to what is believed.
    pub fn limit(&self, model: &ModelId, surveyed: &Surveyed) {
        let most = surveyed.most_throughput();
        self.limits.lock().insert(*model, most);
        for (peer, known) in self.known.lock().iter_mut() {
            if let Some(held) = known.held.get_mut(model) {
                let belief = surveyed.belief(peer);
                held.limit = belief.map_or(most, |belief| belief.most_throughput);
            }
        }
    }

    /// The agent of a node's last announcement.
    pub fn account(&self, peer: &Peer) -> Option<Account> {
        self.known.lock().get(peer)?.account
    }

    /// The key for sealing of a node that holds parts of `model`, as last announced.
    pub fn key(&self, peer: &Peer, model: &ModelId) -> Option<SealingKey> {
        let all = self.known.lock();
        Some(all.get(peer)?.held.get(model)?.announcement.key)
    }

    /// The round-trip time, in seconds.
    pub fn rtt(&self, peer: &Peer) -> Option<f64> {
        self.known.lock().get(peer)?.rtt
    }

    /// Expected seconds of an answer to `rows` through `layers`.
    pub fn expected(
        &self,
        peer: &Peer,
        model: &ModelId,
        layers: usize,
        rows: usize,
    ) -> Option<f64> {
        let all = self.known.lock();
        let known = all.get(peer)?;
        let held = known.held.get(model)?;
        Some(known.rtt? + (layers * rows) as f64 / held.throughput())
    }

    /// Records a failure.
    pub fn failed(&self, peer: &Peer) {
        let now = Instant::now();
        let mut all = self.known.lock();
        all.entry(peer.clone()).or_default().standing.fail(now);
    }

    /// Records that a node has no room or no time now.
    pub fn busy(&self, peer: &Peer) {
        let now = Instant::now();
        let mut all = self.known.lock();
        let standing = &mut all.entry(peer.clone()).or_default().standing;
        standing.postpone(now, COOLDOWN);
    }

    /// Records that a node's connection broke; its announcement may be out of date.
    pub fn disconnected(&self, peer: &Peer) {
        if let Some(known) = self.known.lock().get_mut(peer) {
            known.held.clear();
        }
    }

    /// Records a comparison of an agent's results with those of another. Returns the remaining
    /// trust.
    pub fn compared(&self, account: &Account, verdict: &Verdict) -> f64 {
        self.change_trust(account, |trust| trust_after(trust, verdict))
    }

    /// Records rows whose signature is not the agent's. Returns the remaining trust.
    pub fn forged(&self, account: &Account) -> f64 {
        self.change_trust(account, trust_after_mismatch)
    }

    fn change_trust(&self, account: &Account, change: impl FnOnce(f64) -> f64) -> f64 {
        let mut all = self.trust.lock();
        let trust = change(all.get(account).copied().unwrap_or(1.0));
        if trust < 1.0 {
            all.insert(*account, trust);
        } else {
            all.remove(account);
        }
        trust
    }

    /// Trust in an agent by comparisons, in [0, 1].
    pub fn trust_in(&self, account: &Account) -> f64 {
        self.trust.lock().get(account).copied().unwrap_or(1.0)
    }

    /// Trust in the agent of a node.
    pub fn trust(&self, peer: &Peer) -> f64 {
        let account = self.account(peer);
        account.map_or(1.0, |account| self.trust_in(&account))
    }

    /// Usable nodes that hold parts of `model`.
    pub fn candidates(
        &self,
        model: &ModelId,
        directory: &dyn Directory,
        only_bonded: bool,
    ) -> Vec<Candidate<Peer>> {
        let now = Instant::now();
        let all = self.known.lock();
        all.iter()
            .filter(|(_, known)| known.standing.is_due(now))
            .filter_map(|(peer, known)| {
                let held = known.held.get(model).filter(|held| held.is_fresh(now))?;
                let agent = directory.agent(&held.account).filter(|agent| agent.active);
                if only_bonded && agent.is_none() {
                    return None;
                }
                Some(Candidate {
                    peer: peer.clone(),
                    layers: held.announcement.layers.range(),
                    throughput: held.throughput(),
                    rtt: known.rtt?,
                    free: if held.announcement.free_sessions == 0 {
                        0
                    } else {
                        held.announcement.free_positions as usize
                    },
                    bond: agent.as_ref().map_or(0, |agent| agent.bond),
                    rating: agent.map(|agent| agent.rating),
                    trust: self.trust_in(&held.account) * known.standing.reliability(now),
                })
            })
            .collect()
    }

    /// All known holders of `model` with their layers.
    pub fn holders(&self, model: &ModelId) -> Vec<Holder> {
        let now = Instant::now();
        let all = self.known.lock();
        all.iter()
            .filter_map(|(peer, known)| {
                let held = known.held.get(model).filter(|held| held.is_fresh(now))?;
                Some(Holder {
                    peer: peer.clone(),
                    account: held.account,
                    layers: held.announcement.layers.range(),
                    throughput: held.throughput(),
                })
            })
            .collect()
    }

    /// The knowledge of all holders of `model`, by their layers.
    pub fn seen(&self, model: &ModelId) -> Vec<Seen> {
        let now = Instant::now();
        let all = self.known.lock();
        let seen = all.iter().filter_map(|(peer, known)| {
            let held = known.held.get(model).filter(|held| held.is_fresh(now))?;
            let heard = now.saturating_duration_since(held.heard);
            Some(Seen {
                holder: Holder {
                    peer: peer.clone(),
                    account: held.account,
                    layers: held.announcement.layers.range(),
                    throughput: held.throughput(),
                },
                state: state(&held.announcement, heard, known.standing.is_due(now)),
                free_sessions: held.announcement.free_sessions,
                free_positions: held.announcement.free_positions,
                rtt: known.rtt,
                trust: self.trust_in(&held.account) * known.standing.reliability(now),
                heard,
                belief: None,
            })
        });
        let mut seen: Vec<_> = seen.collect();
        drop(all);
        seen.sort_by(|a, b| {
            let place = |seen: &Seen| (seen.holder.layers.start, seen.holder.layers.end);
            let order = place(a).cmp(&place(b));
            order.then_with(|| a.holder.peer.cmp(&b.holder.peer))
        });
        seen
    }

    /// Waits for the next announcement, at most `timeout`.
    pub fn wait(&self, timeout: Duration) {
        let mut all = self.known.lock();
        self.news.wait_for(&mut all, timeout);
    }

    /// Forgets nodes that have been silent for long and have no record worth keeping.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.known.lock().retain(|_, known| {
            known.held.retain(|_, held| held.is_fresh(now));
            !known.held.is_empty() || known.standing.reliability(now) < 0.9
        });
    }
}

impl Known {
    fn has_worked(&self) -> bool {
        self.worked.is_some_and(|at| at.elapsed() <= LATELY)
    }
}

impl Held {
    /// Measured, or announced as far as that is believed.
    fn throughput(&self) -> f64 {
        let announced = f64::from(self.announcement.throughput);
        self.throughput.unwrap_or(announced.min(self.limit))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) <= MAX_AGE
    }
}

fn state(announcement: &Announcement, heard: Duration, is_due: bool) -> State {
    let has_room = announcement.free_sessions > 0 && announcement.free_positions > 0;
    match (heard > STALE, has_room && is_due) {
        (true, _) => State::Stale,
        (false, true) => State::Free,
        (false, false) => State::Busy,
    }
}

fn mean(before: Option<f64>, newest: f64) -> f64 {
    before.map_or(newest, |before| before + NEWEST * (newest - before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{integrity::compare, message::Span, wire::WireFormat};

    #[test]
    fn failures_cost_reliability_for_a_while_and_a_growing_pause() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut standing = Standing::default();
        standing.fail(at(0));
        assert_eq!(standing.reliability(at(0)), 0.5);
        assert!((standing.reliability(at(60)) - 0.75).abs() < 1e-9);
        assert!(!standing.is_due(at(0)) && standing.is_due(at(1)));
        standing.fail(at(1));
        assert!(!standing.is_due(at(2)) && standing.is_due(at(3)));
        for _ in 0..100 {
            standing.fail(at(3));
        }
        assert!(standing.is_due(at(3 + 64)), "the pause is bounded");
        assert!(standing.reliability(at(3)) > 0.0, "failing excludes nobody");
    }

    fn announcement(start: u32, free_positions: u32, free_sessions: u32) -> Announcement {
        Announcement {
            model: [1; 32],
            layers: Span {
                start,
                end: start + 2,
            },
            throughput: 1.0,
            free_positions,
            free_sessions,
            wires: vec![],
            key: [0; 32],
            time: 0,
        }
    }

    #[test]
    fn a_node_is_free_while_it_has_room_and_is_heard() {
        let state = |positions, sessions, seconds, is_due| {
            let announcement = announcement(0, positions, sessions);
            super::state(&announcement, Duration::from_secs(seconds), is_due)
        };
        assert_eq!(state(1, 1, 45, true), State::Free);
        assert_eq!(state(0, 1, 0, true), State::Busy);
        assert_eq!(state(1, 0, 0, true), State::Busy);
        assert_eq!(state(1, 1, 0, false), State::Busy);
        assert_eq!(state(1, 1, 46, true), State::Stale);
    }

    #[test]
    fn holders_are_seen_by_their_layers_with_their_failures() {
        let peers = Peers::default();
        for (peer, start, account) in [(1u8, 4, 7u8), (2, 0, 8)] {
            let signed = Signed {
                account: [account; 32],
                key: [account; 32],
                body: announcement(start, 5, 3),
                signature: [0; 64],
            };
            peers.heard(&Peer::new([peer]), signed, Duration::from_millis(2));
        }
        // Often enough for a long pause.
        for _ in 0..9 {
            peers.failed(&Peer::new([1]));
        }
        let seen = peers.seen(&[1; 32]);
        let [first, second] = &seen[..] else {
            panic!("two holders, not {seen:?}")
        };
        assert_eq!(
            (&first.holder.layers, &second.holder.layers),
            (&(0..2), &(4..6))
        );
        assert_eq!((first.state, second.state), (State::Free, State::Busy));
        assert_eq!((first.free_sessions, first.free_positions), (3, 5));
        assert_eq!((first.rtt, first.trust), (Some(0.002), 1.0));
        assert!(second.trust < 0.6);
        assert_eq!(peers.seen(&[2; 32]), []);
    }

    #[test]
    fn pings_count_where_work_has_measured_nothing_lately() {
        let (peers, peer) = (Peers::default(), Peer::new([1]));
        let signed = Signed {
            account: [7; 32],
            key: [7; 32],
            body: announcement(0, 5, 3),
            signature: [0; 64],
        };
        peers.heard(&peer, signed, Duration::from_millis(2));
        peers.pinged(&peer, 0.25);
        assert_eq!(peers.rtt(&peer), Some(0.25));
        let (held, wire) = (Duration::from_millis(1), Duration::from_millis(250));
        peers.measured(&peer, &[1; 32], 2, 1, held, Some(wire));
        assert!(peers.has_worked(&peer));
        peers.pinged(&peer, 0.001);
        assert_eq!(peers.rtt(&peer), Some(0.25));
    }

    #[test]
    fn a_server_held_rows_no_longer_than_its_speed_explains() {
        let (peers, peer, model) = (Peers::default(), Peer::new([1]), [1; 32]);
        let signed = Signed {
            account: [7; 32],
            key: [7; 32],
            body: announcement(0, 5, 3),
            signature: [0; 64],
        };
        peers.heard(&peer, signed, Duration::from_millis(2));
        let second = Duration::from_secs(1);
        let computed = |rows, held| peers.computed(&peer, &model, 2, rows, held);
        assert_eq!(computed(64, second), None, "its speed is only its word");
        peers.measured(&peer, &model, 2, 1, Duration::from_millis(10), None);
        let near = |a: Option<Duration>, ms: f64| {
            a.is_some_and(|a| (a.as_secs_f64() * 1e3 - ms).abs() < 1e-3)
        };
        assert!(near(computed(64, second), 640.0));
        assert!(near(computed(64, second / 10), 100.0));
    }

    #[test]
    fn trust_is_the_accounts_and_survives_its_nodes() {
        let peers = Peers::default();
        let announce = |peer: u8, account: u8| {
            let signed = Signed {
                account: [account; 32],
                key: [account; 32],
                body: Announcement {
                    model: [1; 32],
                    layers: Span { start: 0, end: 2 },
                    throughput: 1.0,
                    free_positions: 1,
                    free_sessions: 1,
                    wires: vec![],
                    key: [0; 32],
                    time: 0,
                },
                signature: [0; 64],
            };
            peers.heard(&Peer::new([peer]), signed, Duration::ZERO);
        };
        let trust = |peer: u8| peers.trust(&Peer::new([peer]));
        announce(1, 7);
        announce(2, 8);
        let wrong = compare(&[1.0], &[-1.0], 1, WireFormat::F32);
        assert!(peers.compared(&[7; 32], &wrong) < 0.5);
        // A signature that does not match costs as much as a mismatch.
        assert_eq!(peers.forged(&[9; 32]), peers.trust_in(&[7; 32]));
        peers.compared(&[7; 32], &wrong);
        assert_eq!((trust(1), trust(2)), (0.0, 1.0));
        // Another identity of the same agent inherits what it did, and a silent one is forgotten.
        peers.disconnected(&Peer::new([1]));
        peers.tidy();
        announce(3, 7);
        assert_eq!(trust(3), 0.0);
    }
}
