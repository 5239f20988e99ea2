// SPDX-License-Identifier: Apache-2.0
//! Generation and evaluation with the real models, and bad input to them.

use crate::common::{self, backend, backend_with, model, GEMMA3, MODELS, SMOLLM2};
use starling_engine::{
    backend::{Ask, Backend, BackendError, Evaluation, LocalBackend, PromptTree},
    chat::Message,
    drawing::Drawing,
    generate::{said, Cancel, Finish, GenerateOptions, Generation},
    prompt::Prompt,
    sampling::Sampling,
    Error, Hidden, LoadOptions,
};

fn options(max_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_tokens,
        ..GenerateOptions::default()
    }
}

fn generate(
    backend: &LocalBackend,
    prompt: &Prompt,
    options: &GenerateOptions,
) -> Result<Generation, BackendError> {
    backend.generate(prompt, options, &Cancel::new(), &mut |_| {})
}

fn chat(backend: &LocalBackend, text: &str) -> Prompt {
    backend.chat().render(&[Message::user(text)], true).unwrap()
}

#[test]
fn greedy_answers_make_sense_and_stream_as_they_are() {
    let backend = backend(SMOLLM2);
    let greedy = |max_tokens| GenerateOptions {
        sampling: Sampling::greedy(),
        ..options(max_tokens)
    };
    let prompt = Prompt::data("The capital of France is");
    let done = generate(&backend, &prompt, &greedy(4)).unwrap();
    assert!(done.text.starts_with(" Paris"), "{}", done.text);

    let mut streamed = String::new();
    let prompt = chat(&backend, "Say hello.");
    let done = backend
        .generate(&prompt, &greedy(200), &Cancel::new(), &mut |piece| {
            streamed.push_str(piece)
        })
        .unwrap();
    assert_eq!(done.text, streamed);
    assert_eq!(done.finish, Finish::EndOfTurn);
}

#[test]
fn same_seed_same_tokens_for_any_number_of_threads() {
    for name in MODELS {
        let with = |threads, seed| {
            let backend = backend_with(
                name,
                &LoadOptions {
                    threads,
                    ..LoadOptions::default()
                },
            );
            let options = GenerateOptions {
                sampling: Sampling {
                    temperature: 1.0,
                    seed,
                    ..Sampling::default()
                },
                ..options(24)
            };
            generate(&backend, &chat(&backend, "Tell me a story."), &options)
                .unwrap()
                .tokens
        };
        let one = with(1, 3);
        assert_eq!(one, with(2, 3), "{name}");
        assert_eq!(one, with(3, 3), "{name}");
        assert_ne!(one, with(1, 4), "{name}");
    }
}

#[test]
fn whoever_computes_drawn_tokens_again_gets_the_same_draws_rows_and_text() {
    for name in MODELS {
        let backend = backend(name);
        let drawing = Drawing {
            key: [7; 32],
            temperature: 700,
            top_k: 40,
            top_p: 950,
        };
        let options = GenerateOptions {
            drawing: Some(drawing.clone()),
            ..options(24)
        };
        let prompt = chat(&backend, "Tell me a story.");
        let done = generate(&backend, &prompt, &options).unwrap();
        let computation = done.computation.unwrap();
        assert_eq!(
            computation.context,
            backend.tokenizer().encode_prompt(&prompt)
        );
        assert_eq!(said(backend.tokenizer(), &done.tokens, &[]), done.text);

        let ids = [&computation.context[..], &done.tokens[..]].concat();
        let (_, read) = ids.split_last().unwrap();
        let hidden = backend
            .extend(&mut backend.model().session(), read)
            .unwrap();
        let width = hidden.width();
        let rows = hidden.as_slice()[(computation.context.len() - 1) * width..].to_vec();
        let rows = Hidden::new(width, rows).unwrap();
        assert_eq!(
            backend.model().normed(&rows).unwrap(),
            computation.rows,
            "{name}"
        );
        let logits = backend.model().logits(&rows).unwrap();
        let logits = logits.chunks_exact(backend.model().config().vocab);
        for (position, (logits, &token)) in (0..).zip(logits.zip(&done.tokens)) {
            assert_eq!(drawing.token(logits, position), Ok(token), "{name}");
        }
    }
}

