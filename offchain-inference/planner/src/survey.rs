// SPDX-License-Identifier: Apache-2.0
//! A swarm as its nodes report it, so that no node can improve its own place by its word.
//!
//! - **Round trips** are symmetric. Of two claims the larger counts, a single one counts by a
//!   quarter more, and nodes without a claim are as far apart as their nearest common neighbour
//!   says. Two nodes that know each other's distance from the same third ones cannot be much nearer
//!   than those distances differ: by half of the median difference at least.
//! - **Speed and links** count as others measured them, by the median over accounts other than the
//!   node's own. A claim can only lower that. Where fewer than three accounts measured, the claim
//!   counts up to twice the swarm's median of measurements.
//! - **Availability** is counted by the node that plans; the median of others is no more than its
//!   first guess.
//!
//! A node's own measurements go before all reports. A number that makes no sense is left out and
//! counted.

use std::collections::{BTreeMap, BTreeSet};

/// An account's bytes.
pub type Account = [u8; 32];

/// Accounts that must have measured for their median to count.
pub const QUORUM: usize = 3;

/// Factor of a claim that nobody else bears out.
const ONE_SIDED: f64 = 1.25;

/// Share of the median difference of distances that two nodes are apart at least. Real round trips
/// break the triangle inequality, and the whole difference would be more than the truth for some.
const LEAST_APART: f64 = 0.5;

/// Factor of the median measurement up to which claims count that nobody measured.
const MOST_UNMEASURED: f64 = 2.0;

/// The longest round trip that is believed, in seconds.
const LONGEST: f64 = 60.0;

/// The longest round trip that follows from common neighbours, in seconds.
const LONGEST_RELAYED: f64 = 1.0;

/// The most tokens · layers a second that are believed.
const FASTEST: f64 = 1e9;

/// Bandwidth up and down of a node that states none, in kbit/s.
const LINKS: [f64; 2] = [20e3, 100e3];

/// Bounds of a bandwidth, in kbit/s.
const LINK_BOUNDS: [f64; 2] = [64.0, 1e8];

/// Tokens · layers a second of a node whose claim makes no sense.
const SLOW: f64 = 1.0;

/// The measurements of one node about another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sight {
    /// Seconds of a round trip.
    pub rtt: Option<f64>,
    /// Tokens · layers a second.
    pub throughput: Option<f64>,
    /// Bandwidth of the path, of there and back together, in kbit/s.
    pub kbps: Option<f64>,
    /// Share of the looks at the node at which it was there.
    pub heard: Option<f64>,
}

/// A node, with its claims about itself and its sights of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reporter {
    /// Its account. Nodes of one account have one voice together, and none about each other.
    pub account: Account,
    /// Tokens · layers a second, as it says.
    pub throughput: f64,
    /// Bandwidth up and down, as it says, in kbit/s.
    pub links: [Option<f64>; 2],
    /// Its sights, by the places of the other nodes.
    pub sights: Vec<(usize, Sight)>,
}

/// The looks of this node at another, and those at which it was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    looks: u32,
    heard: u32,
}

impl Watch {
    /// Looks after which older ones count half: those of a day, one a minute.
    const DAY: u32 = 1_440;

    /// Weight of the first guess, in looks.
    const GUESS: f64 = 10.0;

    /// Availability of a node that nobody has watched.
    const UNKNOWN: f64 = 0.9;

    /// Counts a look.
    pub fn look(&mut self, heard: bool) {
        if self.looks >= Self::DAY {
            self.looks /= 2;
            self.heard /= 2;
        }
        self.looks += 1;
        self.heard += u32::from(heard);
    }

    /// The share of looks at which it was there, if there were any.
    pub fn share(&self) -> Option<f64> {
        (self.looks > 0).then(|| f64::from(self.heard) / f64::from(self.looks))
    }

