// SPDX-License-Identifier: Apache-2.0
//! A request of `POST /v1/chat/completions`.

use serde_json::{Map, Value};

use crate::{
    conversation::{Message, Role},
    failure::Failure,
};

/// The maximum length of a body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Fields that a swarm takes without effect. The header `starling-ignored` names them.
const WITHOUT_EFFECT: [&str; 8] = [
    "frequency_penalty",
    "metadata",
    "presence_penalty",
    "seed",
    "store",
    "temperature",
    "top_p",
    "user",
];

/// A request that a round can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name of the model.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The maximum length of the answer, in tokens.
    pub max_tokens: Option<u32>,
    /// The texts that end the answer.
    pub stop: Vec<String>,
    /// Whether to stream the answer.
    pub stream: bool,
    /// Whether the stream ends with the usage.
    pub include_usage: bool,
    /// The given fields without effect.
    pub ignored: Vec<&'static str>,
}

/// Reads the body of a request.
pub fn parse(body: &[u8]) -> Result<Request, Failure> {
    if body.len() > MAX_BODY {
        return Err(invalid(
            "body",
            format!("the body has more than {MAX_BODY} bytes"),
        ));
    }
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid("body", format!("the body is not a JSON object: {error}")))?;
    let given = |field: &str| body.get(field).filter(|value| !value.is_null());
    refuse_unsupported(&body)?;
    let model = given("model").and_then(Value::as_str);
    let messages = given("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| invalid("messages", "a list with at least one message is needed"))?;
    let stream_options = given("stream_options").unwrap_or(&Value::Null);
    Ok(Request {
        model: model
            .ok_or_else(|| invalid("model", "the name of a model is needed"))?
            .to_owned(),
        messages: messages
            .iter()
            .enumerate()
            .map(|(index, message)| read_message(index, message))
            .collect::<Result<_, _>>()?,
        max_tokens: max_tokens(&body)?,
        stop: stop(given("stop"))?,
        stream: boolean(given("stream"), "stream")?,
        include_usage: boolean(stream_options.get("include_usage"), "stream_options")?,
        ignored: WITHOUT_EFFECT
            .into_iter()
            .filter(|field| given(field).is_some())
            .collect(),
    })
}

fn refuse_unsupported(body: &Map<String, Value>) -> Result<(), Failure> {
    let given = |field: &str| body.get(field).filter(|value| !value.is_null());
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let unused = given("tool_choice").is_some_and(|choice| choice == "none");
    for field in ["tools", "functions"] {
        if !unused && given(field).is_some_and(|tools| !is_empty(tools)) {
            return Err(unsupported(field, "a swarm calls no tools"));
        }
    }
    if given("n").is_some_and(|n| n.as_u64() != Some(1)) {
        return Err(unsupported("n", "a round has one answer; n must be 1"));
    }
    if given("logprobs").is_some_and(|wanted| wanted != false) || given("top_logprobs").is_some() {
        return Err(unsupported(
            "logprobs",
            "a round has no probabilities of tokens",
        ));
    }
    let format = given("response_format").map(|format| format.get("type"));
    if format.is_some_and(|kind| kind.is_none_or(|kind| kind != "text")) {
        return Err(unsupported("response_format", "an answer is text"));
    }
    Ok(())
}

fn read_message(index: usize, message: &Value) -> Result<Message, Failure> {
    let place = |field: &str| format!("messages[{index}].{field}");
    let role = match message.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => {
            return Err(unsupported(place("role"), "a swarm calls no tools"));
        },
        _ => return Err(invalid(place("role"), "the role is not known")),
    };
    let content = place("content");
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| read_part(&content, part))
            .collect::<Result<_, _>>()?,
        _ => return Err(invalid(content, "the content is neither a text nor a list")),
    };
    Ok(Message { role, text })
}

fn read_part<'a>(place: &str, part: &'a Value) -> Result<&'a str, Failure> {
    match part.get("type").and_then(Value::as_str) {
        Some("text") => part
            .get("text")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid(place, "the part has no text")),
        Some(_) => Err(unsupported(
            place,
            "only text is read; no images, sounds or files",
        )),
        None => Err(invalid(place, "the part has no type")),
    }
}

/// `max_completion_tokens`, else `max_tokens`.
fn max_tokens(body: &Map<String, Value>) -> Result<Option<u32>, Failure> {
    let given = |field: &'static str| {
        body.get(field)
            .filter(|value| !value.is_null())
            .map(|value| (field, value))
    };
    let Some((field, value)) = given("max_completion_tokens").or_else(|| given("max_tokens"))
    else {
        return Ok(None);
    };
    value
        .as_u64()
        .and_then(|tokens| u32::try_from(tokens).ok())
        .filter(|tokens| *tokens > 0)
        .map(Some)
        .ok_or_else(|| invalid(field, "a positive number of tokens is needed"))
}

