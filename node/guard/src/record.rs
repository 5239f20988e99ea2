// SPDX-License-Identifier: Apache-2.0
//! The file with the last vote.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use codec::Decode;
use sp_consensus_grandpa::{Message, RoundNumber, SetId};
use starling_runtime::Header;

/// The first bytes of the file: its name and version.
const MAGIC: [u8; 8] = *b"STRLVOT1";
/// Number of bytes of the file: the first ones, set and round, both little-endian.
const LENGTH: usize = 24;

/// A file of last votes that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The file is not one of last votes.
    #[error(
        "{0} is not the record of a last vote; remove it if this node was not killed within the last \
         minute"
    )]
    Foreign(PathBuf),
}

/// The round of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The set of validators.
    pub set: SetId,
    /// The round among them.
    pub round: RoundNumber,
}

impl Vote {
    /// The round of a vote, from what is signed for it. `None` if that is something else.
    pub(crate) fn of(mut signed: &[u8]) -> Option<Self> {
        let (_, round, set) = <(Message<Header>, RoundNumber, SetId)>::decode(&mut signed).ok()?;
        signed.is_empty().then_some(Self { set, round })
    }

    /// Whether this vote was before a round of a set.
    pub(crate) fn is_before(&self, set: SetId, round: RoundNumber) -> bool {
        (self.set, self.round) < (set, round)
    }

    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let parts = [MAGIC, self.set.to_le_bytes(), self.round.to_le_bytes()];
        for (place, part) in bytes.chunks_exact_mut(8).zip(parts) {
            place.copy_from_slice(&part);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (magic, numbers) = bytes.split_first_chunk::<8>()?;
        let (set, round) = numbers.split_first_chunk()?;
        (*magic == MAGIC).then_some(Self {
            set: u64::from_le_bytes(*set),
            round: u64::from_le_bytes(round.try_into().ok()?),
        })
    }
}

/// The open file.
pub(crate) struct Record {
    path: PathBuf,
    file: File,
}

impl Record {
    /// Opens or makes the file. Returns the vote in it, if there is one.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<Vote>), Error> {
        let failed = |error| Error::Io {
            path: path.to_owned(),
            error,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut bytes = Vec::new();
        // A file of any other length is foreign, however long it is.
        let limit = u64::try_from(LENGTH).unwrap_or(u64::MAX).saturating_add(1);
        (&mut file)
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let last = if bytes.is_empty() {
            None
        } else {
            let vote = Vote::from_bytes(&bytes);
            Some(vote.ok_or_else(|| Error::Foreign(path.to_owned()))?)
        };
        let record = Self {
            path: path.to_owned(),
            file,
        };
        Ok((record, last))
    }

    /// Writes a vote, before it is signed, through to the disk.
    pub(crate) fn note(&mut self, vote: Vote) -> Result<(), Error> {
        let written = self.file.write_all_at(&vote.to_bytes(), 0);
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(|error| Error::Io {
            path: self.path.clone(),
            error,
        })
    }
}

/// A record that cannot be written.
#[cfg(test)]
pub(crate) fn read_only(path: &Path) -> Record {
    Record {
        path: path.to_owned(),
        file: File::open(path).unwrap(),
    }
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use sp_consensus_grandpa::{localized_payload, Precommit};
    use sp_core::H256;

    use super::*;

    #[test]
    fn what_grandpa_signs_is_a_vote_and_nothing_else_is() {
        let precommit = Precommit::<Header> {
            target_hash: H256::repeat_byte(3),
            target_number: 9,
        };
        let signed = localized_payload(7, 5, &Message::<Header>::Precommit(precommit));
        assert_eq!(Vote::of(&signed), Some(Vote { set: 5, round: 7 }));
        let longer = [&signed[..], &[0]].concat();
        for other in [&b""[..], &signed[1..], &longer, &(9u8, 1u64).encode()] {
            assert_eq!(Vote::of(other), None);
        }
    }

    #[test]
    fn the_last_vote_is_read_back_and_a_foreign_file_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-vote");
        let (mut record, last) = Record::open(&path).unwrap();
        assert_eq!(last, None);
        for round in [1, u64::MAX] {
            record.note(Vote { set: 2, round }).unwrap();
        }
        let (_, last) = Record::open(&path).unwrap();
        let round = u64::MAX;
        assert_eq!(last, Some(Vote { set: 2, round }));

        let right = std::fs::read(&path).unwrap();
        for wrong in [&b"hello"[..], &right[..23], &[&right[..], b"x"].concat()] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(Record::open(&path), Err(Error::Foreign(_))));
            assert_eq!(std::fs::read(&path).unwrap(), wrong);
        }
    }

    #[test]
    fn votes_are_ordered_by_set_and_then_by_round() {
        let vote = Vote { set: 2, round: 9 };
        assert!(vote.is_before(2, 10) && vote.is_before(3, 0));
        assert!(!vote.is_before(2, 9) && !vote.is_before(1, 99));
    }
}
