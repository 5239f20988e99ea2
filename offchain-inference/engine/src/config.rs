// SPDX-License-Identifier: Apache-2.0
//! What a decoder looks like, read from GGUF metadata.

use std::ops::Range;

use crate::{gguf::Gguf, Error, Result};

/// Model families that the decoder knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama, Mistral, SmolLM and whatever else GGUF calls `llama`.
    Llama,
    /// Gemma 3, text only.
    Gemma3,
}

impl Architecture {
    /// GGUF's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gemma3 => "gemma3",
        }
    }
}

/// Which coordinates of a head rotary embedding turns together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// (0, 1), (2, 3), …: how GGUF permutes llama's weights.
    Adjacent,
    /// (0, d/2), (1, d/2 + 1), …: GPT-NeoX order.
    Halves,
}

/// Rotary position embedding of one layer: the angle of pair `i` at position `p` is
/// `p · scale · base^(−2i/d)`, divided by the model's factor for `i` where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// θ.
    pub base: f32,
    /// Linear scaling: 1 / factor.
    pub scale: f32,
}

impl Rope {
    /// Radians a position, for each of the `width / 2` rotary pairs. `factors`, one a pair, are the
    /// model's own for its layers with global attention.
    pub(crate) fn frequencies(self, width: usize, factors: Option<&[f32]>) -> Vec<f64> {
        let ones = std::iter::repeat(&1f32);
        let frequency = |(i, factor): (usize, &f32)| {
            let exponent = -2.0 * i as f64 / width as f64;
            f64::from(self.base).powf(exponent) * f64::from(self.scale) / f64::from(*factor)
        };
        let factors = factors.unwrap_or_default().iter().chain(ones);
        (0..width / 2).zip(factors).map(frequency).collect()
    }
}

/// Non-linearity of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · σ(x).
    Silu,
    /// GELU in its tanh form.
    GeluTanh,
}

/// The decoder's dimensions and variants. Lengths are in elements unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Family.
    pub architecture: Architecture,
    /// `general.name`, where the file has one.
    pub name: Option<String>,
    /// Number of layers of the whole model.
    pub layers: usize,
    /// Width of the hidden state.
    pub width: usize,
    /// Width of the feed-forward sublayer.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Tokens that the model was trained to attend to.
    pub context: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// ε of the RMS norms.
    pub norm_epsilon: f32,
    /// Factor on query·key.
    pub attention_scale: f32,
    /// Factor on the embedding.
    pub embedding_scale: f32,
    /// Non-linearity of the gate.
    pub activation: Activation,
    /// Order of the rotary pairs.
    pub rope_pairs: RopePairs,
    /// Coordinates of a head that are rotated; the rest pass.
    pub rope_width: usize,
    /// Rotary embedding of layers with global attention.
    pub rope: Rope,
    /// Rotary embedding of layers with a sliding window.
    pub rope_local: Rope,
    /// Keys that a layer with a sliding window sees, itself included.
    pub window: Option<usize>,
    /// Every `window_period`-th layer is global, the others slide.
    pub window_period: usize,
}

/// Above this no dimension of a model is believed: products stay far from overflow.
const MAX_DIMENSION: usize = 1 << 24;

impl Config {
    /// Fails if there are no such layers, or neither layers nor ends.
    pub(crate) fn check_span(&self, layers: &Range<usize>, ends: bool) -> Result<()> {
        let (start, end, of) = (layers.start, layers.end, self.layers);
        if start > end || end > of || (start == end && !ends) {
            return Err(Error::Shape(format!(
                "layers {start}..{end} of a model of {of}"
            )));
        }
        Ok(())
    }

