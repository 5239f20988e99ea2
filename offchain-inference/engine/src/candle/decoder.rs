// SPDX-License-Identifier: Apache-2.0
//! Layers in plain tensor operations.

use candle_core::{quantized::QMatMul, Device, Module, Tensor, D};

use super::{
    cache::{Cache, Runs},
    weights::OnDevice,
};
use crate::{
    config::{Activation, Config, Rope},
    model::{
        choose,
        weights::{FeedForward, Gated, Layer, Weights},
    },
    Result,
};

/// One sequence's rows in a pass.
pub(super) struct Part<'a> {
    pub runs: &'a Runs,
    /// Position of its first row.
    pub start: usize,
    /// Its rows; they follow those of the part before.
    pub rows: usize,
}

/// The data of a part's attention that all layers of a kind share.
struct View {
    /// First position that any row sees.
    from: usize,
    /// 0 if a row sees a position, −∞ if not, rows × positions; `None`: all is seen.
    mask: Option<Tensor>,
}

/// The data of a pass that all layers of a kind share.
struct Kind {
    /// Rows × 1 × rotary pairs.
    cos: Tensor,
    sin: Tensor,
    /// One a part.
    views: Vec<View>,
}

/// A pass through layers.
pub(super) struct Pass<'a> {
    pub device: &'a Device,
    pub config: &'a Config,
    pub weights: &'a Weights<OnDevice>,
    pub cache: &'a Cache,
    /// Number of the first loaded layer.
    pub first_layer: usize,
    pub parts: &'a [Part<'a>],
}

/// x / √(mean x² + ε) · weight over the last dimension.
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    let scale = (mean + f64::from(epsilon))?.sqrt()?.recip()?;
    Ok(x.broadcast_mul(&scale)?.broadcast_mul(weight)?)
}

/// cap · tanh(x / cap) if there is a cap, else `x`.
pub(super) fn soft_cap(x: Tensor, cap: Option<f32>) -> Result<Tensor> {
    let Some(cap) = cap.map(f64::from) else {
        return Ok(x);
    };
    Ok(((x / cap)?.tanh()? * cap)?)
}

/// Over the last dimension; −∞ becomes 0.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let largest = x.max_keepdim(D::Minus1)?;
    let mass = x.broadcast_sub(&largest)?.exp()?;
    let total = mass.sum_keepdim(D::Minus1)?;
    Ok(mass.broadcast_div(&total)?)
}

