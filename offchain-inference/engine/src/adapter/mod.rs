// SPDX-License-Identifier: Apache-2.0
//! LoRA adapters: `y = W x + s · B (A x)` for matrices of a model's layers, with A `[rank × in]`
//! and B `[out × rank]`.
//!
//! The method is that of [Hu et al.](https://arxiv.org/abs/2106.09685). Two formats are read: the
//! folders of PEFT (`LoraConfig`, `save_pretrained`) and the GGUF files of llama.cpp
//! (`convert_lora_to_gguf.py`, `llama-adapter.cpp`). PEFT's folders are written.

mod gguf;
mod halves;
mod names;
mod peft;
mod settings;
mod target;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

pub use self::target::Target;
use crate::{
    config::{Architecture, Config},
    model::weights::rotary_place,
    Error, Result,
};

/// The largest rank of an adapter.
pub const MAX_RANK: usize = 256;

/// The reason for which a file is refused.
type Reason<T> = std::result::Result<T, String>;

/// The low-rank matrices of one matrix of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    rank: usize,
    inputs: usize,
    outputs: usize,
    alpha: f64,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Pair {
    /// Rows of A, and columns of B.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Columns of A: elements of the matrix's input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Rows of B: elements of the matrix's output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The numerator of the scale.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// rank × inputs, row-major.
    pub fn a(&self) -> &[f32] {
        &self.a
    }

    /// outputs × rank, row-major.
    pub fn b(&self) -> &[f32] {
        &self.b
    }
}

/// Order of the rows of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowOrder {
    /// Rotary pairs are halves of a head: the order of PEFT and of the kernels.
    Halves,
    /// The order of the base model's GGUF file, with rotary pairs side by side.
    Adjacent,
}

/// The origin of an adapter, as far as its file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Name or path of the base model, for people.
    pub base_model: Option<String>,
    /// SHA-256 of the base model's GGUF file: 64 lower-case hexadecimal digits.
    pub base_sha256: Option<String>,
    /// The training job that made it.
    pub job: Option<String>,
    /// Steps of that job that went into it.
    pub step: Option<u64>,
}

/// A LoRA adapter in memory, in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    pairs: BTreeMap<(usize, Target), Pair>,
    /// The scale is alpha / √rank instead of alpha / rank.
    rank_stabilised: bool,
    /// A target of one layer is a target of all layers.
    every_layer: bool,
    rows: RowOrder,
    origin: Origin,
}

