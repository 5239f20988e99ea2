// SPDX-License-Identifier: Apache-2.0
//! Models across nodes: a node serves a span of a model's blocks to other agents, and a chain of
//! such spans is used as one model.
//!
//! The crate knows no chain and no network: who may speak comes through [`auth::Directory`], how
//! bytes travel through [`transport::Transport`].

pub mod auth;
pub mod code;
pub mod integrity;
pub mod routing;
pub mod transport;
