// SPDX-License-Identifier: Apache-2.0
//! Model families: the meaning of the metadata of each. The decoders know dimensions and variants,
//! and no family. A value that a file leaves out is llama.cpp's default.

mod gemma2;
mod gemma3;
mod keys;
mod llama;
mod phi3;
mod qwen2;
mod qwen2moe;
mod qwen3;
mod qwen3moe;
#[cfg(test)]
mod tests;

use self::keys::Keys;
use crate::{config::Config, gguf::Gguf, Error, Result};

/// Model families that the decoders run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama, Mistral, Mixtral, SmolLM and all others that GGUF calls `llama`.
    Llama,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3.
    Qwen3,
    /// Qwen 2 with experts.
    Qwen2Moe,
    /// Qwen 3 with experts.
    Qwen3Moe,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, text only.
    Gemma3,
    /// Phi 3 and 3.5, Phi 4 mini.
    Phi3,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Llama,
        Self::Qwen2,
        Self::Qwen3,
        Self::Qwen2Moe,
        Self::Qwen3Moe,
        Self::Gemma2,
        Self::Gemma3,
        Self::Phi3,
    ];

    /// Its name in GGUF.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Qwen2Moe => "qwen2moe",
            Self::Qwen3Moe => "qwen3moe",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3",
            Self::Phi3 => "phi3",
        }
    }

    pub(crate) fn of(gguf: &Gguf) -> Result<Self> {
        let name = gguf
            .str("general.architecture")?
            .ok_or_else(|| Error::Metadata("general.architecture is missing".into()))?;
        Self::ALL
            .into_iter()
            .find(|known| known.name() == name)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                Error::Unsupported(format!("architecture {name} (known: {known})"))
            })
    }
}

/// Reads and checks the metadata of a model of any family.
pub(crate) fn config(gguf: &Gguf) -> Result<Config> {
    let architecture = Architecture::of(gguf)?;
    let keys = Keys { gguf, architecture };
    match architecture {
        Architecture::Llama => llama::config(&keys),
        Architecture::Qwen2 => qwen2::config(&keys),
        Architecture::Qwen3 => qwen3::config(&keys),
        Architecture::Qwen2Moe => qwen2moe::config(&keys),
        Architecture::Qwen3Moe => qwen3moe::config(&keys),
        Architecture::Gemma2 => gemma2::config(&keys),
        Architecture::Gemma3 => gemma3::config(&keys),
        Architecture::Phi3 => phi3::config(&keys),
    }
}
