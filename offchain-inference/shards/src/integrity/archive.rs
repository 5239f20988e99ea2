// SPDX-License-Identifier: Apache-2.0
//! Evidence on disk: one synced file per case, within a fixed amount of room.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use codec::Encode;
use sha2::{Digest as _, Sha256};

use super::{Case, Evidence};

/// Extension of a case's file.
const EXTENSION: &str = "evidence";

/// Extension of a file that is being written.
const UNFINISHED: &str = "unfinished";

/// Digest of the two agents, in either order, and of the model.
fn parties(case: &Case) -> [u8; 32] {
    let Evidence { first, second } = &case.evidence;
    let mut accounts = [first.claim.account, second.claim.account];
    accounts.sort_unstable();
    Sha256::digest((accounts, first.claim.body.model).encode()).into()
}

/// A file name that sorts by time and identifies the parties.
fn name(case: &Case) -> String {
    let short = |digest: &[u8]| -> String {
        let bytes = digest.iter().take(6);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    };
    let digest = Sha256::digest(case.evidence.encode());
    let (parties, digest) = (short(&parties(case)), short(&digest));
    format!("{:013}-{parties}-{digest}.{EXTENSION}", case.found)
}

/// Limits of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Maximum number of cases.
    pub cases: usize,
    /// Maximum number of bytes of all cases together.
    pub bytes: u64,
    /// Maximum number of cases between the same two agents about the same model. The newest stay:
    /// courts judge no old ones.
    pub of_a_pair: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            cases: 256,
            bytes: 512 << 20,
            of_a_pair: 4,
        }
    }
}

/// A folder of cases.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
    room: Room,
}

/// A file of an archive.
struct Entry {
    name: String,
    bytes: u64,
}

impl Archive {
    /// The archive in `folder`, which is created with the first case.
    pub fn new(folder: impl Into<PathBuf>, room: Room) -> Self {
        Self {
            folder: folder.into(),
            room,
        }
    }

    /// The archive's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stores a case and returns its path once it is on disk. The oldest cases make room for it.
    /// Returns `None` if the case is too large for the archive.
    pub fn store(&self, case: &Case) -> io::Result<Option<PathBuf>> {
        fs::create_dir_all(&self.folder)?;
        let content = case.to_bytes();
        let new = Entry {
            name: name(case),
            bytes: content.len() as u64,
        };
        let entries = self.entries()?;
        let Some(gone) = make_room(&entries, &new, self.room) else {
            return Ok(None);
        };
        for entry in gone {
            fs::remove_file(self.folder.join(&entry.name))?;
        }
        let path = self.folder.join(&new.name);
        let unfinished = path.with_extension(UNFINISHED);
        let mut options = OpenOptions::new();
        // Prompts are private to their owner, so only the owner may read the file.
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let written = options.open(&unfinished).and_then(|mut file| {
            file.write_all(&content)?;
            file.sync_all()
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(Some(path))
    }

    /// Paths of the cases, oldest first.
    pub fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let entries = self.entries()?.into_iter();
        Ok(entries.map(|entry| self.folder.join(entry.name)).collect())
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = vec![];
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let Ok(name) = file.file_name().into_string() else {
                continue;
            };
            if Path::new(&name).extension() == Some(OsStr::new(EXTENSION)) {
                let bytes = file.metadata()?.len();
                entries.push(Entry { name, bytes });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// The entries to remove so that `new` fits; `None` if it may not be stored. `entries` are sorted
/// by age, oldest first.
fn make_room<'a>(entries: &'a [Entry], new: &Entry, room: Room) -> Option<Vec<&'a Entry>> {
    // The middle part of a name identifies the parties.
    fn parties(name: &str) -> Option<&str> {
        name.split('-').nth(1)
    }
    if new.bytes > room.bytes || room.cases == 0 || room.of_a_pair == 0 {
        return None;
    }
    let is_own = |entry: &&Entry| parties(&entry.name) == parties(&new.name);
    let own = entries.iter().filter(is_own).count();
    let mut of_pair = (own + 1).saturating_sub(room.of_a_pair);
    let (mut gone, mut kept) = (vec![], vec![]);
    for entry in entries {
        if of_pair > 0 && is_own(&entry) {
            of_pair -= 1;
            gone.push(entry);
        } else {
            kept.push(entry);
        }
    }
    let (mut cases, mut bytes) = (
        kept.len(),
        kept.iter().map(|entry| entry.bytes).sum::<u64>(),
    );
    for entry in kept {
        if cases < room.cases && bytes + new.bytes <= room.bytes {
            break;
        }
        cases -= 1;
        bytes -= entry.bytes;
        gone.push(entry);
    }
    Some(gone)
}

#[cfg(test)]
mod tests {
    use super::{super::evidence::tests::conflict, *};
    use std::os::unix::fs::PermissionsExt;

    fn case(found: u64, agents: [u8; 2]) -> Case {
        let (mut evidence, exhibit) = conflict();
        evidence.first.claim.account = [agents[0]; 32];
        evidence.second.claim.account = [agents[1]; 32];
        Case {
            network: [7; 32],
            found,
            evidence,
            exhibit,
        }
    }

    fn archive(room: Room) -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().join("evidence"), room);
        (folder, archive)
    }

