// SPDX-License-Identifier: Apache-2.0
//! Runs GGUF language models on few cores: whole or in spans of blocks, to generate and to rank.
//!
//! The engine knows no chain.

mod cache;
pub mod config;
mod error;
pub mod gguf;
mod kernels;
mod model;
mod pool;
mod requantise;

pub use error::{Error, Result};
pub use kernels::InstructionSet;
pub use model::{Hidden, Input, LoadOptions, Model, Session, Step};
pub use requantise::{requantise, WeightFormat};
