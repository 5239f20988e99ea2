// SPDX-License-Identifier: Apache-2.0
//! The gateway's memory on disk: requests that have left, and what each key has spent.
//!
//! Each change is synced before the function returns. So a transaction that has left has a record,
//! whatever happens to the process or the machine.

use std::path::Path;

use redb::{backends::InMemoryBackend, Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_client::{lane::ask::Signed as SignedAsk, transaction::Signed};
use starling_primitives::{Balance, H256};

use crate::{
    api_key::{hex, unhex},
    failure::Failure,
    place::Place,
};

/// Records in JSON, by id.
const REQUESTS: TableDefinition<&str, &[u8]> = TableDefinition::new("requests");
/// Amounts in the smallest unit, by caller and day.
const SPENT: TableDefinition<(&str, u64), u128> = TableDefinition::new("spent");

/// The time that an ended request is kept, in seconds.
pub const KEPT: u64 = 24 * 60 * 60;

const DAY: u64 = 24 * 60 * 60;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The id, at random.
    pub id: String,
    /// The name of the caller's key.
    pub caller: String,
    /// The hash of the header `Idempotency-Key`.
    pub idempotency: Option<String>,
    /// The hash of the body.
    pub body: String,
    /// The time of the request, in seconds since 1970.
    pub asked: u64,
    /// The name of the model in the request.
    pub model: String,
    /// The id of the response that the conversation went on from.
    #[serde(default)]
    pub previous: Option<String>,
    /// The payments.
    pub cost: Cost,
    /// The request of a lane that was signed last.
    #[serde(default)]
    pub lane: Option<LaneRequest>,
    /// The transaction that was signed last.
    pub transaction: Option<Transaction>,
    /// The round, once the request is in a block.
    pub round: Option<u64>,
    /// The block of the request.
    pub block: Option<u32>,
    /// The end.
    pub end: Option<End>,
}

impl Record {
    /// The name of the account that pays for the round, if there is one.
    pub fn payer(&self) -> &str {
        let lane = self.lane.as_ref();
        lane.map_or(&self.caller, |lane| &lane.payer)
    }
}

/// A signed request of a lane, and the round that it becomes if nobody certifies an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRequest {
    /// The text of its [place](crate::place).
    pub place: String,
    /// The name of the account that pays for the round.
    pub payer: String,
    /// The minimum number of answers of the round.
    pub min_responses: u32,
    /// The maximum number of answers of the round.
    pub max_responses: u32,
    bytes: String,
}

impl LaneRequest {
    /// A request whose round `payer` pays, with so many answers.
    pub fn new(signed: &SignedAsk, payer: &str, min_responses: u32, max_responses: u32) -> Self {
        Self {
            place: Place::of(&signed.ask).to_string(),
            payer: payer.to_owned(),
            min_responses,
            max_responses,
            bytes: hex(&signed.to_bytes()),
        }
    }

    /// The request as it was signed. `None` if the record is damaged.
    pub fn signed(&self) -> Option<SignedAsk> {
        SignedAsk::from_bytes(&unhex(&self.bytes)?)
    }
}

/// The payments of a request, in the smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The fee.
    #[serde(with = "as_text")]
    pub fee: Balance,
    /// The amount that is burnt.
    #[serde(with = "as_text")]
    pub burnt: Balance,
    /// The amount on hold until the round is removed.
    #[serde(with = "as_text")]
    pub on_hold: Balance,
}

impl Cost {
    /// The payments of a request that a lane answers.
    pub fn of_lane(fee: Balance) -> Self {
        Self {
            fee,
            ..Self::default()
        }
    }

    /// The amount that leaves the account with the request.
    pub fn sum(&self) -> Balance {
        self.fee
            .saturating_add(self.burnt)
            .saturating_add(self.on_hold)
    }
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    bytes: String,
    hash: String,
    nonce: u64,
    signed_at: u32,
    last: u32,
}

impl From<&Signed> for Transaction {
    fn from(signed: &Signed) -> Self {
        Self {
            bytes: hex(&signed.bytes),
            hash: hex(&signed.hash.0),
            nonce: signed.nonce,
            signed_at: signed.signed_at,
            last: signed.last,
        }
    }
}

impl Transaction {
    /// The transaction as it was signed. `None` if the record is damaged.
    pub fn signed(&self) -> Option<Signed> {
        Some(Signed {
            bytes: unhex(&self.bytes)?,
            hash: H256(unhex(&self.hash)?.try_into().ok()?),
            nonce: self.nonce,
            signed_at: self.signed_at,
            last: self.last,
        })
    }
}