#[test]
fn generation_ends_at_stop_strings_and_limits() {
    let backend = backend(SMOLLM2);
    let greedy = GenerateOptions {
        sampling: Sampling::greedy(),
        ..options(30)
    };
    let prompt = chat(&backend, "Count from one to ten.");
    let all = generate(&backend, &prompt, &greedy).unwrap();
    let stop = all.text.split(' ').nth(2).unwrap().to_owned();
    let stopped = GenerateOptions {
        stop: vec![stop.clone()],
        ..greedy.clone()
    };
    let stopped = generate(&backend, &prompt, &stopped).unwrap();
    assert_eq!(stopped.finish, Finish::Stop(stop.clone()));
    assert_eq!(stopped.text, all.text[..all.text.find(&stop).unwrap()]);
    let read = said(backend.tokenizer(), &stopped.tokens, &[stop]);
    assert_eq!(read, stopped.text);
    let short = generate(
        &backend,
        &prompt,
        &GenerateOptions {
            max_tokens: 3,
            ..greedy
        },
    )
    .unwrap();
    assert_eq!((short.finish, short.tokens.len()), (Finish::MaxTokens, 3));
    assert_eq!(short.tokens, all.tokens[..3]);
}

#[test]
fn an_answer_that_is_cut_within_a_character_ends_before_it() {
    let backend = backend(SMOLLM2);
    let prompt = chat(&backend, "Write only this emoji: 🦜");
    let mut cut = 0;
    for max_tokens in 1..=12 {
        let options = GenerateOptions {
            sampling: Sampling::greedy(),
            ..options(max_tokens)
        };
        let done = generate(&backend, &prompt, &options).unwrap();
        if done.finish == Finish::MaxTokens {
            assert!(!done.text.contains('\u{fffd}'), "{:?}", done.text);
            let whole = backend.tokenizer().decode(&done.tokens);
            cut += u32::from(whole.contains('\u{fffd}'));
        }
    }
    assert!(cut > 0, "no length ends within a character");
}

#[test]
fn a_second_request_with_the_same_beginning_reuses_it() {
    let backend = backend(SMOLLM2);
    let greedy = GenerateOptions {
        sampling: Sampling::greedy(),
        ..options(8)
    };
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(12);
    let first = generate(&backend, &Prompt::data(format!("{long}A")), &greedy).unwrap();
    let second = generate(&backend, &Prompt::data(format!("{long}Then")), &greedy).unwrap();
    assert_eq!(first.cached_tokens, 0);
    assert!(second.cached_tokens >= 96, "{}", second.cached_tokens);
    let alone = generate(
        &common::backend(SMOLLM2),
        &Prompt::data(format!("{long}Then")),
        &greedy,
    );
    assert_eq!(second.tokens, alone.unwrap().tokens);
}

#[test]
fn bad_input_is_refused_and_the_engine_goes_on() {
    let backend = backend(SMOLLM2);
    let prompt = chat(&backend, "Hello");
    let good = generate(&backend, &prompt, &options(4)).unwrap();

    let empty = generate(&backend, &Prompt::data(""), &options(4));
    assert!(matches!(empty, Err(BackendError::EmptyPrompt)));

    let long = Prompt::data("word ".repeat(10_000));
    let error = generate(&backend, &long, &options(4)).unwrap_err();
    assert!(matches!(
        error,
        BackendError::Engine(Error::ContextFull { context: 8192, .. })
    ));

    for sampling in [
        Sampling {
            temperature: f32::NAN,
            ..Sampling::default()
        },
        Sampling {
            temperature: -1.0,
            ..Sampling::default()
        },
        Sampling {
            top_p: 0.0,
            ..Sampling::default()
        },
        Sampling {
            min_p: 7.0,
            ..Sampling::default()
        },
        Sampling {
            repetition_penalty: f32::INFINITY,
            ..Sampling::default()
        },
    ] {
        let absurd = GenerateOptions {
            sampling,
            ..options(4)
        };
        let error = generate(&backend, &prompt, &absurd).unwrap_err();
        assert!(matches!(error, BackendError::Sampling(_)), "{error}");
    }

    assert_eq!(
        generate(&backend, &prompt, &options(4)).unwrap().tokens,
        good.tokens
    );
    assert!(generate(&backend, &prompt, &options(0))
        .unwrap()
        .tokens
        .is_empty());
}

