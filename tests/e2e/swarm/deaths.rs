// SPDX-License-Identifier: Apache-2.0
//! Validators that die in the middle of a round.

use anyhow::{Context, Result};
use starling_primitives::{
    api::{ResponseView, RoundView},
    round::Phase,
    Balance, RoundId,
};
use starling_runtime::{AccountId, UNIT};
use starling_tests::chain::AtBlock;

use super::{account, agent, expert, keys, slow_expert, Swarm};

const FEE: u128 = 10 * UNIT;
const CHARLIE: usize = 2;

/// Dave thinks long enough to kill Charlie after its commit.
fn agents() -> [String; 4] {
    [
        expert("A starling is a small songbird."),
        expert("A starling is a songbird that mimics others."),
        expert("Starlings are songbirds; a flock is a murmuration."),
        slow_expert("A starling is a bird.", 12),
    ]
}

/// The response of Charlie in a round.
fn of_charlie(view: &RoundView<AccountId>) -> Result<&ResponseView<AccountId>> {
    let charlie = account(&keys()[CHARLIE]);
    let mut responses = view.responses.iter();
    responses
        .find(|response| response.agent == charlie)
        .context("it has committed")
}

async fn bond(swarm: &Swarm, at: &AtBlock) -> Result<Balance> {
    let rpc = swarm.node()?.rpc().await?;
    Ok(agent(&rpc, at, &account(&keys()[CHARLIE])).await?.bond)
}

/// Opens a round and kills Charlie after its commit. Returns the round, and Charlie's bond before.
async fn killed_after_its_commit(swarm: &mut Swarm) -> Result<(RoundId, Balance)> {
    let start = swarm.api().await?.at_current_block().await?;
    let bond = bond(swarm, &start).await?;
    let id = swarm.ask("What is a starling?", FEE).await?;
    swarm.committed(id, &account(&keys()[CHARLIE])).await?;
    swarm.kill(CHARLIE).await?;
    Ok((id, bond))
}

#[tokio::test]
async fn a_validator_killed_after_its_commit_reveals_when_it_comes_back_and_else_pays() -> Result<()>
{
    let mut swarm = Swarm::start(agents()).await?;
    comes_back(&mut swarm).await?;
    stays_away(&mut swarm).await
}

/// Charlie still reveals, and loses nothing.
async fn comes_back(swarm: &mut Swarm) -> Result<()> {
    let (id, before) = killed_after_its_commit(swarm).await?;
    swarm.restart(CHARLIE).await?;

    let (at, view) = swarm.ended(id).await?;
    assert_eq!(view.round.phase, Phase::Done);
    let response = of_charlie(&view)?;
    let text = response.text.as_deref().context("it has revealed")?;
    assert_eq!(text, b"Starlings are songbirds; a flock is a murmuration.");
    assert!(response.scores.is_some(), "it has disclosed");
    assert_eq!(bond(swarm, &at).await?, before, "it was not slashed");
    Ok(())
}

/// The round goes on without Charlie and slashes it.
async fn stays_away(swarm: &mut Swarm) -> Result<()> {
    let (id, before) = killed_after_its_commit(swarm).await?;

    let (at, view) = swarm.ended(id).await?;
    assert_eq!(view.round.phase, Phase::Done);
    assert_eq!(view.round.counts.valid, 3);
    assert_eq!(view.round.counts.disclosures, 3);
    assert_eq!(of_charlie(&view)?.text, None);
    let slash = view.round.terms.slash;
    assert!(slash > 0);
    assert_eq!(bond(swarm, &at).await?, before - slash);
    Ok(())
}
