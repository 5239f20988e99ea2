// SPDX-License-Identifier: Apache-2.0
//! The chain replaces its own runtime.

use anyhow::{Context, Result};
use starling_tests::{
    chain::{call, next_block, send, sudo, transfer},
    Node,
};
use subxt::{
    dynamic::{storage, Value},
    ext::scale_decode::DecodeAsType,
};
use subxt_signer::sr25519::dev::{alice, bob, charlie};

#[allow(dead_code)]
mod next_release {
    include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct LastRuntimeUpgrade {
    spec_version: u32,
}

#[tokio::test]
async fn blocks_go_on_after_sudo_upgrades_the_runtime() -> Result<()> {
    let code = next_release::WASM_BINARY.context("the tests were built with SKIP_WASM_BUILD")?;
    let node = Node::dev().await?;
    let api = node.api().await?;
    let old = api.at_current_block().await?.spec_version();

    let set_code = sudo(call("System", "set_code", vec![Value::from_bytes(code)]));
    let events = send(&api, &set_code, &alice())
        .await?
        .wait_for_success()
        .await?;
    let mut names = vec![];
    for event in events.iter() {
        let event = event?;
        names.push(format!("{}.{}", event.pallet_name(), event.event_name()));
    }
    assert!(
        names.contains(&"System.CodeUpdated".to_string()),
        "{names:?}"
    );

    let mut blocks = api.stream_blocks().await?;
    let mut at = next_block(&mut blocks).await?;
    while at.spec_version() == old {
        at = next_block(&mut blocks).await?;
    }
    // The new code stands in the state of the first such block, and executes the next one.
    at = next_block(&mut blocks).await?;
    assert_eq!(at.spec_version(), old + 1);
    assert_eq!(at.storage().runtime_wasm_code().await?, code);
    // The new runtime ran its migrations, and knows its own version.
    let address = storage::<(), LastRuntimeUpgrade>("System", "LastRuntimeUpgrade");
    let last = at.storage().fetch(address, ()).await?.decode()?;
    assert_eq!(last.spec_version, old + 1);

    // Signed for the new version.
    send(&api, &transfer(&charlie(), 1), &bob())
        .await?
        .wait_for_success()
        .await?;
    for _ in 0..5 {
        assert_eq!(next_block(&mut blocks).await?.spec_version(), old + 1);
    }
    Ok(())
}
