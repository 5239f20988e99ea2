// SPDX-License-Identifier: Apache-2.0

//! The agent's choice of the requests that it answers.

use super::Request;
use crate::config::{Accept, Kind};

/// The reason to refuse `request`; `None` to accept it.
pub fn refusal(accept: &Accept, request: &Request) -> Option<String> {
    let Accept {
        min_prompt_bytes,
        max_prompt_bytes,
        min_fee,
        max_slash,
        expert_for,
        topics,
        refuse,
    } = accept;
    let len = request.prompt.bytes();
    let text = request.prompt.text();
    if let Some(min) = min_prompt_bytes.filter(|min| len < *min) {
        return Some(format!(
            "the prompt has {len} bytes, but the agent asks for at least {min}"
        ));
    }
    if let Some(max) = max_prompt_bytes.filter(|max| len > *max) {
        return Some(format!(
            "the prompt has {len} bytes, but the agent accepts at most {max}"
        ));
    }
    if let Some(min) = min_fee.filter(|min| request.fee < min.0) {
        return Some(format!(
            "the fee is {}, but the agent asks for at least {}",
            request.fee, min.0
        ));
    }
    if let Some(max) = max_slash.filter(|max| request.slash > max.0) {
        return Some(format!(
            "a round without delivery costs {}, but the agent risks at most {}",
            request.slash, max.0
        ));
    }
    let asked = Kind(request.form);
    if !expert_for.is_empty() && !expert_for.contains(&asked) {
        return Some(format!(
            "the question is of the kind {asked}, for which the agent is no expert"
        ));
    }
    if !topics.is_empty() && !topics.iter().any(|topic| topic.0.is_match(&text)) {
        return Some("the prompt matches none of the topics".into());
    }
    let refused = refuse.iter().find(|topic| topic.0.is_match(&text))?;
    Some(format!("the prompt matches {:?}", refused.0.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::choice::Form;

    fn refused(accept: &str, prompt: &str, fee: u128) -> Option<String> {
        let accept: Accept = toml::from_str(accept).unwrap();
        let request = Request {
            round: 1,
            prompt: prompt.into(),
            max_tokens: 8,
            fee,
            slash: fee / 2,
            form: Form::Number,
            is_first: true,
            place: None,
        };
        refusal(&accept, &request)
    }

    #[test]
    fn an_expert_answers_its_kinds_of_questions() {
        assert_eq!(
            refused("expert_for = ['short', 'number']", "2 + 2?", 5),
            None
        );
        let reason = refused("expert_for = ['choice', 'free']", "2 + 2?", 5).unwrap();
        assert!(reason.contains("kind number"), "{reason}");
        let error = toml::from_str::<Accept>("expert_for = ['poetry']").unwrap_err();
        assert!(error.to_string().contains("poetry"), "{error}");
    }

    #[test]
    fn every_filter_counts() {
        assert_eq!(refused("", "", 0), None);
        let filters = "min_prompt_bytes = 3\nmax_prompt_bytes = 12\nmin_fee = 5\nmax_slash = 4\n\
            topics = ['(?i)rust', 'crab']\nrefuse = ['game']";
        assert_eq!(refused(filters, "What is Rust", 5), None);
        assert_eq!(refused(filters, "crab", 5), None);
        for (prompt, fee, words) in [
            ("ru", 5, "at least 3"),
            ("What is rust, please?", 5, "at most 12"),
            ("rust", 4, "fee is 4"),
            ("rust", 10, "costs 5, but the agent risks at most 4"),
            ("python", 9, "none of the topics"),
            ("rust game", 9, "\"game\""),
        ] {
            let reason = refused(filters, prompt, fee).unwrap();
            assert!(reason.contains(words), "{reason}");
        }
    }
}
