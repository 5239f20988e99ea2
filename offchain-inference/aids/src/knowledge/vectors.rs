// SPDX-License-Identifier: Apache-2.0

//! Vectors of passages on disk, so that no passage is embedded twice.
//!
//! A vector is found by the hash of its passage. A file that changes therefore needs no bookkeeping:
//! its new passages have no vectors yet, and those of its old ones are left out when the file of
//! vectors is written again.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// A SHA-256.
pub type Key = [u8; 32];

/// First bytes of the file; the last of them is the version.
const MAGIC: &[u8; 16] = b"starling vector\x01";

/// The key of a passage.
pub fn key(passage: &str) -> Key {
    Sha256::digest(passage).into()
}

/// Vectors of one embedding model, by passage.
#[derive(Default)]
pub struct Vectors(HashMap<Key, Vec<f32>>);

impl Vectors {
    /// Reads the vectors of a model. A file that is missing, damaged, of another model or larger than
    /// `most` vectors is as good as none: they are computed again.
    pub fn read(path: &Path, model: Key, width: usize, most: usize) -> Self {
        Self::try_read(path, model, width, most).unwrap_or_default()
    }

    fn try_read(path: &Path, model: Key, width: usize, most: usize) -> Option<Self> {
        let row = width.checked_mul(4)?.checked_add(size_of::<Key>())?;
        let frame = MAGIC
            .len()
            .checked_add(2usize.checked_mul(size_of::<Key>())?)?;
        let limit = row.checked_mul(most)?.checked_add(frame)?;
        let file = File::open(path).ok()?;
        let mut bytes = vec![];
        let limit = u64::try_from(limit).ok()?;
        file.take(limit.checked_add(1)?)
            .read_to_end(&mut bytes)
            .ok()?;
        if u64::try_from(bytes.len()).ok()? > limit {
            return None;
        }
        let (content, sum) = bytes.split_last_chunk::<32>()?;
        if Key::from(Sha256::digest(content)) != *sum {
            return None;
        }
        let rows = content.strip_prefix(MAGIC)?.strip_prefix(&model)?;
        if !rows.len().is_multiple_of(row) {
            return None;
        }
        let vectors = rows.chunks_exact(row).map(|row| {
            let (key, values) = row.split_first_chunk::<32>()?;
            let values = values.as_chunks::<4>().0.iter();
            let values: Vec<f32> = values.map(|four| f32::from_le_bytes(*four)).collect();
            values
                .iter()
                .all(|x| x.is_finite())
                .then_some((*key, values))
        });
        Some(Self(vectors.collect::<Option<_>>()?))
    }

    /// Writes the vectors of a model to a file. A reader sees the old or the new file, whole.
    pub fn write(&self, path: &Path, model: Key) -> io::Result<()> {
        let mut content = [MAGIC.as_slice(), &model].concat();
        for (key, values) in &self.0 {
            content.extend_from_slice(key);
            content.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        let sum: Key = Sha256::digest(&content).into();
        content.extend_from_slice(&sum);
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(&content)?;
        file.persist(path)?;
        Ok(())
    }

    /// The vector of a passage.
    pub fn get(&self, key: &Key) -> Option<&[f32]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// Sets the vector of a passage.
    pub fn insert(&mut self, key: Key, vector: Vec<f32>) {
        self.0.insert(key, vector);
    }

    /// Removes the vectors of all other passages. Returns whether there were any.
    pub fn retain(&mut self, is_known: impl Fn(&Key) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|key, _| is_known(key));
        self.0.len() < before
    }
}

/// The cosine of two vectors of length 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MODEL: Key = [7; 32];

    #[test]
    fn vectors_survive_on_disk_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors");
        let read = |model, most| Vectors::read(&path, model, 2, most);
        assert!(read(MODEL, 9).0.is_empty());
        let mut vectors = Vectors::default();
        vectors.insert(key("one"), vec![0.6, 0.8]);
        vectors.insert(key("two"), vec![1.0, 0.0]);
        vectors.write(&path, MODEL).unwrap();
        assert_eq!(read(MODEL, 2).get(&key("one")), Some(&[0.6, 0.8][..]));
        // Of another model, of another width, too many.
        assert!(read([8; 32], 2).0.is_empty());
        assert!(Vectors::read(&path, MODEL, 3, 9).0.is_empty());
        assert!(read(MODEL, 1).0.is_empty());
        let whole = fs::read(&path).unwrap();
        for at in [0, 20, 60, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert!(read(MODEL, 2).0.is_empty(), "{at}");
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(read(MODEL, 2).0.is_empty());
        assert!(vectors.retain(|known| *known == key("one")));
        assert!(!vectors.retain(|known| *known == key("one")));
        assert_eq!(vectors.get(&key("two")), None);
    }
}
