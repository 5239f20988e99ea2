// SPDX-License-Identifier: Apache-2.0
//! The real models over candle's tensors beside the engine's own decoder. The same code runs here
//! on candle's CPU device and elsewhere on a GPU.

use crate::common::{backend, model, MODELS, SMOLLM2};
use starling_engine::{
    backend::{Ask, Backend, Evaluation, LocalBackend, PromptTree},
    candle::CandleModel,
    generate::{Cancel, GenerateOptions, Generation},
    prompt::Prompt,
    rank::{RankerKind, Task},
    sampling::Sampling,
    LoadOptions, Trunk,
};

const PASSAGE: &str = include_str!("fixtures/prose.txt");

fn over_candle(name: &str) -> LocalBackend<CandleModel> {
    let device = candle_core::Device::Cpu;
    LocalBackend::load_on(&device, &model(name), &LoadOptions::default()).unwrap()
}

fn generate<T: Trunk>(backend: &LocalBackend<T>, prompt: &str, max_tokens: usize) -> Generation {
    let options = GenerateOptions {
        max_tokens,
        sampling: Sampling::greedy(),
        ..GenerateOptions::default()
    };
    let prompt = Prompt::data(prompt);
    backend
        .generate(&prompt, &options, &Cancel::new(), &mut |_| {})
        .unwrap()
}

/// ln p of the second half of a passage of about 200 tokens, and of two continuations of it.
fn logprobs(backend: &dyn Backend) -> Vec<f32> {
    let passage = backend.cut(PASSAGE, 200);
    let half = passage.floor_char_boundary(passage.len() / 2);
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data(&passage[..half]), Ask::Nothing);
    let rest = tree.child(root, Prompt::data(&passage[half..]), Ask::Tokens);
    for text in [
        " It was late.",
        " Nobody knew why the river had changed its course.",
    ] {
        tree.child(rest, Prompt::data(text), Ask::Greedy);
    }
    let answers = backend.evaluate(&tree, &Cancel::new()).unwrap();
    answers
        .into_iter()
        .flat_map(|answer| match answer {
            Evaluation::Tokens(logprobs) | Evaluation::Greedy(logprobs, _) => logprobs,
            _ => vec![],
        })
        .collect()
}

#[test]
fn both_decoders_give_text_the_same_probability() {
    for name in MODELS {
        let (own, candle) = (logprobs(&backend(name)), logprobs(&over_candle(name)));
        assert!(own.len() > 80 && own.len() == candle.len(), "{name}");
        for (own, candle) in own.iter().zip(&candle) {
            // gemma's Q6_K matrices are quantised anew for the engine's own kernels.
            assert!((own - candle).abs() < 0.25, "{name}: {own} and {candle}");
        }
        let mean = |all: &[f32]| all.iter().sum::<f32>() / all.len() as f32;
        let (own, candle) = (mean(&own), mean(&candle));
        assert!((own - candle).abs() < 0.01, "{name}: {own} and {candle}");
    }
}

#[test]
fn both_decoders_say_the_same_and_the_second_question_reuses_the_first() {
    let (own, candle) = (backend(SMOLLM2), over_candle(SMOLLM2));
    let question = "The capital of France is";
    let expected = generate(&own, question, 24);
    let got = generate(&candle, question, 24);
    assert_eq!(got.tokens, expected.tokens);
    assert_eq!(got.cached_tokens, 0);
    let again = generate(&candle, &format!("{question}{}", got.text), 4);
    assert!(again.cached_tokens >= got.prompt_tokens.unwrap());
    let alone = generate(&over_candle(SMOLLM2), &format!("{question}{}", got.text), 4);
    assert_eq!(again.tokens, alone.tokens);
}

#[test]
fn rankers_score_alike_over_both() {
    let messages = [starling_engine::chat::Message::user(
        "What is the capital of France?",
    )];
    let responses = ["Paris.", "The capital of France is Paris.", "A banana."].map(String::from);
    for kind in RankerKind::ALL {
        let scores = |backend: &dyn Backend| {
            let task = Task {
                messages: &messages,
                responses: &responses,
            };
            let ranker = kind.with(Default::default());
            ranker.rank(backend, task, &Cancel::new()).unwrap()
        };
        let (own, candle) = (scores(&backend(SMOLLM2)), scores(&over_candle(SMOLLM2)));
        for (own, candle) in own.iter().zip(&candle) {
            assert!((own - candle).abs() < 0.01, "{kind}: {own} and {candle}");
        }
    }
}
