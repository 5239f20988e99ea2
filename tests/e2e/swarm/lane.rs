// SPDX-License-Identifier: Apache-2.0
//! The fast lane: requests that a committee certifies, settlements on chain, and the round that
//! answers where there is no quorum.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{ensure, Context, Result};
use codec::Decode;
use serde_json::{json, Value as Json};
use starling_primitives::Balance;
use starling_runtime::UNIT;
use starling_tests::{
    chain::{send, transfer},
    Node,
};
use subxt_signer::sr25519::dev::{eve, ferdie, one, two};
use tokio::time::timeout;

use super::{
    account, address,
    capture::register,
    expert,
    gateway::{question, Gateway},
    honest::experts,
    Swarm, Validator, NAMES, PATIENCE,
};

/// The fee of a request, the least one of the chain.
const FEE: Balance = UNIT;
/// The agents of larger committees, by the options that name their nodes.
pub(super) const MORE: [(&str, &str); 3] =
    [("ferdie", "//Ferdie"), ("one", "//One"), ("two", "//Two")];
/// Their answer.
const LAST: &str = "A starling is a bird.";

/// The agents of a committee with their configurations: four without a model, and three more.
pub(super) fn volunteers() -> impl Iterator<Item = (&'static str, String)> {
    let more = MORE.map(|(name, _)| (name, expert(LAST)));
    let all = NAMES.into_iter().zip(experts()).chain(more);
    all.map(|(name, config)| (name, format!("lanes = true\n{config}")))
}

/// Makes the accounts of so many of the further agents agents.
pub(super) async fn enrol(node: &Node, count: usize) -> Result<()> {
    let api = node.api().await?;
    let keys = [ferdie(), one(), two()];
    for ((_, uri), key) in MORE.into_iter().zip(keys).take(count) {
        if uri != "//Ferdie" {
            let funds = send(&api, &transfer(&key, 2_000 * UNIT), &ferdie()).await?;
            funds.wait_for_success().await?;
        }
        register(node, uri, "1010").await?;
    }
    Ok(())
}

/// Four validators whose agents volunteer for lanes.
async fn four() -> Result<Swarm> {
    let mut configs = volunteers().map(|(_, config)| config);
    let mut next = || configs.next();
    Swarm::start([next(), next(), next(), next()]).await
}

/// Adds three nodes with agents that volunteer, which are no validators.
async fn join(swarm: &mut Swarm) -> Result<()> {
    enrol(swarm.node()?, MORE.len()).await?;
    let boot = address(swarm.node()?).await?;
    for (name, config) in volunteers().skip(NAMES.len()) {
        let mut validator = Validator::new(name, Some(config))?;
        validator.start(Some(&boot)).await?;
        swarm.validators.push(validator);
    }
    Ok(())
}

/// Eve opens a lane, and waits until it has a committee of that many. Members have less time than by
/// default, so that one that is dead is waited for less long.
pub(super) async fn open(node: &Node, members: usize, deposit: usize) -> Result<Json> {
    let (members, deposit) = (members.to_string(), deposit.to_string());
    let open = [
        "lane",
        "open",
        &deposit,
        "--dev",
        "eve",
        "--members",
        &members,
        "--answer-ms",
        "2000",
        "--rank-ms",
        "1000",
        "--wait",
    ];
    let lane = crate::client::json(node, &open).await?;
    assert_eq!(lane["state"], "open");
    ensure!(amount(&lane, "burnt")? > 0, "a part is burnt: {lane}");
    let committee = lane["committee"].as_array().context("a committee")?;
    let agents: BTreeSet<_> = committee
        .iter()
        .map(|one| one["address"].as_str())
        .collect();
    assert_eq!(agents.len().to_string(), members);
    Ok(lane)
}

fn amount(object: &Json, field: &str) -> Result<Balance> {
    let text = object[field]
        .as_str()
        .with_context(|| format!("{field} of {object}"))?;
    Ok(text.parse()?)
}

