// SPDX-License-Identifier: Apache-2.0
//! Generated questions of arithmetic, for local swarms.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::{rand_core::SeedableRng, ChaCha8Rng};
use starling_client::answers;
use starling_primitives::choice::Form;

use super::pool::Line;

/// Numbers of a sum or a difference.
const TERMS: std::ops::RangeInclusive<u32> = 10..=999;
/// Factors of a product.
const FACTORS: std::ops::RangeInclusive<u32> = 2..=99;

/// So many different questions. The same seed gives the same ones.
pub fn questions(count: usize, seed: u64) -> Vec<Line> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = BTreeSet::new();
    let mut lines = vec![];
    while lines.len() < count {
        let (task, result) = task(&mut random);
        if seen.insert(task.clone()) {
            lines.push(Line {
                question: format!("What is {task}? Answer with the number alone."),
                form: answers::name(Form::Number).into(),
                keys: vec![result.to_string()],
                options: None,
                chance: None,
                generated: true,
            });
        }
    }
    lines
}

/// A task and its result.
fn task(random: &mut impl Rng) -> (String, u32) {
    let (left, right) = (random.random_range(TERMS), random.random_range(TERMS));
    match random.random_range(0..3) {
        0 => (format!("{left} + {right}"), left.saturating_add(right)),
        1 => {
            let (more, less) = (left.max(right), left.min(right));
            (format!("{more} - {less}"), more.saturating_sub(less))
        },
        _ => {
            let (left, right) = (random.random_range(FACTORS), random.random_range(FACTORS));
            (format!("{left} * {right}"), left.saturating_mul(right))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_questions_again_and_no_question_twice() {
        let of = |seed| -> Vec<_> {
            let lines = questions(500, seed).into_iter();
            lines.map(|line| line.question).collect()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert_eq!(of(7).into_iter().collect::<BTreeSet<_>>().len(), 500);
    }

    #[test]
    fn results_are_right_and_marked_as_generated() {
        for line in questions(200, 1) {
            assert!(line.generated);
            let words: Vec<_> = line.question.split([' ', '?']).collect();
            let number = |place: usize| words[place].parse::<u32>().unwrap();
            let (left, right) = (number(2), number(4));
            let result = match words[3] {
                "+" => left + right,
                "-" => left - right,
                _ => left * right,
            };
            assert_eq!(line.keys, [result.to_string()], "{}", line.question);
        }
    }
}
