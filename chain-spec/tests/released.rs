// SPDX-License-Identifier: Apache-2.0
//! The files in this repository are up to date, and carry no runtime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use starling_chain_spec::{from_file, released_file, to_json, to_template, Chain};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn released(chain: Chain) -> PathBuf {
    folder().join(released_file(chain))
}

#[test]
fn the_files_are_the_presets_without_the_runtime() {
    for chain in Chain::RELEASED {
        let template = to_template(&chain.specification().unwrap()).unwrap();
        assert!(
            fs::read_to_string(released(chain)).unwrap() == template,
            "{chain:?}: run refresh-chain-specs"
        );
        assert!(template.contains(r#""code": "0x","#));
    }
}

#[test]
fn the_runtime_has_the_presets_of_the_native_code() {
    let code = starling_runtime::WASM_BINARY.unwrap();
    for chain in Chain::ALL {
        let native = chain.specification().unwrap();
        let of_runtime = chain.specification_on(code);
        assert!(
            to_json(&native, false).unwrap() == to_json(&of_runtime, false).unwrap(),
            "{chain:?}"
        );
    }
}

#[test]
fn a_file_without_a_runtime_gets_that_of_this_build() {
    for chain in Chain::RELEASED {
        let named = chain.specification().unwrap();
        let file = from_file(&released(chain)).unwrap();
        assert!(
            to_json(&file, true).unwrap() == to_json(&named, true).unwrap(),
            "{chain:?}"
        );
    }
}

#[test]
fn a_file_with_a_runtime_keeps_it() {
    let template = fs::read_to_string(released(Chain::Local)).unwrap();
    let other = template.replace(r#""code": "0x""#, r#""code": "0x0061736d""#);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), other).unwrap();
    let json = to_json(&from_file(file.path()).unwrap(), false).unwrap();
    assert!(json.contains(r#""code": "0x0061736d""#), "{json}");
}

#[test]
fn a_file_that_is_no_specification_is_refused() {
    for text in [
        "",
        "{}",
        r#"{"genesis": {"runtimeGenesis": {"code": "0x"}}}"#,
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        assert!(from_file(file.path()).is_err(), "{text}");
    }
    assert!(from_file(&folder().join("missing.json")).is_err());
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
