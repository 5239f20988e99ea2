// SPDX-License-Identifier: Apache-2.0
//! Feed-forward sublayers of several experts. A row is computed only by the experts that it takes.
//!
//! The rows of a pass are sorted by expert, so that an expert's weights are read once for all rows
//! that take it. A row's sum runs from its likeliest expert to the last, in every pass.

use std::{
    ops::Range,
    sync::{PoisonError, RwLock},
};

use super::{panel_tasks, ActivationBuffers, Run, Shared, MAX_ROWS};
use crate::{
    config::{Config, Experts},
    kernels::{Buffer, Matrix, Output, LANES},
    model::weights::Routed,
    pool::Crew,
    Result,
};

/// llama.cpp's least sum of shares to divide by.
const LEAST_SUM: f64 = 6.103_515_625e-5;

/// The experts that a row takes by the router's logits, the likeliest first, with their shares.
pub(crate) fn choose(logits: &[f32], experts: &Experts) -> Vec<(usize, f32)> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mass = |logit: f32| f64::from(logit - largest).exp();
    let total: f64 = logits.iter().copied().map(mass).sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(experts.used);
    let shares: Vec<f64> = order.iter().map(|&i| mass(logits[i]) / total).collect();
    let sum = if experts.normed {
        shares.iter().sum::<f64>().max(LEAST_SUM)
    } else {
        1.0
    };
    let scale = f64::from(experts.scale);
    order
        .into_iter()
        .zip(shares.into_iter().map(|share| (share / sum * scale) as f32))
        .collect()
}

/// The rows of each expert. A slot is a row at an expert; an expert's slots lie together.
#[derive(Default)]
struct Plan {
    /// The row of each slot, and its share.
    slots: Vec<(usize, f32)>,
    /// Experts that some row takes, with their slots.
    experts: Vec<(usize, Range<usize>)>,
    /// The slots of each row, its likeliest expert's first.
    of_row: Vec<usize>,
}

impl Plan {
    fn new(logits: &[f32], experts: &Experts) -> Self {
        let mut taken = Vec::new();
        for (row, logits) in logits.chunks_exact(experts.count).enumerate() {
            let chosen = choose(logits, experts).into_iter().enumerate();
            taken.extend(chosen.map(|(rank, (expert, share))| (expert, row, rank, share)));
        }
        taken.sort_unstable_by_key(|&(expert, row, ..)| (expert, row));
        let mut plan = Self {
            of_row: vec![0; taken.len()],
            ..Self::default()
        };
        for (slot, (expert, row, rank, share)) in taken.into_iter().enumerate() {
            plan.slots.push((row, share));
            plan.of_row[row * experts.used + rank] = slot;
            match plan.experts.last_mut() {
                Some((last, slots)) if *last == expert => slots.end = slot + 1,
                _ => plan.experts.push((expert, slot..slot + 1)),
            }
        }
        plan
    }
}

/// The buffers that a pass through experts writes.
pub(super) struct ExpertBuffers {
    experts: Experts,
    /// The router's logits.
    logits: Buffer<f32>,
    /// The logit of the shared expert's gate for each row.
    shared: Buffer<f32>,
    plan: RwLock<Plan>,
    /// One row a slot.
    inputs: ActivationBuffers,
    gated: ActivationBuffers,
    outputs: Buffer<f32>,
}

impl ExpertBuffers {
    pub fn new(config: &Config, experts: Experts, rests: bool) -> Result<Self> {
        let slots = MAX_ROWS * experts.used;
        Ok(Self {
            experts,
            logits: Buffer::zeroed(MAX_ROWS * experts.count)?,
            shared: Buffer::zeroed(MAX_ROWS)?,
            plan: RwLock::default(),
            inputs: ActivationBuffers::new(slots, config.width, rests)?,
            gated: ActivationBuffers::new(slots, experts.feed_forward, rests)?,
            outputs: Buffer::zeroed(slots * config.width)?,
        })
    }
}

