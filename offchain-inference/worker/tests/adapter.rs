// SPDX-License-Identifier: Apache-2.0
//! Adapters in the configuration of an agent.

use std::{fs, path::Path};

use starling_worker::config::{Config, Source};

/// A PEFT folder with one matrix of one layer.
fn adapter(folder: &Path, metadata: &str) {
    let name =
        |half: &str| format!("base_model.model.model.layers.0.mlp.up_proj.lora_{half}.weight");
    let header = format!(
        r#"{{"__metadata__": {{{metadata}}},
            "{}": {{"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}},
            "{}": {{"dtype": "F32", "shape": [2, 1], "data_offsets": [8, 16]}}}}"#,
        name("A"),
        name("B"),
    );
    let length = (header.len() as u64).to_le_bytes();
    let weights = [length.as_slice(), header.as_bytes(), &[0; 16]].concat();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("adapter_model.safetensors"), weights).unwrap();
    let settings =
        r#"{"peft_type": "LORA", "r": 1, "lora_alpha": 2, "target_modules": ["up_proj"]}"#;
    fs::write(folder.join("adapter_config.json"), settings).unwrap();
}

#[test]
fn an_adapter_is_read_with_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    let load = |module: &str| {
        let text = format!("accounts = [\"Alice\"]\n[[primary]]\n{module}");
        fs::write(&path, text).unwrap();
        Config::load(&path).map_err(|error| error.to_string())
    };
    adapter(&folder.path().join("unknown"), "");
    let base = format!(r#""starling.base_sha256": "{}""#, "0a".repeat(32));
    adapter(&folder.path().join("known"), &base);

    let config = load("model = \"m\"\nadapter = \"known\"").unwrap();
    let Source::Store(store) = &config.primary[0].source else {
        panic!("{config:?}");
    };
    assert_eq!(store.means.adapter, Some(folder.path().join("known")));
    let hash = "0".repeat(64);
    let file = format!("path = \"m.gguf\"\nsha256 = {hash:?}\nadapter = \"unknown\"");
    load(&format!("{file}\nbase_unknown = true")).unwrap();
    for (module, named) in [
        (file.as_str(), "base_unknown"),
        ("model = \"m\"\nadapter = \"none\"", "none"),
        (
            "model = \"m\"\nadapter = \"known\"\ndevice = \"candle\"",
            "candle",
        ),
        ("model = \"m\"\nbase_unknown = true", "`adapter`"),
        ("model = \"m\"\nadapter = 3", "integer `3`"),
        (
            "model = \"m\"\nshards = true\nadapter = \"known\"",
            "adapter",
        ),
        (
            "url = \"http://a/v1\"\nmodel = \"m\"\nadapter = \"known\"",
            "adapter",
        ),
    ] {
        let error = load(module).unwrap_err();
        assert!(error.contains(named), "{module}: {error}");
    }
}
