// SPDX-License-Identifier: Apache-2.0
//! Scores that follow from outputs.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use proptest::prelude::*;
use starling_zk::table::{Table, Unordered, POINTS};

fn table(points: Vec<i64>) -> Table {
    Table::new(points.try_into().unwrap()).unwrap()
}

#[test]
fn scores_are_linear_between_points() {
    let table = table((0..33).map(|i| i * 100).collect());
    let scores = [-1, 0, 50, 100, 3_199, 3_200, i64::MAX].map(|output| table.score(output));
    assert_eq!(scores, [0, 0, 1_024, 2_048, 65_515, 65_535, 65_535]);
}

#[test]
fn the_widest_table_does_not_overflow() {
    let mut points = [i64::MIN; POINTS];
    points[POINTS - 1] = i64::MAX;
    let table = Table::new(points).unwrap();
    assert_eq!(table.score(i64::MIN), 31 * 2_048);
    assert_eq!(table.score(0), 31 * 2_048 + 1_024);
    assert_eq!(table.score(i64::MAX), u16::MAX);
}

#[test]
fn points_out_of_order_are_refused() {
    let mut points = [0; POINTS];
    points[7] = -1;
    assert_eq!(Table::new(points), Err(Unordered));
}

proptest! {
    #[test]
    fn a_greater_output_never_has_a_smaller_score(
        mut points in proptest::collection::vec(any::<i64>(), POINTS),
        a in any::<i64>(),
        b in any::<i64>(),
    ) {
        points.sort_unstable();
        let table = table(points);
        prop_assert!(table.score(a.min(b)) <= table.score(a.max(b)));
    }
}
