// SPDX-License-Identifier: Apache-2.0
//! A swarm that splits in the middle of a round, two against two, and comes together again.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use starling_primitives::{api::RoundView, round::Phase, RoundId};
use starling_runtime::{AccountId, UNIT};
use starling_tests::{rounds::agent, Node};
use subxt::{client::Blocks, utils::H256, SubstrateConfig};
use tokio::time::timeout;

use super::{account, complete, keys, slow_expert, until_best, Swarm, Validator, PATIENCE};

type View = RoundView<AccountId>;

const FEE: u128 = 10 * UNIT;
/// Number of blocks that each half authors alone.
const BLOCKS: u64 = 2;
/// Number of remembered blocks before the last one, as many as a half can author while the other
/// stands still.
const KEPT: usize = 16;

/// Both halves build a chain of their own on the same block. After they meet, the blocks of one
/// half are reverted, and their messages must be included again.
#[tokio::test]
async fn a_split_swarm_heals_and_no_round_is_lost() -> Result<()> {
    // The agents think until the request is final and the swarm is split.
    let answers = [
        "A starling is a small songbird.",
        "A starling is a songbird that mimics others.",
        "Starlings are songbirds; a flock is a murmuration.",
        "A starling is a bird.",
    ];
    let swarm = Swarm::start(answers.map(|answer| slow_expert(answer, 7))).await?;
    connected(&swarm).await?;
    let (api, rpc) = (swarm.api().await?, swarm.node()?.rpc().await?);
    let mut bonds = vec![];
    let start = api.at_current_block().await?;
    for key in keys() {
        bonds.push(agent(&rpc, &start, &account(&key)).await?.bond);
    }

    let id = swarm.ask("What is a starling?", FEE).await?;
    let halves = split(&swarm, id, |view| view.round.counts.commits >= 2).await?;
    for Half { view, .. } in &halves {
        // A half may have all commits, if they were on their way before the split. As long as that
        // is not final, keys stay secret: the other half is still committing.
        assert!(view.round.phase <= Phase::Revealing, "{view:?}");
        assert!(view
            .responses
            .iter()
            .all(|response| response.text.is_none()));
    }
    assert_eq!(halves[0].view.round.phase, Phase::Committing);
    heals(&swarm, &halves).await?;

    // One half may have all scores, if they were on their way.
    let disclosing = |view: &View| view.round.phase >= Phase::Disclosing;
    swarm.until_best(id, disclosing).await?;
    let halves = split(&swarm, id, disclosing).await?;
    let mut phases = halves.iter().map(|half| half.view.round.phase);
    assert!(phases.any(|phase| phase == Phase::Disclosing));
    heals(&swarm, &halves).await?;

    let (at, view) = swarm.ended(id).await?;
    complete(&view, 4)?;
    for (key, bond) in keys().iter().zip(bonds) {
        assert_eq!(agent(&rpc, &at, &account(key)).await?.bond, bond);
    }
    Ok(())
}

/// Waits until every node is connected to every other. At the start they know only the first one,
/// and two nodes that only know each other through a third are not half a swarm.
async fn connected(swarm: &Swarm) -> Result<()> {
    for validator in &swarm.validators {
        let (api, methods) = (
            validator.node()?.api().await?,
            validator.node()?.methods().await?,
        );
        let mut blocks = api.stream_best_blocks().await?;
        let wait = async {
            while methods.system_health().await?.peers + 1 < swarm.validators.len() {
                blocks.next().await.context("no more blocks")??;
            }
            anyhow::Ok(())
        };
        let outcome = timeout(PATIENCE, wait).await;
        outcome.context("the nodes do not find each other")??;
    }
    Ok(())
}

/// State of one half after the split.
struct Half {
    /// Its last blocks by height.
    chain: BTreeMap<u64, H256>,
    view: View,
}

/// Lets each half go on alone, one after the other, until it has authored some blocks and
/// `condition` holds for a round there. Afterwards all nodes run again.
async fn split(swarm: &Swarm, id: RoundId, condition: impl Fn(&View) -> bool) -> Result<[Half; 2]> {
    let nodes: Vec<&Node> = swarm
        .validators
        .iter()
        .map(Validator::node)
        .collect::<Result<_>>()?;
    let (left, right) = nodes.split_at(2);
    for node in right {
        node.pause().await?;
    }
    let one = alone(left[0], id, &condition).await?;
    for node in left {
        node.pause().await?;
    }
    for node in right {
        node.resume().await?;
    }
    let other = alone(right[0], id, &condition).await?;
    for node in left {
        node.resume().await?;
    }
    Ok([one, other])
}

/// Waits until a node's best chain has some more blocks and `condition` holds for a round.
async fn alone(node: &Node, id: RoundId, condition: impl Fn(&View) -> bool) -> Result<Half> {
    let methods = node.methods().await?;
    let best = methods.chain_get_header(None).await?;
    let now = best.context("there is a best block")?.number;
    let (at, view) = until_best(node, id, now + BLOCKS, condition).await?;
    let mut chain = BTreeMap::new();
    let mut hash = at.block_hash();
    while let Some(header) = methods.chain_get_header(Some(hash)).await? {
        chain.insert(header.number, hash);
        if chain.len() == KEPT {
            break;
        }
        hash = header.parent_hash;
    }
    Ok(Half { chain, view })
}

/// Waits until a stream of blocks reaches this height.
async fn reaches(blocks: &mut Blocks<SubstrateConfig>, height: u64) -> Result<()> {
    let wait = async {
        while blocks.next().await.context("no more blocks")??.number() < height {}
        anyhow::Ok(())
    };
    let outcome = timeout(PATIENCE, wait).await;
    outcome.with_context(|| format!("there is no block {height}"))?
}

/// Checks that both halves had blocks of their own. Waits until those of one half are final on both
/// sides, when the other half has reverted its own.
async fn heals(swarm: &Swarm, halves: &[Half; 2]) -> Result<()> {
    let [one, other] = halves.each_ref().map(|half| &half.chain);
    let common = one
        .iter()
        .rev()
        .find(|(height, _)| other.contains_key(height));
    let (height, hash) = common.context("they are at the same height")?;
    let hashes = [hash, &other[height]];
    assert_ne!(hashes[0], hashes[1], "there are two chains");
    for validator in [0, 2] {
        let node = swarm.validators[validator].node()?;
        let mut blocks = node.api().await?.stream_blocks().await?;
        reaches(&mut blocks, height + 1).await?;
        let number = Some((*height).into());
        let chosen = node.methods().await?.chain_get_block_hash(number).await?;
        let chosen = chosen.context("a final block is there")?;
        assert!(hashes.contains(&&chosen), "a third chain");
    }
    Ok(())
}
