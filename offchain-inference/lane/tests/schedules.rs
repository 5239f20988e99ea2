// SPDX-License-Identifier: Apache-2.0
//! The schedules of a broadcast: what holds in all of them, and what fails by the first design.

use starling_lane::{
    explore::{explore, Kind, Plan, Report},
    rules::{Rules, Splits, Ties},
    simulate::{simulate, Habit, Scenario, Summary},
};
use starling_lane_primitives::{Committee, Member};

fn plan(splits: Splits, ties: Ties, liar: Member) -> Plan {
    Plan {
        rules: Rules {
            splits,
            ties,
            last_view: 3,
        },
        liar,
        last_view: 0,
        deniable: false,
        bad_share: None,
        calm: false,
        most: 12_000,
    }
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.broken.keys().copied().collect()
}

#[test]
fn a_liar_that_leaves_no_proof_breaks_nothing_in_any_schedule() {
    for liar in [0, 1] {
        let report = explore(&Plan {
            deniable: true,
            calm: true,
            most: 30_000,
            ..plan(Splits::PerWay, Ties::Culprits, liar)
        });
        assert!(report.complete);
        assert_eq!(kinds(&report), [], "{report:?}");
    }
}

#[test]
fn with_one_split_a_liar_seals_after_it_could_read_others() {
    let report = explore(&plan(Splits::One, Ties::NoSet, 0));
    assert!(report.broken.contains_key(&Kind::Late));
    assert!(report.broken.contains_key(&Kind::TwoSets));
}

#[test]
fn with_a_split_for_each_way_no_late_seal_settles() {
    let report = explore(&plan(Splits::PerWay, Ties::Culprits, 0));
    assert!(!report.broken.contains_key(&Kind::Late), "{report:?}");
    assert!(!report.broken.contains_key(&Kind::TwoSets), "{report:?}");
    assert!(!report.broken.contains_key(&Kind::Accused), "{report:?}");
}

#[test]
fn two_seals_of_one_member_stop_a_request_unless_culprits_do_not_count() {
    let stopped = |ties| {
        let report = explore(&Plan {
            calm: true,
            ..plan(Splits::PerWay, ties, 1)
        });
        report.broken.contains_key(&Kind::NoProgress)
    };
    assert!(stopped(Ties::NoSet));
    assert!(!stopped(Ties::Culprits));
}

fn scenario(f: u8, liars: u8, habits: &[Habit]) -> Scenario {
    Scenario {
        committee: Committee::bearing(f).unwrap_or(Committee::SMALLEST),
        rules: Rules::default(),
        requests: 40,
        seed: 7,
        delay: 10_000,
        jitter: 0.25,
        loss: 0.0,
        rank: 50_000,
        liars,
        habits: habits.to_vec(),
    }
}

fn play(f: u8, liars: u8, habits: &[Habit]) -> Summary {
    simulate(&scenario(f, liars, habits))
}

#[test]
fn honest_members_certify_every_request() {
    let summary = play(2, 0, &[]);
    assert_eq!(summary.certified, 40);
    assert_eq!(summary.breaks, 0, "{:?}", summary.broken);
}

#[test]
fn liars_that_leave_no_proof_stop_nothing() {
    for f in [2, 3] {
        let habits: Vec<Habit> = Habit::ALL
            .into_iter()
            .filter(|habit| !habit.leaves_proof())
            .collect();
        let summary = play(f, f, &habits);
        assert_eq!(summary.breaks, 0, "{:?}", summary.broken);
        assert_eq!(summary.certified, 40);
    }
}

#[test]
fn no_liar_makes_two_certificates_or_accuses_an_honest_member() {
    let summary = play(2, 2, &Habit::ALL);
    assert_eq!(summary.breaks, 0, "{:?}", summary.broken);
}

#[test]
fn a_seed_gives_the_same_requests_again() {
    let (first, again) = (play(2, 2, &Habit::ALL), play(2, 2, &Habit::ALL));
    assert_eq!(first.soft, again.soft);
    assert_eq!(first.messages, again.messages);
}
