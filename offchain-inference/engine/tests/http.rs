// SPDX-License-Identifier: Apache-2.0
//! The HTTP backend against llama.cpp's own server, from the `xllamacpp` wheel, beside the local
//! backend with the same model; and against a stub that answers in vLLM's format.

use crate::common::{backend, model, server::Server, SMOLLM2};
use starling_engine::{
    backend::{Api, Ask, Backend, BackendError, Evaluation, HttpBackend, HttpConfig, PromptTree},
    chat::Message,
    generate::{Cancel, Finish, GenerateOptions},
    prompt::Prompt,
    rank::{RankerKind, Task},
    sampling::Sampling,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

fn greedy(max_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_tokens,
        sampling: Sampling::greedy(),
        ..GenerateOptions::default()
    }
}

#[test]
fn llama_cpp_s_server_answers_like_the_engine() {
    let server = Server::start(&model(SMOLLM2));
    let local = backend(SMOLLM2);
    let template = local.tokenizer().chat_template().map(str::to_owned);
    let config = HttpConfig {
        chat_template: template,
        ..HttpConfig::new(&server.url, "smollm2")
    };
    let remote = HttpBackend::new(config).unwrap();
    let cancel = Cancel::new();
    remote.check().unwrap();

    // Generation, streamed. Quantised kernels differ, so only the sense must agree.
    let raw = Prompt::data("The capital of France is");
    let short = remote
        .generate(&raw, &greedy(4), &cancel, &mut |_| {})
        .unwrap();
    assert!(short.text.starts_with(" Paris"), "{}", short.text);
    assert_eq!(short.finish, Finish::MaxTokens);
    let prompt = remote
        .chat()
        .render(&[Message::user("Say hello.")], true)
        .unwrap();
    let mut streamed = String::new();
    let done = remote
        .generate(&prompt, &greedy(200), &cancel, &mut |piece| {
            streamed.push_str(piece)
        })
        .unwrap();
    assert_eq!(
        (done.text.as_str(), done.finish),
        (streamed.as_str(), Finish::EndOfTurn)
    );

    // The server's own template for conversations.
    let chat = HttpBackend::new(HttpConfig {
        api: Api::Chat,
        ..HttpConfig::new(&server.url, "smollm2")
    });
    let said = chat
        .unwrap()
        .reply(
            &[Message::user("Say hello.")],
            &greedy(200),
            &cancel,
            &mut |_| {},
        )
        .unwrap();
    assert!(!said.text.trim().is_empty());
    assert_eq!(said.finish, Finish::EndOfTurn);

    // Logits of the next token agree with the engine's on the same file.
    let mut tree = PromptTree::new();
    tree.root(
        Prompt::data("The capital of France is"),
        Ask::Next(vec![" Paris".into(), " the".into(), " located".into()]),
    );
    let differences = |backend: &dyn Backend| match backend.evaluate(&tree, &cancel).unwrap()[..] {
        [Evaluation::Next(ref l)] => [l[0] - l[1], l[0] - l[2]],
        ref other => panic!("{other:?}"),
    };
    for (here, there) in differences(&local).into_iter().zip(differences(&remote)) {
        // A token that is not among the twenty best counts like the last of them.
        assert!(there > 0.0 && there - here < 0.5, "{here} {there}");
    }

    // Verdicts work; a missing feature of the server is an error that names it.
    let messages = [Message::user("What is the capital of France?")];
    let responses = ["Paris.".to_owned(), "Lyon.".to_owned()];
    let task = Task {
        messages: &messages,
        responses: &responses,
    };
    for kind in [RankerKind::Judge, RankerKind::Pairwise] {
        let scores = kind.ranker().rank(&remote, task, &cancel).unwrap();
        assert!(
            scores.iter().all(|s| (0.0..=1.0).contains(s)),
            "{kind} {scores:?}"
        );
    }
    let error = RankerKind::Likelihood
        .ranker()
        .rank(&remote, task, &cancel)
        .unwrap_err();
    assert!(matches!(error, BackendError::NotOffered { .. }), "{error}");
}

/// Answers every request with `answer(its body)` until dropped; keeps the requests.
fn stub(status: &'static str, answer: fn(&serde_json::Value) -> String) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let requests = Requests::default();
    let seen = requests.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            let (mut length, mut head) = (0, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = match length {
                0 => serde_json::Value::Null,
                _ => serde_json::from_slice(&body).unwrap(),
            };
            let answer = answer(&body);
            seen.0.lock().unwrap().push((head, body));
            write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .unwrap();
        }
    });
    (url, requests)
}

#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<(String, serde_json::Value)>>>);

#[test]
fn echoed_log_probabilities_are_those_of_the_continuation() {
    // Tokens "The| sky| is| blue|." of five, then the generated one.
    let (url, requests) = stub("200 OK", |_| {
        serde_json::json!({ "choices": [{ "text": "The sky is blue. It", "logprobs": {
            "tokens": ["The", " sky", " is", " blue", ".", " It"],
            "token_logprobs": [null, -1.0, -2.0, -3.0, -0.5, -4.0],
            "top_logprobs": [null, {" sky": -1.0}, {" is": -2.0}, {" dark": -0.1, " blue": -3.0}, {".": -0.5}, {" It": -4.0}],
            "text_offset": [0, 3, 7, 10, 15, 16],
        } }] })
        .to_string()
    });
    let config = HttpConfig {
        api_key: Some("key".into()),
        ..HttpConfig::new(url, "m")
    };
    let backend = HttpBackend::new(config).unwrap();
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data("The sky is"), Ask::Nothing);
    tree.child(root, Prompt::data(" blue."), Ask::Greedy);
    tree.child(root, Prompt::data(" blue."), Ask::Tokens);
    let answers = backend.evaluate(&tree, &Cancel::new()).unwrap();
    assert_eq!(answers[1], Evaluation::Greedy(vec![-3.0, -0.5], false));
    assert_eq!(answers[2], Evaluation::Tokens(vec![-3.0, -0.5]));
    let requests = requests.0.lock().unwrap();
    let (head, body) = &requests[0];
    assert_eq!(body["prompt"], "The sky is blue.");
    assert_eq!(body["echo"], true);
    assert!(
        head.to_ascii_lowercase()
            .contains("authorization: bearer key"),
        "{head}"
    );
}

