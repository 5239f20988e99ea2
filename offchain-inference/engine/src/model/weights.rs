// SPDX-License-Identifier: Apache-2.0
//! A model's tensors, checked against its configuration, in the format of the decoder that asks.

use std::{collections::HashSet, ops::Range};

use candle_core::{quantized::ggml_file::qtensor_from_ggml, Device};

use crate::{
    config::{Architecture, Config, RopePairs},
    gguf::{Entry, Gguf, TensorReader},
    kernels::{Arena, Buffer, Matrix, GROUP},
    Error, Result,
};

/// What a decoder keeps its weights in.
pub(crate) trait Format {
    type Matrix;
    type Vector;

    /// Reads a matrix whose row `i` goes to row `place(i)`.
    fn matrix(
        &mut self,
        reader: &mut TensorReader,
        entry: &Entry,
        place: impl Fn(usize) -> usize,
    ) -> Result<Self::Matrix>;

    fn vector(&mut self, values: Vec<f32>) -> Result<Self::Vector>;
}

/// Weights repacked for the kernels.
pub(crate) struct Packed {
    arena: Arena,
}

impl Packed {
    /// For models of a shape that the kernels take.
    pub fn new(config: &Config) -> Result<Self> {
        if !config.width.is_multiple_of(GROUP)
            || !config.feed_forward.is_multiple_of(GROUP)
            || !config.head_width.is_multiple_of(GROUP)
        {
            return Err(Error::Unsupported(format!(
                "width {}, feed-forward width {} and head width {} must be multiples of {GROUP}",
                config.width, config.feed_forward, config.head_width
            )));
        }
        Ok(Self {
            arena: Arena::new(),
        })
    }
}

impl Format for Packed {
    type Matrix = Matrix;
    type Vector = Buffer<f32>;

    fn matrix(
        &mut self,
        reader: &mut TensorReader,
        entry: &Entry,
        place: impl Fn(usize) -> usize,
    ) -> Result<Matrix> {
        Matrix::read(reader, entry, &mut self.arena, place)
    }

    fn vector(&mut self, values: Vec<f32>) -> Result<Buffer<f32>> {
        let mut vector = Buffer::zeroed(values.len())?;
        vector.copy_from_slice(&values);
        Ok(vector)
    }
}

/// One decoder layer.
pub(crate) struct Layer<F: Format = Packed> {
    pub attention_norm: F::Vector,
    /// width → query width. Rows are ordered so that rotary pairs are halves of a head.
    pub query: F::Matrix,
    /// width → kv width; ordered like `query`.
    pub key: F::Matrix,
    /// width → kv width.
    pub value: F::Matrix,
    pub query_norm: Option<F::Vector>,
    pub key_norm: Option<F::Vector>,
    /// query width → width.
    pub output: F::Matrix,
    /// On the output of attention, before it is added to the residual stream.
    pub attention_post_norm: Option<F::Vector>,
    pub feed_forward_norm: F::Vector,
    /// width → feed-forward width.
    pub gate: F::Matrix,
    /// width → feed-forward width.
    pub up: F::Matrix,
    /// feed-forward width → width.
    pub down: F::Matrix,
    /// On the output of the feed-forward sublayer, before it is added to the residual stream.
    pub feed_forward_post_norm: Option<F::Vector>,
}

/// Embedding, final norm and head.
pub(crate) struct Ends<F: Format = Packed> {
    /// vocabulary × width.
    pub embedding: F::Matrix,
    pub norm: F::Vector,
    /// vocabulary × width; `None`: the embedding is the head too.
    pub head: Option<F::Matrix>,
}

impl<F: Format> Ends<F> {
    pub fn head(&self) -> &F::Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

/// The tensors that were asked for.
pub(crate) struct Weights<F: Format = Packed> {
    pub layers: Vec<Layer<F>>,
    pub ends: Option<Ends<F>>,
    /// What the angle of each rotary pair is divided by, in global layers.
    pub rope_factors: Option<Vec<f32>>,
}

impl<F: Format> Weights<F> {
    pub fn load(
        gguf: &Gguf,
        config: &Config,
        layers: Range<usize>,
        ends: bool,
        format: F,
    ) -> Result<Self> {
        let mut loader = Loader {
            gguf,
            config,
            reader: gguf.reader()?,
            format,
            known: HashSet::new(),
        };
        let rope_factors = gguf
            .has("rope_freqs.weight")
            .then(|| loader.values("rope_freqs.weight", config.rope_width / 2))
            .transpose()?;
        let ends = ends.then(|| loader.ends()).transpose()?;
        let layers = layers
            .map(|layer| loader.layer(layer))
            .collect::<Result<Vec<_>>>()?;
        if let (Some(_), Some(unknown)) = (layers.first(), loader.unknown_in_first_layer()) {
            return Err(Error::Unsupported(format!("tensor {unknown}")));
        }
        Ok(Self {
            layers,
            ends,
            rope_factors,
        })
    }
}

struct Loader<'a, F> {
    gguf: &'a Gguf,
    config: &'a Config,
    reader: TensorReader,
    format: F,
    known: HashSet<String>,
}

