// SPDX-License-Identifier: Apache-2.0
//! The released files are what this code makes of the runtime that they carry.

use std::{fs, path::Path};

use serde_json::Value;
use starling_chain_spec::{released_file, to_json, Chain};

fn released(chain: Chain, raw: bool) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(released_file(chain, raw));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The runtime inside a plain specification.
fn code(plain: &str) -> Vec<u8> {
    let json: Value = serde_json::from_str(plain).unwrap();
    let hex = json["genesis"]["runtimeGenesis"]["code"].as_str().unwrap();
    sp_core::bytes::from_hex(hex).unwrap()
}

#[test]
fn regenerating_on_the_released_runtime_gives_the_same_bytes() {
    for chain in Chain::RELEASED {
        let plain = released(chain, false);
        let again = chain.specification_on(&code(&plain));
        assert!(
            to_json(&again, false).unwrap() == plain,
            "{chain:?} plain differs"
        );
        assert!(
            to_json(&again, true).unwrap() == released(chain, true),
            "{chain:?} raw differs"
        );
    }
}

#[test]
fn generating_twice_gives_the_same_bytes() {
    for chain in Chain::ALL {
        let (one, two) = (
            chain.specification().unwrap(),
            chain.specification().unwrap(),
        );
        for raw in [false, true] {
            assert!(
                to_json(&one, raw).unwrap() == to_json(&two, raw).unwrap(),
                "{chain:?}"
            );
        }
    }
}

#[test]
fn names_select_chains() {
    for chain in Chain::ALL {
        assert_eq!(Chain::from_name(chain.name()), Some(chain));
    }
    assert_eq!(Chain::from_name("polkadot"), None);
}
