// SPDX-License-Identifier: Apache-2.0
//! A validator changes its keys.

use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;
use starling_tests::{
    chain::{account_id, call, contains, next_block, raw_value, send, AtBlock, Call},
    node::run,
    Node,
};
use subxt::{
    dynamic::{storage, Value},
    rpcs::methods::legacy::Bytes,
    utils::AccountId32,
};
use subxt_signer::sr25519::{
    dev::{alice, bob},
    Keypair,
};

use crate::client::{json, starling};

/// Output of `starling-node key session --json`.
#[derive(Deserialize)]
pub(crate) struct Rotated {
    keys: Bytes,
    proof: Bytes,
}

/// Makes session keys in the keystore of a chain under `base`.
pub(crate) async fn make_keys(chain: &str, base: &Path, owner: &Keypair) -> Result<Rotated> {
    let owner = account_id(owner);
    let made = run([
        "key",
        "session",
        &format!("--chain={chain}"),
        &format!("--base-path={}", base.display()),
        &format!("--owner={owner}"),
        "--json",
    ])
    .await?;
    ensure!(made.code == Some(0), "{}", made.stderr);
    Ok(serde_json::from_str(&made.stdout)?)
}

/// The call that announces session keys.
pub(crate) fn set_keys(rotated: &Rotated) -> Result<Call> {
    let (aura, grandpa) = rotated
        .keys
        .0
        .split_at_checked(32)
        .context("the keys are too short")?;
    let keys = Value::named_composite([
        ("aura", Value::from_bytes(aura)),
        ("grandpa", Value::from_bytes(grandpa)),
    ]);
    let proof = Value::from_bytes(&rotated.proof.0);
    Ok(call("Session", "set_keys", vec![keys, proof]))
}

/// More blocks than keys need to become active: two sessions.
const DEADLINE: usize = 200;

#[tokio::test]
async fn rotated_keys_take_over_and_the_chain_goes_on() -> Result<()> {
    let base = tempfile::tempdir()?;
    let node = Node::start(base.path(), ["--dev"]).await?;
    let api = node.api().await?;
    // The node runs, and no unsafe method is called.
    let rotated = make_keys("dev", base.path(), &alice()).await?;
    let keys = &rotated.keys.0;
    let (aura, grandpa) = keys
        .split_at_checked(32)
        .context("the keys are too short")?;

    let announced = send(&api, &set_keys(&rotated)?, &alice()).await?;
    announced.wait_for_success().await?;
    assert_eq!(next_keys(&announced.at().await?).await?, *keys);

    let mut blocks = api.stream_blocks().await?;
    let (mut queued, mut active) = (false, false);
    for _ in 0..DEADLINE {
        let at = next_block(&mut blocks).await?;
        queued = queued || contains(&raw_value(&at, "Session", "QueuedKeys").await?, keys);
        active = contains(&raw_value(&at, "Aura", "Authorities").await?, aura)
            && contains(&raw_value(&at, "Grandpa", "Authorities").await?, grandpa);
        if active {
            break;
        }
    }
    assert!(queued, "the keys were never queued");
    assert!(active, "the keys were not active within {DEADLINE} blocks");

    // From here on, each block is signed and finalised with the new keys, since the chain knows no
    // others.
    for _ in 0..5 {
        let at = next_block(&mut blocks).await?;
        assert!(contains(
            &raw_value(&at, "Aura", "Authorities").await?,
            aura
        ));
    }
    Ok(())
}

