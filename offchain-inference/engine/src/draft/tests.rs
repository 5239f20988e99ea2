// SPDX-License-Identifier: Apache-2.0
//! Drafts change no text, with small models of random weights.

use super::*;
use crate::{
    backend::{Backend, LocalBackend},
    drawing::Drawing,
    fixtures::{self, CONTEXT, VOCAB},
    generate::{Computation, Finish, GenerateOptions, Generation},
    model::tests::{options, tokens},
    prompt::Prompt,
    sampling::Sampling,
};
use candle_core::quantized::{gguf_file::Value, GgmlDType};
use proptest::prelude::*;
use std::collections::HashMap;

/// A tokenizer in which each token is a character of its own.
fn tokenizer_with(change: impl FnOnce(&mut HashMap<String, Value>)) -> Tokenizer {
    let text = |id: u32| Value::String(char::from_u32(0x4e00 + id).unwrap().to_string());
    let mut metadata = HashMap::from([
        (
            "tokenizer.ggml.model".to_owned(),
            Value::String("llama".into()),
        ),
        (
            "tokenizer.ggml.tokens".to_owned(),
            Value::Array((0..VOCAB as u32).map(text).collect()),
        ),
        (
            "tokenizer.ggml.add_space_prefix".to_owned(),
            Value::Bool(false),
        ),
    ]);
    change(&mut metadata);
    Tokenizer::from_gguf(&metadata).unwrap()
}

fn tokenizer() -> Tokenizer {
    tokenizer_with(|_| {})
}

fn model_with(family: &str, cache_bytes: usize) -> Model {
    let options = LoadOptions {
        cache_bytes,
        ..options()
    };
    Model::load(&fixtures::family(family, GgmlDType::Q8_0).path, &options).unwrap()
}

fn model(family: &str) -> Model {
    model_with(family, options().cache_bytes)
}

fn draft(family: &str) -> DraftModel {
    DraftModel::new(family.into(), model(family), tokenizer()).unwrap()
}

fn plain() -> LocalBackend {
    LocalBackend::new("large".into(), model("llama"), tokenizer()).unwrap()
}

/// A backend whose draft model always drafts `drafted` tokens.
fn drafted(family: &str, drafted: usize) -> LocalBackend {
    plain().with_draft(draft(family).always(drafted)).unwrap()
}

/// A text of `n` tokens.
fn text(n: usize) -> String {
    tokenizer().decode(&tokens(n))
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_tokens,
        sampling: Sampling::greedy(),
        ..GenerateOptions::default()
    }
}

fn generate(backend: &LocalBackend, prompt: &str, options: &GenerateOptions) -> Generation {
    let prompt = Prompt::data(prompt);
    let done = backend.generate(&prompt, options, &Cancel::new(), &mut |_| {});
    done.unwrap()
}

/// The parts of a generation that drafts must not change.
fn outcome(done: Generation) -> (Vec<TokenId>, String, Finish, Option<Computation>) {
    (done.tokens, done.text, done.finish, done.computation)
}

/// Bytes of a page of the cache.
fn page() -> usize {
    let model = model("llama");
    let mut session = model.session();
    session.extend(&[0]).unwrap();
    model.cache_used()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_text_is_the_same_with_any_draft(
        family in prop_oneof![Just("llama"), Just("qwen2"), Just("gemma3")],
        length in 1usize..CONTEXT,
        number in 1usize..12,
        max_tokens in 1usize..48,
        temperature in prop_oneof![Just(0.0f32), 0.2f32..1.5],
        repetition_penalty in 1.0f32..1.3,
        seed in any::<u64>(),
        key in proptest::option::of(any::<[u8; 32]>()),
    ) {
        let options = GenerateOptions {
            max_tokens,
            stop: vec![],
            sampling: Sampling { temperature, repetition_penalty, seed, ..Sampling::default() },
            drawing: key.map(|key| Drawing { key, temperature: 700, top_k: 40, top_p: 950 }),
        };
        let prompt = text(length);
        let expected = outcome(generate(&plain(), &prompt, &options));
        let with = drafted(family, number);
        prop_assert_eq!(outcome(generate(&with, &prompt, &options)), expected.clone());
        // Whatever is remembered of wrong drafts, the next text does not begin with it.
        prop_assert_eq!(outcome(generate(&with, &prompt, &options)), expected);
    }
}

