// SPDX-License-Identifier: Apache-2.0
//! Short functions to ask the swarm, and to query rounds.

use anyhow::{bail, Context, Result};
use codec::{Decode, Encode};
use sp_core::crypto::AccountId32;
use starling_primitives::{
    api::{AgentView, RoundView},
    Balance, RoundId,
};
use subxt::{
    dynamic::Value,
    rpcs::{methods::legacy::Bytes, rpc_params, RpcClient},
};

use crate::chain::{call, AtBlock, Call, Finalized};

/// A round as clients see it.
pub type View = RoundView<AccountId32>;

/// A request that takes at least three answers and at most eight.
pub fn request(prompt: &str, fee: Balance, max_tokens: u32) -> Call {
    call("Rounds", "request", terms(prompt, fee, max_tokens))
}

fn terms(prompt: &str, fee: Balance, max_tokens: u32) -> Vec<Value> {
    vec![
        Value::from_bytes(prompt),
        Value::u128(fee),
        Value::u128(max_tokens.into()),
        Value::u128(3),
        Value::u128(8),
    ]
}

/// A request as [`request`], for answers in a form such as `Number`. It commits to nothing.
pub fn ask(prompt: &str, fee: Balance, form: &str) -> Call {
    let mut arguments = terms(prompt, fee, 32);
    arguments.extend([Value::unnamed_variant(form, []), Value::from_bytes([7; 32])]);
    call("Capabilities", "ask", arguments)
}

/// The round that a request opened.
pub async fn opened(request: &Finalized) -> Result<RoundId> {
    let events = request.wait_for_success().await?;
    for event in events.iter() {
        let event = event?;
        if (event.pallet_name(), event.event_name()) == ("Rounds", "Requested") {
            return Ok(RoundId::decode(&mut event.field_bytes())?);
        }
    }
    bail!("the request opened no round")
}

/// The round at a block; `None` if it is not stored.
pub async fn round(rpc: &RpcClient, at: &AtBlock, id: RoundId) -> Result<Option<View>> {
    ask_runtime(rpc, at, "RoundsApi_round", id).await
}

/// The agent at a block.
pub async fn agent(rpc: &RpcClient, at: &AtBlock, who: &AccountId32) -> Result<AgentView> {
    let view: Option<AgentView> = ask_runtime(rpc, at, "RoundsApi_agent", who).await?;
    view.context("no such agent")
}

/// Calls the runtime at a block.
pub async fn ask_runtime<T: Decode>(
    rpc: &RpcClient,
    at: &AtBlock,
    method: &str,
    arguments: impl Encode,
) -> Result<T> {
    let params = rpc_params![method, Bytes(arguments.encode()), at.block_hash()];
    let answer: Bytes = rpc.request("state_call", params).await?;
    Ok(T::decode(&mut answer.0.as_slice())?)
}