    /// Chance that the node is there in the next hour.
    fn availability(&self, others: Option<f64>) -> f64 {
        let guess = others.map_or(Self::UNKNOWN, |share| share.clamp(0.01, 0.99));
        let heard = f64::from(self.heard) + Self::GUESS * guess;
        heard / (f64::from(self.looks) + Self::GUESS)
    }
}

/// The node that plans, with its own measurements. They go before all reports.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// Its place among the nodes, if it is one of them.
    pub place: Option<usize>,
    /// Its sights of all nodes.
    pub sights: &'a [Sight],
    /// Its looks at all nodes.
    pub watches: &'a [Watch],
}

/// A node as far as its reports are believed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// Tokens · layers a second.
    pub throughput: f64,
    /// Tokens · layers a second up to which its own claim counts.
    pub most_throughput: f64,
    /// Bandwidth up, in kbit/s.
    pub up_kbps: f64,
    /// Bandwidth down, in kbit/s.
    pub down_kbps: f64,
    /// Chance that it is there in the next hour.
    pub availability: f64,
}

/// A swarm as far as its reports are believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Beliefs {
    /// The nodes, in the order of the reporters.
    pub nodes: Vec<Belief>,
    /// Tokens · layers a second up to which the claim of a node counts that nobody measured.
    pub most_throughput: f64,
    /// Numbers that made no sense.
    pub bad: usize,
    rtt: Vec<Option<f64>>,
}

impl Beliefs {
    /// Seconds of a round trip between two nodes; `None` if nothing is known.
    pub fn rtt(&self, i: usize, j: usize) -> Option<f64> {
        let n = self.nodes.len();
        if i == j && i < n {
            return Some(0.0);
        }
        let at = i.checked_mul(n)?.checked_add(j)?;
        self.rtt.get(at).copied().flatten().filter(|_| j < n)
    }
}

/// Joins the reports of all nodes.
pub fn believe(nodes: &[Reporter], planner: Planner<'_>) -> Beliefs {
    let own: Vec<_> = (0..nodes.len())
        .map(|node| planner.sights.get(node).copied().unwrap_or_default())
        .collect();
    let reports = Reports::new(nodes);
    let throughput = reports.voices(|sight| sight.throughput);
    let measured = own.iter().zip(&throughput);
    let measured = measured.filter_map(|(own, others)| own.throughput.or(*others));
    let most_throughput = limit(measured.collect());
    let paths = reports.voices(|sight| sight.kbps);
    let paths: Vec<_> = own.iter().zip(paths).map(|(o, p)| o.kbps.or(p)).collect();
    let most_path = limit(paths.iter().copied().flatten().collect());
    let heard = reports.voices(|sight| sight.heard);
    let mut bad = reports.bad;
    let believed = nodes.iter().enumerate().map(|(at, node)| {
        let claim = sane(Some(node.throughput), FASTEST, &mut bad).unwrap_or(SLOW);
        let links = node.links.map(|link| sane(link, LINK_BOUNDS[1], &mut bad));
        let [up_kbps, down_kbps] = bounded_links(links, paths[at], most_path);
        let watch = planner.watches.get(at).copied().unwrap_or_default();
        let most = throughput[at].unwrap_or(most_throughput);
        Belief {
            throughput: own[at].throughput.unwrap_or_else(|| claim.min(most)),
            most_throughput: most,
            up_kbps,
            down_kbps,
            availability: watch.availability(heard[at]),
        }
    });
    let nodes_believed = believed.collect();
    Beliefs {
        nodes: nodes_believed,
        most_throughput,
        bad,
        rtt: round_trips(nodes, &reports, planner.place, &own),
    }
}

/// The sensible sights of all nodes.
struct Reports {
    /// By the node that they are about: account and sight of each other account's nodes.
    about: Vec<Vec<(Account, Sight)>>,
    /// Claimed round trips, row after row by the claiming node.
    rtt: Vec<Option<f64>>,
    bad: usize,
}

