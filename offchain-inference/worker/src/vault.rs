// SPDX-License-Identifier: Apache-2.0

//! Keys, salts, ciphertexts and scores on disk, synced before anything of them is submitted.
//!
//! The first result stays: a key seals one response, and a commitment hides one set of scores. A
//! second result for the same request or the same assignment is dropped, and the first one
//! returned.
//!
//! A vault belongs to a chain by the chain's first block. A chain that is started anew from the same
//! specification has the same genesis and the same rounds, and what was kept for the old one is
//! public by then.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use codec::{Decode, Encode};
use parking_lot::Mutex;
use redb::Database;
use sp_core::H256;
use starling_primitives::{
    api::{SealedResponse, SealedScores},
    round::BlockNumber,
    RoundId,
};
use starling_sketch::shown::{Kept, AUDIT_WINDOW};

use crate::{
    disk::{self, Change, Table},
    AccountId,
};

/// One [`StoredRecord`] for each [`RoundKey`], SCALE-encoded.
const RECORDS: Table = Table::new("records");

/// One [`Record`] for each [`RoundKey`]: the table of vaults whose records have no version.
const RECORDS_1: Table = Table::new("rounds/1");

/// The hash of the first block of the chain that the records are of, under [`FIRST_BLOCK`].
const CHAIN: Table = Table::new("chain");
const FIRST_BLOCK: &[u8] = b"first block";

/// For each [`RoundKey`] one [`StoredTrace`], SCALE-encoded: that of the last response.
const TRACES: Table = Table::new("traces");

/// For each [`RoundKey`] that is over, and whose trace anybody may see, the block since which.
const PUBLIC: Table = Table::new("public traces");

/// A result could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the vault {path}: {reason}")]
pub struct VaultError {
    action: &'static str,
    path: PathBuf,
    reason: String,
}

/// The agent and the round of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RoundKey {
    /// The agent.
    pub agent: AccountId,
    /// The round.
    pub round: RoundId,
}

/// All results of one agent in one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// The best block when it was last changed.
    pub changed: BlockNumber,
    /// The responses; more than one only if a reorg put another request into the round.
    pub responses: Vec<Response>,
    /// The scores, one set for every assignment; more than one only after a reorg.
    pub scores: Vec<SealedScores>,
}

/// A record as stored on disk. The first byte is its version.
#[derive(Encode, Decode)]
enum StoredRecord {
    #[codec(index = 2)]
    V2(Record),
}

/// A trace as stored on disk. The first byte is its version. Traces stay on disk: they are long, and
/// are read only when somebody checks an answer.
#[derive(Encode, Decode)]
enum StoredTrace {
    #[codec(index = 1)]
    V1(Kept),
}

/// The agent's response to one request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Response {
    /// The hash of the request: see [`crate::jobs::request_hash`].
    pub request: H256,
    /// The text with its sealed form; `None` if the agent passes.
    pub answer: Option<SealedAnswer>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SealedAnswer {
    /// The text.
    pub text: String,
    /// Its ciphertext and key.
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
    /// `None` after an error, until it can be opened again.
    database: Option<Database>,
    /// The records on disk.
    records: BTreeMap<RoundKey, Record>,
    /// The traces that anybody may see, and the block since which.
    public: BTreeMap<RoundKey, BlockNumber>,
}

impl State {
    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

impl Vault {
    /// Opens the store in the file `path`, or creates it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, VaultError> {
        let path = path.into();
        let state = Mutex::new(open(&path)?);
        Ok(Self { path, state })
    }

    /// The record of an agent and round.
    pub fn record(&self, key: &RoundKey) -> Option<Record> {
        self.state.lock().records.get(key).cloned()
    }

    /// All records.
    pub fn records(&self) -> BTreeMap<RoundKey, Record> {
        self.state.lock().records.clone()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.state.lock().records.len()
    }

    /// True if there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores a response, unless there is one to the same request. Returns the one that is stored.
    pub fn put_response(
        &self,
        key: &RoundKey,
        now: BlockNumber,
        response: Response,
    ) -> Result<Response, VaultError> {
        self.put_traced(key, now, response, None)
    }

