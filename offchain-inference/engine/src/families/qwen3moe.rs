// SPDX-License-Identifier: Apache-2.0
//! Qwen 3 with experts.

use super::{keys::Keys, qwen3};
use crate::{config::Config, Result};

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    let config = qwen3::config(keys)?;
    let width = keys.expert_width(config.feed_forward)?;
    Ok(Config {
        feed_forward: width,
        experts: Some(keys.experts(width, true)?),
        ..config
    })
}
