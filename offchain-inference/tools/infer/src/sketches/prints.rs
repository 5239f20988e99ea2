// SPDX-License-Identifier: Apache-2.0
//! The fingerprints of answers: sketches of final-norm rows and of distributions, and TOPLOC's.

use super::toploc::Toploc;
use crate::common::Failure;
use starling_engine::{Ends, Hidden};
use starling_sketch::{
    layout::chunks,
    make::{answer, make},
    signs::Signs,
    Layout, Sketch,
};
use std::ops::Range;

/// The fingerprints of all answers by one prover: for each chunk one of each kind.
#[derive(Default, PartialEq)]
pub(super) struct Prints {
    pub answers: Vec<Sketch>,
    pub distributions: Vec<Sketch>,
    pub toploc: Vec<Toploc>,
}

impl Prints {
    /// Adds those of an answer, given its hidden states behind the last layer.
    pub fn add<E: Ends>(
        &mut self,
        ends: &E,
        hidden: &Hidden,
        signs: &Signs,
        vocabulary: &Signs,
    ) -> Result<(), Failure> {
        let normed = ends.normed(hidden)?;
        self.answers.extend(answer(signs, normed.as_slice())?);
        for chunk in chunks(hidden.rows().try_into()?) {
            self.toploc.push(Toploc::of(part(&normed, &chunk)));
            let rows = Hidden::new(hidden.width(), part(hidden, &chunk).to_vec())?;
            let mut rows = ends.logits(&rows)?;
            let vocab = ends.config().vocab;
            rows.chunks_exact_mut(vocab).for_each(softmax);
            let sketch = make(Layout::DISTRIBUTION, vocabulary, &rows)?;
            self.distributions.push(sketch);
        }
        Ok(())
    }
}

/// The rows of a chunk.
fn part<'a>(rows: &'a Hidden, chunk: &Range<u32>) -> &'a [f32] {
    let at = |row: u32| (row as usize).saturating_mul(rows.width());
    let range = at(chunk.start)..at(chunk.end);
    rows.as_slice().get(range).unwrap_or_default()
}

/// Logits to probabilities.
fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let mass: f64 = row.iter().map(|&x| f64::from(x)).sum();
    row.iter_mut()
        .for_each(|x| *x = (f64::from(*x) / mass) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_adds_up_to_one() {
        let mut row = [1000.0, 1000.0 + 2f32.ln(), f32::NEG_INFINITY];
        softmax(&mut row);
        for (x, expected) in row.into_iter().zip([1.0 / 3.0, 2.0 / 3.0, 0.0]) {
            assert!((x - expected).abs() < 1e-4, "{row:?}");
        }
    }

    #[test]
    fn parts_are_rows() {
        let rows = Hidden::new(2, (0..8).map(|x| x as f32).collect()).unwrap();
        assert_eq!(part(&rows, &(1..3)), [2.0, 3.0, 4.0, 5.0]);
        assert!(part(&rows, &(3..5)).is_empty());
    }
}
