// SPDX-License-Identifier: Apache-2.0
//! Models and data for the tests. A model that is not in the store is fetched; a test whose model
//! is missing fails and says so. The end-to-end tests of the swarm share this folder.
#![allow(dead_code)]

pub mod server;

use starling_engine::{backend::LocalBackend, gguf::Gguf, tokenizer::Tokenizer, LoadOptions};
use starling_models::Store;
use std::{
    fs::File,
    path::{Path, PathBuf},
};

pub const SMOLLM2: &str = "smollm2-135m-instruct";
pub const GEMMA3: &str = "gemma-3-270m";
pub const MODELS: [&str; 2] = [SMOLLM2, GEMMA3];

/// The path of a model, fetched if need be.
pub fn model(name: &str) -> PathBuf {
    // Tests run at the same time, in processes of their own; only one of them needs to fetch.
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fetching.lock");
    let lock = File::create(lock).unwrap();
    lock.lock().unwrap();
    let store = Store::open(None).expect("the model store opens");
    store.fetch(name, &mut ()).unwrap_or_else(|error| {
        panic!("model {name} is needed for this test and cannot be fetched: {error}")
    })
}

pub fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_gguf(Gguf::open(&model(name)).unwrap().metadata()).unwrap()
}

pub fn backend(name: &str) -> LocalBackend {
    backend_with(name, &LoadOptions::default())
}

pub fn backend_with(name: &str, options: &LoadOptions) -> LocalBackend {
    LocalBackend::load(&model(name), options).unwrap()
}

/// The folder of the evaluation data that `scripts/data` fetches: `$STARLING_DATA`; `None` if that
/// is not set.
pub fn data() -> Option<PathBuf> {
    std::env::var_os("STARLING_DATA").map(PathBuf::from)
}
