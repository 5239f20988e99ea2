// SPDX-License-Identifier: Apache-2.0

//! Finds arithmetic in a text and computes it, exactly if possible (crate `fend-core`).
//!
//! That crate also knows units, variables and functions that call themselves. It is given
//! [expressions](value) of numbers, operators and a few functions alone.

use std::{
    ops::Range,
    sync::LazyLock,
    time::{Duration, Instant},
};

use regex::{Captures, Regex};

/// Most time for one expression.
const PATIENCE: Duration = Duration::from_millis(100);

/// Most time for all expressions of a text. Texts come from strangers, and an agent's answer is due.
const PATIENCE_OF_TEXT: Duration = Duration::from_secs(1);

/// Longest expression to compute, in bytes.
const LONGEST: usize = 256;

/// Most operators of an expression. Each may take a step of recursion.
const MOST_OPERATORS: usize = 64;

/// Most parentheses within each other. Each takes many steps of recursion.
const MOST_NESTED: usize = 16;

/// Functions and constants of an expression. `calc` stands for nothing: a call within a call.
const NAMES: [&str; 8] = ["abs", "calc", "ceil", "floor", "mod", "pi", "round", "sqrt"];

/// Signs in words.
const WORDS: [(&str, &str); 5] = [
    ("multiplied by", "*"),
    ("divided by", "/"),
    ("plus", "+"),
    ("minus", "-"),
    ("times", "*"),
];

const NUMBER: &str = r"[(\-−\s]*(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)%?[)\s]*";
const OPERATOR: &str =
    r"(?:%\s*of\b|\*\*|[-−+*/×÷^]|\b(?:plus|minus|times|multiplied by|divided by)\b)";

static EXPRESSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("{NUMBER}(?:{OPERATOR}{NUMBER})+")).ok());
static GROUPED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d{1,3}(?:,\d{3})+").ok());
static PERCENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\d+(?:\.\d+)?)\s*%\s*([-+*/)]|$)").ok());
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
        .filter(|found| found.len() <= LONGEST.saturating_mul(2))
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
        let start = inner.len().saturating_sub(inner.trim_start().len());
        let end = inner.len().saturating_sub(inner.trim_end().len());
        range = range.start.saturating_add(start)..range.end.saturating_sub(end);
        let inner = inner.trim();
        let open = inner.matches('(').count();
        let close = inner.matches(')').count();
        if open > close && inner.starts_with('(') {
            range.start = range.start.saturating_add(1);
        } else if close > open && inner.ends_with(')') {
            range.end = range.end.saturating_sub(1);
        } else {
            return range;
        }
    }
}

/// The value of an arithmetic expression, as a number with a point: `+ - * / ^ %`, parentheses, and
/// the functions `abs`, `ceil`, `floor`, `mod`, `round` and `sqrt`. `None` if it is anything else,
/// longer than 256 bytes, nested more than 16 deep, has more than 64 operators, has no real value, or
/// takes longer than a tenth of a second.
pub fn value(expression: &str) -> Option<String> {
    value_until(expression, end_of_text())
}

/// The time at which the expressions of a text that is read now are no longer computed.
pub(crate) fn end_of_text() -> Instant {
    let now = Instant::now();
    now.checked_add(PATIENCE_OF_TEXT).unwrap_or(now)
}

/// The [`value`] of one of the expressions of a text, before the time for all of them is over.
pub(crate) fn value_until(expression: &str, end: Instant) -> Option<String> {
    let plain = plain(expression)?;
    let now = Instant::now();
    let deadline = Deadline(now.checked_add(PATIENCE)?.min(end));
    if now >= end {
        return None;
    }
    let result =
        fend_core::evaluate_with_interrupt(&plain, &mut fend_core::Context::new(), &deadline)
            .ok()?;
    let value = result.get_main_result().trim_start_matches("approx. ");
    (value.len() <= LONGEST && is_number(value)).then(|| value.to_owned())
}

