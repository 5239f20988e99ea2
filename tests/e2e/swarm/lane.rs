// SPDX-License-Identifier: Apache-2.0
//! The fast lane: requests that a committee certifies, settlements on chain, and the round that
//! answers where there is no quorum.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{ensure, Context, Result};
use codec::Decode;
use serde_json::{json, Value as Json};
use starling_primitives::Balance;
use starling_runtime::UNIT;
use starling_tests::governance::Committee;
use subxt_signer::sr25519::{
    dev::{dave, eve},
    Keypair,
};
use tokio::time::timeout;

use super::{account, honest::experts, keys, Swarm, PATIENCE};

/// The fee of a request, the least one of the chain.
const FEE: Balance = UNIT;
/// Number of blocks for which two members stand still. A request that begins then has expired in the
/// end, even if it waits for the next epoch.
const STILL: u64 = 16;

/// An agent that volunteers for lanes.
pub(super) fn volunteer(config: &str) -> String {
    format!("lanes = true\n{config}")
}

/// Four agents that volunteer for lanes, without a model.
fn volunteers() -> [String; 4] {
    experts().map(|config| volunteer(&config))
}

/// The client's output with `--json`.
async fn client(swarm: &Swarm, arguments: &[&str]) -> Result<Json> {
    crate::client::json(swarm.node()?, arguments).await
}

/// Eve opens a lane, and waits until it has a committee. Members have less time than by default, so
/// that one that is dead is waited for less long.
async fn open(swarm: &Swarm) -> Result<Json> {
    let open = [
        "lane",
        "open",
        "50",
        "--dev",
        "eve",
        "--answer-ms",
        "2000",
        "--rank-ms",
        "1000",
        "--wait",
    ];
    let lane = client(swarm, &open).await?;
    assert_eq!(lane["state"], "open");
    assert_eq!(amount(&lane, "deposited")?, 50 * UNIT);
    ensure!(amount(&lane, "burnt")? > 0, "a part is burnt: {lane}");
    let committee = lane["committee"].as_array().context("a committee")?;
    let members: BTreeSet<_> = committee
        .iter()
        .map(|one| one["address"].as_str())
        .collect();
    let agents: Vec<_> = keys().iter().map(|key| account(key).to_string()).collect();
    let expected: BTreeSet<_> = agents.iter().map(|one| Some(one.as_str())).collect();
    assert_eq!(members, expected);
    Ok(lane)
}

fn amount(object: &Json, field: &str) -> Result<Balance> {
    let text = object[field]
        .as_str()
        .with_context(|| format!("{field} of {object}"))?;
    Ok(text.parse()?)
}

/// Checks a certified answer. Returns its epoch and number, and its signers.
fn certified(result: &Json) -> Result<((u32, u32), BTreeSet<String>)> {
    assert_eq!(result["stage"], "certified", "{result}");
    let answer = result["answer"].as_str().context("an answer")?;
    let configs = experts();
    let is_given = configs.iter().any(|config| config.contains(answer));
    ensure!(is_given, "nobody answers `{answer}`");
    let signers = result["signers"].as_array().context("signers")?;
    let signers: BTreeSet<_> = signers
        .iter()
        .filter_map(|signer| signer.as_str().map(ToOwned::to_owned))
        .collect();
    ensure!(signers.len() >= 3, "fewer than a quorum: {result}");
    let payouts = result["payouts"].as_array().context("payouts")?;
    let paid: Result<Vec<_>> = payouts
        .iter()
        .map(|payout| amount(payout, "amount"))
        .collect();
    assert_eq!(paid?.iter().sum::<Balance>(), FEE, "{result}");
    let number = |field: &str| -> Result<u32> {
        let number = result[field].as_u64().context("a number")?;
        Ok(u32::try_from(number)?)
    };
    Ok(((number("epoch")?, number("seq")?), signers))
}

/// `id`, lane, epoch, first request, bitmap, fees and the block from which on it is paid.
type Settled = (u64, u64, u32, u32, u64, Balance, u32);

/// Follows final blocks until these requests are settled and paid, each of them once. Returns the
/// sum of the fees.
async fn paid(swarm: &Swarm, asked: &BTreeSet<(u32, u32)>) -> Result<Balance> {
    let api = swarm.api().await?;
    let wait = async {
        let mut blocks = api.stream_blocks().await?;
        let mut next = 1;
        let mut open = BTreeMap::new();
        let mut requests = BTreeSet::new();
        let mut sum = 0;
        loop {
            let Ok(newest) = blocks.next().await.context("no more blocks")? else {
                blocks = api.stream_blocks().await?;
                continue;
            };
            for number in next..=newest.number() {
                let events = api.at_block(number).await?.events().fetch().await?;
                for event in events.iter() {
                    let event = event?;
                    match (event.pallet_name(), event.event_name()) {
                        ("Lanes", "Settled") => {
                            let settled = Settled::decode(&mut event.field_bytes())?;
                            let (id, _, epoch, first, bitmap, fees, due) = settled;
                            ensure!(u64::from(due) > number, "{settled:?} has no window");
                            for bit in (0..u64::BITS).filter(|bit| bitmap >> bit & 1 == 1) {
                                let request = (epoch, first + bit);
                                ensure!(requests.insert(request), "{request:?} is settled twice");
                            }
                            open.insert(id, (fees, due));
                        },
                        ("Lanes", "Paid") => {
                            let id = u64::decode(&mut event.field_bytes())?;
                            let (fees, due) = open.remove(&id).context("it is paid twice")?;
                            ensure!(number >= u64::from(due), "paid within the window");
                            sum += fees;
                        },
                        _ => {},
                    }
                }
            }
            next = newest.number() + 1;
            if requests == *asked && open.is_empty() {
                return anyhow::Ok(sum);
            }
        }
    };
    timeout(PATIENCE, wait)
        .await
        .context("the requests are not settled and paid")?
}

