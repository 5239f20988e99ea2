// SPDX-License-Identifier: Apache-2.0
//! Evidence in a file, with everything needed to judge it elsewhere and later.

use alloc::vec::Vec;
use codec::{Decode, DecodeAll, Encode};
use core::{error::Error, fmt};

use crate::{Evidence, Exhibit};

/// Prefix of a case's file: kind and version. Since 2 exhibits name their tokens.
const MAGIC: [u8; 8] = *b"STARLEV2";

/// Evidence with its exhibit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Case {
    /// Hash of the genesis block of the agents' chain.
    pub network: [u8; 32],
    /// Time of discovery, in milliseconds since the Unix epoch.
    pub found: u64,
    /// The claims.
    pub evidence: Evidence,
    /// The rows that the claims refer to.
    pub exhibit: Exhibit,
}

/// Bytes that are no case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCase {
    /// They are of another kind or version.
    OtherFile,
    /// They are cut off or damaged.
    Damaged,
}

impl fmt::Display for NoCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherFile => "not an evidence file of this version",
            Self::Damaged => "the evidence is cut off or damaged",
        })
    }
}

impl Error for NoCase {}

impl Case {
    /// The bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.encode_to(&mut bytes);
        bytes
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// [`NoCase`] if they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoCase> {
        let body = bytes.strip_prefix(&MAGIC).ok_or(NoCase::OtherFile)?;
        Self::decode_all(&mut &*body).map_err(|_| NoCase::Damaged)
    }

    /// Reads a case from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is none of a case.
    #[cfg(feature = "std")]
    pub fn read(path: &std::path::Path) -> std::io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let invalid = |why| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
        Self::from_bytes(&bytes).map_err(invalid)
    }
}
