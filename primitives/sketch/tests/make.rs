// SPDX-License-Identifier: Apache-2.0
//! Sketches of rows of floats.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#![cfg(feature = "std")]

use proptest::prelude::*;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use starling_sketch::{
    distance::{root, squared},
    make::{answer, make, BadSketch},
    signs::{answer_seed, Signs},
    Kind, Layout, Sketch,
};

fn signs(width: u32) -> Signs {
    Signs::new(&answer_seed(&[1; 32], &[2; 32]), width)
}

/// About normal, by sums of uniform numbers.
fn noise(random: &mut ChaCha8Rng) -> f32 {
    let uniform = |random: &mut ChaCha8Rng| random.next_u32() as f32 / u32::MAX as f32 - 0.5;
    (0..12).map(|_| uniform(random)).sum()
}

fn rows(layout: Layout, width: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..layout.rows() * width)
        .map(|_| noise(&mut random))
        .collect()
}

fn distributions(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut all = vec![];
    for _ in 0..rows {
        let row: Vec<f32> = (0..width)
            .map(|_| (2.0 * noise(&mut random)).exp())
            .collect();
        let mass: f32 = row.iter().sum();
        all.extend(row.iter().map(|p| p / mass));
    }
    all
}

fn distance(layout: Layout, a: &Sketch, b: &Sketch) -> f64 {
    root(squared(layout, a, b))
}

/// From Python, by the words of the design: 32 times the row (3, −4, 0).
#[test]
fn golden_sketch_of_an_answer() {
    const FIRST: [i16; 16] = [
        -1434, 205, 1434, -1434, -205, -205, -205, 1434, 1434, 1434, -205, -1434, 205, 205, 1434,
        205,
    ];
    const LAST: [i16; 8] = [-1434, 205, 1434, -1434, 205, -1434, 205, 1434];
    let sketch = make(Layout::ANSWER, &signs(3), &[3.0, -4.0, 0.0].repeat(32)).unwrap();
    assert_eq!(sketch.values()[..16], FIRST);
    assert_eq!(sketch.values()[120..], LAST);
}

#[test]
fn the_layout_of_the_rows_does_not_change_the_signs() {
    let width = 64;
    let signs = signs(width);
    let one = rows(Layout::new(Kind::Answer, 1).unwrap(), width as usize, 1);
    let all = make(Layout::new(Kind::Answer, 1).unwrap(), &signs, &one).unwrap();
    let repeated = make(Layout::ANSWER, &signs, &one.repeat(32)).unwrap();
    assert_eq!(all, repeated);
}

#[test]
fn an_answer_has_a_sketch_of_each_chunk() {
    let signs = signs(3);
    let row = [3.0, -4.0, 0.0];
    let full = make(Layout::ANSWER, &signs, &row.repeat(32)).unwrap();
    assert_eq!(answer(&signs, &row.repeat(32)), Ok(vec![full.clone()]));
    assert_eq!(answer(&signs, &row.repeat(70)), Ok(vec![full; 3]));
    // A short answer is its last rows: here the first of five is left out.
    let four = Layout::new(Kind::Answer, 4).unwrap();
    let last = make(four, &signs, &row.repeat(4)).unwrap();
    let short = [&[f32::NAN; 3][..], &row.repeat(4)[..]].concat();
    assert_eq!(answer(&signs, &short), Ok(vec![last]));
    for floats in [0, 4] {
        let refused = answer(&signs, &vec![1.0; floats]);
        assert!(matches!(refused, Err(BadSketch::Shape { .. })), "{floats}");
    }
}

#[test]
fn distances_estimate_those_of_the_rows() {
    let width = 576;
    let signs = signs(width);
    for (layout, noisy) in [
        (Layout::ANSWER, 0.03),
        (Layout::ANSWER, 0.1),
        (Layout::SPAN, 0.03),
    ] {
        let exact = rows(layout, width as usize, 3);
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let other: Vec<f32> = exact
            .iter()
            .map(|x| x + noisy * noise(&mut random))
            .collect();
        let a = make(layout, &signs, &exact).unwrap();
        let b = make(layout, &signs, &other).unwrap();
        let estimate = distance(layout, &a, &b) / f64::from(noisy);
        assert!((0.7..1.4).contains(&estimate), "{estimate}");
    }
}

