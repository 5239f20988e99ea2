// SPDX-License-Identifier: Apache-2.0
//! Verdicts on findings with known distances.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#![cfg(feature = "std")]

use proptest::prelude::*;
use starling_evidence::{
    judge, sample,
    verdict::{two_thirds, LEAST_TOLERANCE},
    Finding, Judgement, Ruling, Side, Sketches,
};
use starling_sketch::{
    distance::{of_distance, squared},
    sketch::VALUES,
    Layout, Sketch,
};

const LAYOUT: Layout = Layout::SPAN;
const SIZE: usize = 9;

/// Rows whose distance from `rows(0)` is about `off` thousandths.
fn rows(off: i16) -> Sketch {
    let values = LAYOUT.values();
    let value = |at: usize| match at % values < LAYOUT.projections() {
        true => 1000 + off,
        false => 0,
    };
    let mut all = [0; VALUES];
    for (at, slot) in all.iter_mut().enumerate() {
        *slot = value(at);
    }
    Sketch::new(all)
}

/// An honest executor, by thousandths: its own error, that of 8 bits, and the outputs that it was
/// shown.
fn computed(own: i16, coarse: i16, first: i16, second: i16) -> Finding {
    Finding::Computed(Box::new(Sketches {
        own: rows(own),
        coarse: rows(coarse),
        coded: rows(own),
        elsewhere: rows(own),
        first: Some(rows(first)),
        second: Some(rows(second)),
    }))
}

fn change(finding: Finding, change: impl FnOnce(&mut Sketches)) -> Finding {
    let Finding::Computed(mut sketches) = finding else {
        unreachable!()
    };
    change(&mut sketches);
    Finding::Computed(sketches)
}

fn judged(findings: &[Finding]) -> Judgement {
    let findings: Vec<_> = findings.iter().collect();
    judge(LAYOUT, SIZE, &findings)
}

fn decided(first: Side, second: Side) -> Ruling {
    Ruling::Decided { first, second }
}

#[test]
fn the_least_tolerance_is_three_hundredths() {
    assert_eq!(LEAST_TOLERANCE, of_distance(0.03));
    assert_eq!([9, 3, 5, 21].map(two_thirds), [6, 2, 4, 14]);
}

#[test]
fn a_wrong_output_is_guilty_and_a_right_one_cleared() {
    let all = vec![computed(0, 8, 2, 200); SIZE];
    let judgement = judged(&all);
    assert_eq!(judgement.ruling, decided(Side::Cleared, Side::Guilty));
    assert_eq!(judgement.agreeing.len(), SIZE);
    // Six of nine are enough, and five are not.
    assert_eq!(judged(&all[..6]).ruling, judgement.ruling);
    assert_eq!(judged(&all[..5]).ruling, Ruling::NoQuorum);
}

#[test]
fn an_output_that_is_no_rows_is_guilty() {
    let none = |sketches: &mut Sketches| sketches.second = None;
    let all = vec![change(computed(0, 8, 2, 0), none); SIZE];
    assert_eq!(judged(&all).ruling, decided(Side::Cleared, Side::Guilty));
}

#[test]
fn where_honest_bits_part_nobody_is_guilty_for_his_bits() {
    // 16 and 8 bits are 0.05 apart on this input, and the servers have one of each.
    let all = vec![computed(0, 50, 0, 50); SIZE];
    assert_eq!(judged(&all).ruling, decided(Side::Cleared, Side::Cleared));
    // Beyond three times that it is a lie.
    let all = vec![computed(0, 50, 0, 250); SIZE];
    assert_eq!(judged(&all).ruling, decided(Side::Cleared, Side::Guilty));
}

#[test]
fn the_error_of_the_wire_code_is_no_lie() {
    let coded = |sketches: &mut Sketches| sketches.coded = rows(30);
    let near = computed(0, 8, 0, 40);
    assert_eq!(
        judged(&vec![near.clone(); SIZE]).ruling,
        decided(Side::Cleared, Side::Guilty)
    );
    let all = vec![change(near, coded); SIZE];
    assert_eq!(judged(&all).ruling, decided(Side::Cleared, Side::Cleared));
}

