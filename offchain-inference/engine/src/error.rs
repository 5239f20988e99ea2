// SPDX-License-Identifier: Apache-2.0
//! The engine's errors. Each message says what to do about it.

use std::path::PathBuf;

use crate::Device;

/// The engine's error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model file could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A model file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The obstacle.
        source: std::io::Error,
    },
    /// The file is not a GGUF file, is truncated, or contradicts itself.
    #[error("{path} is not a sound GGUF file: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The defect.
        reason: String,
    },
    /// An adapter that is unsound, or not one that this engine runs.
    #[error("the adapter {path} cannot be used: {reason}")]
    Adapter {
        /// The file or folder.
        path: PathBuf,
        /// The defect.
        reason: String,
    },
    /// An embedding model that is unsound, or not one that this engine runs.
    #[error("the embedding model {path} cannot be used: {reason}")]
    Embedder {
        /// The folder.
        path: PathBuf,
        /// The defect.
        reason: String,
    },
    /// A sound file that this engine cannot run.
    #[error("unsupported model: {0}")]
    Unsupported(String),
    /// The metadata lacks a key or holds a value that makes no sense.
    #[error("model metadata: {0}")]
    Metadata(String),
    /// No token to compute.
    #[error("the input is empty")]
    EmptyInput,
    /// The sequence would outgrow the model's context.
    #[error("the context holds {context} tokens; {needed} were asked for")]
    ContextFull {
        /// Tokens that the model can attend to.
        context: usize,
        /// Tokens that the sequence would have.
        needed: usize,
    },
    /// The key-value cache has no room left.
    #[error(
        "the cache of {capacity} bytes is full: {needed} more bytes are needed, {used} are in use"
    )]
    CacheFull {
        /// Bytes that all sessions of the model may use together.
        capacity: usize,
        /// Bytes in use.
        used: usize,
        /// Bytes that the call needs on top.
        needed: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocab}")]
    InvalidToken {
        /// The id.
        token: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// An argument's shape does not fit the model.
    #[error("{0}")]
    Shape(String),
    /// The loaded span of layers has no embedding or no head.
    #[error("layers {start}..{end} of this model were loaded, without the {part}")]
    NotInSpan {
        /// First loaded layer.
        start: usize,
        /// One past the last loaded layer.
        end: usize,
        /// The missing part.
        part: &'static str,
    },
    /// The system gave no memory or no thread.
    #[error("out of resources: {0}")]
    Resources(String),
    /// An earlier call panicked inside the engine; the model has to be loaded again.
    #[error("the engine failed in an earlier call; load the model again")]
    Poisoned,
    /// Other nodes could not compute their layers.
    #[error(transparent)]
    Remote(Box<dyn std::error::Error + Send + Sync>),
    /// A device that cannot be used.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// The device.
        device: Device,
        /// The missing requirement.
        reason: String,
    },
    /// An error of candle, on its device path.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;