#[test]
fn drafts_that_are_right_save_passes() {
    let prompt = text(20);
    let without = generate(&plain(), &prompt, &greedy(24));
    assert_eq!((without.passes, without.guessed), (23, 0));
    // The model itself drafts.
    let done = generate(&drafted("llama", 8), &prompt, &greedy(24));
    assert_eq!(done.tokens, without.tokens);
    // One token from the prompt, then nine of a pass, nine and five.
    assert_eq!((done.passes, done.guessed, done.guessed_right), (3, 20, 20));
    // Another model drafts, mostly wrong.
    let done = generate(&drafted("qwen2", 8), &prompt, &greedy(24));
    assert_eq!(done.tokens, without.tokens);
    assert!(done.guessed_right < done.guessed, "{done:?}");
    assert_eq!(done.passes + done.guessed_right, 23);
}

#[test]
fn no_token_comes_after_the_last_one() {
    let prompt = text(20);
    let all = generate(&plain(), &prompt, &greedy(20));
    for family in ["llama", "qwen2"] {
        let backend = drafted(family, 6);
        for max_tokens in 0..20 {
            let done = generate(&backend, &prompt, &greedy(max_tokens));
            assert_eq!(done.finish, Finish::MaxTokens);
            assert_eq!(done.tokens, all.tokens[..max_tokens]);
        }
        // The context ends first.
        let long = text(CONTEXT - 10);
        let done = generate(&backend, &long, &greedy(100));
        assert_eq!(
            (&done.finish, done.tokens.len()),
            (&Finish::ContextFull, 10)
        );
        assert_eq!(
            outcome(done),
            outcome(generate(&plain(), &long, &greedy(100)))
        );
    }
}

#[test]
fn a_text_that_goes_on_after_wrong_drafts_is_that_of_a_fresh_model() {
    let backend = drafted("qwen2", 7);
    let mut prompt = text(70);
    for _ in 0..3 {
        let said = generate(&backend, &prompt, &greedy(16));
        prompt.push_str(&said.text);
        let next = generate(&backend, &prompt, &greedy(8));
        assert!(next.cached_tokens >= 64, "{}", next.cached_tokens);
        let fresh = generate(&plain(), &prompt, &greedy(8));
        assert_eq!(outcome(next), outcome(fresh));
    }
}

#[test]
fn a_text_is_cancelled_at_the_same_token() {
    let cancelled = |backend: &LocalBackend, at: usize| {
        let (cancel, mut pieces) = (Cancel::new(), 0);
        let prompt = Prompt::data(text(20));
        let done = backend.generate(&prompt, &greedy(30), &cancel, &mut |_| {
            pieces += 1;
            if pieces == at {
                cancel.cancel();
            }
        });
        outcome(done.unwrap())
    };
    let (with, without) = (drafted("llama", 4), plain());
    for at in 1..12 {
        let expected = cancelled(&without, at);
        assert_eq!((expected.0.len(), &expected.2), (at, &Finish::Cancelled));
        assert_eq!(cancelled(&with, at), expected);
    }
}

#[test]
fn a_model_whose_layers_are_here_gets_no_drafts() {
    let backend = plain().with_draft(draft("llama")).unwrap();
    let done = generate(&backend, &text(20), &greedy(30));
    assert_eq!((done.guessed, done.passes), (0, 29));
}

#[test]
fn slow_passes_get_drafts_and_fast_ones_do_not() {
    let drafter = Drafter {
        model: model("llama"),
        fixed: None,
        pace: Mutex::new(Pace::new(0.001)),
    };
    let (tokenizer, cancel) = (tokenizer(), Cancel::new());
    let room = Room { free: 6, left: 30 };
    // None of the tokens comes twice, so that nothing is found in the text.
    let text: Vec<TokenId> = (0..20).collect();
    let mut guesser = Guesser::new(Some(&drafter), &tokenizer);
    assert!(guesser.guess(&text, room, &cancel).is_empty());
    guesser.passed(1, Duration::from_micros(1));
    assert!(guesser.guess(&text, room, &cancel).is_empty());
    for _ in 0..200 {
        guesser.passed(1, Duration::from_secs(1_000));
    }
    let guesses = guesser.guess(&text, room, &cancel);
    assert!((1..=6).contains(&guesses.len()), "{guesses:?}");
    // No more than may follow, and none where rows take their time.
    let room = |free, left| Room { free, left };
    assert_eq!(
        guesser.guess(&text, room(6, 1), &cancel),
        guesses.get(..1).unwrap()
    );
    assert!(guesser.guess(&text, room(6, 0), &cancel).is_empty());
    assert!(guesser.guess(&text, room(0, 30), &cancel).is_empty());
    cancel.cancel();
    assert!(guesser.guess(&text, room(6, 30), &cancel).is_empty());
}

