// SPDX-License-Identifier: Apache-2.0
//! Prompts, the answers to them, and the time that these and their sketches take.

use crate::common::{read_file, Failure};
use starling_engine::{
    backend::{Backend, LocalBackend},
    chat::Message,
    sampling::{Sampler, Sampling},
    tokenizer::TokenId,
    Hidden,
};
use starling_sketch::{layout::CHUNK, make, signs::Signs, Hash};
use std::{hint::black_box, path::Path, time::Instant};

/// Prompts that ask for more than 32 tokens.
const PROMPTS: [&str; 12] = [
    "Explain to a child why the sky is blue in the day and red in the evening.",
    "Write the beginning of a story about a lighthouse keeper who finds a letter.",
    "How does a bicycle stay upright? Describe the forces step by step.",
    "Compare trains and aeroplanes for a journey of 800 kilometres.",
    "Write a Python function that merges two sorted lists, and explain it.",
    "List ten countries of Africa with their capitals.",
    "Describe how bread is made, from the grain to the loaf.",
    "What were the main causes of the First World War?",
    "Give me a recipe for a vegetable soup for four people.",
    "Explain the difference between a virus and a bacterium in detail.",
    "Write a polite letter to a landlord about a broken heating.",
    "A shop sells pens at 3 for 2 euros. What do 18 pens cost? Show each step.",
];

/// The prompts of a file, one a line, or else the built-in ones; each once.
pub(super) fn prompts(file: Option<&Path>) -> Result<Vec<String>, Failure> {
    let text = match file {
        Some(path) => read_file(path)?,
        None => PROMPTS.join("\n"),
    };
    let mut prompts: Vec<String> = vec![];
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !prompts.iter().any(|known| known == line) {
            prompts.push(line.to_owned());
        }
    }
    if prompts.len() < 2 {
        return Err("a calibration needs at least two different prompts, one a line".into());
    }
    Ok(prompts)
}

/// A prompt and an answer to it.
pub(super) struct Answer {
    pub prompt: Vec<TokenId>,
    pub tokens: Vec<TokenId>,
    /// The signs of the answer's sketches.
    pub signs: Signs,
}

/// Time of answers and of their sketches, by one kernel on this machine.
#[derive(Default)]
pub(super) struct Cost {
    /// Tokens of the answers.
    pub tokens: usize,
    /// Seconds to decode them.
    pub decode: f64,
    /// Seconds to make their sketches: signs, final norm and projections.
    pub sketches: f64,
}

impl Cost {
    /// The sketches' time as a share of decoding.
    pub fn share(&self) -> f64 {
        self.sketches / self.decode
    }
}

/// Answers a prompt, and sketches the answer as its author would. `None` if the answer is shorter
/// than a chunk.
pub(super) fn generate(
    backend: &LocalBackend,
    prompt: &str,
    most: usize,
    seed: u64,
    signs: &Hash,
    cost: &mut Cost,
) -> Result<Option<Answer>, Failure> {
    let text = backend.chat().render(&[Message::user(prompt)], true)?;
    let prompt = backend.tokenizer().encode_prompt(&text);
    let mut sampler = Sampler::new(Sampling {
        seed,
        ..Sampling::default()
    })?;
    let (model, mut session) = (backend.model(), backend.trunk().session());
    let mut last = backend.extend(&mut session, &prompt)?.last();
    let width = last.width();
    let mut tokens = vec![];
    // The rows from which the tokens follow.
    let mut rows = vec![];
    let started = Instant::now();
    loop {
        rows.extend_from_slice(last.as_slice());
        let token = sampler.sample(&model.logits(&last)?, &tokens)?;
        tokens.push(token);
        if tokens.len() >= most || backend.tokenizer().ends_generation(token) {
            break;
        }
        last = backend.extend(&mut session, &[token])?;
    }
    let decode = started.elapsed();
    if tokens.len() < CHUNK as usize {
        return Ok(None);
    }
    let rows = Hidden::new(width, rows)?;
    let started = Instant::now();
    let signs = Signs::new(signs, width.try_into()?);
    black_box(make::answer(&signs, model.normed(&rows)?.as_slice())?);
    cost.sketches += started.elapsed().as_secs_f64();
    cost.decode += decode.as_secs_f64();
    cost.tokens += tokens.len();
    Ok(Some(Answer {
        prompt,
        tokens,
        signs,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_lines_and_each_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts");
        std::fs::write(&path, "a b\n\n  c\na b\n").unwrap();
        assert_eq!(prompts(Some(&path)).unwrap(), ["a b", "c"]);
        std::fs::write(&path, "a\na\n").unwrap();
        assert!(prompts(Some(&path)).is_err());
        assert_eq!(prompts(None).unwrap().len(), PROMPTS.len());
    }
}
