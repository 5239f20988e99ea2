// SPDX-License-Identifier: Apache-2.0
//! The answer of a round as an OpenAI object.

use serde_json::{json, Value};

/// The answer of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The hash of the genesis block.
    pub genesis: [u8; 32],
    /// The round.
    pub round: u64,
    /// The time of the request, in seconds since 1970.
    pub created: u64,
    /// The name of the model in the request.
    pub model: String,
    /// The text that won.
    pub text: String,
    /// Whether the limit of tokens cut the text.
    pub cut: bool,
}

/// The id of a completion: it names the chain and the round.
pub fn id(genesis: &[u8; 32], round: u64) -> String {
    let chain: String = genesis
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("chatcmpl-{chain}-{round}")
}

/// The object `chat.completion`. `details` goes to the field `starling`.
///
/// There is no `usage`: the gateway has no tokenizer of the winner's model, and invents no numbers.
pub fn completion(answer: &Answer, stop: &[String], details: Value) -> Value {
    let (text, stopped) = cut_at(&answer.text, stop);
    let finish_reason = if answer.cut && !stopped {
        "length"
    } else {
        "stop"
    };
    json!({
        "id": id(&answer.genesis, answer.round),
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
        "starling": details,
    })
}

/// The text before the first of the texts that end it, and whether there was one.
fn cut_at<'a>(text: &'a str, stop: &[String]) -> (&'a str, bool) {
    let starts = stop.iter().filter_map(|end| text.split_once(end.as_str()));
    match starts
        .map(|(before, _)| before)
        .min_by_key(|before| before.len())
    {
        Some(before) => (before, true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cut: bool) -> Answer {
        let mut genesis = [0; 32];
        genesis[..5].copy_from_slice(&[0x0a, 0xbc, 1, 2, 3]);
        let model = "starling".to_owned();
        let text = "One. Two; three".to_owned();
        Answer {
            genesis,
            round: 7,
            created: 5,
            model,
            text,
            cut,
        }
    }

    #[test]
    fn a_completion_names_its_chain_and_round() {
        let object = completion(&answer(false), &[], json!({ "round": 7 }));
        assert_eq!(object["id"], "chatcmpl-0abc0102-7");
        assert_eq!(
            object["choices"][0]["message"]["content"],
            "One. Two; three"
        );
        assert_eq!(object["choices"][0]["finish_reason"], "stop");
        assert_eq!(object["starling"]["round"], 7);
        assert!(object.get("usage").is_none());
    }

    #[test]
    fn the_first_stop_text_ends_the_answer() {
        let stop = [";".to_owned(), ".".to_owned()];
        let object = completion(&answer(true), &stop, Value::Null);
        assert_eq!(object["choices"][0]["message"]["content"], "One");
        assert_eq!(object["choices"][0]["finish_reason"], "stop");
    }

    #[test]
    fn an_answer_cut_by_its_limit_says_so() {
        let object = completion(&answer(true), &["!".to_owned()], Value::Null);
        assert_eq!(object["choices"][0]["finish_reason"], "length");
    }
}
