// SPDX-License-Identifier: Apache-2.0
//! Transfers of funds, and their fees.

use anyhow::{Context, Result};
use serde::Deserialize;
use starling_tests::{
    chain::{balance, nonce, send, sudo, total_issuance, transfer},
    Node,
};
use subxt::rpcs::{methods::legacy::Bytes, rpc_params};
use subxt_signer::sr25519::dev::{alice, bob, charlie, dave};

/// The relevant fields of `payment_queryInfo`'s result.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentInfo {
    partial_fee: String,
}

#[tokio::test]
async fn a_transfer_moves_the_amount_and_costs_the_announced_fee() -> Result<()> {
    const AMOUNT: u128 = 123_456_789_012_345;
    let node = Node::dev().await?;
    let api = node.api().await?;

    let transaction = api
        .transactions()
        .await?
        .create_signed(&transfer(&charlie(), AMOUNT), &bob(), Default::default())
        .await?;
    let included = transaction
        .submit_and_watch()
        .await?
        .wait_for_finalized()
        .await?;
    included.wait_for_success().await?;

    let after = included.at().await?;
    let before = api
        .at_block(after.block_header().await?.parent_hash)
        .await?;
    let info: PaymentInfo = node
        .rpc()
        .await?
        .request(
            "payment_queryInfo",
            rpc_params![Bytes(transaction.encoded().to_vec()), before.block_hash()],
        )
        .await?;
    let fee: u128 = info.partial_fee.parse()?;

    assert!(fee > 0);
    assert_eq!(
        balance(&after, &bob()).await?,
        balance(&before, &bob()).await? - AMOUNT - fee
    );
    assert_eq!(
        balance(&after, &charlie()).await?,
        balance(&before, &charlie()).await? + AMOUNT
    );
    // Alice, the only validator, authored the block.
    assert_eq!(
        balance(&after, &alice()).await?,
        balance(&before, &alice()).await? + fee
    );
    assert_eq!(
        total_issuance(&after).await?,
        total_issuance(&before).await?
    );
    assert_eq!(
        nonce(&after, &bob()).await?,
        nonce(&before, &bob()).await? + 1
    );
    Ok(())
}

#[tokio::test]
async fn a_call_that_fails_costs_its_fee_and_changes_nothing_else() -> Result<()> {
    let node = Node::dev().await?;
    let api = node.api().await?;
    let all = balance(&api.at_current_block().await?, &bob()).await?;

    for (call, reason) in [
        (transfer(&dave(), 2 * all), "FundsUnavailable"),
        (sudo(transfer(&dave(), 1)), "RequireSudo"),
    ] {
        let included = send(&api, &call, &bob()).await?;
        let error = included
            .wait_for_success()
            .await
            .err()
            .context("the call succeeded")?;
        assert!(format!("{error:?} {error}").contains(reason), "{error:?}");

        let after = included.at().await?;
        let before = api
            .at_block(after.block_header().await?.parent_hash)
            .await?;
        let (had, has) = (
            balance(&before, &bob()).await?,
            balance(&after, &bob()).await?,
        );
        assert!(has < had);
        assert_eq!(
            balance(&after, &alice()).await? - balance(&before, &alice()).await?,
            had - has
        );
        assert_eq!(
            balance(&after, &dave()).await?,
            balance(&before, &dave()).await?
        );
        assert_eq!(
            nonce(&after, &bob()).await?,
            nonce(&before, &bob()).await? + 1
        );
    }
    Ok(())
}
