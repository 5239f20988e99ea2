// SPDX-License-Identifier: Apache-2.0

//! The memory of a member: how far it may have signed, the secrets of its points, and the
//! transcripts of what was certified.

use std::{collections::BTreeMap, path::Path};

use codec::{Decode, Encode};
use parking_lot::Mutex;
use redb::Database;
use starling_lane::wire::Place;
use starling_primitives::{
    api::lanes::{Epoch, LaneId},
    round::BlockNumber,
};

use super::room::EpochSecret;
use crate::{
    disk::{self, Change, Table},
    AccountId,
};

/// `u32` by agent, lane and epoch: the first request that the agent has not signed for.
const MARKS: Table = Table::new("lane-marks/1");
/// [`EpochSecret`] by agent and epoch.
const SECRETS: Table = Table::new("lane-secrets/1");
/// [`Kept`] by lane, epoch and number.
const TRANSCRIPTS: Table = Table::new("lane-transcripts/1");

/// The number of requests for which a member is written down as having signed, at a time.
const AHEAD: u32 = 64;

/// A seat: the agent, its lane and the epoch.
pub type SeatKey = (AccountId, LaneId, Epoch);

/// A transcript.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Kept {
    /// The block from which on nobody may ask for it.
    until: BlockNumber,
    /// The transcript.
    bytes: Vec<u8>,
}

/// A file beside the vault. All writes are on disk when they return.
pub struct Store {
    database: Database,
    marks: Mutex<BTreeMap<SeatKey, Mark>>,
    purged: Mutex<Purged>,
}

/// The point up to which the store has forgotten. After the start nobody knows it.
#[derive(Default)]
struct Purged {
    /// No transcript goes before this block.
    next: BlockNumber,
    /// Nothing of epochs before this one is left.
    oldest: Epoch,
}

#[derive(Clone, Copy)]
struct Mark {
    /// Requests below it were perhaps signed before the node was started.
    before: u32,
    /// Requests below it may be signed now.
    written: u32,
}

impl Store {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let at = |error: redb::Error| format!("{}: {error}", path.display());
        let database = disk::open(path).map_err(at)?;
        let marks = read_marks(&database).map_err(at)?;
        Ok(Self {
            database,
            marks: Mutex::new(marks),
            purged: Mutex::default(),
        })
    }

    /// Whether a member may sign for a request: it may not if it has perhaps done so before it was
    /// started. Writes the mark if it is due.
    pub fn may_sign(&self, seat: &SeatKey, seq: u32) -> Result<bool, String> {
        let mut marks = self.marks.lock();
        let mark = marks.get(seat).copied().unwrap_or(Mark {
            before: 0,
            written: 0,
        });
        if seq < mark.before {
            return Ok(false);
        }
        if seq >= mark.written {
            let written = seq.saturating_add(AHEAD);
            self.put(MARKS, &seat.encode(), &written.encode())?;
            marks.insert(seat.clone(), Mark { written, ..mark });
        }
        Ok(true)
    }

    /// The secret of an agent for an epoch, made by `make` and written down at the first call.
    pub fn secret(
        &self,
        agent: &AccountId,
        epoch: Epoch,
        make: impl FnOnce() -> Result<EpochSecret, String>,
    ) -> Result<EpochSecret, String> {
        if let Some(known) = self.known_secret(agent, epoch)? {
            return Ok(known);
        }
        let made = make()?;
        self.put(SECRETS, &(agent, epoch).encode(), &made)?;
        Ok(made)
    }

    /// The secret of an agent for an epoch, if it has joined with one.
    pub fn known_secret(
        &self,
        agent: &AccountId,
        epoch: Epoch,
    ) -> Result<Option<EpochSecret>, String> {
        let bytes = self.get(SECRETS, &(agent, epoch).encode())?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
    }

    /// Keeps transcripts until a block.
    pub fn keep(&self, kept: &[(Place, Vec<u8>)], until: BlockNumber) -> Result<(), String> {
        let changes = kept.iter().map(|(place, bytes)| {
            let bytes = bytes.clone();
            (place.encode(), Some(Kept { until, bytes }.encode()))
        });
        let mut purged = self.purged.lock();
        self.change(TRANSCRIPTS, &changes.collect::<Vec<Change>>())?;
        purged.next = purged.next.min(until);
        Ok(())
    }

    /// The transcript of a request.
    pub fn transcript(&self, place: Place) -> Result<Option<Vec<u8>>, String> {
        let bytes = self.get(TRANSCRIPTS, &place.encode())?;
        let kept = bytes.and_then(|bytes| Kept::decode(&mut &*bytes).ok());
        Ok(kept.map(|kept| kept.bytes))
    }

    /// Forgets the transcripts that nobody may ask for any more, and what belongs to epochs before
    /// `oldest`. Most blocks end neither, and read nothing.
    pub fn purge(&self, now: BlockNumber, oldest: Epoch) -> Result<(), String> {
        let mut purged = self.purged.lock();
        if now >= purged.next {
            purged.next = self.purge_transcripts(now)?;
        }
        if oldest > purged.oldest {
            self.purge_epochs(oldest)?;
            purged.oldest = oldest;
        }
        Ok(())
    }

    /// Forgets transcripts. Returns the block in which the next ones go.
    fn purge_transcripts(&self, now: BlockNumber) -> Result<BlockNumber, String> {
        let mut next = BlockNumber::MAX;
        self.remove(TRANSCRIPTS, |_: &[u8], mut value: &[u8]| {
            let until = Kept::decode(&mut value).map_or(BlockNumber::MAX, |kept| kept.until);
            let is_over = until <= now;
            if !is_over {
                next = next.min(until);
            }
            is_over
        })?;
        Ok(next)
    }

    fn purge_epochs(&self, oldest: Epoch) -> Result<(), String> {
        let is_old = |mut key: &[u8], _: &[u8]| {
            let secret = <(AccountId, Epoch)>::decode(&mut key);
            secret.is_ok_and(|(_, epoch)| epoch < oldest)
        };
        self.remove(SECRETS, is_old)?;
        let is_old = |mut key: &[u8], _: &[u8]| {
            let seat = SeatKey::decode(&mut key);
            seat.is_ok_and(|(.., epoch)| epoch < oldest)
        };
        self.remove(MARKS, is_old)?;
        self.marks.lock().retain(|(.., epoch), _| *epoch >= oldest);
        Ok(())
    }

    /// Removes these entries of a table. Without one it writes nothing.
    fn remove(
        &self,
        table: Table,
        mut is_gone: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), String> {
        let mut gone: Vec<Change> = vec![];
        let found = disk::each(&self.database, table, |key, value| {
            if is_gone(key, value) {
                gone.push((key.to_vec(), None));
            }
            Ok(())
        });
        found.map_err(|error| error.to_string())?;
        if gone.is_empty() {
            return Ok(());
        }
        self.change(table, &gone)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        disk::get(&self.database, table, key).map_err(|error| error.to_string())
    }

    fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.change(table, &[(key.to_vec(), Some(value.to_vec()))])
    }

    fn change(&self, table: Table, changes: &[Change]) -> Result<(), String> {
        disk::commit(&self.database, table, changes).map_err(|error| error.to_string())
    }
}

