// SPDX-License-Identifier: Apache-2.0
//! A second decoder of the same models, over candle's tensors: for GPUs.
//!
//! [`crate::Model`] is faster on CPUs. Here the layers, the cache and the head are on a device of
//! candle's; tokens, hidden state and probabilities travel to and from it. Results are the same
//! from run to run on one device. Unlike with [`crate::Model`], the cuts of a sequence and the rest
//! of a pass may change the last bits.

mod cache;
mod decoder;
#[cfg(test)]
mod tests;
mod weights;

use std::{fmt, ops::Range, path::Path, sync::Arc};

use candle_core::{Device, IndexOp, Module, Tensor};

use self::{
    cache::{Cache, Runs},
    decoder::{rms_norm, soft_cap, Part, Pass},
    weights::OnDevice,
};
use crate::{
    config::Config,
    gguf::Gguf,
    model::{
        passes,
        weights::{Ends as EndWeights, Weights},
    },
    Ends, Error, Hidden, Input, LoadOptions, Result, Sequence, Step, Trunk,
};

/// Rows of a pass. Bounds the memory of attention: heads × rows × positions × 4 bytes.
const MAX_ROWS: usize = 512;

/// Rows that go through the head at a time: 32 MiB of logits with gemma's vocabulary.
const HEAD_ROWS: usize = 32;

/// A loaded model, or a span of its layers, on a device of candle's. Clones share everything.
///
/// Of [`LoadOptions`] the layers, the ends, the bytes of the cache (on the device, f32) and the
/// bits of activations apply; an adapter is refused. With sixteen bits the weights are expanded to
/// f32 on the device, four bytes each; with eight they stay as the file has them and candle's
/// quantised kernels run.
#[derive(Clone)]
pub struct CandleModel(Arc<Inner>);

struct Inner {
    config: Config,
    layers: Range<usize>,
    device: Device,
    weights: Weights<OnDevice>,
    cache: Cache,
}

impl fmt::Debug for CandleModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleModel")
            .field("config", &self.0.config)
            .field("layers", &self.0.layers)
            .field("device", &self.0.device)
            .finish_non_exhaustive()
    }
}

impl CandleModel {
    /// Opens the GGUF file at `path` and loads it onto `device`. The file is not used afterwards.
    pub fn load(path: &Path, device: &Device, options: &LoadOptions) -> Result<Self> {
        Self::load_from(&Gguf::open(path)?, device, options)
    }

    /// Loads from an opened file.
    pub fn load_from(gguf: &Gguf, device: &Device, options: &LoadOptions) -> Result<Self> {
        if options.adapter.is_some() {
            return Err(Error::Unsupported(
                "an adapter on this device; the device cpu runs adapters".into(),
            ));
        }
        let config = Config::from_gguf(gguf)?;
        let layers = options.layers.clone().unwrap_or(0..config.layers);
        config.check_span(&layers, options.ends)?;
        let format = OnDevice::new(device.clone(), options.activation_bits);
        let weights = Weights::load(gguf, &config, layers.clone(), options.ends, format)?;
        let cache = Cache::new(device.clone(), layers.len(), &config, options.cache_bytes);
        Ok(Self(Arc::new(Inner {
            config,
            layers,
            device: device.clone(),
            weights,
            cache,
        })))
    }

    /// The loaded layers.
    pub fn layers(&self) -> Range<usize> {
        self.0.layers.clone()
    }

    /// Bytes that key-value caches use now, remembered sequences included.
    pub fn cache_used(&self) -> usize {
        self.0.cache.used()
    }

    /// Hidden state of tokens before layer 0: tokens × width.
    pub fn embed(&self, tokens: &[u32]) -> Result<Hidden> {
        self.0.config.check_tokens(tokens)?;
        self.download(&self.embedded(tokens)?)
    }

    fn embedded(&self, tokens: &[u32]) -> Result<Tensor> {
        let ends = self.end_weights("embedding")?;
        let tokens = Tensor::new(tokens, &self.0.device)?;
        let embedded = ends.embedding.embedding(&tokens)?;
        Ok((embedded * f64::from(self.0.config.embedding_scale))?)
    }

    fn end_weights(&self, part: &'static str) -> Result<&EndWeights<OnDevice>> {
        let ends = self.0.weights.ends.as_ref();
        ends.ok_or_else(|| self.not_in_span(part))
    }

    fn not_in_span(&self, part: &'static str) -> Error {
        Error::NotInSpan {
            start: self.0.layers.start,
            end: self.0.layers.end,
            part,
        }
    }