impl Run<'_> {
    /// Adds the experts' output for the normed stream to the residual stream.
    pub(super) unsafe fn add_experts(&self, crew: &Crew<'_>, routed: &Routed) {
        let Some(buffers) = &self.workspace.experts else {
            return;
        };
        let experts = &buffers.experts;
        self.product_of_normed(crew, &routed.router, &buffers.logits);
        crew.tasks(1, |_| {
            let logits = &buffers.logits[..self.rows * experts.count];
            let plan = Plan::new(logits, experts);
            *buffers.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
        });
        let plan = buffers.plan.read().unwrap_or_else(PoisonError::into_inner);
        self.compute_slots(crew, routed, buffers, &plan);

        let (kernels, width) = (self.pass.kernels, self.pass.config.width);
        let hidden = Shared::of(&self.workspace.hidden);
        let outputs = Shared::of(&buffers.outputs);
        self.row_tasks(crew, |row| {
            let slots = &plan.of_row[row * experts.used..][..experts.used];
            let sum = outputs.at(slots[0] * width);
            for (i, &slot) in slots.iter().enumerate() {
                let output = outputs.at(slot * width);
                (kernels.scale)(output, plan.slots[slot].1, width);
                if i > 0 {
                    (kernels.add)(sum, output, width);
                }
            }
            (kernels.add)(hidden.at(row * width), sum, width);
        });
        self.add_shared(crew, routed, buffers);
    }

    /// The outputs of all slots.
    unsafe fn compute_slots(
        &self,
        crew: &Crew<'_>,
        routed: &Routed,
        buffers: &ExpertBuffers,
        plan: &Plan,
    ) {
        let (kernels, width) = (self.pass.kernels, self.pass.config.width);
        let normed = self.workspace.normed.view();
        let (inputs, gated) = (buffers.inputs.view(), buffers.gated.view());
        crew.tasks(plan.slots.len(), |slot| {
            normed.copy_row(plan.slots[slot].0, inputs, slot);
        });
        let groups = gated.columns / super::GROUP;
        crew.tasks(plan.experts.len() * groups, |i| {
            let (expert, slots) = &plan.experts[i / groups];
            let (x, out) = (inputs.row(slots.start), gated.row(slots.start));
            let matrices = &routed.experts[*expert];
            self.gate_group(crew, matrices, None, i % groups, slots.len(), x, out);
        });
        let outputs = Shared::of(&buffers.outputs);
        let panels = width.div_ceil(LANES);
        crew.tasks(plan.experts.len() * panels, |i| {
            let (expert, slots) = &plan.experts[i / panels];
            let panel = i % panels;
            let out = Output {
                data: outputs.at(slots.start * width + panel * LANES),
                stride: width,
                add: false,
            };
            let x = gated.row(slots.start);
            (kernels.product)(&routed.experts[*expert].down, panel, x, slots.len(), out);
        });
    }

    /// Adds the output of the expert that all rows take.
    unsafe fn add_shared(&self, crew: &Crew<'_>, routed: &Routed, buffers: &ExpertBuffers) {
        let Some((gate, matrices)) = &routed.shared else {
            return;
        };
        let (kernels, width) = (self.pass.kernels, self.pass.config.width);
        self.product_of_normed(crew, gate, &buffers.shared);
        self.gate(crew, matrices, None);
        let sublayer = Shared::of(&self.workspace.sublayer);
        let gated = self.workspace.gated.view();
        panel_tasks(crew, matrices.down.panels(), self.rows, |panel| {
            let out = Output {
                data: sublayer.at(panel * LANES),
                stride: width,
                add: false,
            };
            (kernels.product)(&matrices.down, panel, gated, self.rows, out);
        });
        let hidden = Shared::of(&self.workspace.hidden);
        self.row_tasks(crew, |row| {
            let share = 1.0 / (1.0 + f64::from(-buffers.shared[row]).exp());
            let output = sublayer.at(row * width);
            (kernels.scale)(output, share as f32, width);
            (kernels.add)(hidden.at(row * width), output, width);
        });
    }

    /// `matrix` · the normed stream: rows × the matrix's rows.
    unsafe fn product_of_normed(&self, crew: &Crew<'_>, matrix: &Matrix, out: &Buffer<f32>) {
        let normed = self.workspace.normed.view();
        let out = Shared::of(out);
        panel_tasks(crew, matrix.panels(), self.rows, |panel| {
            let out = Output {
                data: out.at(panel * LANES),
                stride: matrix.rows,
                add: false,
            };
            (self.pass.kernels.product)(matrix, panel, normed, self.rows, out);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPERTS: Experts = Experts {
        count: 4,
        used: 2,
        feed_forward: 32,
        normed: true,
        scale: 1.0,
        shared: false,
    };

    #[test]
    fn the_likeliest_experts_are_taken_with_shares_that_add_up() {
        let chosen = choose(&[0.0, 2.0, -1.0, 2.0], &EXPERTS);
        assert_eq!(chosen, [(1, 0.5), (3, 0.5)]);
        let plain = Experts {
            normed: false,
            ..EXPERTS
        };
        let total: f32 = choose(&[1.0; 4], &plain)
            .iter()
            .map(|(_, share)| share)
            .sum();
        assert_eq!(total, 0.5);
        let scaled = Experts {
            scale: 3.0,
            ..EXPERTS
        };
        assert_eq!(choose(&[9.0, 0.0, 9.0, 0.0], &scaled), [(0, 1.5), (2, 1.5)]);
    }

    #[test]
    fn slots_of_an_expert_lie_together_and_each_row_finds_its_own() {
        let logits = [[3.0, 0.0, 0.0, 2.0], [0.0, 0.0, 5.0, 4.0]].concat();
        let plan = Plan::new(&logits, &EXPERTS);
        let rows: Vec<_> = plan.slots.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [0, 1, 0, 1]);
        assert_eq!(plan.experts, [(0, 0..1), (2, 1..2), (3, 2..4)]);
        assert_eq!(plan.of_row, [0, 2, 1, 3]);
    }
}