impl Adapter {
    /// Reads a PEFT folder or a GGUF adapter of llama.cpp, without its base model.
    ///
    /// # Errors
    /// [`Error::Adapter`] names the key, the tensor or the file that is wrong or not supported;
    /// [`Error::Corrupt`] and [`Error::Metadata`] are those of a GGUF file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with_family(path).map(|(adapter, _)| adapter)
    }

    /// As [`Adapter::open`], for the model of this configuration: checks all shapes, and puts the
    /// rows of queries and keys into PEFT's order.
    ///
    /// # Errors
    /// Those of [`Adapter::open`]; [`Error::Adapter`] if a layer, a target or a shape is not that
    /// of the model.
    pub fn read(path: &Path, config: &Config) -> Result<Self> {
        let (adapter, family) = Self::open_with_family(path)?;
        let wrong = family.filter(|family| *family != config.architecture);
        match wrong {
            Some(family) => Err(format!(
                "general.architecture is {}, the model's is {}",
                family.name(),
                config.architecture.name()
            )),
            None => adapter.fitted(config),
        }
        .map_err(|reason| refused(path, reason))
    }

    /// The adapter, and the family of its base model if the file names it.
    fn open_with_family(path: &Path) -> Result<(Self, Option<Architecture>)> {
        if path.is_dir() {
            let adapter = peft::read(path).map_err(|reason| refused(path, reason))?;
            return Ok((adapter, None));
        }
        gguf::read(path).map(|(adapter, family)| (adapter, Some(family)))
    }

    /// Writes a PEFT folder with f32 values. `folder` must not exist; nothing is there until all
    /// is.
    ///
    /// # Errors
    /// [`Error::Write`] if the folder exists or cannot be written; [`Error::Adapter`] if the rows
    /// of queries and keys are still in the order of a GGUF file, or if the written folder does not
    /// read as this adapter.
    pub fn write(&self, folder: &Path) -> Result<()> {
        if self.rows != RowOrder::Halves {
            return Err(refused(folder, ROWS_OF_GGUF.into()));
        }
        peft::write(self, folder)
    }

    /// The pairs with the layer and the matrix of each, in order of layers.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, Target, &Pair)> {
        let pairs = self.pairs.iter();
        pairs.map(|(&(layer, target), pair)| (layer, target, pair))
    }

    /// The factor on `B (A x)` of a pair of this adapter: alpha / rank, or alpha / √rank.
    pub fn scale(&self, pair: &Pair) -> f32 {
        scale(pair.alpha, pair.rank, self.rank_stabilised)
    }

    /// True if the scale is alpha / √rank.
    pub fn is_rank_stabilised(&self) -> bool {
        self.rank_stabilised
    }

    /// The largest rank of a pair.
    pub fn rank(&self) -> usize {
        self.pairs.values().map(Pair::rank).max().unwrap_or(0)
    }

    /// Its origin, as far as the file tells.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// True if the rows of queries and keys are in the order of the base model's GGUF file, so that
    /// [`Adapter::read`] must put them into PEFT's.
    pub fn needs_base(&self) -> bool {
        self.rows == RowOrder::Adjacent
    }

    /// The same adapter, said to be of the base model whose GGUF file has this SHA-256.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is another model's.
    pub fn with_base(mut self, sha256: &str) -> Result<Self> {
        self.check_base(true, || Ok::<_, Error>(sha256.to_owned()))?;
        self.origin.base_sha256 = Some(sha256.to_lowercase());
        Ok(self)
    }

    /// Checks that the adapter is one of the model whose GGUF file has the SHA-256 that `sha256`
    /// computes. An adapter that names no base passes only if `unknown` allows it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it names another base, or none; the error of `sha256`.
    pub fn check_base<E: From<Error>>(
        &self,
        unknown: bool,
        sha256: impl FnOnce() -> std::result::Result<String, E>,
    ) -> std::result::Result<(), E> {
        let Some(of) = &self.origin.base_sha256 else {
            return match unknown {
                true => Ok(()),
                false => Err(Error::Unsupported(UNKNOWN_BASE.into()).into()),
            };
        };
        let base = sha256()?;
        if base.eq_ignore_ascii_case(of) {
            return Ok(());
        }
        let reason = format!(
            "the adapter is of another model: its starling.base_sha256 is {of}, the model's {base}"
        );
        Err(Error::Unsupported(reason).into())
    }

    fn fitted(mut self, config: &Config) -> Reason<Self> {
        if self.rows == RowOrder::Adjacent {
            self.check_shapes(config)?;
            let place = rotary_place(config);
            for ((_, target), pair) in &mut self.pairs {
                if matches!(target, Target::Query | Target::Key) {
                    pair.b = placed(&pair.b, pair.rank, &place);
                }
            }
            self.rows = RowOrder::Halves;
        }
        self.check(config)?;
        self.every_layer = self.missing(config.layers).is_none();
        Ok(self)
    }

    /// Fails unless every pair fits a matrix of the model.
    pub(crate) fn check(&self, config: &Config) -> Reason<()> {
        if self.rows != RowOrder::Halves {
            return Err(ROWS_OF_GGUF.into());
        }
        self.check_shapes(config)?;
        match self.missing(config.layers).filter(|_| self.every_layer) {
            Some((layer, target)) => Err(format!(
                "target_modules names {}, but layer {layer} has no tensor of it",
                target.module()
            )),
            None => Ok(()),
        }
    }

    fn check_shapes(&self, config: &Config) -> Reason<()> {
        for (layer, target, pair) in self.pairs() {
            let module = format!("layers.{layer}.{}", target.module());
            if layer >= config.layers {
                let layers = config.layers;
                return Err(format!("{module}: the model has {layers} layers"));
            }
            let Some((outputs, inputs)) = target.shape(config) else {
                let family = config.architecture.name();
                return Err(format!(
                    "{module}: this model ({family}) has no such matrix"
                ));
            };
            if !self.scale(pair).is_finite() {
                return Err(format!(
                    "{module}: its alpha of {} is too large",
                    pair.alpha
                ));
            }
            if (pair.outputs, pair.inputs) != (outputs, inputs) {
                return Err(format!(
                    "{module} is for a matrix of {} × {}, the model's is {outputs} × {inputs}",
                    pair.outputs, pair.inputs
                ));
            }
        }
        Ok(())
    }

    /// A target of one of `layers` layers that another layer lacks.
    fn missing(&self, layers: usize) -> Option<(usize, Target)> {
        let targets: BTreeSet<Target> = self.pairs.keys().map(|(_, target)| *target).collect();
        (0..layers)
            .flat_map(|layer| targets.iter().map(move |&target| (layer, target)))
            .find(|place| !self.pairs.contains_key(place))
    }
}

const ROWS_OF_GGUF: &str =
    "the rows of its queries and keys are in the order of the base model's GGUF file; name that model";

const UNKNOWN_BASE: &str =
    "the adapter does not say which model it is for (starling.base_sha256 is \
                            missing); allow an unknown base if you know that it is for this one";

/// alpha / rank, or alpha / √rank.
fn scale(alpha: f64, rank: usize, rank_stabilised: bool) -> f32 {
    let rank = rank as f64;
    let divisor = if rank_stabilised { rank.sqrt() } else { rank };
    (alpha / divisor) as f32
}

/// Rows of `columns` floats, of which row `i` goes to row `place(i)`.
fn placed(rows: &[f32], columns: usize, place: impl Fn(usize) -> usize) -> Vec<f32> {
    let mut order: Vec<_> = rows.chunks_exact(columns).enumerate().collect();
    order.sort_by_key(|(row, _)| place(*row));
    order
        .into_iter()
        .flat_map(|(_, row)| row)
        .copied()
        .collect()
}

/// A digest as 64 lower-case hexadecimal digits.
fn sha256(key: &str, text: &str) -> Reason<String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_lowercase());
    }
    Err(format!("{key} is not a SHA-256 of 64 hexadecimal digits"))
}

fn refused(path: &Path, reason: String) -> Error {
    Error::Adapter {
        path: path.to_owned(),
        reason,
    }
}
