// SPDX-License-Identifier: Apache-2.0
//! One pass of rows of hidden state through the loaded layers.

mod experts;
mod low_rank;

use std::ops::Range;

pub(crate) use self::experts::choose;
use self::{
    experts::ExpertBuffers,
    low_rank::{LowRank, Pick, ATTENTION, DOWN, GATED, OUTPUT},
};
use super::{
    adapted::Adapted,
    weights::{FeedForward, Gated, Layer, Weights},
    ActivationBits,
};
use crate::{
    cache::Geometry,
    config::{Config, Rope},
    kernels::{Activations, Buffer, Kernels, Matrix, Output, Queries, GROUP, LANES, PAGE},
    pool::{Crew, Pool},
    Result,
};

/// The most rows of one pass; longer inputs take several.
pub(crate) const MAX_ROWS: usize = 256;

/// Query rows of an attention task: enough to use each loaded key several times, few enough that
/// their scores stay in the cache.
const ATTENTION_TASK: usize = 24;

/// Rows of an element-wise task.
const ROW_TASK: usize = 8;

/// Consecutive positions of one sequence in a pass.
pub(crate) struct Segment<'a> {
    pub pages: Vec<*mut u16>,
    /// Position of the first row.
    pub start: usize,
    /// Rows of the pass.
    pub rows: Range<usize>,
    /// The adapter of the sequence.
    pub adapter: Option<&'a Adapted>,
}

/// A pointer that threads share; phases keep them apart.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: see `Shared`; it points into buffers that outlive the pass.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn of(buffer: &Buffer<f32>) -> Self {
        Self(buffer.as_mut_ptr())
    }

    unsafe fn at(self, offset: usize) -> *mut f32 {
        self.0.add(offset)
    }
}

/// Buffers behind [`Activations`].
struct ActivationBuffers {
    columns: usize,
    floats: Buffer<f32>,
    quants: Buffer<i8>,
    scales: Buffer<f32>,
    offsets: Buffer<i32>,
    rests: Buffer<i8>,
    rest_offsets: Buffer<i32>,
    scaled_sums: Buffer<f32>,
}

impl ActivationBuffers {
    fn new(rows: usize, columns: usize, rests: bool) -> Result<Self> {
        let groups = rows * columns / GROUP;
        Ok(Self {
            columns,
            floats: Buffer::zeroed(rows * columns)?,
            quants: Buffer::zeroed(rows * columns)?,
            scales: Buffer::zeroed(groups)?,
            offsets: Buffer::zeroed(groups)?,
            rests: Buffer::zeroed(if rests { rows * columns } else { 0 })?,
            rest_offsets: Buffer::zeroed(groups)?,
            scaled_sums: Buffer::zeroed(groups)?,
        })
    }

    fn view(&self) -> Activations {
        Activations {
            columns: self.columns,
            floats: self.floats.as_mut_ptr(),
            quants: self.quants.as_mut_ptr(),
            scales: self.scales.as_mut_ptr(),
            offsets: self.offsets.as_mut_ptr(),
            rests: if self.rests.is_empty() {
                std::ptr::null_mut()
            } else {
                self.rests.as_mut_ptr()
            },
            rest_offsets: self.rest_offsets.as_mut_ptr(),
            scaled_sums: self.scaled_sums.as_mut_ptr(),
        }
    }
}

/// cos and sin of the rotary angles of each row.
struct Angles {
    cos: Buffer<f32>,
    sin: Buffer<f32>,
}

impl Angles {
    fn new(half: usize) -> Result<Self> {
        Ok(Self {
            cos: Buffer::zeroed(MAX_ROWS * half)?,
            sin: Buffer::zeroed(MAX_ROWS * half)?,
        })
    }