impl<F: Format> Loader<'_, F> {
    fn ends(&mut self) -> Result<Ends<F>> {
        let (width, vocab) = (self.config.width, self.config.vocab);
        Ok(Ends {
            embedding: self.matrix("token_embd.weight", vocab, width)?,
            norm: self.vector("output_norm.weight", width)?,
            head: if self.gguf.has("output.weight") {
                Some(self.matrix("output.weight", vocab, width)?)
            } else {
                None
            },
        })
    }

    fn layer(&mut self, layer: usize) -> Result<Layer<F>> {
        let config = self.config;
        let (width, feed_forward) = (config.width, config.feed_forward);
        let (query, kv) = (config.query_width(), config.kv_width());
        let gemma = config.architecture == Architecture::Gemma3;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        let extra = |loader: &mut Self, tensor: &str, len| {
            gemma.then(|| loader.vector(&name(tensor), len)).transpose()
        };
        Ok(Layer {
            query_norm: extra(self, "attn_q_norm", config.head_width)?,
            key_norm: extra(self, "attn_k_norm", config.head_width)?,
            attention_post_norm: extra(self, "post_attention_norm", width)?,
            feed_forward_post_norm: extra(self, "post_ffw_norm", width)?,
            attention_norm: self.vector(&name("attn_norm"), width)?,
            query: self.rotated(&name("attn_q"), query)?,
            key: self.rotated(&name("attn_k"), kv)?,
            value: self.matrix(&name("attn_v"), kv, width)?,
            output: self.matrix(&name("attn_output"), width, query)?,
            feed_forward_norm: self.vector(&name("ffn_norm"), width)?,
            gate: self.matrix(&name("ffn_gate"), feed_forward, width)?,
            up: self.matrix(&name("ffn_up"), feed_forward, width)?,
            down: self.matrix(&name("ffn_down"), width, feed_forward)?,
        })
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<F::Matrix> {
        self.placed(name, rows, columns, |row| row)
    }

    /// A matrix whose outputs are rotated.
    fn rotated(&mut self, name: &str, rows: usize) -> Result<F::Matrix> {
        let &Config {
            width,
            head_width,
            rope_width,
            rope_pairs,
            ..
        } = self.config;
        self.placed(name, rows, width, |row| {
            match (rope_pairs, row % head_width) {
                (RopePairs::Adjacent, i) if i < rope_width => {
                    row - i + i / 2 + i % 2 * (rope_width / 2)
                },
                _ => row,
            }
        })
    }

    fn placed(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        place: impl Fn(usize) -> usize,
    ) -> Result<F::Matrix> {
        let entry = self.gguf.entry(name)?;
        if (entry.rows, entry.columns) != (rows, columns) {
            return Err(Error::Metadata(format!(
                "tensor {name} is {} × {}, the metadata says {rows} × {columns}",
                entry.rows, entry.columns
            )));
        }
        self.known.insert(name.to_owned());
        self.format.matrix(&mut self.reader, &entry, place)
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<F::Vector> {
        let values = self.values(name, len)?;
        self.format.vector(values)
    }

    fn values(&mut self, name: &str, len: usize) -> Result<Vec<f32>> {
        let entry = self.gguf.entry(name)?;
        if (entry.rows, entry.columns) != (1, len) {
            return Err(Error::Metadata(format!(
                "tensor {name} is {} × {}, the metadata says {len}",
                entry.rows, entry.columns
            )));
        }
        self.known.insert(name.to_owned());
        let mut bytes = Buffer::<u8>::zeroed(entry.row_bytes())?;
        self.reader.rows(&entry, 0, &mut bytes)?;
        let values = qtensor_from_ggml(entry.dtype, &bytes, vec![len], &Device::Cpu)?
            .dequantize(&Device::Cpu)?
            .to_vec1::<f32>()?;
        Ok(values)
    }

    /// A tensor (a bias, say) of a loaded layer that the decoder would leave out.
    fn unknown_in_first_layer(&self) -> Option<&str> {
        let is_loaded = |name: &str| {
            let layer = name.split('.').take(2).collect::<Vec<_>>().join(".") + ".";
            self.known.iter().any(|known| known.starts_with(&layer))
        };
        self.gguf
            .names()
            .into_iter()
            .filter(|name| name.starts_with("blk."))
            .find(|name| !self.known.contains(*name) && is_loaded(name))
    }
}
