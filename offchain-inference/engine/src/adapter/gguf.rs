// SPDX-License-Identifier: Apache-2.0
//! llama.cpp's adapters: GGUF files with tensors `blk.N.attn_q.weight.lora_a` and `.lora_b`.

use std::path::Path;

use candle_core::{quantized::ggml_file::qtensor_from_ggml, Device};

use super::{
    halves::{Collected, Tensor},
    names, refused, sha256, Adapter, Origin, Reason, RowOrder,
};
use crate::{
    config::Architecture,
    gguf::{Entry, Gguf, TensorReader},
    kernels::Buffer,
    Result,
};

/// Keys without which a file is another kind of file.
const KINDS: [(&str, &str); 2] = [("general.type", "adapter"), ("adapter.type", "lora")];

/// The key of activated LoRA, whose adapter begins in the middle of a sequence.
const ACTIVATED: &str = "adapter.alora.invocation_tokens";

/// Files that people take for adapters.
const OTHER_FILES: [(&str, &str); 4] = [
    ("bin", PICKLED),
    ("pt", PICKLED),
    ("pth", PICKLED),
    (
        "safetensors",
        "name the folder that has it and adapter_config.json",
    ),
];

pub(super) const PICKLED: &str =
    "pickled files can run code and are not read; save the adapter as safetensors";

/// Reads the adapter, and the family of its base model.
pub(super) fn read(path: &Path) -> Result<(Adapter, Architecture)> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let other = OTHER_FILES
        .into_iter()
        .find(|(other, _)| extension == Some(other));
    if let Some((_, reason)) = other {
        return Err(refused(path, reason.into()));
    }
    let gguf = Gguf::open(path)?;
    for (key, kind) in KINDS {
        let found = gguf.str(key)?.unwrap_or("missing");
        if found != kind {
            let reason = format!("{key} is {found}, not {kind}");
            return Err(refused(path, reason));
        }
    }
    if gguf.value(ACTIVATED).is_some() {
        let reason = format!("{ACTIVATED}: activated LoRA is not supported");
        return Err(refused(path, reason));
    }
    let architecture = Architecture::of(&gguf)?;
    let alpha = gguf.f32("adapter.lora.alpha")?.unwrap_or(0.0);
    let text = |key: &str| Ok::<_, crate::Error>(gguf.str(key)?.map(str::to_owned));
    let origin = Origin {
        base_sha256: text("starling.base_sha256")?,
        ..Origin::default()
    };
    let mut reader = gguf.reader()?;
    let mut collected = Collected::default();
    for name in gguf.names() {
        let found = names::of_gguf(architecture, name).map_err(|reason| refused(path, reason))?;
        let tensor = tensor(&gguf.entry(name)?, &mut reader)?;
        collected
            .add(&found, tensor)
            .map_err(|reason| refused(path, reason))?;
    }
    adapter(collected, f64::from(alpha), architecture, origin)
        .map(|adapter| (adapter, architecture))
        .map_err(|reason| refused(path, reason))
}

fn adapter(
    collected: Collected,
    alpha: f64,
    architecture: Architecture,
    origin: Origin,
) -> Reason<Adapter> {
    if !alpha.is_finite() {
        return Err("adapter.lora.alpha is not finite".into());
    }
    let base_sha256 = origin
        .base_sha256
        .map(|text| sha256("starling.base_sha256", &text))
        .transpose()?;
    Ok(Adapter {
        // llama.cpp scales by one where alpha is zero or missing.
        pairs: collected.pairs(|_, rank| Ok(if alpha == 0.0 { rank as f64 } else { alpha }))?,
        rank_stabilised: false,
        every_layer: false,
        rows: match architecture {
            Architecture::Llama => RowOrder::Adjacent,
            _ => RowOrder::Halves,
        },
        origin: Origin {
            base_sha256,
            ..origin
        },
    })
}

fn tensor(entry: &Entry, reader: &mut TensorReader) -> Result<Tensor> {
    let (rows, columns) = (entry.rows, entry.columns);
    // The table of tensors was checked against the length of the file.
    let mut bytes = Buffer::<u8>::zeroed(rows.saturating_mul(entry.row_bytes()))?;
    reader.rows(entry, 0, &mut bytes)?;
    let values = qtensor_from_ggml(entry.dtype, &bytes, vec![rows, columns], &Device::Cpu)?
        .dequantize(&Device::Cpu)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    Ok(Tensor {
        name: entry.name.clone(),
        rows,
        columns,
        values,
    })
}
