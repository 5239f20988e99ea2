// SPDX-License-Identifier: Apache-2.0
//! Guessed tokens change no text.

use crate::common::{model, tokenizer, GEMMA3, SMOLLM2};
use proptest::prelude::*;
use starling_engine::{
    backend::{Backend, BackendError, DraftModel, LocalBackend},
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

/// The first `layers` layers of the model, which draft so many tokens before each pass.
fn draft(layers: usize, tokens: usize) -> DraftModel {
    let options = LoadOptions {
        layers: Some(0..layers),
        ..LoadOptions::default()
    };
    let model = Model::load(&model(SMOLLM2), &options).unwrap();
    let draft = DraftModel::new("draft".into(), model, tokenizer(SMOLLM2));
    draft.unwrap().always(tokens)
}

fn generate(
    backend: &LocalBackend<Far>,
    prompt: &str,
    max_tokens: usize,
    sampling: Sampling,
) -> Generation {
    let options = GenerateOptions {
        max_tokens,
        sampling,
        ..GenerateOptions::default()
    };
    let prompt = Prompt::data(prompt);
    let done = backend.generate(&prompt, &options, &Cancel::new(), &mut |_| {});
    done.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_text_is_the_same_with_any_guesses(
        words in proptest::collection::vec("one|two|three|red|blue|, |\\. ", 1..20),
        rows in 1usize..20,
        layers in prop_oneof![Just(6usize), Just(30usize)],
        drafted in 0usize..10,
        max_tokens in 1usize..24,
        temperature in prop_oneof![Just(0.0f32), 0.2f32..1.5],
        repetition_penalty in 1.0f32..1.3,
        seed in any::<u64>(),
    ) {
        let prompt = words.join(" ");
        let sampling = Sampling { temperature, repetition_penalty, seed, ..Sampling::default() };
        let with = backend(rows).with_draft(draft(layers, drafted)).unwrap();
        let without = backend(0);
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

#[test]
fn a_draft_model_saves_the_passes_of_a_text_that_repeats_nothing() {
    let prompt = "The first thing that one sees in the harbour of the old town is";
    let passes = |backend: &LocalBackend<Far>| {
        let done = generate(backend, prompt, 24, Sampling::greedy());
        assert_eq!(done.passes + done.guessed_right, done.tokens.len() - 1);
        done.passes
    };
    let without = passes(&backend(0));
    let with = passes(&backend(0).with_draft(draft(30, 6)).unwrap());
    assert!(3 * with < without, "{with} and {without}");
}

#[test]
fn a_draft_model_of_another_family_is_refused() {
    let other = DraftModel::load(&model(GEMMA3), &LoadOptions::default()).unwrap();
    let error = backend(8).with_draft(other).err().unwrap();
    assert!(matches!(error, BackendError::OtherTokenizer { .. }));
    let error = error.to_string();
    assert!(
        error.contains("tokens instead of 49152") && error.contains(SMOLLM2),
        "{error}"
    );
}
