// SPDX-License-Identifier: Apache-2.0
//! The rules of who sits among the validators.

/// Number of `validators` that may fail or lie while GRANDPA stays safe and goes on.
pub fn tolerated(validators: u32) -> u32 {
    validators.saturating_sub(1) / 3
}
