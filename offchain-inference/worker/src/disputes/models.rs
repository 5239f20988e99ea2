// SPDX-License-Identifier: Apache-2.0

//! The models that a node holds whole, by its configuration.

use std::collections::BTreeMap;

use starling_evidence::ModelId;

use crate::{
    config::{Config, Source},
    file::ModelFile,
};

/// Most models that an agent names on the chain.
const MOST: usize = 8;

/// The files of whole models that the configuration names, as far as they are there. Reads and hashes
/// each file.
pub fn held(config: &Config) -> BTreeMap<ModelId, ModelFile> {
    if !config.disputes {
        return BTreeMap::new();
    }
    let store = config.store.as_deref();
    let served = config.serve.iter().map(|serve| serve.weights.file(store));
    let primary = config
        .primary
        .iter()
        .filter_map(|primary| match &primary.source {
            Source::Store(own) => Some(ModelFile::Store {
                name: own.model.clone(),
                folder: config.store.clone(),
            }),
            Source::File(own) => Some(ModelFile::File {
                path: own.path.clone(),
                sha256: own.sha256,
                of: None,
            }),
            Source::Shards(shards) => Some(shards.weights.file(store)),
            Source::Patterns(_) | Source::Endpoint(_) => None,
        });
    let mut files = BTreeMap::new();
    for file in served.chain(primary).filter(is_whole) {
        match file.id() {
            Ok(id) if files.len() < MOST && !files.contains_key(&id) && file.path().is_ok() => {
                files.insert(id, file);
            },
            _ => {},
        }
    }
    files
}

fn is_whole(file: &ModelFile) -> bool {
    matches!(
        file,
        ModelFile::Store { .. } | ModelFile::File { of: None, .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::fs;

    #[test]
    fn whole_models_that_are_there_are_held_unless_the_operator_says_no() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whole.gguf");
        fs::write(&path, "weights").unwrap();
        let hash: [u8; 32] = Sha256::digest("weights").into();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let zeros = "0".repeat(64);
        let config = |disputes: bool| -> Config {
            toml::from_str(&format!(
                "disputes = {disputes}\n\
                 [[serve]]\npath = {path:?}\nsha256 = {hex:?}\nlayers = \"0..1\"\n\
                 [[serve]]\npath = {path:?}\nsha256 = {hex:?}\nof = {zeros:?}\nlayers = \"1..2\"\n\
                 [[serve]]\npath = \"missing.gguf\"\nsha256 = {zeros:?}\n\
                 [[primary]]\npath = {path:?}\nsha256 = {hex:?}\n"
            ))
            .unwrap()
        };
        let files = held(&config(true));
        assert_eq!(files.keys().collect::<Vec<_>>(), [&hash]);
        assert!(held(&config(false)).is_empty());
    }
}
