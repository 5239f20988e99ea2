// SPDX-License-Identifier: Apache-2.0
//! The interface of the crate `wasm-opt` that `substrate-wasm-builder` uses, without Binaryen
//! behind it.
//!
//! The builder asks for three things and no optimisation: the shortest encoding of the linker's
//! output, no debug sections, and no instruction beyond the first version of WebAssembly. Binaryen
//! takes ten minutes of one core to compile for that. For the target `wasm32v1-none` the linker
//! writes no such instruction, so a module with one is refused instead of rewritten.

mod encode;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A pass that the builder asks for. Every run includes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Removes the debug sections.
    StripDwarf,
    /// Checks that no sign-extending instruction is left.
    SignextLowering,
}

/// Reasons why a module was not rewritten.
#[derive(Debug, thiserror::Error)]
pub enum OptimizationError {
    /// The module cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The module is not valid, or needs more than the first version of WebAssembly.
    #[error("the module is not one of WebAssembly's first version: {0}")]
    Invalid(#[from] wasmparser::BinaryReaderError),
    /// The module cannot be encoded.
    #[error("the module cannot be encoded: {0}")]
    Encode(String),
    /// The module cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The options of a run, under the names that the builder calls. None of them has any effect here.
#[derive(Clone, Debug, Default)]
pub struct OptimizationOptions(());

impl OptimizationOptions {
    /// Options without optimisation.
    #[must_use]
    pub fn new_opt_level_0() -> Self {
        Self::default()
    }

    /// Refuses instructions beyond the first version of WebAssembly.
    pub fn mvp_features_only(&mut self) -> &mut Self {
        self
    }

    /// Keeps the names of functions, which the executor shows if the runtime panics.
    pub fn debug_info(&mut self, _keep: bool) -> &mut Self {
        self
    }

    /// Asks for a pass, which is part of every run anyway.
    pub fn add_pass(&mut self, _pass: Pass) -> &mut Self {
        self
    }

    /// Rewrites the module in the file `from` to the file `to`, which may be the same.
    ///
    /// # Errors
    /// Fails if the module is not of WebAssembly's first version, or a file fails. `to` is then
    /// unchanged.
    pub fn run(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<(), OptimizationError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let module = fs::read(from).map_err(|source| OptimizationError::Read {
            path: from.into(),
            source,
        })?;
        let compact = encode::compact(&module)?;
        fs::write(to, compact).map_err(|source| OptimizationError::Write {
            path: to.into(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_refused_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runtime.wasm");
        fs::write(&file, "not a module").unwrap();
        let result = OptimizationOptions::new_opt_level_0()
            .mvp_features_only()
            .debug_info(true)
            .add_pass(Pass::StripDwarf)
            .add_pass(Pass::SignextLowering)
            .run(&file, &file);
        assert!(matches!(result, Err(OptimizationError::Invalid(_))));
        assert_eq!(fs::read(&file).unwrap(), b"not a module");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.wasm");
        let error = OptimizationOptions::new_opt_level_0()
            .run(&missing, &missing)
            .unwrap_err();
        assert!(error.to_string().contains("missing.wasm"), "{error}");
    }
}
