// SPDX-License-Identifier: Apache-2.0
//! Rankers: from a conversation and responses to a score in [0, 1] each, with one forward pass and
//! no generated token beyond the first (arXiv 2409.08386, section 5).
//!
//! Responses are data. They are quoted between fences that they cannot contain, their control
//! tokens are plain characters ([`crate::prompt::Part::Data`]), and overlong ones are cut.

mod copies;
mod judge;
mod likelihood;
mod pairwise;
mod quantile;
mod quote;

pub use judge::Judge;
pub use likelihood::Likelihood;
pub use pairwise::{bradley_terry, Pairwise};
pub use quantile::{Quantiles, QuantilesError};
pub use quote::Quoting;

use crate::{
    backend::{Backend, BackendError},
    chat::Message,
    generate::Cancel,
};
use std::{fmt, str::FromStr};

/// Responses to one conversation.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The conversation up to the responses.
    pub messages: &'a [Message],
    /// The responses to score.
    pub responses: &'a [String],
}

/// Scores responses.
pub trait Ranker: Send + Sync {
    /// The name that configurations use.
    fn name(&self) -> &'static str;

    /// A score in [0, 1] for each response, higher is better. An empty response scores 0. Scores
    /// of one ranker on one model are comparable; across models, map them with [`Quantiles`].
    fn rank(
        &self,
        backend: &dyn Backend,
        task: Task<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<f64>, BackendError>;
}

/// The rankers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RankerKind {
    /// [`Judge`].
    Judge,
    /// [`Likelihood`].
    Likelihood,
    /// [`Likelihood`] with [`Likelihood::minus_unconditional`].
    Lift,
    /// [`Pairwise`].
    Pairwise,
}

impl RankerKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Judge, Self::Likelihood, Self::Lift, Self::Pairwise];

    /// The name that configurations use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Judge => "judge",
            Self::Likelihood => "likelihood",
            Self::Lift => "lift",
            Self::Pairwise => "pairwise",
        }
    }

    /// The ranker with its default settings.
    pub fn ranker(self) -> Box<dyn Ranker> {
        self.with(Quoting::default())
    }

    /// The ranker with other precautions, to measure their effect.
    pub fn with(self, quoting: Quoting) -> Box<dyn Ranker> {
        match self {
            Self::Judge => Box::new(Judge { quoting }),
            Self::Likelihood | Self::Lift => Box::new(Likelihood {
                quoting,
                minus_unconditional: self == Self::Lift,
            }),
            Self::Pairwise => Box::new(Pairwise {
                quoting,
                ..Pairwise::default()
            }),
        }
    }
}

impl fmt::Display for RankerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RankerKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                format!("no ranker is called {name:?} (judge, likelihood, lift, pairwise)")
            })
    }
}

/// Scores the responses that have text with `rank`, the others 0.
fn skip_empty(
    responses: &[String],
    rank: impl FnOnce(&[&str]) -> Result<Vec<f64>, BackendError>,
) -> Result<Vec<f64>, BackendError> {
    let is_empty = |response: &String| response.trim().is_empty();
    let with_text: Vec<_> = responses
        .iter()
        .filter(|r| !is_empty(r))
        .map(String::as_str)
        .collect();
    if with_text.is_empty() {
        return Ok(vec![0.0; responses.len()]);
    }
    let mut scores = rank(&with_text)?.into_iter();
    Ok(responses
        .iter()
        .map(|response| {
            if is_empty(response) {
                0.0
            } else {
                scores.next().unwrap_or(0.0)
            }
        })
        .collect())
}

/// The logistic function.
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
