// SPDX-License-Identifier: Apache-2.0
//! Generates two answers and ranks them: `cargo run --release --example generate_and_rank`.

use starling_engine::{
    backend::{Backend, LocalBackend},
    chat::Message,
    generate::{Cancel, GenerateOptions},
    rank::{RankerKind, Task},
    LoadOptions,
};
use starling_models::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = Store::open(None)?.fetch("smollm2-135m-instruct", &mut ())?;
    let model = LocalBackend::load(&path, &LoadOptions::default())?;
    let question = [Message::user("Why is the sky blue?")];
    let prompt = model.chat().render(&question, true)?;
    let mut answers = vec![];
    for seed in [1, 2] {
        let mut options = GenerateOptions {
            max_tokens: 60,
            ..GenerateOptions::default()
        };
        options.sampling.seed = seed;
        answers.push(
            model
                .generate(&prompt, &options, &Cancel::new(), &mut |_| {})?
                .text,
        );
    }
    let task = Task {
        messages: &question,
        responses: &answers,
    };
    let scores = RankerKind::Likelihood
        .ranker()
        .rank(&model, task, &Cancel::new())?;
    for (score, answer) in scores.iter().zip(&answers) {
        println!("{score:.3}  {answer}");
    }
    Ok(())
}
