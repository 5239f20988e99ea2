// SPDX-License-Identifier: Apache-2.0

//! Scoring of others' responses.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use starling_engine::rank::{Quantiles, RankerKind};

/// Scoring of others' responses.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Fields")]
#[schemars(with = "Fields")]
pub enum Ranking {
    /// By their similarity to the agent's own response, without a model.
    Similarity,
    /// By a private head: a file of `starling-infer head train`.
    Head(PathBuf),
    /// By a model.
    Model(ModelRanking),
}

/// Method by which a model scores responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRanking {
    /// Name of the primary module whose model scores; by default the first that has a model.
    pub by: Option<String>,
    /// The ranker; by default that of the store's manifest.
    pub ranker: Option<RankerKind>,
    /// File with the ranker's scores of a reference set, written by `starling-infer calibrate`.
    pub reference: Option<PathBuf>,
}

impl Default for Ranking {
    fn default() -> Self {
        Self::Model(ModelRanking::default())
    }
}

impl Ranking {
    pub(super) fn relative_to(&mut self, folder: &Path) {
        match self {
            Self::Head(path)
            | Self::Model(ModelRanking {
                reference: Some(path),
                ..
            }) => *path = folder.join(&*path),
            Self::Similarity | Self::Model(_) => {},
        }
    }
}

/// Scoring of others' responses.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    /// Name of the primary module whose model scores; by default the first that has a model.
    by: Option<String>,
    /// File of a private head, written by `starling-infer head train`. It scores without a model.
    head: Option<PathBuf>,
    /// The ranker; by default that of the store's manifest, or else `likelihood`.
    ranker: Option<RankerName>,
    /// File with the ranker's scores of a reference set, written by `starling-infer calibrate`.
    reference: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RankerName {
    Lift,
    Likelihood,
    Judge,
    Pairwise,
    Similarity,
}

impl TryFrom<Fields> for Ranking {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let Fields {
            by,
            head,
            ranker,
            reference,
        } = fields;
        if let Some(head) = head {
            return match (by, ranker, reference) {
                (None, None, None) => Ok(Self::Head(head)),
                _ => Err("`head` scores without a model: leave the other fields out"),
            };
        }
        let ranker = match ranker {
            None => None,
            Some(RankerName::Lift) => Some(RankerKind::Lift),
            Some(RankerName::Likelihood) => Some(RankerKind::Likelihood),
            Some(RankerName::Judge) => Some(RankerKind::Judge),
            Some(RankerName::Pairwise) => Some(RankerKind::Pairwise),
            Some(RankerName::Similarity) if by.is_none() && reference.is_none() => {
                return Ok(Self::Similarity);
            },
            Some(RankerName::Similarity) => {
                return Err(
                    "ranker = \"similarity\" needs no model: leave `by` and `reference` out",
                );
            },
        };
        Ok(Self::Model(ModelRanking {
            by,
            ranker,
            reference,
        }))
    }
}

/// Raw scores of one ranker on one model, as `starling-infer calibrate` writes them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Name of the model.
    pub model: String,
    /// The ranker.
    pub ranker: RankerKind,
    /// The scores.
    pub scores: Quantiles,
}
