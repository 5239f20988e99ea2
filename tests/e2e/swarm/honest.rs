// SPDX-License-Identifier: Apache-2.0
//! Rounds in which everybody does what it should.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use starling_primitives::{api::RoundView, round::Phase};
use starling_runtime::{AccountId, UNIT};
use starling_tests::{
    chain::{balance, AtBlock},
    Api,
};
use subxt_signer::sr25519::dev::eve;

use super::{
    account, agent, expert, keys,
    oracle::{rating, settle, Scores},
    Swarm,
};

const FEE: u128 = 10 * UNIT;

fn experts() -> [String; 4] {
    [
        "A starling is a small songbird.",
        "A starling is a songbird that mimics others.",
        "Starlings are songbirds; a flock is a murmuration.",
        "I have never heard of it.",
    ]
    .map(expert)
}

pub(super) fn texts(view: &RoundView<AccountId>) -> BTreeMap<AccountId, String> {
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let responses = view.responses.iter();
    responses
        .filter_map(|response| Some((response.agent.clone(), text(response.text.as_ref()?))))
        .collect()
}

/// Winner, payouts and tickets of a round that ended after block `at`, against the oracle.
pub(super) async fn check_settlement(
    swarm: &Swarm,
    api: &Api,
    at: &AtBlock,
    view: &RoundView<AccountId>,
) -> Result<()> {
    assert_eq!(view.round.phase, Phase::Done);
    let before = api.at_block(at.block_header().await?.parent_hash).await?;
    let rpc = swarm.node()?.rpc().await?;
    let mut ratings = BTreeMap::new();
    for key in keys() {
        // Nobody's rating moves while a round ranks.
        let view = agent(&rpc, &before, &account(&key)).await?;
        ratings.insert(account(&key), view.rating);
    }
    let scores = Scores::of(view);
    assert!(scores.is_complete(), "{view:?}");
    let expected = settle(view, &ratings);
    if scores.gap() > 1e-6 {
        assert_eq!(view.round.winner, expected.winner);
    }
    for key in keys() {
        let gain = balance(at, &key).await? as i128 - balance(&before, &key).await? as i128;
        assert_eq!(gain, expected.gains[&account(&key)], "of {}", account(&key));
    }
    let paid = balance(&before, &eve()).await? - balance(at, &eve()).await?;
    assert_eq!(paid, FEE);
    Ok(())
}

#[tokio::test]
async fn winner_payouts_and_ratings_are_what_the_protocol_says() -> Result<()> {
    let swarm = Swarm::start(experts()).await?;
    let api = swarm.api().await?;
    let rpc = swarm.node()?.rpc().await?;
    let mut deviations: BTreeMap<AccountId, Vec<f64>> = BTreeMap::new();
    // After two rounds every agent has given enough scores to be rated by nothing else.
    for question in ["What is a starling?", "What is a murmuration?"] {
        let id = swarm.ask(question, FEE).await?;
        let (at, view) = swarm.ended(id).await?;
        let said = texts(&view);
        assert_eq!(said.len(), 4, "{view:?}");
        assert!(said[&account(&keys()[3])].contains("never heard"));
        check_settlement(&swarm, &api, &at, &view).await?;

        let scores = Scores::of(&view);
        assert!(scores.spread() > 0.01, "the round counts");
        let (rated, _) = swarm.until(id, |view| view.round.rated >= 4).await?;
        for key in keys() {
            let who = account(&key);
            let all = deviations.entry(who.clone()).or_default();
            all.extend(scores.deviations(&who));
            let is = agent(&rpc, &rated, &who).await?.rating as f64 / 2f64.powi(32);
            let should = rating(all);
            assert!(
                (is - should).abs() < 1e-6,
                "{who}: {is} instead of {should}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn three_rounds_at_once_all_end_well() -> Result<()> {
    let swarm = Swarm::start(experts()).await?;
    let api = swarm.api().await?;
    // One after the other into the chain; they overlap, for each takes several blocks.
    let mut rounds = vec![];
    for question in ["One?", "Two?", "Three?"] {
        rounds.push(swarm.ask(question, FEE).await?);
    }
    let ended = try_join_all(rounds.iter().map(|id| swarm.ended(*id))).await?;
    for (at, view) in &ended {
        assert_eq!(view.round.phase, Phase::Done);
        assert!(Scores::of(view).is_complete(), "{view:?}");
        let open = api.at_block(at.block_header().await?.parent_hash).await;
        open.context("the block before is there")?;
    }
    Ok(())
}