    fn upload(&self, rows: &[f32]) -> Result<Tensor> {
        let width = self.0.config.width;
        let shape = (rows.len() / width, width);
        Ok(Tensor::from_slice(rows, shape, &self.0.device)?)
    }

    fn download(&self, rows: &Tensor) -> Result<Hidden> {
        Hidden::new(self.0.config.width, rows.flatten_all()?.to_vec1()?)
    }

    fn check(&self, step: &Step<'_, CandleSession>) -> Result<()> {
        if !Arc::ptr_eq(&self.0, &step.session.model.0) {
            return Err(Error::Shape("the session belongs to another model".into()));
        }
        step.input.check(&self.0.config, step.session.len)?;
        match step.input {
            Input::Tokens(_) if self.0.layers.start != 0 => Err(self.not_in_span("first layer")),
            Input::Tokens(_) => self.end_weights("embedding").map(drop),
            Input::Hidden(_) => Ok(()),
        }
    }

    /// The part of a step's input that belongs to a pass.
    fn input(&self, input: &Input<'_>, rows: &Range<usize>) -> Result<Tensor> {
        match input {
            Input::Tokens(tokens) => self.embedded(&tokens[rows.clone()]),
            Input::Hidden(hidden) => {
                let width = self.0.config.width;
                self.upload(&hidden.as_slice()[rows.start * width..rows.end * width])
            },
        }
    }

    /// Runs checked steps; sessions grow as passes end.
    fn run(&self, batch: &mut [Step<'_, CandleSession>]) -> Result<Vec<Hidden>> {
        let rows: Vec<usize> = batch.iter().map(|step| step.input.rows()).collect();
        let mut outputs: Vec<Vec<f32>> = batch.iter().map(|_| Vec::new()).collect();
        for members in passes(&rows, MAX_ROWS) {
            let mut inputs = Vec::with_capacity(members.len());
            for (i, rows) in &members {
                let step = &mut batch[*i];
                step.session.runs.reserve(&self.0.cache, rows.len())?;
                inputs.push(self.input(&step.input, rows)?);
            }
            let parts: Vec<_> = members
                .iter()
                .map(|(i, rows)| Part {
                    runs: &batch[*i].session.runs,
                    start: batch[*i].session.len,
                    rows: rows.len(),
                })
                .collect();
            let pass = Pass {
                device: &self.0.device,
                config: &self.0.config,
                weights: &self.0.weights,
                cache: &self.0.cache,
                first_layer: self.0.layers.start,
                parts: &parts,
            };
            let hidden = self.download(&pass.run(Tensor::cat(&inputs, 0)?)?)?;
            let mut rest = hidden.as_slice();
            for (i, rows) in members {
                let (own, others) = rest.split_at(rows.len() * hidden.width());
                outputs[i].extend_from_slice(own);
                rest = others;
                batch[i].session.grow(rows.len());
            }
        }
        let width = self.0.config.width;
        outputs
            .into_iter()
            .map(|rows| Hidden::new(width, rows))
            .collect()
    }

    /// Calls `f` with the logits of up to [`HEAD_ROWS`] rows at a time, rows × vocabulary, and the
    /// number of the first of them.
    fn head(&self, hidden: &Hidden, mut f: impl FnMut(Tensor, usize) -> Result<()>) -> Result<()> {
        let config = &self.0.config;
        let ends = self.end_weights("head")?;
        hidden.check_width(config)?;
        let chunks = hidden.as_slice().chunks(HEAD_ROWS * config.width);
        for (i, rows) in chunks.enumerate() {
            let normed = rms_norm(&self.upload(rows)?, &ends.norm, config.norm_epsilon)?;
            let logits = soft_cap(ends.head().forward(&normed)?, config.logit_cap)?;
            f(logits, i * HEAD_ROWS)?;
        }
        Ok(())
    }
}

impl Ends for CandleModel {
    fn config(&self) -> &Config {
        &self.0.config
    }

    fn normed(&self, hidden: &Hidden) -> Result<Hidden> {
        let config = &self.0.config;
        let ends = self.end_weights("final norm")?;
        hidden.check_width(config)?;
        let rows = self.upload(hidden.as_slice())?;
        self.download(&rms_norm(&rows, &ends.norm, config.norm_epsilon)?)
    }

    fn logits(&self, hidden: &Hidden) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(hidden.rows() * self.0.config.vocab);
        self.head(hidden, |logits, _| {
            all.extend(logits.flatten_all()?.to_vec1::<f32>()?);
            Ok(())
        })?;
        Ok(all)
    }

