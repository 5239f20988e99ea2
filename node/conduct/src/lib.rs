// SPDX-License-Identifier: Apache-2.0
//! Rules of a node for its machine and for a chain without finality.
//!
//! | module | content |
//! |---|---|
//! | `pace` | fewer blocks while finality stands still |
//! | `ports` | a clear error for a port in use |

// The errors of `sc-service` are large; they are made once, when the node ends.
#![allow(clippy::result_large_err)]

mod pace;
mod ports;

pub use pace::Pace;
pub use ports::{ensure_free, ensure_listening};