impl Pass<'_> {
    /// Runs `hidden`, rows × width, through all loaded layers. The parts' runs have room for the
    /// rows; the caller counts them as used.
    pub fn run(&self, mut hidden: Tensor) -> Result<Tensor> {
        let factors = self.weights.rope_factors.as_deref();
        let global = self.kind(self.config.rope, factors, None)?;
        let local = match self.config.window {
            Some(window) => Some(self.kind(self.config.rope_local, None, Some(window))?),
            None => None,
        };
        for (i, layer) in self.weights.layers.iter().enumerate() {
            let slides = self.config.window_of(self.first_layer + i).is_some();
            let kind = local.as_ref().filter(|_| slides).unwrap_or(&global);
            let normed = self.norm(&hidden, &layer.attention_norm)?;
            let attended = self.attention(i, layer, &normed, kind)?;
            hidden = self.add(hidden, attended, layer.attention_post_norm.as_ref())?;
            let normed = self.norm(&hidden, &layer.feed_forward_norm)?;
            let fed = self.feed_forward(layer, &normed)?;
            hidden = self.add(hidden, fed, layer.feed_forward_post_norm.as_ref())?;
        }
        Ok(hidden)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        rms_norm(x, weight, self.config.norm_epsilon)
    }

    /// Adds a sublayer's output to the residual stream.
    fn add(&self, hidden: Tensor, output: Tensor, norm: Option<&Tensor>) -> Result<Tensor> {
        let output = match norm {
            Some(norm) => self.norm(&output, norm)?,
            None => output,
        };
        Ok((hidden + output)?)
    }

    fn kind(&self, rope: Rope, factors: Option<&[f32]>, window: Option<usize>) -> Result<Kind> {
        let frequencies = rope.frequencies(self.config.rope_width, factors);
        let positions = self
            .parts
            .iter()
            .flat_map(|part| part.start..part.start + part.rows);
        let (mut sin, mut cos) = (Vec::new(), Vec::new());
        for position in positions {
            for frequency in &frequencies {
                let angle = position as f64 * frequency;
                let magnitude = f64::from(rope.magnitude);
                sin.push((magnitude * angle.sin()) as f32);
                cos.push((magnitude * angle.cos()) as f32);
            }
        }
        let rows: usize = self.parts.iter().map(|part| part.rows).sum();
        let table = |values| Tensor::from_vec(values, (rows, 1, frequencies.len()), self.device);
        Ok(Kind {
            cos: table(cos)?,
            sin: table(sin)?,
            views: self
                .parts
                .iter()
                .map(|part| self.view(part, window))
                .collect::<Result<_>>()?,
        })
    }

    fn view(&self, part: &Part<'_>, window: Option<usize>) -> Result<View> {
        let first_seen = |position: usize| window.map_or(0, |w| (position + 1).saturating_sub(w));
        let from = first_seen(part.start);
        if part.rows == 1 {
            return Ok(View { from, mask: None });
        }
        let end = part.start + part.rows;
        let mut mask = Vec::with_capacity(part.rows * (end - from));
        for row in part.start..end {
            let seen = first_seen(row)..row + 1;
            mask.extend((from..end).map(|position| match seen.contains(&position) {
                true => 0f32,
                false => f32::NEG_INFINITY,
            }));
        }
        let mask = Tensor::from_vec(mask, (part.rows, end - from), self.device)?;
        let mask = Some(mask);
        Ok(View { from, mask })
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer<OnDevice>,
        normed: &Tensor,
        kind: &Kind,
    ) -> Result<Tensor> {
        let Config {
            heads,
            kv_heads,
            head_width,
            ..
        } = *self.config;
        let project = |matrix: &QMatMul, bias: Option<&Tensor>, heads| -> Result<Tensor> {
            let rows = normed.dim(0)?;
            let mut x = matrix.forward(normed)?;
            if let Some(bias) = bias {
                x = x.broadcast_add(bias)?;
            }
            Ok(x.reshape((rows, heads, head_width))?)
        };
        let rotated = |matrix, bias, heads, norm: Option<&Tensor>| -> Result<Tensor> {
            let x = project(matrix, bias, heads)?;
            let x = match norm {
                Some(norm) => self.norm(&x, norm)?,
                None => x,
            };
            self.rotate(&x, kind)
        };
        let (bias, norm) = (layer.query_bias.as_ref(), layer.query_norm.as_ref());
        let queries = rotated(&layer.query, bias, heads, norm)?;
        let queries = (queries * f64::from(self.config.attention_scale))?;
        let (bias, norm) = (layer.key_bias.as_ref(), layer.key_norm.as_ref());
        let keys = rotated(&layer.key, bias, kv_heads, norm)?;
        let values = project(&layer.value, layer.value_bias.as_ref(), kv_heads)?;
        let mut attended = Vec::with_capacity(self.parts.len());
        let mut first = 0;
        for (part, view) in self.parts.iter().zip(&kind.views) {
            let own = |x: &Tensor| x.narrow(0, first, part.rows);
            part.runs
                .write(self.cache, index, &own(&keys)?, &own(&values)?)?;
            attended.push(self.attend(index, part, view, &own(&queries)?)?);
            first += part.rows;
        }
        Ok(layer.output.forward(&Tensor::cat(&attended, 0)?)?)
    }

    /// Rotates the pairs of `x`, rows × heads × head width; each half of a head holds one element
    /// of every pair.
    fn rotate(&self, x: &Tensor, kind: &Kind) -> Result<Tensor> {
        let half = self.config.rope_width / 2;
        let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
        let (cos, sin) = (&kind.cos, &kind.sin);
        let mut parts = vec![
            (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?,
            (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?,
        ];
        let rest = self.config.head_width - self.config.rope_width;
        if rest > 0 {
            parts.push(x.narrow(2, self.config.rope_width, rest)?);
        }
        Ok(Tensor::cat(&parts, 2)?)
    }

    /// Attention of one part: rows × heads × head width to rows × query width.
    fn attend(
        &self,
        layer: usize,
        part: &Part<'_>,
        view: &View,
        queries: &Tensor,
    ) -> Result<Tensor> {
        let Config {
            heads,
            kv_heads,
            head_width,
            ..
        } = *self.config;
        let (group, rows) = (heads / kv_heads, part.rows);
        // The queries that share keys become rows of one matrix.
        let queries = queries.transpose(0, 1)?.contiguous()?;
        let queries = queries.reshape((kv_heads, group * rows, head_width))?;
        let runs = part.runs.read(self.cache, layer, view.from, rows)?;
        let scores = runs
            .iter()
            .map(|(keys, _)| queries.matmul(&keys.t()?))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let mut scores = soft_cap(Tensor::cat(&scores, 2)?, self.config.attention_cap)?;
        if let Some(mask) = &view.mask {
            let seen = scores.dim(2)?;
            scores = scores
                .reshape((kv_heads, group, rows, seen))?
                .broadcast_add(mask)?
                .reshape((kv_heads, group * rows, seen))?;
        }
        let shares = softmax(&scores)?;
        let mut first = 0;
        let mut mixed: Option<Tensor> = None;
        for (_, values) in &runs {
            let count = values.dim(1)?;
            let shares = shares.narrow(2, first, count)?.contiguous()?;
            let own = shares.matmul(values)?;
            mixed = Some(match mixed {
                Some(mixed) => (mixed + own)?,
                None => own,
            });
            first += count;
        }
        let mixed = match mixed {
            Some(mixed) => mixed,
            None => queries.zeros_like()?,
        };
        Ok(mixed
            .reshape((heads, rows, head_width))?
            .transpose(0, 1)?
            .contiguous()?
            .reshape((rows, heads * head_width))?)
    }

    fn feed_forward(&self, layer: &Layer<OnDevice>, normed: &Tensor) -> Result<Tensor> {
        let routed = match &layer.feed_forward {
            FeedForward::Dense(gated) => return self.gated(gated, normed),
            FeedForward::Routed(routed) => routed,
        };
        let mut output = normed.zeros_like()?;
        if let Some((gate, gated)) = &routed.shared {
            let share = gate.forward(normed)?.neg()?.exp()?;
            let share = (share + 1.0)?.recip()?;
            output = self.gated(gated, normed)?.broadcast_mul(&share)?;
        }
        let Some(experts) = &self.config.experts else {
            return Ok(output);
        };
        // For each expert the rows that take it, and their shares.
        let mut taken = vec![(Vec::new(), Vec::new()); experts.count];
        let logits = routed.router.forward(normed)?.to_vec2::<f32>()?;
        for (row, logits) in (0u32..).zip(logits) {
            for (expert, share) in choose(&logits, experts) {
                taken[expert].0.push(row);
                taken[expert].1.push(share);
            }
        }
        for (gated, (rows, shares)) in routed.experts.iter().zip(taken) {
            if rows.is_empty() {
                continue;
            }
            let shares = Tensor::from_vec(shares, (rows.len(), 1), self.device)?;
            let rows = Tensor::new(rows, self.device)?;
            let own = self.gated(gated, &normed.index_select(&rows, 0)?)?;
            output = output.index_add(&rows, &own.broadcast_mul(&shares)?, 0)?;
        }
        Ok(output)
    }

    fn gated(&self, matrices: &Gated<OnDevice>, x: &Tensor) -> Result<Tensor> {
        let gate = matrices.gate.forward(x)?;
        let gate = match self.config.activation {
            Activation::Silu => gate.silu()?,
            Activation::GeluTanh => gate.gelu()?,
        };
        let gated = (gate * matrices.up.forward(x)?)?;
        Ok(matrices.down.forward(&gated)?)
    }
}
