// SPDX-License-Identifier: Apache-2.0
//! Names of tensors in both formats.

use super::{Reason, Target};
use crate::config::Architecture;

/// One of the two low-rank matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    A,
    B,
}

/// A tensor of an adapter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub layer: usize,
    pub target: Target,
    pub half: Half,
    /// PEFT's path of the matrix, by which patterns find it; empty in GGUF.
    pub path: &'a str,
}

/// The paths of a model's layers, by the class that was trained: with a head, without one, and in a
/// model that sees pictures too.
const LAYERS: [&str; 4] = [
    "model.layers.",
    "layers.",
    "model.language_model.layers.",
    "language_model.model.layers.",
];

/// Parts of names that say why a tensor is refused.
const REFUSED: [(&str, &str); 7] = [
    ("lora_magnitude_vector", "use_dora: DoRA is not supported"),
    ("lora_embedding_", EMBEDDING),
    ("embed_tokens", EMBEDDING),
    ("lm_head", EMBEDDING),
    ("token_embd", EMBEDDING),
    ("modules_to_save", "modules_to_save is not supported"),
    (".bias", "bias: only `none` is supported"),
];

pub(super) const EMBEDDING: &str = "embedding and head are no targets that are supported";

/// Reads PEFT's name of a tensor.
pub(super) fn of_peft(name: &str) -> Reason<Name<'_>> {
    let halves = [(".lora_A.weight", Half::A), (".lora_B.weight", Half::B)];
    let parts = halves.into_iter().find_map(|(suffix, half)| {
        let path = name
            .strip_prefix("base_model.model.")?
            .strip_suffix(suffix)?;
        let (layer, module) = LAYERS
            .into_iter()
            .find_map(|layers| path.strip_prefix(layers)?.split_once('.'))?;
        let target = Target::ALL
            .into_iter()
            .find(|target| target.module() == module)?;
        Some(Name {
            layer: number(layer)?,
            target,
            half,
            path,
        })
    });
    parts.ok_or_else(|| unknown(name))
}

/// Reads llama.cpp's name of a tensor.
pub(super) fn of_gguf(architecture: Architecture, name: &str) -> Reason<Name<'_>> {
    let halves = [(".weight.lora_a", Half::A), (".weight.lora_b", Half::B)];
    let parts = halves.into_iter().find_map(|(suffix, half)| {
        let place = name.strip_prefix("blk.")?.strip_suffix(suffix)?;
        let (layer, tensor) = place.split_once('.')?;
        Some(Name {
            layer: number(layer)?,
            target: Target::of_tensor(architecture, tensor)?,
            half,
            path: "",
        })
    });
    parts.ok_or_else(|| unknown(name))
}

/// A number in its one spelling, so that no two names mean one tensor.
fn number(text: &str) -> Option<usize> {
    text.parse()
        .ok()
        .filter(|number: &usize| number.to_string() == text)
}

fn unknown(name: &str) -> String {
    let known = REFUSED.into_iter().find(|(part, _)| name.contains(part));
    let reason = match known {
        Some((_, reason)) => reason,
        None if name.starts_with("output.weight") => EMBEDDING,
        None => "it matches no matrix of a layer",
    };
    format!("tensor {name}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_one_spelling_only() {
        let peft = |rest: &str| format!("base_model.model.model.layers.{rest}.lora_A.weight");
        let name = peft("12.self_attn.q_proj");
        let found = of_peft(&name).unwrap();
        assert_eq!(
            (found.layer, found.target, found.half),
            (12, Target::Query, Half::A)
        );
        assert_eq!(found.path, "model.layers.12.self_attn.q_proj");
        for wrong in [
            "012.self_attn.q_proj",
            "+1.mlp.up_proj",
            "1.mlp.q_proj",
            "1.up_proj",
            "",
        ] {
            assert!(of_peft(&peft(wrong)).is_err(), "{wrong}");
        }
        let found = of_gguf(Architecture::Llama, "blk.3.ffn_down.weight.lora_b").unwrap();
        assert_eq!(
            (found.layer, found.target, found.half),
            (3, Target::Down, Half::B)
        );
        assert!(of_gguf(Architecture::Llama, "blk.03.ffn_down.weight.lora_b").is_err());
        let up = "blk.0.ffn_up.weight.lora_a";
        assert_eq!(
            of_gguf(Architecture::Phi3, up).unwrap().target,
            Target::GateUp
        );
        assert_eq!(of_gguf(Architecture::Llama, up).unwrap().target, Target::Up);
    }
}
