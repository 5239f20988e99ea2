// SPDX-License-Identifier: Apache-2.0
//! Runs GGUF language models on few cores: whole or in spans of layers, to generate and to rank.
//!
//! The engine knows no chain.

pub mod adapter;
pub mod backend;
mod cache;
pub mod candle;
pub mod chat;
pub mod config;
mod device;
mod draft;
pub mod drawing;
pub mod embedding;
mod error;
mod families;
#[cfg(test)]
mod fixtures;
pub mod generate;
pub mod gguf;
mod kernels;
mod model;
mod pool;
pub mod prompt;
pub mod rank;
mod requantise;
pub mod sampling;
pub mod tokenizer;
mod trunk;

pub use device::Device;
pub use error::{Error, Result};
pub use kernels::InstructionSet;
pub use model::{ActivationBits, Hidden, Input, LoadOptions, Model, Session, Step};
pub use requantise::{cut, requantise, WeightFormat};
pub use trunk::{Ends, Sequence, Trunk};
