// SPDX-License-Identifier: Apache-2.0
//! Models, and the sequences that they compute.

pub(crate) mod adapted;
mod forward;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod weights;

use std::{
    fmt,
    ops::Range,
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard},
};

pub(crate) use self::forward::choose;
use self::{
    adapted::Adapted,
    forward::{Head, Pass, Segment, Workspace, MAX_ROWS},
    weights::{Ends, Packed, Weights},
};
use crate::{
    adapter::Adapter,
    cache::{Cache, Geometry, Pages},
    config::Config,
    gguf::Gguf,
    kernels::{InstructionSet, Kernels, PAGE},
    pool::Pool,
    Error, Result,
};

/// Options for loading a model.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Layers [a, b) to load; `None`: all. May be empty if `ends` are loaded.
    pub layers: Option<Range<usize>>,
    /// True to load embedding, final norm and head.
    pub ends: bool,
    /// Threads of a pass, the caller's included; 0: one for each core.
    pub threads: usize,
    /// Bytes that the key-value caches of all sessions may take together.
    pub cache_bytes: usize,
    /// Instruction set of the kernels; `None`: the best that the CPU has.
    pub instruction_set: Option<InstructionSet>,
    /// Bits of the activations that quantised weights are multiplied with.
    pub activation_bits: ActivationBits,
    /// The adapter of all sequences; see [`Model::with_adapter`].
    pub adapter: Option<Arc<Adapter>>,
}

/// Bits of the activations that quantised weights are multiplied with, in groups of 32.
///
/// llama.cpp takes eight. Models with outlying activations, as SmolLM2, then choose another first
/// token at some positions than the same weights do in floats; with sixteen they hardly ever do.
/// Decoding waits for memory and is as fast with either; prefill with eight is faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationBits {
    /// As llama.cpp.
    Eight,
    /// Two bytes.
    #[default]
    Sixteen,
}

impl fmt::Display for ActivationBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eight => "8",
            Self::Sixteen => "16",
        })
    }
}

impl FromStr for ActivationBits {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s {
            "8" => Ok(Self::Eight),
            "16" => Ok(Self::Sixteen),
            _ => Err(Error::Unsupported(format!(
                "activations of {s} bits (known: 8, 16)"
            ))),
        }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            layers: None,
            ends: true,
            threads: 0,
            cache_bytes: 192 << 20,
            instruction_set: None,
            activation_bits: ActivationBits::default(),
            adapter: None,
        }
    }
}

/// Rows of hidden state, as they pass between layers, before the final norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    width: usize,
    data: Vec<f32>,
}

impl Hidden {
    /// From row-major `rows × width` floats.
    pub fn new(width: usize, data: Vec<f32>) -> Result<Self> {
        if width == 0 || !data.len().is_multiple_of(width) {
            return Err(Error::Shape(format!(
                "{} floats are no rows of {width}",
                data.len()
            )));
        }
        Ok(Self { width, data })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.len() / self.width
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All rows, row-major.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// All rows, row-major.
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }

    /// One row.
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.data.chunks_exact(self.width).nth(row)
    }

    pub(crate) fn checked_row(&self, row: usize) -> Result<&[f32]> {
        self.row(row).ok_or_else(|| {
            Error::Shape(format!(
                "row {row} of a hidden state of {} rows",
                self.rows()
            ))
        })
    }

    pub(crate) fn check_width(&self, config: &Config) -> Result<()> {
        if self.width != config.width {
            return Err(Error::Shape(format!(
                "hidden state of width {} for a model of width {}",
                self.width, config.width
            )));
        }
        Ok(())
    }

    /// A copy of the last row; empty if there is none.
    pub fn last(&self) -> Self {
        let start = self.data.len().saturating_sub(self.width);
        Self {
            width: self.width,
            data: self.data[start..].to_vec(),
        }
    }
}

