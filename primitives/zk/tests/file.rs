// SPDX-License-Identifier: Apache-2.0
//! The file of a private head.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use starling_zk::{
    file::{BadFile, HeadFile},
    head::{Head, Unit},
    secret::Secret,
    table::{Table, POINTS},
};

fn bytes(table: [i64; POINTS]) -> Vec<u8> {
    let unit = Unit {
        row: [-1; 256],
        bias: 2,
        weight: 3,
    };
    let head = Head {
        units: [unit; 16],
        bias: 4,
    };
    let file = HeadFile {
        secret: Secret::new(head, [5; 32]),
        table: Table::new(table).unwrap(),
    };
    file.to_bytes()
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let written = bytes([6; POINTS]);
    let read = HeadFile::from_bytes(&written).unwrap();
    assert_eq!(read.to_bytes(), written);
    assert_eq!(read.table.points(), &[6; POINTS]);
    assert_eq!(read.secret.head().units[15].row, [-1; 256]);
}

#[test]
fn other_bytes_are_refused() {
    let good = bytes([6; POINTS]);
    let mut unordered = good.clone();
    *unordered.last_mut().unwrap() = 0x80;
    let longer = [&good[..], &[0]].concat();
    let all: [&[u8]; 6] = [
        b"",
        b"x",
        &good[1..],
        &good[..good.len() - 1],
        &longer,
        &unordered,
    ];
    for bad in all {
        assert!(matches!(HeadFile::from_bytes(bad), Err(BadFile)));
    }
}