impl Reports {
    fn new(nodes: &[Reporter]) -> Self {
        let n = nodes.len();
        let mut reports = Self {
            about: vec![vec![]; n],
            rtt: vec![None; n * n],
            bad: 0,
        };
        for (from, node) in nodes.iter().enumerate() {
            for (to, sight) in &node.sights {
                reports.add(from, *to, nodes, sight);
            }
        }
        reports
    }

    fn add(&mut self, from: usize, to: usize, nodes: &[Reporter], sight: &Sight) {
        let bad = &mut self.bad;
        let (true, Some(other)) = (from != to, nodes.get(to)) else {
            *bad += 1;
            return;
        };
        let sight = Sight {
            rtt: sane(sight.rtt, LONGEST, bad),
            throughput: sane(sight.throughput, FASTEST, bad),
            kbps: sane(sight.kbps, LINK_BOUNDS[1], bad),
            heard: share(sight.heard, bad),
        };
        let claim = &mut self.rtt[from * nodes.len() + to];
        // Of two rows about one node the farther counts.
        *claim = match (*claim, sight.rtt) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        if nodes[from].account != other.account {
            self.about[to].push((nodes[from].account, sight));
        }
    }

    /// For each node the median over accounts of each account's median, where enough accounts
    /// measured.
    fn voices(&self, value: impl Fn(&Sight) -> Option<f64>) -> Vec<Option<f64>> {
        let of_node = |reports: &Vec<(Account, Sight)>| {
            let mut accounts = BTreeMap::<Account, Vec<f64>>::new();
            for (account, sight) in reports {
                if let Some(value) = value(sight) {
                    accounts.entry(*account).or_default().push(value);
                }
            }
            if accounts.len() < QUORUM {
                return None;
            }
            median(accounts.into_values().filter_map(median).collect())
        };
        self.about.iter().map(of_node).collect()
    }
}

/// Round trips between all nodes in seconds, row after row.
fn round_trips(
    nodes: &[Reporter],
    reports: &Reports,
    planner: Option<usize>,
    own: &[Sight],
) -> Vec<Option<f64>> {
    let n = nodes.len();
    let witnesses = witnesses(nodes);
    let claim = |i: usize, j: usize| reports.rtt[i * n + j];
    let mut joined = vec![None; n * n];
    let mut certain = vec![false; n * n];
    for i in 0..n {
        for j in i + 1..n {
            let measured = match planner {
                Some(place) if place == i => own[j].rtt,
                Some(place) if place == j => own[i].rtt,
                _ => None,
            };
            let claims = (claim(i, j), claim(j, i));
            let rtt = measured.or_else(|| {
                let claimed = match claims {
                    (Some(a), Some(b)) => a.max(b),
                    (a, b) => ONE_SIDED * a.or(b)?,
                };
                let apart = |k: usize| Some((claim(k, i)? - claim(k, j)?).abs());
                let third = witnesses.iter().filter(|k| **k != i && **k != j);
                let apart: Vec<_> = third.filter_map(|k| apart(*k)).collect();
                let enough = apart.len() >= QUORUM;
                let least = median(apart).filter(|_| enough).unwrap_or_default();
                Some(claimed.max(LEAST_APART * least))
            });
            let sure = measured.is_some() || matches!(claims, (Some(_), Some(_)));
            for at in [i * n + j, j * n + i] {
                joined[at] = rtt;
                certain[at] = sure;
            }
        }
    }
    relay(n, &mut joined, &certain);
    joined
}

/// Fills in pairs without a claim over common neighbours, of which both sides are certain.
fn relay(n: usize, joined: &mut [Option<f64>], certain: &[bool]) {
    for i in 0..n {
        for j in (i + 1..n)
            .filter(|j| joined[i * n + j].is_none())
            .collect::<Vec<_>>()
        {
            let common = (0..n).filter(|k| certain[i * n + k] && certain[k * n + j]);
            let over = common.filter_map(|k| Some(joined[i * n + k]? + joined[k * n + j]?));
            let rtt = over.min_by(f64::total_cmp);
            let rtt = rtt.map(|rtt| (ONE_SIDED * rtt).min(LONGEST_RELAYED));
            joined[i * n + j] = rtt;
            joined[j * n + i] = rtt;
        }
    }
}

