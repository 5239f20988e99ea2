// SPDX-License-Identifier: Apache-2.0
//! Measurements between the holders of a model: those of this node, and those that others report.
//!
//! [`starling_planner::survey`] decides how far reports are believed. Nothing is sent only to measure
//! bandwidth, and round trips are pinged only where no work has measured them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use starling_planner::survey::{believe, median, Belief, Beliefs, Planner, Reporter, Sight, Watch};

use super::peers::Fact;
use crate::{
    auth::Account,
    message::{SurveyV1, Surveyed, MAX_SURVEYED},
    transport::{ModelId, Peer},
};

/// Time between two rounds of measurements, and where there are many holders.
const EVERY: Duration = Duration::from_secs(60);
const EVERY_OF_MANY: Duration = Duration::from_secs(300);
const MANY: usize = 200;

/// Age up to which a measurement or a report counts.
const FRESH: Duration = Duration::from_secs(600);

/// Holders that a round pings: the nearest ones, and others in turn.
const NEAREST: usize = 64;
const IN_TURN: usize = 64;

/// Bytes of a message and its answer from which they measure the bandwidth of the path.
const LEAST_BYTES: usize = 64 << 10;

/// Kept measurements of a path's bandwidth.
const PATHS: usize = 32;

/// Nodes that are kept of a model, and nodes with measurements.
const MOST_NODES: usize = 2 * MAX_SURVEYED;

/// This node's measurements of another.
#[derive(Default)]
struct Meter {
    /// Seconds of round trips, the least of each round.
    rtt: VecDeque<(Instant, f64)>,
    /// Kbit/s of there and back together.
    kbps: VecDeque<f64>,
}

impl Meter {
    /// Records a round trip. Returns the median of the fresh ones.
    fn pinged(&mut self, rtt: f64, now: Instant) -> f64 {
        self.rtt.push_back((now, rtt));
        let fresh = |at: Instant| now.saturating_duration_since(at) <= FRESH;
        self.rtt.retain(|(at, _)| fresh(*at));
        let fresh = self.rtt.iter().map(|(_, rtt)| *rtt).collect();
        median(fresh).unwrap_or(rtt)
    }

    /// Records bytes that took `seconds` besides a round trip.
    fn carried(&mut self, bytes: usize, seconds: f64) {
        let kbps = bytes as f64 * 8e-3 / seconds;
        if bytes < LEAST_BYTES || !kbps.is_finite() || kbps <= 0.0 {
            return;
        }
        self.kbps.push_back(kbps);
        if self.kbps.len() > PATHS {
            self.kbps.pop_front();
        }
    }

    /// The ninetieth percentile: a message is slowed by others, and never sped up.
    fn kbps(&self) -> Option<f64> {
        let mut sorted: Vec<_> = self.kbps.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().checked_sub(1)? * 9 / 10).copied()
    }
}

/// A report of another node.
struct Report {
    account: Account,
    survey: SurveyV1,
    at: Instant,
}

/// The holders of one model.
#[derive(Default)]
struct Swarm {
    watches: HashMap<Peer, Watch>,
    reports: HashMap<Peer, Report>,
    /// This node's own rows, as it reports them.
    rows: Vec<Surveyed>,
    known: Option<Arc<Known>>,
    /// Time and number of holders of the last round.
    last: Option<(Instant, usize)>,
    rounds: usize,
}

/// A swarm as far as reports about it are believed.
pub(crate) struct Known {
    places: HashMap<Peer, usize>,
    beliefs: Beliefs,
}

impl Known {
    /// Seconds of a round trip between two nodes.
    pub fn rtt(&self, a: &Peer, b: &Peer) -> Option<f64> {
        let (a, b) = (self.places.get(a)?, self.places.get(b)?);
        self.beliefs.rtt(*a, *b)
    }

    /// The facts about a node.
    pub fn belief(&self, peer: &Peer) -> Option<Belief> {
        let place = self.places.get(peer)?;
        self.beliefs.nodes.get(*place).copied()
    }

    /// Tokens · layers a second up to which the claim of an unknown node counts.
    pub fn most_throughput(&self) -> f64 {
        self.beliefs.most_throughput
    }

