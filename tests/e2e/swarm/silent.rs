// SPDX-License-Identifier: Apache-2.0
//! An agent that says nothing, beside four honest ones.

use anyhow::Result;
use starling_primitives::round::Phase;
use starling_runtime::UNIT;
use starling_tests::{chain::account_id, rounds::agent};
use subxt_signer::sr25519::dev::ferdie;

use super::{capture::register, complete, expert, Swarm};

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
