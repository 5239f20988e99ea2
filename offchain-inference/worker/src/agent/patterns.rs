// SPDX-License-Identifier: Apache-2.0

//! Answers without a model: the first matching pattern with an answer gives it.

use starling_aids::arithmetic;

use crate::config::Reply;

/// The answer of `patterns` to `prompt`.
pub fn answer(patterns: &[Reply], prompt: &str) -> Option<String> {
    patterns.iter().find_map(|reply| match reply {
        Reply::Answer { pattern, answer } => {
            let groups = pattern.0.captures(prompt)?;
            let mut text = String::new();
            groups.expand(answer, &mut text);
            Some(text)
        },
        Reply::Arithmetic { pattern, .. } if pattern.0.is_match(prompt) => {
            let mut found = arithmetic::expressions(prompt).into_iter();
            found.find_map(|range| arithmetic::value(prompt.get(range)?))
        },
        Reply::Arithmetic { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(toml: &str) -> Vec<Reply> {
        #[derive(serde::Deserialize)]
        struct File {
            patterns: Vec<Reply>,
        }
        toml::from_str::<File>(toml).unwrap().patterns
    }

    #[test]
    fn the_first_pattern_with_an_answer_gives_it() {
        let patterns = patterns(
            r#"
            [[patterns]]
            pattern = '(?i)what is'
            arithmetic = true
            [[patterns]]
            pattern = '(?i)capital of (?<where>\w+)'
            answer = "I would ask somebody in $where."
            "#,
        );
        assert_eq!(answer(&patterns, "What is 6 * 7?").as_deref(), Some("42"));
        assert_eq!(
            answer(&patterns, "What is the capital of Peru?").as_deref(),
            Some("I would ask somebody in Peru.")
        );
        assert_eq!(answer(&patterns, "Hello"), None);
    }
}
