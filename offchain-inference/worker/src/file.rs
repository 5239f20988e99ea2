// SPDX-License-Identifier: Apache-2.0

//! Model files: from the store, or named with their hash.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256 as Hasher};
use starling_models::Store;
use starling_shards::transport::ModelId;

use crate::config::Sha256;

/// A model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFile {
    /// A model of the store.
    Store {
        /// Its name in the store.
        name: String,
        /// Folder of the store, if it is not the default one.
        folder: Option<PathBuf>,
    },
    /// A file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// SHA-256 of the file.
        sha256: Sha256,
        /// SHA-256 of the whole model, if the file holds a part of it.
        of: Option<Sha256>,
    },
}

impl ModelFile {
    /// The path of the file, after checking its hash.
    pub fn path(&self) -> Result<PathBuf, String> {
        match self {
            Self::Store { name, folder } => {
                let store = Store::open(folder.clone()).map_err(|error| error.to_string())?;
                store.path(name).map_err(|error| error.to_string())
            },
            Self::File { path, sha256, .. } => {
                verify(path, *sha256)?;
                Ok(path.clone())
            },
        }
    }

    /// The name of the model among nodes: the SHA-256 of the file of the whole model.
    pub fn id(&self) -> Result<ModelId, String> {
        match self {
            Self::Store { name, folder } => {
                let store = Store::open(folder.clone()).map_err(|error| error.to_string())?;
                let entry = store.entry(name).map_err(|error| error.to_string())?;
                let sha256 = Sha256::from_hex(&entry.sha256);
                let Sha256(id) = sha256.ok_or("the store knows no SHA-256 of the model")?;
                Ok(id)
            },
            Self::File { sha256, of, .. } => Ok(of.unwrap_or(*sha256).0),
        }
    }

    /// The name of the model in the store; `None` for a file.
    pub fn store_name(&self) -> Option<&str> {
        match self {
            Self::Store { name, .. } => Some(name),
            Self::File { .. } => None,
        }
    }
}

/// Checks that a file has this hash.
fn verify(path: &Path, sha256: Sha256) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
    }
    let found = Sha256(hasher.finalize().into());
    if found == sha256 {
        Ok(())
    } else {
        Err(format!(
            "{} is corrupt or another file: its SHA-256 is {found} instead of {sha256}",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_the_hash_of_the_whole() {
        let file = |of| ModelFile::File {
            path: "m.gguf".into(),
            sha256: Sha256([1; 32]),
            of,
        };
        assert_eq!(file(None).id(), Ok([1; 32]));
        assert_eq!(file(Some(Sha256([2; 32]))).id(), Ok([2; 32]));
        let folder = tempfile::tempdir().unwrap();
        let stored = ModelFile::Store {
            name: "smollm2-135m-instruct".into(),
            folder: Some(folder.path().into()),
        };
        // Known, though nobody has fetched it.
        assert_eq!(stored.id().unwrap()[0], 0xb1);
        assert!(stored.path().unwrap_err().contains("fetch"));
    }
}
