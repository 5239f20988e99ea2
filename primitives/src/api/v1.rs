// SPDX-License-Identifier: Apache-2.0
//! Tasks and job boards of version 1 of [`RoundsApi`](super::RoundsApi), for a node whose chain is
//! not upgraded yet. In this version, tasks have no terms of the round and no size limit of a
//! response.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::H256;

use crate::{
    round::{BlockNumber, Terms},
    sealing::Format,
    InferenceKey, Position, RoundId,
};

/// Maximum length of a response on every chain of this version, in bytes.
pub const MAX_RESPONSE: u32 = 4_096;

/// See [`super::Task`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum Task<AccountId> {
    /// Pass.
    #[codec(index = 0)]
    Pass,
    /// Answer, or pass.
    #[codec(index = 1)]
    Respond {
        /// The prompt.
        prompt: Vec<u8>,
        /// Maximum length of the answer, in tokens.
        max_tokens: u32,
    },
    /// Reveal the key.
    #[codec(index = 2)]
    Reveal,
    /// Score these responses.
    #[codec(index = 3)]
    Rank {
        /// The prompt.
        prompt: Vec<u8>,
        /// The seed of the assignment.
        seed: H256,
        /// The responses with their positions and authors.
        responses: Vec<(Position, AccountId, Vec<u8>)>,
    },
    /// Disclose the scores.
    #[codec(index = 4)]
    Disclose {
        /// The seed of the assignment.
        seed: H256,
    },
}

/// See [`super::Owed`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Owed<AccountId> {
    /// The round.
    pub round: RoundId,
    /// The last block in which the message is certainly in time.
    pub deadline: BlockNumber,
    /// The block at the end of which the phase began.
    pub since: BlockNumber,
    /// The task.
    pub task: Task<AccountId>,
}

/// See [`super::JobBoard`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct JobBoard<AccountId> {
    /// The block after which the board was written.
    pub block: BlockNumber,
    /// The agent.
    pub agent: AccountId,
    /// Its jobs.
    pub jobs: Vec<Owed<AccountId>>,
}

/// Off-chain storage key of the [`JobBoard`] of the agent with this inference key.
pub fn job_board_key(key: &InferenceKey) -> Vec<u8> {
    (b"starling/jobs/1/", key).encode()
}

impl<AccountId> JobBoard<AccountId> {
    /// Converts the board to the present version. `terms` returns the terms of a round.
    ///
    /// # Errors
    /// Those of `terms`.
    pub fn upgrade<Error>(
        self,
        terms: impl Fn(RoundId) -> Result<Terms, Error>,
    ) -> Result<super::JobBoard<AccountId>, Error> {
        let jobs = self.jobs.into_iter().map(|owed| {
            Ok(super::Owed {
                round: owed.round,
                deadline: owed.deadline,
                since: owed.since,
                task: owed.task.upgrade(|| terms(owed.round))?,
            })
        });
        Ok(super::JobBoard {
            block: self.block,
            agent: self.agent,
            jobs: jobs.collect::<Result<_, _>>()?,
        })
    }
}

impl<AccountId> Task<AccountId> {
    fn upgrade<Error>(
        self,
        terms: impl FnOnce() -> Result<Terms, Error>,
    ) -> Result<super::Task<AccountId>, Error> {
        Ok(match self {
            Self::Pass => super::Task::Pass,
            Self::Respond { prompt, max_tokens } => {
                let Terms { fee, slash, .. } = terms()?;
                super::Task::Respond {
                    prompt,
                    max_tokens,
                    fee,
                    slash,
                    max_bytes: MAX_RESPONSE,
                    format: Format::Plain,
                }
            },
            Self::Reveal => super::Task::Reveal,
            Self::Rank {
                prompt,
                seed,
                responses,
            } => super::Task::Rank {
                prompt,
                seed,
                responses,
                max_tokens: terms()?.max_tokens,
            },
            Self::Disclose { seed } => super::Task::Disclose { seed },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn board(tasks: Vec<Task<u8>>) -> JobBoard<u8> {
        let owed = |task| Owed {
            round: 7,
            deadline: 9,
            since: 3,
            task,
        };
        JobBoard {
            block: 5,
            agent: 1,
            jobs: tasks.into_iter().map(owed).collect(),
        }
    }

    fn respond() -> Task<u8> {
        Task::Respond {
            prompt: vec![b'?'],
            max_tokens: 8,
        }
    }

    #[test]
    fn the_bytes_are_those_that_runtimes_of_version_1_write() {
        let bytes = board(vec![Task::Pass, respond()]).encode();
        let owed = [7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0];
        let mut expected = vec![5, 0, 0, 0, 1, 8];
        expected.extend(owed);
        expected.push(0);
        expected.extend(owed);
        expected.extend([1, 4, b'?', 8, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    fn terms(round: RoundId) -> Terms {
        Terms {
            fee: round.into(),
            deposit: 0,
            ticket: 0,
            slash: 3,
            max_tokens: 9,
            min_responses: 2,
            max_responses: 8,
            active: 4,
            activations: 4,
        }
    }

    #[test]
    fn terms_that_cannot_be_read_are_an_error_and_never_zero() {
        assert_eq!(board(vec![respond()]).upgrade(|_| Err(())), Err(()));
        let rank = Task::Rank {
            prompt: vec![b'?'],
            seed: H256::zero(),
            responses: vec![],
        };
        let upgraded = board(vec![respond(), rank]).upgrade(|round| Ok::<_, ()>(terms(round)));
        let respond = super::super::Task::Respond {
            prompt: vec![b'?'],
            max_tokens: 8,
            fee: 7,
            slash: 3,
            max_bytes: MAX_RESPONSE,
            format: Format::Plain,
        };
        let rank = super::super::Task::Rank {
            prompt: vec![b'?'],
            seed: H256::zero(),
            responses: vec![],
            max_tokens: 9,
        };
        let jobs = upgraded.unwrap().jobs;
        let tasks: Vec<_> = jobs.into_iter().map(|owed| owed.task).collect();
        assert_eq!(tasks, [respond, rank]);
        // Other tasks do not need the terms.
        let other = board(vec![Task::Pass]).upgrade(|_| Err(()));
        assert_eq!(other.unwrap().jobs[0].task, super::super::Task::Pass);
    }
}
