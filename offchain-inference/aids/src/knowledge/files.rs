// SPDX-License-Identifier: Apache-2.0

//! The text files of a folder.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Most files of a folder and its folders.
const MOST_FILES: usize = 4_096;

/// Most entries of one folder that are looked at.
const MOST_ENTRIES: usize = 65_536;

/// Most folders within each other.
const DEEPEST: usize = 16;

/// Ends of names of text files.
const TEXTS: [&str; 3] = ["txt", "md", "markdown"];

/// The state of a file that changes when its text does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: PathBuf,
    length: u64,
    changed: Option<SystemTime>,
}

/// A file that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub path: PathBuf,
    /// The reason.
    pub reason: String,
}

/// The text files under `folder`, by path, and what is left out of them.
///
/// Names that begin with a dot are passed over. Links are not followed: one into the folder leads to
/// a file that is there anyway, and one out of it to a file that nobody meant.
pub fn list(folder: &Path) -> io::Result<(Vec<Entry>, Vec<Skipped>)> {
    let mut listing = Listing::default();
    listing.read(fs::read_dir(folder)?, DEEPEST);
    listing.entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    listing.skipped.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok((listing.entries, listing.skipped))
}

#[derive(Default)]
struct Listing {
    entries: Vec<Entry>,
    skipped: Vec<Skipped>,
}

impl Listing {
    fn read(&mut self, folder: fs::ReadDir, deepest: usize) {
        let mut found: Vec<_> = folder.flatten().take(MOST_ENTRIES).collect();
        found.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in found {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // Of the entry itself, not of what a link leads to.
            match entry.metadata() {
                Ok(metadata) => self.add(path, &metadata, deepest),
                Err(error) => self.skip(path, error.to_string()),
            }
        }
    }

    fn add(&mut self, path: PathBuf, metadata: &Metadata, deepest: usize) {
        if metadata.is_dir() {
            match (deepest.checked_sub(1), fs::read_dir(&path)) {
                (Some(deepest), Ok(folder)) => self.read(folder, deepest),
                (None, _) => self.skip(path, format!("more than {DEEPEST} folders deep")),
                (_, Err(error)) => self.skip(path, error.to_string()),
            }
        } else if is_text(&path) {
            if metadata.is_symlink() {
                self.skip(path, "a link, which is not followed".into());
            } else if !metadata.is_file() {
                self.skip(path, "no regular file".into());
            } else if self.entries.len() >= MOST_FILES {
                self.skip(path, format!("there are more than {MOST_FILES} files"));
            } else {
                self.entries.push(Entry {
                    path,
                    length: metadata.len(),
                    changed: metadata.modified().ok(),
                });
            }
        }
    }

    fn skip(&mut self, path: PathBuf, reason: String) {
        // As bounded as the files themselves.
        if self.skipped.len() < MOST_FILES {
            self.skipped.push(Skipped { path, reason });
        }
    }
}

/// Whether the name of a file says that it is a text.
fn is_text(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str());
    end.is_some_and(|end| TEXTS.iter().any(|text| end.eq_ignore_ascii_case(text)))
}

/// The text of a file of at most `most` bytes. Fails with a reason if it has more, or is no text.
pub fn read(path: &Path, most: usize) -> Result<String, String> {
    let mut bytes = vec![];
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() > most {
        return Err(format!(
            "there is no room left for it: it has more than {most} bytes"
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("no text in UTF-8".into()),
    }
}
