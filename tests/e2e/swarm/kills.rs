// SPDX-License-Identifier: Apache-2.0
//! Validators that are killed at random moments of rounds that language models answer.
//!
//! `STARLING_KILLS` is the number of kills, 4 without it. `STARLING_KILLS_SEED` chooses the moments
//! and the victims. The table at the end says what came of them.

use std::{collections::BTreeMap, env, str::FromStr, time::Duration};

use anyhow::{ensure, Context, Result};
use sp_io::hashing::twox_64;
use starling_primitives::{round::Phase, Balance};
use starling_runtime::UNIT;
use starling_tests::rounds::{agent, round};
use tokio::time::{sleep, Instant};

use super::{
    account, keys,
    models::two_models,
    twins::{slots, BLOCKS, VOTES},
    Swarm, NAMES,
};

const FEE: Balance = UNIT;
/// Latest moment of a kill after its round is opened, in milliseconds: about the length of a round.
const LATEST: u64 = 8_000;

/// The value of an environment variable, or a default.
pub(super) fn variable<T: FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Ok(value) => value
            .parse()
            .ok()
            .with_context(|| format!("{name}={value}")),
        Err(_) => Ok(default),
    }
}

/// The victim of a kill, and the moment after its round is opened.
fn drawn(seed: u64, kill: u32) -> (usize, Duration) {
    let drawn = u64::from_le_bytes(twox_64(&[seed, kill.into()].map(u64::to_le_bytes).concat()));
    let victim = usize::try_from(drawn % NAMES.len() as u64).unwrap_or_default();
    (victim, Duration::from_millis(drawn / 4 % LATEST))
}

#[tokio::test]
async fn killed_validators_neither_lose_rounds_nor_contradict_themselves() -> Result<()> {
    let kills: u32 = variable("STARLING_KILLS", 4)?;
    let seed: u64 = variable("STARLING_KILLS_SEED", 1)?;
    let mut swarm = Swarm::start(two_models()).await?;
    // A ticket of every round is forfeited by all but its winner.
    swarm.buy_tickets(10 * UNIT).await?;
    let bonds = bonds(&swarm).await?;

    let start = Instant::now();
    let mut phases: BTreeMap<String, u32> = BTreeMap::new();
    let mut lost = vec![];
    for kill in 0..kills {
        let (victim, moment) = drawn(seed, kill);
        let id = swarm
            .ask(&format!("What is {kill} plus {kill}?"), FEE)
            .await?;
        // The moment is drawn; there is nothing to wait for.
        sleep(moment).await;
        let api = swarm.api().await?;
        let best = api.stream_best_blocks().await?.next().await;
        let at = best.context("no blocks")??.at().await?;
        let view = round(&swarm.node()?.rpc().await?, &at, id).await?;
        let phase = view.map_or("unknown".into(), |view| format!("{:?}", view.round.phase));
        *phases.entry(phase).or_default() += 1;

        swarm.kill(victim).await?;
        swarm.restart(victim).await?;
        let (_, view) = swarm.ended(id).await?;
        let counts = &view.round.counts;
        eprintln!(
            "kill {kill}: {} after {moment:?}; round {id} {:?} with {} answers, {} of them valid, \
             {} rankings",
            NAMES[victim], view.round.phase, counts.commits, counts.valid, counts.disclosures
        );
        if view.round.phase != Phase::Done {
            lost.push(view);
        }
    }

    let node = swarm.node()?;
    let (votes, blocks) = (slots(node, VOTES).await?, slots(node, BLOCKS).await?);
    let after = self::bonds(&swarm).await?;
    let slashed: Balance = bonds
        .iter()
        .zip(&after)
        .map(|(before, after)| before.saturating_sub(*after))
        .sum();
    let kept = kills.saturating_sub(lost.len().try_into()?);
    let seconds = start.elapsed().as_secs();
    eprintln!("| what | seen |\n|---|---|");
    for (what, seen) in [
        ("kills", kills.to_string()),
        ("phases at the kill", format!("{phases:?}")),
        ("rounds with a winner", kept.to_string()),
        ("rounds lost", lost.len().to_string()),
        (
            "rounds of finality with two votes of one key",
            votes.to_string(),
        ),
        ("slots with two blocks of one key", blocks.to_string()),
        ("slashed, in the smallest unit", slashed.to_string()),
        ("seconds", seconds.to_string()),
    ] {
        eprintln!("| {what} | {seen} |");
    }
    // The rules keep every round whose agents come back in time.
    ensure!(lost.is_empty(), "{lost:?}");
    assert_eq!(
        (votes, blocks),
        (0, 0),
        "a validator that was killed contradicted itself"
    );
    assert_eq!(after, bonds, "nobody was slashed");
    Ok(())
}

/// The bonds of all agents.
async fn bonds(swarm: &Swarm) -> Result<Vec<Balance>> {
    let rpc = swarm.node()?.rpc().await?;
    let at = swarm.api().await?.at_current_block().await?;
    let bond = async |key| anyhow::Ok(agent(&rpc, &at, &account(key)).await?.bond);
    let mut bonds = vec![];
    for key in &keys() {
        bonds.push(bond(key).await?);
    }
    Ok(bonds)
}
