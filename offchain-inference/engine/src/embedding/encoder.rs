// SPDX-License-Identifier: Apache-2.0
//! BERT's layers over candle's tensors, and the mean of what they give.

use std::collections::HashMap;

use candle_core::{safetensors::load_buffer, DType, Device, Tensor, D};
use serde::Deserialize;

use super::Reason;
use crate::Result;

/// `config.json`, as far as it matters.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
    layer_norm_eps: f64,
}

fn absolute() -> String {
    "absolute".into()
}

impl Config {
    fn check(&self) -> Reason<()> {
        let names = [
            (&self.model_type, "bert"),
            (&self.hidden_act, "gelu"),
            (&self.position_embedding_type, "absolute"),
        ];
        if let Some((found, wanted)) = names.into_iter().find(|(found, wanted)| found != wanted) {
            return Err(format!(
                "config.json: {found:?} is not supported, only {wanted:?}"
            ));
        }
        let heads = self.num_attention_heads;
        let fits = heads > 0 && self.hidden_size > 0 && self.hidden_size.is_multiple_of(heads);
        if fits && self.max_position_embeddings >= 2 {
            Ok(())
        } else {
            Err(format!(
                "config.json: {heads} heads of a width of {} with {} positions make no sense",
                self.hidden_size, self.max_position_embeddings
            ))
        }
    }
}

/// y = W x + b.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn run(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?)
    }
}

/// (x − mean) / √(variance + ε) · w + b.
struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Norm {
    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let mean = x.mean_keepdim(D::Minus1)?;
        let centred = x.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scale = (variance + self.epsilon)?.sqrt()?.recip()?;
        let scaled = centred.broadcast_mul(&scale)?.broadcast_mul(&self.weight)?;
        Ok(scaled.broadcast_add(&self.bias)?)
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

/// A loaded encoder.
pub(super) struct Encoder {
    /// Embeddings of the tokens.
    tokens: Tensor,
    /// Embeddings of the positions; that of the only kind of text is added.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
}

/// The tensors of a file.
struct File {
    tensors: HashMap<String, Tensor>,
    epsilon: f64,
}

impl File {
    /// The tensor of this name and shape, as floats.
    fn take(&self, name: &str, shape: &[usize]) -> Reason<Tensor> {
        // Files of the whole model have its name before those of its parts.
        let found = self.tensors.get(name);
        let found = found.or_else(|| self.tensors.get(&format!("bert.{name}")));
        let found = found.ok_or_else(|| format!("model.safetensors has no tensor {name}"))?;
        if found.dims() != shape {
            return Err(format!(
                "model.safetensors: {name} has the shape {:?} instead of {shape:?}",
                found.dims()
            ));
        }
        let floats = found.to_dtype(DType::F32);
        floats.map_err(|error| format!("model.safetensors: {name}: {error}"))
    }

    fn linear(&self, name: &str, rows: usize, columns: usize) -> Reason<Linear> {
        Ok(Linear {
            weight: self.take(&format!("{name}.weight"), &[rows, columns])?,
            bias: self.take(&format!("{name}.bias"), &[rows])?,
        })
    }

    fn norm(&self, name: &str, width: usize) -> Reason<Norm> {
        Ok(Norm {
            weight: self.take(&format!("{name}.weight"), &[width])?,
            bias: self.take(&format!("{name}.bias"), &[width])?,
            epsilon: self.epsilon,
        })
    }

    fn layer(&self, number: usize, width: usize, wide: usize) -> Reason<Layer> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let square = |part: &str| self.linear(&name(part), width, width);
        Ok(Layer {
            query: square("attention.self.query")?,
            key: square("attention.self.key")?,
            value: square("attention.self.value")?,
            output: square("attention.output.dense")?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), width)?,
            up: self.linear(&name("intermediate.dense"), wide, width)?,
            down: self.linear(&name("output.dense"), width, wide)?,
            norm: self.norm(&name("output.LayerNorm"), width)?,
        })
    }
}

impl Encoder {
    /// From the bytes of `config.json` and `model.safetensors`.
    pub fn new(config: &[u8], weights: &[u8]) -> Reason<Self> {
        let config: Config =
            serde_json::from_slice(config).map_err(|error| format!("config.json: {error}"))?;
        config.check()?;
        let tensors = load_buffer(weights, &Device::Cpu);
        let file = File {
            tensors: tensors.map_err(|error| format!("model.safetensors: {error}"))?,
            epsilon: config.layer_norm_eps,
        };
        let width = config.hidden_size;
        let table = |name: &str, rows: usize| {
            file.take(
                &format!("embeddings.{name}_embeddings.weight"),
                &[rows, width],
            )
        };
        let kind = table("token_type", 2)?.narrow(0, 0, 1);
        let positions = table("position", config.max_position_embeddings)?;
        let positions = kind.and_then(|kind| positions.broadcast_add(&kind));
        let layers = (0..config.num_hidden_layers)
            .map(|number| file.layer(number, width, config.intermediate_size))
            .collect::<Reason<_>>()?;
        Ok(Self {
            tokens: table("word", config.vocab_size)?,
            positions: positions.map_err(|error| error.to_string())?,
            norm: file.norm("embeddings.LayerNorm", width)?,
            layers,
            heads: config.num_attention_heads,
        })
    }

    /// Number of tokens that the model knows.
    pub fn vocabulary(&self) -> usize {
        self.tokens.dims().first().copied().unwrap_or_default()
    }

    /// Most tokens of a text.
    pub fn positions(&self) -> usize {
        self.positions.dims().first().copied().unwrap_or_default()
    }

    /// Number of elements of a vector.
    pub fn width(&self) -> usize {
        self.tokens.dims().last().copied().unwrap_or_default()
    }

    /// The mean of the last hidden state of `tokens`, of length 1.
    pub fn run(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let embedded = self.tokens.embedding(&ids)?;
        let positions = self.positions.narrow(0, 0, tokens.len())?;
        let mut hidden = self.norm.run(&(embedded + positions)?)?;
        for layer in &self.layers {
            let attended = layer.output.run(&self.attention(layer, &hidden)?)?;
            hidden = layer.attention_norm.run(&(hidden + attended)?)?;
            let fed = layer.down.run(&layer.up.run(&hidden)?.gelu_erf()?)?;
            hidden = layer.norm.run(&(hidden + fed)?)?;
        }
        let mean = hidden.mean(0)?;
        let length = mean.sqr()?.sum_keepdim(0)?.sqrt()?;
        Ok(mean.broadcast_div(&length)?.to_vec1()?)
    }

    /// Every token looks at all of them.
    fn attention(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let head = width / self.heads;
        let split = |mixed: Tensor| -> Result<Tensor> {
            let heads = mixed.reshape((rows, self.heads, head))?;
            Ok(heads.transpose(0, 1)?.contiguous()?)
        };
        let query = split(layer.query.run(x)?)?;
        let key = split(layer.key.run(x)?)?.transpose(1, 2)?.contiguous()?;
        let value = split(layer.value.run(x)?)?;
        let scores = (query.matmul(&key)? / (head as f64).sqrt())?;
        let mass = scores
            .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
            .exp()?;
        let shares = mass.broadcast_div(&mass.sum_keepdim(D::Minus1)?)?;
        let mixed = shares.matmul(&value)?.transpose(0, 1)?.contiguous()?;
        Ok(mixed.reshape((rows, width))?)
    }
}
