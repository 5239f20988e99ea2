// SPDX-License-Identifier: Apache-2.0
//! The key-value cache on a device: runs of positions, shared between sequences.
//!
//! A run is one tensor with the keys and values of all loaded layers, of a fixed number of
//! positions. A sequence writes into its last run while no other sequence shares it, and starts
//! another one if it is full or shared: a fork copies nothing. Sequences that end are remembered
//! under their tokens, for later ones that begin alike, until the room is needed.

use std::sync::{
    atomic::{AtomicUsize, Ordering},
    Arc, Mutex, MutexGuard, PoisonError,
};

use candle_core::{DType, Device, Tensor};

use crate::{config::Config, Error, Result};

/// Positions of a run are a multiple of this.
const STEP: usize = 32;

/// The most sequences that are remembered.
const REMEMBERED: usize = 16;

/// Hands out runs, up to a number of bytes.
struct Budget {
    capacity: usize,
    used: AtomicUsize,
}

/// Keys and values of consecutive positions.
struct Run {
    /// f32, (2 · layers · kv heads) × positions × head width: of each layer first the keys, then
    /// the values.
    data: Tensor,
    positions: usize,
    bytes: usize,
    budget: Arc<Budget>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A sequence that ended.
struct Remembered {
    tokens: Vec<u32>,
    runs: Runs,
}

/// The cache of one model.
pub(super) struct Cache {
    device: Device,
    layers: usize,
    kv_heads: usize,
    head_width: usize,
    budget: Arc<Budget>,
    /// The most recently used last.
    remembered: Mutex<Vec<Remembered>>,
}

impl Cache {
    pub fn new(device: Device, layers: usize, config: &Config, capacity: usize) -> Self {
        Self {
            device,
            layers,
            kv_heads: config.kv_heads,
            head_width: config.head_width,
            budget: Arc::new(Budget {
                capacity,
                used: AtomicUsize::new(0),
            }),
            remembered: Mutex::default(),
        }
    }

    /// Bytes that sessions and remembered sequences use.
    pub fn used(&self) -> usize {
        self.budget.used.load(Ordering::Relaxed)
    }

    fn remembered(&self) -> MutexGuard<'_, Vec<Remembered>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys or values of layer `layer` in a run: kv heads × positions × head width.
    fn part(&self, run: &Run, layer: usize, values: bool) -> Result<Tensor> {
        let first = (2 * layer + usize::from(values)) * self.kv_heads;
        Ok(run.data.narrow(0, first, self.kv_heads)?)
    }

    /// A run of at least `positions`. Forgets remembered sequences, the least recently used first,
    /// until there is room.
    fn allocate(&self, positions: usize) -> Result<Run> {
        let positions = positions.next_multiple_of(STEP);
        let rows = 2 * self.layers * self.kv_heads;
        let bytes = rows * positions * self.head_width * DType::F32.size_in_bytes();
        loop {
            let taken =
                self.budget
                    .used
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                        used.checked_add(bytes)
                            .filter(|&used| used <= self.budget.capacity)
                    });
            let Err(used) = taken else { break };
            let mut remembered = self.remembered();
            if remembered.is_empty() {
                return Err(Error::CacheFull {
                    capacity: self.budget.capacity,
                    used,
                    needed: bytes,
                });
            }
            remembered.remove(0);
        }
        let shape = (rows, positions, self.head_width);
        match Tensor::zeros(shape, DType::F32, &self.device) {
            Ok(data) => Ok(Run {
                data,
                positions,
                bytes,
                budget: self.budget.clone(),
            }),
            Err(error) => {
                self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
                Err(error.into())
            },
        }
    }

    /// The longest beginning of `tokens` that is remembered, and its length.
    pub fn recall(&self, tokens: &[u32]) -> (Runs, usize) {
        let mut remembered = self.remembered();
        let common = |known: &[u32]| known.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let best = remembered
            .iter()
            .enumerate()
            .map(|(i, known)| (common(&known.tokens), i))
            .max();
        let Some((len @ 1.., i)) = best else {
            return (Runs::default(), 0);
        };
        let known = remembered.remove(i);
        let mut runs = known.runs.clone();
        runs.truncate(len);
        remembered.push(known);
        (runs, len)
    }

    /// Remembers a sequence that ended.
    pub fn remember(&self, tokens: Vec<u32>, runs: Runs) {
        let mut remembered = self.remembered();
        if remembered
            .iter()
            .any(|known| known.tokens.starts_with(&tokens))
        {
            return;
        }
        remembered.retain(|known| !tokens.starts_with(&known.tokens));
        if remembered.len() == REMEMBERED {
            remembered.remove(0);
        }
        remembered.push(Remembered { tokens, runs });
    }
}

/// The runs of one sequence in order, each with the number of its positions that are the
/// sequence's.
#[derive(Clone, Default)]
pub(super) struct Runs(Vec<(Arc<Run>, usize)>);

impl Runs {
    /// Makes room for `new` more positions in the last run.
    pub fn reserve(&mut self, cache: &Cache, new: usize) -> Result<()> {
        let own = self.0.last_mut().and_then(|(run, used)| {
            let run = Arc::get_mut(run)?;
            Some(run.positions - *used)
        });
        if own.is_none_or(|room| room < new) {
            // A sequence that grows token by token gets runs in proportion to its length, to keep
            // them few.
            let ahead = own.map_or(0, |_| self.len() / 4);
            let run = cache.allocate(new.max(ahead))?;
            self.0.push((Arc::new(run), 0));
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.0.iter().map(|(_, used)| used).sum()
    }

    /// Forgets all but the first `len` positions, and all reserved ones.
    pub fn truncate(&mut self, len: usize) {
        let mut left = len;
        self.0.retain_mut(|(_, used)| {
            *used = left.min(*used);
            left -= *used;
            *used > 0
        });
    }

    /// Writes the keys and values of one layer, each reserved positions × kv heads × head width.
    pub fn write(&self, cache: &Cache, layer: usize, keys: &Tensor, values: &Tensor) -> Result<()> {
        if let Some((run, used)) = self.0.last() {
            for (new, is_values) in [(keys, false), (values, true)] {
                let new = new.transpose(0, 1)?.contiguous()?;
                cache
                    .part(run, layer, is_values)?
                    .slice_set(&new, 1, *used)?;
            }
        }
        Ok(())
    }

    /// Keys and values of one layer from position `from` on, those of `new` reserved positions
    /// included: tensors of kv heads × positions × head width, in order.
    pub fn read(
        &self,
        cache: &Cache,
        layer: usize,
        from: usize,
        new: usize,
    ) -> Result<Vec<(Tensor, Tensor)>> {
        let mut visible = Vec::new();
        let mut start = 0;
        for (i, (run, used)) in self.0.iter().enumerate() {
            let reserved = if i + 1 == self.0.len() { new } else { 0 };
            let count = used + reserved;
            let skipped = from.saturating_sub(start).min(count);
            if skipped < count {
                let part = |values| -> Result<Tensor> {
                    let part = cache.part(run, layer, values)?;
                    Ok(part.narrow(1, skipped, count - skipped)?)
                };
                visible.push((part(false)?, part(true)?));
            }
            start += count;
        }
        Ok(visible)
    }

    /// Counts `new` reserved positions, once every layer has written them.
    pub fn grow(&mut self, new: usize) {
        if let Some((_, used)) = self.0.last_mut() {
            *used += new;
        }
    }
}