    /// The same with the trace of the response, in one transaction.
    pub fn put_traced(
        &self,
        key: &RoundKey,
        now: BlockNumber,
        response: Response,
        trace: Option<&Kept>,
    ) -> Result<Response, VaultError> {
        // Without one, no trace of an earlier response is left behind.
        let stored = trace.map(|trace| StoredTrace::V1(trace.clone()).encode());
        let traces = [(key.encode(), stored)];
        self.put(key, now, &traces, |record| {
            match record.response(response.request) {
                Some(first) => (first.clone(), false),
                None => {
                    record.responses.push(response.clone());
                    (response, true)
                },
            }
        })
    }

    /// Stores scores, unless there are some for the same assignment. Returns the stored ones.
    pub fn put_scores(
        &self,
        key: &RoundKey,
        now: BlockNumber,
        scores: SealedScores,
    ) -> Result<SealedScores, VaultError> {
        self.put(key, now, &[], |record| match record.scores(scores.seed) {
            Some(first) => (first.clone(), false),
            None => {
                record.scores.push(scores.clone());
                (scores, true)
            },
        })
    }

    /// Makes the vault that of the chain with this first block, if it is not and `is_proven` says
    /// so. Forgets the records of another one, and returns their number.
    pub fn belong(
        &self,
        first_block: H256,
        is_proven: impl FnOnce() -> bool,
    ) -> Result<usize, VaultError> {
        self.write(|state| {
            let known = owner(state.database()?)?;
            if known == Some(first_block) || !is_proven() {
                return Ok(0);
            }
            let (records, public) = match known {
                Some(_) => (
                    std::mem::take(&mut state.records),
                    std::mem::take(&mut state.public),
                ),
                None => Default::default(),
            };
            let gone = removed(records.keys());
            let shown = removed(public.keys());
            let owner = (FIRST_BLOCK.to_vec(), Some(first_block.encode()));
            disk::transact(state.database()?, |transaction| {
                disk::apply(transaction, RECORDS, &gone)?;
                disk::apply(transaction, TRACES, &gone)?;
                disk::apply(transaction, TRACES, &shown)?;
                disk::apply(transaction, PUBLIC, &shown)?;
                disk::apply(transaction, CHAIN, &[owner])
            })?;
            Ok(records.len())
        })
    }

