// SPDX-License-Identifier: Apache-2.0
//! The answer of a round as OpenAI objects: `chat.completion` and the chunks of a stream.

use serde_json::{json, Value};

use crate::{place::Place, usage::Usage};

/// The answer of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The id of the completion, see [`id`].
    pub id: String,
    /// The time of the request, in seconds since 1970.
    pub created: u64,
    /// The name of the model in the request.
    pub model: String,
    /// The texts, the winner's first. Each becomes a choice.
    pub texts: Vec<String>,
    /// The numbers of tokens, if they are known.
    pub usage: Option<Usage>,
}

impl Answer {
    /// The reason why a choice ends. Where tokens are not known, a cut text looks like any other.
    fn finish_reason(&self, index: usize) -> &'static str {
        match &self.usage {
            Some(usage) if usage.is_cut(index) => "length",
            _ => "stop",
        }
    }
}

/// An id that names the chain and the place, such as `chatcmpl-0abc0102-7` for a round.
pub fn id(prefix: &str, genesis: &[u8], place: Place) -> String {
    format!("{prefix}-{}-{place}", chain_name(genesis))
}

/// The place of an id that [`id`] made for this chain.
pub fn place_of(prefix: &str, genesis: &[u8], id: &str) -> Option<Place> {
    let rest = id.strip_prefix(prefix)?.strip_prefix('-')?;
    let place = rest.strip_prefix(&chain_name(genesis))?.strip_prefix('-')?;
    Place::parse(place)
}

/// The beginning of the genesis hash in hexadecimal, which names the chain.
pub fn chain_name(genesis: &[u8]) -> String {
    let bytes = genesis.iter().take(4);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The object `chat.completion`. `details` goes to the field `starling`.
pub fn completion(answer: &Answer, details: Value) -> Value {
    let choices: Vec<_> = answer
        .texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            json!({
                "index": index,
                "message": { "role": "assistant", "content": text, "refusal": null },
                "logprobs": null,
                "finish_reason": answer.finish_reason(index),
            })
        })
        .collect();
    let mut completion = json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": choices,
        "starling": details,
    });
    if let (Some(usage), Some(fields)) = (&answer.usage, completion.as_object_mut()) {
        fields.insert("usage".to_owned(), usage.of_completion());
    }
    completion
}

