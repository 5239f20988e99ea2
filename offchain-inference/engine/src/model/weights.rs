// SPDX-License-Identifier: Apache-2.0
//! A model's tensors, checked against its configuration, in the decoder's format.

use std::{collections::HashSet, ops::Range};

use candle_core::{quantized::ggml_file::qtensor_from_ggml, Device};

use crate::{
    config::{Config, Experts, RopePairs},
    gguf::{Entry, Gguf, TensorReader},
    kernels::{Arena, Buffer, Matrix, GROUP},
    Error, Result,
};

/// The representation of a decoder's weights.
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
    /// Fails if the kernels do not take a model of this shape.
    pub fn new(config: &Config) -> Result<Self> {
        let experts = config.experts.map_or(GROUP, |experts| experts.feed_forward);
        for (what, width) in [
            ("width", config.width),
            ("feed-forward width", config.feed_forward),
            ("experts' width", experts),
            ("head width", config.head_width),
        ] {
            if !width.is_multiple_of(GROUP) {
                return Err(Error::Unsupported(format!(
                    "{what} {width} must be a multiple of {GROUP}"
                )));
            }
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
    /// Added to the queries, keys and values; ordered like their rows.
    pub query_bias: Option<F::Vector>,
    pub key_bias: Option<F::Vector>,
    pub value_bias: Option<F::Vector>,
    pub query_norm: Option<F::Vector>,
    pub key_norm: Option<F::Vector>,
    /// query width → width.
    pub output: F::Matrix,
    /// On the output of attention, before it is added to the residual stream.
    pub attention_post_norm: Option<F::Vector>,
    pub feed_forward_norm: F::Vector,
    pub feed_forward: FeedForward<F>,
    /// On the output of the feed-forward sublayer, before it is added to the residual stream.
    pub feed_forward_post_norm: Option<F::Vector>,
}

/// down(activation(gate) · up).
pub(crate) struct Gated<F: Format = Packed> {
    /// width → feed-forward width.
    pub gate: F::Matrix,
    /// width → feed-forward width.
    pub up: F::Matrix,
    /// feed-forward width → width.
    pub down: F::Matrix,
}

/// The second sublayer of a layer.
pub(crate) enum FeedForward<F: Format = Packed> {
    Dense(Gated<F>),
    Routed(Routed<F>),
}

/// Experts, of which each row takes a few.
pub(crate) struct Routed<F: Format = Packed> {
    /// width → experts.
    pub router: F::Matrix,
    pub experts: Vec<Gated<F>>,
    /// One that all rows take, times σ of the matrix's (width → 1) product.
    pub shared: Option<(F::Matrix, Gated<F>)>,
}

/// Embedding, final norm and head.
pub(crate) struct Ends<F: Format = Packed> {
    /// vocabulary × width.
    pub embedding: F::Matrix,
    pub norm: F::Vector,
    /// vocabulary × width; `None`: the embedding is the head too.
    pub head: Option<F::Matrix>,
}

impl Gated {
    /// True if a product takes quantised input.
    pub fn takes_integers(&self) -> bool {
        self.gate.is_integer() || self.up.is_integer()
    }
}

impl FeedForward {
    /// True if a product takes quantised input.
    pub fn takes_integers(&self) -> bool {
        match self {
            Self::Dense(gated) => gated.takes_integers(),
            Self::Routed(routed) => {
                let shared = routed.shared.iter();
                routed.router.is_integer()
                    || routed.experts.iter().any(Gated::takes_integers)
                    || shared
                        .clone()
                        .any(|(gate, gated)| gate.is_integer() || gated.takes_integers())
            },
        }
    }
}

impl<F: Format> Ends<F> {
    pub fn head(&self) -> &F::Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

/// The loaded tensors.
pub(crate) struct Weights<F: Format = Packed> {
    pub layers: Vec<Layer<F>>,
    pub ends: Option<Ends<F>>,
    /// Divisors of the angles of the rotary pairs, in global layers.
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
        let rope_factors = loader.rope_factors()?;
        let ends = ends.then(|| loader.ends()).transpose()?;
        let layers = layers
            .map(|layer| loader.layer(layer))
            .collect::<Result<Vec<_>>>()?;
        if let Some(unknown) = loader.unknown() {
            return Err(Error::Unsupported(format!("tensor {unknown}")));
        }
        Ok(Self {
            layers,
            ends,
            rope_factors,
        })
    }
}

/// Rows of a tensor, which may hold the rows of several matrices.
struct Rows {
    /// Its name up to the last full stop.
    tensor: String,
    /// Number of its rows.
    of: usize,
    rows: Range<usize>,
}

impl Rows {
    fn all(tensor: String, rows: usize) -> Self {
        Self {
            tensor,
            of: rows,
            rows: 0..rows,
        }
    }
}

/// The row that a row of queries or keys goes to, so that rotary pairs are halves of a head.
pub(crate) fn rotary_place(config: &Config) -> impl Fn(usize) -> usize {
    let &Config {
        head_width,
        rope_width,
        rope_pairs,
        ..
    } = config;
    move |row| match (rope_pairs, row % head_width) {
        (RopePairs::Adjacent, i) if i < rope_width => row - i + i / 2 + i % 2 * (rope_width / 2),
        _ => row,
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
            embedding: self.matrix(&Rows::all("token_embd".into(), vocab), width)?,
            norm: self.vector("output_norm", width)?,
            head: match self.gguf.has("output.weight") {
                true => Some(self.matrix(&Rows::all("output".into(), vocab), width)?),
                false => None,
            },
        })
    }

    /// Divisors of the angles of the rotary pairs. A model with two sets of factors takes the one
    /// for long texts if its context is longer than that of its training.
    fn rope_factors(&mut self) -> Result<Option<Vec<f32>>> {
        let long = self.config.context > self.config.original_context;
        let by_length = if long {
            "rope_factors_long.weight"
        } else {
            "rope_factors_short.weight"
        };
        let name = ["rope_freqs.weight", by_length]
            .into_iter()
            .find(|name| self.gguf.has(name));
        name.map(|name| self.values(name, self.config.rope_width / 2))
            .transpose()
    }

    fn layer(&mut self, layer: usize) -> Result<Layer<F>> {
        let config = self.config;
        let (width, head_width) = (config.width, config.head_width);
        let (query, kv) = (config.query_width(), config.kv_width());
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let of_all_heads = self.gguf.has(&(name("attn_qkv") + ".weight"));
        let attention = |tensor: &str, rows: Range<usize>| match of_all_heads {
            true => Rows {
                tensor: name("attn_qkv"),
                of: query + 2 * kv,
                rows,
            },
            false => Rows::all(name(tensor), rows.len()),
        };
        let (query_rows, key_rows) = (0..query, query..query + kv);
        let query = attention("attn_q", query_rows);
        let key = attention("attn_k", key_rows.clone());
        let value = attention("attn_v", key_rows.end..key_rows.end + kv);
        let rotated = rotary_place(config);
        let head_norms = config.head_norms.then_some(head_width);
        let post_norms = config.post_norms.then_some(width);
        Ok(Layer {
            query_norm: self.optional_vector(&name("attn_q_norm"), head_norms)?,
            key_norm: self.optional_vector(&name("attn_k_norm"), head_norms)?,
            attention_post_norm: self.optional_vector(&name("post_attention_norm"), post_norms)?,
            feed_forward_post_norm: self.optional_vector(&name("post_ffw_norm"), post_norms)?,
            attention_norm: self.vector(&name("attn_norm"), width)?,
            query: self.placed(&query, width, &rotated)?,
            key: self.placed(&key, width, &rotated)?,
            value: self.matrix(&value, width)?,
            query_bias: self.bias(&query, &rotated)?,
            key_bias: self.bias(&key, &rotated)?,
            value_bias: self.bias(&value, |row| row)?,
            output: self.matrix(&Rows::all(name("attn_output"), width), config.query_width())?,
            feed_forward_norm: self.vector(&name("ffn_norm"), width)?,
            feed_forward: match &config.experts {
                None => FeedForward::Dense(self.dense(&name)?),
                Some(experts) => FeedForward::Routed(self.routed(&name, experts)?),
            },
        })
    }

    fn dense(&mut self, name: &impl Fn(&str) -> String) -> Result<Gated<F>> {
        let (gate, up) = self.gate_and_up(&name("ffn_gate"), &name("ffn_up"));
        let down = Rows::all(name("ffn_down"), self.config.width);
        self.gated([gate, up, down], self.config.feed_forward)
    }

    fn gated(&mut self, [gate, up, down]: [Rows; 3], feed_forward: usize) -> Result<Gated<F>> {
        Ok(Gated {
            gate: self.matrix(&gate, self.config.width)?,
            up: self.matrix(&up, self.config.width)?,
            down: self.matrix(&down, feed_forward)?,
        })
    }

    fn routed(&mut self, name: &impl Fn(&str) -> String, experts: &Experts) -> Result<Routed<F>> {
        let Config {
            width,
            feed_forward,
            ..
        } = *self.config;
        // The matrices of a kind of all experts lie one below the other.
        let piece = |tensor: &str, rows: usize, expert: usize| Rows {
            tensor: name(tensor),
            of: experts.count * rows,
            rows: expert * rows..(expert + 1) * rows,
        };
        let shared = experts.shared.then(|| {
            let gate = self.matrix(&Rows::all(name("ffn_gate_inp_shexp"), 1), width)?;
            let matrices = [
                Rows::all(name("ffn_gate_shexp"), feed_forward),
                Rows::all(name("ffn_up_shexp"), feed_forward),
                Rows::all(name("ffn_down_shexp"), width),
            ];
            Ok::<_, Error>((gate, self.gated(matrices, feed_forward)?))
        });
        let shared = shared.transpose()?;
        Ok(Routed {
            router: self.matrix(&Rows::all(name("ffn_gate_inp"), experts.count), width)?,
            experts: (0..experts.count)
                .map(|expert| {
                    let matrices = [
                        piece("ffn_gate_exps", experts.feed_forward, expert),
                        piece("ffn_up_exps", experts.feed_forward, expert),
                        piece("ffn_down_exps", width, expert),
                    ];
                    self.gated(matrices, experts.feed_forward)
                })
                .collect::<Result<_>>()?,
            shared,
        })
    }

    /// The tensors of gate and up: a file without a gate may have both in the tensor called up.
    fn gate_and_up(&self, gate: &str, up: &str) -> (Rows, Rows) {
        let rows = self.config.feed_forward;
        let weight = |tensor: &str| self.gguf.entry(&format!("{tensor}.weight"));
        let both = weight(gate).is_err() && weight(up).is_ok_and(|up| up.rows == 2 * rows);
        if !both {
            return (Rows::all(gate.into(), rows), Rows::all(up.into(), rows));
        }
        let part = |rows| Rows {
            tensor: up.into(),
            of: 2 * self.config.feed_forward,
            rows,
        };
        (part(0..rows), part(rows..2 * rows))
    }

    fn matrix(&mut self, rows: &Rows, columns: usize) -> Result<F::Matrix> {
        self.placed(rows, columns, |row| row)
    }

    fn placed(
        &mut self,
        rows: &Rows,
        columns: usize,
        place: impl Fn(usize) -> usize,
    ) -> Result<F::Matrix> {
        let name = format!("{}.weight", rows.tensor);
        let entry = self.gguf.entry(&name)?;
        if (entry.rows, entry.columns) != (rows.of, columns) {
            return Err(Error::Metadata(format!(
                "tensor {name} is {} × {}, the metadata says {} × {columns}",
                entry.rows, entry.columns, rows.of
            )));
        }
        self.known.insert(name);
        let entry = entry.part(rows.rows.start, rows.rows.len());
        self.format.matrix(&mut self.reader, &entry, place)
    }

    /// The bias of a matrix, if the file has it; ordered like the matrix's rows.
    fn bias(&mut self, rows: &Rows, place: impl Fn(usize) -> usize) -> Result<Option<F::Vector>> {
        let name = format!("{}.bias", rows.tensor);
        if !self.gguf.has(&name) {
            return Ok(None);
        }
        let values = self.values(&name, rows.of)?;
        let mut placed = vec![0.0; rows.rows.len()];
        for (row, value) in values[rows.rows.clone()].iter().enumerate() {
            placed[place(row)] = *value;
        }
        self.format.vector(placed).map(Some)
    }

    fn optional_vector(&mut self, tensor: &str, len: Option<usize>) -> Result<Option<F::Vector>> {
        len.map(|len| self.vector(tensor, len)).transpose()
    }

    fn vector(&mut self, tensor: &str, len: usize) -> Result<F::Vector> {
        let values = self.values(&format!("{tensor}.weight"), len)?;
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

    /// A tensor (a bias, say) of the loaded part that the decoder would leave out.
    fn unknown(&self) -> Option<&str> {
        let part = |name: &str| match name.strip_prefix("blk.") {
            Some(rest) => rest.split('.').next().map(str::to_owned),
            None if name.starts_with("output") || name.starts_with("token_embd") => {
                Some("ends".to_owned())
            },
            None => None,
        };
        let loaded: HashSet<_> = self.known.iter().filter_map(|name| part(name)).collect();
        let is_loaded = |name: &str| part(name).is_some_and(|part| loaded.contains(&part));
        self.gguf
            .names()
            .into_iter()
            .find(|name| !self.known.contains(*name) && is_loaded(name))
    }
}