/// The first node of each account.
fn witnesses(nodes: &[Reporter]) -> Vec<usize> {
    let mut known = BTreeSet::new();
    let first = nodes.iter().enumerate();
    let first = first.filter(|(_, node)| known.insert(node.account));
    first.map(|(place, _)| place).collect()
}

/// Bandwidth up and down, so that there and back together fit the measured path. A path also has
/// the other side's link, so that a claim may be twice as much.
fn bounded_links(claimed: [Option<f64>; 2], path: Option<f64>, most: f64) -> [f64; 2] {
    let stated = claimed.iter().any(Option::is_some);
    let links = [0, 1].map(|way| claimed[way].unwrap_or(LINKS[way]));
    let both = 2.0 / (1.0 / links[0] + 1.0 / links[1]);
    let scale = match path {
        Some(path) if stated => (MOST_UNMEASURED * path / both).min(1.0),
        Some(path) => path / both,
        None => (most / both).min(1.0),
    };
    links.map(|link| (link * scale).clamp(LINK_BOUNDS[0], LINK_BOUNDS[1]))
}

/// The limit of claims that nobody measured; infinite where nothing was measured.
fn limit(measured: Vec<f64>) -> f64 {
    median(measured).map_or(f64::INFINITY, |median| MOST_UNMEASURED * median)
}

/// The median; of an even number the lesser one in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

/// A positive number up to `most`; others are counted as bad.
fn sane(value: Option<f64>, most: f64, bad: &mut usize) -> Option<f64> {
    let value = value?;
    if value > 0.0 && value <= most {
        return Some(value);
    }
    *bad += 1;
    None
}

