// SPDX-License-Identifier: Apache-2.0
//! A validator changes its keys.

use anyhow::{bail, Context, Result};
use serde::Deserialize;
use starling_tests::{
    chain::{account_id, call, contains, next_block, raw_value, send, AtBlock},
    Node,
};
use subxt::{
    dynamic::{storage, Value},
    rpcs::{methods::legacy::Bytes, rpc_params},
    utils::AccountId32,
};
use subxt_signer::sr25519::dev::alice;

/// Result of `author_rotateKeysWithOwner`.
#[derive(Deserialize)]
struct Rotated {
    keys: Bytes,
    proof: Bytes,
}

/// More blocks than keys need to become active: two sessions.
const DEADLINE: usize = 200;

#[tokio::test]
async fn rotated_keys_take_over_and_the_chain_goes_on() -> Result<()> {
    let node = Node::dev().await?;
    let (api, rpc) = (node.api().await?, node.rpc().await?);
    let owner = Bytes(account_id(&alice()).0.to_vec());
    let rotated: Rotated = rpc
        .request("author_rotateKeysWithOwner", rpc_params![owner])
        .await?;
    let keys = rotated.keys.0;
    let (aura, grandpa) = keys
        .split_at_checked(32)
        .context("the keys are too short")?;

    let set_keys = call(
        "Session",
        "set_keys",
        vec![
            Value::named_composite([
                ("aura", Value::from_bytes(aura)),
                ("grandpa", Value::from_bytes(grandpa)),
            ]),
            Value::from_bytes(rotated.proof.0),
        ],
    );
    let announced = send(&api, &set_keys, &alice()).await?;
    announced.wait_for_success().await?;
    assert_eq!(next_keys(&announced.at().await?).await?, keys);

    let mut blocks = api.stream_blocks().await?;
    let (mut queued, mut active) = (false, false);
    for _ in 0..DEADLINE {
        let at = next_block(&mut blocks).await?;
        queued = queued || contains(&raw_value(&at, "Session", "QueuedKeys").await?, &keys);
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
    let node = Node::dev().await?;
    let api = node.api().await?;
    let before = next_keys(&api.at_current_block().await?).await?;
    let stolen = Value::named_composite([
        ("aura", Value::from_bytes([7; 32])),
        ("grandpa", Value::from_bytes([7; 32])),
    ]);
    let set_keys = call("Session", "set_keys", vec![stolen, Value::from_bytes([])]);

    let included = send(&api, &set_keys, &alice()).await?;
    let error = match included.wait_for_success().await {
        Ok(_) => bail!("the keys were accepted"),
        Err(error) => format!("{error:?}"),
    };
    assert!(error.contains("InvalidProof"), "{error}");
    assert_eq!(next_keys(&included.at().await?).await?, before);
    Ok(())
}

/// Alice's next keys, SCALE-encoded.
async fn next_keys(at: &AtBlock) -> Result<Vec<u8>> {
    let address = storage::<(AccountId32,), Value>("Session", "NextKeys");
    let keys = at.storage().fetch(address, (account_id(&alice()),)).await?;
    Ok(keys.bytes().to_vec())
}
