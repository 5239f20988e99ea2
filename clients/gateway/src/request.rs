// SPDX-License-Identifier: Apache-2.0
//! A request of `POST /v1/chat/completions` or `POST /v1/responses`.

use serde_json::{Map, Value};
use starling_client::answers;
use starling_primitives::choice::Form;

use crate::{
    conversation::{Message, Role},
    failure::Failure,
};

/// The maximum length of a body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The most answers of one request.
const MAX_ANSWERS: usize = 128;

/// Fields that a swarm takes without effect. The header `starling-ignored` names them.
const WITHOUT_EFFECT: [&str; 13] = [
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "presence_penalty",
    "reasoning",
    "reasoning_effort",
    "seed",
    "service_tier",
    "store",
    "temperature",
    "top_p",
    "truncation",
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
    /// The number of answers to return, at least 1.
    pub n: usize,
    /// Whether to stream the answer.
    pub stream: bool,
    /// Whether a stream tells the numbers of tokens.
    pub include_usage: bool,
    /// Whether to answer before the round is over, see `POST /v1/responses`.
    pub background: bool,
    /// The id of the response that the conversation goes on from.
    pub previous: Option<String>,
    /// The form of the answers: the field `starling.answers`.
    pub answers: Form,
    /// The given fields without effect.
    pub ignored: Vec<&'static str>,
}

/// Reads an object of JSON.
fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.len() > MAX_BODY {
        return Err(invalid(
            "body",
            format!("the body has more than {MAX_BODY} bytes"),
        ));
    }
    serde_json::from_slice(body)
        .map_err(|error| invalid("body", format!("the body is not a JSON object: {error}")))
}

/// Reads the body of a request for a chat completion.
pub fn completion(body: &[u8]) -> Result<Request, Failure> {
    let body = object(body)?;
    let given = |field: &str| body.get(field).filter(|value| !value.is_null());
    refuse_unsupported(&body)?;
    let messages = given("messages")
        .and_then(Value::as_array)
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| invalid("messages", "a list with at least one message is needed"))?;
    Ok(Request {
        model: model(&body)?,
        messages: read_messages("messages", messages)?,
        max_tokens: max_tokens(&body, &["max_completion_tokens", "max_tokens"])?,
        stop: stop(given("stop"))?,
        n: number_of_answers(given("n"))?,
        stream: boolean(given("stream"), "stream")?,
        include_usage: include_usage(given("stream_options"))?,
        background: false,
        previous: None,
        answers: form(given("starling"))?,
        ignored: ignored(&body),
    })
}

/// Reads the body of a request for a response.
pub fn response(body: &[u8]) -> Result<Request, Failure> {
    let body = object(body)?;
    let given = |field: &str| body.get(field).filter(|value| !value.is_null());
    refuse_unsupported(&body)?;
    if boolean(given("stream"), "stream")? {
        return Err(unsupported("stream", "stream with /v1/chat/completions"));
    }
    for field in ["conversation", "prompt"] {
        if given(field).is_some() {
            let reason = "send the conversation as `input`, or go on with `previous_response_id`";
            return Err(unsupported(field, reason));
        }
    }
    let previous = match given("previous_response_id") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => {
            return Err(invalid(
                "previous_response_id",
                "the id of a response is needed",
            ))
        },
    };
    let format = given("text").and_then(|text| text.get("format"));
    if format.is_some_and(|format| format.get("type").is_none_or(|kind| kind != "text")) {
        return Err(unsupported("text.format", "an answer is text"));
    }
    let mut messages = match given("instructions") {
        None => vec![],
        Some(Value::String(text)) => vec![Message {
            role: Role::System,
            text: text.clone(),
        }],
        Some(_) => return Err(invalid("instructions", "a text is needed")),
    };
    match given("input") {
        Some(Value::String(text)) => messages.push(Message {
            role: Role::User,
            text: text.clone(),
        }),
        Some(Value::Array(input)) => messages.extend(read_messages("input", input)?),
        _ => return Err(invalid("input", "a text or a list of messages is needed")),
    }
    Ok(Request {
        model: model(&body)?,
        messages,
        max_tokens: max_tokens(&body, &["max_output_tokens"])?,
        stop: vec![],
        n: 1,
        stream: false,
        include_usage: false,
        background: boolean(given("background"), "background")?,
        previous,
        answers: form(given("starling"))?,
        ignored: ignored(&body),
    })
}