/// The input that extends a sequence.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Tokens, embedded by the model; for a span that starts at layer 0.
    Tokens(&'a [u32]),
    /// Hidden state from the span before.
    Hidden(&'a Hidden),
}

impl Input<'_> {
    /// New positions.
    pub fn rows(&self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.len(),
            Self::Hidden(hidden) => hidden.rows(),
        }
    }

    /// Fails if a sequence of `len` positions cannot be extended by this: it is empty, does not fit
    /// into the context, or holds tokens or hidden state of another model.
    pub fn check(&self, config: &Config, len: usize) -> Result<()> {
        if self.rows() == 0 {
            return Err(Error::EmptyInput);
        }
        let needed = len.saturating_add(self.rows());
        if needed > config.context {
            return Err(Error::ContextFull {
                context: config.context,
                needed,
            });
        }
        match self {
            Self::Tokens(tokens) => config.check_tokens(tokens),
            Self::Hidden(hidden) => {
                hidden.check_width(config)?;
                if !hidden.data.iter().all(|x| x.is_finite()) {
                    return Err(Error::Shape(
                        "the hidden state holds a value that is not finite".into(),
                    ));
                }
                Ok(())
            },
        }
    }
}

/// One sequence's part in a pass.
#[derive(Debug)]
pub struct Step<'a, S = Session> {
    /// The sequence, of the model that runs the pass.
    pub session: &'a mut S,
    /// Its new input.
    pub input: Input<'a>,
}

/// A loaded model, or a span of its layers.
///
/// Clones share everything. Passes of one model run one at a time, on its threads; a call from
/// another thread waits. Results are the same, bit for bit, for any number of threads, any cut of a
/// sequence into calls, any other content of a pass, and any cut of the layers into spans.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
    /// The adapter of the sequences.
    adapter: Option<Arc<Adapted>>,
}

struct Inner {
    config: Config,
    layers: Range<usize>,
    weights: Weights,
    kernels: &'static Kernels,
    instruction_set: InstructionSet,
    threads: usize,
    cache: Cache,
    engine: Mutex<Engine>,
}

struct Engine {
    pool: Pool,
    workspace: Workspace,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("config", &self.inner.config)
            .field("layers", &self.inner.layers)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Opens the GGUF file at `path` and loads it. The file is not used afterwards.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self> {
        Self::load_from(&Gguf::open(path)?, options)
    }

    /// Loads from an opened file.
    pub fn load_from(gguf: &Gguf, options: &LoadOptions) -> Result<Self> {
        let config = Config::from_gguf(gguf)?;
        let layers = options.layers.clone().unwrap_or(0..config.layers);
        config.check_span(&layers, options.ends)?;
        let instruction_set = options.instruction_set.unwrap_or_else(InstructionSet::best);
        let kernels = instruction_set.kernels()?;
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let weights = Weights::load(
            gguf,
            &config,
            layers.clone(),
            options.ends,
            Packed::new(&config)?,
        )?;
        let workspace = Workspace::new(&config, threads, options.activation_bits)?;
        let geometry = Geometry {
            layers: layers.len(),
            kv_heads: config.kv_heads,
            head_width: config.head_width,
        };
        let inner = Inner {
            cache: Cache::new(geometry, options.cache_bytes),
            engine: Mutex::new(Engine {
                pool: Pool::new(threads)?,
                workspace,
            }),
            config,
            layers,
            weights,
            kernels,
            instruction_set,
            threads,
        };
        let model = Self {
            inner: Arc::new(inner),
            adapter: None,
        };
        match &options.adapter {
            Some(adapter) => model.with_adapter(adapter),
            None => Ok(model),
        }
    }

    /// This model with an adapter for its new sequences, in the place of one that it has. Weights,
    /// cache and threads are shared, and sequences with different adapters share passes.
    ///
    /// Only the pairs of the loaded layers are kept.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a pair of the adapter does not fit the model, or is not finite
    /// once it is scaled; [`Error::Resources`] if there is no memory for it.
    pub fn with_adapter(&self, adapter: &Adapter) -> Result<Self> {
        let prefixes = self.inner.cache.prefixes();
        let adapted = Adapted::new(adapter, self.config(), self.layers(), prefixes)?;
        Ok(Self {
            inner: self.inner.clone(),
            adapter: Some(Arc::new(adapted)),
        })
    }

    fn prefixes(&self) -> u64 {
        let adapter = self.adapter.as_ref();
        adapter.map_or(0, |adapter| adapter.prefixes)
    }

    /// Dimensions and variants.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The loaded layers.
    pub fn layers(&self) -> Range<usize> {
        self.inner.layers.clone()
    }

    /// Threads of a pass.
    pub fn threads(&self) -> usize {
        self.inner.threads
    }

    /// Instruction set of the kernels.
    pub fn instruction_set(&self) -> InstructionSet {
        self.inner.instruction_set
    }

