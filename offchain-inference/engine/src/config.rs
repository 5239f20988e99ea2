// SPDX-License-Identifier: Apache-2.0
//! A decoder's configuration, read from GGUF metadata.

use std::ops::Range;

pub use crate::families::Architecture;
use crate::{families, gguf::Gguf, Error, Result};

/// Coordinates of a head that rotary embedding turns together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// (0, 1), (2, 3), …: GGUF's order of llama's weights.
    Adjacent,
    /// (0, d/2), (1, d/2 + 1), …: GPT-NeoX order.
    Halves,
}

/// Rotary position embedding of one layer: the angle of pair `i` at position `p` is `p · scale ·
/// base^(−2i/d)`, divided by the model's factor for `i` if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// θ.
    pub base: f32,
    /// Linear scaling: 1 / factor.
    pub scale: f32,
    /// Factor on the rotated coordinates.
    pub magnitude: f32,
    /// Pairs that turn fast are not scaled.
    pub yarn: Option<Yarn>,
}

/// YaRN: scales some pairs. Pairs that turn more than `fast` times in `context` positions are not
/// scaled, those that turn less than `slow` times are, and those in between are a mixture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// Positions that the model was trained on before it was extended.
    pub context: usize,
    /// β fast.
    pub fast: f32,
    /// β slow.
    pub slow: f32,
}

impl Yarn {
    /// Share of its own frequency that pair `i` keeps.
    fn kept(self, i: usize, width: usize, base: f32) -> f64 {
        let pair = |turns: f32| {
            let (context, tau) = (self.context as f64, std::f64::consts::TAU);
            let ratio = (context / (f64::from(turns) * tau)).ln() / f64::from(base).ln();
            width as f64 * ratio / 2.0
        };
        let low = pair(self.fast).floor().max(0.0);
        let high = pair(self.slow).ceil().min(width as f64 - 1.0);
        1.0 - ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0)
    }
}

impl Rope {
    /// No scaling.
    pub fn plain(base: f32) -> Self {
        Self {
            base,
            scale: 1.0,
            magnitude: 1.0,
            yarn: None,
        }
    }

    /// Radians a position, for each of the `width / 2` rotary pairs. `factors`, one a pair, are the
    /// model's own for its layers with global attention.
    pub(crate) fn frequencies(self, width: usize, factors: Option<&[f32]>) -> Vec<f64> {
        let ones = std::iter::repeat(&1f32);
        let frequency = |(i, factor): (usize, &f32)| {
            let exponent = -2.0 * i as f64 / width as f64;
            let scale = f64::from(self.scale);
            let kept = self.yarn.map_or(0.0, |yarn| yarn.kept(i, width, self.base));
            f64::from(self.base).powf(exponent) * (scale * (1.0 - kept) + kept) / f64::from(*factor)
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

/// Several feed-forward sublayers, of which each row takes a few.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    /// Number of experts.
    pub count: usize,
    /// Number of experts that a row takes: the likeliest by the router's softmax.
    pub used: usize,
    /// Feed-forward width of each.
    pub feed_forward: usize,
    /// True if the shares of the experts that a row takes are scaled to add up to one.
    pub normed: bool,
    /// Factor on the shares.
    pub scale: f32,
    /// True if there is one more expert, which all rows take.
    pub shared: bool,
}

/// The decoder's dimensions and variants. Lengths are in elements unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Family.
    pub architecture: Architecture,
    /// `general.name`, if the file has one.
    pub name: Option<String>,
    /// Number of layers of the whole model.
    pub layers: usize,
    /// Width of the hidden state.
    pub width: usize,
    /// Width of the feed-forward sublayer that all rows take, or else of an expert.
    pub feed_forward: usize,
    /// Experts in place of the feed-forward sublayer, or beside it.
    pub experts: Option<Experts>,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Tokens that the model was trained to attend to.
    pub context: usize,
    /// Tokens of the texts that the model was trained on before its context was extended.
    pub original_context: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// ε of the RMS norms.
    pub norm_epsilon: f32,
    /// Factor on query·key.
    pub attention_scale: f32,
    /// Scores are kept within ± this, by tanh.
    pub attention_cap: Option<f32>,
    /// Logits are kept within ± this, by tanh.
    pub logit_cap: Option<f32>,
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
    /// True if the queries and keys of each head are normed.
    pub head_norms: bool,
    /// True if a sublayer's output is normed before it is added to the residual stream.
    pub post_norms: bool,
}

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
        families::config(gguf)
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