    fn fill(
        &mut self,
        rope: Rope,
        config: &Config,
        factors: Option<&[f32]>,
        segments: &[Segment<'_>],
    ) {
        let half = config.rope_width / 2;
        let frequencies = rope.frequencies(config.rope_width, factors);
        for segment in segments {
            for (i, row) in segment.rows.clone().enumerate() {
                let position = (segment.start + i) as f64;
                for (pair, frequency) in frequencies.iter().enumerate() {
                    let (sin, cos) = (position * frequency).sin_cos();
                    let magnitude = f64::from(rope.magnitude);
                    self.cos[row * half + pair] = (magnitude * cos) as f32;
                    self.sin[row * half + pair] = (magnitude * sin) as f32;
                }
            }
        }
    }
}

/// All memory that a pass writes, apart from the cache. Made once a model.
pub(crate) struct Workspace {
    /// The residual stream, `MAX_ROWS × width`.
    hidden: Buffer<f32>,
    /// Queries, keys and values of a row side by side.
    qkv: Buffer<f32>,
    /// A sublayer's output, if a norm comes before the residual stream.
    sublayer: Buffer<f32>,
    normed: ActivationBuffers,
    attended: ActivationBuffers,
    gated: ActivationBuffers,
    experts: Option<ExpertBuffers>,
    global: Angles,
    local: Angles,
    /// The products of A of an adapter; empty until there is one.
    narrow: Buffer<f32>,
    /// One buffer a thread, for the task at hand.
    scratch: Vec<Buffer<f32>>,
}

impl Workspace {
    pub fn new(config: &Config, threads: usize, bits: ActivationBits) -> Result<Self> {
        let rests = bits == ActivationBits::Sixteen;
        let half = config.rope_width / 2;
        Ok(Self {
            hidden: Buffer::zeroed(MAX_ROWS * config.width)?,
            qkv: Buffer::zeroed(MAX_ROWS * (config.query_width() + 2 * config.kv_width()))?,
            sublayer: Buffer::zeroed(MAX_ROWS * config.width)?,
            normed: ActivationBuffers::new(MAX_ROWS, config.width, rests)?,
            attended: ActivationBuffers::new(MAX_ROWS, config.query_width(), rests)?,
            gated: ActivationBuffers::new(MAX_ROWS, config.feed_forward, rests)?,
            experts: config
                .experts
                .map(|experts| ExpertBuffers::new(config, experts, rests))
                .transpose()?,
            global: Angles::new(half)?,
            local: Angles::new(if config.window.is_some() { half } else { 0 })?,
            narrow: Buffer::empty(),
            scratch: (0..threads)
                .map(|_| Buffer::zeroed(2 * MAX_ROWS * GROUP))
                .collect::<Result<_>>()?,
        })
    }

    /// The residual stream, for a pass's input and output.
    pub fn hidden(&mut self) -> &mut [f32] {
        &mut self.hidden
    }
}

/// The inputs of a pass.
pub(crate) struct Pass<'a> {
    pub config: &'a Config,
    pub weights: &'a Weights,
    pub kernels: &'static Kernels,
    /// Number of the first loaded layer.
    pub first_layer: usize,
    /// Loaded layers to run, counted from the first loaded one.
    pub layers: Range<usize>,
    pub geometry: Geometry,
}

/// Some query rows of one key-value head of one segment.
struct AttentionTask {
    segment: usize,
    head: usize,
    rows: Range<usize>,
}

/// A pass at work: the pieces that every phase needs.
struct Run<'a> {
    pass: &'a Pass<'a>,
    workspace: &'a Workspace,
    segments: &'a [Segment<'a>],
    attention: &'a [AttentionTask],
    low_rank: &'a LowRank<'a>,
    rows: usize,
}

// SAFETY: the segments' page pointers are used as `Shared` is.
unsafe impl Sync for Run<'_> {}