    fn logits_of(&self, hidden: &Hidden, row: usize, tokens: &[u32]) -> Result<Vec<f32>> {
        self.0.config.check_tokens(tokens)?;
        let row = hidden.checked_row(row)?;
        let mut found = Vec::new();
        self.head(&Hidden::new(hidden.width(), row.to_vec())?, |logits, _| {
            let tokens = Tensor::new(tokens, &self.0.device)?;
            found = logits.i(0)?.index_select(&tokens, 0)?.to_vec1()?;
            Ok(())
        })?;
        Ok(found)
    }

    fn logprobs(&self, hidden: &Hidden, targets: &[(usize, u32)]) -> Result<Vec<f32>> {
        for &(row, token) in targets {
            hidden.checked_row(row)?;
            self.0.config.check_tokens(&[token])?;
        }
        let vocab = self.0.config.vocab;
        let mut logprobs = vec![0f32; targets.len()];
        self.head(hidden, |logits, first| {
            let rows = first..first + logits.dim(0)?;
            let own: Vec<usize> = (0..targets.len())
                .filter(|&i| rows.contains(&targets[i].0))
                .collect();
            if own.is_empty() {
                return Ok(());
            }
            let places: Vec<u32> = own
                .iter()
                .map(|&i| ((targets[i].0 - first) * vocab) as u32 + targets[i].1)
                .collect();
            let places = Tensor::new(places, &self.0.device)?;
            let found: Vec<f32> = logits.flatten_all()?.index_select(&places, 0)?.to_vec1()?;
            let largest = logits.max_keepdim(1)?;
            let mass = logits.broadcast_sub(&largest)?.exp()?.sum_keepdim(1)?;
            let totals: Vec<f32> = (mass.log()? + largest)?.flatten_all()?.to_vec1()?;
            for (i, logit) in own.into_iter().zip(found) {
                logprobs[i] = logit - totals[targets[i].0 - first];
            }
            Ok(())
        })?;
        Ok(logprobs)
    }
}

impl Trunk for CandleModel {
    type Session = CandleSession;
    type Ends = Self;

    fn ends(&self) -> &Self {
        self
    }

    fn session(&self) -> CandleSession {
        CandleSession {
            model: self.clone(),
            runs: Runs::default(),
            tokens: Vec::new(),
            len: 0,
        }
    }

    fn session_with_prefix(&self, tokens: &[u32]) -> CandleSession {
        let most = tokens.len().saturating_sub(1);
        let (runs, len) = self.0.cache.recall(&tokens[..most]);
        CandleSession {
            model: self.clone(),
            runs,
            tokens: tokens[..len].to_vec(),
            len,
        }
    }

    fn forward(&self, batch: &mut [Step<'_, CandleSession>]) -> Result<Vec<Hidden>> {
        for step in batch.iter() {
            self.check(step)?;
        }
        let before: Vec<usize> = batch.iter().map(|step| step.session.len).collect();
        let outputs = self.run(batch);
        for (step, before) in batch.iter_mut().zip(before) {
            match (&outputs, step.input) {
                (Ok(_), Input::Tokens(tokens)) if step.session.tokens.len() == before => {
                    step.session.tokens.extend_from_slice(tokens);
                },
                (Ok(_), _) => {},
                (Err(_), _) => step.session.truncate(before),
            }
        }
        outputs
    }
}

/// A sequence and its key-value cache on the device.
pub struct CandleSession {
    model: CandleModel,
    runs: Runs,
    /// The sequence, for as long as it was extended by tokens only.
    tokens: Vec<u32>,
    len: usize,
}

impl fmt::Debug for CandleSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandleSession")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl CandleSession {
    fn grow(&mut self, rows: usize) {
        self.runs.grow(rows);
        self.len += rows;
    }
}

impl Sequence for CandleSession {
    fn len(&self) -> usize {
        self.len
    }

    fn fork(&self) -> Self {
        Self {
            model: self.model.clone(),
            runs: self.runs.clone(),
            tokens: self.tokens.clone(),
            len: self.len,
        }
    }

    fn truncate(&mut self, len: usize) {
        self.len = len.min(self.len);
        self.tokens.truncate(self.len);
        self.runs.truncate(self.len);
    }
}

/// Remembers the sequence for a later one that begins like it.
impl Drop for CandleSession {
    fn drop(&mut self) {
        if self.len > 0 && self.tokens.len() == self.len {
            let tokens = std::mem::take(&mut self.tokens);
            let runs = std::mem::take(&mut self.runs);
            self.model.0.cache.remember(tokens, runs);
        }
    }
}
