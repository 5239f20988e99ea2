// SPDX-License-Identifier: Apache-2.0
//! Llama and its like: Llama 3's factors of the rotary pairs are a tensor, and need nothing here.
//!
//! A window in the metadata, as first Mistral models had, is ignored as llama.cpp does: two engines
//! must not compute different models from one file.

use super::keys::Keys;
use crate::{config::Config, Result};

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    keys.decoder()
}