#[test]
fn verdicts_come_from_vllm_s_format_too() {
    let (url, _) = stub("200 OK", |_| {
        serde_json::json!({ "choices": [{ "text": " good", "logprobs": {
            "token_logprobs": [-0.5],
            "top_logprobs": [{ " good": -0.5, " fine": -2.5, " go": -6.0 }],
        } }] })
        .to_string()
    });
    let backend = HttpBackend::new(HttpConfig::new(url, "m")).unwrap();
    let mut tree = PromptTree::new();
    tree.root(
        Prompt::data("x"),
        Ask::Next(vec![" good".into(), " bad".into()]),
    );
    // " bad" is not among the most probable tokens: it counts like the least of them.
    let answers = backend.evaluate(&tree, &Cancel::new()).unwrap();
    assert_eq!(answers, [Evaluation::Next(vec![-0.5, -6.0])]);
}

#[test]
fn chat_completions_reply_to_conversations_and_rank_nothing() {
    let (url, requests) = stub("200 OK", |_| {
        serde_json::json!({ "choices": [{
            "message": { "role": "assistant", "content": "Four." },
            "finish_reason": "stop",
        }] })
        .to_string()
    });
    let backend = HttpBackend::new(HttpConfig {
        api: Api::Chat,
        ..HttpConfig::new(url, "m")
    })
    .unwrap();
    let cancel = Cancel::new();
    let messages = [
        Message::system("Be brief."),
        Message::user("1+1?"),
        Message::assistant("Two."),
        Message::user("2+2?<|im_end|>"),
    ];
    let said = backend
        .reply(&messages, &greedy(9), &cancel, &mut |_| {})
        .unwrap();
    assert_eq!(
        (said.text.as_str(), said.finish),
        ("Four.", Finish::EndOfTurn)
    );
    let (head, body) = requests.0.lock().unwrap().remove(0);
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    // No template of a base model ends the reply, and no special token is left in a message.
    assert_eq!(body["max_tokens"], 9);
    assert_eq!(
        body["messages"],
        serde_json::json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "1+1?" },
            { "role": "assistant", "content": "Two." },
            { "role": "user", "content": "2+2?< |im_end|>" },
        ])
    );

    let responses = ["Four.".to_owned(), "Five.".to_owned()];
    let task = Task {
        messages: &messages,
        responses: &responses,
    };
    for kind in RankerKind::ALL {
        let error = kind.ranker().rank(&backend, task, &cancel).unwrap_err();
        assert!(matches!(error, BackendError::NotOffered { .. }), "{error}");
    }
    let text = Prompt::data("x");
    let error = backend.generate(&text, &greedy(1), &cancel, &mut |_| {});
    assert!(matches!(error, Err(BackendError::NotOffered { .. })));
    assert!(requests.0.lock().unwrap().is_empty());
}

#[test]
fn whether_a_server_is_there_is_found_out_without_asking_the_model() {
    let check = |status| {
        let (url, requests) = stub(status, |_| "{}".into());
        let config = HttpConfig {
            api_key: Some("key".into()),
            ..HttpConfig::new(&url, "m")
        };
        let outcome = HttpBackend::new(config).unwrap().check();
        let (head, body) = requests.0.lock().unwrap().remove(0);
        assert!(head.starts_with("GET /v1/models"), "{head}");
        assert!(head
            .to_ascii_lowercase()
            .contains("authorization: bearer key"));
        assert!(body.is_null());
        outcome
    };
    check("200 OK").unwrap();
    // A server that lists no models may still have one.
    check("404 Not Found").unwrap();
    let error = check("401 Unauthorized").unwrap_err().to_string();
    assert!(
        error.contains("/v1/models") && error.contains("401"),
        "{error}"
    );

    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let backend = HttpBackend::new(HttpConfig::new(format!("http://{closed}/v1"), "m")).unwrap();
    assert!(matches!(backend.check(), Err(BackendError::Http { .. })));
}

#[test]
fn an_endpoint_that_fails_is_an_error_with_its_words() {
    let (url, _) = stub("404 Not Found", |_| "no such model".into());
    let backend = HttpBackend::new(HttpConfig::new(&url, "m")).unwrap();
    let error = backend
        .generate(&Prompt::data("x"), &greedy(1), &Cancel::new(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(error.contains(&url) && error.contains("404") && error.contains("no such model"));

    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let backend = HttpBackend::new(HttpConfig::new(format!("http://{closed}/v1"), "m")).unwrap();
    let mut tree = PromptTree::new();
    tree.root(Prompt::data("x"), Ask::Next(vec!["a".into(), "b".into()]));
    assert!(matches!(
        backend.evaluate(&tree, &Cancel::new()),
        Err(BackendError::Http { .. })
    ));
}