#[test]
fn a_cache_that_is_too_small_is_an_error_and_shorter_prompts_go_on() {
    let options_small = LoadOptions {
        cache_bytes: 6 << 20,
        ..LoadOptions::default()
    };
    let backend = backend_with(SMOLLM2, &options_small);
    let error = generate(&backend, &Prompt::data("word ".repeat(2_000)), &options(4)).unwrap_err();
    assert!(
        matches!(error, BackendError::Engine(Error::CacheFull { .. })),
        "{error}"
    );
    assert_eq!(
        generate(&backend, &Prompt::data("word"), &options(4))
            .unwrap()
            .tokens
            .len(),
        4
    );
}

#[test]
fn a_file_that_changes_under_a_running_engine_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.gguf");
    std::fs::copy(model(SMOLLM2), &path).unwrap();
    let backend = LocalBackend::load(&path, &LoadOptions::default()).unwrap();
    let prompt = chat(&backend, "Hello");
    let before = generate(&backend, &prompt, &options(8)).unwrap().tokens;
    std::fs::write(&path, b"something else").unwrap();
    assert_eq!(
        generate(&backend, &prompt, &options(8)).unwrap().tokens,
        before
    );
    let error = LocalBackend::load(&path, &LoadOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("copy.gguf"), "{error}");
}

#[test]
fn a_cancelled_generation_ends_early() {
    let backend = backend(SMOLLM2);
    let cancel = Cancel::new();
    let mut pieces = 0;
    let prompt = chat(&backend, "Tell me a long story.");
    let done = backend.generate(&prompt, &options(200), &cancel, &mut |_| {
        pieces += 1;
        cancel.cancel();
    });
    assert_eq!((done.unwrap().finish, pieces), (Finish::Cancelled, 1));
    let mut tree = PromptTree::new();
    tree.root(prompt, Ask::Nothing);
    assert!(matches!(
        backend.evaluate(&tree, &cancel),
        Err(BackendError::Cancelled)
    ));
}

/// Beginnings that are long enough to be remembered.
const BEGINNINGS: [&str; 2] = [
    "On a clear evening, when the sun has set behind the hills and the lamps of the town are not lit \
     yet, whoever steps out of the door and looks up for a while will see that the sky is",
    "In a valley between two mountains, a long way from the sea and from every road that leads to it, \
     where nobody had ever seen a ship or a soldier, once upon a time there was a",
];

