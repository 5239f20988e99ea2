// SPDX-License-Identifier: Apache-2.0
//! The parameters of each pallet, by theme.

mod accounts;
mod consensus;
mod governance;
mod offences;
mod protocol;
mod system;
mod votes;

pub use accounts::ToAuthor;
pub use governance::{ProxyType, TheCommittee};
pub use offences::{KeyOwnership, SessionOfAuthors};
pub use protocol::{MAX_PROMPT, MAX_RESPONSE};
pub use system::RuntimeBlockWeights;

use crate::{Balance, MILLI_UNIT};

/// Deposit for `items` entries of state with `bytes` bytes in all.
const fn deposit(items: u32, bytes: u32) -> Balance {
    (items as Balance)
        .saturating_mul(20 * MILLI_UNIT)
        .saturating_add((bytes as Balance).saturating_mul(MILLI_UNIT / 10))
}
