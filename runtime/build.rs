// SPDX-License-Identifier: Apache-2.0
//! Compiles the runtime to WebAssembly, so that `WASM_BINARY` is part of the native crate.

fn main() {
    #[cfg(all(feature = "std", not(feature = "metadata-hash")))]
    starling_runtime_builder::run(starling_runtime_builder::WasmBuilder::build_using_defaults);

    #[cfg(all(feature = "std", feature = "metadata-hash"))]
    starling_runtime_builder::run(|| {
        starling_runtime_builder::WasmBuilder::init_with_defaults()
            .enable_metadata_hash("STAR", 12)
            .build();
    });
}