#[test]
fn three_liars_of_nine_convict_and_acquit_nobody() {
    let mut all = vec![computed(0, 8, 2, 200); 6];
    // They say that the first one is wrong.
    all.extend(vec![computed(200, 205, 2, 200); 3]);
    let judgement = judged(&all);
    assert_eq!(judgement.ruling, decided(Side::Cleared, Side::Guilty));
    assert_eq!(judgement.agreeing, [0, 1, 2, 3, 4, 5]);
    assert_eq!(judgement.far, [6, 7, 8]);
    // Four of them leave no verdict.
    all.push(computed(200, 205, 2, 200));
    all.remove(0);
    assert_eq!(judged(&all).ruling, Ruling::Unstable);
}

#[test]
fn who_copies_an_output_does_not_agree() {
    let copied = |sketches: &mut Sketches| sketches.elsewhere = rows(300);
    let mut all = vec![computed(0, 8, 2, 200); 6];
    all.push(change(computed(2, 8, 2, 200), copied));
    let judgement = judged(&all);
    assert_eq!(judgement.agreeing, [0, 1, 2, 3, 4, 5]);
    assert_eq!(judgement.far, [6]);
}

#[test]
fn what_two_thirds_say_of_the_exhibit_holds() {
    for (said, ruling) in [
        (Finding::Unavailable, Ruling::Unavailable),
        (Finding::Unnatural, Ruling::Unnatural),
    ] {
        let mut all = vec![said.clone(); 6];
        all.extend(vec![computed(0, 8, 2, 200); 3]);
        let judgement = judged(&all);
        assert_eq!((judgement.ruling, judgement.agreeing.len()), (ruling, 6));
        all.remove(0);
        all.push(computed(0, 8, 2, 200));
        assert_eq!(judged(&all).ruling, Ruling::Unstable);
    }
}

#[test]
fn executors_that_were_shown_different_bytes_judge_nothing() {
    let mut all = vec![computed(0, 8, 2, 200); 5];
    all.extend(vec![computed(0, 8, 90, 200); 4]);
    assert_eq!(judged(&all).ruling, Ruling::Unavailable);
    // A logarithm that is rounded otherwise is no other byte.
    let rounded = computed(0, 8, 3, 200);
    let mut all = vec![computed(0, 8, 2, 200); 5];
    all.push(rounded);
    assert_eq!(judged(&all).ruling, decided(Side::Cleared, Side::Guilty));
}

proptest! {
    #[test]
    fn an_output_within_the_tolerance_of_all_is_never_guilty(
        own in proptest::collection::vec((-400i16..400, -60i16..60), SIZE),
        (first, second) in (-500i16..500, -500i16..500),
    ) {
        let all: Vec<_> = own.iter()
            .map(|&(own, apart)| computed(own, own + apart, first, second))
            .collect();
        let judgement = judged(&all);
        let Ruling::Decided { first: on_first, second: on_second } = judgement.ruling else {
            return Ok(());
        };
        for (output, side) in [(first, on_first), (second, on_second)] {
            let near = judgement.agreeing.iter().all(|&place| {
                squared(LAYOUT, &rows(output), &rows(own[place].0)) <= LEAST_TOLERANCE
            });
            prop_assert!(!near || side == Side::Cleared);
        }
        prop_assert!(judgement.agreeing.iter().all(|place| !judgement.far.contains(place)));
        prop_assert!(judgement.agreeing.len() >= two_thirds(SIZE));
    }

    #[test]
    fn the_draw_names_rows_and_a_border_that_exist(
        draw: [u8; 32],
        step in 0u32..100,
        (start, end, depth) in (0u32..9, 1u32..10, 0u32..12),
    ) {
        match sample::rows(&draw, step) {
            None => prop_assert_eq!(step, 0),
            Some(rows) => {
                prop_assert!(rows.end <= step && rows.len().is_power_of_two());
                prop_assert!(rows.len() <= 16 && rows.len() * 2 > step.min(16) as usize);
            },
        }
        if let Some(border) = sample::border(&draw, (start, end), depth) {
            prop_assert!(border > 0 && border <= depth && border != start && border != end);
        } else {
            prop_assert!((1..=depth).all(|border| border == start || border == end));
        }
    }
}
