// SPDX-License-Identifier: Apache-2.0
//! Validators that die in the middle of a round.

use anyhow::{Context, Result};
use starling_primitives::{round::Phase, Balance, RoundId};
use starling_runtime::{AccountId, UNIT};
use subxt::rpcs::RpcClient;

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

/// A swarm whose Charlie died after its commit to a round.
struct Killed {
    swarm: Swarm,
    rpc: RpcClient,
    charlie: AccountId,
    /// Charlie's bond before the round.
    bond: Balance,
    id: RoundId,
}

async fn killed_after_its_commit() -> Result<Killed> {
    let mut swarm = Swarm::start(agents()).await?;
    let rpc = swarm.node()?.rpc().await?;
    let charlie = account(&keys()[CHARLIE]);
    let start = swarm.api().await?.at_current_block().await?;
    let bond = agent(&rpc, &start, &charlie).await?.bond;
    let id = swarm.ask("What is a starling?", FEE).await?;
    swarm.committed(id, &charlie).await?;
    swarm.kill(CHARLIE).await?;
    Ok(Killed {
        swarm,
        rpc,
        charlie,
        bond,
        id,
    })
}

#[tokio::test]
async fn a_validator_killed_after_its_commit_still_reveals_when_it_comes_back() -> Result<()> {
    let Killed {
        mut swarm,
        rpc,
        charlie,
        bond,
        id,
    } = killed_after_its_commit().await?;
    swarm.restart(CHARLIE).await?;

    let (at, view) = swarm.ended(id).await?;
    assert_eq!(view.round.phase, Phase::Done);
    let response = view
        .responses
        .iter()
        .find(|response| response.agent == charlie);
    let response = response.context("it has committed")?;
    let text = response.text.as_deref().context("it has revealed")?;
    assert_eq!(text, b"Starlings are songbirds; a flock is a murmuration.");
    assert!(response.scores.is_some(), "it has disclosed");
    assert_eq!(
        agent(&rpc, &at, &charlie).await?.bond,
        bond,
        "it was not slashed"
    );
    Ok(())
}

#[tokio::test]
async fn a_round_goes_on_without_the_dead_and_slashes_them() -> Result<()> {
    let Killed {
        swarm,
        rpc,
        charlie,
        bond,
        id,
    } = killed_after_its_commit().await?;

    let (at, view) = swarm.ended(id).await?;
    assert_eq!(view.round.phase, Phase::Done);
    assert_eq!(view.round.counts.valid, 3);
    assert_eq!(view.round.counts.disclosures, 3);
    let response = view
        .responses
        .iter()
        .find(|response| response.agent == charlie);
    assert_eq!(response.context("it has committed")?.text, None);
    let slash = view.round.terms.slash;
    assert!(slash > 0);
    assert_eq!(agent(&rpc, &at, &charlie).await?.bond, bond - slash);
    Ok(())
}
