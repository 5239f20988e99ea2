// SPDX-License-Identifier: Apache-2.0

//! Conditions of a request that the agent answers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Amount, Kind, Pattern};

/// Filters; a request is accepted if it passes all of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Accept {
    /// Shortest prompt, in bytes.
    pub min_prompt_bytes: Option<usize>,
    /// Longest prompt, in bytes.
    pub max_prompt_bytes: Option<usize>,
    /// Lowest fee, in the smallest unit.
    pub min_fee: Option<Amount>,
    /// Highest slash of an agent that commits and does not deliver, in the smallest unit. A round
    /// reserves it from the bond.
    pub max_slash: Option<Amount>,
    /// Kinds of questions: the form in which the request wants its answer. An empty list accepts all;
    /// requests that say none are of the kind `free`.
    pub expert_for: Vec<Kind>,
    /// The prompt matches one of these regular expressions; an empty list accepts all topics.
    pub topics: Vec<Pattern>,
    /// The prompt matches none of these regular expressions.
    pub refuse: Vec<Pattern>,
}
