// SPDX-License-Identifier: Apache-2.0
//! The files in this repository are up to date, and carry no runtime.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sc_chain_spec::GenesisConfigBuilderRuntimeCaller;
use serde_json::Value;
use starling_chain_spec::{from_file, released_file, to_json, to_template, Chain};
use starling_runtime::genesis_config_presets;

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

/// One test for all that the runtime says: compiling it takes longer than all of that.
#[test]
fn the_runtime_has_the_presets_of_the_native_code_and_builds_the_same_genesis_twice() {
    let code = starling_runtime::WASM_BINARY.unwrap();
    let runtime = <GenesisConfigBuilderRuntimeCaller>::new(code);
    for chain in Chain::ALL {
        let preset = chain.preset().to_owned();
        let of_runtime = runtime.get_named_preset(Some(&preset)).unwrap();
        let native = genesis_config_presets::get_preset(&preset).unwrap();
        let native: Value = serde_json::from_slice(&native).unwrap();
        assert!(native == of_runtime, "{chain:?}");
        let [one, two] = [(), ()].map(|()| runtime.get_storage_for_patch(native.clone()).unwrap());
        assert!(!one.top.is_empty());
        assert!(one.top == two.top, "{chain:?}");
        assert!(one.children_default == two.children_default, "{chain:?}");
    }
}

/// The genesis follows from the runtime and the configuration, which a plain specification has.
#[test]
fn a_file_without_a_runtime_gets_that_of_this_build() {
    for chain in Chain::RELEASED {
        let named = chain.specification().unwrap();
        let file = from_file(&released(chain)).unwrap();
        assert!(
            to_json(&file, false).unwrap() == to_json(&named, false).unwrap(),
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

/// Of raw ones, [`the_runtime_has_the_presets_of_the_native_code_and_builds_the_same_genesis_twice`]
/// compares the state, and an end-to-end test the bytes that two nodes print.
#[test]
fn generating_twice_gives_the_same_bytes() {
    for chain in Chain::ALL {
        let (one, two) = (
            chain.specification().unwrap(),
            chain.specification().unwrap(),
        );
        assert!(
            to_json(&one, false).unwrap() == to_json(&two, false).unwrap(),
            "{chain:?}"
        );
    }
}

#[test]
fn names_select_chains() {
    for chain in Chain::ALL {
        assert_eq!(Chain::from_name(chain.name()), Some(chain));
    }
    assert_eq!(Chain::from_name("polkadot"), None);
}
