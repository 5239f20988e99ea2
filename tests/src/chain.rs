// SPDX-License-Identifier: Apache-2.0
//! Short functions to query and to change a chain, by names and with the node's metadata.

use anyhow::{Context, Result};
use subxt::{
    client::{Blocks, OnlineClientAtBlockImpl},
    dynamic::{storage, tx, Value},
    ext::{scale_decode::DecodeAsType, scale_value::Composite},
    tx::{DynamicPayload, TransactionInBlock},
    utils::AccountId32,
    OnlineClient, OnlineClientAtBlock, SubstrateConfig,
};
use subxt_signer::sr25519::Keypair;

/// A connection to the chain.
pub type Api = OnlineClient<SubstrateConfig>;
/// The chain at one block.
pub type AtBlock = OnlineClientAtBlock<SubstrateConfig>;
/// A transaction that is in a finalised block.
pub type Finalized = TransactionInBlock<SubstrateConfig, OnlineClientAtBlockImpl<SubstrateConfig>>;
/// A call, by names.
pub type Call = DynamicPayload<Composite<()>>;

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Account {
    nonce: u32,
    data: Balances,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Balances {
    free: u128,
    reserved: u128,
}

/// A call of `pallet` with unnamed `args`.
pub fn call(pallet: &str, name: &str, args: Vec<Value>) -> Call {
    tx(pallet, name, Composite::unnamed(args))
}

/// A transfer that keeps the sender alive.
pub fn transfer(to: &Keypair, amount: u128) -> Call {
    let to = Value::unnamed_variant("Id", [Value::from_bytes(account_id(to).0)]);
    call(
        "Balances",
        "transfer_keep_alive",
        vec![to, Value::u128(amount)],
    )
}

/// `inner`, called by root.
pub fn sudo(inner: Call) -> Call {
    call("Sudo", "sudo", vec![inner.into_value()])
}

/// The account of `key`.
pub fn account_id(key: &Keypair) -> AccountId32 {
    key.public_key().to_account_id()
}

/// Free balance plus the reserved and held balance, of the account of `key`.
pub async fn balance(at: &AtBlock, key: &Keypair) -> Result<u128> {
    balance_of(at, account_id(key)).await
}

/// Free balance plus the reserved and held balance.
pub async fn balance_of(at: &AtBlock, who: AccountId32) -> Result<u128> {
    Ok(account(at, who)
        .await?
        .map_or(0, |account| account.data.free + account.data.reserved))
}

/// Total issuance of the currency.
pub async fn total_issuance(at: &AtBlock) -> Result<u128> {
    let address = storage::<(), u128>("Balances", "TotalIssuance");
    Ok(at.storage().fetch(address, ()).await?.decode()?)
}

/// Number of transactions that the account of `key` has sent.
pub async fn nonce(at: &AtBlock, key: &Keypair) -> Result<u64> {
    Ok(account(at, account_id(key))
        .await?
        .map_or(0, |account| account.nonce.into()))
}

async fn account(at: &AtBlock, who: AccountId32) -> Result<Option<Account>> {
    let address = storage::<(AccountId32,), Account>("System", "Account");
    let account = at.storage().try_fetch(address, (who,)).await?;
    Ok(account.map(|account| account.decode()).transpose()?)
}

/// The value stored under a name without keys, SCALE-encoded.
pub async fn raw_value(at: &AtBlock, pallet: &str, name: &str) -> Result<Vec<u8>> {
    let value = at
        .storage()
        .fetch(storage::<(), Value>(pallet, name), ())
        .await?;
    Ok(value.bytes().to_vec())
}

/// Whether encoded state has these bytes somewhere.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// Sends `call` from `signer` and waits until it is in a finalised block, whether it succeeds or
/// fails.
pub async fn send(api: &Api, call: &Call, signer: &Keypair) -> Result<Finalized> {
    Ok(api
        .transactions()
        .await?
        .sign_and_submit_then_watch_default(call, signer)
        .await?
        .wait_for_finalized()
        .await?)
}

/// The next finalised block of the stream.
pub async fn next_block(blocks: &mut Blocks<SubstrateConfig>) -> Result<AtBlock> {
    let block = blocks
        .next()
        .await
        .context("the node closed the connection")??;
    Ok(block.at().await?)
}