    /// Numbers in the reports that made no sense.
    pub fn bad(&self) -> usize {
        self.beliefs.bad
    }
}

/// All measurements and reports.
#[derive(Default)]
pub(crate) struct Surveys {
    meters: Mutex<HashMap<Peer, Meter>>,
    swarms: Mutex<HashMap<ModelId, Swarm>>,
}

impl Surveys {
    /// Whether a round is due: some time after the last one that found holders.
    pub fn is_due(&self, model: &ModelId, now: Instant) -> bool {
        let swarms = self.swarms.lock();
        let last = swarms.get(model).and_then(|swarm| swarm.last);
        let every = |holders| match holders {
            0 => Duration::ZERO,
            1..=MANY => EVERY,
            _ => EVERY_OF_MANY,
        };
        last.is_none_or(|(at, holders)| now.saturating_duration_since(at) >= every(holders))
    }

    /// Begins a round with these holders. Counts who is there, and returns those to ping.
    pub fn begin(&self, model: &ModelId, mut holders: Vec<Fact>, now: Instant) -> HashSet<Peer> {
        let mut swarms = self.swarms.lock();
        let swarm = swarms.entry(*model).or_default();
        let there: HashSet<_> = holders.iter().map(|fact| fact.peer.clone()).collect();
        if swarm.watches.len() > MOST_NODES {
            swarm.watches.retain(|peer, _| there.contains(peer));
        }
        for peer in &there {
            swarm.watches.entry(peer.clone()).or_default();
        }
        for (peer, watch) in &mut swarm.watches {
            watch.look(there.contains(peer));
        }
        swarm.last = Some((now, holders.len()));
        swarm.rounds = swarm.rounds.wrapping_add(1);
        let far = |fact: &Fact| fact.rtt.unwrap_or(f64::INFINITY);
        holders.sort_by(|a, b| far(a).total_cmp(&far(b)).then_with(|| a.peer.cmp(&b.peer)));
        let chosen = chosen(holders.len(), swarm.rounds);
        let chosen = chosen.into_iter().filter_map(|place| holders.get(place));
        chosen.map(|fact| fact.peer.clone()).collect()
    }

    /// Records the least of a round's pings. Returns the median of ten minutes.
    pub fn pinged(&self, peer: &Peer, rtt: Duration, now: Instant) -> f64 {
        let rtt = rtt.as_secs_f64();
        let mut meters = self.meters.lock();
        meter(&mut meters, peer).map_or(rtt, |meter| meter.pinged(rtt, now))
    }

    /// Records bytes of a message and its answer that took `wire`, where a round trip takes `rtt`
    /// seconds.
    pub fn carried(&self, peer: &Peer, bytes: usize, wire: Duration, rtt: f64) {
        let mut meters = self.meters.lock();
        if let Some(meter) = meter(&mut meters, peer) {
            meter.carried(bytes, wire.as_secs_f64() - rtt);
        }
    }

    /// Takes in a genuine report.
    pub fn heard(
        &self,
        peer: &Peer,
        model: &ModelId,
        account: Account,
        survey: SurveyV1,
        at: Instant,
    ) {
        let report = Report {
            account,
            survey,
            at,
        };
        let mut swarms = self.swarms.lock();
        let reports = &mut swarms.entry(*model).or_default().reports;
        reports.insert(peer.clone(), report);
    }

