// SPDX-License-Identifier: Apache-2.0

//! Findings on disk: an executor that forgets its salt cannot reveal, and pays for that.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use codec::{Decode, DecodeAll, Encode};
use starling_evidence::{Digest, Finding};
use starling_primitives::api::disputes::CaseId;

/// Extension of a finding's file.
const EXTENSION: &str = "finding";

/// Extension of a file that is being written.
const UNFINISHED: &str = "unfinished";

/// A finding with the salt of its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Found {
    /// The finding.
    pub finding: Finding,
    /// The salt.
    pub salt: [u8; 32],
}

/// A folder of findings: one synced file for each case and draw.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The findings in `folder`, which is created with the first one.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    fn path(&self, case: CaseId, draw: &Digest) -> PathBuf {
        let draw: String = draw
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.folder.join(format!("{case}-{draw}.{EXTENSION}"))
    }

    /// The finding on a case, for one draw of its committee.
    pub fn get(&self, case: CaseId, draw: &Digest) -> io::Result<Option<Found>> {
        let bytes = match fs::read(self.path(case, draw)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "a finding is damaged");
        Found::decode_all(&mut &*bytes).map(Some).map_err(damaged)
    }

    /// Stores a finding. It is on disk when this returns.
    pub fn put(&self, case: CaseId, draw: &Digest, found: &Found) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(case, draw);
        let unfinished = path.with_extension(UNFINISHED);
        // Until it is revealed nobody else may read it.
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        let written = file
            .write_all(&found.encode())
            .and_then(|()| file.sync_all());
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets the findings on the cases that are not `needed`.
    pub fn retain(&self, mut needed: impl FnMut(CaseId) -> bool) -> io::Result<()> {
        let files = match fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for file in files {
            let path = file?.path();
            if case_of(&path).is_some_and(|case| !needed(case)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// The case of a finding's file, or of the beginning of one that a killed node has left.
fn case_of(path: &Path) -> Option<CaseId> {
    let extension = path.extension()?;
    if extension != EXTENSION && extension != UNFINISHED {
        return None;
    }
    let (case, _) = path.file_stem()?.to_str()?.split_once('-')?;
    case.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_finding_survives_its_node_and_is_forgotten_with_its_case() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("findings");
        let store = Store::new(&place);
        assert_eq!(store.get(1, &[2; 32]).unwrap(), None);
        store.retain(|_| false).unwrap();
        let found = Found {
            finding: Finding::Unavailable,
            salt: [3; 32],
        };
        store.put(1, &[2; 32], &found).unwrap();
        let again = Store::new(&place);
        assert_eq!(again.get(1, &[2; 32]).unwrap(), Some(found.clone()));
        assert_eq!(again.get(1, &[9; 32]).unwrap(), None, "of another draw");
        let mode = fs::metadata(store.path(1, &[2; 32])).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        again.put(2, &[2; 32], &found).unwrap();
        again.retain(|case| case == 2).unwrap();
        assert_eq!(again.get(1, &[2; 32]).unwrap(), None);
        assert_eq!(again.get(2, &[2; 32]).unwrap(), Some(found));
    }

    #[test]
    fn the_beginning_of_a_finding_goes_with_its_case() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let begun = store.path(1, &[2; 32]).with_extension(UNFINISHED);
        fs::write(&begun, [1, 2]).unwrap();
        assert_eq!(store.get(1, &[2; 32]).unwrap(), None);
        store.retain(|_| true).unwrap();
        assert!(begun.exists());
        store.retain(|_| false).unwrap();
        assert!(!begun.exists());
    }

    #[test]
    fn a_damaged_finding_is_an_error_and_not_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        fs::write(store.path(1, &[2; 32]), [1, 2]).unwrap();
        assert!(store.get(1, &[2; 32]).is_err());
    }
}