fn model(body: &Map<String, Value>) -> Result<String, Failure> {
    body.get("model")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| invalid("model", "the name of a model is needed"))
}

fn ignored(body: &Map<String, Value>) -> Vec<&'static str> {
    let given = |field: &&str| body.get(*field).is_some_and(|value| !value.is_null());
    WITHOUT_EFFECT.into_iter().filter(given).collect()
}

/// The form of the answers in the field `starling`, which no other program knows.
fn form(options: Option<&Value>) -> Result<Form, Failure> {
    let Some(options) = options else {
        return Ok(Form::Free);
    };
    let options = options
        .as_object()
        .ok_or_else(|| invalid("starling", "an object is needed"))?;
    if let Some(other) = options.keys().find(|field| *field != "answers") {
        let other: String = other.chars().take(64).collect();
        return Err(unsupported(
            format!("starling.{other}"),
            "the only field here is `answers`",
        ));
    }
    read_form("starling.answers", options.get("answers"))
}

/// Reads a form of answers; by default any text.
pub fn read_form(place: &str, value: Option<&Value>) -> Result<Form, Failure> {
    match value {
        None | Some(Value::Null) => Ok(Form::Free),
        Some(value) => value
            .as_str()
            .and_then(answers::parse)
            .ok_or_else(|| invalid(place, "one of free, number, choice and short is needed")),
    }
}

fn number_of_answers(value: Option<&Value>) -> Result<usize, Failure> {
    match value {
        None => Ok(1),
        Some(value) => value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=MAX_ANSWERS).contains(n))
            .ok_or_else(|| invalid("n", format!("a number from 1 to {MAX_ANSWERS} is needed"))),
    }
}