    /// Joins this node's measurements of the holders with the reports of others.
    pub fn join(
        &self,
        model: &ModelId,
        holders: &[Fact],
        local: &Peer,
        now: Instant,
    ) -> Arc<Known> {
        let mut swarms = self.swarms.lock();
        let swarm = swarms.entry(*model).or_default();
        let fresh = |report: &Report| now.saturating_duration_since(report.at) <= FRESH;
        swarm.reports.retain(|_, report| fresh(report));
        let watch = |fact: &Fact| swarm.watches.get(&fact.peer).copied().unwrap_or_default();
        let watches: Vec<_> = holders.iter().map(watch).collect();
        let meters = self.meters.lock();
        let own = |(fact, watch): (&Fact, &Watch)| Sight {
            rtt: fact.rtt,
            throughput: fact.measured,
            kbps: meters.get(&fact.peer).and_then(Meter::kbps),
            heard: watch.share(),
        };
        let sights: Vec<_> = holders.iter().zip(&watches).map(own).collect();
        drop(meters);
        let of_others = || {
            let all = holders.iter().zip(&sights).enumerate();
            all.filter(move |(_, (fact, _))| fact.peer != *local)
        };
        swarm.rows = of_others()
            .map(|(_, (fact, sight))| row(fact, sight))
            .collect();
        let places = holders.iter().enumerate();
        let places: HashMap<_, _> = places.map(|(at, f)| (f.peer.clone(), at)).collect();
        let reporter = |fact: &Fact| {
            let report = swarm.reports.get(&fact.peer);
            let report = report.filter(|report| report.account == fact.account);
            let mut reporter = reporter(fact, report, &places);
            if fact.peer == *local {
                let own = of_others().map(|(place, (_, sight))| (place, *sight));
                reporter.sights = own.collect();
            }
            reporter
        };
        let reporters: Vec<_> = holders.iter().map(reporter).collect();
        let planner = Planner {
            place: places.get(local).copied(),
            sights: &sights,
            watches: &watches,
        };
        let beliefs = believe(&reporters, planner);
        let known = Arc::new(Known { places, beliefs });
        swarm.known = Some(known.clone());
        known
    }

    /// The swarm of a model as of the last round.
    pub fn known(&self, model: &ModelId) -> Option<Arc<Known>> {
        self.swarms.lock().get(model)?.known.clone()
    }

    /// This node's own rows about a model's holders.
    pub fn rows(&self, model: &ModelId) -> Vec<Surveyed> {
        let swarms = self.swarms.lock();
        swarms.get(model).map_or(vec![], |swarm| swarm.rows.clone())
    }
}

/// The nodes in the order in which they are surveyed: those of active agents first, and of each
/// account one after the other. Identities are free, and none crowds out the others.
pub(super) fn in_turn(nodes: &[Fact], is_active: impl Fn(&Account) -> bool) -> Vec<Peer> {
    let mut before = HashMap::<Account, usize>::new();
    let mut turns: Vec<_> = nodes
        .iter()
        .map(|fact| {
            let turn = before.entry(fact.account).or_default();
            *turn += 1;
            ((!is_active(&fact.account), *turn), &fact.peer)
        })
        .collect();
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, peer)| peer.clone()).collect()
}

/// The meter of a node, if there is room for one.
fn meter<'a>(meters: &'a mut HashMap<Peer, Meter>, peer: &Peer) -> Option<&'a mut Meter> {
    if !meters.contains_key(peer) {
        if meters.len() >= MOST_NODES {
            let newest = |meter: &Meter| meter.rtt.back().map(|(at, _)| *at);
            let fresh = |at: Instant| at.elapsed() <= FRESH;
            meters.retain(|_, meter| newest(meter).is_some_and(fresh));
        }
        if meters.len() >= MOST_NODES {
            return None;
        }
    }
    Some(meters.entry(peer.clone()).or_default())
}

/// The places of the nodes to ping among `nodes`, nearest first: the nearest ones, and as many of
/// the others, by turns.
fn chosen(nodes: usize, round: usize) -> Vec<usize> {
    let near = nodes.min(NEAREST);
    let others = nodes - near;
    let turn = (0..others.min(IN_TURN)).map(|at| {
        let from = round.wrapping_mul(IN_TURN);
        near + from.wrapping_add(at) % others
    });
    (0..near).chain(turn).collect()
}

/// A node's claims and its report, if it has one.
fn reporter(fact: &Fact, report: Option<&Report>, places: &HashMap<Peer, usize>) -> Reporter {
    let stated = |kbps: u32| (kbps > 0).then_some(f64::from(kbps));
    let survey = report.map(|report| &report.survey);
    let links = survey.map_or([None; 2], |survey| {
        [survey.up_kbps, survey.down_kbps].map(stated)
    });
    let rows: &[Surveyed] = survey.map_or(&[], |survey| survey.rows.as_slice());
    let sights = rows.iter().filter_map(|row| {
        let place = places.get(&row.peer)?;
        Some((*place, sight(row)))
    });
    Reporter {
        account: fact.account,
        throughput: fact.announced,
        links,
        sights: sights.collect(),
    }
}