impl Pass<'_> {
    /// Runs the rows in `workspace.hidden` through all loaded layers, writing the cache.
    ///
    /// The segments' rows lie one after the other from 0 on; their pages are this pass's to write
    /// from the segments' start on.
    pub fn run(
        &self,
        pool: &mut Pool,
        workspace: &mut Workspace,
        segments: &[Segment<'_>],
    ) -> Result<()> {
        let rows = segments.last().map_or(0, |segment| segment.rows.end);
        let config = self.config;
        let factors = self.weights.rope_factors.as_deref();
        workspace
            .global
            .fill(config.rope, config, factors, segments);
        if config.window.is_some() {
            workspace
                .local
                .fill(config.rope_local, config, None, segments);
        }
        let attention = self.attention_tasks(segments, pool.threads());
        let group = config.heads / config.kv_heads;
        let scratch = attention
            .iter()
            .map(|task| {
                let last = segments[task.segment].start + (task.rows.end - 1) / group;
                task.rows.len() * (last / PAGE + 1) * PAGE
            })
            .max()
            .unwrap_or(0);
        for buffer in &mut workspace.scratch {
            if buffer.len() < scratch {
                *buffer = Buffer::zeroed(scratch.next_power_of_two())?;
            }
        }
        let low_rank = LowRank::of(segments);
        if workspace.narrow.len() < low_rank.floats() {
            workspace.narrow = Buffer::zeroed(low_rank.floats())?;
        }
        let run = Run {
            pass: self,
            workspace,
            segments,
            attention: &attention,
            low_rank: &low_rank,
            rows,
        };
        pool.run(|crew| {
            // SAFETY: the buffers fit `MAX_ROWS` rows of this configuration, against which the
            // weights were checked; each phase's tasks write disjoint parts.
            unsafe { run.layers(crew) }
        })
    }

    fn attention_tasks(&self, segments: &[Segment<'_>], threads: usize) -> Vec<AttentionTask> {
        let group = self.config.heads / self.config.kv_heads;
        let rows: usize = segments
            .iter()
            .map(|s| s.rows.len() * self.config.heads)
            .sum();
        let size = rows.div_ceil(threads).clamp(1, ATTENTION_TASK);
        let mut tasks = Vec::new();
        // The last rows see the most keys, so they go first and the short tasks fill up the end.
        for (i, segment) in segments.iter().enumerate().rev() {
            let rows = segment.rows.len() * group;
            for first in (0..rows).step_by(size).rev() {
                for head in 0..self.config.kv_heads {
                    let rows = first..(first + size).min(rows);
                    tasks.push(AttentionTask {
                        segment: i,
                        head,
                        rows,
                    });
                }
            }
        }
        tasks
    }
}

impl Run<'_> {
    unsafe fn layers(&self, crew: &Crew<'_>) {
        let mut post_norm = None;
        let layers = self.pass.weights.layers.iter().enumerate();
        let Range { start, end } = self.pass.layers;
        for (i, layer) in layers.take(end).skip(start) {
            let inputs = [&layer.query, &layer.key, &layer.value];
            self.norm(
                crew,
                post_norm,
                Some((&layer.attention_norm, any_integer(&inputs))),
            );
            self.project(crew, i, inputs);
            self.rotate(crew, i, layer);
            self.attend(crew, i, layer.output.is_integer());
            post_norm = layer.attention_post_norm.as_ref();
            let x = self.workspace.attended.view();
            self.narrow(crew, i, &OUTPUT, x);
            self.add_sublayer(crew, &layer.output, x, post_norm, (i, OUTPUT[0]));
            let integers = layer.feed_forward.takes_integers();
            self.norm(crew, post_norm, Some((&layer.feed_forward_norm, integers)));
            post_norm = layer.feed_forward_post_norm.as_ref();
            match &layer.feed_forward {
                FeedForward::Dense(gated) => {
                    self.gate(crew, gated, Some(i));
                    let x = self.workspace.gated.view();
                    self.narrow(crew, i, &DOWN, x);
                    self.add_sublayer(crew, &gated.down, x, post_norm, (i, DOWN[0]));
                },
                FeedForward::Routed(routed) => self.add_experts(crew, routed),
            }
        }
        if post_norm.is_some() {
            self.norm(crew, post_norm, None);
        }
    }

    /// Adds the last sublayer's normed output to the residual stream if that is still to be done.
    /// Then norms the stream for the next sublayer, and quantises it if that sublayer takes
    /// quantised input.
    unsafe fn norm(
        &self,
        crew: &Crew<'_>,
        post_norm: Option<&Buffer<f32>>,
        next: Option<(&Buffer<f32>, bool)>,
    ) {
        let (kernels, width) = (self.pass.kernels, self.pass.config.width);
        let epsilon = self.pass.config.norm_epsilon;
        let hidden = Shared::of(&self.workspace.hidden);
        let sublayer = Shared::of(&self.workspace.sublayer);
        let normed = self.workspace.normed.view();
        self.row_tasks(crew, |row| {
            let hidden = hidden.at(row * width);
            if let Some(norm) = post_norm {
                let sublayer = sublayer.at(row * width);
                (kernels.rms_norm)(sublayer, norm.as_ptr(), epsilon, sublayer, width);
                (kernels.add)(hidden, sublayer, width);
            }
            if let Some((norm, quantise)) = next {
                let out = normed.floats.add(row * width);
                (kernels.rms_norm)(hidden, norm.as_ptr(), epsilon, out, width);
                if quantise {
                    (kernels.quantise)(normed, row, 0..width / GROUP);
                }
            }
        });
    }

    fn row_tasks(&self, crew: &Crew<'_>, task: impl Fn(usize)) {
        crew.tasks(self.rows.div_ceil(ROW_TASK), |i| {
            for row in i * ROW_TASK..((i + 1) * ROW_TASK).min(self.rows) {
                task(row);
            }
        });
    }

    /// Queries, keys and values from the normed stream.
    unsafe fn project(&self, crew: &Crew<'_>, layer: usize, matrices: [&Matrix; 3]) {
        let qkv = Shared::of(&self.workspace.qkv);
        let stride = self.qkv_width();
        let normed = self.workspace.normed.view();
        self.narrow(crew, layer, &ATTENTION, normed);
        let panels = matrices.iter().map(|m| m.panels()).sum();
        panel_tasks(crew, panels, self.rows, |mut panel| {
            let mut column = 0;
            for (slot, matrix) in matrices.into_iter().enumerate() {
                if panel < matrix.panels() {
                    let data = qkv.at(column + panel * LANES);
                    let out = Output {
                        data,
                        stride,
                        add: false,
                    };
                    (self.pass.kernels.product)(matrix, panel, normed, self.rows, out);
                    self.widen(layer, ATTENTION[slot], slot, panel, out);
                    return;
                }
                panel -= matrix.panels();
                column += matrix.rows;
            }
        });
    }

    fn qkv_width(&self) -> usize {
        self.pass.config.query_width() + 2 * self.pass.config.kv_width()
    }

    /// Norms, rotates and scales the queries and keys, and writes keys and values to the cache.
    unsafe fn rotate(&self, crew: &Crew<'_>, layer: usize, weights: &Layer) {
        let (config, kernels) = (self.pass.config, self.pass.kernels);
        let geometry = self.pass.geometry;
        let head_width = config.head_width;
        let half = config.rope_width / 2;
        let local = config.window_of(self.pass.first_layer + layer).is_some();
        let angles = if local {
            &self.workspace.local
        } else {
            &self.workspace.global
        };
        let qkv = Shared::of(&self.workspace.qkv);
        let head = |x: *mut f32, row: usize, norm: Option<&Buffer<f32>>| {
            if let Some(norm) = norm {
                (kernels.rms_norm)(x, norm.as_ptr(), config.norm_epsilon, x, head_width);
            }
            let (cos, sin) = (angles.cos.as_ptr(), angles.sin.as_ptr());
            (kernels.rotate)(x, cos.add(row * half), sin.add(row * half), half);
        };
        self.row_tasks(crew, |row| {
            let x = qkv.at(row * self.qkv_width());
            let keys = x.add(config.query_width());
            let values = keys.add(config.kv_width());
            for (part, bias) in [
                (x, &weights.query_bias),
                (keys, &weights.key_bias),
                (values, &weights.value_bias),
            ] {
                if let Some(bias) = bias {
                    (kernels.add)(part, bias.as_ptr(), bias.len());
                }
            }
            for i in 0..config.heads {
                head(x.add(i * head_width), row, weights.query_norm.as_ref());
            }
            (kernels.scale)(x, config.attention_scale, config.query_width());
            let Some(segment) = self.segments.iter().find(|s| s.rows.contains(&row)) else {
                return;
            };
            let position = segment.start + row - segment.rows.start;
            let page = segment.pages[position / PAGE];
            for i in 0..config.kv_heads {
                let key = keys.add(i * head_width);
                head(key, row, weights.key_norm.as_ref());
                (kernels.remember)(
                    key,
                    values.add(i * head_width),
                    head_width,
                    page.add(geometry.keys(layer, i)),
                    page.add(geometry.values(layer, i)),
                    position % PAGE,
                );
            }
        });
    }

    unsafe fn attend(&self, crew: &Crew<'_>, layer: usize, quantise: bool) {
        let config = self.pass.config;
        let geometry = self.pass.geometry;
        let group = config.heads / config.kv_heads;
        let window = config
            .window_of(self.pass.first_layer + layer)
            .unwrap_or(usize::MAX);
        let attended = self.workspace.attended.view();
        let qkv = Shared::of(&self.workspace.qkv);
        let scratch = Shared::of(&self.workspace.scratch[crew.index]);
        crew.tasks(self.attention.len(), |i| {
            let task = &self.attention[i];
            let segment = &self.segments[task.segment];
            let first_head = task.head * group;
            let queries = Queries {
                queries: qkv
                    .at(segment.rows.start * self.qkv_width() + first_head * config.head_width),
                out: attended
                    .floats
                    .add(segment.rows.start * attended.columns + first_head * config.head_width),
                stride: self.qkv_width(),
                out_stride: attended.columns,
                group,
                head_width: config.head_width,
                start: segment.start,
                window,
                cap: config.attention_cap,
                pages: &segment.pages,
                keys: geometry.keys(layer, task.head),
                values: geometry.values(layer, task.head),
            };
            (self.pass.kernels.attend)(&queries, task.rows.clone(), scratch.at(0));
            if quantise {
                let groups = config.head_width / GROUP;
                for row in task.rows.clone() {
                    let first = (first_head + row % group) * groups;
                    let row = segment.rows.start + row / group;
                    (self.pass.kernels.quantise)(attended, row, first..first + groups);
                }
            }
        });
    }

    /// Multiplies with `matrix` and adds to the residual stream. If a norm comes in between, leaves
    /// the product for [`Run::norm`]. `update` names the layer and the matrix; an adapter's `A x`
    /// is there.
    unsafe fn add_sublayer(
        &self,
        crew: &Crew<'_>,
        matrix: &Matrix,
        x: Activations,
        post_norm: Option<&Buffer<f32>>,
        update: (usize, Pick),
    ) {
        let stride = self.pass.config.width;
        let add = post_norm.is_none();
        let out = Shared::of(if add {
            &self.workspace.hidden
        } else {
            &self.workspace.sublayer
        });
        panel_tasks(crew, matrix.panels(), self.rows, |panel| {
            let out = Output {
                data: out.at(panel * LANES),
                stride,
                add,
            };
            (self.pass.kernels.product)(matrix, panel, x, self.rows, out);
            self.widen(update.0, update.1, 0, panel, out);
        });
    }

    /// activation(gate) · up of the normed stream. `layer` is that whose adapters count.
    unsafe fn gate(&self, crew: &Crew<'_>, matrices: &Gated, layer: Option<usize>) {
        let gated = self.workspace.gated.view();
        let normed = self.workspace.normed.view();
        if let Some(layer) = layer {
            self.narrow(crew, layer, &GATED, normed);
        }
        crew.tasks(gated.columns / GROUP, |group| {
            self.gate_group(crew, matrices, layer, group, self.rows, normed, gated);
        });
    }

    /// activation(gate) · up of `rows` rows of `x`: 32 columns, so that they can be quantised at
    /// once. With `layer` the rows are those of the pass.
    #[allow(clippy::too_many_arguments)]
    unsafe fn gate_group(
        &self,
        crew: &Crew<'_>,
        matrices: &Gated,
        layer: Option<usize>,
        group: usize,
        rows: usize,
        x: Activations,
        gated: Activations,
    ) {
        const PANELS: usize = GROUP / LANES;
        let kernels = self.pass.kernels;
        let scratch = Shared::of(&self.workspace.scratch[crew.index]);
        let up = rows * GROUP;
        let halves = [(&matrices.gate, 0), (&matrices.up, up)];
        for (slot, (matrix, first)) in halves.into_iter().enumerate() {
            for panel in 0..PANELS {
                let data = scratch.at(first + panel * LANES);
                let out = Output {
                    data,
                    stride: GROUP,
                    add: false,
                };
                let panel = group * PANELS + panel;
                (kernels.product)(matrix, panel, x, rows, out);
                if let Some(layer) = layer {
                    self.widen(layer, GATED[slot], slot, panel, out);
                }
            }
        }
        for row in 0..rows {
            let (gate, up) = (scratch.at(row * GROUP), scratch.at(up + row * GROUP));
            let out = gated.floats.add(row * gated.columns + group * GROUP);
            (kernels.gate)(self.pass.config.activation, gate, up, out, GROUP);
            if matrices.down.is_integer() {
                (kernels.quantise)(gated, row, group..group + 1);
            }
        }
    }
}

