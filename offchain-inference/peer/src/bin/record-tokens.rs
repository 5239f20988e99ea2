// SPDX-License-Identifier: Apache-2.0
//! Records llama.cpp's tokens for the tests of the engine's tokenizers.
//!
//! `record-tokens MODEL.gguf TEXTS.json DATA_FOLDER > FIXTURE.json`
//!
//! TEXTS.json holds an array of strings; the fixture has the tokens of each, with special tokens
//! recognised and not. Of the evaluation data, which are not to be copied, it has the number of
//! tokens and a SHA-256 for each file: over the tokens of each line as little-endian u32, each line
//! closed by `u32::MAX`.

use llama_cpp_sys_2 as sys;
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, error::Error, ffi::CString, fs, path::Path};

struct Vocab {
    model: *mut sys::llama_model,
    vocab: *const sys::llama_vocab,
}

impl Vocab {
    fn load(path: &str) -> Result<Self, Box<dyn Error>> {
        let path_c = CString::new(path)?;
        // SAFETY: the path is a C string, and the pointers are checked before use.
        unsafe {
            sys::llama_backend_init();
            let mut params = sys::llama_model_default_params();
            params.vocab_only = true;
            let model = sys::llama_model_load_from_file(path_c.as_ptr(), params);
            if model.is_null() {
                return Err(format!("llama.cpp cannot load {path}").into());
            }
            Ok(Self {
                model,
                vocab: sys::llama_model_get_vocab(model),
            })
        }
    }

    fn tokens(&self, text: &str, parse_special: bool) -> Result<Vec<i32>, Box<dyn Error>> {
        let mut tokens = vec![0; text.len() + 8];
        // SAFETY: lengths are those of the buffers.
        let n = unsafe {
            sys::llama_tokenize(
                self.vocab,
                text.as_ptr().cast(),
                text.len().try_into()?,
                tokens.as_mut_ptr(),
                tokens.len().try_into()?,
                true,
                parse_special,
            )
        };
        tokens.truncate(usize::try_from(n).map_err(|_| "llama.cpp wants a larger buffer")?);
        Ok(tokens)
    }
}

impl Drop for Vocab {
    fn drop(&mut self) {
        // SAFETY: loaded by `load` and not freed elsewhere.
        unsafe { sys::llama_model_free(self.model) }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [model, texts, data] = &args[..] else {
        return Err("usage: record-tokens MODEL.gguf TEXTS.json DATA_FOLDER".into());
    };
    let vocab = Vocab::load(model)?;
    let texts: Vec<String> = serde_json::from_str(&fs::read_to_string(texts)?)?;
    let all = |special| -> Result<Vec<_>, Box<dyn Error>> {
        texts
            .iter()
            .map(|text| vocab.tokens(text, special))
            .collect()
    };
    let mut files: BTreeMap<String, Value> = BTreeMap::new();
    for entry in fs::read_dir(Path::new(data))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|e| e == "txt" || e == "json" || e == "jsonl")
        {
            let mut hasher = Sha256::new();
            let mut count = 0;
            for line in fs::read_to_string(&path)?.lines() {
                let tokens = vocab.tokens(line, false)?;
                count += tokens.len();
                tokens
                    .iter()
                    .for_each(|token| hasher.update(token.to_le_bytes()));
                hasher.update(u32::MAX.to_le_bytes());
            }
            let digest: String = hasher
                .finalize()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.insert(name, json!({ "tokens": count, "sha256": digest }));
        }
    }
    let fixture = json!({ "literal": all(false)?, "parsed": all(true)?, "files": files });
    println!("{}", serde_json::to_string(&fixture)?);
    Ok(())
}