fn read_marks(database: &Database) -> Result<BTreeMap<SeatKey, Mark>, redb::Error> {
    let mut marks = BTreeMap::new();
    disk::each(database, MARKS, |key, value| {
        let before = disk::decode(value)?;
        let mark = Mark {
            before,
            written: before,
        };
        marks.insert(disk::decode(key)?, mark);
        Ok(())
    })?;
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(lane: LaneId) -> SeatKey {
        ([7; 32].into(), lane, 3)
    }

    #[test]
    fn a_restarted_member_is_silent_up_to_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent/lanes.redb");
        let may_sign = |store: &Store, lane, seq| store.may_sign(&seat(lane), seq).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(may_sign(&store, 1, 0) && may_sign(&store, 1, 5) && may_sign(&store, 1, 2));
        drop(store);
        let store = Store::open(&path).unwrap();
        let signed: Vec<u32> = (0..70).filter(|seq| may_sign(&store, 1, *seq)).collect();
        assert_eq!(signed, [64, 65, 66, 67, 68, 69]);
        assert!(may_sign(&store, 2, 0), "another lane");
    }

    #[test]
    fn a_secret_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lanes.redb");
        let agent: AccountId = [7; 32].into();
        let store = Store::open(&path).unwrap();
        assert_eq!(store.known_secret(&agent, 3), Ok(None));
        assert_eq!(store.secret(&agent, 3, || Ok([1; 64])), Ok([1; 64]));
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.secret(&agent, 3, || Ok([2; 64])), Ok([1; 64]));
        assert_eq!(store.secret(&agent, 4, || Ok([2; 64])), Ok([2; 64]));
        let broken = store.secret(&agent, 5, || Err("no randomness".into()));
        assert_eq!(broken, Err("no randomness".into()));
    }

    #[test]
    fn a_transcript_stays_until_nobody_may_ask_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("lanes.redb")).unwrap();
        let place = |seq| Place {
            lane: 1,
            epoch: 2,
            seq,
        };
        store.keep(&[(place(1), vec![1])], 10).unwrap();
        store.keep(&[(place(2), vec![2])], 11).unwrap();
        let agent: AccountId = [7; 32].into();
        store.secret(&agent, 3, || Ok([1; 64])).unwrap();
        assert!(store.may_sign(&seat(1), 0).unwrap());
        store.purge(10, 3).unwrap();
        assert_eq!(store.known_secret(&agent, 3), Ok(Some([1; 64])));
        store.purge(10, 4).unwrap();
        assert_eq!(store.known_secret(&agent, 3), Ok(None));
        assert_eq!(store.transcript(place(1)), Ok(None));
        assert_eq!(store.transcript(place(2)), Ok(Some(vec![2])));
        // One that ends before those that are known.
        store.keep(&[(place(3), vec![3])], 5).unwrap();
        store.purge(10, 4).unwrap();
        assert_eq!(store.transcript(place(3)), Ok(None));
        store.purge(11, 4).unwrap();
        assert_eq!(store.transcript(place(2)), Ok(None));
    }
}