fn any_integer(matrices: &[&Matrix]) -> bool {
    matrices.iter().any(|m| m.is_integer())
}

/// Calls `task` for every panel; a few at a time if a panel is little work.
fn panel_tasks(crew: &Crew<'_>, panels: usize, rows: usize, task: impl Fn(usize)) {
    let size = if rows < 8 { 4 } else { 1 };
    crew.tasks(panels.div_ceil(size), |i| {
        for panel in i * size..((i + 1) * size).min(panels) {
            task(panel);
        }
    });
}

/// The final norm and the head.
pub(crate) struct Head<'a> {
    pub kernels: &'static Kernels,
    pub epsilon: f32,
    pub norm: &'a Buffer<f32>,
    pub matrix: &'a Matrix,
    /// Logits are kept within ± this, by tanh.
    pub cap: Option<f32>,
}

/// The result of [`Head::statistics`] for a row and a stretch of the vocabulary.
#[derive(Clone, Copy, Default)]
struct Mass {
    largest: f32,
    mass: f32,
}

/// Panels of the head in one task of the statistics.
const MASS_PANELS: usize = 16;

impl Head<'_> {
    /// Norms the first `rows` rows of `workspace.hidden`.
    fn norm(&self, workspace: &Workspace, rows: usize) -> Activations {
        let width = self.matrix.columns;
        let normed = workspace.normed.view();
        for row in 0..rows {
            // SAFETY: the workspace holds `MAX_ROWS` rows of the model's width.
            unsafe {
                let out = normed.floats.add(row * width);
                let hidden = workspace.hidden.as_ptr().add(row * width);
                (self.kernels.rms_norm)(hidden, self.norm.as_ptr(), self.epsilon, out, width);
                if self.matrix.is_integer() {
                    (self.kernels.quantise)(normed, row, 0..width / GROUP);
                }
            }
        }
        normed
    }

    /// The norms of the first rows of `workspace.hidden`: rows × width, at most `MAX_ROWS`.
    pub fn normed(&self, workspace: &Workspace, out: &mut [f32]) {
        let width = self.matrix.columns;
        for (row, out) in out.chunks_exact_mut(width).take(MAX_ROWS).enumerate() {
            // SAFETY: the workspace holds `MAX_ROWS` rows of the model's width, and `out` is one.
            unsafe {
                let hidden = workspace.hidden.as_ptr().add(row * width);
                let (norm, out) = (self.norm.as_ptr(), out.as_mut_ptr());
                (self.kernels.rms_norm)(hidden, norm, self.epsilon, out, width);
            }
        }
    }

    /// Caps `n` logits of each of `rows` rows.
    unsafe fn cap(&self, logits: Shared, rows: usize, stride: usize, n: usize) {
        if let Some(cap) = self.cap {
            for row in 0..rows {
                (self.kernels.soft_cap)(logits.at(row * stride), cap, n);
            }
        }
    }

    /// Logits of the first rows of `workspace.hidden`: rows × vocabulary.
    pub fn logits(&self, pool: &mut Pool, workspace: &Workspace, out: &mut [f32]) -> Result<()> {
        let stride = self.matrix.rows;
        let rows = out.len() / stride;
        let normed = self.norm(workspace, rows);
        let out = Shared(out.as_mut_ptr());
        pool.run(|crew| {
            panel_tasks(crew, self.matrix.panels(), rows, |panel| {
                // SAFETY: `out` has `rows` rows of `matrix.rows`; each panel is its own columns.
                unsafe {
                    let data = out.at(panel * LANES);
                    let out = Output {
                        data,
                        stride,
                        add: false,
                    };
                    (self.kernels.product)(self.matrix, panel, normed, rows, out);
                    let columns = LANES.min(stride - panel * LANES);
                    self.cap(Shared(data), rows, stride, columns);
                }
            })
        })
    }

    /// Logits of some tokens for the first row of `workspace.hidden`.
    pub fn logits_of(&self, workspace: &Workspace, tokens: &[u32]) -> Vec<f32> {
        let normed = self.norm(workspace, 1);
        tokens
            .iter()
            .map(|&token| {
                let (panel, lane) = (token as usize / LANES, token as usize % LANES);
                let mut lanes = [0f32; LANES];
                let out = Output {
                    data: lanes.as_mut_ptr(),
                    stride: LANES,
                    add: false,
                };
                // SAFETY: the output is one panel wide, and one row is asked for.
                unsafe {
                    (self.kernels.product)(self.matrix, panel, normed, 1, out);
                    self.cap(Shared(out.data), 1, LANES, LANES);
                }
                lanes[lane]
            })
            .collect()
    }

    /// For each of the first `rows` rows of `workspace.hidden`: ln Σ e^logit over the vocabulary,
    /// and the logits of the tokens that `targets` names for it, in the order of `targets`.
    pub fn statistics(
        &self,
        pool: &mut Pool,
        workspace: &Workspace,
        rows: usize,
        targets: &[(usize, u32)],
    ) -> Result<(Vec<f64>, Vec<f32>)> {
        let normed = self.norm(workspace, rows);
        let vocab = self.matrix.rows;
        let stride = MASS_PANELS * LANES;
        let chunks = vocab.div_ceil(stride);
        // Sorted by chunk, so that each finds its own.
        let mut wanted: Vec<usize> = (0..targets.len()).collect();
        wanted.sort_by_key(|&i| targets[i].1);
        let mut logits = vec![0f32; targets.len()];
        let mut masses = vec![Mass::default(); rows * chunks];
        let scratch: Vec<_> = (0..pool.threads())
            .map(|_| Buffer::<f32>::zeroed(rows * stride))
            .collect::<Result<_>>()?;
        let found = Shared(logits.as_mut_ptr());
        let mass = SharedMass(masses.as_mut_ptr());
        pool.run(|crew| {
            let scratch = Shared::of(&scratch[crew.index]);
            crew.tasks(chunks, |chunk| {
                let first = chunk * stride;
                let end = (first + stride).min(vocab);
                // SAFETY: `scratch` holds `rows` rows of `stride`, and is this thread's own; every
                // mass and every target belongs to one chunk.
                unsafe {
                    for panel in first / LANES..end.div_ceil(LANES) {
                        let data = scratch.at(panel * LANES - first);
                        let out = Output {
                            data,
                            stride,
                            add: false,
                        };
                        (self.kernels.product)(self.matrix, panel, normed, rows, out);
                    }
                    self.cap(scratch, rows, stride, end - first);
                    for row in 0..rows {
                        let (largest, sum) =
                            (self.kernels.largest_and_mass)(scratch.at(row * stride), end - first);
                        mass.set(row * chunks + chunk, Mass { largest, mass: sum });
                    }
                    let begin = wanted.partition_point(|&i| (targets[i].1 as usize) < first);
                    for &i in &wanted[begin..] {
                        let (row, token) = (targets[i].0, targets[i].1 as usize);
                        if token >= end {
                            break;
                        }
                        *found.at(i) = *scratch.at(row * stride + token - first);
                    }
                }
            })
        })?;
        let totals = masses
            .chunks_exact(chunks)
            .map(|masses| {
                let largest = masses
                    .iter()
                    .fold(f32::NEG_INFINITY, |l, m| l.max(m.largest))
                    as f64;
                let term = |m: &Mass| m.mass as f64 * (m.largest as f64 - largest).exp();
                largest + masses.iter().map(term).sum::<f64>().ln()
            })
            .collect();
        Ok((totals, logits))
    }
}

/// As [`Shared`], for masses.
#[derive(Clone, Copy)]
struct SharedMass(*mut Mass);

// SAFETY: see `Shared`.
unsafe impl Send for SharedMass {}
// SAFETY: as above.
unsafe impl Sync for SharedMass {}

impl SharedMass {
    unsafe fn set(self, at: usize, mass: Mass) {
        *self.0.add(at) = mass;
    }
}