/// A chunk of a stream: `delta` of one choice, and `details` in the field `starling`.
pub fn chunk(
    answer: &Answer,
    index: usize,
    delta: Value,
    finish_reason: Option<&str>,
    details: Option<Value>,
) -> Value {
    let mut chunk = json!({
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "choices": [{
            "index": index,
            "delta": delta,
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
    });
    if let (Some(details), Some(fields)) = (details, chunk.as_object_mut()) {
        fields.insert("starling".to_owned(), details);
    }
    chunk
}

/// The chunks of a known answer: for each choice its text in pieces, then its end. The last chunk
/// has `details`.
pub fn chunks(answer: &Answer, details: &Value) -> Vec<Value> {
    let last = answer.texts.len().saturating_sub(1);
    let mut chunks = vec![];
    for (index, text) in answer.texts.iter().enumerate() {
        if index > 0 {
            let begin = json!({ "role": "assistant", "content": "" });
            chunks.push(chunk(answer, index, begin, None, None));
        }
        for piece in pieces(text) {
            chunks.push(chunk(
                answer,
                index,
                json!({ "content": piece }),
                None,
                None,
            ));
        }
        let details = (index == last).then(|| details.clone());
        let reason = answer.finish_reason(index);
        chunks.push(chunk(answer, index, json!({}), Some(reason), details));
    }
    chunks
}

/// The chunk after the last choice, for a caller that wants the numbers of tokens. `None` if they
/// are not known.
pub fn usage_chunk(answer: &Answer) -> Option<Value> {
    let usage = answer.usage.as_ref()?;
    Some(json!({
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "choices": [],
        "usage": usage.of_completion(),
    }))
}

/// Number of words in a piece of a streamed text.
const WORDS: usize = 4;

/// A text in pieces of a few words. Joined they are the text.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = vec![];
    let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    let mut rest = text;
    for group in words.chunks(WORDS) {
        let length = group.iter().map(|word| word.len()).sum();
        let Some((piece, after)) = rest.split_at_checked(length) else {
            break;
        };
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The text before the first of the texts that end it.
pub fn cut_at<'a>(text: &'a str, stop: &[String]) -> &'a str {
    stop.iter()
        .filter_map(|end| text.split_once(end.as_str()))
        .map(|(before, _)| before)
        .min_by_key(|before| before.len())
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GENESIS: [u8; 5] = [0x0a, 0xbc, 1, 2, 3];

    fn answer(texts: &[&str]) -> Answer {
        Answer {
            id: id("chatcmpl", &GENESIS, Place::Round(7)),
            created: 5,
            model: "starling".to_owned(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            usage: None,
        }
    }

    #[test]
    fn a_completion_names_its_chain_and_round() {
        let object = completion(&answer(&["One.", "Two."]), json!({ "round": 7 }));
        assert_eq!(object["id"], "chatcmpl-0abc0102-7");
        assert_eq!(object["choices"][0]["message"]["content"], "One.");
        assert_eq!(object["choices"][1]["index"], 1);
        assert_eq!(object["choices"][0]["finish_reason"], "stop");
        assert_eq!(object["starling"]["round"], 7);
        assert!(object.get("usage").is_none());
    }

    #[test]
    fn known_tokens_are_told_and_show_which_text_was_cut() {
        let mut answer = answer(&["One.", "Two."]);
        assert_eq!(usage_chunk(&answer), None);
        answer.usage = Some(Usage {
            prompt: 5,
            answers: vec![2, 3],
            limit: 3,
        });
        let object = completion(&answer, Value::Null);
        assert_eq!(object["usage"]["total_tokens"], 10);
        assert_eq!(object["choices"][0]["finish_reason"], "stop");
        assert_eq!(object["choices"][1]["finish_reason"], "length");
        let chunk = usage_chunk(&answer).unwrap();
        assert_eq!(
            (&chunk["choices"], &chunk["usage"]),
            (&json!([]), &object["usage"])
        );
    }

    #[test]
    fn a_place_is_found_again_by_its_id_on_its_chain_alone() {
        let request = Place::Lane {
            lane: 3,
            epoch: 12,
            seq: 5,
        };
        for place in [Place::Round(7), request] {
            let name = id("resp", &GENESIS, place);
            assert_eq!(place_of("resp", &GENESIS, &name), Some(place));
            assert_eq!(place_of("resp", &[1, 2, 3, 4], &name), None);
            assert_eq!(place_of("chatcmpl", &GENESIS, &name), None);
            assert_eq!(place_of("resp", &GENESIS, &format!("{name}x")), None);
        }
    }

    #[test]
    fn the_first_stop_text_ends_an_answer() {
        let stop = [";".to_owned(), ".".to_owned()];
        assert_eq!(cut_at("One. Two; three", &stop), "One");
        assert_eq!(cut_at("One", &stop), "One");
    }

    proptest! {
        #[test]
        fn chunks_join_to_the_texts_and_end_each_choice_once(
            texts in prop::collection::vec(any::<String>(), 1..4),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let chunks = chunks(&answer(&texts), &json!({ "round": 7 }));
            for (index, text) in texts.iter().enumerate() {
                let of_choice = chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == index);
                let joined: String = of_choice
                    .clone()
                    .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
                    .collect();
                prop_assert_eq!(&joined, text);
                let ends = of_choice.filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop");
                prop_assert_eq!(ends.count(), 1);
            }
            prop_assert_eq!(&chunks.last().unwrap()["starling"]["round"], 7);
        }
    }
}
