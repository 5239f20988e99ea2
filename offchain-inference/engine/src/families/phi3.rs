// SPDX-License-Identifier: Apache-2.0
//! Phi 3: one matrix for queries, keys and values, one for gate and up.
//!
//! A window in the metadata is ignored as llama.cpp does.

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
