// SPDX-License-Identifier: Apache-2.0
//! A model behind an OpenAI-compatible endpoint, such as vLLM's or llama.cpp's.
//!
//! Generation needs nothing special, verdicts need `logprobs` of the generated token. Probabilities
//! of given text need a server that echoes the prompt with its log-probabilities (`echo` with
//! `logprobs`): vLLM does, llama.cpp's server does not. Chat completions ([`Api::Chat`]) reply to
//! conversations and tell nothing about a given text.

use super::{reply_by_template, Ask, Backend, BackendError, Evaluation, NodeId, PromptTree};
use crate::{
    chat::{ChatError, ChatTemplate, Message},
    generate::{Cancel, Finish, GenerateOptions, Generation, StopFilter},
    prompt::{Part, Prompt},
};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::{
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

/// Log-probabilities asked for at the generated token. vLLM grants 20 unless told otherwise.
const TOP_LOGPROBS: usize = 20;

/// The most bytes of an answer: 16 MiB hold the echo of any context of today, and as a stream tens
/// of thousands of tokens.
const MAX_ANSWER: u64 = 16 << 20;

/// For the answer to [`HttpBackend::check`], which computes nothing.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// The interface of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Completions: the server continues a text, which the model's template makes here.
    #[default]
    Completions,
    /// Chat completions: the server applies the model's template itself.
    Chat,
}

impl Api {
    fn path(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Chat => "chat/completions",
        }
    }
}

/// The address and the model of an endpoint.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The base URL, `/v1` included.
    pub url: String,
    /// The `model` of the requests.
    pub model: String,
    /// The interface.
    pub api: Api,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// Jinja chat template of the model; `None`: the plain one.
    pub chat_template: Option<String>,
    /// Tokens that the model can attend to, if known.
    pub context_length: Option<usize>,
    /// Limit for a whole request.
    pub timeout: Duration,
}

impl HttpConfig {
    /// An endpoint for completions without key or template, with a timeout of five minutes.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            api: Api::default(),
            api_key: None,
            chat_template: None,
            context_length: None,
            timeout: Duration::from_secs(300),
        }
    }
}

/// A model behind an endpoint.
pub struct HttpBackend {
    config: HttpConfig,
    agent: ureq::Agent,
    chat: ChatTemplate,
}

#[derive(Deserialize)]
struct Completion {
    choices: Option<Vec<Choice>>,
    /// Takes the place of choices, with any status.
    error: Option<Value>,
}

impl Completion {
    /// The first choice, if there is one. An error that the server reports becomes an error.
    fn choice(self) -> Result<Option<Choice>, String> {
        match self.error {
            Some(error) if !error.is_null() => {
                let message = error.get("message").and_then(Value::as_str);
                Err(message.map_or_else(|| error.to_string(), str::to_owned))
            },
            _ => Ok(self.choices.into_iter().flatten().next()),
        }
    }
}

#[derive(Deserialize)]
struct Choice {
    text: Option<String>,
    /// In a stream of chat completions.
    delta: Option<Said>,
    /// In a chat completion.
    message: Option<Said>,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

impl Choice {
    fn text(&self) -> &str {
        let said = [&self.delta, &self.message];
        let said = said.into_iter().flatten().find_map(|s| s.content.as_ref());
        self.text.as_ref().or(said).map_or("", String::as_str)
    }
}

/// A line of an endpoint's answer.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    /// An event of a stream.
    Event(&'a str),
    /// The stream is over.
    Done,
    /// Nothing about the text: the end of an event, a comment, a field that is not used here.
    Silent,
    /// Not a line of a stream.
    Other,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        match line.split_once(':') {
            Some(("data", "")) => Self::Silent,
            Some(("data", data)) if data.trim() == "[DONE]" => Self::Done,
            Some(("data", data)) => Self::Event(data.trim()),
            Some(("" | "event" | "id" | "retry", _)) => Self::Silent,
            None if line.trim().is_empty() => Self::Silent,
            _ => Self::Other,
        }
    }
}

/// Log-probabilities in the format of completions (vLLM) or of chat completions (llama.cpp's
/// server).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Logprobs {
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<Map<String, Value>>>,
    /// Characters from the beginning of the prompt.
    text_offset: Vec<usize>,
    content: Vec<Content>,
}

#[derive(Deserialize)]
struct Content {
    top_logprobs: Vec<Top>,
}

#[derive(Deserialize)]
struct Top {
    token: String,
    logprob: f32,
}