#[test]
fn distances_of_distributions_estimate_hellingers() {
    let (width, layout) = (2000, Layout::DISTRIBUTION);
    let signs = signs(width);
    let a = distributions(32, width as usize, 5);
    let b = distributions(32, width as usize, 6);
    let mixed: Vec<f32> = a.iter().zip(&b).map(|(a, b)| 0.9 * a + 0.1 * b).collect();
    let hellinger: f64 = a
        .iter()
        .zip(&mixed)
        .map(|(&a, &b)| (f64::from(a).sqrt() - f64::from(b).sqrt()).powi(2) / 2.0)
        .sum();
    let hellinger = (hellinger / 32.0).sqrt();
    let sketch = |rows: &[f32]| make(layout, &signs, rows).unwrap();
    let estimate = distance(layout, &sketch(&a), &sketch(&mixed));
    let ratio = estimate / (hellinger * 2f64.sqrt());
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn a_level_catches_a_scaled_row() {
    let (width, layout) = (576, Layout::SPAN);
    let signs = signs(width);
    let exact = rows(layout, width as usize, 7);
    let mut scaled = exact.clone();
    scaled[..width as usize].iter_mut().for_each(|x| *x *= 1.3);
    let sketch = |layout, rows: &[f32]| make(layout, &signs, rows).unwrap();
    let caught = distance(layout, &sketch(layout, &exact), &sketch(layout, &scaled));
    // ⅔ · log2 1.3.
    assert!((caught - 0.2523).abs() < 1e-3, "{caught}");
    // Without levels it goes unseen.
    let layout = Layout::new(Kind::Answer, 16).unwrap();
    assert_eq!(sketch(layout, &exact), sketch(layout, &scaled));
}

#[test]
fn extreme_rows_are_clamped() {
    let layout = Layout::new(Kind::Span, 1).unwrap();
    let signs = signs(4096);
    for (x, level) in [(f32::MAX, i16::MAX), (1e-45, i16::MIN)] {
        let sketch = make(layout, &signs, &[x; 4096]).unwrap();
        assert_eq!(sketch.values()[127], level);
    }
}

#[test]
fn bad_rows_are_refused_by_name() {
    let signs = signs(4);
    let layout = Layout::new(Kind::Answer, 2).unwrap();
    let good = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert!(make(layout, &signs, &good).is_ok());
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rows = good;
        rows[6] = bad;
        assert_eq!(make(layout, &signs, &rows), Err(BadSketch::NotFinite(1)));
    }
    let mut rows = good;
    rows[..4].fill(-0.0);
    assert_eq!(make(layout, &signs, &rows), Err(BadSketch::Zero(0)));
    for floats in [0, 4, 7, 12] {
        let rows = vec![1.0; floats];
        let refused = BadSketch::Shape {
            floats,
            rows: 2,
            width: 4,
        };
        assert_eq!(make(layout, &signs, &rows), Err(refused));
    }
    let none = Signs::new(&[0; 32], 0);
    assert!(matches!(
        make(layout, &none, &[]),
        Err(BadSketch::Shape { .. })
    ));
}

#[test]
fn what_is_no_distribution_is_refused() {
    let signs = signs(4);
    let layout = Layout::new(Kind::Distribution, 1).unwrap();
    assert!(make(layout, &signs, &[0.5, 0.5, 0.0, 0.0]).is_ok());
    for row in [[0.5, 0.6, 0.0, 0.0], [1.5, -0.5, 0.0, 0.0], [0.1; 4]] {
        assert_eq!(
            make(layout, &signs, &row),
            Err(BadSketch::NotADistribution(0))
        );
    }
    assert_eq!(make(layout, &signs, &[0.0; 4]), Err(BadSketch::Zero(0)));
}

proptest! {
    #[test]
    fn no_floats_make_it_panic(
        bits in proptest::collection::vec(any::<u32>(), 0..40),
        width in 0u32..10,
        log in 0usize..6,
        kind in prop_oneof![Just(Kind::Answer), Just(Kind::Span), Just(Kind::Distribution)],
    ) {
        let rows: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        if let Some(layout) = Layout::new(kind, 1 << log) {
            let _ = make(layout, &signs(width), &rows);
        }
    }

    #[test]
    fn scaling_rows_leaves_the_projections(scale in 1e-3f32..1e3) {
        let signs = signs(32);
        let exact = rows(Layout::ANSWER, 32, 8);
        let scaled: Vec<f32> = exact.iter().map(|x| x * scale).collect();
        let a = make(Layout::ANSWER, &signs, &exact).unwrap();
        let b = make(Layout::ANSWER, &signs, &scaled).unwrap();
        prop_assert!(distance(Layout::ANSWER, &a, &b) < 1e-3);
    }
}
