// SPDX-License-Identifier: Apache-2.0

//! Computes a disputed span again.
//!
//! From the exhibit's inputs the span is computed in activations of 16 and of 8 bits. From its tokens
//! the model is computed up to the span, to see whether the inputs follow from them, and up to
//! another border, whose rows no exhibit shows. All becomes sketches of the same drawn rows.

use std::{ops::Range, path::Path};

use starling_engine::{
    config::Config, gguf::Gguf, ActivationBits, Error, Hidden, Input, LoadOptions, Model, Step,
};
use starling_evidence::{
    exhibit::MAX_EXHIBIT, sample, Claim, Digest, Evidence, Exhibit, Fault, Finding, Sketches,
};
use starling_shards::wire::{WireError, WireFormat};
use starling_sketch::{
    make::{make, BadSketch},
    signs::Signs,
    Layout, Sketch,
};

/// The least tolerance of inputs, and the factors of the verdict (`starling_evidence::verdict`).
const LEAST_TOLERANCE: f64 = 0.03;
const SPREAD: f64 = 3.0;

/// Inputs are natural within twice the tolerance: they came through a wire code.
const NATURAL: f64 = 2.0;

/// A row of the inputs that is farther from the model's own is one of another token. No claim binds
/// the tokens: shown others, honest executors would come to other rows elsewhere, and pay for that.
const OTHER_TOKEN: f64 = 0.4;

/// The key-value caches of a replay: room for the longest exhibit of the widest model.
const CACHE_BYTES: usize = 192 << 20;

