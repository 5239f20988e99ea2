// SPDX-License-Identifier: Apache-2.0
//! What the end-to-end tests share: a node that they start and that dies with them, and short ways
//! to ask and to change its chain.

pub mod chain;
pub mod metrics;
pub mod node;
pub mod rounds;

pub use chain::Api;
pub use node::Node;