    /// Removes records with their traces. The traces of `revealed` ones stay, and from block `now` on
    /// anybody may see them.
    pub fn purge(
        &self,
        keys: &[RoundKey],
        revealed: &BTreeSet<RoundKey>,
        now: BlockNumber,
    ) -> Result<(), VaultError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.write(|state| {
            let (shown, hidden): (Vec<_>, Vec<_>) =
                keys.iter().partition(|key| revealed.contains(*key));
            let mut public = vec![];
            for key in shown {
                if disk::get(state.database()?, TRACES, &key.encode())?.is_some() {
                    public.push(key.clone());
                }
            }
            let since = |key: &RoundKey| (key.encode(), Some(now.encode()));
            let marks: Vec<Change> = public.iter().map(since).collect();
            disk::transact(state.database()?, |transaction| {
                disk::apply(transaction, RECORDS, &removed(keys.iter()))?;
                disk::apply(transaction, TRACES, &removed(hidden.into_iter()))?;
                disk::apply(transaction, PUBLIC, &marks)
            })?;
            keys.iter().for_each(|key| drop(state.records.remove(key)));
            state
                .public
                .extend(public.into_iter().map(|key| (key, now)));
            Ok(())
        })
    }

    /// Removes the traces whose audit window is over at block `now`.
    pub fn expire(&self, now: BlockNumber) -> Result<(), VaultError> {
        let over = |state: &State| -> Vec<RoundKey> {
            let public = state.public.iter();
            let over = public.filter(|(_, &since)| now.saturating_sub(since) >= AUDIT_WINDOW);
            over.map(|(key, _)| key.clone()).collect()
        };
        if over(&self.state.lock()).is_empty() {
            return Ok(());
        }
        self.write(|state| {
            let over = over(state);
            let gone = removed(over.iter());
            disk::transact(state.database()?, |transaction| {
                disk::apply(transaction, TRACES, &gone)?;
                disk::apply(transaction, PUBLIC, &gone)
            })?;
            for key in &over {
                state.public.remove(key);
            }
            Ok(())
        })
    }

    /// The trace of a response, if anybody may see it.
    pub fn public_trace(&self, key: &RoundKey) -> Result<Option<Kept>, VaultError> {
        if !self.state.lock().public.contains_key(key) {
            return Ok(None);
        }
        self.write(|state| {
            let stored = disk::get(state.database()?, TRACES, &key.encode())?;
            let trace = stored.map(|stored| disk::decode::<StoredTrace>(&stored));
            Ok(trace.transpose()?.map(|StoredTrace::V1(kept)| kept))
        })
    }

    /// Changes a record, and with it `traces` if it has changed.
    fn put<T>(
        &self,
        key: &RoundKey,
        now: BlockNumber,
        traces: &[Change],
        change: impl FnOnce(&mut Record) -> (T, bool),
    ) -> Result<T, VaultError> {
        self.write(|state| {
            let mut record = state.records.get(key).cloned().unwrap_or_default();
            let (result, changed) = change(&mut record);
            if changed {
                record.changed = now;
                let stored = StoredRecord::V2(record.clone());
                commit(state, &[(key.encode(), Some(stored.encode()))], traces)?;
                state.records.insert(key.clone(), record);
            }
            Ok(result)
        })
    }

    /// Uses the database. After an error of the disk, closes it; the next use opens it again.
    fn write<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, redb::Error>,
    ) -> Result<T, VaultError> {
        let mut state = self.state.lock();
        if state.database.is_none() {
            *state = open(&self.path)?;
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

fn open(path: &Path) -> Result<State, VaultError> {
    let database = disk::open(path).map_err(|error| failed("open", path, error))?;
    upgrade(&database).map_err(|error| failed("upgrade", path, error))?;
    let read = |error| failed("read", path, error);
    Ok(State {
        records: load(&database).map_err(read)?,
        public: load_public(&database).map_err(read)?,
        database: Some(database),
    })
}

fn load(database: &Database) -> Result<BTreeMap<RoundKey, Record>, redb::Error> {
    let mut records = BTreeMap::new();
    disk::each(database, RECORDS, |key, value| {
        let StoredRecord::V2(record) = disk::decode(value)?;
        records.insert(disk::decode(key)?, record);
        Ok(())
    })?;
    Ok(records)
}

fn load_public(database: &Database) -> Result<BTreeMap<RoundKey, BlockNumber>, redb::Error> {
    let mut public = BTreeMap::new();
    disk::each(database, PUBLIC, |key, since| {
        public.insert(disk::decode(key)?, disk::decode(since)?);
        Ok(())
    })?;
    Ok(public)
}

/// The changes that remove the values of keys.
fn removed<'a>(keys: impl Iterator<Item = &'a RoundKey>) -> Vec<Change> {
    keys.map(|key| (key.encode(), None)).collect()
}

/// The first block of the chain that the records are of, if it is known.
fn owner(database: &Database) -> Result<Option<H256>, redb::Error> {
    let stored = disk::get(database, CHAIN, FIRST_BLOCK)?;
    stored.map(|hash| disk::decode(&hash)).transpose()
}

/// Moves records that have no version into the table of those that have one. Their messages are
/// still due after the node's upgrade.
fn upgrade(database: &Database) -> Result<(), redb::Error> {
    let mut changes: Vec<Change> = vec![];
    disk::each(database, RECORDS_1, |key, value| {
        let record = StoredRecord::V2(disk::decode(value)?);
        changes.push((key.to_vec(), Some(record.encode())));
        Ok(())
    })?;
    if changes.is_empty() {
        return Ok(());
    }
    disk::transact(database, |transaction| {
        disk::apply(transaction, RECORDS, &changes)?;
        transaction.delete_table(RECORDS_1)?;
        Ok(())
    })
}

/// Changes records and traces by one transaction.
fn commit(state: &State, records: &[Change], traces: &[Change]) -> Result<(), redb::Error> {
    disk::transact(state.database()?, |transaction| {
        disk::apply(transaction, RECORDS, records)?;
        disk::apply(transaction, TRACES, traces)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_sketch::{
        trace::{Numerics, Parts, Settings, Trace},
        Sketch,
    };

    fn key(round: RoundId) -> RoundKey {
        RoundKey {
            agent: [7; 32].into(),
            round,
        }
    }

    fn response(request: u8, key: u8) -> Response {
        Response {
            request: H256::repeat_byte(request),
            answer: Some(SealedAnswer {
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
        let first = vault.put_response(&key(1), 5, response(1, 1)).unwrap();
        assert_eq!(first, response(1, 1));
        assert_eq!(
            vault.put_response(&key(1), 6, response(1, 2)).unwrap(),
            first
        );
        vault.put_response(&key(1), 6, response(2, 3)).unwrap();
        vault.put_scores(&key(1), 7, scores(1, 1)).unwrap();
        assert_eq!(
            vault.put_scores(&key(1), 8, scores(1, 2)).unwrap(),
            scores(1, 1)
        );
        let record = vault.record(&key(1)).unwrap();
        assert_eq!(record.responses, [response(1, 1), response(2, 3)]);
        assert_eq!((record.scores, record.changed), (vec![scores(1, 1)], 7));
    }

    #[test]
    fn everything_is_there_after_reopening_until_it_is_purged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let vault = Vault::open(&path).unwrap();
        for round in 0..3 {
            vault.put_response(&key(round), 1, response(1, 1)).unwrap();
        }
        vault.purge(&[key(1)], &BTreeSet::new(), 9).unwrap();
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

    fn trace(salt: u8) -> Kept {
        let sketches = vec![Sketch::new([1; 128])];
        let trace = Trace::of(&Parts {
            model: [9; 32],
            numerics: Numerics::Wide,
            settings: Settings {
                temperature: 700,
                top_k: 40,
                top_p: 950,
            },
            attempt: 0,
            context: &[1, 2],
            tokens: &[3],
            sketches: &sketches,
            salt: [salt; 32],
        });
        Kept {
            request: [1; 32],
            trace: trace.unwrap(),
            ids: vec![1, 2, 3],
            sketches,
        }
    }

    /// The bytes of the trace on disk.
    fn stored_trace(path: &Path) -> Option<Vec<u8>> {
        let database = disk::open(path).unwrap();
        disk::get(&database, TRACES, &key(1).encode()).unwrap()
    }

    /// Opens the vault, and stores a response of round 1 with a trace, or with none.
    fn put_traced(path: &Path, response: Response, trace: Option<&Kept>) {
        let vault = Vault::open(path).unwrap();
        vault.put_traced(&key(1), 5, response, trace).unwrap();
    }

    #[test]
    fn the_trace_of_the_response_that_stays_is_kept_until_its_record_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        put_traced(&path, response(1, 1), Some(&trace(1)));
        let golden = [&[1], trace(1).encode().as_slice()].concat();
        assert_eq!(stored_trace(&path), Some(golden.clone()));
        // The second response is dropped, and its trace with it.
        put_traced(&path, response(1, 2), Some(&trace(2)));
        assert_eq!(stored_trace(&path), Some(golden));
        let vault = Vault::open(&path).unwrap();
        vault.purge(&[key(1)], &BTreeSet::new(), 9).unwrap();
        assert_eq!(vault.public_trace(&key(1)).unwrap(), None);
        drop(vault);
        assert_eq!(stored_trace(&path), None);
    }

    #[test]
    fn a_response_without_a_trace_leaves_none_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        put_traced(&path, response(1, 1), Some(&trace(1)));
        put_traced(&path, response(2, 2), None);
        assert_eq!(stored_trace(&path), None);
    }

    #[test]
    fn a_revealed_trace_is_public_from_the_end_of_its_round_to_that_of_its_audit_window() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let shown = || Vault::open(&path).unwrap().public_trace(&key(1)).unwrap();
        put_traced(&path, response(1, 1), Some(&trace(1)));
        assert_eq!(shown(), None);
        let vault = Vault::open(&path).unwrap();
        let revealed = [key(1), key(2)].into();
        vault.purge(&[key(1), key(2)], &revealed, 9).unwrap();
        // An answer without a trace has nothing to show.
        assert_eq!(vault.public_trace(&key(2)).unwrap(), None);
        vault.expire(9 + AUDIT_WINDOW - 1).unwrap();
        drop(vault);
        assert_eq!(shown(), Some(trace(1)));
        let vault = Vault::open(&path).unwrap();
        vault.expire(9 + AUDIT_WINDOW).unwrap();
        assert_eq!(vault.public_trace(&key(1)).unwrap(), None);
        drop(vault);
        assert_eq!((shown(), stored_trace(&path)), (None, None));
    }

    #[test]
    fn traces_of_a_chain_that_was_started_anew_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        put_traced(&path, response(1, 1), Some(&trace(1)));
        let vault = Vault::open(&path).unwrap();
        vault.belong(H256::repeat_byte(1), || true).unwrap();
        vault.purge(&[key(1)], &[key(1)].into(), 9).unwrap();
        assert_eq!(vault.public_trace(&key(1)).unwrap(), Some(trace(1)));
        vault.belong(H256::repeat_byte(2), || true).unwrap();
        assert_eq!(vault.public_trace(&key(1)).unwrap(), None);
        drop(vault);
        assert_eq!(stored_trace(&path), None);
    }

    #[test]
    fn records_of_a_chain_that_was_started_anew_are_forgotten_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let (old, new) = (H256::repeat_byte(1), H256::repeat_byte(2));
        let records = || Vault::open(&path).unwrap().records().len();
        let belong_if = |first_block, is_proven| {
            let vault = Vault::open(&path).unwrap();
            vault.belong(first_block, || is_proven).unwrap()
        };
        let belong = |first_block| belong_if(first_block, true);
        let vault = Vault::open(&path).unwrap();
        vault.put_response(&key(1), 5, response(1, 1)).unwrap();
        drop(vault);
        // A vault of an earlier release does not know its chain.
        assert_eq!((belong_if(new, false), records()), (0, 1));
        assert_eq!((belong(old), records()), (0, 1));
        assert_eq!((belong_if(old, false), records()), (0, 1));
        // A peer may invent a block.
        assert_eq!((belong_if(new, false), records()), (0, 1));
        assert_eq!((belong(new), records()), (1, 0));
        let vault = Vault::open(&path).unwrap();
        vault.put_response(&key(1), 5, response(1, 2)).unwrap();
        assert_eq!(vault.belong(new, || true).unwrap(), 0);
        assert_eq!(vault.record(&key(1)).unwrap().responses, [response(1, 2)]);
    }

    #[test]
    fn a_vault_of_the_first_release_keeps_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let record = Record {
            changed: 7,
            responses: vec![response(1, 1)],
            scores: vec![scores(1, 1)],
        };
        {
            let database = disk::open(&path).unwrap();
            let agent: AccountId = [7; 32].into();
            let (key, value) = ((agent, 3 as RoundId).encode(), record.encode());
            disk::commit(&database, RECORDS_1, &[(key, Some(value))]).unwrap();
        }
        // The second time there is nothing to upgrade.
        for _ in 0..2 {
            let vault = Vault::open(&path).unwrap();
            assert_eq!(vault.records(), [(key(3), record.clone())].into());
        }
    }

    #[test]
    fn a_record_of_an_unknown_version_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let bytes = [&[3], Record::default().encode().as_slice()].concat();
        {
            let database = disk::open(&path).unwrap();
            let stored = [(key(1).encode(), Some(bytes.clone()))];
            disk::commit(&database, RECORDS, &stored).unwrap();
        }
        let error = Vault::open(&path).err().unwrap().to_string();
        assert!(error.contains("read"), "{error}");
        let database = disk::open(&path).unwrap();
        let stored = disk::get(&database, RECORDS, &key(1).encode()).unwrap();
        assert_eq!(stored, Some(bytes));
    }

    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.redb");
        let _vault = Vault::open(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
