// SPDX-License-Identifier: Apache-2.0
//! Metadata keys of one family, and their common meaning.

use super::Architecture;
use crate::{
    config::{Activation, Config, Experts, Rope, RopePairs, Yarn},
    gguf::Gguf,
    Error, Result,
};

/// The largest dimension of a model; larger ones are refused, to keep products far from overflow.
const MAX_DIMENSION: usize = 1 << 24;

/// More experts than any model has.
const MAX_EXPERTS: usize = 1 << 12;

pub(super) struct Keys<'a> {
    pub gguf: &'a Gguf,
    pub architecture: Architecture,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture.name())
    }

    fn missing(&self, name: &str) -> Error {
        Error::Metadata(format!("{} is missing", self.key(name)))
    }

    fn absurd(&self, name: &str, value: impl std::fmt::Display) -> Error {
        Error::Metadata(format!("{} = {value} is out of range", self.key(name)))
    }

    pub fn optional(&self, name: &str) -> Result<Option<usize>> {
        match self.gguf.u32(&self.key(name))?.map(|v| v as usize) {
            Some(v) if v > MAX_DIMENSION => Err(self.absurd(name, v)),
            v => Ok(v),
        }
    }

    pub fn required(&self, name: &str) -> Result<usize> {
        match self.optional(name)? {
            Some(0) => Err(Error::Metadata(format!("{} is zero", self.key(name)))),
            Some(v) => Ok(v),
            None => Err(self.missing(name)),
        }
    }

    fn float(&self, name: &str) -> Result<Option<f32>> {
        self.gguf.f32(&self.key(name))
    }

    pub fn positive(&self, name: &str) -> Result<Option<f32>> {
        match self.float(name)? {
            Some(v) if !(v.is_finite() && v > 0.0) => Err(self.absurd(name, v)),
            v => Ok(v),
        }
    }

    /// A factor; zero counts as left out.
    fn factor(&self, name: &str) -> Result<Option<f32>> {
        match self.float(name)? {
            Some(0.0) => Ok(None),
            _ => self.positive(name),
        }
    }

    /// Keys that a layer with a sliding window sees; zero means that no layer slides.
    pub fn window(&self, default: Option<usize>) -> Result<Option<usize>> {
        let window = self.optional("attention.sliding_window")?.or(default);
        Ok(window.filter(|&window| window > 0))
    }

    pub fn window_period(&self, default: usize) -> Result<usize> {
        let period = self.optional("attention.sliding_window_pattern")?;
        Ok(period.unwrap_or(default))
    }

    /// A decoder of llama's form, with the dimensions in the metadata.
    pub fn decoder(&self) -> Result<Config> {
        let width = self.required("embedding_length")?;
        let heads = self.required("attention.head_count")?;
        let kv_heads = self.optional("attention.head_count_kv")?.unwrap_or(heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(Error::Metadata(format!(
                "{heads} heads cannot share {kv_heads} key-value heads"
            )));
        }
        let head_width = self.head_width(width, heads)?;
        let rope_width = self.optional("rope.dimension_count")?.unwrap_or(head_width);
        if head_width % 16 != 0 || rope_width % 2 != 0 || rope_width > head_width {
            return Err(Error::Unsupported(format!(
                "heads of width {head_width} of which {rope_width} rotate"
            )));
        }
        let vocab = match self.optional("vocab_size")? {
            // A part of a model may come without its ends.
            Some(vocab) if !self.gguf.has("token_embd.weight") => vocab,
            _ => self.gguf.entry("token_embd.weight")?.rows,
        };
        let context = self.required("context_length")?;
        let original = self.optional("rope.scaling.original_context_length")?;
        let original_context = original.unwrap_or(context);
        let epsilon = self.float("attention.layer_norm_rms_epsilon")?;
        Ok(Config {
            architecture: self.architecture,
            name: self.gguf.str("general.name")?.map(str::to_owned),
            layers: self.required("block_count")?,
            width,
            feed_forward: self.required("feed_forward_length")?,
            experts: None,
            heads,
            kv_heads,
            head_width,
            context,
            original_context,
            vocab,
            norm_epsilon: epsilon
                .ok_or_else(|| self.missing("attention.layer_norm_rms_epsilon"))?,
            attention_scale: 1.0 / (head_width as f32).sqrt(),
            attention_cap: None,
            logit_cap: None,
            embedding_scale: 1.0,
            activation: Activation::Silu,
            rope_pairs: RopePairs::Adjacent,
            rope_width,
            rope: self.rope(original_context)?,
            rope_local: Rope::plain(10_000.0),
            window: None,
            window_period: 1,
            head_norms: false,
            post_norms: false,
        })
    }

    /// Experts of this feed-forward width, of which none is shared.
    pub fn experts(&self, feed_forward: usize, normed: bool) -> Result<Experts> {
        let count = self.required("expert_count")?;
        let used = self.required("expert_used_count")?;
        if used > count || count > MAX_EXPERTS {
            return Err(Error::Metadata(format!("{used} of {count} experts")));
        }
        for name in ["expert_group_count", "expert_shared_count"] {
            if self.optional(name)?.unwrap_or(0) > 1 {
                return Err(Error::Unsupported(format!("{} above 1", self.key(name))));
            }
        }
        Ok(Experts {
            count,
            used,
            feed_forward,
            normed,
            scale: self.factor("expert_weights_scale")?.unwrap_or(1.0),
            shared: false,
        })
    }

    /// Feed-forward width of Qwen's experts.
    pub fn expert_width(&self, feed_forward: usize) -> Result<usize> {
        let width = match self.optional("expert_feed_forward_length")? {
            None | Some(0) => feed_forward / self.required("expert_used_count")?,
            Some(width) => width,
        };
        match width {
            0 => Err(self.missing("expert_feed_forward_length")),
            width => Ok(width),
        }
    }

    fn head_width(&self, width: usize, heads: usize) -> Result<usize> {
        let head_width = match self.optional("attention.key_length")? {
            Some(length) => length,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                return Err(Error::Metadata(format!(
                    "width {width} does not divide into {heads} heads"
                )))
            },
        };
        match self.optional("attention.value_length")? {
            Some(length) if length != head_width => Err(Error::Unsupported(
                "keys and values of different lengths".into(),
            )),
            _ => Ok(head_width),
        }
    }

    /// Rotary embedding of layers with global attention.
    fn rope(&self, original_context: usize) -> Result<Rope> {
        let base = self.positive("rope.freq_base")?.unwrap_or(10_000.0);
        let factor = match self.factor("rope.scaling.factor")? {
            Some(factor) => factor,
            None => self.factor("rope.scale_linear")?.unwrap_or(1.0),
        };
        let magnitude = self.positive("rope.scaling.attn_factor")?.unwrap_or(1.0);
        let (factor, yarn) = match self.gguf.str(&self.key("rope.scaling.type"))? {
            // A long context's factors are tensors.
            None | Some("linear" | "longrope") => (factor, None),
            Some("none") => (1.0, None),
            Some("yarn") => (factor, Some(self.yarn(original_context)?)),
            Some(other) => return Err(Error::Unsupported(format!("rope scaling of type {other}"))),
        };
        let of_yarn = yarn.map_or(1.0, |_| 1.0 + 0.1 * factor.ln());
        Ok(Rope {
            base,
            scale: 1.0 / factor,
            magnitude: magnitude * of_yarn,
            yarn,
        })
    }

    fn yarn(&self, original_context: usize) -> Result<Yarn> {
        for (name, usual) in [
            ("rope.scaling.yarn_log_multiplier", 0.0),
            ("rope.scaling.yarn_ext_factor", 1.0),
            ("rope.scaling.yarn_attn_factor", 1.0),
        ] {
            if let Some(value) = self.float(name)?.filter(|&value| value != usual) {
                return Err(Error::Unsupported(format!("{} = {value}", self.key(name))));
            }
        }
        let beta = |name| self.positive(name);
        Ok(Yarn {
            context: original_context,
            fast: beta("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
            slow: beta("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
        })
    }
}
