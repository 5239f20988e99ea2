// SPDX-License-Identifier: Apache-2.0
//! The commands of `starling-shards`.

pub mod calibrate;
pub mod evidence;
pub mod guesses;
pub mod invert;
pub mod recover;
mod sealing;
pub mod speed;
mod split;
mod swarm;
mod table;
pub mod wires;

pub use table::OutputArgs;

use starling_engine::{
    gguf::Gguf,
    prompt::Prompt,
    tokenizer::{TokenId, Tokenizer},
    LoadOptions, Model,
};
use starling_evaluation::{Items, Task};
use starling_infer::{model_path, Failure, StoreArgs};
use std::{ops::Range, path::Path};

/// An open model file.
struct Source {
    label: String,
    gguf: Gguf,
    tokenizer: Tokenizer,
}

impl Source {
    fn open(store: &StoreArgs, model: &str) -> Result<Self, Failure> {
        let path = model_path(store, model)?;
        let gguf = Gguf::open(&path)?;
        Ok(Self {
            label: starling_infer::evaluate::model_label(model),
            tokenizer: Tokenizer::from_gguf(gguf.metadata())?,
            gguf,
        })
    }

    fn load(&self, options: &LoadOptions) -> Result<Model, Failure> {
        Ok(Model::load_from(&self.gguf, options)?)
    }

    /// The contexts of HellaSwag's first `n` items.
    fn contexts(&self, data: &Path, n: usize) -> Result<Vec<String>, Failure> {
        let Items::Choices(items) = Task::HellaSwag.load(data, n)? else {
            return Err("HellaSwag has no choices".into());
        };
        Ok(items.into_iter().map(|item| item.context).collect())
    }

    /// The first tokens of these contexts.
    fn texts(&self, data: &Path, n: usize, tokens: usize) -> Result<Vec<Vec<TokenId>>, Failure> {
        let contexts = self.contexts(data, n)?;
        let texts: Vec<_> = contexts
            .iter()
            .map(|context| {
                let prompt = Prompt::data(context.as_str());
                let mut text = self.tokenizer.encode_prompt(&prompt);
                text.truncate(tokens);
                text
            })
            .collect();
        if texts.is_empty() {
            return Err("the evaluation data hold no text".into());
        }
        Ok(texts)
    }
}

/// `layers` layers in `spans` spans whose lengths differ by at most one.
fn even_spans(layers: usize, spans: usize) -> Vec<Range<usize>> {
    let border = |i: usize| i * layers / spans.max(1);
    (0..spans).map(|i| border(i)..border(i + 1)).collect()
}

/// The value that a share `q` of the sorted `values` does not exceed.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (q * last as f64).ceil() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The values in order, so that the median is in the middle.
fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The median, with minimum and maximum.
fn spread(values: impl IntoIterator<Item = f64>, digits: usize) -> String {
    let values = sorted(values.into_iter().collect());
    let at = |q| quantile(&values, q);
    format!(
        "{:.digits$} ({:.digits$} – {:.digits$})",
        at(0.5),
        at(0.0),
        at(1.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_all_layers_evenly() {
        assert_eq!(even_spans(30, 1), vec![0..30; 1]);
        assert_eq!(even_spans(18, 5), [0..3, 3..7, 7..10, 10..14, 14..18]);
        assert_eq!(even_spans(3, 3), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn quantiles_are_values() {
        let values: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 51.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
