// SPDX-License-Identifier: Apache-2.0
//! A chain of the first release upgrades to the present runtime while a round is open.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{anyhow, ensure, Context, Result};
use starling_chain_spec::{to_json, Chain};
use starling_primitives::round::Phase;
use starling_runtime::VERSION;
use starling_tests::{
    chain::{call, next_block, send, sudo, AtBlock},
    rounds::round,
};
use subxt::{
    dynamic::{storage, Value},
    ext::scale_decode::DecodeAsType,
};
use subxt_signer::sr25519::dev::alice;
use tempfile::NamedTempFile;
use tokio::time::timeout;

use super::{
    account, complete, expert,
    honest::{check_settlement, FEE},
    keys,
    oracle::FIRST_RELEASE,
    patient_expert, Swarm, PATIENCE,
};

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct LastRuntimeUpgrade {
    spec_version: u32,
}

/// The specification of the local chain in the first release.
fn old_chain() -> Result<NamedTempFile> {
    let file = "runtimes/starling-1.compact.compressed.wasm";
    let code = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file))?;
    let specification = Chain::Local.specification_on(&code);
    let json = to_json(&specification, true).map_err(|error| anyhow!(error))?;
    let mut file = tempfile::Builder::new().suffix(".json").tempfile()?;
    file.write_all(json.as_bytes())?;
    Ok(file)
}

/// The version of the state.
async fn migrated_to(at: &AtBlock) -> Result<u32> {
    let address = storage::<(), LastRuntimeUpgrade>("System", "LastRuntimeUpgrade");
    let last = at.storage().fetch(address, ()).await?.decode()?;
    Ok(last.spec_version)
}

#[tokio::test]
async fn a_round_that_is_open_while_the_runtime_is_upgraded_is_finished_and_paid() -> Result<()> {
    let code = starling_runtime::WASM_BINARY.context("the tests were built without the runtime")?;
    let chain = old_chain()?;
    // Two agents answer at once, the others after the upgrade.
    let folder = tempfile::tempdir()?;
    let sign = folder.path().join("upgraded");
    let configs = [
        expert("A starling is a small songbird."),
        expert("A starling is a songbird that mimics others."),
        patient_expert("Starlings are songbirds; a flock is a murmuration.", &sign),
        patient_expert("A starling is a bird.", &sign),
    ];
    let swarm = Swarm::start_on(chain.path().as_os_str(), configs).await?;
    let (api, rpc) = (swarm.api().await?, swarm.node()?.rpc().await?);
    assert_eq!(api.at_current_block().await?.spec_version(), 1);

    let id = swarm.ask("What is a starling?", FEE).await?;
    for key in &keys()[..2] {
        swarm.committed(id, &account(key)).await?;
    }
    let set_code = sudo(call("System", "set_code", vec![Value::from_bytes(code)]));
    let sent = timeout(PATIENCE, send(&api, &set_code, &alice())).await??;
    sent.wait_for_success().await?;

    // The block with the call has the new code and the old state; the next one has the new state,
    // too.
    let upgraded = api.at_block(sent.block_hash()).await?;
    assert_eq!(upgraded.spec_version(), VERSION.spec_version);
    assert_eq!(migrated_to(&upgraded).await?, 1);
    let view = round(&rpc, &upgraded, id).await?;
    let view = view.context("the round is still there")?;
    assert_eq!(
        (view.round.phase, view.round.counts.commits),
        (Phase::Committing, 2)
    );
    let number = upgraded.block_number() + 1;
    let mut blocks = api.stream_blocks().await?;
    while next_block(&mut blocks).await?.block_number() < number {}
    // A stream that nobody reads keeps its blocks pinned.
    drop(blocks);
    let next = api.at_block(number).await?;
    assert_eq!(migrated_to(&next).await?, VERSION.spec_version);
    assert_eq!(next.storage().runtime_wasm_code().await?, code);
    fs::write(&sign, "")?;

    let (at, view) = swarm.ended(id).await?;
    complete(&view, 4)?;
    ensure!(at.block_number() > number, "the round did not last");
    check_settlement(&swarm, &api, &at, &view, FIRST_RELEASE).await?;

    // The chain works as before.
    let id = swarm.ask("What is a murmuration?", FEE).await?;
    let (at, view) = swarm.ended(id).await?;
    complete(&view, 4)?;
    check_settlement(&swarm, &api, &at, &view, FIRST_RELEASE).await
}
