// SPDX-License-Identifier: Apache-2.0
//! The squared distance against exact arithmetic of big integers.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#![cfg(feature = "std")]

use num_bigint::BigUint;
use proptest::prelude::*;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use starling_sketch::{
    distance::{of_distance, root, squared, Thresholds, Verdict, ONE},
    sketch::{BYTES, VALUES},
    Kind, Layout, Sketch,
};

const LAYOUTS: [Layout; 3] = [Layout::ANSWER, Layout::SPAN, Layout::DISTRIBUTION];

fn is_level(layout: Layout, at: usize) -> bool {
    layout.kind() == Kind::Span && at % layout.values() == layout.values() - 1
}

/// Sum of gaps, greater of the sums of squares, greatest gap of a level.
fn parts(layout: Layout, a: &Sketch, b: &Sketch) -> (i128, i128, i128) {
    let (mut gap, mut own, mut other, mut level) = (0, 0, 0, 0i128);
    for (at, (&a, &b)) in a.values().iter().zip(b.values()).enumerate() {
        let (a, b) = (i128::from(a), i128::from(b));
        if is_level(layout, at) {
            level = level.max((a - b).abs());
        } else {
            gap += (a - b) * (a - b);
            own += a * a;
            other += b * b;
        }
    }
    (gap, own.max(other), level)
}

fn big(value: i128) -> BigUint {
    BigUint::try_from(value).unwrap()
}

/// The squared distance without any bound on integers.
fn exact(layout: Layout, a: &Sketch, b: &Sketch) -> BigUint {
    let (gap, size, level) = parts(layout, a, b);
    let projections = if size == 0 {
        big(0)
    } else {
        big(gap) * BigUint::from(ONE) / big(size)
    };
    // (2/3 · Δ / 2¹⁰)² in units of 2⁻³².
    let levels = big(4 * level * level) * BigUint::from(ONE) / big(9 << 20);
    projections.max(levels)
}

/// The distance in floats.
fn floating(layout: Layout, a: &Sketch, b: &Sketch) -> f64 {
    let (gap, size, level) = parts(layout, a, b);
    let projections = if size == 0 {
        0.0
    } else {
        (gap as f64 / size as f64).sqrt()
    };
    projections.max(2.0 / 3.0 * level as f64 / 1024.0)
}

/// Values of all magnitudes; every second pair is close.
fn pair(random: &mut ChaCha8Rng) -> (Sketch, Sketch) {
    let mut bytes = [0; 2 * BYTES];
    random.fill_bytes(&mut bytes);
    let values = |bytes: &[u8]| *Sketch::from_bytes(bytes.try_into().unwrap()).values();
    let (mut a, mut b) = (values(&bytes[..BYTES]), values(&bytes[BYTES..]));
    let (coarse, fine) = (random.next_u32() % 16, random.next_u32() % 16);
    if random.next_u32().is_multiple_of(2) {
        for (a, b) in a.iter_mut().zip(&mut b) {
            *a >>= coarse;
            *b = a.saturating_add(*b >> fine);
        }
    } else {
        a.iter_mut().for_each(|a| *a >>= coarse);
        b.iter_mut().for_each(|b| *b >>= fine);
    }
    (Sketch::new(a), Sketch::new(b))
}

#[test]
fn a_million_random_pairs_have_the_exact_distance() {
    let mut random = ChaCha8Rng::seed_from_u64(20);
    for number in 0..1_000_000 {
        let (a, b) = pair(&mut random);
        let layout = LAYOUTS[number % LAYOUTS.len()];
        let distance = squared(layout, &a, &b);
        assert_eq!(
            BigUint::from(distance),
            exact(layout, &a, &b),
            "{a:?} {b:?}"
        );
        assert_eq!(distance, squared(layout, &b, &a));
        let floats = floating(layout, &a, &b);
        assert!((root(distance) - floats).abs() < 2e-5, "{floats}");
    }
}

