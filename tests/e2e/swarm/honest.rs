// SPDX-License-Identifier: Apache-2.0
//! Rounds in which all agents are honest.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use starling_primitives::{api::RoundView, round::Phase};
use starling_runtime::{AccountId, UNIT};
use starling_tests::{
    chain::{balance, balance_of, total_issuance, AtBlock},
    Api,
};
use subxt::utils::AccountId32;
use subxt_signer::sr25519::dev::eve;

use super::{
    account, agent, expert, keys,
    oracle::{rating, settle, Losers, Scores, TODAY},
    Swarm,
};

pub(super) const FEE: u128 = 10 * UNIT;

pub(super) fn experts() -> [String; 4] {
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

/// The account of the treasury, as FRAME derives those of pallets.
fn treasury() -> AccountId32 {
    let mut account = [0; 32];
    account[..12].copy_from_slice(b"modlstrl/trs");
    account.into()
}

/// Checks winner, payouts, tickets, slashes and the treasury's share of a round with a winner,
/// which ended after block `at`, against the oracle.
pub(super) async fn check_settlement(
    swarm: &Swarm,
    api: &Api,
    at: &AtBlock,
    view: &RoundView<AccountId>,
    losers: Losers,
) -> Result<()> {
    assert_eq!(view.round.phase, Phase::Done);
    let before = api.at_block(at.block_header().await?.parent_hash).await?;
    let rpc = swarm.node()?.rpc().await?;
    let mut ratings = BTreeMap::new();
    for key in keys() {
        // No rating moves during Ranking.
        let view = agent(&rpc, &before, &account(&key)).await?;
        ratings.insert(account(&key), view.rating);
    }
    let expected = settle(view, &ratings, losers);
    assert_eq!(view.round.winner, expected.winner);
    for key in keys() {
        let gain = balance(at, &key).await? as i128 - balance(&before, &key).await? as i128;
        let should = expected.gains.get(&account(&key));
        assert_eq!(gain, *should.unwrap_or(&0), "of {}", account(&key));
    }
    let paid = balance(&before, &eve()).await? - balance(at, &eve()).await?;
    assert_eq!(paid, FEE);
    let had = balance_of(&before, treasury()).await? as i128;
    let gain = balance_of(at, treasury()).await? as i128 - had;
    assert_eq!(gain, expected.treasury, "of the treasury");
    let minted = total_issuance(at).await? - total_issuance(&before).await?;
    assert_eq!(minted, expected.subsidy);
    Ok(())
}

/// Deviations of every agent's scores, in all rounds that counted.
#[derive(Default)]
pub(super) struct Deviations(BTreeMap<AccountId, Vec<f64>>);

impl Deviations {
    /// Adds a finished round, waits until its ratings have moved, and checks all of them.
    pub(super) async fn check_ratings(
        &mut self,
        swarm: &Swarm,
        view: &RoundView<AccountId>,
    ) -> Result<()> {
        let scores = Scores::of(view);
        // Too few or equal responses teach nothing.
        if scores.disclosers() < 3 || scores.spread() < 0.01 {
            return Ok(());
        }
        let valid = view.round.counts.valid;
        let (rated, _) = swarm
            .until(view.id, |view| view.round.rated >= valid)
            .await?;
        let rpc = swarm.node()?.rpc().await?;
        for key in keys() {
            let who = account(&key);
            let all = self.0.entry(who.clone()).or_default();
            all.extend(scores.deviations(&who));
            let is = agent(&rpc, &rated, &who).await?.rating as f64 / 2f64.powi(32);
            let should = rating(all);
            assert!(
                (is - should).abs() < 1e-6,
                "{who}: {is} instead of {should}"
            );
        }
        Ok(())
    }
}

#[tokio::test]
async fn winner_payouts_and_ratings_are_what_the_protocol_says_and_rounds_at_once_end_well(
) -> Result<()> {
    let swarm = Swarm::start(experts()).await?;
    settles(&swarm).await?;
    three_at_once(&swarm).await
}

/// Rounds one after the other, with the oracle's winner, payouts and ratings.
async fn settles(swarm: &Swarm) -> Result<()> {
    let api = swarm.api().await?;
    let mut deviations = Deviations::default();
    // After two rounds every agent has given enough scores to be rated by them alone.
    for question in ["What is a starling?", "What is a murmuration?"] {
        let id = swarm.ask(question, FEE).await?;
        let (at, view) = swarm.ended(id).await?;
        let said = texts(&view);
        assert_eq!(said.len(), 4, "{view:?}");
        assert!(said[&account(&keys()[3])].contains("never heard"));
        let scores = Scores::of(&view);
        assert!(scores.is_complete(), "{view:?}");
        assert!(scores.spread() > 0.01, "the round counts");
        check_settlement(swarm, &api, &at, &view, TODAY).await?;
        deviations.check_ratings(swarm, &view).await?;
    }
    Ok(())
}

/// Rounds that are open at the same time.
async fn three_at_once(swarm: &Swarm) -> Result<()> {
    let api = swarm.api().await?;
    // One after the other into the chain; they overlap, because each takes several blocks.
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
