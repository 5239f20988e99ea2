// SPDX-License-Identifier: Apache-2.0
//! Writes the released specifications anew, on the runtime as it is now.
//!
//! `cargo run --release -p starling-chain-spec --bin refresh-chain-specs`

use std::{fs, path::Path};

use starling_chain_spec::{released_file, to_json, Chain};

fn main() -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for chain in Chain::RELEASED {
        let specification = chain.specification()?;
        for raw in [false, true] {
            let path = folder.join(released_file(chain, raw));
            let json = to_json(&specification, raw)?;
            fs::write(&path, &json).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{} ({} bytes)", path.display(), json.len());
        }
    }
    Ok(())
}
