// SPDX-License-Identifier: Apache-2.0
//! An examiner's record on disk: the questions of a pool that it has asked, and the salts of their
//! commitments. It is written before anything is sent.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_client::{Error, Result};
use starling_primitives::{round::BlockNumber, RoundId, Salt, H256};

/// The version of the format.
const VERSION: u32 = 1;

/// An examiner's record, for one chain, account and pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    genesis: String,
    account: String,
    root: String,
    /// Number of ordinary questions before the next one of the pool. `None` before the first.
    pub ordinary: Option<u32>,
    /// The questions of the pool that were asked, each once.
    pub asked: Vec<Asked>,
}

/// A question of the pool that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Its index.
    pub index: u32,
    /// The salt of its commitment, in hexadecimal.
    salt: String,
    /// No earlier round is that of the request.
    pub first: RoundId,
    /// The last block that can include the request. `None` until it was signed.
    pub last: Option<BlockNumber>,
    /// Its round, once the end of the round was final.
    pub round: Option<RoundId>,
    /// The fate of its answer.
    pub fate: Fate,
}

impl Asked {
    /// A question that is not sent yet.
    pub fn new(index: u32, salt: &Salt, first: RoundId) -> Self {
        Self {
            index,
            salt: hex(H256(*salt)),
            first,
            last: None,
            round: None,
            fate: Fate::Open,
        }
    }

    /// The salt of its commitment. `None` if the record was changed by hand.
    pub fn salt(&self) -> Option<Salt> {
        let hash: H256 = self.salt.trim_start_matches("0x").parse().ok()?;
        Some(hash.0)
    }
}

/// The fate of a known answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is to be revealed once the round is over.
    Open,
    /// It is public.
    Public,
    /// It cannot be revealed any more: no block has the request, or its round had no answers to
    /// learn from, or the chain refused it.
    Lost,
}

/// A record and its file. Nobody else can use it meanwhile.
pub struct Ledger {
    /// The record.
    pub record: Record,
    path: PathBuf,
    _lock: File,
}

impl Ledger {
    /// Opens the record of an account about a pool, or begins one.
    pub fn open(folder: &Path, genesis: H256, account: &AccountId32, root: H256) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder.display()))?;
        let short = |hash: H256| hex(hash).chars().skip(2).take(8).collect::<String>();
        let name = format!(
            "{}-{}-{}",
            short(genesis),
            account.to_ss58check(),
            short(root)
        );
        let path = folder.join(format!("{name}.json"));
        let lock = lock(&folder.join(format!("{name}.lock")))?;
        let new = Record {
            version: VERSION,
            genesis: hex(genesis),
            account: account.to_ss58check(),
            root: hex(root),
            ordinary: None,
            asked: vec![],
        };
        let record = read(&path)?.unwrap_or_else(|| new.clone());
        let is_ours = (
            record.version,
            &record.genesis,
            &record.account,
            &record.root,
        ) == (new.version, &new.genesis, &new.account, &new.root);
        if !is_ours {
            return Err(Error::Usage(format!(
                "{} is of another chain, account, pool or release; pass another --data",
                path.display()
            )));
        }
        Ok(Self {
            record,
            path,
            _lock: lock,
        })
    }

    /// Writes the record, whole or not at all. Only its owner can read it.
    pub fn save(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let at_path = || Error::io(self.path.display());
        let text = serde_json::to_vec_pretty(&self.record)
            .map_err(|error| Error::Protocol(error.to_string()))?;
        let mut new = tempfile::NamedTempFile::new_in(folder).map_err(at_path())?;
        new.write_all(&text).map_err(at_path())?;
        new.as_file().sync_all().map_err(at_path())?;
        new.persist(&self.path)
            .map_err(|error| at_path()(error.error))?;
        let folder = File::open(folder).map_err(at_path())?;
        folder.sync_all().map_err(at_path())
    }

    /// The indices that were asked.
    pub fn used(&self) -> BTreeSet<u32> {
        self.record.asked.iter().map(|asked| asked.index).collect()
    }

    /// The number of known answers with this fate.
    pub fn with_fate(&self, fate: Fate) -> usize {
        let asked = self.record.asked.iter();
        asked.filter(|asked| asked.fate == fate).count()
    }

    /// Changes what is known of a question, on disk, too.
    pub fn change(&mut self, index: u32, change: impl FnOnce(&mut Asked)) -> Result<()> {
        let mut asked = self.record.asked.iter_mut();
        if let Some(asked) = asked.find(|asked| asked.index == index) {
            change(asked);
        }
        self.save()
    }
}

fn lock(path: &Path) -> Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(Error::io(path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "another `starling examine` uses {}; wait for its end, or stop it",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::io(path.display())(error)),
    }
}

fn read(path: &Path) -> Result<Option<Record>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path.display())(error)),
    };
    // The library's words repeat parts of the file, which has secrets.
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Error::Usage(format!(
            "{}: this is no record of `starling examine`, from line {} on",
            path.display(),
            error.line()
        ))
    })
}

fn hex(hash: H256) -> String {
    format!("{hash:?}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GENESIS: H256 = H256::repeat_byte(1);
    const ROOT: H256 = H256::repeat_byte(2);
    const EVE: AccountId32 = AccountId32::new([3; 32]);

    fn open(folder: &Path) -> Result<Ledger> {
        Ledger::open(folder, GENESIS, &EVE, ROOT)
    }

    #[test]
    fn a_record_is_there_after_a_restart_with_its_salts() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(folder.path()).unwrap();
        ledger.record.ordinary = Some(4);
        ledger.record.asked.push(Asked::new(7, &[9; 32], 3));
        ledger.change(7, |asked| asked.round = Some(12)).unwrap();
        let path = ledger.path.clone();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "only its owner reads it");
        drop(ledger);

        let ledger = open(folder.path()).unwrap();
        let asked = &ledger.record.asked[0];
        assert_eq!((asked.index, asked.round), (7, Some(12)));
        assert_eq!(asked.salt(), Some([9; 32]));
        assert_eq!(ledger.record.ordinary, Some(4));
        assert_eq!(ledger.used(), [7].into());
        assert_eq!(ledger.with_fate(Fate::Open), 1);
    }

    #[test]
    fn two_runs_never_share_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path()).unwrap();
        let error = open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("another `starling examine`"), "{error}");
        let other = H256::repeat_byte(4);
        Ledger::open(folder.path(), GENESIS, &EVE, other).unwrap();
        drop(ledger);
        open(folder.path()).unwrap();
    }

    #[test]
    fn a_broken_record_is_refused_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path()).unwrap();
        let path = ledger.path.clone();
        drop(ledger);
        for text in ["", "{}", r#"{"salt": "s3cret"}"#, "\"s3cret\""] {
            fs::write(&path, text).unwrap();
            let error = open(folder.path()).err().unwrap().to_string();
            assert!(error.contains("no record"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