    /// Reads and checks the metadata.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let architecture = match gguf.str("general.architecture")? {
            Some("llama") => Architecture::Llama,
            Some("gemma3") => Architecture::Gemma3,
            Some(other) => {
                return Err(Error::Unsupported(format!(
                    "architecture {other} (known: llama, gemma3)"
                )))
            },
            None => return Err(Error::Metadata("general.architecture is missing".into())),
        };
        let keys = Keys {
            gguf,
            prefix: architecture.name(),
        };
        if keys.optional("expert_count")?.unwrap_or(0) > 0 {
            return Err(Error::Unsupported("mixture of experts".into()));
        }
        let width = keys.required("embedding_length")?;
        let heads = keys.required("attention.head_count")?;
        let kv_heads = keys.optional("attention.head_count_kv")?.unwrap_or(heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(Error::Metadata(format!(
                "{heads} heads cannot share {kv_heads} key-value heads"
            )));
        }
        let head_width = match keys.optional("attention.key_length")? {
            Some(length) => length,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                return Err(Error::Metadata(format!(
                    "width {width} does not divide into {heads} heads"
                )))
            },
        };
        if keys
            .optional("attention.value_length")?
            .unwrap_or(head_width)
            != head_width
        {
            return Err(Error::Unsupported(
                "keys and values of different lengths".into(),
            ));
        }
        let rope_width = keys.optional("rope.dimension_count")?.unwrap_or(head_width);
        if head_width % 16 != 0 || rope_width % 2 != 0 || rope_width > head_width {
            return Err(Error::Unsupported(format!(
                "heads of width {head_width} of which {rope_width} rotate"
            )));
        }
        let vocab = match keys.optional("vocab_size")? {
            // A part of a model may come without its ends.
            Some(vocab) if !gguf.has("token_embd.weight") => vocab,
            _ => gguf.entry("token_embd.weight")?.rows,
        };
        let config = Self {
            architecture,
            name: gguf.str("general.name")?.map(str::to_owned),
            layers: keys.required("block_count")?,
            width,
            feed_forward: keys.required("feed_forward_length")?,
            heads,
            kv_heads,
            head_width,
            context: keys.required("context_length")?,
            vocab,
            norm_epsilon: keys
                .float("attention.layer_norm_rms_epsilon")?
                .ok_or_else(|| keys.missing("attention.layer_norm_rms_epsilon"))?,
            attention_scale: 1.0 / (head_width as f32).sqrt(),
            embedding_scale: 1.0,
            activation: Activation::Silu,
            rope_pairs: RopePairs::Adjacent,
            rope_width,
            rope: keys.rope(10_000.0)?,
            rope_local: Rope {
                base: 10_000.0,
                scale: 1.0,
            },
            window: None,
            window_period: 1,
        };
        Ok(match architecture {
            Architecture::Llama => config,
            Architecture::Gemma3 => Self {
                embedding_scale: (width as f32).sqrt(),
                activation: Activation::GeluTanh,
                rope_pairs: RopePairs::Halves,
                rope: keys.rope(1_000_000.0)?,
                rope_local: Rope {
                    base: keys.positive("rope.local.freq_base")?.unwrap_or(10_000.0),
                    scale: 1.0,
                },
                window: keys.optional("attention.sliding_window")?,
                window_period: keys
                    .optional("attention.sliding_window_pattern")?
                    .unwrap_or(6),
                ..config
            },
        })
    }

    /// Keys that layer `layer` sees, itself included; `None`: all.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        self.window
            .filter(|_| !(layer + 1).is_multiple_of(self.window_period))
    }

    /// Rotary embedding of layer `layer`.
    pub fn rope_of(&self, layer: usize) -> Rope {
        if self.window_of(layer).is_some() {
            self.rope_local
        } else {
            self.rope
        }
    }

    /// Width of all key heads together, and of all value heads.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// An error if one of `tokens` is not in the vocabulary.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        match tokens.iter().find(|&&token| token as usize >= self.vocab) {
            Some(&token) => Err(Error::InvalidToken {
                token,
                vocab: self.vocab,
            }),
            None => Ok(()),
        }
    }
}

/// Metadata keys of one architecture.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'static str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn missing(&self, name: &str) -> Error {
        Error::Metadata(format!("{} is missing", self.key(name)))
    }

    fn optional(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        match self.gguf.u32(&key)?.map(|v| v as usize) {
            Some(v) if v > MAX_DIMENSION => Err(Error::Metadata(format!("{key} = {v} is absurd"))),
            v => Ok(v),
        }
    }

    fn required(&self, name: &str) -> Result<usize> {
        match self.optional(name)? {
            Some(0) => Err(Error::Metadata(format!("{} is zero", self.key(name)))),
            Some(v) => Ok(v),
            None => Err(self.missing(name)),
        }
    }

    fn float(&self, name: &str) -> Result<Option<f32>> {
        self.gguf.f32(&self.key(name))
    }

    fn positive(&self, name: &str) -> Result<Option<f32>> {
        match self.float(name)? {
            Some(v) if !(v.is_finite() && v > 0.0) => Err(Error::Metadata(format!(
                "{} = {v} is absurd",
                self.key(name)
            ))),
            v => Ok(v),
        }
    }

    fn rope(&self, default_base: f32) -> Result<Rope> {
        let base = self.positive("rope.freq_base")?.unwrap_or(default_base);
        let scale = match self.gguf.str(&self.key("rope.scaling.type"))? {
            None | Some("none") => 1.0,
            Some("linear") => 1.0 / self.positive("rope.scaling.factor")?.unwrap_or(1.0),
            Some(other) => return Err(Error::Unsupported(format!("rope scaling of type {other}"))),
        };
        Ok(Rope { base, scale })
    }
}
