// SPDX-License-Identifier: Apache-2.0
//! Transactions that the node refuses, and its errors.

use anyhow::{bail, Result};
use starling_tests::{
    chain::{account_id, next_block, nonce, send, transfer},
    Api, Node,
};
use subxt::{
    config::{
        substrate::{SpecVersionForRange, SubstrateConfigBuilder},
        DefaultExtrinsicParamsBuilder,
    },
    rpcs::{Error, UserError},
    tx::Signer,
    utils::H256,
    SubstrateConfig,
};
use subxt_signer::{
    sr25519::{
        dev::{alice, bob, charlie},
        Keypair,
    },
    SecretUri,
};

/// JSON-RPC codes of `author_submitExtrinsic`.
const UNREADABLE: i32 = 1040;
const INVALID: i32 = 1010;

#[tokio::test]
async fn a_transaction_that_is_not_what_it_claims_is_refused() -> Result<()> {
    let node = Node::dev().await?;
    let api = node.api().await?;
    let at = api.at_current_block().await?;
    let call = transfer(&charlie(), 1);

    let mut signable = at
        .transactions()
        .create_signable(&call, &account_id(&alice()), Default::default())
        .await?;
    let by_another: <SubstrateConfig as subxt::Config>::Signature =
        Signer::<SubstrateConfig>::sign(&bob(), &signable.signer_payload()?);
    let forged = signable.sign_with_account_and_signature(&account_id(&alice()), &by_another)?;
    let refusal = submit(&node, forged.encoded()).await?;
    assert_refused(&refusal, INVALID, "bad signature");

    let builder = SubstrateConfig::builder().set_genesis_hash(H256::repeat_byte(1));
    let refusal = submit_believing(&node, builder).await?;
    assert_refused(&refusal, INVALID, "bad signature");

    let builder =
        SubstrateConfig::builder().set_spec_version_for_block_ranges([SpecVersionForRange {
            block_range: 0..u64::MAX,
            spec_version: at.spec_version() + 1,
            transaction_version: at.transaction_version(),
        }]);
    let refusal = submit_believing(&node, builder).await?;
    assert_refused(&refusal, INVALID, "bad signature");

    let refusal = submit(&node, b"not a transaction").await?;
    assert_refused(&refusal, UNREADABLE, "");
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_cannot_pay_is_refused() -> Result<()> {
    let node = Node::dev().await?;
    let pauper = Keypair::from_uri(&"//Pauper".parse::<SecretUri>()?)?;
    let transaction = signed(&node.api().await?, &pauper, 0).await?;
    let refusal = submit(&node, &transaction).await?;
    assert_refused(&refusal, INVALID, "Inability to pay some fees");
    Ok(())
}

#[tokio::test]
async fn a_transaction_is_valid_once_and_in_its_turn() -> Result<()> {
    let node = Node::dev().await?;
    let (api, methods) = (node.api().await?, node.methods().await?);
    let mut blocks = api.stream_blocks().await?;

    // The second one waits in the pool for the first.
    let (first, second) = (
        signed(&api, &bob(), 0).await?,
        signed(&api, &bob(), 1).await?,
    );
    methods.author_submit_extrinsic(&second).await?;
    methods.author_submit_extrinsic(&first).await?;
    loop {
        let at = next_block(&mut blocks).await?;
        match nonce(&at, &bob()).await? {
            2 => break,
            1 => bail!("the second transaction did not follow the first"),
            _ => {},
        }
    }

    let refusal = submit(&node, &first).await?;
    assert_refused(&refusal, INVALID, "outdated");
    send(&api, &transfer(&charlie(), 1), &bob())
        .await?
        .wait_for_success()
        .await?;
    Ok(())
}

/// A transfer, signed by `signer` with this nonce.
async fn signed(api: &Api, signer: &Keypair, nonce: u64) -> Result<Vec<u8>> {
    let params = DefaultExtrinsicParamsBuilder::new()
        .immortal()
        .nonce(nonce)
        .build();
    Ok(api
        .at_current_block()
        .await?
        .transactions()
        .create_signable_offline(&transfer(&charlie(), 1), params)?
        .sign(signer)?
        .into_encoded())
}

/// Submits a transfer of Alice that is valid except for the chain of `config`.
async fn submit_believing(node: &Node, config: SubstrateConfigBuilder) -> Result<UserError> {
    let api = node.api_with(config.build()).await?;
    let transaction = signed(&api, &alice(), 0).await?;
    submit(node, &transaction).await
}

/// Submits bytes that the node must refuse.
async fn submit(node: &Node, transaction: &[u8]) -> Result<UserError> {
    match node
        .methods()
        .await?
        .author_submit_extrinsic(transaction)
        .await
    {
        Err(Error::User(refusal)) => Ok(refusal),
        Err(error) => Err(error.into()),
        Ok(_) => bail!("the node accepted it"),
    }
}

fn assert_refused(refusal: &UserError, code: i32, reason: &str) {
    let data = refusal
        .data
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    assert_eq!(refusal.code, code, "{refusal} {data}");
    assert!(data.contains(reason), "{refusal} {data}");
}