fn stop(value: Option<&Value>) -> Result<Vec<String>, Failure> {
    let texts = match value {
        None => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(Value::Array(texts)) => texts
            .iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    };
    texts
        .filter(|texts| texts.len() <= 4 && texts.iter().all(|text| !text.is_empty()))
        .ok_or_else(|| invalid("stop", "at most four texts are taken, none empty"))
}

fn boolean(value: Option<&Value>, field: &str) -> Result<bool, Failure> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(invalid(field, "true or false is needed")),
    }
}

fn invalid(param: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure::InvalidValue {
        param: param.into(),
        message: message.into(),
    }
}

fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure::Unsupported {
        param: param.into(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A good body with `changes`.
    fn read(changes: Value) -> Result<Request, Failure> {
        let mut body = json!({
            "model": "starling",
            "messages": [{ "role": "user", "content": "Why?" }],
        });
        for (field, value) in changes.as_object().unwrap() {
            body[field] = value.clone();
        }
        parse(body.to_string().as_bytes())
    }

    fn refusal(changes: Value) -> (&'static str, String) {
        let failure = read(changes).unwrap_err();
        let param = failure.body()["error"]["param"]
            .as_str()
            .unwrap()
            .to_owned();
        (failure.code(), param)
    }

    #[test]
    fn a_plain_question_is_read() {
        let request = read(json!({})).unwrap();
        let question = Message {
            role: Role::User,
            text: "Why?".to_owned(),
        };
        assert_eq!(request.messages, [question]);
        assert_eq!(request.model, "starling");
        assert_eq!((request.max_tokens, request.stream), (None, false));
        assert!(request.ignored.is_empty() && request.stop.is_empty());
    }

    #[test]
    fn fields_are_read() {
        let request = read(json!({
            "max_tokens": 5, "max_completion_tokens": 9, "stop": "\n", "temperature": 0.2,
            "seed": 1, "stream": true, "stream_options": { "include_usage": true }, "n": 1,
            "tools": [{}], "tool_choice": "none", "logprobs": false,
            "response_format": { "type": "text" },
        }))
        .unwrap();
        assert_eq!(request.max_tokens, Some(9));
        assert_eq!(request.stop, ["\n"]);
        assert_eq!(request.ignored, ["seed", "temperature"]);
        assert!(request.stream && request.include_usage);
    }

    #[test]
    fn parts_of_text_are_joined() {
        let parts = json!([{ "type": "text", "text": "Wh" }, { "type": "text", "text": "y?" }]);
        let request = read(json!({ "messages": [{ "role": "user", "content": parts }] })).unwrap();
        assert_eq!(request.messages[0].text, "Why?");
    }

    #[test]
    fn what_a_swarm_does_not_have_is_unsupported() {
        let image = json!([{ "type": "image_url", "image_url": { "url": "x" } }]);
        for (changes, param) in [
            (json!({ "n": 2 }), "n"),
            (json!({ "tools": [{}] }), "tools"),
            (json!({ "logprobs": true }), "logprobs"),
            (
                json!({ "response_format": { "type": "json_object" } }),
                "response_format",
            ),
            (json!({ "response_format": {} }), "response_format"),
            (
                json!({ "messages": [{ "role": "user", "content": image }] }),
                "messages[0].content",
            ),
            (
                json!({ "messages": [{ "role": "tool", "content": "x" }] }),
                "messages[0].role",
            ),
        ] {
            assert_eq!(
                refusal(changes),
                ("unsupported_parameter", param.to_owned())
            );
        }
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for (changes, param) in [
            (json!({ "messages": [] }), "messages"),
            (json!({ "messages": "Why?" }), "messages"),
            (
                json!({ "messages": [{ "role": "owl", "content": "x" }] }),
                "messages[0].role",
            ),
            (
                json!({ "messages": [{ "role": "user" }] }),
                "messages[0].content",
            ),
            (json!({ "model": 3 }), "model"),
            (json!({ "max_tokens": 0 }), "max_tokens"),
            (json!({ "max_tokens": 4_294_967_296_u64 }), "max_tokens"),
            (
                json!({ "max_completion_tokens": -1 }),
                "max_completion_tokens",
            ),
            (json!({ "stop": [""] }), "stop"),
            (json!({ "stop": ["1", "2", "3", "4", "5"] }), "stop"),
            (json!({ "stream": "yes" }), "stream"),
        ] {
            assert_eq!(refusal(changes), ("invalid_value", param.to_owned()));
        }
    }

    #[test]
    fn a_body_that_is_no_object_or_too_long_is_refused() {
        for body in [
            b"".to_vec(),
            b"[]".to_vec(),
            b"{".to_vec(),
            vec![b' '; MAX_BODY + 1],
        ] {
            assert_eq!(parse(&body).unwrap_err().code(), "invalid_value");
        }
    }
}
