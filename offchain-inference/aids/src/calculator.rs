// SPDX-License-Identifier: Apache-2.0

//! A calculator that a model calls by writing `calc(EXPRESSION)`.
//!
//! A small model often knows which numbers to combine and not what comes out. [`invite`] shows it
//! how to leave that open, and [`compute`] puts the values in.

use std::{sync::LazyLock, time::Instant};

use regex::Regex;

use crate::arithmetic::{end_of_text, value, value_until};

/// Questions with the expression that answers each.
const EXAMPLES: [(&str, &str); 4] = [
    (
        "A box holds 12 eggs. How many eggs are in 7 boxes?",
        "12 * 7",
    ),
    (
        "Tom has 53 apples and eats 8 of them. How many are left?",
        "53 - 8",
    ),
    (
        "A ticket costs 4 coins. How many coins do 3 adults and 9 children pay?",
        "4 * (3 + 9)",
    ),
    ("What is 144 divided by 6?", "144 / 6"),
];

/// Beginning of the next question, for a model that goes on with one of its own.
const NEXT: &str = "\nQuestion:";

static CALL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\bcalc\(").ok());
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9][0-9.,]*").ok());

/// Invites a model to answer `question` with a call of the calculator. A question with fewer than two
/// numbers stays as it is: there is nothing to combine.
pub fn invite(question: &str) -> String {
    let rule = "Answer with calc(EXPRESSION). A calculator puts in the value.";
    with_examples(rule, question, |expression| format!("calc({expression})"))
}

/// The same examples with their values instead of calls, for comparison: what they alone help.
pub fn examples(question: &str) -> String {
    with_examples("Answer with a number.", question, |expression| {
        value(expression).unwrap_or_default()
    })
}

fn with_examples(rule: &str, question: &str, answer: impl Fn(&str) -> String) -> String {
    let numbers = NUMBER
        .as_ref()
        .map_or(0, |number| number.find_iter(question).take(2).count());
    if numbers < 2 {
        return question.to_owned();
    }
    let shown = EXAMPLES.map(|(question, expression)| {
        let answer = answer(expression);
        format!("Question: {question}\nAnswer: {answer}\n")
    });
    format!(
        "{rule}\n\n{}{} {question}\nAnswer:",
        shown.concat(),
        NEXT.trim_start()
    )
}

/// Puts the values of the calls in `text` in their places. A call that cannot be computed stays as it
/// is, and a text without calls does, too. After a second the other calls stay.
pub fn compute(text: &str) -> String {
    compute_until(text, end_of_text())
}

fn compute_until(text: &str, end: Instant) -> String {
    let Some(call) = CALL.as_ref().filter(|call| call.is_match(text)) else {
        return text.to_owned();
    };
    let mut rest = text.split_once(NEXT).map_or(text, |(own, _)| own);
    let mut computed = String::with_capacity(rest.len());
    while let Some(found) = call.find(rest) {
        let (before, from) = rest.split_at(found.start());
        let inside = rest.get(found.end()..).unwrap_or_default();
        let (expression, after) = argument(inside);
        computed.push_str(before);
        match value_until(expression, end) {
            Some(value) => computed.push_str(&value),
            None => {
                let length = from.len().saturating_sub(after.len());
                computed.push_str(from.get(..length).unwrap_or_default());
            },
        }
        rest = after;
    }
    computed.push_str(rest);
    computed
}

/// The text up to the parenthesis that closes a call, and the text after it. A model may forget to
/// close one; it ends with its line then.
fn argument(inside: &str) -> (&str, &str) {
    let mut open = 1usize;
    for (at, character) in inside.char_indices() {
        open = match character {
            '(' => open.saturating_add(1),
            ')' => open.saturating_sub(1),
            '\n' => return inside.split_at(at),
            _ => open,
        };
        if open == 0 {
            let (expression, after) = inside.split_at(at);
            return (expression, after.strip_prefix(')').unwrap_or(after));
        }
    }
    (inside, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn calls_become_their_values() {
        for (text, expected) in [
            ("calc(12 * 7)", "84"),
            (
                "It is calc((2 + 3) * 4) or CALC( 1,000 / 8 ).",
                "It is 20 or 125.",
            ),
            ("calc(12 * calc(3 + 4))", "84"),
            ("calc(2 + 3", "5"),
            ("calc(2 + 3\nand so on", "5\nand so on"),
            (
                "calc(2 × 3)\nQuestion: And 4 + 4?\nAnswer: calc(4 + 4)",
                "6",
            ),
        ] {
            assert_eq!(compute(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_computed_stays() {
        for text in [
            "",
            "no call",
            "recalc(1)",
            "calc(x + 1)",
            "calc(1 / 0) and calc(9^9^9^9)",
            "calc()",
            "calc(",
            "Question: 1 + 1?\nQuestion: 2 + 2?",
        ] {
            assert_eq!(compute(text), text);
        }
        assert_eq!(compute_until("calc(1 + 1)", Instant::now()), "calc(1 + 1)");
        let many = "calc(".repeat(50_000);
        assert_eq!(compute(&many), many);
    }

    #[test]
    fn only_questions_with_numbers_are_changed_and_by_a_bounded_text() {
        for question in ["Why is the sky blue?", "", "What happened in 1969?"] {
            assert_eq!(invite(question), question);
        }
        let question = "Ann has 34 boxes of 19 pens. How many pens?";
        let invited = invite(question);
        assert!(invited.contains("Answer: calc(12 * 7)\n"), "{invited}");
        assert!(invited.ends_with(&format!("\nQuestion: {question}\nAnswer:")));
        assert!(examples(question).contains("Answer: 84\n"));
        let long = "1 2 ".repeat(10_000);
        assert!(invite(&long).len() < long.len() + 512);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn text_without_calls_is_kept(text in "[a-z0-9 ().\n]{0,80}") {
            prop_assume!(!text.contains("calc("));
            prop_assert_eq!(compute(&text), text);
        }

        #[test]
        fn any_calls_are_survived(text in "(calc\\(|[0-9+*/() \n]|é){0,40}") {
            prop_assert!(compute(&text).len() <= text.len() + 256 * text.matches("calc(").count());
        }
    }
}
