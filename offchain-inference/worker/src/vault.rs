// SPDX-License-Identifier: Apache-2.0

//! Keys, salts, ciphertexts and scores on disk, synced before anything of them is submitted.
//!
//! What is stored first stays: a key seals one response, and a commitment hides one set of scores.
//! A second result for the same request or the same assignment is dropped, and the first one
//! returned.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use codec::{Decode, Encode};
use parking_lot::Mutex;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use sp_core::H256;
use starling_primitives::{
    api::{SealedResponse, SealedScores},
    round::BlockNumber,
    RoundId,
};

use crate::AccountId;

/// One record an agent and round; the keys are (account, round), SCALE-encoded.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rounds/1");

/// Why something could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the vault {path}: {reason}")]
pub struct VaultError {
    action: &'static str,
    path: PathBuf,
    reason: String,
}

/// Which agent and round a record is for.
pub type Place = (AccountId, RoundId);

/// Everything about one agent in one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// The best block when it was last changed.
    pub changed: BlockNumber,
    /// The responses; more than one only where a reorg put another request into the round.
    pub responses: Vec<Response>,
    /// The scores, one set for every assignment; more than one only after a reorg.
    pub scores: Vec<SealedScores>,
}

/// What the agent says to one request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Response {
    /// Which request: see [`crate::jobs::request_hash`].
    pub request: H256,
    /// The text with its sealed form; `None` where the agent passes.
    pub answer: Option<Answer>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    /// What was sealed.
    pub text: String,
    /// How it was sealed, and with which key.
    pub sealed: SealedResponse,
}

impl Record {
    /// The response to a request.
    pub fn response(&self, request: H256) -> Option<&Response> {
        self.responses
            .iter()
            .find(|response| response.request == request)
    }

    /// The scores for an assignment.
    pub fn scores(&self, seed: H256) -> Option<&SealedScores> {
        self.scores.iter().find(|scores| scores.seed == seed)
    }
}

