// SPDX-License-Identifier: Apache-2.0
//! A folder of metadata, so that each of a client's runs need not fetch it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use subxt::{
    config::{substrate::BlakeTwo256, Hasher},
    rpcs::client::RawValue,
};

/// The most files in the folder.
const MOST_FILES: usize = 16;

/// Files with parts of the metadata. Each is named by the node that told it, by the code that it
/// describes and by the part, and begins with its own hash. What one node told is never used with
/// another node.
pub struct Folder {
    path: PathBuf,
    node: String,
}

impl Folder {
    /// The files of the node at an address.
    pub fn new(path: &Path, url: &str) -> Self {
        Self {
            path: path.to_owned(),
            node: url.to_owned(),
        }
    }

    fn file(&self, code: &str, part: &str) -> PathBuf {
        let name = hash(&format!("{}\n{code}\n{part}", self.node));
        self.path.join(name)
    }

    /// A part of the metadata of this code, if it is there and whole.
    pub fn read(&self, code: &str, part: &str) -> Option<Box<RawValue>> {
        let text = fs::read_to_string(self.file(code, part)).ok()?;
        let (told, answer) = text.split_once('\n')?;
        if told != hash(answer) {
            return None;
        }
        RawValue::from_string(answer.to_owned()).ok()
    }

    /// Keeps a part of the metadata. Where that fails, the next run fetches it again.
    pub fn write(&self, code: &str, part: &str, answer: &str) {
        let _ = self.try_write(&self.file(code, part), answer);
    }

    fn try_write(&self, file: &Path, answer: &str) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        // Another process may write the same file.
        let new = file.with_extension(std::process::id().to_string());
        fs::write(&new, format!("{}\n{answer}", hash(answer)))?;
        fs::rename(&new, file)?;
        self.remove_oldest()
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let mut files = vec![];
        for file in fs::read_dir(&self.path)? {
            let file = file?;
            files.push((file.metadata()?.modified()?, file.path()));
        }
        files.sort();
        let surplus = files.len().saturating_sub(MOST_FILES);
        let mut oldest = files.iter().take(surplus);
        oldest.try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn hash(text: &str) -> String {
    format!("{:?}", BlakeTwo256.hash(text.as_bytes()))
}
