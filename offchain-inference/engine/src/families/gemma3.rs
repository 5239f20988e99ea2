// SPDX-License-Identifier: Apache-2.0
//! Gemma 3: five of six layers slide, with a rotary base of their own; queries, keys and the
//! sublayers' outputs are normed.

use super::keys::Keys;
use crate::{
    config::{Activation, Config, Rope, RopePairs},
    Result,
};

/// Layers of the 27-billion model, which scales its scores differently.
const LAYERS_27B: usize = 62;

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    let config = keys.decoder()?;
    Ok(Config {
        attention_scale: attention_scale(&config, LAYERS_27B),
        logit_cap: keys.positive("final_logit_softcapping")?,
        embedding_scale: (config.width as f32).sqrt(),
        activation: Activation::GeluTanh,
        rope_pairs: RopePairs::Halves,
        rope_local: Rope::plain(keys.positive("rope.freq_base_swa")?.unwrap_or(10_000.0)),
        window: keys.window(None)?,
        window_period: keys.window_period(6)?,
        head_norms: true,
        post_norms: true,
        ..config
    })
}

/// Factor on the scores of a gemma; the model of `largest` layers takes the width a head, not the
/// head's.
pub(super) fn attention_scale(config: &Config, largest: usize) -> f32 {
    let width = if config.layers == largest {
        config.width / config.heads
    } else {
        config.head_width
    };
    1.0 / (width as f32).sqrt()
}
