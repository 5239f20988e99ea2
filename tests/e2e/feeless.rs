// SPDX-License-Identifier: Apache-2.0
//! Agents' messages cost no fee, so the pool itself must tell forged from genuine ones.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc,
    },
    time::Instant,
};

use anyhow::{bail, ensure, Context, Result};
use pallet_rounds::Proof;
use starling_primitives::{messages::Message, sealing::Format, RoundId, Secret};
use starling_runtime::{MILLI_UNIT, UNIT};
use starling_tests::{
    chain::{call, next_block, send},
    rounds::request,
    Node,
};
use subxt::{
    dynamic::Value,
    rpcs::{methods::legacy::Bytes, rpc_params, Error},
};
use subxt_signer::sr25519::dev::{alice, bob};

use crate::played::{enrol, submit, Played};

/// The first round of a chain.
const ROUND: RoundId = 0;
const KEY: Secret = [7; 32];
/// Number of connections that forge messages at the same time.
const FORGERS: u64 = 4;
/// Number of blocks of the flood.
const BLOCKS: u64 = 10;

/// A transaction that commits a response; `forge` may spoil its signature.
fn commit(agent: &Played, signed_at: u64, forge: impl FnOnce(&mut Proof)) -> Result<Vec<u8>> {
    let slot = agent.slot(ROUND);
    let sealed = slot.seal(&KEY, "An answer.", 64, Format::Padded);
    let sealed = sealed.context("it does not seal")?;
    let message = Message::Commit {
        sealed: &sealed,
        key_commitment: slot.key_commitment(&KEY),
    };
    agent.transaction(ROUND, signed_at, &message, forge)
}

#[tokio::test]
async fn a_flood_of_forged_messages_stays_out_and_a_true_one_gets_in() -> Result<()> {
    let node = Node::dev().await?;
    let api = node.api().await?;
    enrol(&api).await?;
    for (call, signer) in [
        (
            call("Tickets", "buy", vec![Value::u128(100 * MILLI_UNIT)]),
            alice(),
        ),
        (request("What is a starling?", UNIT, 32), bob()),
    ] {
        send(&api, &call, &signer).await?.wait_for_success().await?;
    }
    let agent = Arc::new(Played::new(&api, "//Alice")?);
    let rpc = node.rpc().await?;
    let mut blocks = api.stream_blocks().await?;
    let begin = next_block(&mut blocks).await?.block_number();

    let refused = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let mut forgers = Vec::new();
    for forger in 0..FORGERS {
        let (agent, refused, over) = (agent.clone(), refused.clone(), over.clone());
        let rpc = node.rpc().await?;
        forgers.push(tokio::spawn(async move {
            let mut count = 0u64;
            while !over.load(Ordering::Relaxed) {
                // Each has different bytes: the pool would refuse a known hash without looking at
                // it.
                let forged = commit(&agent, begin, |proof| {
                    let bytes: &mut [u8] = proof.signature.as_mut();
                    bytes[..8].copy_from_slice(&(count * FORGERS + forger).to_le_bytes());
                })?;
                match submit(&rpc, forged).await {
                    Err(Error::User(_)) => {
                        refused.fetch_add(1, Ordering::Relaxed);
                    },
                    Err(error) => return Err(error.into()),
                    Ok(_) => bail!("a forged message is in the pool"),
                }
                count += 1;
            }
            Ok(())
        }));
    }

    // The genuine message, amid the flood.
    let now = next_block(&mut blocks).await?.block_number();
    submit(&rpc, commit(&agent, now, |_| ())?).await?;
    let mut committed = None;
    loop {
        let at = next_block(&mut blocks).await?;
        for event in at.events().fetch().await?.iter() {
            let event = event?;
            if (event.pallet_name(), event.event_name()) == ("Rounds", "Committed") {
                committed = Some(at.block_number());
            }
        }
        if at.block_number() >= begin + BLOCKS {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    for forger in forgers {
        forger.await??;
    }
    let committed = committed.context("the true message did not get in")?;
    let refused = refused.load(Ordering::Relaxed);
    println!(
        "{:.0} forged messages refused a second over {} connections, {} in all; the true one was \
         in a block {} later; {} blocks in {seconds:.1} s",
        refused as f64 / seconds,
        FORGERS,
        refused,
        committed - now,
        BLOCKS,
    );
    ensure!(refused > BLOCKS, "there was no flood");

    let pending: Vec<Bytes> = rpc
        .request("author_pendingExtrinsics", rpc_params![])
        .await?;
    assert!(pending.is_empty(), "{} wait in the pool", pending.len());
    Ok(())
}