/// The store.
pub struct Vault {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` after an error, until it could be opened again.
    database: Option<Database>,
    /// What is on disk.
    records: BTreeMap<Place, Record>,
}

impl Vault {
    /// Opens the store in the file `path`, or creates it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, VaultError> {
        let path = path.into();
        let (database, records) = open(&path)?;
        Ok(Self {
            path,
            state: Mutex::new(State {
                database: Some(database),
                records,
            }),
        })
    }

    /// What is stored for an agent and round.
    pub fn record(&self, place: &Place) -> Option<Record> {
        self.state.lock().records.get(place).cloned()
    }

    /// Everything.
    pub fn records(&self) -> BTreeMap<Place, Record> {
        self.state.lock().records.clone()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.state.lock().records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores a response, unless there is one to the same request. Returns the one that is stored.
    pub fn put_response(
        &self,
        place: &Place,
        now: BlockNumber,
        response: Response,
    ) -> Result<Response, VaultError> {
        self.put(place, now, |record| {
            match record.response(response.request) {
                Some(first) => (first.clone(), false),
                None => {
                    record.responses.push(response.clone());
                    (response, true)
                },
            }
        })
    }

    /// Stores scores, unless there are some for the same assignment. Returns those that are stored.
    pub fn put_scores(
        &self,
        place: &Place,
        now: BlockNumber,
        scores: SealedScores,
    ) -> Result<SealedScores, VaultError> {
        self.put(place, now, |record| match record.scores(scores.seed) {
            Some(first) => (first.clone(), false),
            None => {
                record.scores.push(scores.clone());
                (scores, true)
            },
        })
    }

    /// Removes records.
    pub fn purge(&self, places: &[Place]) -> Result<(), VaultError> {
        if places.is_empty() {
            return Ok(());
        }
        self.write(|state| {
            let keys: Vec<_> = places.iter().map(|place| (place.encode(), None)).collect();
            commit(state, &keys)?;
            places
                .iter()
                .for_each(|place| drop(state.records.remove(place)));
            Ok(())
        })
    }

    fn put<T>(
        &self,
        place: &Place,
        now: BlockNumber,
        change: impl FnOnce(&mut Record) -> (T, bool),
    ) -> Result<T, VaultError> {
        self.write(|state| {
            let mut record = state.records.get(place).cloned().unwrap_or_default();
            let (result, changed) = change(&mut record);
            if changed {
                record.changed = now;
                commit(state, &[(place.encode(), Some(record.encode()))])?;
                state.records.insert(place.clone(), record);
            }
            Ok(result)
        })
    }

    /// After an error of the disk the database is closed, and opened again by the next use.
    fn write<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, redb::Error>,
    ) -> Result<T, VaultError> {
        let mut state = self.state.lock();
        if state.database.is_none() {
            let (database, records) = open(&self.path)?;
            *state = State {
                database: Some(database),
                records,
            };
        }
        let outcome = work(&mut state);
        if outcome.is_err() {
            state.database = None;
        }
        outcome.map_err(|error| failed("write to", &self.path, error))
    }
}

fn failed(action: &'static str, path: &Path, reason: impl ToString) -> VaultError {
    VaultError {
        action,
        path: path.into(),
        reason: reason.to_string(),
    }
}

fn open(path: &Path) -> Result<(Database, BTreeMap<Place, Record>), VaultError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed("open", path, error))?;
    }
    let database = Database::create(path).map_err(|error| failed("open", path, error))?;
    restrict(path).map_err(|error| failed("open", path, error))?;
    let records = load(&database).map_err(|error| failed("read", path, error))?;
    Ok((database, records))
}

/// The file holds secrets until they are revealed.
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

fn load(database: &Database) -> Result<BTreeMap<Place, Record>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(RECORDS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let mut records = BTreeMap::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let record = Place::decode(&mut key.value())
            .and_then(|place| Ok((place, Record::decode(&mut value.value())?)))
            .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        records.insert(record.0, record.1);
    }
    Ok(records)
}

/// One transaction, on disk when this returns.
fn commit(state: &State, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), redb::Error> {
    let Some(database) = &state.database else {
        return Err(redb::Error::DatabaseClosed);
    };
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for (key, value) in changes {
            match value {
                Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                None => table.remove(key.as_slice())?,
            };
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(round: RoundId) -> Place {
        ([7; 32].into(), round)
    }

    fn response(request: u8, key: u8) -> Response {
        Response {
            request: H256::repeat_byte(request),
            answer: Some(Answer {
                text: format!("text {key}"),
                sealed: SealedResponse {
                    key: [key; 32],
                    sealed: vec![key; 20],
                },
            }),
        }
    }

    fn scores(seed: u8, salt: u8) -> SealedScores {
        SealedScores {
            seed: H256::repeat_byte(seed),
            scores: vec![(1, starling_primitives::Score(salt.into()))],
            salt: [salt; 32],
        }
    }

    #[test]
    fn what_was_stored_first_stays() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path().join("agent/vault.redb")).unwrap();
        let first = vault.put_response(&place(1), 5, response(1, 1)).unwrap();
        assert_eq!(first, response(1, 1));
        assert_eq!(
            vault.put_response(&place(1), 6, response(1, 2)).unwrap(),
            first
        );
        vault.put_response(&place(1), 6, response(2, 3)).unwrap();
        vault.put_scores(&place(1), 7, scores(1, 1)).unwrap();
        assert_eq!(
            vault.put_scores(&place(1), 8, scores(1, 2)).unwrap(),
            scores(1, 1)
        );
        let record = vault.record(&place(1)).unwrap();
        assert_eq!(record.responses, [response(1, 1), response(2, 3)]);
        assert_eq!((record.scores, record.changed), (vec![scores(1, 1)], 7));
    }

    #[test]
    fn everything_is_there_after_reopening_until_it_is_purged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let vault = Vault::open(&path).unwrap();
        for round in 0..3 {
            vault
                .put_response(&place(round), 1, response(1, 1))
                .unwrap();
        }
        vault.purge(&[place(1)]).unwrap();
        let records = vault.records();
        assert_eq!(records.len(), 2);
        let error = Vault::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("vault.redb") && error.contains("open"),
            "{error}"
        );
        drop(vault);
        assert_eq!(Vault::open(&path).unwrap().records(), records);
    }

    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let _vault = Vault::open(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