    /// Positions that the key-value caches of all sessions may hold together.
    pub fn cache_positions(&self) -> usize {
        self.inner.cache.positions()
    }

    /// Positions that key-value caches take now, remembered prefixes included.
    pub fn cache_positions_used(&self) -> usize {
        self.inner.cache.positions_used()
    }

    /// Bytes that key-value caches use now, remembered prefixes included.
    pub fn cache_used(&self) -> usize {
        self.inner.cache.used()
    }

    /// An empty sequence.
    pub fn session(&self) -> Session {
        Session {
            model: self.clone(),
            pages: Pages::default(),
            tokens: Vec::new(),
            len: 0,
        }
    }

    /// A sequence that starts with the longest prefix of `tokens`, short of the last token, that an
    /// earlier session computed and that is still cached. Sessions are remembered in steps of 32
    /// tokens.
    ///
    /// Extend it by `tokens[session.len()..]`.
    pub fn session_with_prefix(&self, tokens: &[u32]) -> Session {
        let most = tokens.len().saturating_sub(1);
        let (pages, len) = Pages::recall(&self.inner.cache, self.prefixes(), &tokens[..most]);
        Session {
            model: self.clone(),
            pages,
            tokens: tokens[..len].to_vec(),
            len,
        }
    }

    /// Hidden state of tokens before layer 0: tokens × width.
    pub fn embed(&self, tokens: &[u32]) -> Result<Hidden> {
        let width = self.inner.config.width;
        let ends = self.ends("embedding")?;
        self.inner.config.check_tokens(tokens)?;
        let mut data = vec![0f32; tokens.len() * width];
        for (&token, row) in tokens.iter().zip(data.chunks_exact_mut(width)) {
            ends.embedding
                .row(token as usize, self.inner.config.embedding_scale, row);
        }
        Ok(Hidden { width, data })
    }