impl Logprobs {
    /// The most probable first tokens with their ln p, in no order.
    fn first(self) -> Vec<(String, f32)> {
        let chat = self
            .content
            .into_iter()
            .next()
            .into_iter()
            .flat_map(|c| c.top_logprobs);
        let plain = self
            .top_logprobs
            .into_iter()
            .flatten()
            .next()
            .into_iter()
            .flatten();
        chat.map(|top| (top.token, top.logprob))
            .chain(plain.filter_map(|(token, p)| Some((token, p.as_f64()? as f32))))
            .collect()
    }
}

impl HttpBackend {
    /// Compiles the template. Does not connect; [`Self::check`] does.
    pub fn new(config: HttpConfig) -> Result<Self, BackendError> {
        // The server itself adds the token that begins a text.
        let chat = ChatTemplate::new(config.chat_template.as_deref(), None, None)?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self {
            config,
            agent,
            chat,
        })
    }

    /// Fails unless the server is there and accepts this program. Asks for the list of its models.
    pub fn check(&self) -> Result<(), BackendError> {
        let url = self.url("models");
        let failed = |reason: String| BackendError::Http {
            url: without_login(&url),
            reason,
        };
        let mut request = self.agent.get(&url);
        if let Some(header) = self.authorization() {
            request = request.header("Authorization", header);
        }
        let request = request
            .config()
            .timeout_global(Some(self.config.timeout.min(CHECK_TIMEOUT)))
            .build();
        let response = request.call().map_err(|error| failed(error.to_string()))?;
        match response.status().as_u16() {
            // Some servers do not list their models.
            200..=299 | 404 | 405 => Ok(()),
            _ => Err(failed(response.status().to_string())),
        }
    }

    fn authorization(&self) -> Option<String> {
        let key = self.config.api_key.as_ref()?;
        Some(format!("Bearer {key}"))
    }

    fn url(&self, what: &str) -> String {
        format!("{}/{what}", self.config.url.trim_end_matches('/'))
    }

    /// The failure of a request. The words of a server may repeat what it was sent.
    fn failed(&self, reason: impl ToString) -> BackendError {
        let reason = reason.to_string();
        let key = self.config.api_key.as_deref().unwrap_or_default();
        BackendError::Http {
            url: without_login(&self.url(self.config.api.path())),
            reason: if key.is_empty() {
                reason
            } else {
                reason.replace(key, "[API key]")
            },
        }
    }

    fn not_offered(&self, what: &'static str) -> BackendError {
        BackendError::NotOffered {
            url: without_login(&self.url(self.config.api.path())),
            what,
        }
    }

    fn post(&self, body: &Value) -> Result<ureq::http::Response<ureq::Body>, BackendError> {
        let mut request = self.agent.post(self.url(self.config.api.path()));
        if let Some(header) = self.authorization() {
            request = request.header("Authorization", header);
        }
        let mut response = request.send_json(body).map_err(|e| self.failed(e))?;
        if !response.status().is_success() {
            let status = response.status();
            let text = response
                .body_mut()
                .with_config()
                .limit(4096)
                .read_to_string();
            return Err(self.failed(format!("{status}: {}", text.unwrap_or_default().trim())));
        }
        Ok(response)
    }

    fn complete(&self, body: &Value) -> Result<Choice, BackendError> {
        let mut response = self.post(body)?;
        let completion: Completion = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_json()
            .map_err(|e| self.failed(e))?;
        completion
            .choice()
            .map_err(|e| self.failed(e))?
            .ok_or_else(|| self.failed("no choice in the answer"))
    }

    /// The choice in an event, or in a whole answer.
    fn parse(&self, json: &str) -> Result<Option<Choice>, BackendError> {
        let completion: Completion = serde_json::from_str(json).map_err(|error| {
            let begin = json.get(..json.floor_char_boundary(200)).unwrap_or(json);
            self.failed(format!("{error} in the answer: {}", begin.trim()))
        })?;
        completion.choice().map_err(|error| self.failed(error))
    }

    /// The logits of `texts` up to a constant, from the most probable tokens that the server names.
    fn next(&self, prompt: String, texts: &[String]) -> Result<Evaluation, BackendError> {
        let choice = self.complete(&json!({
            "model": self.config.model,
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": TOP_LOGPROBS,
        }))?;
        let top = choice.logprobs.map(Logprobs::first).unwrap_or_default();
        // A token that is not among the most probable ones is at most as probable as the last.
        let floor = top.iter().map(|(_, p)| *p).fold(f32::INFINITY, f32::min);
        if !floor.is_finite() {
            return Err(self.not_offered("log-probabilities (`logprobs`)"));
        }
        let logits = texts.iter().map(|text| {
            let begins = |token: &str| !token.trim().is_empty() && text.starts_with(token);
            let best = top
                .iter()
                .filter(|(token, _)| begins(token))
                .map(|(_, p)| *p);
            best.fold(floor, f32::max)
        });
        Ok(Evaluation::Next(logits.collect()))
    }

    /// ln p of the tokens of `text` after `before`, and true if all are the most probable ones.
    fn echo(&self, before: &str, text: &str) -> Result<(Vec<f32>, bool), BackendError> {
        let choice = self.complete(&json!({
            "model": self.config.model,
            "prompt": format!("{before}{text}"),
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": 1,
            "echo": true,
        }))?;
        let what = "the log-probabilities of the prompt (`echo` with `logprobs`)";
        let logprobs = choice.logprobs.ok_or_else(|| self.not_offered(what))?;
        let start = before.chars().count();
        let end = start + text.chars().count();
        let offsets = &logprobs.text_offset;
        let ends = offsets.iter().skip(1).copied().chain([usize::MAX]);
        // Tokens that overlap the text; the generated one begins at its end.
        let inside: Vec<usize> = offsets
            .iter()
            .zip(ends)
            .enumerate()
            .filter(|(_, (&from, to))| from < end && *to > start)
            .map(|(i, _)| i)
            .collect();
        let own: Option<Vec<f32>> = inside
            .iter()
            .map(|&i| logprobs.token_logprobs.get(i).copied().flatten())
            .collect();
        let own = own
            .filter(|own| !own.is_empty())
            .ok_or_else(|| self.not_offered(what))?;
        let best = inside.iter().zip(&own).all(|(&i, &p)| {
            let top = logprobs.top_logprobs.get(i).and_then(Option::as_ref);
            let top = top
                .into_iter()
                .flat_map(|top| top.values())
                .filter_map(Value::as_f64);
            top.fold(f64::NEG_INFINITY, f64::max) <= f64::from(p) + 1e-6
        });
        Ok((own, best))
    }

    /// The body of a request for a text. `input` under `key` is what the text follows.
    fn request(&self, key: &str, input: Value, options: &GenerateOptions) -> Value {
        let sampling = &options.sampling;
        let mut body = json!({
            "model": self.config.model,
            (key): input,
            "max_tokens": options.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stream": true,
        });
        // Some servers do not know these fields; a value that changes nothing is not sent.
        if let Some(body) = body.as_object_mut() {
            if sampling.top_k > 0 {
                body.insert("top_k".into(), sampling.top_k.into());
            }
            if sampling.min_p > 0.0 {
                body.insert("min_p".into(), f64::from(sampling.min_p).into());
            }
            if sampling.repetition_penalty != 1.0 {
                let penalty = f64::from(sampling.repetition_penalty);
                body.insert("repetition_penalty".into(), penalty.into());
                body.insert("repeat_penalty".into(), penalty.into());
            }
        }
        body
    }

    /// Asks for the text that follows `input`, and reads it as it comes.
    fn write(
        &self,
        key: &str,
        input: Value,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError> {
        options.sampling.validate()?;
        let started = Instant::now();
        let response = self.post(&self.request(key, input, options))?;
        let body = response.into_body().into_with_config().limit(MAX_ANSWER);
        let reader = BufReader::new(body.reader());
        let mut filter = StopFilter::new(&options.stop);
        let mut text = String::new();
        let mut prefill = None;
        let mut finish = Finish::EndOfTurn;
        let mut emit = |piece: &str| {
            if !piece.is_empty() {
                text.push_str(piece);
                on_text(piece);
            }
        };
        // An answer that is no stream, or no answer at all.
        let mut whole = String::new();
        let mut ended = false;
        for (i, line) in reader.lines().enumerate() {
            if cancel.is_cancelled() {
                finish = Finish::Cancelled;
                break;
            }
            let line = line.map_err(|e| self.failed(e))?;
            let line = match i {
                0 => line.trim_start_matches('\u{feff}'),
                _ => line.as_str(),
            };
            let choice = match Line::of(line) {
                Line::Event(event) => self.parse(event)?,
                Line::Done => {
                    ended = true;
                    break;
                },
                Line::Silent => continue,
                Line::Other => {
                    whole.push_str(line);
                    whole.push('\n');
                    continue;
                },
            };
            let Some(choice) = choice else {
                continue;
            };
            prefill.get_or_insert_with(|| started.elapsed());
            let (piece, stopped) = filter.push(choice.text());
            emit(&piece);
            if let Some(stop) = stopped {
                finish = Finish::Stop(stop.to_owned());
                break;
            }
            if let Some(reason) = choice.finish_reason {
                ended = true;
                if reason == "length" {
                    finish = Finish::MaxTokens;
                }
            }
        }
        if !whole.is_empty() && prefill.is_none() && finish == Finish::EndOfTurn {
            let choice = self.parse(&whole)?;
            let choice = choice.ok_or_else(|| self.failed("no choice in the answer"))?;
            ended = true;
            let (piece, stopped) = filter.push(choice.text());
            emit(&piece);
            if let Some(stop) = stopped {
                finish = Finish::Stop(stop.to_owned());
            } else if choice.finish_reason.as_deref() == Some("length") {
                finish = Finish::MaxTokens;
            }
        }
        if finish == Finish::EndOfTurn && !ended {
            return Err(self.failed("the answer ends before it says so"));
        }
        emit(&filter.finish());
        let prefill = prefill.unwrap_or_else(|| started.elapsed());
        Ok(Generation {
            text,
            tokens: vec![],
            finish,
            prompt_tokens: None,
            passes: 0,
            guessed: 0,
            guessed_right: 0,
            cached_tokens: 0,
            prefill,
            decode: started.elapsed() - prefill,
            computation: None,
        })
    }
}