/// A number from 0 to 1; others are counted as bad.
fn share(value: Option<f64>, bad: &mut usize) -> Option<f64> {
    let value = value?;
    if (0.0..=1.0).contains(&value) {
        return Some(value);
    }
    *bad += 1;
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Nodes on a plane with what each measures of the others; all of different accounts.
    fn honest(places: &[(f64, f64)]) -> Vec<Reporter> {
        let n = places.len();
        let sight = |i: usize, j: usize| Sight {
            rtt: Some(distance(places, i, j)),
            throughput: Some(speed(j)),
            kbps: Some(10e3),
            heard: Some(1.0),
        };
        (0..n)
            .map(|i| Reporter {
                account: [i as u8; 32],
                throughput: speed(i),
                links: [None; 2],
                sights: (0..n)
                    .filter(|j| *j != i)
                    .map(|j| (j, sight(i, j)))
                    .collect(),
            })
            .collect()
    }

    fn distance(places: &[(f64, f64)], i: usize, j: usize) -> f64 {
        let (a, b) = (places[i], places[j]);
        1e-3 + (a.0 - b.0).hypot(a.1 - b.1)
    }

    fn speed(node: usize) -> f64 {
        100.0 + 10.0 * node as f64
    }

    fn places(nodes: usize) -> impl Strategy<Value = Vec<(f64, f64)>> {
        proptest::collection::vec((0f64..0.2, 0f64..0.2), nodes)
    }

    /// Any number, and often one that makes no sense.
    fn anything() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            Just(None),
            Just(Some(f64::NAN)),
            Just(Some(0.0)),
            Just(Some(-1.0)),
            Just(Some(f64::INFINITY)),
            Just(Some(1e300)),
            Just(Some(5e-4)),
            any::<f64>().prop_map(Some),
            (0f64..1e6).prop_map(Some),
        ]
    }

    fn lie() -> impl Strategy<Value = Sight> {
        (anything(), anything(), anything(), anything()).prop_map(
            |(rtt, throughput, kbps, heard)| Sight {
                rtt,
                throughput,
                kbps,
                heard,
            },
        )
    }

    /// A swarm whose first nodes say anything about themselves and all others, even nodes that do
    /// not exist.
    fn swarm(
        nodes: usize,
        liars: usize,
    ) -> impl Strategy<Value = (Vec<(f64, f64)>, Vec<Reporter>)> {
        let claims = (anything(), anything(), anything());
        let sights = proptest::collection::vec((0..nodes + 2, lie()), 0..2 * nodes);
        (
            places(nodes),
            proptest::collection::vec((claims, sights), liars),
        )
            .prop_map(|(places, lies)| {
                let mut all = honest(&places);
                for (node, ((throughput, up, down), sights)) in all.iter_mut().zip(lies) {
                    node.throughput = throughput.unwrap_or(f64::NAN);
                    node.links = [up, down];
                    node.sights = sights;
                }
                (places, all)
            })
    }

    fn outside() -> Planner<'static> {
        Planner {
            place: None,
            sights: &[],
            watches: &[],
        }
    }

    /// Liars below `liars`, who say anything, move no pair of honest nodes, come no nearer to an
    /// honest node than it measured, and gain no speed over what others measured.
    fn liars_gain_nothing(
        places: &[(f64, f64)],
        all: &[Reporter],
        liars: usize,
    ) -> Result<(), TestCaseError> {
        let beliefs = believe(all, outside());
        let truth = believe(&honest(places), outside());
        for i in 0..all.len() {
            for j in liars.max(i + 1)..all.len() {
                let (believed, measured) = (beliefs.rtt(i, j).unwrap(), distance(places, i, j));
                if i >= liars {
                    prop_assert_eq!(believed, measured);
                } else {
                    prop_assert!(believed >= measured, "{} {}", believed, measured);
                }
            }
            let (believed, measured) = (beliefs.nodes[i], truth.nodes[i]);
            if i >= liars {
                prop_assert_eq!(believed, measured);
            } else {
                prop_assert!(believed.throughput <= measured.throughput);
                prop_assert!(
                    believed.up_kbps <= LINK_BOUNDS[1] && believed.up_kbps >= LINK_BOUNDS[0]
                );
                prop_assert!(believed.availability <= measured.availability);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn one_liar_in_ten_gains_nothing((places, all) in swarm(20, 2)) {
            liars_gain_nothing(&places, &all, 2)?;
        }

        #[test]
        fn three_liars_in_ten_gain_nothing((places, all) in swarm(20, 6)) {
            liars_gain_nothing(&places, &all, 6)?;
        }

        #[test]
        fn liars_that_vouch_for_each_other_stay_half_as_far_apart_as_others_see(places in places(20)) {
            let mut all = honest(&places);
            for node in &mut all[..6] {
                for (_, sight) in node.sights.iter_mut().filter(|(other, _)| *other < 6) {
                    sight.rtt = Some(5e-4);
                }
            }
            let beliefs = believe(&all, outside());
            for (i, j) in [(0, 1), (2, 5)] {
                let seen = |k: usize| (distance(&places, k, i) - distance(&places, k, j)).abs();
                // Even if all liars' differences were the least ones.
                let mut seen: Vec<_> = (6..20).map(seen).collect();
                seen.sort_by(f64::total_cmp);
                prop_assert!(beliefs.rtt(i, j).unwrap() >= LEAST_APART * seen[8 - 4]);
            }
        }

        #[test]
        fn any_reports_give_a_symmetric_matrix_and_sensible_numbers((_, all) in swarm(6, 6)) {
            let beliefs = believe(&all, outside());
            for i in 0..6 {
                prop_assert_eq!(beliefs.rtt(i, i), Some(0.0));
                for j in 0..6 {
                    let rtt = beliefs.rtt(i, j);
                    prop_assert_eq!(rtt, beliefs.rtt(j, i));
                    prop_assert!(rtt.is_none_or(|rtt| (0.0..=ONE_SIDED * LONGEST).contains(&rtt)));
                }
                let Belief { throughput, up_kbps, down_kbps, availability, .. } = beliefs.nodes[i];
                prop_assert!(throughput > 0.0 && throughput <= FASTEST);
                for link in [up_kbps, down_kbps] {
                    prop_assert!((LINK_BOUNDS[0]..=LINK_BOUNDS[1]).contains(&link));
                }
                prop_assert!(availability > 0.0 && availability < 1.0);
            }
            prop_assert_eq!(beliefs.rtt(0, 6), None);
            prop_assert_eq!(beliefs.rtt(6, 0), None);
        }

        #[test]
        fn the_planners_own_measurements_go_first((_, all) in swarm(8, 4), own in 1e-3f64..1.0) {
            let sight = Sight { rtt: Some(own), throughput: Some(1e3 * own), ..Sight::default() };
            let planner = Planner { place: Some(7), sights: &[sight; 8], watches: &[] };
            let beliefs = believe(&all, planner);
            for i in 0..7 {
                prop_assert_eq!(beliefs.rtt(i, 7), Some(own));
                prop_assert_eq!(beliefs.nodes[i].throughput, 1e3 * own);
            }
        }
    }

    /// Four nodes that report only the given round trips.
    fn claimed(claims: &[(usize, usize, f64)]) -> Beliefs {
        let node = Reporter {
            throughput: 1.0,
            ..Reporter::default()
        };
        let mut all = vec![node; 4];
        for (from, to, rtt) in claims {
            let sight = Sight {
                rtt: Some(*rtt),
                ..Sight::default()
            };
            all[*from].sights.push((*to, sight));
        }
        believe(&all, outside())
    }

    #[test]
    fn one_claim_counts_more_and_none_goes_over_neighbours() {
        let beliefs = claimed(&[
            (0, 1, 0.1),
            (1, 0, 0.2),
            (2, 1, 0.04),
            (1, 2, 0.04),
            (0, 3, 0.2),
        ]);
        assert_eq!(beliefs.rtt(0, 1), Some(0.2));
        assert_eq!(beliefs.rtt(3, 0), Some(0.25));
        assert_eq!(beliefs.rtt(0, 2), Some(1.25 * (0.2 + 0.04)));
        assert_eq!(
            beliefs.rtt(2, 3),
            None,
            "one side of 0 and 3 is not certain"
        );
        let far = claimed(&[(0, 1, 9.0), (1, 0, 9.0), (2, 1, 9.0), (1, 2, 9.0)]);
        assert_eq!(far.rtt(0, 2), Some(LONGEST_RELAYED));
        assert_eq!(
            claimed(&[(0, 0, 0.1), (1, 9, 0.1), (0, 1, f64::NAN)]).bad,
            3
        );
    }

    #[test]
    fn an_account_has_one_voice_and_none_about_its_own_nodes() {
        let sight = |throughput| Sight {
            throughput: Some(throughput),
            ..Sight::default()
        };
        let reporter = |account: u8, throughput| Reporter {
            account: [account; 32],
            throughput: 1e6,
            sights: vec![(0, sight(throughput))],
            ..Reporter::default()
        };
        let of = |others: &[(u8, f64)]| {
            let claims = Reporter {
                account: [1; 32],
                throughput: 1e6,
                ..Reporter::default()
            };
            let others = others.iter().map(|(a, t)| reporter(*a, *t));
            let all: Vec<_> = [claims].into_iter().chain(others).collect();
            believe(&all, outside()).nodes[0].throughput
        };
        assert_eq!(of(&[(2, 50.0), (3, 60.0), (4, 70.0)]), 60.0);
        let many = [(2, 50.0), (3, 60.0), (4, 9e5), (4, 9e5), (4, 9e5), (4, 9e5)];
        assert_eq!(of(&many), 60.0, "many nodes of one account are one voice");
        let kin = [(2, 50.0), (3, 60.0), (1, 9e5), (1, 9e5)];
        assert_eq!(
            of(&kin),
            1e6,
            "two accounts are too few, and there is no other measure"
        );
    }

    #[test]
    fn a_claim_that_nobody_measured_counts_up_to_twice_the_median() {
        let all = [10.0, 20.0, 30.0, 1e8].map(|throughput| Reporter {
            throughput,
            ..Reporter::default()
        });
        let measured = |throughput| Sight {
            throughput: Some(throughput),
            ..Sight::default()
        };
        let sights = [10.0, 20.0, 30.0].map(measured);
        let planner = Planner {
            sights: &sights,
            ..outside()
        };
        let beliefs = believe(&all, planner);
        assert_eq!(
            (beliefs.nodes[3].throughput, beliefs.most_throughput),
            (40.0, 40.0)
        );
    }

    #[test]
    fn links_fit_the_measured_path() {
        let both = |[up, down]: [f64; 2]| 2.0 / (1.0 / up + 1.0 / down);
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        let most = f64::INFINITY;
        assert_eq!(bounded_links([None, None], None, most), LINKS);
        assert!(close(
            both(bounded_links([None, None], Some(5e3), most)),
            5e3
        ));
        let modest = [Some(1e3), Some(2e3)];
        assert_eq!(bounded_links(modest, Some(5e3), most), [1e3, 2e3]);
        let huge = [Some(1e8), Some(1e8)];
        assert!(close(both(bounded_links(huge, Some(5e3), most)), 1e4));
        assert!(close(both(bounded_links(huge, None, 3e3)), 3e3));
    }

    #[test]
    fn a_watch_forgets_by_half_after_a_day() {
        let mut watch = Watch::default();
        assert_eq!((watch.share(), watch.availability(None)), (None, 0.9));
        assert_eq!(watch.availability(Some(0.5)), 0.5);
        for _ in 0..10 {
            watch.look(true);
        }
        assert_eq!((watch.share(), watch.availability(None)), (Some(1.0), 0.95));
        for _ in 0..3 * Watch::DAY {
            watch.look(false);
        }
        assert!(watch.share().unwrap() < 0.01 && watch.looks <= Watch::DAY);
    }

    /// The first sixty nodes of a recorded topology; pairs without a measurement are left out.
    fn recorded(file: &str) -> Vec<Reporter> {
        let lines = file
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with("names"));
        let mut nodes: Vec<_> = (0..60u8)
            .map(|number| Reporter {
                account: [number; 32],
                throughput: 1.0,
                ..Reporter::default()
            })
            .collect();
        for (i, line) in lines.enumerate().take(nodes.len()) {
            for (j, value) in line.split(',').enumerate().map(|(at, v)| (i + 1 + at, v)) {
                let rtt = value.parse::<f64>().ok().map(|tenths| tenths * 1e-4);
                let rtt = rtt.filter(|rtt| *rtt > 0.0);
                let sight = Sight {
                    rtt,
                    ..Sight::default()
                };
                if j < nodes.len() {
                    nodes[i].sights.push((j, sight));
                    nodes[j].sights.push((i, sight));
                }
            }
        }
        nodes
    }

    #[test]
    fn what_others_see_moves_few_pairs_of_real_networks() {
        for file in [
            include_str!("../data/topologies/planetlab-even-245.csv"),
            include_str!("../data/topologies/seattle-1.csv"),
            include_str!("../data/topologies/seattle-300.csv"),
            include_str!("../data/topologies/wonder-235.csv"),
        ] {
            let nodes = recorded(file);
            let beliefs = believe(&nodes, outside());
            let pairs = nodes.iter().enumerate().flat_map(|(i, node)| {
                let measured = node.sights.iter();
                measured.filter_map(move |(j, sight)| Some((i, *j, sight.rtt?)))
            });
            let pairs: Vec<_> = pairs.collect();
            let moved = pairs
                .iter()
                .filter(|(i, j, rtt)| beliefs.rtt(*i, *j) > Some(*rtt));
            let (moved, all) = (moved.count(), pairs.len());
            assert!(all > 3_000 && 40 * moved <= all, "{moved} of {all}");
        }
    }
}
