// SPDX-License-Identifier: Apache-2.0
//! A disk that is full is an error that loses nothing, and is over when there is room again.

use std::{env, fs, process::Command};

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use sp_core::H256;
use starling_primitives::api::SealedResponse;
use starling_worker::vault::{Response, RoundKey, SealedAnswer, Vault};

const CHILD: &str = "STARLING_FULL_DISK_TEST";

fn response() -> Response {
    Response {
        request: H256::repeat_byte(1),
        answer: Some(SealedAnswer {
            text: "x".repeat(4_000),
            sealed: SealedResponse {
                key: [1; 32],
                sealed: vec![1; 4_016],
            },
        }),
    }
}

/// A process of its own, in which the signal for too large files is ignored.
#[test]
#[ignore = "started by the other test"]
fn child() {
    env::var(CHILD).expect("started by the other test");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.redb");
    let vault = Vault::open(&path).unwrap();
    let put = |round| {
        let agent = [1; 32].into();
        vault.put_response(&RoundKey { agent, round }, 1, response())
    };
    put(0).unwrap();

    let before = getrlimit(Resource::Fsize);
    let full = Rlimit {
        current: Some(fs::metadata(&path).unwrap().len()),
        maximum: before.maximum,
    };
    setrlimit(Resource::Fsize, full).unwrap();
    let (failed, error) = (1..100_000)
        .find_map(|round| Some((round, put(round).err()?)))
        .expect("the disk is full at some time");
    assert!(error.to_string().contains("vault.redb"), "{error}");
    let stored = vault.records();
    assert_eq!(stored.len() as u64, failed, "what was stored stays");
    assert!(put(failed).is_err(), "it is still full");

    setrlimit(Resource::Fsize, before).unwrap();
    put(failed).unwrap();
    let records = vault.records();
    assert_eq!(records.len() as u64, failed + 1);
    drop(vault);
    assert_eq!(Vault::open(&path).unwrap().records(), records);
}

#[test]
fn a_full_disk_loses_nothing_and_is_over_when_there_is_room() {
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; exec \"$0\" --exact full_disk::child --ignored --nocapture",
        ])
        .arg(env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // Without a test of that name the program succeeds, too.
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
