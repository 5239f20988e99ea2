// SPDX-License-Identifier: Apache-2.0
//! Guessed tokens change no text.

mod common;

use common::{model, tokenizer, SMOLLM2};
use proptest::prelude::*;
use starling_engine::{
    backend::{Backend, LocalBackend},
    generate::{Cancel, GenerateOptions, Generation},
    prompt::Prompt,
    sampling::Sampling,
    Hidden, LoadOptions, Model, Session, Step, Trunk,
};

/// A model as if its layers were far away: so many rows cost nothing.
struct Far {
    model: Model,
    rows: usize,
}

impl Trunk for Far {
    type Session = Session;
    type Ends = Model;

    fn ends(&self) -> &Model {
        &self.model
    }

    fn session(&self) -> Session {
        self.model.session()
    }

    fn session_with_prefix(&self, tokens: &[u32]) -> Session {
        self.model.session_with_prefix(tokens)
    }

    fn free_rows(&self, _: &Session) -> usize {
        self.rows
    }

    fn forward(&self, batch: &mut [Step<'_>]) -> starling_engine::Result<Vec<Hidden>> {
        self.model.forward(batch)
    }
}

fn backend(rows: usize) -> LocalBackend<Far> {
    let model = Model::load(&model(SMOLLM2), &LoadOptions::default()).unwrap();
    LocalBackend::new(SMOLLM2.into(), Far { model, rows }, tokenizer(SMOLLM2)).unwrap()
}

fn generate(
    backend: &LocalBackend<Far>,
    prompt: &str,
    max_tokens: usize,
    sampling: Sampling,
) -> Generation {
    let options = GenerateOptions {
        max_tokens,
        stop: vec![],
        sampling,
    };
    let prompt = Prompt::data(prompt);
    let done = backend.generate(&prompt, &options, &Cancel::new(), &mut |_| {});
    done.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_text_is_the_same_with_any_number_of_guesses(
        words in proptest::collection::vec("one|two|three|red|blue|, |\\. ", 1..20),
        rows in 1usize..20,
        max_tokens in 1usize..24,
        temperature in prop_oneof![Just(0.0f32), 0.2f32..1.5],
        repetition_penalty in 1.0f32..1.3,
        seed in any::<u64>(),
    ) {
        let prompt = words.join(" ");
        let sampling = Sampling { temperature, repetition_penalty, seed, ..Sampling::default() };
        let (with, without) = (backend(rows), backend(0));
        let text = |backend| {
            let done = generate(backend, &prompt, max_tokens, sampling.clone());
            (done.tokens, done.text, done.finish)
        };
        let expected = text(&without);
        prop_assert_eq!(text(&with), expected.clone());
        // Whatever is remembered of wrong guesses, the next text does not begin with it.
        prop_assert_eq!(text(&with), expected);
    }
}

#[test]
fn a_text_that_repeats_itself_takes_few_passes() {
    let prompt = "1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2,";
    let passes = |rows| {
        let done = generate(&backend(rows), prompt, 32, Sampling::greedy());
        assert_eq!(done.tokens.len(), 32);
        done.passes
    };
    assert_eq!(passes(0), 31);
    assert!(passes(8) <= 8, "{}", passes(8));
}
