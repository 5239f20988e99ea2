// SPDX-License-Identifier: Apache-2.0
//! The price of a ticket [4.1, figure 6].

use sp_arithmetic::Permill;

use crate::Balance;

/// `T = max(minimum, share · R)`, where `R` is the reward of the round.
///
/// One of `n` equal identities earns `R/n − T`: with `T = R/n`, it breaks even.
pub fn price(reward: Balance, share: Permill, minimum: Balance) -> Balance {
    share.mul_ceil(reward).max(minimum)
}