/// A span cannot be computed again here.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The exhibit is none that a committee judges by.
    #[error("the exhibit: {0}")]
    Exhibit(#[from] Fault),
    /// The model's file cannot be loaded or computed.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The own rows have no sketch.
    #[error("the model's own rows: {0}")]
    Sketch(#[from] BadSketch),
    /// The own rows cannot be coded.
    #[error("the model's own rows: {0}")]
    Wire(#[from] WireError),
    /// The case names rows that it does not have.
    #[error("the case names rows that it does not have")]
    Rows,
}

/// A disputed computation with the rows that the draw chose.
struct Scene<'a> {
    claim: &'a Claim,
    exhibit: &'a Exhibit,
    width: usize,
    /// The drawn rows, counted from the first position of the sequence.
    drawn: Range<usize>,
    layout: Layout,
    signs: Signs,
}

/// The finding on a case by the model in the GGUF file at `path`, which is that of the claims.
pub fn find(
    path: &Path,
    threads: usize,
    evidence: &Evidence,
    exhibit: &Exhibit,
    draw: &Digest,
) -> Result<Finding, ReplayError> {
    exhibit.admit(evidence, MAX_EXHIBIT)?;
    let claim = &evidence.first.claim.body;
    let gguf = Gguf::open(path)?;
    let config = Config::from_gguf(&gguf)?;
    let depth = u32::try_from(config.layers).unwrap_or(u32::MAX);
    let border = sample::border(draw, claim.layers, depth);
    // Claims about another model's shape, or tokens that it does not have: nobody computed that.
    let (Some(border), true) = (border, fits(claim, exhibit, &config)) else {
        return Ok(Finding::Unnatural);
    };
    let scene = Scene::new(claim, exhibit, draw).ok_or(ReplayError::Rows)?;
    let inputs = scene.inputs()?;
    let layers = claim.layers.0 as usize..claim.layers.1 as usize;
    let (natural, elsewhere, own) = {
        let model = load(&gguf, threads, None, ActivationBits::Sixteen)?;
        let tokens = model.embed(&exhibit.tokens)?;
        (
            through(&model, 0..layers.start, &tokens)?,
            through(&model, 0..border as usize, &tokens)?,
            through(&model, layers.clone(), &inputs)?,
        )
    };
    let coarse = {
        let model = load(&gguf, threads, Some(layers.clone()), ActivationBits::Eight)?;
        through(&model, layers, &inputs)?
    };
    let spread = scene.apart(&own, &coarse);
    let tolerance = LEAST_TOLERANCE.max(SPREAD * spread);
    let limit = NATURAL * tolerance;
    let is_natural = scene.apart(&natural, &inputs) <= limit
        && farthest(&natural, &inputs) <= OTHER_TOKEN.max(limit);
    if !is_natural {
        return Ok(Finding::Unnatural);
    }
    Ok(Finding::Computed(Box::new(Sketches {
        own: scene.sketch(own.as_slice())?,
        coarse: scene.sketch(coarse.as_slice())?,
        coded: scene.coded(&own)?,
        elsewhere: scene.sketch(elsewhere.as_slice())?,
        first: scene.output(claim, &exhibit.first),
        second: scene.output(&evidence.second.claim.body, &exhibit.second),
    })))
}

/// Whether a model could have computed this.
fn fits(claim: &Claim, exhibit: &Exhibit, config: &Config) -> bool {
    let has_layers = claim.layers.1 as usize <= config.layers;
    let has_tokens = exhibit
        .tokens
        .iter()
        .all(|token| (*token as usize) < config.vocab);
    let has_room = exhibit.tokens.len() <= config.context;
    has_layers && has_tokens && has_room && exhibit.width as usize == config.width
}

/// Loads the model, or a span of it without its ends.
fn load(
    gguf: &Gguf,
    threads: usize,
    layers: Option<Range<usize>>,
    activation_bits: ActivationBits,
) -> Result<Model, Error> {
    let options = LoadOptions {
        ends: layers.is_none(),
        layers,
        threads,
        cache_bytes: CACHE_BYTES,
        activation_bits,
        ..LoadOptions::default()
    };
    Model::load_from(gguf, &options)
}

/// Rows behind some layers.
fn through(model: &Model, layers: Range<usize>, rows: &Hidden) -> Result<Hidden, Error> {
    if layers.is_empty() {
        return Ok(rows.clone());
    }
    let mut session = model.session();
    let step = Step {
        session: &mut session,
        input: Input::Hidden(rows),
    };
    let outputs = model.forward_layers(layers, &mut [step])?;
    let output = outputs.into_iter().next();
    output.ok_or_else(|| Error::Shape("the model gives no output".into()))
}

impl<'a> Scene<'a> {
    fn new(claim: &'a Claim, exhibit: &'a Exhibit, draw: &Digest) -> Option<Self> {
        let rows = sample::rows(draw, claim.rows)?;
        let place = |row: u32| usize::try_from(claim.positions.checked_add(row)?).ok();
        Some(Self {
            claim,
            exhibit,
            width: usize::try_from(exhibit.width).ok()?,
            drawn: place(rows.start)?..place(rows.end)?,
            layout: sample::layout(claim.rows)?,
            signs: Signs::new(&sample::signs(draw), exhibit.width),
        })
    }

    /// The exhibit's inputs.
    fn inputs(&self) -> Result<Hidden, ReplayError> {
        let total = self.exhibit.tokens.len();
        let inputs = WireFormat::F32.decode(&self.exhibit.inputs, total, self.width)?;
        Ok(Hidden::new(self.width, inputs)?)
    }

    /// The drawn rows of a whole sequence.
    fn drawn<'b>(&self, rows: &'b [f32]) -> &'b [f32] {
        let floats = self.drawn.start * self.width..self.drawn.end * self.width;
        rows.get(floats).unwrap_or_default()
    }

    /// The sketch of the drawn rows of a whole sequence.
    fn sketch(&self, rows: &[f32]) -> Result<Sketch, BadSketch> {
        make(self.layout, &self.signs, self.drawn(rows))
    }

    /// The sketch of own rows as the code of the claims carries them.
    fn coded(&self, own: &Hidden) -> Result<Sketch, ReplayError> {
        let wire = WireFormat::from(self.claim.wire);
        let coded = wire.as_decoded(self.drawn(own.as_slice()), self.width)?;
        Ok(make(self.layout, &self.signs, &coded)?)
    }

    /// The sketch of a server's output; `None` if its bytes are no rows.
    fn output(&self, claim: &Claim, bytes: &[u8]) -> Option<Sketch> {
        let rows = usize::try_from(claim.rows).ok()?;
        let step = WireFormat::from(claim.wire).decode(bytes, rows, self.width);
        let step = step.ok()?;
        // An output has the rows of the step alone.
        let before = usize::try_from(claim.positions).ok()?;
        let places = self.drawn.start.checked_sub(before)?..self.drawn.end.checked_sub(before)?;
        let drawn = step.get(places.start * self.width..places.end * self.width)?;
        make(self.layout, &self.signs, drawn).ok()
    }

    /// The relative distance of the drawn rows of two sequences: as a sketch estimates it, each row
    /// scaled to one length.
    fn apart(&self, a: &Hidden, b: &Hidden) -> f64 {
        let (a, b) = (self.drawn(a.as_slice()), self.drawn(b.as_slice()));
        let rows = a.chunks_exact(self.width).zip(b.chunks_exact(self.width));
        let count = rows.len().max(1) as f64;
        let sum: f64 = rows.map(|(a, b)| relative(a, b).powi(2)).sum();
        (sum / count).sqrt()
    }
}

/// The relative distance of two sequences in the row with the largest one, drawn or not.
fn farthest(a: &Hidden, b: &Hidden) -> f64 {
    let width = a.width().max(1);
    let rows = a.as_slice().chunks_exact(width);
    let pairs = rows.zip(b.as_slice().chunks_exact(width));
    pairs.map(|(a, b)| relative(a, b)).fold(0.0, f64::max)
}

/// ‖a − b‖ / max(‖a‖, ‖b‖).
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x).powi(2);
    let apart: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    let sizes = [a, b].map(|row| row.iter().copied().map(square).sum::<f64>());
    let size = sizes[0].max(sizes[1]);
    if size > 0.0 {
        (apart / size).sqrt()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_of_another_token_is_far_whatever_the_other_rows_are() {
        let sequence = |changed: Option<usize>| {
            let row = |at| {
                let is_other = changed == Some(at);
                [3.0, if is_other { -4.0 } else { 4.0 }]
            };
            Hidden::new(2, (0..300).flat_map(row).collect()).unwrap()
        };
        assert_eq!(farthest(&sequence(None), &sequence(None)), 0.0);
        let far = farthest(&sequence(None), &sequence(Some(7)));
        assert!(far > OTHER_TOKEN, "{far}");
    }
}
