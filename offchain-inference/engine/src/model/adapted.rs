// SPDX-License-Identifier: Apache-2.0
//! An adapter in the kernels' format.

use std::ops::Range;

use crate::{
    adapter::{Adapter, Pair, Target},
    config::Config,
    kernels::{Buffer, Matrix},
    Error, Result,
};

/// The product that an adapter adds to that of one matrix: `b (a x)`.
pub(crate) struct Update {
    /// rank × columns of the matrix, row-major.
    pub a: Buffer<f32>,
    pub rank: usize,
    /// rank → rows of the matrix; holds the adapter's scale.
    pub b: Matrix,
}

impl Update {
    /// Of the rows `rows` of the pair's matrix.
    fn new(pair: &Pair, scale: f32, rows: Range<usize>) -> Result<Self> {
        let rank = pair.rank();
        let b: Vec<f32> = pair
            .b()
            .chunks_exact(rank)
            .skip(rows.start)
            .take(rows.len())
            .flatten()
            .map(|value| scale * value)
            .collect();
        if !b.iter().all(|value| value.is_finite()) {
            return Err(Error::Unsupported(
                "an adapter whose B is not finite once it is scaled".into(),
            ));
        }
        let mut a = Buffer::zeroed(pair.a().len())?;
        a.copy_from_slice(pair.a());
        Ok(Self {
            a,
            rank,
            b: Matrix::of_floats(rows.len(), rank, &b)?,
        })
    }
}

/// The updates of one layer.
#[derive(Default)]
pub(crate) struct Updates {
    pub query: Option<Update>,
    pub key: Option<Update>,
    pub value: Option<Update>,
    pub output: Option<Update>,
    pub gate: Option<Update>,
    pub up: Option<Update>,
    pub down: Option<Update>,
}

impl Updates {
    fn add(&mut self, config: &Config, target: Target, pair: &Pair, scale: f32) -> Result<()> {
        let update = |rows| Update::new(pair, scale, rows).map(Some);
        let all = 0..pair.outputs();
        match target {
            Target::Query => self.query = update(all)?,
            Target::Key => self.key = update(all)?,
            Target::Value => self.value = update(all)?,
            Target::QueryKeyValue => {
                let (query, kv) = (config.query_width(), config.kv_width());
                self.query = update(0..query)?;
                self.key = update(query..query + kv)?;
                self.value = update(query + kv..query + 2 * kv)?;
            },
            Target::Output => self.output = update(all)?,
            Target::Gate => self.gate = update(all)?,
            Target::Up => self.up = update(all)?,
            Target::GateUp => {
                let rows = config.feed_forward;
                self.gate = update(0..rows)?;
                self.up = update(rows..2 * rows)?;
            },
            Target::Down => self.down = update(all)?,
        }
        Ok(())
    }
}

/// An adapter for the loaded layers of a model.
pub(crate) struct Adapted {
    /// One a loaded layer.
    pub layers: Vec<Updates>,
    /// The largest rank.
    pub rank: usize,
    /// Under which the cache keeps the prefixes that this adapter computed.
    pub prefixes: u64,
}

impl Adapted {
    /// Takes the pairs of `layers`, once all pairs are known to fit the model.
    pub fn new(
        adapter: &Adapter,
        config: &Config,
        layers: Range<usize>,
        prefixes: u64,
    ) -> Result<Self> {
        adapter
            .check(config)
            .map_err(|reason| Error::Unsupported(format!("adapter: {reason}")))?;
        let mut loaded: Vec<Updates> = layers.clone().map(|_| Updates::default()).collect();
        for (layer, target, pair) in adapter.pairs() {
            let place = layer.checked_sub(layers.start);
            if let Some(updates) = place.and_then(|place| loaded.get_mut(place)) {
                updates.add(config, target, pair, adapter.scale(pair))?;
            }
        }
        Ok(Self {
            layers: loaded,
            rank: adapter.rank(),
            prefixes,
        })
    }
}
