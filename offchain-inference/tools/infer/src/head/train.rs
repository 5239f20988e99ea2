// SPDX-License-Identifier: Apache-2.0
//! Training of heads on pairs of responses, in floats, and their rounding to integers.
//!
//! The loss of a pair is `ln(1 + e^−(better − worse))`. Each weight learns at its own rate
//! (AdaGrad, Duchi et al. 2011).

use super::rankings::{pairs, shuffle, Question};
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use starling_zk::{
    features::Features,
    head::{Head, Unit},
    HIDDEN, WIDTH,
};

/// Features are divided by this, so that they are near 1.
const SCALE: f32 = 128.0;

/// The largest weight of 8 bits.
const MOST: f32 = 127.0;

const RATE: f32 = 0.1;
const DECAY: f32 = 1e-3;

/// Squared slopes that each weight is taken to have seen, so that its first steps are small.
const SEEN: f32 = 0.1;

type Inputs = [f32; WIDTH];

/// A hidden unit in floats; or a number for each of its weights.
struct Learner {
    row: Inputs,
    bias: f32,
    weight: f32,
}

/// A hidden unit with the sums of its squared slopes.
struct Learning {
    unit: Learner,
    squares: Learner,
}

/// A head that ranks the pairs of the questions, trained on each of them `epochs` times.
pub(super) fn train(questions: &[Question], epochs: u32, seed: u64) -> Head {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pairs: Vec<(Inputs, Inputs)> = questions
        .iter()
        .flat_map(|question| pairs(question))
        .map(|(better, worse)| (inputs(&better.features), inputs(&worse.features)))
        .collect();
    let mut units: Vec<Learning> = (0..HIDDEN).map(|i| Learning::new(i, &mut rng)).collect();
    for _ in 0..epochs {
        shuffle(&mut pairs, &mut rng);
        for (better, worse) in &pairs {
            let output = |x| units.iter().map(|unit| unit.unit.value(x)).sum::<f32>();
            let slope = -1.0 / (1.0 + (output(better) - output(worse)).exp());
            for unit in &mut units {
                unit.learn(better, slope);
                unit.learn(worse, -slope);
            }
        }
    }
    rounded(&units)
}

fn inputs(features: &Features) -> Inputs {
    (*features.values()).map(|value| f32::from(value) / SCALE)
}

impl Learner {
    fn sum(&self, x: &Inputs) -> f32 {
        let products = self.row.iter().zip(x).map(|(weight, x)| weight * x);
        products.sum::<f32>() + self.bias
    }

    /// The part of the unit in the output.
    fn value(&self, x: &Inputs) -> f32 {
        self.sum(x).max(0.0) * self.weight
    }

    fn largest(&self) -> f32 {
        self.row
            .iter()
            .fold(f32::MIN_POSITIVE, |most, weight| most.max(weight.abs()))
    }
}

impl Learning {
    fn new(index: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut random = || (rng.next_u32() as f32 / u32::MAX as f32 - 0.5) / 5.0;
        let sign = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
        Self {
            unit: Learner {
                row: std::array::from_fn(|_| random()),
                bias: 0.1,
                weight: sign * 0.5,
            },
            squares: Learner {
                row: [SEEN; WIDTH],
                bias: SEEN,
                weight: SEEN,
            },
        }
    }

    /// Takes a step against the slope of the loss at the output for `x`.
    fn learn(&mut self, x: &Inputs, slope: f32) {
        let Self { unit, squares } = self;
        let sum = unit.sum(x);
        if sum <= 0.0 {
            return;
        }
        let inner = slope * unit.weight;
        step(&mut unit.weight, &mut squares.weight, slope * sum);
        step(&mut unit.bias, &mut squares.bias, inner);
        let weights = unit.row.iter_mut().zip(&mut squares.row);
        for ((weight, square), x) in weights.zip(x).filter(|(_, x)| **x != 0.0) {
            step(weight, square, inner * x);
        }
    }
}

fn step(weight: &mut f32, square: &mut f32, slope: f32) {
    let slope = slope + DECAY * *weight;
    *square += slope * slope;
    *weight -= RATE * slope / square.sqrt();
}

/// The head in integers. A unit may be scaled as long as its weight is scaled back: each row is
/// stretched to 8 bits, and the weights to 8 bits together. The output's unit is arbitrary.
fn rounded(units: &[Learning]) -> Head {
    let effect = |learner: &Learner| learner.weight * learner.largest();
    let most = units
        .iter()
        .map(|unit| effect(&unit.unit).abs())
        .fold(f32::MIN_POSITIVE, f32::max);
    let unit = |learner: &Learner| {
        let stretch = MOST / learner.largest();
        // The casts clamp.
        Unit {
            row: learner.row.map(|weight| (weight * stretch).round() as i8),
            bias: (learner.bias * stretch * SCALE).round() as i32,
            weight: (effect(learner) / most * MOST).round() as i8,
        }
    };
    let idle = Unit {
        row: [0; WIDTH],
        bias: 0,
        weight: 0,
    };
    Head {
        units: std::array::from_fn(|i| units.get(i).map_or(idle, |learning| unit(&learning.unit))),
        bias: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{rankings::parse, report::Report};

    /// Questions with two good responses and two bad ones, by their words.
    fn questions(from: usize, to: usize) -> Vec<Question> {
        let item = |i: usize| {
            format!(
                r#"{{"question": "Question {i}?", "responses":
                    ["It is certainly {i}", "nobody knows that, I believe {i}",
                    "Certainly so, {i}", "who knows"],
                    "scores": [2, 0, 1, 0]}}"#
            )
        };
        let items: Vec<_> = (from..to).map(item).collect();
        parse(&format!("[{}]", items.join(","))).unwrap()
    }

    #[test]
    fn a_head_learns_what_words_tell() {
        let (seen, held_out) = (questions(0, 30), questions(30, 40));
        let head = train(&seen, 20, 1);
        let report = Report::new(&head, &seen, &held_out);
        assert!(report.held_out.right > 0.9, "{report}");
        // The longer response is the better one in 3 of the 5 pairs of a question.
        assert!(report.longer.right < report.held_out.right, "{report}");
    }

    #[test]
    fn the_same_seed_gives_the_same_head() {
        let seen = questions(0, 10);
        assert!(train(&seen, 2, 1) == train(&seen, 2, 1));
        assert!(train(&seen, 2, 1) != train(&seen, 2, 2));
    }

    #[test]
    fn rounding_keeps_the_order() {
        let seen = questions(0, 10);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let units: Vec<_> = (0..HIDDEN).map(|i| Learning::new(i, &mut rng)).collect();
        let head = rounded(&units);
        let output = |x: &Inputs| units.iter().map(|unit| unit.unit.value(x)).sum::<f32>();
        let mut wrong = 0;
        let mut all = 0;
        for (a, b) in seen.iter().flat_map(|question| pairs(question)) {
            let exact = output(&inputs(&a.features)) - output(&inputs(&b.features));
            let apart = head.output(&a.features) - head.output(&b.features);
            all += 1;
            wrong += usize::from((exact > 0.0) != (apart > 0));
        }
        assert!(wrong * 10 < all, "{wrong} of {all}");
    }
}