#[test]
fn long_matches_of_the_text_come_before_drafts() {
    let drafter = Drafter {
        model: model("llama"),
        fixed: Some(2),
        pace: Mutex::new(Pace::new(0.001)),
    };
    let (tokenizer, cancel) = (tokenizer(), Cancel::new());
    let room = Room { free: 6, left: 30 };
    let mut guesser = Guesser::new(Some(&drafter), &tokenizer);
    let long = [1, 2, 3, 9, 8, 7, 6, 5, 1, 2, 3];
    assert_eq!(guesser.guess(&long, room, &cancel), [9, 8, 7, 6, 5, 1]);
    assert_eq!(guesser.drafted, 0);
    let short = [1, 2, 3, 9, 8, 7, 6, 5, 4, 2, 3];
    assert_eq!(guesser.guess(&short, room, &cancel).len(), 2);
    assert_eq!(guesser.drafted, 2);
}

#[test]
fn the_share_that_is_right_follows_the_latest_drafts() {
    let tokenizer = tokenizer();
    let mut guesser = Guesser::new(None, &tokenizer);
    guesser.drafted = 8;
    guesser.verified(8);
    let good = guesser.right;
    assert!(good > RIGHT && good < 1.0);
    for _ in 0..50 {
        guesser.verified(0);
    }
    assert!(guesser.right < 0.1);
    // Passes without drafts forgive.
    guesser.drafted = 0;
    for _ in 0..300 {
        guesser.verified(0);
    }
    assert!((guesser.right - RIGHT).abs() < 0.01);
}

#[test]
fn a_draft_without_room_in_its_cache_costs_no_text() {
    let small = DraftModel::new("small".into(), model_with("llama", page()), tokenizer());
    let backend = plain().with_draft(small.unwrap().always(4)).unwrap();
    let prompt = text(50);
    let done = generate(&backend, &prompt, &greedy(12));
    assert_eq!(done.guessed, 0);
    assert_eq!(
        outcome(done),
        outcome(generate(&plain(), &prompt, &greedy(12)))
    );
}

#[test]
fn guesses_without_room_in_the_cache_cost_no_text() {
    let prompt = text(60);
    let said = generate(&plain(), &prompt, &greedy(3));
    // The text ends within the two pages, and the guesses would not.
    let options = GenerateOptions {
        stop: vec![said.text],
        ..greedy(50)
    };
    let backend = || {
        let model = model_with("llama", 2 * page());
        LocalBackend::new("large".into(), model, tokenizer()).unwrap()
    };
    let expected = generate(&backend(), &prompt, &options);
    assert!(matches!(expected.finish, Finish::Stop(_)));
    let with = backend().with_draft(draft("qwen2").always(8)).unwrap();
    assert_eq!(
        outcome(generate(&with, &prompt, &options)),
        outcome(expected)
    );
}

#[test]
fn a_draft_model_with_another_tokenizer_is_refused() {
    let refusal = |change: fn(&mut HashMap<String, Value>)| {
        let small = DraftModel::new("small".into(), model("llama"), tokenizer_with(change));
        let error = plain().with_draft(small.unwrap()).err().unwrap();
        assert!(matches!(error, BackendError::OtherTokenizer { .. }));
        let error = error.to_string();
        assert!(
            error.contains("\"small\"") && error.contains("\"large\""),
            "{error}"
        );
        error
    };
    let text = refusal(|metadata| {
        let Some(Value::Array(tokens)) = metadata.get_mut("tokenizer.ggml.tokens") else {
            panic!("there are tokens")
        };
        tokens[5] = Value::String("other".into());
    });
    assert!(text.contains("token 5"), "{text}");
    let kind = refusal(|metadata| {
        let mut kinds = vec![Value::I32(1); VOCAB];
        kinds[7] = Value::I32(3);
        metadata.insert("tokenizer.ggml.token_type".into(), Value::Array(kinds));
    });
    assert!(
        kind.contains("token 7") && kind.contains("Control"),
        "{kind}"
    );
    let begin = refusal(|metadata| {
        metadata.insert("tokenizer.ggml.bos_token_id".into(), Value::U32(3));
    });
    assert!(begin.contains("begins a text"), "{begin}");
}
