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
/// Experts of the models that have some.
pub(crate) const EXPERTS: usize = 8;

/// A recorded answer of llama.cpp, from `tests/fixtures`.
pub(crate) fn recorded(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    std::fs::read_to_string(PathBuf::from(folder).join(name)).unwrap()
}

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
            let offset = if vector && !name.ends_with(".bias") && !name.contains("gate_inp") {
                1.0
            } else {
                0.0
            };
            let values = random
                .floats(rows * columns)
                .iter()
                .map(|x| offset + x * scale)
                .collect();
            let shape = match (vector, name.contains("_exps")) {
                (true, _) => vec![*columns],
                (_, true) => vec![EXPERTS, rows / EXPERTS, *columns],
                _ => vec![*rows, *columns],
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

/// Models of all families, and of the variants that the metadata can express.
pub(crate) const FAMILIES: [&str; 13] = [
    "llama",
    "llama with factors",
    "llama with linear scaling",
    "llama with yarn",
    "llama with experts",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "gemma2",
    "gemma3",
    "phi3",
    "phi3 with a long context",
];

/// A decoder of four layers with grouped queries; of gemmas every second layer slides, by 7.
pub(crate) fn model(architecture: Architecture, dtype: GgmlDType) -> Fixture {
    family(architecture.name(), dtype)
}

/// One of [`FAMILIES`].
pub(crate) fn family(family: &str, dtype: GgmlDType) -> Fixture {
    let (name, variant) = family.split_once(" with ").unwrap_or((family, ""));
    let gemma = name.starts_with("gemma");
    let head_norms = matches!(name, "gemma3" | "qwen3" | "qwen3moe");
    let experts = name.ends_with("moe") || variant == "experts";
    let (width, feed_forward, heads, kv_heads, head_width) = match name {
        "gemma2" | "gemma3" | "qwen3" | "qwen3moe" => (64, 96, 4, 2, 64),
        _ => (96, 160, 3, 1, 32),
    };
    let integer = |key: &str, v: usize| (format!("{name}.{key}"), Value::U32(v as u32));
    let float = |key: &str, v: f32| (format!("{name}.{key}"), Value::F32(v));
    let text = |key: &str, v: &str| (key.to_owned(), Value::String(v.to_owned()));
    let scaling = format!("{name}.rope.scaling.type");
    let mut metadata = vec![
        text("general.architecture", name),
        text("tokenizer.ggml.model", "no_vocab"),
        integer("vocab_size", VOCAB),
        integer("block_count", LAYERS),
        integer("embedding_length", width),
        integer("feed_forward_length", feed_forward),
        integer("attention.head_count", heads),
        integer("attention.head_count_kv", kv_heads),
        integer("attention.key_length", head_width),
        integer("attention.value_length", head_width),
        integer("context_length", CONTEXT),
        float("attention.layer_norm_rms_epsilon", 1e-5),
    ];
    if gemma {
        metadata.push(integer("attention.sliding_window", 7));
        metadata.push(integer("attention.sliding_window_pattern", 2));
    }
    match name {
        "gemma2" => {
            // Far below the scores and logits of these weights, so that the caps matter.
            metadata.push(float("attn_logit_softcapping", 2.0));
            metadata.push(float("final_logit_softcapping", 3.0));
        },
        "phi3" => metadata.push(integer("rope.dimension_count", 24)),
        "qwen2moe" | "qwen3moe" => metadata.push(integer("expert_feed_forward_length", 64)),
        _ => {},
    }
    match variant {
        "factors" => metadata.push(float("rope.freq_base", 500_000.0)),
        "linear scaling" => {
            metadata.push(text(&scaling, "linear"));
            metadata.push(float("rope.scaling.factor", 4.0));
        },
        "yarn" => {
            metadata.push(text(&scaling, "yarn"));
            metadata.push(float("rope.scaling.factor", 4.0));
            metadata.push(integer("rope.scaling.original_context_length", CONTEXT / 4));
        },
        "a long context" => {
            metadata.push(text(&scaling, "longrope"));
            metadata.push(float("rope.scaling.attn_factor", 1.2));
            metadata.push(integer("rope.scaling.original_context_length", CONTEXT / 4));
        },
        _ => {},
    }
    if experts {
        metadata.push(integer("expert_count", EXPERTS));
        metadata.push(integer("expert_used_count", 2));
    }
    if name == "qwen2moe" {
        metadata.push(integer("expert_shared_feed_forward_length", 96));
    }
    let (query, kv) = (heads * head_width, kv_heads * head_width);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), VOCAB, width, dtype),
        ("output_norm.weight".to_owned(), 1, width, GgmlDType::F32),
    ];
    if matches!(name, "phi3" | "qwen2moe") {
        tensors.push(("output.weight".to_owned(), VOCAB, width, dtype));
    }
    let factors: &[&str] = match variant {
        "factors" => &["rope_freqs"],
        "a long context" => &["rope_factors_long", "rope_factors_short"],
        _ => &[],
    };
    for factors in factors {
        let pairs = if name == "phi3" { 12 } else { head_width / 2 };
        tensors.push((format!("{factors}.weight"), 1, pairs, GgmlDType::F32));
    }
    for layer in 0..LAYERS {
        let mut tensor = |name: &str, rows, columns| {
            let floats = rows == 1 || name == "ffn_gate_inp";
            let dtype = if floats { GgmlDType::F32 } else { dtype };
            let kind = if name.contains('.') { "" } else { ".weight" };
            tensors.push((format!("blk.{layer}.{name}{kind}"), rows, columns, dtype));
        };
        tensor("attn_norm", 1, width);
        if name == "phi3" {
            tensor("attn_qkv", query + 2 * kv, width);
        } else {
            tensor("attn_q", query, width);
            tensor("attn_k", kv, width);
            tensor("attn_v", kv, width);
        }
        if name.starts_with("qwen2") {
            tensor("attn_q.bias", 1, query);
            tensor("attn_k.bias", 1, kv);
            tensor("attn_v.bias", 1, kv);
        }
        tensor("attn_output", width, query);
        tensor("ffn_norm", 1, width);
        if experts {
            let each = if name.ends_with("moe") {
                64
            } else {
                feed_forward
            };
            tensor("ffn_gate_inp", EXPERTS, width);
            tensor("ffn_gate_exps", EXPERTS * each, width);
            tensor("ffn_up_exps", EXPERTS * each, width);
            tensor("ffn_down_exps", EXPERTS * width, each);
        } else if name == "phi3" {
            tensor("ffn_up", 2 * feed_forward, width);
            tensor("ffn_down", width, feed_forward);
        } else {
            tensor("ffn_gate", feed_forward, width);
            tensor("ffn_up", feed_forward, width);
            tensor("ffn_down", width, feed_forward);
        }
        if name == "qwen2moe" {
            tensor("ffn_gate_inp_shexp", 1, width);
            tensor("ffn_gate_shexp", 96, width);
            tensor("ffn_up_shexp", 96, width);
            tensor("ffn_down_shexp", width, 96);
        }
        if head_norms {
            tensor("attn_q_norm", 1, head_width);
            tensor("attn_k_norm", 1, head_width);
        }
        if gemma {
            tensor("post_attention_norm", 1, width);
            tensor("post_ffw_norm", 1, width);
        }
    }
    write(&metadata, &tensors, 42)
}
