// SPDX-License-Identifier: Apache-2.0
//! A server recovers the tokens, wherever the border is.

#[path = "../../../../engine/src/fixtures.rs"]
#[allow(dead_code)]
mod fixtures;

use candle_core::quantized::GgmlDType;
use starling_engine::{config::Architecture, generate::Cancel, LoadOptions, Model};
use starling_shards::wire::WireFormat;
use starling_shards_tool::invert::Attack;

use crate::fixtures::{LAYERS, VOCAB};

/// For `fixtures`, which is the engine's.
mod config {
    pub use starling_engine::config::Architecture;
}

const TOKENS: [u32; 12] = [3, 1, 4, 15, 92, 65, 35, 89, 79, 3, 3, 8];

/// Tokens that are recovered, and candidates that were tried.
fn attack(
    model: &Model,
    border: usize,
    wire: WireFormat,
    noise: f64,
    tries: usize,
) -> (usize, usize) {
    let attack = Attack {
        model,
        border,
        wire,
        noise,
        tries,
    };
    let seen = attack.seen(&TOKENS, 5).unwrap();
    let recovered = attack.recover(&seen, &Cancel::new()).unwrap();
    let pairs = recovered.tokens.iter().zip(TOKENS);
    (pairs.filter(|(a, b)| **a == *b).count(), recovered.tried)
}

fn model() -> (fixtures::Fixture, Model) {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let options = LoadOptions {
        threads: 1,
        ..LoadOptions::default()
    };
    let model = Model::load(&fixture.path, &options).unwrap();
    (fixture, model)
}

#[test]
fn all_tokens_are_recovered_at_every_border_in_every_wire_format() {
    let (_fixture, model) = model();
    for border in 0..LAYERS {
        for wire in WireFormat::ALL {
            let (right, tried) = attack(&model, border, wire, 0.0, VOCAB);
            assert_eq!(right, TOKENS.len(), "border {border}, {wire}");
            assert!(tried <= TOKENS.len() * VOCAB);
        }
    }
}

#[test]
fn noise_that_drowns_the_rows_hides_tokens_and_few_tries_do_too() {
    let (_fixture, model) = model();
    let (right, _) = attack(&model, 1, WireFormat::F32, 100.0, VOCAB);
    assert!(right < TOKENS.len() / 2, "{right} tokens");
    let (_, tried) = attack(&model, 1, WireFormat::F32, 0.0, 1);
    assert_eq!(tried, TOKENS.len());
}

#[test]
fn without_noise_the_exact_wire_keeps_every_next_token() {
    let (_fixture, model) = model();
    let attack = |noise| Attack {
        model: &model,
        border: 2,
        wire: WireFormat::F32,
        noise,
        tries: 1,
    };
    let kept = |attack: Attack<'_>| {
        let seen = attack.seen(&TOKENS, 5).unwrap();
        attack.kept(&TOKENS, &seen).unwrap()
    };
    assert_eq!(kept(attack(0.0)), TOKENS.len());
    assert!(kept(attack(30.0)) < TOKENS.len());
}