/// A sight as a row; what was measured is at least 1.
fn row(fact: &Fact, sight: &Sight) -> Surveyed {
    let within =
        |value: Option<f64>, most: f64| value.map_or(0.0, |value| value.round().clamp(1.0, most));
    Surveyed {
        peer: fact.peer.clone(),
        rtt: within(sight.rtt.map(|rtt| rtt * 1e4), u16::MAX.into()) as u16,
        throughput: within(sight.throughput, u32::MAX.into()) as u32,
        kbps: within(sight.kbps, u32::MAX.into()) as u32,
        heard: within(sight.heard.map(|share| share * 255.0), u8::MAX.into()) as u8,
    }
}

/// A row as a sight.
fn sight(row: &Surveyed) -> Sight {
    let measured = |value: f64| (value > 0.0).then_some(value);
    Sight {
        rtt: measured(f64::from(row.rtt) * 1e-4),
        throughput: measured(row.throughput.into()),
        kbps: measured(row.kbps.into()),
        heard: measured(f64::from(row.heard) / 255.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fact(peer: u8, rtt: Option<f64>, announced: f64) -> Fact {
        Fact {
            peer: Peer::new([peer]),
            account: [peer; 32],
            announced,
            measured: None,
            rtt,
        }
    }

    fn survey(rows: Vec<Surveyed>) -> SurveyV1 {
        SurveyV1 {
            model: [1; 32],
            up_kbps: 0,
            down_kbps: 0,
            rows,
            time: 0,
        }
    }

    proptest! {
        #[test]
        fn a_sight_comes_through_a_row(
            rtt in proptest::option::of(1e-4f64..6.0),
            throughput in proptest::option::of(1f64..1e6),
            kbps in proptest::option::of(1f64..1e8),
            heard in proptest::option::of(0.01f64..=1.0),
        ) {
            let before = Sight { rtt, throughput, kbps, heard };
            let after = sight(&row(&fact(1, None, 1.0), &before));
            let near = |a: Option<f64>, b: Option<f64>, by: f64| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= by,
                (a, b) => a == b,
            };
            prop_assert!(near(before.rtt, after.rtt, 5.1e-5));
            prop_assert!(near(before.throughput, after.throughput, 0.51));
            prop_assert!(near(before.kbps, after.kbps, 0.51));
            prop_assert!(near(before.heard, after.heard, 0.51 / 255.0));
        }

        #[test]
        fn numbers_beyond_a_row_are_cut(value in any::<f64>()) {
            let value = Some(value);
            let any = Sight { rtt: value, throughput: value, kbps: value, heard: value };
            // Never panics, and never a number that the planner refuses but NaN, which becomes 0.
            let after = sight(&row(&fact(1, None, 1.0), &any));
            prop_assert!(after.rtt.is_none_or(|rtt| rtt > 0.0 && rtt < 7.0));
            prop_assert!(after.heard.is_none_or(|heard| heard <= 1.0));
        }

        #[test]
        fn all_far_nodes_have_their_turn_and_no_round_pings_many(nodes in 0usize..600, from in any::<usize>()) {
            let rounds = nodes / IN_TURN + 1;
            let mut pinged = HashSet::new();
            for round in 0..rounds {
                let chosen = chosen(nodes, from.wrapping_add(round));
                let distinct: HashSet<_> = chosen.iter().copied().collect();
                prop_assert!(chosen.len() <= NEAREST + IN_TURN && distinct.len() == chosen.len());
                prop_assert!(chosen.iter().all(|place| *place < nodes));
                pinged.extend(distinct);
            }
            // Turns that overflow may leave a gap once in 2^58 rounds.
            if from < usize::MAX / (4 * IN_TURN) {
                prop_assert_eq!(pinged.len(), nodes);
            }
        }
    }

    #[test]
    fn many_nodes_of_one_account_or_without_a_bond_crowd_out_nobody() {
        let of = |peer: u8, account: u8| Fact {
            account: [account; 32],
            ..fact(peer, None, 1.0)
        };
        let nodes = [of(1, 9), of(2, 7), of(3, 7), of(4, 7), of(5, 8), of(6, 8)];
        let order = in_turn(&nodes, |account| *account != [9; 32]);
        assert_eq!(order, [2, 5, 3, 6, 4, 1].map(|peer| Peer::new([peer])));
    }

    #[test]
    fn round_trips_are_the_median_of_ten_minutes() {
        let mut meter = Meter::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(meter.pinged(0.5, at(0)), 0.5);
        assert_eq!(meter.pinged(0.02, at(60)), 0.02);
        assert_eq!(meter.pinged(0.03, at(120)), 0.03);
        assert_eq!(meter.pinged(0.9, at(900)), 0.9, "the others are old");
    }

    #[test]
    fn paths_are_measured_by_large_messages_alone() {
        let mut meter = Meter::default();
        meter.carried(LEAST_BYTES - 1, 0.1);
        meter.carried(LEAST_BYTES, 0.0);
        meter.carried(LEAST_BYTES, -1.0);
        assert_eq!(meter.kbps(), None);
        for tenth in 1..=100 {
            meter.carried(125_000, 10.0 / f64::from(tenth));
        }
        // The last 32 are of 6,900 to 10,000 kbit/s.
        let kbps = meter.kbps().unwrap();
        assert!((9_500.0..=9_700.0).contains(&kbps), "{kbps}");
        assert_eq!(meter.kbps.len(), PATHS);
    }

    #[test]
    fn reports_of_another_account_or_of_long_ago_do_not_count() {
        let surveys = Surveys::default();
        let (model, start) = ([1; 32], Instant::now());
        let holders = [1, 2].map(|peer| fact(peer, None, 5.0));
        let of_second = Surveyed {
            peer: Peer::new([2]),
            rtt: 400,
            throughput: 0,
            kbps: 0,
            heard: 255,
        };
        let known = |account: u8, later: u64| {
            let report = survey(vec![of_second.clone()]);
            surveys.heard(&Peer::new([1]), &model, [account; 32], report, start);
            let now = start + Duration::from_secs(later);
            let known = surveys.join(&model, &holders, &Peer::new([9]), now);
            known.rtt(&Peer::new([2]), &Peer::new([1]))
        };
        assert_eq!(known(1, 0), Some(1.25 * 0.04));
        assert_eq!(known(7, 0), None);
        assert_eq!(known(1, 601), None);
    }

    #[test]
    fn who_is_away_is_counted_and_told_to_others() {
        let surveys = Surveys::default();
        let (model, now, local) = ([1; 32], Instant::now(), Peer::new([9]));
        let both = vec![fact(1, Some(0.01), 5.0), fact(2, Some(0.02), 5.0)];
        let pinged = surveys.begin(&model, both.clone(), now);
        assert_eq!(pinged.len(), 2);
        surveys.begin(&model, both[..1].to_vec(), now);
        let known = surveys.join(&model, &both, &local, now);
        let available = |peer: u8| known.belief(&Peer::new([peer])).unwrap().availability;
        assert!(available(1) > 0.9 && available(2) < 0.9);
        let rows = surveys.rows(&model);
        let told: Vec<_> = rows.iter().map(|row| (row.rtt, row.heard)).collect();
        assert_eq!(told, [(100, 255), (200, 128)]);
    }

    #[test]
    fn a_round_is_due_a_minute_after_the_last() {
        let surveys = Surveys::default();
        let (model, start) = ([1; 32], Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(surveys.is_due(&model, at(0)));
        surveys.begin(&model, vec![], at(0));
        assert!(surveys.is_due(&model, at(0)), "nobody was there");
        surveys.begin(&model, vec![fact(1, None, 1.0)], at(0));
        assert!(!surveys.is_due(&model, at(59)) && surveys.is_due(&model, at(60)));
        let many = vec![fact(1, None, 1.0); MANY + 1];
        surveys.begin(&model, many, at(60));
        assert!(!surveys.is_due(&model, at(359)) && surveys.is_due(&model, at(360)));
    }
}