/// An expression of ASCII alone, if it is one that is computed.
fn plain(expression: &str) -> Option<String> {
    if expression.len() > LONGEST {
        return None;
    }
    let plain: String = expression.chars().map(sign).collect();
    let plain = WORDS
        .iter()
        .fold(plain.to_lowercase(), |plain, (word, sign)| {
            plain.replace(&format!(" {word} "), &format!(" {sign} "))
        });
    let plain = plain.replace("% of ", "% * ").replace("**", "^");
    let plain = GROUPED.as_ref()?.replace_all(&plain, |found: &Captures| {
        found
            .get(0)
            .map_or_else(String::new, |found| found.as_str().replace(',', ""))
    });
    let plain = PERCENT.as_ref()?.replace_all(&plain, "(${1}/100)${2}");
    is_plain(&plain).then(|| plain.replace("calc", ""))
}

/// The ASCII sign that a character stands for. Others than these are no part of an expression,
/// however much they look like one.
fn sign(character: char) -> char {
    match character {
        '\u{2212}' | '\u{2010}'..='\u{2014}' | '\u{FF0D}' => '-',
        '×' | '\u{2217}' | '\u{22C5}' | '·' | '\u{FF0A}' => '*',
        '÷' | '\u{2044}' | '\u{2215}' | '\u{FF0F}' => '/',
        '\u{FF0B}' => '+',
        '\u{FF08}' => '(',
        '\u{FF09}' => ')',
        '\u{FF0E}' => '.',
        '\u{FF10}'..='\u{FF19}' => u32::from(character)
            .checked_sub(0xFF10)
            .and_then(|digit| char::from_digit(digit, 10))
            .unwrap_or(character),
        space if space.is_whitespace() => ' ',
        other => other,
    }
}

/// Whether a text has numbers, operators and known names alone, few enough of them.
fn is_plain(text: &str) -> bool {
    let operators = text.chars().filter(|c| "+-*/^%".contains(*c)).count();
    let mut nested = 0usize;
    let mut deepest = 0usize;
    for character in text.chars() {
        nested = match character {
            '(' => nested.saturating_add(1),
            ')' => nested.saturating_sub(1),
            _ => nested,
        };
        deepest = deepest.max(nested);
    }
    let mut names = text.split(|c: char| !c.is_ascii_alphabetic());
    operators <= MOST_OPERATORS
        && deepest <= MOST_NESTED
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " .+-*/^%()".contains(c))
        && names.all(|name| name.is_empty() || NAMES.contains(&name))
}

/// Whether a text is a number: no unit, no share, no sum of real and imaginary parts.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    match digits.split_once('.') {
        Some((whole, part)) => is_digits(whole) && is_digits(part),
        None => is_digits(digits),
    }
}

/// Adds the values of the expressions in `text`, for a module that cannot compute them. Those that
/// are not computed within a second are left out.
pub fn annotate(text: &str) -> String {
    annotate_until(text, end_of_text())
}

