// SPDX-License-Identifier: Apache-2.0
//! Qwen 2 with experts. All rows take one of them, as far as its own gate lets them.

use super::{keys::Keys, qwen2};
use crate::{
    config::{Config, Experts},
    Result,
};

pub(super) fn config(keys: &Keys<'_>) -> Result<Config> {
    let config = qwen2::config(keys)?;
    let shared = keys.optional("expert_shared_feed_forward_length")?;
    let experts = keys.experts(keys.expert_width(config.feed_forward)?, false)?;
    Ok(Config {
        feed_forward: shared
            .filter(|&width| width > 0)
            .unwrap_or(config.feed_forward),
        experts: Some(Experts {
            shared: true,
            ..experts
        }),
        ..config
    })
}
