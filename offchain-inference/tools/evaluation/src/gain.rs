// SPDX-License-Identifier: Apache-2.0
//! Generated questions, on which an aid to a model should help, and the model's answers to them.
//!
//! The questions depend on a seed alone. No model has seen the facts: their places and people do not
//! exist.

use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use starling_engine::{
    backend::{Backend, BackendError},
    chat::Message,
    generate::{Cancel, Finish, GenerateOptions},
    sampling::Sampling,
};

/// Longest answer of a model, in tokens.
const MAX_TOKENS: usize = 48;

/// Facts about each place.
const FACTS: usize = 4;

/// Facts of one text.
const FACTS_OF_A_TEXT: usize = 20;

/// A question with its only right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The question as a person would ask it.
    pub text: String,
    /// The answer: a whole number, or a word.
    pub answer: String,
    /// The fact that has the answer, if one does.
    pub fact: Option<String>,
}

/// Texts, and questions that only they answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The texts.
    pub texts: Vec<String>,
    /// The questions.
    pub questions: Vec<Question>,
}

/// Random numbers of a seed.
struct Draw(ChaCha8Rng);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from `least` to `most`.
    fn number(&mut self, least: u32, most: u32) -> u32 {
        let count = u64::from(most.saturating_sub(least)) + 1;
        let drawn = (u64::from(self.0.next_u32()) * count) >> 32;
        least.saturating_add(u32::try_from(drawn).unwrap_or_default())
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let last = u32::try_from(words.len().saturating_sub(1)).unwrap_or_default();
        let index = usize::try_from(self.number(0, last)).unwrap_or_default();
        words.get(index).copied().unwrap_or_default()
    }

    /// A name that nobody has.
    fn name(&mut self) -> String {
        const FIRST: [&str; 10] = [
            "Bor", "Vel", "Tam", "Kri", "Osh", "Lun", "Mar", "Dre", "Fal", "Zor",
        ];
        const MIDDLE: [&str; 8] = ["abu", "evi", "ido", "oma", "ugre", "ashi", "ilo", "ekta"];
        const LAST: [&str; 6] = ["n", "ra", "l", "sk", "th", "vik"];
        [FIRST.as_slice(), &MIDDLE, &LAST]
            .map(|part| self.one_of(part))
            .concat()
    }
}

/// Questions that state what is to be computed.
pub fn arithmetic(count: usize, seed: u64) -> Vec<Question> {
    let mut draw = Draw::new(seed);
    let question = |_| {
        let (a, b, c) = (draw.number(12, 999), draw.number(12, 99), draw.number(2, 9));
        let (text, answer) = match draw.number(0, 3) {
            0 => (format!("{a} + {b} * {c}"), a + b * c),
            1 => (format!("{a} * {b}"), a * b),
            2 => (format!("({a} + {b}) * {c}"), (a + b) * c),
            _ => (format!("{} - {b}", a + b), a),
        };
        computed(format!("What is {text}?"), answer)
    };
    (0..count).map(question).collect()
}

/// Stories that leave open what is to be computed.
pub fn stories(count: usize, seed: u64) -> Vec<Question> {
    let mut draw = Draw::new(seed);
    let story = |_| {
        let who = draw.one_of(&["Ann", "Ben", "Mia", "Noah"]);
        let thing = draw.one_of(&["pens", "stones", "cards", "beads"]);
        let (a, b, c) = (draw.number(12, 98), draw.number(12, 98), draw.number(3, 11));
        match draw.number(0, 3) {
            0 => computed(
                format!("{who} has {a} boxes of {b} {thing} each. How many {thing} is that?"),
                a * b,
            ),
            1 => computed(
                format!(
                    "{who} has {} {thing} and gives {b} of them away. How many are left?",
                    a * c + b
                ),
                a * c,
            ),
            2 => computed(
                format!(
                    "{who} buys {a} {thing} on each of {c} days, and {b} more later. How many \
                     {thing} does {who} have?"
                ),
                a * c + b,
            ),
            _ => computed(
                format!(
                    "{who} shares {} {thing} equally among {c} friends. How many does each get?",
                    a * c
                ),
                a,
            ),
        }
    };
    (0..count).map(story).collect()
}

fn computed(text: String, answer: u32) -> Question {
    let answer = answer.to_string();
    let fact = None;
    Question { text, answer, fact }
}

