// SPDX-License-Identifier: Apache-2.0

//! Finds arithmetic in a text and computes it, exactly if possible (crate `fend-core`).

use std::{
    ops::Range,
    sync::LazyLock,
    time::{Duration, Instant},
};

use regex::Regex;

/// Most time for one expression.
const PATIENCE: Duration = Duration::from_millis(100);

/// Longest expression to compute, in bytes.
const LONGEST: usize = 256;

const NUMBER: &str = r"[(\-−\s]*(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)%?[)\s]*";
const OPERATOR: &str = r"(?:\*\*|[-−+*/×÷^]|\b(?:plus|minus|times|multiplied by|divided by)\b)";

static EXPRESSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("{NUMBER}(?:{OPERATOR}{NUMBER})+")).ok());
static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\(?(?:\d+-\d+-\d+|\d+/\d+/\d{2,4}|\d{4}-\d{4}|\+?\d{3,}(?:-\d{3,})+)\)?$").ok()
});
static EQUATION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\s*=\s*(-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)").ok());

struct Deadline(Instant);

impl fend_core::Interrupt for Deadline {
    fn should_interrupt(&self) -> bool {
        Instant::now() > self.0
    }
}

/// The arithmetic expressions in `text`: numbers with operators between them, but neither dates nor
/// telephone numbers.
pub fn expressions(text: &str) -> Vec<Range<usize>> {
    let Some(expression) = EXPRESSION.as_ref() else {
        return vec![];
    };
    expression
        .find_iter(text)
        .filter_map(|found| {
            let range = balanced(text, found.range());
            let inner = text.get(range.clone())?;
            let date = DATE.as_ref().is_some_and(|date| date.is_match(inner));
            (inner.len() <= LONGEST && !date).then_some(range)
        })
        .collect()
}

/// Removes white space and unmatched parentheses at both ends of `range`.
fn balanced(text: &str, mut range: Range<usize>) -> Range<usize> {
    loop {
        let inner = text.get(range.clone()).unwrap_or_default();
        let start = inner.len() - inner.trim_start().len();
        let end = inner.len() - inner.trim_end().len();
        range = range.start + start..range.end - end;
        let inner = inner.trim();
        let open = inner.matches('(').count();
        let close = inner.matches(')').count();
        if open > close && inner.starts_with('(') {
            range.start += 1;
        } else if close > open && inner.ends_with(')') {
            range.end -= 1;
        } else {
            return range;
        }
    }
}

/// The value of an arithmetic expression.
pub fn value(expression: &str) -> Option<String> {
    let mut plain = expression
        .replace(['−', '–'], "-")
        .replace('×', "*")
        .replace('÷', "/")
        .replace("**", "^")
        .replace(',', "");
    for (word, sign) in [
        ("multiplied by", "*"),
        ("divided by", "/"),
        ("plus", "+"),
        ("minus", "-"),
        ("times", "*"),
    ] {
        plain = plain.replace(word, sign);
    }
    let deadline = Deadline(Instant::now() + PATIENCE);
    let result =
        fend_core::evaluate_with_interrupt(&plain, &mut fend_core::Context::new(), &deadline)
            .ok()?;
    let value = result.get_main_result().trim_start_matches("approx. ");
    (!value.is_empty() && value.len() <= LONGEST).then(|| value.to_owned())
}

/// Adds the values of the expressions in `text`, for a module that cannot compute them.
pub fn annotate(text: &str) -> String {
    let found = expressions(text).into_iter().filter_map(|range| {
        let expression = text.get(range)?;
        Some(format!("{expression} = {}", value(expression)?))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        text.to_owned()
    } else {
        format!("{text}\n({})", found.join("; "))
    }
}

/// Corrects the results of the equations in `text`. A result is right if it is correctly rounded to
/// its own number of decimals.
pub fn correct(text: &str) -> String {
    let mut corrected = String::with_capacity(text.len());
    let mut done = 0;
    for range in expressions(text) {
        let Some((shown, right)) = wrong_result(text, &range) else {
            continue;
        };
        corrected.push_str(text.get(done..shown.start).unwrap_or_default());
        corrected.push_str(&right);
        done = shown.end;
    }
    corrected.push_str(text.get(done..).unwrap_or_default());
    corrected
}

/// The place of a wrong result of the expression at `range`, and the right result.
fn wrong_result(text: &str, range: &Range<usize>) -> Option<(Range<usize>, String)> {
    let after = text.get(range.end..)?;
    let shown = EQUATION.as_ref()?.captures(after)?.get(1)?;
    let right = value(text.get(range.clone())?)?;
    let plain = shown.as_str().replace(',', "");
    let decimals = plain
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let (is, should): (f64, f64) = (plain.parse().ok()?, right.parse().ok()?);
    let tolerance = 0.5 * 10f64.powi(-i32::try_from(decimals).ok()?) + f64::EPSILON * should.abs();
    let range = range.end + shown.start()..range.end + shown.end();
    ((is - should).abs() > tolerance).then_some((range, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let found = expressions(text).into_iter();
        found.filter_map(|range| value(&text[range])).collect()
    }

    #[test]
    fn arithmetic_in_a_question_is_found_and_computed_exactly() {
        for (text, expected) in [
            ("What is 12 * 7?", "84"),
            ("Compute (2 + 3) × 4.", "20"),
            ("0.1 + 0.2", "0.3"),
            ("how much is 1,000 - 1", "999"),
            ("what is 6 times 7", "42"),
            ("7 divided by 2, please", "3.5"),
            ("2^10", "1024"),
            ("5 − 8", "-3"),
            ("(see 3 + 4)", "7"),
        ] {
            assert_eq!(values(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_arithmetic_is_left_alone() {
        for text in [
            "",
            "in 1999",
            "on 2024-01-05",
            "call 555-1234",
            "1/2/2024",
            "1990-1995",
            "a + b",
            "()",
        ] {
            assert_eq!(values(text), [""; 0], "{text}");
            assert_eq!(annotate(text), text);
            assert_eq!(correct(text), text);
        }
    }

    #[test]
    fn no_expression_takes_long() {
        let started = Instant::now();
        assert_eq!(value("9^9^9^9"), None);
        assert_eq!(value("1/0"), None);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn wrong_results_are_corrected_and_right_ones_kept() {
        assert_eq!(correct("So 12 * 7 = 85, fine."), "So 12 * 7 = 84, fine.");
        assert_eq!(correct("1 / 3 = 0.33"), "1 / 3 = 0.33");
        assert_eq!(
            correct("2 + 2 = 4 and 3 + 3 = 7"),
            "2 + 2 = 4 and 3 + 3 = 6"
        );
        assert_eq!(correct("2 + 2 = x"), "2 + 2 = x");
        assert_eq!(
            annotate("What is 12 * 7?"),
            "What is 12 * 7?\n(12 * 7 = 84)"
        );
    }
}
