// SPDX-License-Identifier: Apache-2.0
//! Models and data for the tests. A model that is not in the store is fetched; a test whose model
//! or data cannot be had fails and says so.
#![allow(dead_code)]

use starling_engine::{
    backend::LocalBackend, gguf::Gguf, store::Store, tokenizer::Tokenizer, LoadOptions,
};
use std::{path::PathBuf, sync::Mutex};

pub const SMOLLM2: &str = "smollm2-135m-instruct";
pub const GEMMA3: &str = "gemma-3-270m";
pub const MODELS: [&str; 2] = [SMOLLM2, GEMMA3];

/// The path of a model, fetched if need be.
pub fn model(name: &str) -> PathBuf {
    // Tests run at the same time; only one of them needs to fetch.
    static FETCHING: Mutex<()> = Mutex::new(());
    let _fetching = FETCHING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
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

/// The folder of the evaluation data: `$STARLING_DATA`, or `shared/data` beside the repository.
pub fn data() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("STARLING_DATA").map_or_else(|| beside.into(), PathBuf::from);
    assert!(
        folder.is_dir(),
        "this test needs the evaluation data; name their folder with STARLING_DATA ({} is none)",
        folder.display()
    );
    folder
}
