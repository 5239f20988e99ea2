// SPDX-License-Identifier: Apache-2.0

//! An expert system: the first rule whose pattern matches and that has an answer gives it.

use super::arithmetic;
use crate::config::Rule;

/// The answer of `rules` to `prompt`.
pub fn answer(rules: &[Rule], prompt: &str) -> Option<String> {
    rules.iter().find_map(|rule| {
        let groups = rule.pattern.0.captures(prompt)?;
        match &rule.answer {
            Some(answer) => {
                let mut text = String::new();
                groups.expand(answer, &mut text);
                Some(text)
            },
            None => arithmetic::expressions(prompt)
                .into_iter()
                .find_map(|range| arithmetic::value(prompt.get(range)?)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> Vec<Rule> {
        #[derive(serde::Deserialize)]
        struct File {
            rules: Vec<Rule>,
        }
        toml::from_str::<File>(toml).unwrap().rules
    }

    #[test]
    fn the_first_rule_with_an_answer_gives_it() {
        let rules = rules(
            r#"
            [[rules]]
            pattern = '(?i)what is'
            arithmetic = true
            [[rules]]
            pattern = '(?i)capital of (?<where>\w+)'
            answer = "I would ask somebody in $where."
            "#,
        );
        assert_eq!(answer(&rules, "What is 6 * 7?").as_deref(), Some("42"));
        assert_eq!(
            answer(&rules, "What is the capital of Peru?").as_deref(),
            Some("I would ask somebody in Peru.")
        );
        assert_eq!(answer(&rules, "Hello"), None);
    }
}
