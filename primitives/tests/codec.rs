// SPDX-License-Identifier: Apache-2.0
//! The bytes that are stored on chain, signed, or written for a node of another release. They never
//! change: a new variant takes a new index, wherever it stands.

use codec::{Decode, Encode};
use starling_primitives::{
    api::{JobBoard, Sent, StoredJobBoard, Task},
    messages::Message,
    rating::Mean,
    round::{Failure, Phase},
    sealing::Format,
    H256,
};

#[test]
fn phases_keep_their_bytes() {
    let phases = [
        Phase::Committing,
        Phase::Revealing,
        Phase::Ranking,
        Phase::Disclosing,
        Phase::Done,
    ];
    for (index, phase) in (0u8..).zip(phases) {
        assert_eq!(phase.encode(), [index]);
    }
    let failures = [
        Failure::TooFewCommits,
        Failure::TooFewReveals,
        Failure::NoRankings,
        Failure::BelowThreshold,
        Failure::Outbid,
    ];
    for (index, failure) in (0u8..).zip(failures) {
        assert_eq!(Phase::Failed(failure).encode(), [5, index]);
    }
}

#[test]
fn means_keep_their_bytes() {
    assert_eq!((Mean::OfOthers, Mean::OfAll).encode(), [0, 1]);
}

#[test]
fn messages_keep_what_is_signed() {
    let hash = H256::repeat_byte(1);
    let messages = [
        Message::Commit {
            sealed: &[],
            key_commitment: hash,
        },
        Message::Pass,
        Message::Reveal { key: &[1; 32] },
        Message::CommitScores {
            seed: hash,
            commitment: hash,
        },
        Message::Disclose {
            scores: &[],
            salt: &[1; 32],
        },
    ];
    for (index, message) in (0u8..).zip(messages) {
        assert_eq!(message.encode().first(), Some(&index), "{message:?}");
    }
}

#[test]
fn tasks_and_what_was_sent_keep_their_bytes() {
    let seed = H256::zero();
    let tasks = [
        Task::<u8>::Pass,
        Task::Respond {
            prompt: vec![],
            max_tokens: 1,
            fee: 1,
            slash: 1,
            max_bytes: 1,
            format: Format::Padded,
        },
        Task::Reveal,
        Task::Rank {
            prompt: vec![],
            seed,
            responses: vec![],
            max_tokens: 1,
        },
        Task::Disclose { seed },
    ];
    for (index, task) in (0u8..).zip(tasks) {
        assert_eq!(task.encode().first(), Some(&index), "{task:?}");
    }
    let sent = [
        Sent::Commit,
        Sent::Pass,
        Sent::Reveal,
        Sent::CommitScores,
        Sent::Disclose,
    ];
    for (index, sent) in (0u8..).zip(sent) {
        assert_eq!(sent.encode(), [index]);
    }
}

#[test]
fn formats_of_sealed_texts_keep_their_bytes() {
    assert_eq!((Format::Plain, Format::Padded).encode(), [0, 1]);
}

#[test]
fn a_job_board_begins_with_its_version() {
    let board = JobBoard {
        block: 7,
        agent: 1u8,
        jobs: vec![],
    };
    let bytes = StoredJobBoard::V2(board.clone()).encode();
    assert_eq!(bytes, [2, 7, 0, 0, 0, 1, 0]);
    let newer = [&[3], board.encode().as_slice()].concat();
    assert!(StoredJobBoard::<u8>::decode(&mut newer.as_slice()).is_err());
}
