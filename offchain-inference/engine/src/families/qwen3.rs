// SPDX-License-Identifier: Apache-2.0
//! Qwen 3: the queries and keys of each head are normed.

use super::keys::Keys;
use crate::{
    config::{Config, RopePairs},
    Result,
};

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    Ok(Config {
        rope_pairs: RopePairs::Halves,
        head_norms: true,
        ..keys.decoder()?
    })
}