fn annotate_until(text: &str, end: Instant) -> String {
    let found = expressions(text).into_iter().filter_map(|range| {
        let expression = text.get(range)?;
        Some(format!("{expression} = {}", value_until(expression, end)?))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        text.to_owned()
    } else {
        format!("{text}\n({})", found.join("; "))
    }
}

/// Corrects the results of the equations in `text`. A result is right if it is correctly rounded to
/// its own number of decimals. After a second the others stay as they are.
pub fn correct(text: &str) -> String {
    correct_until(text, end_of_text())
}

fn correct_until(text: &str, end: Instant) -> String {
    let mut corrected = String::with_capacity(text.len());
    let mut done = 0;
    for range in expressions(text) {
        let Some((shown, right)) = wrong_result(text, &range, end) else {
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
fn wrong_result(text: &str, range: &Range<usize>, end: Instant) -> Option<(Range<usize>, String)> {
    let after = text.get(range.end..)?;
    let shown = EQUATION.as_ref()?.captures(after)?.get(1)?;
    let right = value_until(text.get(range.clone())?, end)?;
    let plain = shown.as_str().replace(',', "");
    let decimals = plain
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let (is, should): (f64, f64) = (plain.parse().ok()?, right.parse().ok()?);
    let tolerance = 0.5 * 10f64.powi(i32::try_from(decimals).ok()?.checked_neg()?)
        + f64::EPSILON * should.abs();
    let at = |place: usize| range.end.saturating_add(place);
    let range = at(shown.start())..at(shown.end());
    ((is - should).abs() > tolerance).then_some((range, right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn signs_in_words_and_look_alikes_are_read_and_letters_of_other_scripts_refused() {
        for (expression, expected) in [
            ("20% of 50", "10"),
            ("50 + 10%", "50.1"),
            ("(5%)*40", "2"),
            ("sqrt(144) - 2", "10"),
            ("calc(2 + 3) * calc(4)", "20"),
            ("round(10 / 3)", "3"),
            ("\u{FF11}\u{FF12} \u{FF0B} 1", "13"),
            ("3\u{A0}⋅ 4", "12"),
            ("1,234,567 + 1", "1234568"),
        ] {
            assert_eq!(value(expression).as_deref(), Some(expected), "{expression}");
        }
        // Arabic digits, a Cyrillic о, a comma for a point, units, variables, functions, dates.
        for expression in [
            "٣ + ٤",
            "1о + 1",
            "1,5 + 1",
            "5 km + 3 miles",
            "x = 3",
            r"(\x. x x) (\x. x x)",
            "f x = f x; f 1",
            "@version",
            "today",
            "roll d6",
            "sqrt(-1)",
            "1; 2",
            "0x10",
            "",
            "()",
            "1 +",
        ] {
            assert_eq!(value(expression), None, "{expression}");
        }
    }

    #[test]
    fn no_input_is_too_large() {
        let many = |part: &str, count: usize| part.repeat(count);
        for expression in [
            format!("{}1{}", many("(", 17), many(")", 17)),
            format!("1{}", many("+1", 65)),
            format!("{}1", many("-", 65)),
            many("9", 300),
            many("(", 256),
            "9^9^9^9".into(),
            "1/0".into(),
            "10^400".into(),
        ] {
            assert_eq!(value(&expression), None, "{expression}");
        }
        let deep = format!("{}1{}", many("(", 16), many(")", 16));
        assert_eq!(value(&deep).as_deref(), Some("1"));
        // A text of any size is searched, and what is found is bounded.
        let long = many("((1+", 100_000);
        assert_eq!(annotate(&long), long);
    }

    #[test]
    fn after_its_time_a_text_stays_as_it_is() {
        let (over, text) = (Instant::now(), "What is 12 * 7 = 85?");
        assert_eq!(value_until("1 + 1", over), None);
        assert_eq!(annotate_until(text, over), text);
        assert_eq!(correct_until(text, over), text);
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
        assert_eq!(annotate("20% of 50"), "20% of 50\n(20% of 50 = 10)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sums_and_products_are_those_of_whole_numbers(a in -9_999i64..9_999, b in 1i64..9_999) {
            let both = [(format!("{a} + {b}"), a + b), (format!("{a} - {b}"), a - b),
                (format!("{a} * {b}"), a * b), (format!("({a} * {b}) / {b}"), a)];
            for (expression, expected) in both {
                prop_assert_eq!(value(&expression), Some(expected.to_string()));
            }
        }

        #[test]
        fn any_text_is_survived(text in "[0-9+*/%(). a-z,×−-]{0,60}|.{0,60}") {
            let _ = value(&text);
            prop_assert!(annotate(&text).starts_with(&text));
            let _ = correct(&text);
        }
    }
}
