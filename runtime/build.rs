// SPDX-License-Identifier: Apache-2.0
//! Compiles the runtime to WebAssembly, so that `WASM_BINARY` is part of the native crate.

fn main() {
    // Clippy needs no binary, and one made under its wrapper would look newer than the proper one:
    // either would make Cargo repeat the other.
    if std::env::var_os("CLIPPY_ARGS").is_some() {
        // SAFETY: a build script has one thread.
        std::env::set_var("SKIP_WASM_BUILD", "1");
    }

    #[cfg(all(feature = "std", not(feature = "metadata-hash")))]
    substrate_wasm_builder::WasmBuilder::build_using_defaults();

    #[cfg(all(feature = "std", feature = "metadata-hash"))]
    substrate_wasm_builder::WasmBuilder::init_with_defaults()
        .enable_metadata_hash("STAR", 12)
        .build();
}
