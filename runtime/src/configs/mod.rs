// SPDX-License-Identifier: Apache-2.0
//! The parameters of each pallet, by theme.

mod accounts;
mod consensus;
mod governance;
mod system;

pub use accounts::ToAuthor;
pub use governance::ProxyType;
pub use system::RuntimeBlockWeights;
