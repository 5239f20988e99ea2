// SPDX-License-Identifier: Apache-2.0
//! The experiments. Each module plays rounds and writes a table and a plot.

mod agreement;
pub mod alternatives;
pub mod answers;
pub mod authoring;
pub mod behaviours;
pub mod disputes;
pub mod grinding;
pub mod injection;
pub mod quality;
pub mod ratings;
pub mod scale;
pub mod scenario;
pub mod seats;
pub mod sweep;
pub mod sybil;

use serde::Serialize;
use starling_runtime::parameters::{Parameters, Preset};

/// Mean quality of answers without effort: a standard deviation below that of honest agents.
pub const POOR: f64 = 0.35;

/// The name of a variant in files.
pub fn name(value: &impl Serialize) -> String {
    toml::Value::try_from(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Parameters by name, with the windows of a simulation. A phase that waits for a missing message
/// ends after a few blocks instead of two minutes, and rounds are purged soon. A window matters
/// only if a message is missing, and then only by its end.
pub fn short(preset: Preset) -> Parameters {
    let mut parameters = preset.parameters();
    parameters.rounds.commit_window = 6;
    parameters.rounds.reveal_window = 6;
    parameters.rounds.rank_window = 6;
    parameters.rounds.disclose_window = 6;
    parameters.rounds.retention_period = 20;
    parameters
}
