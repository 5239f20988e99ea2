// SPDX-License-Identifier: Apache-2.0
//! Adapters in a pass: `y += B (A x)` after the product of a matrix, for the rows of the sequences
//! that have an adapter. All rows share the product of the matrix itself.

use std::ops::Range;

use super::{Run, Segment, Shared, MAX_ROWS};
use crate::{
    kernels::{Activations, Output},
    model::adapted::{Adapted, Update, Updates},
    pool::Crew,
};

/// Chooses one matrix of a layer.
pub(super) type Pick = fn(&Updates) -> Option<&Update>;

/// Queries, keys and values, in the order of their columns.
pub(super) const ATTENTION: [Pick; 3] = [
    |updates| updates.query.as_ref(),
    |updates| updates.key.as_ref(),
    |updates| updates.value.as_ref(),
];

/// Gate and up.
pub(super) const GATED: [Pick; 2] = [
    |updates| updates.gate.as_ref(),
    |updates| updates.up.as_ref(),
];

pub(super) const OUTPUT: [Pick; 1] = [|updates| updates.output.as_ref()];

pub(super) const DOWN: [Pick; 1] = [|updates| updates.down.as_ref()];

/// The most matrices that take the same input.
const SLOTS: usize = ATTENTION.len();

/// Rows of a task of products of A.
const NARROW_TASK: usize = 16;

/// The rows of a pass that have adapters.
pub(super) struct LowRank<'a> {
    /// Consecutive rows of one adapter.
    groups: Vec<(Range<usize>, &'a Adapted)>,
    /// The largest rank.
    rank: usize,
}

impl<'a> LowRank<'a> {
    pub fn of(segments: &[Segment<'a>]) -> Self {
        let mut groups: Vec<(Range<usize>, &Adapted)> = Vec::new();
        for segment in segments {
            let Some(adapter) = segment.adapter else {
                continue;
            };
            match groups.last_mut() {
                Some((rows, last))
                    if std::ptr::eq(*last, adapter) && rows.end == segment.rows.start =>
                {
                    rows.end = segment.rows.end;
                },
                _ => groups.push((segment.rows.clone(), adapter)),
            }
        }
        let ranks = groups.iter().map(|(_, adapter)| adapter.rank);
        Self {
            rank: ranks.max().unwrap_or(0),
            groups,
        }
    }

    /// Floats of all products of A of a layer's step.
    pub fn floats(&self) -> usize {
        SLOTS * self.slot()
    }

    /// Floats of the products of one A.
    fn slot(&self) -> usize {
        MAX_ROWS * self.rank
    }
}

impl Run<'_> {
    /// `A x` for the updates that `picks` chooses, each into a slot of its own.
    pub(super) unsafe fn narrow(
        &self,
        crew: &Crew<'_>,
        layer: usize,
        picks: &[Pick],
        x: Activations,
    ) {
        let groups = &self.low_rank.groups;
        if groups.is_empty() {
            return;
        }
        let pieces = self.rows.div_ceil(NARROW_TASK);
        crew.tasks(groups.len() * picks.len() * pieces, |i| {
            let (i, piece) = (i / pieces, i % pieces);
            let (group, slot) = (i / picks.len(), i % picks.len());
            let (rows, adapter) = &groups[group];
            let Some(update) = picks[slot](&adapter.layers[layer]) else {
                return;
            };
            let first = rows.start + piece * NARROW_TASK;
            for row in first..rows.end.min(first + NARROW_TASK) {
                let (x, out) = (x.row(row), self.narrowed(slot, update, row));
                for i in 0..update.rank {
                    let a = update.a.as_ptr().add(i * x.columns);
                    *out.add(i) = (self.pass.kernels.dot)(a, x.floats, x.columns);
                }
            }
        });
    }

    /// Adds `B (A x)` to panel `panel` of the matrix's product in `out`, whose row 0 is that of the
    /// pass.
    pub(super) unsafe fn widen(
        &self,
        layer: usize,
        pick: Pick,
        slot: usize,
        panel: usize,
        out: Output,
    ) {
        for (rows, adapter) in &self.low_rank.groups {
            let Some(update) = pick(&adapter.layers[layer]) else {
                continue;
            };
            let x = self.narrowed(slot, update, rows.start);
            let x = Activations::of_floats(update.rank, x);
            let out = Output {
                data: out.data.add(rows.start * out.stride),
                stride: out.stride,
                add: true,
            };
            (self.pass.kernels.product)(&update.b, panel, x, rows.len(), out);
        }
    }

    /// The product of a row and A.
    unsafe fn narrowed(&self, slot: usize, update: &Update, row: usize) -> *mut f32 {
        let narrow = Shared::of(&self.workspace.narrow);
        narrow.at(slot * self.low_rank.slot() + row * update.rank)
    }
}
