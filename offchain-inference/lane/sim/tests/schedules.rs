// SPDX-License-Identifier: Apache-2.0
//! The schedules of a broadcast: what holds in all of them, and what fails by the first design.

use starling_lane::rules::{Doubles, Rules};
use starling_lane_primitives::{Committee, Member};
use starling_lane_sim::{
    explore::{explore, Kind, Plan, Report},
    simulate::{play, simulate, trace, Case, End, Habit, Invariant, Scenario, Summary},
    symbolic::Splits,
};

fn plan(splits: Splits, doubles: Doubles, liar: Member) -> Plan {
    Plan {
        rules: Rules {
            doubles,
            // Beyond the view that is played there are calm ones with honest collectors.
            views: 4,
        },
        splits,
        liar,
        last_view: 0,
        deniable: false,
        bad_share: None,
        calm: false,
        most: 12_000,
    }
}

fn explored(plan: &Plan) -> Report {
    explore(plan, |_| ())
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.broken.keys().copied().collect()
}

#[test]
fn a_liar_that_leaves_no_proof_breaks_nothing_in_any_schedule() {
    for liar in [0, 1] {
        let report = explored(&Plan {
            deniable: true,
            calm: true,
            most: 30_000,
            ..plan(Splits::PerWay, Doubles::LeftOut, liar)
        });
        assert!(report.complete);
        assert_eq!(kinds(&report), [], "{report:?}");
    }
}

#[test]
fn with_one_split_a_liar_seals_after_it_could_read_others() {
    let report = explored(&plan(Splits::One, Doubles::Tie, 0));
    assert!(report.broken.contains_key(&Kind::Late));
}

#[test]
fn with_a_split_for_each_way_no_late_seal_settles() {
    let report = explored(&plan(Splits::PerWay, Doubles::LeftOut, 0));
    assert!(!report.broken.contains_key(&Kind::Late), "{report:?}");
    assert!(!report.broken.contains_key(&Kind::TwoSets), "{report:?}");
    assert!(!report.broken.contains_key(&Kind::Accused), "{report:?}");
}

#[test]
fn two_seals_of_one_member_stop_a_request_unless_culprits_do_not_count() {
    let stopped = |doubles| {
        let report = explored(&Plan {
            calm: true,
            ..plan(Splits::PerWay, doubles, 1)
        });
        report.broken.contains_key(&Kind::NoProgress)
    };
    assert!(stopped(Doubles::Tie));
    assert!(!stopped(Doubles::LeftOut));
}

fn scenario(f: u8, liars: u8, habits: &[Habit]) -> Scenario {
    let committee = Committee::bearing(f).unwrap_or(Committee::SMALLEST);
    Scenario {
        committee,
        rules: Rules::of(committee),
        splits: Splits::PerWay,
        delay: 10_000,
        jitter: 0.25,
        storm: 0,
        loss: 0.0,
        rank: 50_000,
        liars,
        habits: habits.to_vec(),
    }
}

fn simulated(scenario: &Scenario) -> Summary {
    simulate(scenario, 7..9, 30, |_| ())
}

fn all_certified(summary: &Summary) -> bool {
    summary.ended(End::Certified) == summary.requests && summary.broken.is_empty()
}

#[test]
fn honest_members_certify_every_request() {
    for f in 1..=3 {
        let summary = simulated(&scenario(f, 0, &[]));
        assert!(all_certified(&summary), "{:?}", summary.examples);
    }
}

#[test]
fn liars_that_stop_nothing_are_all_but_two() {
    let habits: Vec<Habit> = Habit::ALL
        .into_iter()
        .filter(|habit| !habit.stops())
        .collect();
    for f in 1..=3 {
        let summary = simulated(&scenario(f, f, &habits));
        assert!(all_certified(&summary), "{:?}", summary.examples);
    }
}

#[test]
fn members_that_seal_twice_stop_nothing_however_many_there_are() {
    for f in 1..=3 {
        for liars in 1..=f {
            let summary = simulated(&scenario(f, liars, &[Habit::TwoSeals]));
            assert!(all_certified(&summary), "{:?}", summary.examples);
            assert!(summary.accused.contains_key("TwoValues"));
        }
    }
}

#[test]
fn by_the_first_rule_one_member_that_seals_twice_stops_requests() {
    let mut first = scenario(1, 1, &[Habit::TwoSeals]);
    first.rules.doubles = Doubles::Tie;
    let summary = simulated(&first);
    assert!(summary.broken.contains_key(&Invariant::Live));
}

#[test]
fn requests_are_certified_when_delays_end() {
    for f in 1..=3 {
        let summary = simulated(&Scenario {
            storm: 100_000,
            ..scenario(f, f, &[Habit::Silent, Habit::Partial, Habit::BadPieces])
        });
        assert!(all_certified(&summary), "{:?}", summary.examples);
    }
}

#[test]
fn no_liar_breaks_an_invariant() {
    for f in 1..=3 {
        let summary = simulated(&scenario(f, f, &Habit::ALL));
        assert!(summary.broken.is_empty(), "{:?}", summary.examples);
    }
}

#[test]
fn a_case_gives_the_same_request_again() {
    let scenario = scenario(2, 2, &Habit::ALL);
    let (first, again) = (simulated(&scenario), simulated(&scenario));
    assert_eq!(first.messages, again.messages);
    assert_eq!(first.ends, again.ends);
    let case = Case {
        seed: 7,
        request: 3,
    };
    let (verdict, lines) = trace(&scenario, case);
    assert_eq!(verdict.messages, play(&scenario, case).messages);
    assert!(!lines.is_empty());
}