    fn kept(archive: &Archive) -> Vec<u64> {
        let paths = archive.paths().unwrap();
        paths.iter().map(|p| Case::read(p).unwrap().found).collect()
    }

    #[test]
    fn a_case_is_read_as_it_was_stored_and_by_its_owner_alone() {
        let (_folder, archive) = archive(Room::default());
        let case = case(5, [1, 2]);
        let path = archive.store(&case).unwrap().unwrap();
        assert_eq!(Case::read(&path).unwrap(), case);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Another process finds the same cases.
        let again = Archive::new(archive.folder(), Room::default());
        assert_eq!(again.paths().unwrap(), [path]);
        assert_eq!(fs::read_dir(archive.folder()).unwrap().count(), 1);
    }

    #[test]
    fn a_pair_of_agents_fills_its_own_room_with_its_newest_cases() {
        let (_folder, archive) = archive(Room {
            of_a_pair: 2,
            ..Room::default()
        });
        let stored = |found, agents| archive.store(&case(found, agents)).unwrap().is_some();
        assert!(stored(1, [1, 2]) && stored(2, [1, 3]) && stored(3, [2, 1]));
        assert_eq!(kept(&archive), [1, 2, 3]);
        // In whatever order they are named.
        assert!(stored(4, [1, 2]));
        assert_eq!(kept(&archive), [2, 3, 4]);
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let (_folder, archive) = archive(Room {
            cases: 2,
            ..Room::default()
        });
        for found in 1..=4 {
            archive.store(&case(found, [0, found as u8])).unwrap();
        }
        assert_eq!(kept(&archive), [3, 4]);

        let bytes = case(5, [0, 5]).to_bytes().len() as u64;
        let with_bytes = |bytes| {
            Archive::new(
                archive.folder(),
                Room {
                    bytes,
                    ..Room::default()
                },
            )
        };
        let tight = with_bytes(2 * bytes);
        tight.store(&case(5, [0, 5])).unwrap();
        assert_eq!(kept(&archive), [4, 5]);
        let too_tight = with_bytes(bytes - 1);
        assert_eq!(too_tight.store(&case(6, [0, 6])).unwrap(), None);
        assert_eq!(kept(&archive), [4, 5], "a refused case removes nothing");
    }

    #[test]
    fn a_file_that_is_no_case_is_refused() {
        let (folder, archive) = archive(Room::default());
        let path = archive.store(&case(5, [1, 2])).unwrap().unwrap();
        let bytes = fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            let path = folder.path().join("other");
            fs::write(&path, bytes).unwrap();
            Case::read(&path).unwrap_err().to_string()
        };
        assert!(read(&bytes[..bytes.len() - 1]).contains("damaged"));
        assert!(read(&[&bytes[..], &[0]].concat()).contains("damaged"));
        assert!(read(&bytes[1..]).contains("not an evidence file"));
        assert!(read(&[]).contains("not an evidence file"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let archive = Archive::new(file.join("evidence"), Room::default());
        assert!(archive.store(&case(5, [1, 2])).is_err());
    }
}
