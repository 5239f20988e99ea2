// SPDX-License-Identifier: Apache-2.0
//! Rewrites the specifications in this repository from the present presets of the runtime.
//!
//! `cargo run --release -p starling-chain-spec --bin refresh-chain-specs`

use std::{fs, path::Path};

use starling_chain_spec::{released_file, to_template, Chain};

fn main() -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for chain in Chain::RELEASED {
        let path = folder.join(released_file(chain));
        let json = to_template(&chain.specification()?)?;
        fs::write(&path, &json).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{} ({} bytes)", path.display(), json.len());
    }
    Ok(())
}