    /// Extends several sequences in one pass and returns the hidden state of the new positions of
    /// each, after the last loaded layer.
    ///
    /// On an error no sequence has changed.
    pub fn forward(&self, batch: &mut [Step<'_>]) -> Result<Vec<Hidden>> {
        self.forward_layers(self.layers(), batch)
    }

    /// As [`Model::forward`], through `layers` alone, which must be loaded. All calls for a
    /// sequence must name the same layers.
    pub fn forward_layers(
        &self,
        layers: Range<usize>,
        batch: &mut [Step<'_>],
    ) -> Result<Vec<Hidden>> {
        if layers.start < self.inner.layers.start
            || layers.end > self.inner.layers.end
            || layers.start > layers.end
        {
            return Err(Error::Shape(format!(
                "layers {}..{} of loaded {}..{}",
                layers.start, layers.end, self.inner.layers.start, self.inner.layers.end
            )));
        }
        let inputs = batch
            .iter()
            .map(|step| self.checked(layers.start, step))
            .collect::<Result<Vec<_>>>()?;
        for (step, input) in batch.iter_mut().zip(&inputs) {
            let session = &mut step.session;
            session
                .pages
                .reserve(&self.inner.cache, session.len, session.len + input.rows())?;
        }
        let outputs = self.run(layers, batch, inputs)?;
        for (step, output) in batch.iter_mut().zip(&outputs) {
            step.session.grow(step.input, output.rows());
        }
        Ok(outputs)
    }

    /// The hidden state that a step starts from, if the step is sound.
    fn checked(&self, first_layer: usize, step: &Step<'_>) -> Result<Hidden> {
        let config = &self.inner.config;
        if !Arc::ptr_eq(&self.inner, &step.session.model.inner) {
            return Err(Error::Shape("the session belongs to another model".into()));
        }
        step.input.check(config, step.session.len)?;
        match step.input {
            Input::Tokens(_) if first_layer != 0 => Err(self.not_in_span("first layer")),
            Input::Tokens(tokens) => self.embed(tokens),
            Input::Hidden(hidden) => Ok(hidden.clone()),
        }
    }

    /// Runs reserved sequences through the layers, `MAX_ROWS` rows at a time.
    fn run(
        &self,
        layers: Range<usize>,
        batch: &[Step<'_>],
        mut states: Vec<Hidden>,
    ) -> Result<Vec<Hidden>> {
        let width = self.inner.config.width;
        let mut guard = self.engine()?;
        let Engine { pool, workspace } = &mut *guard;
        let pass = Pass {
            config: &self.inner.config,
            weights: &self.inner.weights,
            kernels: self.inner.kernels,
            first_layer: self.inner.layers.start,
            layers: layers.start - self.inner.layers.start..layers.end - self.inner.layers.start,
            geometry: self.inner.cache.geometry(),
        };
        let rows: Vec<usize> = states.iter().map(Hidden::rows).collect();
        for members in passes(&rows, MAX_ROWS) {
            let mut segments = Vec::new();
            let mut places = Vec::new();
            let mut used = 0;
            for (i, rows) in &members {
                let session = &batch[*i].session;
                let place = used..used + rows.len();
                workspace.hidden()[place.start * width..place.end * width]
                    .copy_from_slice(&states[*i].data[rows.start * width..rows.end * width]);
                used = place.end;
                segments.push(Segment {
                    pages: session.pages.pointers(),
                    start: session.len + rows.start,
                    rows: place.clone(),
                    adapter: session.model.adapter.as_deref(),
                });
                places.push(place);
            }
            pass.run(pool, workspace, &segments)?;
            for ((i, rows), place) in members.into_iter().zip(places) {
                states[i].data[rows.start * width..rows.end * width]
                    .copy_from_slice(&workspace.hidden()[place.start * width..place.end * width]);
            }
        }
        Ok(states)
    }

    /// Every row behind the final norm, as the head takes it.
    pub fn normed(&self, hidden: &Hidden) -> Result<Hidden> {
        let mut data = vec![0f32; hidden.data.len()];
        let mut out = data.chunks_mut(MAX_ROWS * hidden.width);
        self.head(hidden, |head, _, workspace, _, _| {
            if let Some(out) = out.next() {
                head.normed(workspace, out);
            }
            Ok(())
        })?;
        Ok(Hidden {
            width: hidden.width,
            data,
        })
    }

    /// Logits of every row: rows × vocabulary, row-major.
    pub fn logits(&self, hidden: &Hidden) -> Result<Vec<f32>> {
        let vocab = self.inner.config.vocab;
        let mut logits = vec![0f32; hidden.rows() * vocab];
        let mut out = logits.chunks_mut(MAX_ROWS * vocab);
        self.head(hidden, |head, pool, workspace, _, _| {
            out.next()
                .map_or(Ok(()), |out| head.logits(pool, workspace, out))
        })?;
        Ok(logits)
    }

    /// Logits of `tokens` alone, for one row; costs no more of the head than these.
    pub fn logits_of(&self, hidden: &Hidden, row: usize, tokens: &[u32]) -> Result<Vec<f32>> {
        self.inner.config.check_tokens(tokens)?;
        let row = hidden.checked_row(row)?;
        let row = Hidden {
            width: hidden.width,
            data: row.to_vec(),
        };
        let mut logits = Vec::new();
        self.head(&row, |head, _, workspace, _, _| {
            logits = head.logits_of(workspace, tokens);
            Ok(())
        })?;
        Ok(logits)
    }

    /// ln p(token | row) for every (row, token), without keeping a logit.
    pub fn logprobs(&self, hidden: &Hidden, targets: &[(usize, u32)]) -> Result<Vec<f32>> {
        for (row, _) in targets {
            hidden.checked_row(*row)?;
        }
        self.inner
            .config
            .check_tokens(&targets.iter().map(|t| t.1).collect::<Vec<_>>())?;
        // Only the rows of some target go through the head.
        let mut rows: Vec<usize> = targets.iter().map(|t| t.0).collect();
        rows.sort_unstable();
        rows.dedup();
        let needed = rows
            .iter()
            .filter_map(|&row| hidden.row(row))
            .flatten()
            .copied()
            .collect();
        let needed = Hidden {
            width: hidden.width,
            data: needed,
        };
        let mut logprobs = vec![0f32; targets.len()];
        self.head(&needed, |head, pool, workspace, first, count| {
            let (indices, local): (Vec<usize>, Vec<(usize, u32)>) = targets
                .iter()
                .enumerate()
                .filter_map(|(i, (row, token))| {
                    let row = rows.binary_search(row).ok()?.checked_sub(first)?;
                    (row < count).then_some((i, (row, *token)))
                })
                .unzip();
            let (totals, logits) = head.statistics(pool, workspace, count, &local)?;
            for ((i, (row, _)), logit) in indices.into_iter().zip(local).zip(logits) {
                logprobs[i] = (logit as f64 - totals[row]) as f32;
            }
            Ok(())
        })?;
        Ok(logprobs)
    }

    /// Calls `f` with the head for up to `MAX_ROWS` rows at a time, which are in the workspace. The
    /// last arguments are the first row and the number of rows.
    fn head(
        &self,
        hidden: &Hidden,
        mut f: impl FnMut(&Head<'_>, &mut Pool, &Workspace, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let config = &self.inner.config;
        let ends = self.ends("head")?;
        hidden.check_width(config)?;
        let head = Head {
            kernels: self.inner.kernels,
            epsilon: config.norm_epsilon,
            norm: &ends.norm,
            matrix: ends.head(),
            cap: config.logit_cap,
        };
        let mut guard = self.engine()?;
        let Engine { pool, workspace } = &mut *guard;
        for (i, rows) in hidden.data.chunks(MAX_ROWS * config.width).enumerate() {
            workspace.hidden()[..rows.len()].copy_from_slice(rows);
            f(
                &head,
                pool,
                workspace,
                i * MAX_ROWS,
                rows.len() / config.width,
            )?;
        }
        Ok(())
    }

    fn engine(&self) -> Result<MutexGuard<'_, Engine>> {
        self.inner.engine.lock().map_err(|_| Error::Poisoned)
    }

    fn ends(&self, part: &'static str) -> Result<&Ends> {
        self.inner
            .weights
            .ends
            .as_ref()
            .ok_or_else(|| self.not_in_span(part))
    }

    fn not_in_span(&self, part: &'static str) -> Error {
        Error::NotInSpan {
            start: self.inner.layers.start,
            end: self.inner.layers.end,
            part,
        }
    }
}

/// Cuts the rows of several sequences into passes of `most` rows, the last one of fewer: for each
/// pass (sequence, rows of its input).
pub(crate) fn passes(rows: &[usize], most: usize) -> Vec<Vec<(usize, Range<usize>)>> {
    let mut passes: Vec<Vec<(usize, Range<usize>)>> = Vec::new();
    let mut room = 0;
    for (i, &rows) in rows.iter().enumerate() {
        let mut done = 0;
        while done < rows {
            if room == 0 {
                passes.push(Vec::new());
                room = most;
            }
            let taken = room.min(rows - done);
            if let Some(pass) = passes.last_mut() {
                pass.push((i, done..done + taken));
            }
            done += taken;
            room -= taken;
        }
    }
    passes
}

/// A sequence and its key-value cache.
pub struct Session {
    model: Model,
    pages: Pages,
    /// The sequence, for as long as it was extended by tokens only.
    tokens: Vec<u32>,
    len: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The model that computes it.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Positions computed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if nothing is computed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tokens of the sequence; shorter than [`Session::len`] if hidden state was put in.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Computes `tokens` and returns their hidden state, tokens × width.
    pub fn extend(&mut self, tokens: &[u32]) -> Result<Hidden> {
        self.step(Input::Tokens(tokens))
    }

    /// Runs hidden state from the span before through this span.
    pub fn extend_hidden(&mut self, hidden: &Hidden) -> Result<Hidden> {
        self.step(Input::Hidden(hidden))
    }

    fn step(&mut self, input: Input<'_>) -> Result<Hidden> {
        let model = self.model.clone();
        let mut outputs = model.forward(&mut [Step {
            session: self,
            input,
        }])?;
        outputs.pop().ok_or(Error::EmptyInput)
    }

    /// A second sequence that starts with this one. Full pages are shared. At most 32 positions of
    /// the cache are copied, when one of the two goes on.
    pub fn fork(&self) -> Self {
        Self {
            model: self.model.clone(),
            pages: self.pages.clone(),
            tokens: self.tokens.clone(),
            len: self.len,
        }
    }

    /// Forgets all but the first `len` positions.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.tokens.truncate(len);
            self.pages.truncate(len);
        }
    }

    fn grow(&mut self, input: Input<'_>, rows: usize) {
        let pages_before = self.len / PAGE;
        if let (Input::Tokens(tokens), true) = (input, self.tokens.len() == self.len) {
            self.tokens.extend_from_slice(tokens);
        }
        self.len += rows;
        if self.tokens.len() == self.len && self.len / PAGE > pages_before {
            let (cache, prefixes) = (&self.model.inner.cache, self.model.prefixes());
            self.pages.remember(cache, prefixes, &self.tokens);
        }
    }
}