#[tokio::test]
async fn keys_without_proof_of_ownership_are_refused() -> Result<()> {
    let base = tempfile::tempdir()?;
    // Before the node's first start.
    let of_bob = make_keys("dev", base.path(), &bob()).await?;
    let node = Node::start(base.path(), ["--dev"]).await?;
    let api = node.api().await?;
    let before = next_keys(&api.at_current_block().await?).await?;
    let stolen = Rotated {
        keys: Bytes(vec![7; 64]),
        proof: Bytes(vec![]),
    };
    // Neither keys without a proof, nor those with a proof for another account.
    for keys in [&stolen, &of_bob] {
        let included = send(&api, &set_keys(keys)?, &alice()).await?;
        let error = match included.wait_for_success().await {
            Ok(_) => bail!("the keys were accepted"),
            Err(error) => format!("{error:?}"),
        };
        assert!(error.contains("InvalidProof"), "{error}");
        assert_eq!(next_keys(&included.at().await?).await?, before);
    }
    let announced = send(&api, &set_keys(&of_bob)?, &bob()).await?;
    announced.wait_for_success().await?;
    Ok(())
}

#[tokio::test]
async fn session_keys_are_printed_for_people_and_a_wrong_owner_is_refused() -> Result<()> {
    let base = tempfile::tempdir()?;
    let owner = account_id(&alice()).to_string();
    let session = |owner: &str| {
        [
            "key".to_owned(),
            "session".into(),
            "--chain=dev".into(),
            format!("--base-path={}", base.path().display()),
            format!("--owner={owner}"),
        ]
    };
    let made = run(session(&owner)).await?;
    ensure!(made.code == Some(0), "{}", made.stderr);
    let lines: Vec<_> = made.stdout.lines().collect();
    let [keys, proof] = lines[..] else {
        bail!("not two lines but {lines:?}")
    };
    let keys = keys.strip_prefix("keys:  0x").context("the keys")?;
    assert_eq!(keys.len(), 128, "{keys}");
    assert!(proof.starts_with("proof: 0x"), "{proof}");
    let keystore = base.path().join("chains/starling_dev/keystore");
    let stored = || anyhow::Ok(std::fs::read_dir(&keystore)?.count());
    assert_eq!(stored()?, 2);

    let refused = run(session("5Grw")).await?;
    assert!(refused.code.is_some_and(|code| code != 0));
    assert!(refused.stderr.contains("--owner"), "{}", refused.stderr);
    assert_eq!(stored()?, 2);
    Ok(())
}

#[tokio::test]
async fn one_command_makes_keys_and_announces_them() -> Result<()> {
    let base = tempfile::tempdir()?;
    let node = Node::start(base.path(), ["--dev"]).await?;
    let api = node.api().await?;
    let before = next_keys(&api.at_current_block().await?).await?;
    let folder = base.path().to_str().context("a path in UTF-8")?;
    let rotate = ["session", "rotate", "--chain", "dev", "--base-path", folder];
    let rotated = json(&node, &[&rotate[..], &["--dev", "alice"]].concat()).await?;
    let block = rotated["block"].as_u64().context("a block")?;
    let keys = next_keys(&api.at_block(block).await?).await?;
    assert_ne!(keys, before);
    // Each file of the keystore is named by the type and the public key.
    let mut stored = vec![];
    for file in std::fs::read_dir(base.path().join("chains/starling_dev/keystore"))? {
        stored.push(file?.file_name().into_string().unwrap_or_default());
    }
    let hex: String = keys.iter().map(|byte| format!("{byte:02x}")).collect();
    let (aura, grandpa) = hex.split_at_checked(64).context("the keys are too short")?;
    for name in [format!("61757261{aura}"), format!("6772616e{grandpa}")] {
        assert!(stored.contains(&name), "{name}: {stored:?}");
    }

    // No chain, no keystore.
    let missing = [
        "session",
        "rotate",
        "--chain",
        "nowhere",
        "--base-path",
        folder,
    ];
    let refused = starling(&node, &[&missing[..], &["--dev", "bob"]].concat()).await?;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("unknown chain"),
        "{}",
        refused.stderr
    );
    Ok(())
}

/// Alice's next keys, SCALE-encoded.
async fn next_keys(at: &AtBlock) -> Result<Vec<u8>> {
    let address = storage::<(AccountId32,), Value>("Session", "NextKeys");
    let keys = at.storage().fetch(address, (account_id(&alice()),)).await?;
    Ok(keys.bytes().to_vec())
}
