// SPDX-License-Identifier: Apache-2.0
//! The file of a private head.

use codec::{DecodeAll, Encode};
use core::{error::Error, fmt};

use crate::{
    secret::Secret,
    table::{Table, POINTS},
};

/// The beginning of a file, with the version of its format.
const MAGIC: &[u8] = b"starling head 1\n";

/// A private head with the table of its scores. Whoever reads the file has the weights.
pub struct HeadFile {
    /// The head and its seed.
    pub secret: Secret,
    /// The scores of its outputs.
    pub table: Table,
}

/// Refuses bytes that are no file of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFile;

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no file of a private head; make one with `starling-infer head train`")
    }
}

impl Error for BadFile {}

impl HeadFile {
    /// From the bytes of a file.
    ///
    /// # Errors
    /// [`BadFile`] if they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadFile> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(BadFile)?;
        let (secret, points) =
            <(Secret, [i64; POINTS])>::decode_all(&mut rest).map_err(|_| BadFile)?;
        let table = Table::new(points).map_err(|_| BadFile)?;
        Ok(Self { secret, table })
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        (&self.secret, self.table.points()).encode_to(&mut bytes);
        bytes
    }
}
