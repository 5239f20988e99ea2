// SPDX-License-Identifier: Apache-2.0
//! Small models with random weights, for tests.

use std::path::PathBuf;

use candle_core::{
    quantized::{
        gguf_file::{self, Value},
        GgmlDType, QTensor,
    },
    Device, Tensor,
};

use crate::config::Architecture;

/// xorshift: the same numbers on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// In [−1, 1).
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}

/// A model's file, deleted when dropped.
pub(crate) struct Fixture {
    _directory: tempfile::TempDir,
    pub path: PathBuf,
}

pub(crate) const VOCAB: usize = 100;
pub(crate) const LAYERS: usize = 4;
pub(crate) const CONTEXT: usize = 160;

/// Writes tensors of `rows × columns` (one row: a vector) and metadata as a GGUF file.
pub(crate) fn write(
    metadata: &[(String, Value)],
    tensors: &[(String, usize, usize, GgmlDType)],
    seed: u64,
) -> Fixture {
    let mut random = Random(seed);
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, rows, columns, dtype)| {
            let vector = *rows == 1;
            let scale = if vector {
                0.3
            } else {
                1.7 / (*columns as f32).sqrt()
            };
            let offset = if vector { 1.0 } else { 0.0 };
            let values = random
                .floats(rows * columns)
                .iter()
                .map(|x| offset + x * scale)
                .collect();
            let shape = if vector {
                vec![*columns]
            } else {
                vec![*rows, *columns]
            };
            let tensor = Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu).unwrap();
            (name, QTensor::quantize(&tensor, *dtype).unwrap())
        })
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    let mut file = std::fs::File::create(&path).unwrap();
    let metadata: Vec<_> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    Fixture {
        _directory: directory,
        path,
    }
}

/// A decoder of four layers with grouped queries; of gemma3 every second layer slides, by 7.
pub(crate) fn model(architecture: Architecture, dtype: GgmlDType) -> Fixture {
    let gemma = architecture == Architecture::Gemma3;
    let (width, feed_forward, heads, kv_heads, head_width) = if gemma {
        (64, 96, 4, 2, 64)
    } else {
        (96, 160, 3, 1, 32)
    };
    let name = architecture.name();
    let integer = |key: &str, v: usize| (format!("{name}.{key}"), Value::U32(v as u32));
    let mut metadata = vec![
        (
            "general.architecture".to_owned(),
            Value::String(name.to_owned()),
        ),
        integer("block_count", LAYERS),
        integer("embedding_length", width),
        integer("feed_forward_length", feed_forward),
        integer("attention.head_count", heads),
        integer("attention.head_count_kv", kv_heads),
        integer("attention.key_length", head_width),
        integer("attention.value_length", head_width),
        integer("context_length", CONTEXT),
        (
            format!("{name}.attention.layer_norm_rms_epsilon"),
            Value::F32(1e-5),
        ),
    ];
    if gemma {
        metadata.push(integer("attention.sliding_window", 7));
        metadata.push(integer("attention.sliding_window_pattern", 2));
    }
    let (query, kv) = (heads * head_width, kv_heads * head_width);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), VOCAB, width, dtype),
        ("output_norm.weight".to_owned(), 1, width, GgmlDType::F32),
    ];
    for layer in 0..LAYERS {
        let mut tensor = |name: &str, rows, columns| {
            let dtype = if rows == 1 { GgmlDType::F32 } else { dtype };
            tensors.push((format!("blk.{layer}.{name}.weight"), rows, columns, dtype));
        };
        tensor("attn_norm", 1, width);
        tensor("attn_q", query, width);
        tensor("attn_k", kv, width);
        tensor("attn_v", kv, width);
        tensor("attn_output", width, query);
        tensor("ffn_norm", 1, width);
        tensor("ffn_gate", feed_forward, width);
        tensor("ffn_up", feed_forward, width);
        tensor("ffn_down", width, feed_forward);
        if gemma {
            tensor("attn_q_norm", 1, head_width);
            tensor("attn_k_norm", 1, head_width);
            tensor("post_attention_norm", 1, width);
            tensor("post_ffw_norm", 1, width);
        }
    }
    write(&metadata, &tensors, 42)
}
