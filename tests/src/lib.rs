// SPDX-License-Identifier: Apache-2.0
//! Shared parts of the end-to-end tests: a node that they start and that ends with them, and short
//! functions to query and to change its chain.

pub mod chain;
pub mod governance;
pub mod metrics;
pub mod node;
pub mod proxy;
pub mod rounds;
pub mod websocket;

pub use chain::Api;
pub use node::Node;
pub use websocket::WebSocket;
