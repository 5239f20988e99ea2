// SPDX-License-Identifier: Apache-2.0
//! The decoders against llama.cpp's recorded answers.
//!
//! llama.cpp ran the weights of the file as f16, so that its own eight-bit activations do not blur
//! the comparison. `bench/llama-cpp/README.md` has the commands of the recordings.

use crate::common::{model, MODELS, SMOLLM2};
use serde::Deserialize;
use starling_engine::{
    candle::CandleModel, gguf::Gguf, requantise, ActivationBits, Ends, Hidden, Input, LoadOptions,
    Model, Step, Trunk, WeightFormat,
};
use std::path::Path;

#[derive(Deserialize)]
struct Recording {
    passages: Vec<Passage>,
}

#[derive(Deserialize)]
struct Passage {
    tokens: Vec<u32>,
    /// First recorded token: the second passage is about positions beyond gemma's window.
    from: usize,
    /// For each recorded token but the last: ln p of the token that follows.
    next: Vec<f32>,
    /// For each recorded token but the last: the likeliest tokens with their ln p.
    top: Vec<Vec<(u32, f32)>>,
}

struct Agreement {
    positions: usize,
    same_first: usize,
    largest_difference: f32,
}

fn options(activation_bits: ActivationBits) -> LoadOptions {
    LoadOptions {
        activation_bits,
        ..LoadOptions::default()
    }
}

fn compare(name: &str, file: &Path, activation_bits: ActivationBits) -> Agreement {
    compare_trunk(name, &Model::load(file, &options(activation_bits)).unwrap())
}

fn extend<T: Trunk>(trunk: &T, session: &mut T::Session, tokens: &[u32]) -> Hidden {
    let input = Input::Tokens(tokens);
    trunk
        .forward(&mut [Step { session, input }])
        .unwrap()
        .remove(0)
}

fn compare_trunk(name: &str, trunk: &impl Trunk) -> Agreement {
    let recording = match name {
        SMOLLM2 => include_str!("fixtures/logits-smollm2-135m-instruct.json"),
        _ => include_str!("fixtures/logits-gemma-3-270m.json"),
    };
    let recording: Recording = serde_json::from_str(recording).unwrap();
    let model = trunk.ends();
    let mut agreement = Agreement {
        positions: 0,
        same_first: 0,
        largest_difference: 0.0,
    };
    for passage in recording.passages {
        let Passage {
            tokens,
            from,
            next,
            top,
        } = passage;
        let mut session = trunk.session();
        if from > 0 {
            extend(trunk, &mut session, &tokens[..from]);
        }
        let hidden = extend(trunk, &mut session, &tokens[from..]);
        let mut targets = Vec::new();
        let mut expected = Vec::new();
        for (row, (next, top)) in next.iter().zip(&top).enumerate() {
            targets.push((row, tokens[from + row + 1]));
            expected.push(*next);
            for (token, logprob) in top {
                targets.push((row, *token));
                expected.push(*logprob);
            }
        }
        let logprobs = model.logprobs(&hidden, &targets).unwrap();
        for (got, expected) in logprobs.iter().zip(expected) {
            // Far down the tail, a small error of a logit is as large an error of the logarithm.
            let difference = (got - expected).abs();
            agreement.largest_difference = agreement.largest_difference.max(difference);
        }
        let vocab = model.config().vocab;
        for (logits, top) in model.logits(&hidden).unwrap().chunks_exact(vocab).zip(&top) {
            let first = logits
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap()
                .0;
            agreement.positions += 1;
            agreement.same_first += usize::from(first == top[0].0 as usize);
        }
    }
    agreement
}

impl Agreement {
    fn assert_share(&self, name: &str, percent: usize) {
        assert!(self.positions >= 170);
        assert!(
            self.same_first * 100 >= self.positions * percent,
            "{name}: {} of {} first choices",
            self.same_first,
            self.positions
        );
    }
}

#[test]
fn the_decoders_agree_with_llama_cpp_on_the_same_f16_weights() {
    let directory = tempfile::tempdir().unwrap();
    for name in MODELS {
        let file = directory.path().join(name);
        requantise(&Gguf::open(&model(name)).unwrap(), &file, WeightFormat::F16).unwrap();
        let own = compare(name, &file, ActivationBits::Sixteen);
        // The decoder that a GPU runs.
        let device = candle_core::Device::Cpu;
        let candle = CandleModel::load(&file, &device, &LoadOptions::default()).unwrap();
        for agreement in [own, compare_trunk(name, &candle)] {
            agreement.assert_share(name, 99);
            assert!(
                agreement.largest_difference < 0.05,
                "{name}: ln p differs by {}",
                agreement.largest_difference
            );
        }
    }
}

#[test]
fn integer_kernels_add_little_to_the_quantised_weights() {
    for name in MODELS {
        // Q6_K, which gemma has in part, is quantised anew at load.
        compare(name, &model(name), ActivationBits::Sixteen).assert_share(name, 98);
        compare(name, &model(name), ActivationBits::Eight).assert_share(name, 90);
    }
}
