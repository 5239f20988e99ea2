// SPDX-License-Identifier: Apache-2.0
//! Gemma 2: scores and logits are capped, every second layer slides, sublayers' outputs are normed.

use super::{gemma3::attention_scale, keys::Keys};
use crate::{
    config::{Activation, Config, Rope, RopePairs},
    Result,
};

/// Layers of the 27-billion model, which scales its scores differently.
const LAYERS_27B: usize = 46;

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    let config = keys.decoder()?;
    let base = keys.positive("rope.freq_base_swa")?;
    Ok(Config {
        attention_scale: attention_scale(&config, LAYERS_27B),
        attention_cap: Some(keys.positive("attn_logit_softcapping")?.unwrap_or(50.0)),
        logit_cap: Some(keys.positive("final_logit_softcapping")?.unwrap_or(30.0)),
        embedding_scale: (config.width as f32).sqrt(),
        activation: Activation::GeluTanh,
        rope_pairs: RopePairs::Halves,
        rope_local: Rope {
            base: base.unwrap_or(config.rope.base),
            ..config.rope
        },
        window: keys.window(Some(4096))?,
        window_period: keys.window_period(2)?,
        post_norms: true,
        ..config
    })
}
