// SPDX-License-Identifier: Apache-2.0
//! Databases of secrets: tables of bytes, whose changes are on disk when they return.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use codec::Decode;
use redb::{
    Database, Durability, Error, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};

type Bytes = &'static [u8];

/// A table.
pub(crate) type Table = TableDefinition<'static, Bytes, Bytes>;

/// A key, and the value that it gets; `None` if it goes.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Opens the file of a database, or creates it with its folder. Only its owner may read it.
pub(crate) fn open(path: &Path) -> Result<Database, Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let database = Database::create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(database)
}

/// A table to be read; `None` if nobody has written to it.
fn read(database: &Database, table: Table) -> Result<Option<ReadOnlyTable<Bytes, Bytes>>, Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The value of a key.
pub(crate) fn get(database: &Database, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let Some(table) = read(database, table)? else {
        return Ok(None);
    };
    Ok(table.get(key)?.map(|value| value.value().to_vec()))
}

/// Gives each key with its value to `take`.
pub(crate) fn each(
    database: &Database,
    table: Table,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(table) = read(database, table)? else {
        return Ok(());
    };
    for entry in table.iter()? {
        let (key, value) = entry?;
        take(key.value(), value.value())?;
    }
    Ok(())
}

/// Reads a stored value.
pub(crate) fn decode<T: Decode>(mut bytes: &[u8]) -> Result<T, Error> {
    T::decode(&mut bytes).map_err(|error| Error::Corrupted(error.to_string()))
}

/// Changes a table by one transaction.
pub(crate) fn commit(database: &Database, table: Table, changes: &[Change]) -> Result<(), Error> {
    transact(database, |transaction| apply(transaction, table, changes))
}

/// Does `work` in one transaction. An error undoes it.
pub(crate) fn transact(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    work(&transaction)?;
    Ok(transaction.commit()?)
}

/// Changes a table in a transaction.
pub(crate) fn apply(
    transaction: &WriteTransaction,
    table: Table,
    changes: &[Change],
) -> Result<(), Error> {
    let mut table = transaction.open_table(table)?;
    for (key, value) in changes {
        match value {
            Some(value) => table.insert(key.as_slice(), value.as_slice())?,
            None => table.remove(key.as_slice())?,
        };
    }
    Ok(())
}
