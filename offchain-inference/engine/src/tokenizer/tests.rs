// SPDX-License-Identifier: Apache-2.0
//! The ways of each family to cut text, against llama.cpp's recorded tokens. The vocabularies are
//! learnt from the texts without regard to words, so that merges would run over every border that a
//! pre-tokenizer does not draw.
//!
//! `STARLING_TOKENIZERS=FOLDER cargo test -p starling-engine --lib -- --ignored the_vocabularies_are_written`
//! writes the models, `bench/llama-cpp/record-families tokens FOLDER` asks llama.cpp.

use std::{collections::BTreeMap, path::PathBuf};

use candle_core::quantized::GgmlDType;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{bpe::byte_to_char, *};
use crate::fixtures;

/// Merges of a vocabulary.
const MERGES: usize = 500;

/// Names of pre-tokenizers.
const TOKENIZERS: [&str; 7] = [
    "gpt-2",
    "smollm",
    "llama-bpe",
    "qwen2",
    "tekken",
    "gpt-4o",
    "dbrx",
];

const SPECIALS: [&str; 13] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
];

/// The first eight digits of the SHA-256 of a text's tokens, for each text.
#[derive(Deserialize)]
struct Recorded {
    literal: Vec<String>,
    parsed: Vec<String>,
}

fn texts() -> Vec<String> {
    let nasty = include_str!("../../tests/fixtures/nasty.json");
    let mut texts: Vec<String> = serde_json::from_str(nasty).unwrap();
    texts.extend(
        [
            "<|user|>\n  What is 2+2? <|end|>\n<|assistant|>  4\u{a0}",
            "<s> a</s> b<|endoftext|> c<unk>\n",
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
            "[INST] one [/INST] two</s>[INST] three [/INST]",
            "camelCaseWords HTTPServer's iPhone'S déjàVu ÉCOLE it'ſ",
        ]
        .map(str::to_owned),
    );
    texts
}

/// Learns merges: the most frequent neighbours first, the least in order among equals.
fn learn(words: impl Iterator<Item = Vec<String>>) -> Vec<(String, String)> {
    let mut words: Vec<Vec<String>> = words.collect();
    let mut merges = Vec::new();
    while merges.len() < MERGES {
        let mut counts = BTreeMap::<(&str, &str), usize>::new();
        for word in &words {
            for pair in word.windows(2) {
                *counts.entry((&pair[0], &pair[1])).or_default() += 1;
            }
        }
        let best = counts
            .iter()
            .max_by_key(|(pair, count)| (**count, std::cmp::Reverse(**pair)));
        let Some((&(left, right), _)) = best else {
            break;
        };
        let (left, right) = (left.to_owned(), right.to_owned());
        for word in &mut words {
            let mut i = 0;
            while i + 1 < word.len() {
                if word[i] == left && word[i + 1] == right {
                    word[i].push_str(&right);
                    word.remove(i + 1);
                }
                i += 1;
            }
        }
        merges.push((left, right));
    }
    merges
}

/// Text, kind and score of each token.
struct Draft(Vec<(String, i32, f32)>);

impl Draft {
    fn push(&mut self, text: &str, kind: i32, score: f32) {
        if self.0.iter().all(|(known, ..)| known != text) {
            self.0.push((text.to_owned(), kind, score));
        }
    }
}

/// The metadata of a tokenizer.
fn metadata(name: &str) -> HashMap<String, Value> {
    let prose = include_str!("../../tests/fixtures/prose.txt");
    let texts = || prose.lines().map(str::to_owned).chain(texts());
    let strings =
        |strings: Vec<String>| Value::Array(strings.into_iter().map(Value::String).collect());
    let mut draft = Draft(Vec::new());
    let mut metadata = HashMap::new();
    let mut set = |key: &str, value| {
        metadata.insert(key.to_owned(), value);
    };
    for (text, kind) in [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<|endoftext|>", 3)] {
        draft.push(text, kind, 0.0);
    }
    for special in SPECIALS {
        draft.push(special, 3, 0.0);
    }
    let bytes = |text: String| text.bytes().map(|b| byte_to_char(b).to_string()).collect();
    let merges = learn(texts().map(bytes));
    for byte in 0..=u8::MAX {
        draft.push(&byte_to_char(byte).to_string(), 1, 0.0);
    }
    for (left, right) in &merges {
        draft.push(&format!("{left}{right}"), 1, 0.0);
    }
    let merges = merges
        .into_iter()
        .map(|(left, right)| format!("{left} {right}"));
    set("tokenizer.ggml.model", Value::String("gpt2".into()));
    set("tokenizer.ggml.pre", Value::String(name.into()));
    set("tokenizer.ggml.merges", strings(merges.collect()));
    set("tokenizer.ggml.bos_token_id", Value::U32(1));
    set("tokenizer.ggml.eos_token_id", Value::U32(2));
    let Draft(tokens) = draft;
    let kinds = tokens
        .iter()
        .map(|(_, kind, _)| Value::I32(*kind))
        .collect();
    let scores = tokens
        .iter()
        .map(|(.., score)| Value::F32(*score))
        .collect();
    set("tokenizer.ggml.token_type", Value::Array(kinds));
    set("tokenizer.ggml.scores", Value::Array(scores));
    let texts = tokens.into_iter().map(|(text, ..)| text).collect();
    set("tokenizer.ggml.tokens", strings(texts));
    metadata
}