/// Facts about places, and one question about each of the first `count` of them. Every second question
/// uses other words than the fact.
pub fn facts(count: usize, seed: u64) -> Facts {
    let mut draw = Draw::new(seed);
    let mut places: Vec<String> = vec![];
    while places.len() < count.max(8) {
        let place = format!("{} {}", draw.name(), draw.name());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let (mut all, mut questions) = (vec![], vec![]);
    for (index, place) in places.iter().enumerate() {
        let told = [0, 1, 2, 3].map(|kind| about(&mut draw, kind, place));
        if let Some((fact, asked, answer)) = told.get(index % FACTS).filter(|_| index < count) {
            let other = (index / FACTS) % 2;
            questions.push(Question {
                text: asked[other].clone(),
                answer: answer.clone(),
                fact: Some(fact.clone()),
            });
        }
        all.extend(told.map(|(fact, ..)| fact));
    }
    let texts = all.chunks(FACTS_OF_A_TEXT).map(|facts| facts.join("\n\n"));
    Facts {
        texts: texts.collect(),
        questions,
    }
}

/// A fact about a place, a question about it in the same and one in other words, and the answer.
fn about(draw: &mut Draw, kind: u8, place: &str) -> (String, [String; 2], String) {
    match kind {
        0 => {
            let year = draw.number(1_200, 1_990);
            (
                format!("The lighthouse of {place} was built in the year {year}."),
                [
                    format!("In which year was the lighthouse of {place} built?"),
                    format!("When did people construct the beacon tower at {place}?"),
                ],
                year.to_string(),
            )
        },
        1 => {
            let goods = draw.one_of(&["salt", "copper", "honey", "wool", "glass", "amber"]);
            (
                format!("The merchants of {place} export mostly {goods}."),
                [
                    format!("What do the merchants of {place} export mostly?"),
                    format!("Which product do traders from {place} sell abroad?"),
                ],
                goods.to_owned(),
            )
        },
        2 => {
            let mut mayor = draw.name();
            while place.contains(&mayor) {
                mayor = draw.name();
            }
            (
                format!("The mayor of {place} is called {mayor}."),
                [
                    format!("What is the mayor of {place} called?"),
                    format!("Tell me the name of the head of the town council in {place}."),
                ],
                mayor,
            )
        },
        _ => {
            let length = draw.number(21, 980);
            (
                format!("The river through {place} is {length} kilometres long."),
                [
                    format!("How many kilometres long is the river through {place}?"),
                    format!("What is the length of the stream that crosses {place}?"),
                ],
                length.to_string(),
            )
        },
    }
}

/// Whether a response gives the answer: as its last number, or as one of its words.
pub fn is_right(response: &str, answer: &str) -> bool {
    let response = response.replace(',', "");
    if answer.bytes().all(|byte| byte.is_ascii_digit()) {
        let numbers = response.split(|c: char| !c.is_ascii_digit() && c != '.');
        let mut numbers = numbers.map(|number| number.trim_matches('.'));
        return numbers.rfind(|number| !number.is_empty()) == Some(answer);
    }
    let mut words = response.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case(answer))
}

/// The most probable answer of a model to a question.
pub fn ask(backend: &dyn Backend, question: &str, cancel: &Cancel) -> Result<String, BackendError> {
    let options = GenerateOptions {
        max_tokens: MAX_TOKENS,
        stop: vec![],
        sampling: Sampling::greedy(),
        drawing: None,
    };
    let messages = [Message::user(question)];
    let answer = backend.reply(&messages, &options, cancel, &mut |_| {})?;
    match answer.finish {
        Finish::Cancelled => Err(BackendError::Cancelled),
        _ => Ok(answer.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn questions_follow_from_their_seed() {
        for make in [arithmetic, stories] {
            assert_eq!(make(50, 7), make(50, 7));
            assert_ne!(make(50, 7), make(50, 8));
        }
        assert_eq!(facts(50, 7), facts(50, 7));
        assert_ne!(facts(50, 7).questions, facts(50, 8).questions);
    }

    #[test]
    fn every_fact_is_in_one_text_and_has_the_answer() {
        let facts = facts(40, 1);
        assert_eq!(facts.questions.len(), 40);
        let asked: BTreeSet<_> = facts
            .questions
            .iter()
            .map(|question| &question.text)
            .collect();
        assert_eq!(asked.len(), 40);
        for question in &facts.questions {
            let fact = question.fact.as_ref().unwrap();
            assert!(is_right(fact, &question.answer), "{fact}");
            assert_eq!(
                facts
                    .texts
                    .iter()
                    .filter(|text| text.contains(fact))
                    .count(),
                1
            );
            assert!(!question.text.contains(&question.answer));
        }
        assert!(facts.texts.len() > 1);
    }

    #[test]
    fn an_answer_is_the_last_number_or_one_of_the_words() {
        for (response, answer) in [
            ("84", "84"),
            ("12 * 7 = 84.", "84"),
            ("It is 1,284", "1284"),
            ("The answer is salt.", "salt"),
            ("SALT", "salt"),
        ] {
            assert!(is_right(response, answer), "{response}");
        }
        for (response, answer) in [
            ("84 or 85", "84"),
            ("84.5", "84"),
            ("184", "84"),
            ("", "84"),
            ("salty", "salt"),
        ] {
            assert!(!is_right(response, answer), "{response}");
        }
    }
}