fn read_messages(place: &str, messages: &[Value]) -> Result<Vec<Message>, Failure> {
    let numbered = messages.iter().enumerate();
    numbered
        .map(|(index, message)| read_message(&format!("{place}[{index}]"), message))
        .collect()
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

fn read_message(place: &str, message: &Value) -> Result<Message, Failure> {
    let place = |field: &str| format!("{place}.{field}");
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
    if text.trim().is_empty() {
        return Err(invalid(content, "the message is empty"));
    }
    Ok(Message { role, text })
}

fn read_part<'a>(place: &str, part: &'a Value) -> Result<&'a str, Failure> {
    match part.get("type").and_then(Value::as_str) {
        Some("text" | "input_text" | "output_text") => part
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

/// The first given one of `fields`.
fn max_tokens(body: &Map<String, Value>, fields: &[&str]) -> Result<Option<u32>, Failure> {
    let given = fields.iter().find_map(|field| {
        let value = body.get(*field).filter(|value| !value.is_null());
        value.map(|value| (*field, value))
    });
    let Some((field, value)) = given else {
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

fn include_usage(options: Option<&Value>) -> Result<bool, Failure> {
    let field = "include_usage";
    let value = options.and_then(|options| options.get(field));
    boolean(value, &format!("stream_options.{field}"))
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
        completion(body.to_string().as_bytes())
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
        assert_eq!(request.answers, Form::Free);
        assert!(request.ignored.is_empty() && request.stop.is_empty());
    }

    #[test]
    fn fields_are_read() {
        let request = read(json!({
            "max_tokens": 5, "max_completion_tokens": 9, "stop": "\n", "temperature": 0.2,
            "seed": 1, "stream": true, "n": 3, "stream_options": { "include_usage": true },
            "tools": [{}], "tool_choice": "none", "logprobs": false,
            "response_format": { "type": "text" },
        }))
        .unwrap();
        assert_eq!(request.max_tokens, Some(9));
        assert_eq!(request.stop, ["\n"]);
        assert_eq!(request.ignored, ["seed", "temperature"]);
        assert_eq!((request.stream, request.n), (true, 3));
        assert!(request.include_usage);
    }

    #[test]
    fn the_form_of_the_answers_is_read_in_both_endpoints() {
        for (options, form) in [
            (json!({ "answers": "number" }), Form::Number),
            (json!({ "answers": "short" }), Form::Short),
            (json!({ "answers": null }), Form::Free),
            (json!({}), Form::Free),
            (json!(null), Form::Free),
        ] {
            let request = read(json!({ "starling": options })).unwrap();
            assert_eq!(request.answers, form, "{options}");
            let body = json!({ "model": "starling", "input": "Why?", "starling": options });
            let request = response(body.to_string().as_bytes()).unwrap();
            assert_eq!(request.answers, form, "{options}");
        }
        let wrong = |options: Value| refusal(json!({ "starling": options }));
        for answers in [json!("essay"), json!("Number"), json!(1), json!(["number"])] {
            let refused = wrong(json!({ "answers": answers }));
            assert_eq!(refused, ("invalid_value", "starling.answers".to_owned()));
        }
        assert_eq!(
            wrong(json!("number")),
            ("invalid_value", "starling".to_owned())
        );
        assert_eq!(
            wrong(json!({ "answer": "number" })),
            ("unsupported_parameter", "starling.answer".to_owned())
        );
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
            (
                json!({ "messages": [{ "role": "user", "content": " \n" }] }),
                "messages[0].content",
            ),
            (json!({ "n": 0 }), "n"),
            (json!({ "n": 129 }), "n"),
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
            (
                json!({ "stream_options": { "include_usage": 1 } }),
                "stream_options.include_usage",
            ),
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
            assert_eq!(completion(&body).unwrap_err().code(), "invalid_value");
        }
    }

    #[test]
    fn a_response_is_asked_for_by_a_text_or_by_messages() {
        let asked = |body: Value| response(body.to_string().as_bytes());
        let input = json!([{
            "role": "user",
            "content": [{ "type": "input_text", "text": "Why?" }],
        }]);
        for input in [json!("Why?"), input] {
            let request = asked(json!({
                "model": "starling", "instructions": "Be short.", "input": input,
                "background": true, "max_output_tokens": 9, "store": true,
            }))
            .unwrap();
            let roles: Vec<_> = request.messages.iter().map(|said| said.role).collect();
            assert_eq!(roles, [Role::System, Role::User]);
            assert_eq!(request.messages[1].text, "Why?");
            assert_eq!((request.max_tokens, request.background), (Some(9), true));
            assert_eq!(request.ignored, ["store"]);
        }
        for (changes, param) in [
            (json!({ "stream": true }), "stream"),
            (json!({ "conversation": "conv" }), "conversation"),
            (json!({ "tools": [{}] }), "tools"),
            (
                json!({ "text": { "format": { "type": "json_schema" } } }),
                "text.format",
            ),
        ] {
            let mut body = json!({ "model": "starling", "input": "Why?" });
            for (field, value) in changes.as_object().unwrap() {
                body[field] = value.clone();
            }
            let failure = asked(body).unwrap_err();
            assert_eq!(failure.code(), "unsupported_parameter");
            assert_eq!(failure.body()["error"]["param"], param);
        }
        let next =
            json!({ "model": "starling", "input": "Why?", "previous_response_id": "resp-1" });
        assert_eq!(asked(next).unwrap().previous.as_deref(), Some("resp-1"));
        let wrong = json!({ "model": "starling", "input": "Why?", "previous_response_id": 7 });
        assert_eq!(asked(wrong).unwrap_err().code(), "invalid_value");
        let nothing = asked(json!({ "model": "starling" })).unwrap_err();
        assert_eq!(nothing.code(), "invalid_value");
    }
}