#[test]
fn the_extremes_do_not_overflow() {
    let (low, high) = ([i16::MIN; VALUES], [i16::MAX; VALUES]);
    let mut one = [0; VALUES];
    one[0] = 1;
    let all = [low, high, one, one.map(|x| -x), [0; VALUES], [1; VALUES]].map(Sketch::new);
    for layout in LAYOUTS {
        for a in &all {
            for b in &all {
                let distance = squared(layout, a, b);
                assert_eq!(BigUint::from(distance), exact(layout, a, b));
            }
        }
    }
    assert_eq!(squared(Layout::ANSWER, &all[2], &all[3]), 4 * ONE);
}

/// From Python's integers.
#[test]
fn golden_distances() {
    let ramp = |step: i16| -> Sketch {
        let mut next = 0i16;
        Sketch::new([(); VALUES].map(|()| {
            next = next.wrapping_add(step);
            next
        }))
    };
    let (a, b) = (ramp(7), ramp(8));
    let golden = LAYOUTS.map(|layout| squared(layout, &a, &b));
    assert_eq!(golden, [67_108_864, 67_108_864, 67_108_864]);
    let (a, b) = (ramp(100), ramp(-300));
    let golden = LAYOUTS.map(|layout| squared(layout, &a, &b));
    assert_eq!(golden, [5_809_630_776, 3_150_388_337_777, 5_809_630_776]);
}

#[test]
fn two_empty_sketches_are_equal() {
    let zero = Sketch::new([0; VALUES]);
    let full = Sketch::new([5; VALUES]);
    for layout in LAYOUTS {
        assert_eq!(squared(layout, &zero, &zero), 0);
        assert_eq!(squared(layout, &zero, &full), ONE);
    }
}

#[test]
fn a_level_counts_in_the_layout_of_spans_alone() {
    let mut values = [1000; VALUES];
    let a = Sketch::new(values);
    values[7] += 512;
    let b = Sketch::new(values);
    // Half a binary logarithm: a third.
    let third = root(squared(Layout::SPAN, &a, &b));
    assert!((third - 1.0 / 3.0).abs() < 1e-6, "{third}");
    assert!(root(squared(Layout::ANSWER, &a, &b)) < 0.05);
}

#[test]
fn thresholds_part_three_verdicts() {
    let thresholds = Thresholds {
        accept: of_distance(0.06),
        reject: of_distance(0.08),
    };
    for (distance, verdict) in [
        (0.0, Verdict::Accept),
        (0.0599, Verdict::Accept),
        (0.0601, Verdict::Unclear),
        (0.0799, Verdict::Unclear),
        (0.0801, Verdict::Reject),
        (2.0, Verdict::Reject),
    ] {
        assert_eq!(thresholds.judge(of_distance(distance)), verdict);
    }
    assert_eq!(thresholds.judge(thresholds.accept), Verdict::Accept);
    assert_eq!(thresholds.judge(thresholds.accept + 1), Verdict::Unclear);
    assert_eq!(thresholds.judge(thresholds.reject), Verdict::Unclear);
    assert_eq!(thresholds.judge(thresholds.reject + 1), Verdict::Reject);
}

fn sketches() -> impl Strategy<Value = Sketch> {
    proptest::collection::vec(any::<i16>(), VALUES)
        .prop_map(|values| Sketch::new(values.try_into().unwrap()))
}

fn layouts() -> impl Strategy<Value = Layout> {
    let kinds = prop_oneof![
        Just(Kind::Answer),
        Just(Kind::Span),
        Just(Kind::Distribution)
    ];
    (kinds, 0usize..6).prop_filter_map("too many rows", |(kind, log)| Layout::new(kind, 1 << log))
}

proptest! {
    #[test]
    fn the_distance_is_symmetric_and_zero_for_equals(
        layout in layouts(),
        a in sketches(),
        b in sketches(),
    ) {
        prop_assert_eq!(squared(layout, &a, &b), squared(layout, &b, &a));
        prop_assert_eq!(squared(layout, &a, &a), 0);
        prop_assert_eq!(BigUint::from(squared(layout, &a, &b)), exact(layout, &a, &b));
    }
}
