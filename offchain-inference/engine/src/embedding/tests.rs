// SPDX-License-Identifier: Apache-2.0
//! A tiny model against a computation of numpy's, tokens, and folders that must be refused.

use std::{collections::HashMap, fs, sync::LazyLock};

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use serde_json::{json, Value};
use tempfile::TempDir;

use super::*;

const WIDTH: usize = 4;
const WIDE: usize = 6;
const POSITIONS: usize = 8;
const VOCABULARY: [&str; 10] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "walk", "##ed", ".", "中", "e",
];

fn config() -> Value {
    json!({
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "intermediate_size": WIDE,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "max_position_embeddings": POSITIONS,
        "vocab_size": VOCABULARY.len(),
        "layer_norm_eps": 1e-12,
    })
}

fn tokenizer() -> Value {
    let vocab: HashMap<_, _> = VOCABULARY.iter().zip(0..).collect();
    json!({
        "normalizer": { "type": "BertNormalizer", "lowercase": true },
        "model": { "type": "WordPiece", "vocab": vocab },
    })
}

/// Names and shapes of the tensors, in the order of their seeds.
fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![];
    let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
    let embeddings = |part: &str| format!("embeddings.{part}_embeddings.weight");
    add(embeddings("word"), &[VOCABULARY.len(), WIDTH]);
    add(embeddings("position"), &[POSITIONS, WIDTH]);
    add(embeddings("token_type"), &[2, WIDTH]);
    add("embeddings.LayerNorm.weight".into(), &[WIDTH]);
    add("embeddings.LayerNorm.bias".into(), &[WIDTH]);
    for layer in 0..2 {
        for (part, shape) in [
            ("attention.self.query", vec![WIDTH, WIDTH]),
            ("attention.self.key", vec![WIDTH, WIDTH]),
            ("attention.self.value", vec![WIDTH, WIDTH]),
            ("attention.output.dense", vec![WIDTH, WIDTH]),
            ("attention.output.LayerNorm", vec![WIDTH]),
            ("intermediate.dense", vec![WIDE, WIDTH]),
            ("output.dense", vec![WIDTH, WIDE]),
            ("output.LayerNorm", vec![WIDTH]),
        ] {
            add(format!("encoder.layer.{layer}.{part}.weight"), &shape);
            add(format!("encoder.layer.{layer}.{part}.bias"), &shape[..1]);
        }
    }
    shapes
}

/// A folder with the tiny model, after a change of its shapes.
fn folder(change: impl Fn(&mut Vec<(String, Vec<usize>)>)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut shapes = shapes();
    change(&mut shapes);
    let tensors: HashMap<String, Tensor> = shapes
        .into_iter()
        .enumerate()
        .map(|(seed, (name, shape))| {
            let count: usize = shape.iter().product();
            let value = |j: usize| ((j * j * 31 + j * 7 + seed * 17) % 23) as f32 / 23.0 - 0.5;
            let values: Vec<f32> = (0..count).map(value).collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect();
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    write(&folder, "config.json", &config());
    write(&folder, "tokenizer.json", &tokenizer());
    folder
}

fn write(folder: &TempDir, name: &str, value: &Value) {
    fs::write(folder.path().join(name), value.to_string()).unwrap();
}

/// The tiny model. The folder is not used once it is loaded.
static TINY: LazyLock<Embedder> = LazyLock::new(|| Embedder::open(folder(|_| {}).path()).unwrap());

#[test]
fn a_vector_is_that_of_numpy() {
    assert_eq!(TINY.width(), WIDTH);
    for (text, expected) in [
        ("Walked", [-0.30235, -0.75651, -0.48063, -0.32445]),
        (".", [-0.30548, -0.75684, -0.47829, -0.32421]),
    ] {
        let vector = TINY.embed(text).unwrap();
        let far = vector
            .iter()
            .zip(expected)
            .map(|(a, b): (&f32, f32)| (a - b).abs());
        assert!(far.fold(0.0, f32::max) < 5e-5, "{text}: {vector:?}");
    }
}

#[test]
fn words_become_their_longest_pieces_without_case_and_accents() {
    let tokens = |text: &str| TINY.words.tokens(text, 16);
    assert_eq!(tokens("Walked."), [2, 5, 6, 7, 3]);
    assert_eq!(
        tokens("WÁLK\u{200b}ed\u{0} 中e中\t."),
        [2, 5, 6, 8, 9, 8, 7, 3]
    );
    assert_eq!(tokens("xyz walkx"), [2, 1, 1, 3]);
    assert_eq!(tokens(" \u{fffd}\n"), [2, 3]);
    assert_eq!(tokens(&"a".repeat(101)), [2, 1, 3]);
    assert_eq!(TINY.words.tokens("walk . .", 3), [2, 5, 3]);
}

#[test]
fn a_folder_of_another_model_is_refused_in_words() {
    let refused = |folder: &TempDir| Embedder::open(folder.path()).err().unwrap().to_string();
    let empty = tempfile::tempdir().unwrap();
    assert!(
        refused(&empty).contains("config.json"),
        "{}",
        refused(&empty)
    );
    for (key, value, words) in [
        ("model_type", json!("roberta"), "roberta"),
        ("hidden_act", json!("relu"), "relu"),
        ("num_attention_heads", json!(0), "no sense"),
        ("num_attention_heads", json!(3), "no sense"),
        ("max_position_embeddings", json!(0), "no sense"),
        ("hidden_size", json!(8), "shape"),
        ("num_hidden_layers", json!(3), "encoder.layer.2"),
    ] {
        let folder = folder(|_| {});
        let mut config = config();
        config[key] = value;
        write(&folder, "config.json", &config);
        assert!(refused(&folder).contains(words), "{}", refused(&folder));
    }
    let cased = folder(|_| {});
    write(
        &cased,
        "tokenizer.json",
        &json!({ "model": { "vocab": {} } }),
    );
    assert!(
        refused(&cased).contains("lower case"),
        "{}",
        refused(&cased)
    );
    let beyond = folder(|_| {});
    let mut tokenizer = tokenizer();
    tokenizer["model"]["vocab"]["b"] = json!(10);
    write(&beyond, "tokenizer.json", &tokenizer);
    assert!(refused(&beyond).contains("beyond"), "{}", refused(&beyond));
    let missing = folder(|shapes| drop(shapes.pop()));
    assert!(
        refused(&missing).contains("LayerNorm.bias"),
        "{}",
        refused(&missing)
    );
    let broken = folder(|_| {});
    fs::write(broken.path().join("model.safetensors"), [255; 64]).unwrap();
    assert!(
        refused(&broken).contains("model.safetensors"),
        "{}",
        refused(&broken)
    );
    let pooled = folder(|_| {});
    fs::create_dir(pooled.path().join("1_Pooling")).unwrap();
    let mode = json!({ "pooling_mode_mean_tokens": false });
    write(&pooled, "1_Pooling/config.json", &mode);
    assert!(refused(&pooled).contains("mean"), "{}", refused(&pooled));
}

proptest! {
    #[test]
    fn every_text_has_a_vector_of_length_one(text in ".{0,80}") {
            let vector = TINY.embed(&text).unwrap();
        let length: f32 = vector.iter().map(|x| x * x).sum();
        prop_assert!((length - 1.0).abs() < 1e-4);
    }
}
