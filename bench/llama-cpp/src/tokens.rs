// SPDX-License-Identifier: Apache-2.0
//! llama.cpp's tokens for the tests of the engine's tokenizers.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{json, Value};
use sha2::{Digest, Sha256};

use crate::{llama_cpp::LlamaCpp, Outcome};

/// Writes the tokens of each of the strings in `texts`, with special tokens recognised and not. The
/// evaluation data must not be copied. For each of their files it writes the number of tokens and a
/// SHA-256: over the tokens of each line as little-endian u32, each line closed by `u32::MAX`.
pub fn record(model: &Path, texts: &Path, data: &Path, out: &Path) -> Outcome<()> {
    let llama_cpp = LlamaCpp::load_vocabulary(model)?;
    let texts: Vec<String> = serde_json::from_str(&fs::read_to_string(texts)?)?;
    let all = |special| -> Outcome<Vec<_>> {
        texts
            .iter()
            .map(|text| llama_cpp.tokenize(text, special))
            .collect()
    };
    let mut files: BTreeMap<String, Value> = BTreeMap::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|e| e == "txt" || e == "json" || e == "jsonl")
        {
            let mut hasher = Sha256::new();
            let mut count = 0;
            for line in fs::read_to_string(&path)?.lines() {
                let tokens = llama_cpp.tokenize(line, false)?;
                count += tokens.len();
                for token in tokens {
                    hasher.update(token.to_le_bytes());
                }
                hasher.update(u32::MAX.to_le_bytes());
            }
            let digest = hasher.finalize();
            let digest: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.insert(
                name.into_owned(),
                json!({ "tokens": count, "sha256": digest }),
            );
        }
    }
    let fixture = json!({ "literal": all(false)?, "parsed": all(true)?, "files": files });
    fs::write(out, serde_json::to_string(&fixture)? + "\n")?;
    println!(
        "{} strings, {} files → {}",
        texts.len(),
        files.len(),
        out.display()
    );
    Ok(())
}
