// SPDX-License-Identifier: Apache-2.0

//! Model files: of the store, or named with their hash.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use starling_models::Store;
use starling_shards::transport::ModelId;

/// A model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFile {
    /// One of the store.
    Store {
        /// Its name there.
        name: String,
        /// The store's folder, unless it is the usual one.
        folder: Option<PathBuf>,
    },
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its SHA-256.
        sha256: String,
        /// The SHA-256 of the whole model, of which it is a part.
        of: Option<String>,
    },
}

impl ModelFile {
    /// The file after checking its hash.
    pub fn path(&self) -> Result<PathBuf, String> {
        match self {
            Self::Store { name, folder } => {
                let store = Store::open(folder.clone()).map_err(|error| error.to_string())?;
                store.path(name).map_err(|error| error.to_string())
            },
            Self::File { path, sha256, .. } => {
                verify(path, sha256)?;
                Ok(path.clone())
            },
        }
    }

    /// What other nodes know the model by: the SHA-256 that the file of the whole should have.
    pub fn id(&self) -> Result<ModelId, String> {
        match self {
            Self::Store { name, folder } => {
                let store = Store::open(folder.clone()).map_err(|error| error.to_string())?;
                let entry = store.entry(name).map_err(|error| error.to_string())?;
                digest(&entry.sha256)
            },
            Self::File { sha256, of, .. } => digest(of.as_ref().unwrap_or(sha256)),
        }
    }

    /// The model's name in the store, if it is from there.
    pub fn store_name(&self) -> Option<&str> {
        match self {
            Self::Store { name, .. } => Some(name),
            Self::File { .. } => None,
        }
    }
}

/// The bytes of 64 hexadecimal digits.
fn digest(hex: &str) -> Result<ModelId, String> {
    let digits = hex.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = digits.collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .filter(|_| hex.len() == 64)
        .ok_or_else(|| format!("{hex:?} is no SHA-256"))
}

/// Checks that the file has this hash.
fn verify(path: &Path, sha256: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
    }
    let found: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found.eq_ignore_ascii_case(sha256) {
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
    fn a_model_is_known_by_its_hash() {
        let sha256 = format!("0f{}", "Ab".repeat(31));
        let file = |sha256: &str| ModelFile::File {
            path: "m.gguf".into(),
            sha256: sha256.into(),
            of: None,
        };
        let mut expected = [0xab; 32];
        expected[0] = 0x0f;
        assert_eq!(file(&sha256).id(), Ok(expected));
        for wrong in ["", "0f", &sha256[1..], &format!("{}é", &sha256[2..])] {
            assert!(file(wrong).id().is_err(), "{wrong:?}");
        }
        let part = ModelFile::File {
            path: "part.gguf".into(),
            sha256: "00".repeat(32),
            of: Some(sha256),
        };
        assert_eq!(part.id(), Ok(expected));
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
