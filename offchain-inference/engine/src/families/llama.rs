// SPDX-License-Identifier: Apache-2.0
//! Llama and its like, Mixtral's experts included. Llama 3's factors of the rotary pairs are a
//! tensor, and need nothing here.
//!
//! A window in the metadata, as first Mistral models had, is ignored as llama.cpp does: two engines
//! must not compute different models from one file.

use super::keys::Keys;
use crate::{config::Config, Result};

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    let config = keys.decoder()?;
    let experts = match keys.optional("expert_count")? {
        None | Some(0) => None,
        Some(_) => Some(keys.experts(config.feed_forward, true)?),
    };
    Ok(Config { experts, ..config })
}
