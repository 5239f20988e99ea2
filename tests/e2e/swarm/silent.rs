// SPDX-License-Identifier: Apache-2.0
//! An agent that says nothing, or writes garbage, beside four honest ones.

use anyhow::{ensure, Context, Result};
use starling_primitives::round::Phase;
use starling_runtime::UNIT;
use starling_tests::{
    chain::{account_id, call, send},
    rounds::agent,
};
use subxt::dynamic::Value;
use subxt_signer::sr25519::dev::ferdie;

use super::{address, capture::register, complete, expert, models::two_models, Swarm, Validator};

#[tokio::test]
async fn only_the_first_round_waits_for_an_agent_that_says_nothing() -> Result<()> {
    let swarm = Swarm::start([
        expert("A starling is a small songbird."),
        expert("A starling is a songbird that mimics others."),
        expert("Starlings are songbirds; a flock is a murmuration."),
        expert("A starling is a bird."),
    ])
    .await?;
    register(swarm.node()?, "//Ferdie", "1010").await?;
    let rpc = swarm.node()?.rpc().await?;
    let silent = super::AccountId::new(account_id(&ferdie()).0);

    let mut lengths = vec![];
    let mut bonds = vec![];
    for prompt in ["What is a starling?", "Do starlings sing?", "And at night?"] {
        let id = swarm.ask(prompt, 10 * UNIT).await?;
        let (_, view) = swarm
            .until(id, |view| view.round.phase > Phase::Committing)
            .await?;
        let asked = view.round.requested_at;
        lengths.push(view.round.since - asked);
        let (at, view) = swarm.ended(id).await?;
        complete(&view, 4)?;
        bonds.push(agent(&rpc, &at, &silent).await?.bond);
    }
    eprintln!("blocks of Committing: {lengths:?}; bonds of the silent agent: {bonds:?}");
    let [first, second, third] = lengths[..] else {
        panic!("three rounds")
    };
    assert!(first > 3 * second.max(third), "{lengths:?}");
    assert_eq!(bonds, [1_009 * UNIT; 3], "it pays once");
    Ok(())
}

/// Rounds of which a median is taken.
const ROUNDS: u32 = 9;

/// The lengths of some rounds one after the other, in blocks, and the most commits of one.
async fn rounds(swarm: &Swarm) -> Result<(Vec<u32>, u32)> {
    let (mut lengths, mut most) = (vec![], 0);
    for number in 0..ROUNDS {
        let id = swarm
            .ask(&format!("What is {number} plus {number}?"), UNIT)
            .await?;
        let (_, view) = swarm.ended(id).await?;
        ensure!(view.round.phase == Phase::Done, "{view:?}");
        lengths.push(view.round.since - view.round.requested_at);
        most = most.max(view.round.counts.commits);
    }
    Ok((lengths, most))
}

/// The median of whole numbers of which each stands for the interval around it.
fn median(lengths: &[u32]) -> f64 {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let middle = sorted[sorted.len() / 2];
    let count = |of: &dyn Fn(u32) -> bool| sorted.iter().filter(|one| of(**one)).count() as f64;
    let below = count(&|one| one < middle);
    let within = count(&|one| one == middle);
    f64::from(middle) - 0.5 + (sorted.len() as f64 / 2.0 - below) / within
}

#[test]
fn the_median_of_whole_numbers_lies_within_the_middle_one() {
    assert_eq!(median(&[5, 5, 5]), 5.0);
    assert_eq!(median(&[6, 5, 5, 9, 5]), 5.0 - 0.5 + 2.5 / 3.0);
    assert_eq!(median(&[4, 5, 6]), 5.0);
}

#[tokio::test]
#[ignore = "compares round lengths, and wants a machine that does nothing else"]
async fn silence_and_garbage_move_the_median_round_by_less_than_a_block() -> Result<()> {
    let swarm = Swarm::start(two_models()).await?;
    // Agents pass while their models are being read.
    let ready = async {
        loop {
            let id = swarm.ask("What is the capital of France?", UNIT).await?;
            if swarm.ended(id).await?.1.round.counts.commits == 4 {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, ready)
        .await
        .context("the models are never ready")??;
    let (alone, most) = rounds(&swarm).await?;
    assert_eq!(most, 4);

    register(swarm.node()?, "//Ferdie", "1010").await?;
    let (silent, most) = rounds(&swarm).await?;
    assert_eq!(most, 4);

    // As many bytes as the request allows, of characters of which each is several tokens.
    let garbage = expert(&"\u{12480}".repeat(64));
    let mut garbage = Validator::new("ferdie", Some(garbage))?;
    garbage.start(Some(&address(swarm.node()?).await?)).await?;
    let tickets = call("Tickets", "buy", vec![Value::u128(UNIT)]);
    let bought = send(&swarm.api().await?, &tickets, &ferdie()).await?;
    bought.wait_for_success().await?;
    let (written, most) = rounds(&swarm).await?;
    assert_eq!(most, 5, "the garbage is in rounds");

    let [four, quiet, loud] = [&alone, &silent, &written].map(|lengths| median(lengths));
    eprintln!(
        "blocks of a round: four honest agents {alone:?}, median {four:.2}; beside a silent one \
         {silent:?}, median {quiet:.2}; beside one that writes garbage {written:?}, median {loud:.2}"
    );
    for moved in [quiet - four, loud - four] {
        assert!(moved < 1.0, "the median round takes {moved:.2} blocks more");
    }
    Ok(())
}
