// SPDX-License-Identifier: Apache-2.0
//! Compiles a runtime to WebAssembly, for build scripts.
//!
//! The bytes do not depend on the folders of the checkout, of the target and of Cargo's home. So
//! anybody can rebuild the runtime of a chain. For this, a build script that calls [`run`] is also
//! the wrapper that Cargo calls instead of the compiler.

mod wrapper;

use std::{env, process};

pub use substrate_wasm_builder::WasmBuilder;

/// Argument that tells packages compiled by the wrapper from others in the same target folder.
/// Raise the number when the wrapper changes the compiler's output, because Cargo does not see such
/// a change.
const COMPILED_BY: &str = "--cfg starling_runtime_builder_1";

/// The whole of a build script: runs `build` with the wrapper in place, or acts as the wrapper.
pub fn run<T>(build: impl FnOnce() -> T) -> T {
    let mut arguments = env::args_os().skip(1);
    if let Some(compiler) = arguments.next() {
        process::exit(wrapper::compile(&compiler, arguments));
    }

    // A build script has one thread, so it may change its environment.
    //
    // Clippy needs no binary. A binary made under its wrapper would look newer than the proper one,
    // and Cargo would repeat one build after the other.
    if env::var_os("CLIPPY_ARGS").is_some() {
        env::set_var("SKIP_WASM_BUILD", "1");
    }
    let this = env::current_exe().expect("a program that runs has a path");
    env::set_var("RUSTC_WRAPPER", this);
    env::remove_var("RUSTC_WORKSPACE_WRAPPER");
    if let Some(argument) = wrapper::standard_library() {
        env::set_var(wrapper::STANDARD_LIBRARY, argument);
    }
    let flags = env::var("WASM_BUILD_RUSTFLAGS").unwrap_or_default();
    env::set_var("WASM_BUILD_RUSTFLAGS", format!("{COMPILED_BY} {flags}"));
    build()
}