/// The end of a request that was paid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum End {
    /// The round is over; the object of `starling rounds show --json`.
    Over(Value),
    /// A lane has certified the end; the object of [`crate::lane::report`].
    Certified(Value),
    /// The round is over, and the chain has removed it.
    Removed,
    /// The chain refused the request, for this reason.
    Refused(String),
}

/// The database.
pub struct Store {
    database: Database,
}

/// A fault of the database.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read or written.
    #[error("the gateway's file: {0}")]
    Database(#[from] redb::Error),
    /// A record cannot be read.
    #[error("a record of the gateway's file: {0}")]
    Record(#[from] serde_json::Error),
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}
from_redb!(
    CommitError,
    DatabaseError,
    StorageError,
    TableError,
    TransactionError
);

impl From<Fault> for Failure {
    /// Operators find the reason in the log; callers learn nothing of files.
    fn from(fault: Fault) -> Self {
        crate::say(&fault.to_string());
        Self::Internal
    }
}

type Result<T, E = Fault> = std::result::Result<T, E>;

impl Store {
    /// Opens a file, or makes it. One process may have it open at a time.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(Database::create(path)?)
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self> {
        Self::new(Database::builder().create_with_backend(InMemoryBackend::new())?)
    }

    fn new(database: Database) -> Result<Self> {
        let write = database.begin_write()?;
        write.open_table(REQUESTS)?;
        write.open_table(SPENT)?;
        write.commit()?;
        Ok(Self { database })
    }

    /// Counts `amount` for a caller's day, and keeps the request, both or none. Returns false, and
    /// changes nothing, if `budget` would be exceeded.
    pub fn reserve(&self, record: &Record, budget: Option<Balance>) -> Result<bool> {
        let write = self.database.begin_write()?;
        {
            let mut spent = write.open_table(SPENT)?;
            let day = (record.caller.as_str(), record.asked / DAY);
            let before = spent.get(day)?.map_or(0, |amount| amount.value());
            let Some(after) = within(before, record.cost.sum(), budget) else {
                return Ok(false);
            };
            spent.insert(day, after)?;
            let json = serde_json::to_vec(record)?;
            let mut requests = write.open_table(REQUESTS)?;
            requests.insert(record.id.as_str(), json.as_slice())?;
        }
        write.commit()?;
        Ok(true)
    }

    /// Forgets a request that nothing was paid for, and takes its amount back.
    pub fn release(&self, record: &Record) -> Result<()> {
        let write = self.database.begin_write()?;
        {
            write.open_table(REQUESTS)?.remove(record.id.as_str())?;
            let mut spent = write.open_table(SPENT)?;
            let day = (record.caller.as_str(), record.asked / DAY);
            let before = spent.get(day)?.map_or(0, |amount| amount.value());
            spent.insert(day, before.saturating_sub(record.cost.sum()))?;
        }
        write.commit()?;
        Ok(())
    }

    /// Keeps a request.
    pub fn put(&self, record: &Record) -> Result<()> {
        let json = serde_json::to_vec(record)?;
        let write = self.database.begin_write()?;
        write
            .open_table(REQUESTS)?
            .insert(record.id.as_str(), json.as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// Keeps a request that cost `back` less than was counted, and takes that back, both or none.
    pub fn settle(&self, record: &Record, back: Balance) -> Result<()> {
        let json = serde_json::to_vec(record)?;
        let write = self.database.begin_write()?;
        {
            let mut requests = write.open_table(REQUESTS)?;
            requests.insert(record.id.as_str(), json.as_slice())?;
            let mut spent = write.open_table(SPENT)?;
            let day = (record.caller.as_str(), record.asked / DAY);
            let before = spent.get(day)?.map_or(0, |amount| amount.value());
            spent.insert(day, before.saturating_sub(back))?;
        }
        write.commit()?;
        Ok(())
    }

    /// Forgets requests.
    pub fn forget(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        {
            let mut requests = write.open_table(REQUESTS)?;
            for id in ids {
                requests.remove(id.as_str())?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// All requests, the oldest first. Removes those that ended [`KEPT`] before `now`.
    pub fn load(&self, now: u64) -> Result<Vec<Record>> {
        let mut records: Vec<Record> = vec![];
        {
            let read = self.database.begin_read()?;
            for entry in read.open_table(REQUESTS)?.iter()? {
                records.push(serde_json::from_slice(entry?.1.value())?);
            }
        }
        let (old, mut kept): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| record.end.is_some() && record.asked.saturating_add(KEPT) < now);
        let old: Vec<_> = old.into_iter().map(|record| record.id).collect();
        self.forget(&old)?;
        let write = self.database.begin_write()?;
        {
            let today = now / DAY;
            let yesterday = today.saturating_sub(1);
            write
                .open_table(SPENT)?
                .retain(|(_, day), _| day >= yesterday)?;
        }
        write.commit()?;
        kept.sort_by_key(|record| record.asked);
        Ok(kept)
    }
}

/// The amount after spending `amount`, if the budget allows it.
fn within(before: Balance, amount: Balance, budget: Option<Balance>) -> Option<Balance> {
    let after = before.checked_add(amount)?;
    Some(after).filter(|after| budget.is_none_or(|budget| *after <= budget))
}

/// Amounts as text: the numbers of JSON are too small for other programs.
mod as_text {
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(amount: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use starling_client::lane::{Ask, Form};

    use super::*;

    fn record(id: &str, fee: Balance) -> Record {
        Record {
            id: id.into(),
            caller: "team".into(),
            idempotency: None,
            body: "b".into(),
            asked: 100,
            model: "starling".into(),
            previous: None,
            cost: Cost {
                fee,
                burnt: 2,
                on_hold: 3,
            },
            lane: None,
            transaction: None,
            round: None,
            block: None,
            end: None,
        }
    }

    #[test]
    fn a_budget_holds_over_a_restart_and_a_release_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.redb");
        let first = record("1", 5);
        {
            let store = Store::open(&path).unwrap();
            assert!(store.reserve(&first, Some(15)).unwrap());
        }
        let store = Store::open(&path).unwrap();
        assert!(!store.reserve(&record("2", 1), Some(15)).unwrap());
        assert_eq!(store.load(100).unwrap(), std::slice::from_ref(&first));
        let tomorrow = Record {
            asked: 100 + DAY,
            ..record("3", 5)
        };
        assert!(store.reserve(&tomorrow, Some(15)).unwrap());
        store.release(&first).unwrap();
        assert!(store.reserve(&record("2", 10), Some(15)).unwrap());
    }

    #[test]
    fn a_request_is_read_again_with_its_transaction() {
        let store = Store::in_memory().unwrap();
        let signed = Signed {
            bytes: vec![1, 2],
            hash: H256([7; 32]),
            nonce: 3,
            signed_at: 4,
            last: 68,
        };
        let mut kept = record("1", 5);
        kept.transaction = Some((&signed).into());
        store.put(&kept).unwrap();
        let read = store.load(100).unwrap().remove(0);
        assert_eq!(read.transaction.unwrap().signed(), Some(signed));
    }

    #[test]
    fn a_request_of_a_lane_is_read_again_and_costs_its_fee_alone() {
        let store = Store::in_memory().unwrap();
        let ask = Ask {
            genesis: [1; 32],
            lane: 3,
            epoch: 12,
            seq: 5,
            prompt: b"Why?".to_vec(),
            max_tokens: 8,
            form: Form::Free,
            fee: 5,
            expiry: 40,
        };
        let signed = SignedAsk {
            ask,
            signature: [9; 64],
        };
        let mut asked = record("1", 5);
        assert_eq!(asked.payer(), "team");
        asked.lane = Some(LaneRequest::new(&signed, "lane", 2, 8));
        assert_eq!(asked.payer(), "lane");
        assert!(store.reserve(&asked, Some(10)).unwrap());
        let read = store.load(100).unwrap().remove(0);
        let lane = read.lane.unwrap();
        assert_eq!(lane.place, "lane3-12-5");
        assert_eq!(lane.signed(), Some(signed));

        asked.end = Some(End::Certified(Value::Null));
        asked.cost = Cost::of_lane(5);
        store.settle(&asked, 5).unwrap();
        assert!(!store.reserve(&record("2", 1), Some(10)).unwrap());
        assert!(store.reserve(&record("2", 0), Some(10)).unwrap());
        let read = store.load(100).unwrap();
        assert!(read.contains(&asked) && read.len() == 2);
    }

    #[test]
    fn records_of_earlier_gateways_are_read() {
        let mut old = serde_json::to_value(record("1", 5)).unwrap();
        old.as_object_mut().unwrap().remove("lane");
        let read: Record = serde_json::from_value(old).unwrap();
        assert_eq!(read, record("1", 5));
    }

    #[test]
    fn ended_requests_are_forgotten_and_open_ones_never() {
        let store = Store::in_memory().unwrap();
        let ended = Record {
            end: Some(End::Removed),
            ..record("1", 5)
        };
        store.put(&ended).unwrap();
        store.put(&record("2", 5)).unwrap();
        assert_eq!(store.load(100 + KEPT).unwrap().len(), 2);
        let left = store.load(101 + KEPT).unwrap();
        assert_eq!(left, [record("2", 5)]);
    }

    #[test]
    fn amounts_do_not_overflow_a_budget() {
        assert_eq!(within(1, u128::MAX, None), None);
        assert_eq!(within(1, 2, Some(3)), Some(3));
        assert_eq!(within(1, 3, Some(3)), None);
    }
}