/// Checks an answer that so many members certify at least. Returns its epoch and number, and its
/// signers.
fn certified(result: &Json, quorum: usize) -> Result<((u32, u32), BTreeSet<String>)> {
    assert_eq!(result["stage"], "certified", "{result}");
    let answer = result["answer"].as_str().context("an answer")?;
    let is_given = volunteers().any(|(_, config)| config.contains(answer));
    ensure!(is_given, "nobody answers `{answer}`");
    let signers = result["signers"].as_array().context("signers")?;
    let signers: BTreeSet<_> = signers
        .iter()
        .filter_map(|signer| signer.as_str().map(ToOwned::to_owned))
        .collect();
    ensure!(signers.len() >= quorum, "fewer than a quorum: {result}");
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
                            for bit in (0..u64::BITS).filter(|bit| (bitmap >> bit) & 1 == 1) {
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
    let list = swarm.client(&["rounds", "list"]).await?;
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

/// A gateway asks the lane of its account. A repeat gets the same answer from another process, and
/// pays nothing. Returns that process, and epoch and number of the request.
async fn through_a_gateway(
    swarm: &Swarm,
    folder: &Path,
    quorum: usize,
) -> Result<(Gateway, (u32, u32))> {
    let gateway = Gateway::start(swarm, folder).await?;
    let body = json!({ "model": "starling", "input": "What do they eat?" });
    let key = [("idempotency-key", "eat")];
    let answer = gateway.send("POST /v1/responses", &key, &body).await?;
    let answer = answer.ok()?;
    assert_eq!(answer["status"], "completed", "{answer}");
    let text = answer["output"][0]["content"][0]["text"].as_str();
    let text = text.context("a text")?;
    let is_given = volunteers().any(|(_, config)| config.contains(text));
    ensure!(is_given, "nobody answers `{text}`");
    let details = &answer["starling"];
    assert_eq!(details["round"], json!(null), "{answer}");
    let signers = details["signers"].as_array().context("signers")?;
    ensure!(signers.len() >= quorum, "fewer than a quorum: {answer}");
    let cost = json!({ "fee": FEE.to_string(), "burnt": "0", "on_hold": "0" });
    assert_eq!(details["cost"], cost, "{answer}");
    counts(&gateway, r#"ways_total{way="lane"} 1"#, 1).await?;

    gateway.kill().await?;
    let gateway = Gateway::start(swarm, folder).await?;
    let again = gateway.send("POST /v1/responses", &key, &body).await?;
    assert_eq!(again.ok()?["id"], answer["id"]);
    let id = answer["id"].as_str().context("an id")?;
    let shown = gateway.get(&format!("/v1/responses/{id}")).await?.ok()?;
    assert_eq!(shown["output"], answer["output"], "{shown}");
    let number = |field: &str| -> Result<u32> {
        let number = details["lane"][field].as_u64().context("a number")?;
        Ok(u32::try_from(number)?)
    };
    let request = (number("epoch")?, number("seq")?);
    Ok((gateway, request))
}

/// Ensures that a gateway has this counter, and whether it has a lane.
async fn counts(gateway: &Gateway, counter: &str, lanes: u8) -> Result<()> {
    let metrics = gateway.get("/metrics").await?.body;
    for line in [counter.to_owned(), format!("lane_open {lanes}")] {
        let line = format!("starling_gateway_{line}");
        let is_there = metrics.lines().any(|found| found == line);
        ensure!(is_there, "{line}\n{metrics}");
    }
    Ok(())
}

/// Of seven members two may be missing, and a quorum is five.
#[tokio::test]
async fn a_lane_certifies_answers_without_a_dead_member_and_pays_each_once() -> Result<()> {
    const QUORUM: usize = 5;
    let mut swarm = four().await?;
    let fast = |question: &'static str| ["ask", "--dev", "eve", "--fast", question];
    // Without a lane it is a round.
    let round = swarm.client(&fast("What is a starling?")).await?;
    assert_eq!(
        (&round["phase"], &round["lane"]),
        (&json!("done"), &json!(null))
    );

    join(&mut swarm).await?;
    let lane = open(swarm.node()?, 7, 50).await?;
    let free = amount(&lane, "free")?;
    let mut asked = BTreeSet::new();
    for question in ["What is a starling?", "Do they sing?", "And at night?"] {
        let result = swarm
            .client(&["lane", "ask", "--dev", "eve", question])
            .await?;
        assert_eq!(result["lane"], lane["lane"]);
        let (request, _) = certified(&result, QUORUM)?;
        ensure!(asked.insert(request), "{request:?} is certified twice");
    }
    let result = swarm.client(&fast("Where do they sleep?")).await?;
    asked.insert(certified(&result, QUORUM)?.0);
    assert_eq!(asked.len(), 4);
    let folder = tempfile::tempdir()?;
    let (gateway, request) = through_a_gateway(&swarm, folder.path(), QUORUM).await?;
    ensure!(asked.insert(request), "{request:?} is certified twice");

    swarm.kill(swarm.validators.len() - 1).await?;
    let dead = account(&two()).to_string();
    let result = swarm.client(&fast("Do they fly?")).await?;
    let (request, signers) = certified(&result, QUORUM)?;
    asked.insert(request);
    ensure!(!signers.contains(&dead), "{result}");
    assert_eq!(
        rounds(&swarm).await?,
        1,
        "no request of the lane opened a round"
    );

    let fees = paid(&swarm, &asked).await?;
    assert_eq!(fees, 6 * FEE);
    let number = lane["lane"].to_string();
    let lane = swarm.client(&["lane", "status", &number]).await?;
    sums_up(&lane)?;
    assert_eq!(amount(&lane, "pending")?, 0, "{lane}");
    assert_eq!(amount(&lane, "paid")?, fees, "{lane}");
    assert_eq!(amount(&lane, "free")?, free - fees, "{lane}");

    let closed = swarm
        .client(&["lane", "close", &number, "--dev", "eve"])
        .await?;
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
    // The gateway goes on with rounds.
    let body = json!({ "model": "starling", "input": "Do they nest?", "background": true });
    let queued = gateway.send("POST /v1/responses", &[], &body).await?;
    let queued = queued.ok()?;
    assert_eq!(queued["starling"]["round"], 1, "{queued}");
    counts(&gateway, r#"ways_total{way="round"} 1"#, 0).await
}

/// With one of four members dead, each response has fewer than three rankers, and nothing is
/// certified. A program and a gateway ask at the same time.
#[tokio::test]
async fn a_request_that_nobody_certifies_becomes_a_round_that_the_lane_pays_once() -> Result<()> {
    let mut swarm = four().await?;
    let lane = open(swarm.node()?, 4, 50).await?;
    let free = amount(&lane, "free")?;
    swarm.kill(3).await?;
    let fast = ["ask", "--dev", "eve", "--fast", "What is a starling?"];
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::start(&swarm, folder.path()).await?;
    let body = question("Do they sing?");
    let (result, answer) = tokio::try_join!(swarm.client(&fast), async {
        gateway.chat(&[], &body).await?.ok()
    })?;
    ensure!(answer["starling"]["round"].is_u64(), "{answer}");
    assert_eq!(answer["starling"]["phase"], "done", "{answer}");
    counts(&gateway, r#"ways_total{way="fallen_back"} 1"#, 1).await?;
    assert_eq!(
        (&result["phase"], &result["lane"]),
        (&json!("done"), &json!(null))
    );
    assert_eq!(result["terms"]["fee"], FEE.to_string());
    let requester = result["requester"]["address"].as_str();
    assert_eq!(requester, Some(account(&eve()).to_string().as_str()));
    assert_eq!(rounds(&swarm).await?, 2);

    let number = lane["lane"].to_string();
    let lane = swarm.client(&["lane", "status", &number]).await?;
    sums_up(&lane)?;
    assert_eq!(amount(&lane, "free")?, free - 2 * FEE, "{lane}");
    let returned = amount(&lane, "returned")?;
    assert_eq!(returned, 2 * FEE, "the rounds have it: {lane}");
    assert_eq!(lane["settlements"], json!([]), "{lane}");
    assert_eq!(amount(&lane, "paid")?, 0, "{lane}");
    Ok(())
}