fn digest(tokens: &[TokenId]) -> String {
    let mut hasher = Sha256::new();
    tokens
        .iter()
        .for_each(|token| hasher.update(token.to_le_bytes()));
    let digits = hasher.finalize();
    digits[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn every_way_to_cut_text_is_that_of_llama_cpp() {
    let recorded = fixtures::recorded("tokens-families.json");
    let recorded: BTreeMap<String, Recorded> = serde_json::from_str(&recorded).unwrap();
    for name in TOKENIZERS {
        let tokenizer = Tokenizer::from_gguf(&metadata(name)).unwrap();
        let recorded = &recorded[name];
        let texts = texts();
        assert_eq!(
            (texts.len(), texts.len()),
            (recorded.literal.len(), recorded.parsed.len())
        );
        for (i, text) in texts.iter().enumerate() {
            let literal = tokenizer.encode(text, Specials::Literal);
            assert_eq!(
                digest(&literal),
                recorded.literal[i],
                "{name} {text:?} {literal:?}"
            );
            let mut parsed = tokenizer.encode(text, Specials::Parse);
            // If the text begins with it, llama.cpp has the first token twice.
            if tokenizer.add_bos && text.starts_with("<s>") {
                parsed.insert(0, 1);
            }
            assert_eq!(
                digest(&parsed),
                recorded.parsed[i],
                "{name} {text:?} {parsed:?}"
            );
        }
    }
}

#[test]
fn empty_tokens_are_tokens_apart() {
    let mut metadata = metadata("qwen2");
    let Some(Value::Array(tokens)) = metadata.get_mut("tokenizer.ggml.tokens") else {
        panic!("the vocabulary has tokens");
    };
    let last = tokens.len() - 1;
    tokens[last] = Value::String(String::new());
    tokens[last - 1] = Value::String(String::new());
    metadata.insert("tokenizer.ggml.merges".into(), Value::Array(Vec::new()));
    let tokenizer = Tokenizer::from_gguf(&metadata).unwrap();
    let expected = format!("[EMPTY_{last}]");
    assert_eq!(
        tokenizer.token_text(last as TokenId),
        Some(expected.as_str())
    );
}

#[test]
fn a_value_of_the_wrong_type_is_said_in_one_line() {
    let mut metadata = metadata("qwen2");
    metadata.insert("tokenizer.ggml.add_bos_token".into(), Value::U32(1));
    let Err(error) = Tokenizer::from_gguf(&metadata) else {
        panic!("a number is no truth value");
    };
    let message = error.to_string();
    assert!(message.contains("add_bos_token"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
#[ignore = "writes the questions for llama.cpp"]
fn the_vocabularies_are_written() {
    let folder = PathBuf::from(std::env::var_os("STARLING_TOKENIZERS").unwrap());
    let texts = serde_json::to_string(&texts()).unwrap();
    std::fs::write(folder.join("texts.json"), texts).unwrap();
    for name in TOKENIZERS {
        let mut metadata = metadata(name);
        let Some(Value::Array(tokens)) = metadata.get("tokenizer.ggml.tokens") else {
            panic!("the vocabulary has tokens");
        };
        let matrix = |name: &str, rows| (format!("{name}.weight"), rows, 32, GgmlDType::F32);
        let mut tensors = vec![matrix("token_embd", tokens.len()), matrix("output_norm", 1)];
        for tensor in ["attn_norm", "ffn_norm"] {
            tensors.push(matrix(&format!("blk.0.{tensor}"), 1));
        }
        for tensor in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            tensors.push(matrix(&format!("blk.0.{tensor}"), 32));
        }
        for tensor in ["ffn_gate", "ffn_up", "ffn_down"] {
            tensors.push(matrix(&format!("blk.0.{tensor}"), 32));
        }
        metadata.insert("general.architecture".into(), Value::String("llama".into()));
        for (key, value) in [
            ("block_count", 1),
            ("embedding_length", 32),
            ("feed_forward_length", 32),
            ("attention.head_count", 1),
            ("context_length", 64),
        ] {
            metadata.insert(format!("llama.{key}"), Value::U32(value));
        }
        let epsilon = "llama.attention.layer_norm_rms_epsilon";
        metadata.insert(epsilon.into(), Value::F32(1e-5));
        let metadata: Vec<_> = metadata.into_iter().collect();
        let fixture = fixtures::write(&metadata, &tensors, 1);
        std::fs::copy(&fixture.path, folder.join(format!("{name}.gguf"))).unwrap();
    }
}