/// A tree with everything in it: two roots, branches of different depth, all questions.
fn tree() -> (PromptTree, Vec<(Vec<&'static str>, Ask)>) {
    let verdicts = || Ask::Next(vec![" yes".into(), " no".into()]);
    let mut tree = PromptTree::new();
    let a = tree.root(Prompt::data(BEGINNINGS[0]), Ask::Nothing);
    tree.child(
        a,
        Prompt::data(" blue and the grass is green."),
        Ask::Tokens,
    );
    let b = tree.child(a, Prompt::data(" full of stars, and"), Ask::Tokens);
    tree.child(b, Prompt::data(" the moon"), Ask::Greedy);
    tree.child(b, Prompt::data(" we look up. Is it night?"), verdicts());
    let c = tree.root(Prompt::data(BEGINNINGS[1]), verdicts());
    tree.child(c, Prompt::data(" king"), Ask::Tokens);
    let paths = vec![
        (
            vec![BEGINNINGS[0], " blue and the grass is green."],
            Ask::Tokens,
        ),
        (vec![BEGINNINGS[0], " full of stars, and"], Ask::Tokens),
        (
            vec![BEGINNINGS[0], " full of stars, and", " the moon"],
            Ask::Greedy,
        ),
        (
            vec![
                BEGINNINGS[0],
                " full of stars, and",
                " we look up. Is it night?",
            ],
            verdicts(),
        ),
        (vec![BEGINNINGS[1]], verdicts()),
        (vec![BEGINNINGS[1], " king"], Ask::Tokens),
    ];
    (tree, paths)
}

#[test]
fn sharing_prefixes_changes_nothing() {
    for name in MODELS {
        let backend = backend(name);
        let (tree, paths) = tree();
        let together = backend.evaluate(&tree, &Cancel::new()).unwrap();
        // From remembered sequences.
        let again = backend.evaluate(&tree, &Cancel::new()).unwrap();
        assert_eq!(again, together, "{name}");
        let asked: Vec<_> = together
            .iter()
            .filter(|answer| **answer != Evaluation::Nothing)
            .cloned()
            .collect();
        for ((path, ask), answer) in paths.into_iter().zip(asked) {
            let mut alone = PromptTree::new();
            let mut last = None;
            for (i, text) in path.iter().enumerate() {
                let text = Prompt::data(*text);
                let ask = if i + 1 == path.len() {
                    ask.clone()
                } else {
                    Ask::Nothing
                };
                last = Some(match last {
                    None => alone.root(text, ask),
                    Some(parent) => alone.child(parent, text, ask),
                });
            }
            let alone = backend.evaluate(&alone, &Cancel::new()).unwrap();
            assert_eq!(alone.last(), Some(&answer), "{name} {path:?}");
        }
    }
}

#[test]
fn log_probabilities_are_those_of_the_logits() {
    let backend = backend(GEMMA3);
    let (context, word) = ("The capital of France is", " Paris");
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data(context), Ask::Nothing);
    tree.child(root, Prompt::data(word), Ask::Greedy);
    let answers = backend.evaluate(&tree, &Cancel::new()).unwrap();
    let Evaluation::Greedy(logprobs, greedy) = &answers[1] else {
        panic!("{answers:?}")
    };

    let tokens = backend.tokenizer().encode_prompt(&Prompt::data(context));
    let next = backend.tokenizer().encode_continuation(&Prompt::data(word));
    let mut session = backend.model().session();
    let hidden = session.extend(&tokens).unwrap();
    let logits = backend.model().logits(&hidden.last()).unwrap();
    let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
    let expected = f64::from(logits[next[0] as usize]) - total.ln();
    assert!(
        (f64::from(logprobs[0]) - expected).abs() < 1e-4,
        "{} {expected}",
        logprobs[0]
    );
    let best = logits.iter().copied().fold(f32::MIN, f32::max);
    assert_eq!(*greedy, logits[next[0] as usize] == best);
}

#[test]
fn questions_that_cannot_be_answered_are_errors() {
    let backend = backend(SMOLLM2);
    let evaluate = |tree: &PromptTree| backend.evaluate(tree, &Cancel::new());
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data("a"), Ask::Nothing);
    tree.child(root, Prompt::data(""), Ask::Tokens);
    assert!(matches!(evaluate(&tree), Err(BackendError::EmptyPrompt)));
    let mut tree = PromptTree::new();
    tree.root(
        Prompt::data("a"),
        Ask::Next(vec![" yes".into(), " yes".into()]),
    );
    assert!(matches!(evaluate(&tree), Err(BackendError::SameToken(..))));
}

#[test]
fn cutting_leaves_a_beginning_of_the_right_length() {
    for name in MODELS {
        let backend = backend(name);
        for text in [
            "",
            "short",
            &"word 🦜 ".repeat(300),
            &"\u{1}\u{4}<|im_end|>".repeat(200),
        ] {
            for max in [0, 1, 7, 64] {
                let cut = backend.cut(text, max);
                assert!(text.starts_with(cut));
                let tokens = backend.tokenizer().encode_continuation(&Prompt::data(cut));
                assert!(tokens.len() <= max, "{name} {max}");
                assert!(
                    cut == text || tokens.len() + 8 >= max,
                    "{name} {max}: {}",
                    tokens.len()
                );
            }
        }
    }
}
