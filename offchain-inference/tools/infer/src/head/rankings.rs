// SPDX-License-Identifier: Apache-2.0
//! Rankings to train on: questions with scored responses.

use crate::common::Failure;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use serde::Deserialize;
use starling_zk::features::Features;
use std::{cmp::Ordering, collections::BTreeMap};

/// Fewer questions than these say nothing of a head.
const LEAST: usize = 10;

/// An item of the file.
#[derive(Deserialize)]
struct Ranked {
    question: String,
    responses: Vec<String>,
    scores: Vec<f64>,
}

/// A response to a question with its score.
pub(super) struct Response {
    pub features: Features,
    pub bytes: usize,
    pub score: f64,
}

/// The responses to one question.
pub(super) type Question = Vec<Response>;

/// Questions from JSON. Items with the same question are one.
pub(super) fn parse(json: &str) -> Result<Vec<Question>, Failure> {
    let items: Vec<Ranked> = serde_json::from_str(json)?;
    let mut questions: BTreeMap<String, Question> = BTreeMap::new();
    for (number, item) in (1..).zip(items) {
        check(&item).map_err(|error| format!("item {number}: {error}"))?;
        let responses = item.responses.iter().zip(item.scores);
        let responses = responses.map(|(text, score)| Response {
            features: Features::of(item.question.as_bytes(), text.as_bytes()),
            bytes: text.len(),
            score,
        });
        let responses: Question = responses.collect();
        questions
            .entry(item.question)
            .or_default()
            .extend(responses);
    }
    Ok(questions.into_values().collect())
}

fn check(item: &Ranked) -> Result<(), String> {
    let (responses, scores) = (item.responses.len(), item.scores.len());
    if responses != scores {
        return Err(format!(
            "there are {responses} responses and {scores} scores; give one score for each"
        ));
    }
    if item.scores.iter().any(|score| !score.is_finite()) {
        return Err("a score is no finite number".into());
    }
    Ok(())
}

/// The pairs of a question's responses with different scores: the better one, then the worse one.
pub(super) fn pairs(question: &[Response]) -> impl Iterator<Item = (&Response, &Response)> {
    question.iter().enumerate().flat_map(move |(i, a)| {
        let others = question.iter().skip(i + 1);
        others.filter_map(move |b| match a.score.partial_cmp(&b.score)? {
            Ordering::Greater => Some((a, b)),
            Ordering::Less => Some((b, a)),
            Ordering::Equal => None,
        })
    })
}

/// Parts the questions that have pairs into those to train on and those that are held out.
pub(super) fn split(
    questions: Vec<Question>,
    held_out: f64,
    seed: u64,
) -> Result<(Vec<Question>, Vec<Question>), Failure> {
    let mut questions: Vec<Question> = questions
        .into_iter()
        .filter(|question| pairs(question).next().is_some())
        .collect();
    if questions.len() < LEAST {
        return Err(format!(
            "{} questions have responses with different scores; give at least {LEAST}",
            questions.len()
        )
        .into());
    }
    shuffle(&mut questions, &mut ChaCha8Rng::seed_from_u64(seed));
    let most = questions.len() - 1;
    let held_out = (questions.len() as f64 * held_out).round() as usize;
    let held_out = questions.split_off(questions.len() - held_out.clamp(1, most));
    Ok((questions, held_out))
}

/// Brings items into a random order.
pub(super) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        let other = rng.next_u64() % (i as u64 + 1);
        items.swap(i, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(scores: &[f64]) -> Question {
        let response = |score: &f64| Response {
            features: Features::of(b"", b""),
            bytes: 0,
            score: *score,
        };
        scores.iter().map(response).collect()
    }

    #[test]
    fn pairs_have_the_better_one_first_and_no_ties() {
        let question = question(&[1.0, 3.0, 1.0, -0.0, 0.0]);
        let scores: Vec<_> = pairs(&question).map(|(a, b)| (a.score, b.score)).collect();
        assert_eq!(scores.len(), 8);
        assert!(scores.iter().all(|(better, worse)| better > worse));
    }

    #[test]
    fn items_that_do_not_fit_are_named() {
        let error = |json: &str| match parse(json) {
            Ok(_) => panic!("{json} is read"),
            Err(error) => error.to_string(),
        };
        let short = r#"[{"question": "q", "responses": ["a", "b"], "scores": [1]}]"#;
        assert!(error(short).starts_with("item 1: there are 2 responses and 1 scores"));
        assert!(error("[").contains("EOF"));
    }

    #[test]
    fn a_question_is_held_out_as_a_whole() {
        let item = |q: usize, score: usize| {
            format!(r#"{{"question": "{q}", "responses": ["{score}"], "scores": [{score}]}}"#)
        };
        let items: Vec<_> = (0..24).map(|i| item(i % 12, i)).collect();
        let questions = parse(&format!("[{}]", items.join(","))).unwrap();
        assert_eq!(questions.len(), 12);
        let (seen, held_out) = split(questions, 0.25, 1).unwrap();
        assert_eq!((seen.len(), held_out.len()), (9, 3));
        assert!(seen
            .iter()
            .chain(&held_out)
            .all(|question| question.len() == 2));
    }

    #[test]
    fn few_questions_are_refused() {
        let questions = (0..9).map(|_| question(&[0.0, 1.0])).collect();
        let refused = split(questions, 0.2, 0).map(drop).unwrap_err().to_string();
        assert!(refused.starts_with("9 questions"), "{refused}");
    }
}