impl Backend for HttpBackend {
    fn name(&self) -> &str {
        &self.config.model
    }

    fn context_length(&self) -> Option<usize> {
        self.config.context_length
    }

    fn chat(&self) -> &ChatTemplate {
        &self.chat
    }

    /// Without the tokenizer, a byte counts as a token: no vocabulary needs more.
    fn cut<'a>(&self, text: &'a str, max_tokens: usize) -> &'a str {
        text.get(..text.floor_char_boundary(max_tokens))
            .unwrap_or(text)
    }

    fn knows_tokens(&self) -> bool {
        false
    }

    fn generate(
        &self,
        prompt: &Prompt,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError> {
        if self.config.api == Api::Chat {
            return Err(self.not_offered("continuations of a text"));
        }
        if prompt.is_empty() {
            return Err(BackendError::EmptyPrompt);
        }
        let input = flatten(prompt).into();
        self.write("prompt", input, options, cancel, on_text)
    }

    fn reply(
        &self,
        messages: &[Message],
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError> {
        if self.config.api == Api::Completions {
            return reply_by_template(self, messages, options, cancel, on_text);
        }
        if messages.is_empty() {
            return Err(ChatError::Empty.into());
        }
        let input = messages.iter().map(turn).collect();
        self.write("messages", input, options, cancel, on_text)
    }

    fn evaluate(
        &self,
        tree: &PromptTree,
        cancel: &Cancel,
    ) -> Result<Vec<Evaluation>, BackendError> {
        if self.config.api == Api::Chat {
            return Err(self.not_offered("probabilities of a text"));
        }
        let nodes = tree.nodes().iter().enumerate();
        nodes
            .map(|(i, node)| {
                if cancel.is_cancelled() {
                    return Err(BackendError::Cancelled);
                }
                if node.text.is_empty() {
                    return Err(BackendError::EmptyPrompt);
                }
                let before = flatten(&tree.before(NodeId(i)));
                let text = flatten(&node.text);
                match &node.ask {
                    Ask::Nothing => Ok(Evaluation::Nothing),
                    Ask::Next(texts) => self.next(format!("{before}{text}"), texts),
                    Ask::Tokens => Ok(Evaluation::Tokens(self.echo(&before, &text)?.0)),
                    Ask::Greedy => {
                        let (logprobs, best) = self.echo(&before, &text)?;
                        Ok(Evaluation::Greedy(logprobs, best))
                    },
                }
            })
            .collect()
    }
}

/// A URL as errors show it: without a name and password.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@');
    let host = host.map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A message of a conversation. The server parses special tokens in it, too.
fn turn(message: &Message) -> Value {
    json!({
        "role": message.role.name(),
        "content": flatten(&Prompt::data(message.content.as_str())),
    })
}

/// The prompt as one string. The server parses special tokens in all of it, so a space breaks those
/// that data may hold: after each `<` or `[` that does not stand alone, and after one at the end,
/// since the text behind it is not known here.
fn flatten(prompt: &Prompt) -> String {
    let mut all = String::new();
    for part in prompt.parts() {
        match part {
            Part::Template(text) => all.push_str(text),
            Part::Data(text) => {
                let mut chars = text.chars().peekable();
                while let Some(c) = chars.next() {
                    all.push(c);
                    if matches!(c, '<' | '[') && chars.peek().is_none_or(|c| !c.is_whitespace()) {
                        all.push(' ');
                    }
                }
            },
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_data_can_pass_for_a_special_token() {
        let prompt = Prompt::template("<|im_start|>")
            .then_data("<|im_end|></s><start_of_turn>[INST]a < b")
            .then_data("<")
            .then_data("/s>")
            .then_template("<|im_end|>");
        assert_eq!(
            flatten(&prompt),
            "<|im_start|>< |im_end|>< /s>< start_of_turn>[ INST]a < b< /s><|im_end|>"
        );
    }

    /// The result of an answer with status 200 and this body.
    fn answered(body: &str) -> Result<Generation, String> {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let body = body.to_owned();
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\"top_p\":1.0}") && !request.ends_with(b"}") {
                connection.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            connection.write_all(head.as_bytes()).unwrap();
            // The client may have enough of it.
            let _ = connection.write_all(body.as_bytes());
        });
        let backend = HttpBackend::new(HttpConfig {
            api_key: Some("secret-7".into()),
            ..HttpConfig::new(url, "m")
        });
        let backend = backend.unwrap();
        let options = GenerateOptions::default();
        let got = backend.generate(
            &Prompt::template("x"),
            &options,
            &Cancel::new(),
            &mut |_| {},
        );
        server.join().unwrap();
        got.map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_has_its_text_in_whatever_form_it_comes() {
        let done = "data: [DONE]\n\n";
        let text = r#"data: {"choices":[{"text":"Hello"}]}"#;
        let end = r#"data: {"choices":[{"text":null,"finish_reason":"stop"}]}"#;
        for body in [
            format!("{text}\n\n{done}"),
            format!("{text}\r\n\r\n{end}\r\n\r\n"),
            format!("\u{feff}{text}\n\n: a comment\n\n{end}\n\n{done}"),
            format!("event: x\nid: 1\n{text}\n\ndata: {{\"choices\":null}}\n\n{done}"),
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"Hello\"}}}}]}}\n\n{done}"),
            "{\n \"choices\": [\n {\"text\": \"Hello\"}]}".to_owned(),
            r#"{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}"#.to_owned(),
        ] {
            let got = answered(&body).unwrap();
            assert_eq!(
                (got.text.as_str(), got.finish),
                ("Hello", Finish::EndOfTurn),
                "{body}"
            );
        }
        let long = r#"{"choices":[{"text":"Hello","finish_reason":"length"}]}"#;
        assert_eq!(answered(long).unwrap().finish, Finish::MaxTokens);
    }

    #[test]
    fn what_is_no_answer_is_an_error_with_the_words_of_the_server() {
        let text = r#"data: {"choices":[{"text":"Hello th"}]}"#;
        for (body, expected) in [
            (
                r#"{"error":{"message":"model is loading"}}"#.to_owned(),
                "model is loading",
            ),
            (
                format!("{text}\n\ndata: {{\"error\":{{\"message\":\"too long\"}}}}\n\n"),
                "too long",
            ),
            (r#"{"error":"no"}"#.to_owned(), "no"),
            (
                r#"{"error":"bad header: Bearer secret-7"}"#.to_owned(),
                "Bearer [API key]",
            ),
            ("<html>Log in</html>".to_owned(), "<html>Log in"),
            (String::new(), "ends before"),
            (format!("{text}\n\n"), "ends before"),
            ("{}".to_owned(), "no choice"),
        ] {
            let error = answered(&body).unwrap_err();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn errors_name_the_server_without_a_password() {
        for (url, shown) in [
            ("http://me:p@ss@host:8080/v1", "http://host:8080/v1"),
            ("http://host/v1/@x", "http://host/v1/@x"),
            ("https://me@host?a@b", "https://host?a@b"),
            ("host", "host"),
        ] {
            assert_eq!(without_login(url), shown);
        }
        let config = HttpConfig::new("http://me:secret-7@127.0.0.1:1/v1", "m");
        let error = HttpBackend::new(config).unwrap().check().unwrap_err();
        assert!(!error.to_string().contains("secret-7"), "{error}");
    }

    #[test]
    fn no_answer_is_read_without_an_end() {
        let long = "x".repeat(MAX_ANSWER as usize);
        for body in [format!("data: {long}"), format!("{long}\n")] {
            let error = answered(&body).unwrap_err();
            assert!(error.contains("larger than"), "{error}");
        }
        // Comments count, too.
        let error = answered(&": ping\n".repeat(MAX_ANSWER as usize / 6)).unwrap_err();
        assert!(error.contains("larger than"), "{error}");
    }
}
