// SPDX-License-Identifier: Apache-2.0
//! Qwen 2: queries, keys and values have biases.

use super::keys::Keys;
use crate::{
    config::{Config, RopePairs},
    Result,
};

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    Ok(Config {
        rope_pairs: RopePairs::Halves,
        ..keys.decoder()?
    })
}