/// Number of rounds that were ever opened.
async fn rounds(swarm: &Swarm) -> Result<usize> {
    let list = client(swarm, &["rounds", "list"]).await?;
    Ok(list.as_array().context("rounds")?.len())
}

/// The deposits of a lane are somewhere, all of them.
fn sums_up(lane: &Json) -> Result<()> {
    let mut sum = 0;
    for part in ["free", "pending", "paid", "burnt", "returned"] {
        sum += amount(lane, part)?;
    }
    assert_eq!(sum, amount(lane, "deposited")?, "{lane}");
    Ok(())
}

#[tokio::test]
async fn a_lane_certifies_answers_without_a_dead_member_and_pays_each_once() -> Result<()> {
    let mut swarm = Swarm::start(volunteers()).await?;
    let fast = |question: &'static str| ["ask", "--dev", "eve", "--fast", question];
    // Without a lane it is a round.
    let round = client(&swarm, &fast("What is a starling?")).await?;
    assert_eq!(
        (&round["phase"], &round["lane"]),
        (&json!("done"), &json!(null))
    );

    let lane = open(&swarm).await?;
    let free = amount(&lane, "free")?;
    let mut asked = BTreeSet::new();
    for question in ["What is a starling?", "Do they sing?", "And at night?"] {
        let result = client(&swarm, &["lane", "ask", "--dev", "eve", question]).await?;
        assert_eq!(result["lane"], lane["lane"]);
        let (request, _) = certified(&result)?;
        ensure!(asked.insert(request), "{request:?} is certified twice");
    }
    let result = client(&swarm, &fast("Where do they sleep?")).await?;
    asked.insert(certified(&result)?.0);
    assert_eq!(asked.len(), 4);

    swarm.kill(3).await?;
    let dead = account(&dave()).to_string();
    let result = client(&swarm, &fast("Do they fly?")).await?;
    let (request, signers) = certified(&result)?;
    asked.insert(request);
    ensure!(!signers.contains(&dead), "{result}");
    assert_eq!(
        rounds(&swarm).await?,
        1,
        "no request of the lane opened a round"
    );

    let fees = paid(&swarm, &asked).await?;
    assert_eq!(fees, 5 * FEE);
    let number = lane["lane"].to_string();
    let lane = client(&swarm, &["lane", "status", &number]).await?;
    sums_up(&lane)?;
    assert_eq!(amount(&lane, "pending")?, 0, "{lane}");
    assert_eq!(amount(&lane, "paid")?, fees, "{lane}");
    assert_eq!(amount(&lane, "free")?, free - fees, "{lane}");

    let closed = client(&swarm, &["lane", "close", &number, "--dev", "eve"]).await?;
    assert_eq!(closed["state"], "closing");
    let refused = crate::client::starling(swarm.node()?, &["lane", "ask", "--dev", "eve", "Why?"]);
    let refused = refused.await?;
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    ensure!(
        refused
            .stderr
            .contains("no open lane that takes the request"),
        "{}",
        refused.stderr
    );
    Ok(())
}

#[tokio::test]
async fn without_a_quorum_a_round_answers_and_the_lane_pays_once() -> Result<()> {
    let swarm = Swarm::start(volunteers()).await?;
    let lane = open(&swarm).await?;
    let free = amount(&lane, "free")?;
    let nobody: [Keypair; 0] = [];
    let chain = Committee::new(&nobody, swarm.node()?).await?;
    let goal = chain.best().await?.block_number() + STILL;
    let sleepers = swarm.validators.iter().skip(2);
    for sleeper in sleepers.clone() {
        sleeper.node()?.pause().await?;
    }
    let wake = async {
        chain
            .until(async |at| Ok(at.block_number() >= goal))
            .await?;
        for sleeper in sleepers {
            sleeper.node()?.resume().await?;
        }
        anyhow::Ok(())
    };
    let ask = client(
        &swarm,
        &["ask", "--dev", "eve", "--fast", "What is a starling?"],
    );
    let (result, ()) = timeout(PATIENCE, async { futures::try_join!(ask, wake) }).await??;

    assert_eq!(
        (&result["phase"], &result["lane"]),
        (&json!("done"), &json!(null))
    );
    assert_eq!(result["terms"]["fee"], FEE.to_string());
    let requester = result["requester"]["address"].as_str();
    assert_eq!(requester, Some(account(&eve()).to_string().as_str()));
    assert_eq!(rounds(&swarm).await?, 1);

    let number = lane["lane"].to_string();
    let lane = client(&swarm, &["lane", "status", &number]).await?;
    sums_up(&lane)?;
    assert_eq!(amount(&lane, "free")?, free - FEE, "{lane}");
    assert_eq!(
        lane["settlements"],
        json!([]),
        "the request is not settled, too: {lane}"
    );
    assert_eq!(amount(&lane, "paid")?, 0, "{lane}");
    Ok(())
}
