// SPDX-License-Identifier: Apache-2.0
//! A validator that holds only the ends of its model, and others that compute the layers for it.

use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use starling_engine::{
    backend::{Backend, LocalBackend},
    chat::Message,
    cut,
    generate::{Cancel, GenerateOptions},
    gguf::Gguf,
    rank::{RankerKind, Task},
    sampling::Sampling,
    LoadOptions, Model,
};
use starling_models::sha256;
use starling_primitives::{
    api::{ResponseView, RoundView},
    round::Phase,
};
use starling_runtime::{AccountId, UNIT};
use starling_tests::Node;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{
    account, expert, keys,
    models::engine::{self, SMOLLM2},
    Swarm, PATIENCE,
};

const FEE: u128 = 10 * UNIT;
const QUESTION: &str = "What is the capital of France?";
/// Four nodes share the machine.
const THREADS: &str = "threads = 1\nniceness = 0\n";
const BOB: usize = 1;
const DAVE: usize = 3;

/// An agent with patterns whose node computes layers for others, under these conditions.
fn server(answer: &str, layers: &str, conditions: &str) -> String {
    THREADS.to_owned()
        + &expert(answer)
        + &format!("[[serve]]\nmodel = {SMOLLM2:?}\nlayers = {layers:?}\n[shards]\n{conditions}\n")
}

/// Writes a file with only the ends of the model into `folder`. Returns the configuration of an
/// agent that uses only that file and always says the most probable.
pub(super) fn client(folder: &TempDir, patience: &str) -> Result<String> {
    let (whole, ends) = (engine::model(SMOLLM2), folder.path().join("ends.gguf"));
    cut(&Gguf::open(&whole)?, &ends, 0..0, true)?;
    ensure!(Model::load(&ends, &LoadOptions::default()).is_err());
    Ok(format!(
        "{THREADS}[[primary]]\npath = {ends:?}\nsha256 = {:?}\nof = {:?}\nshards = true\n\
         [primary.sampling]\ntemperature = 0.0\n[shards]\npatience = {patience:?}\n",
        sha256(&ends)?,
        sha256(&whole)?,
    ))
}

/// The most probable response of a model.
fn say(model: &LocalBackend, prompt: &str, max_tokens: usize) -> Result<String> {
    let prompt = model.chat().render(&[Message::user(prompt)], true)?;
    let stop = model.chat().stop_strings().iter().copied();
    let options = GenerateOptions {
        max_tokens,
        stop: stop.map(str::to_owned).collect(),
        sampling: Sampling {
            temperature: 0.0,
            ..Sampling::default()
        },
        ..GenerateOptions::default()
    };
    let said = model.generate(&prompt, &options, &Cancel::default(), &mut |_| {})?;
    Ok(said.text.trim().to_owned())
}

fn of_dave(view: &RoundView<AccountId>) -> Result<&ResponseView<AccountId>> {
    let dave = account(&keys()[DAVE]);
    let mut responses = view.responses.iter();
    responses
        .find(|response| response.agent == dave)
        .context("Dave has not answered")
}

/// Checks that Dave has answered and scored as the whole model does.
fn check(view: &RoundView<AccountId>, others: usize) -> Result<()> {
    assert_eq!(view.round.phase, Phase::Done);
    let whole = LocalBackend::load(&engine::model(SMOLLM2), &LoadOptions::default())?;
    let response = of_dave(view)?;
    let text = response.text.as_deref().context("Dave has revealed")?;
    assert_eq!(String::from_utf8_lossy(text), say(&whole, QUESTION, 32)?);

    let scores = response.scores.as_ref().context("Dave has disclosed")?;
    assert_eq!(scores.len(), others);
    let scored = scores.iter().map(|(position, _)| {
        let mut all = view.responses.iter();
        let scored = all.find(|response| response.position == Some(*position))?;
        String::from_utf8(scored.text.clone()?).ok()
    });
    let scored: Option<Vec<_>> = scored.collect();
    let task = Task {
        messages: &[Message::user(QUESTION)],
        responses: &scored.context("all have texts")?,
    };
    let ranker = RankerKind::Likelihood.ranker();
    let expected = ranker.rank(&whole, task, &Cancel::default())?;
    for ((_, score), expected) in scores.iter().zip(expected) {
        let score = f64::from(score.0) / f64::from(u16::MAX);
        ensure!((score - expected).abs() < 1e-4, "{score} for {expected}");
    }
    Ok(())
}

impl Swarm {
    fn running(&self, index: usize) -> Result<&Node> {
        let validator = self.validators.get(index).context("no such validator")?;
        validator.node()
    }

    /// Waits until these nodes compute layers for others.
    pub(super) async fn serving(&self, nodes: &[usize]) -> Result<()> {
        for index in nodes {
            self.running(*index)?.logged(&["serving layers"]).await?;
        }
        Ok(())
    }

    /// Waits until a metric of a node is above a value, and returns the metric.
    async fn above(&self, index: usize, metric: &str, value: f64) -> Result<f64> {
        let node = self.running(index)?;
        let wait = async {
            loop {
                let is = node.metric(metric).await?;
                if is > value {
                    return anyhow::Ok(is);
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("{metric} stays at {value}"))?
    }
}

#[tokio::test]
async fn a_validator_without_a_model_answers_and_ranks_through_the_others() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let swarm = Swarm::start([
        server("Paris is the capital of France.", "0..10", ""),
        server("It is Paris.", "10..20", ""),
        server("I do not know.", "20..30", ""),
        client(&folder, "30s")?,
    ])
    .await?;
    swarm.serving(&[0, 1, 2]).await?;
    let id = swarm.ask(QUESTION, FEE).await?;
    let (_, view) = swarm.ended(id).await?;
    check(&view, 3)?;
    for index in 0..DAVE {
        let rows = "starling_shards_served_rows_total";
        assert!(swarm.running(index)?.metric(rows).await? > 0.0);
    }
    let dave = swarm.running(DAVE)?;
    assert_eq!(dave.metric("starling_agent_served_layers").await?, 0.0);
    assert_eq!(dave.metric("starling_shards_failures_total").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn when_a_server_is_killed_another_one_takes_over_in_the_same_round() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut swarm = Swarm::start([
        server("Paris is the capital of France.", "0..10", ""),
        server("It is Paris.", "10..30", ""),
        server("I do not know.", "10..30", ""),
        client(&folder, "30s")?,
    ])
    .await?;
    swarm.serving(&[0, 1, 2]).await?;
    let id = swarm.ask(QUESTION, FEE).await?;
    // Dave uses either of the two.
    let rows = "starling_shards_served_rows_total";
    let (bob, charlie) = (swarm.above(BOB, rows, 0.0), swarm.above(BOB + 1, rows, 0.0));
    let used = tokio::select! {
        bob = bob => bob.map(|_| BOB),
        charlie = charlie => charlie.map(|_| BOB + 1),
    }?;
    swarm.kill(used).await?;

    let (_, view) = swarm.ended(id).await?;
    check(&view, 2)?;
    let dave = swarm.running(DAVE)?;
    assert!(dave.metric("starling_shards_failures_total").await? >= 1.0);
    let other = 2 * BOB + 1 - used;
    assert!(swarm.running(other)?.metric(rows).await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn a_client_that_may_not_use_the_layers_goes_without_them_until_it_may() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let answer = "Paris is the capital of France.";
    let forbidden = server(
        answer,
        "0..30",
        "min_bond = \"1_000_000_000_000_000_000_000\"",
    );
    let swarm = Swarm::start([
        forbidden,
        expert("It is Paris."),
        expert("It is in Paris."),
        client(&folder, "1s")?,
    ])
    .await?;
    swarm.serving(&[0]).await?;
    let id = swarm.ask(QUESTION, FEE).await?;
    let (_, view) = swarm.ended(id).await?;
    assert_eq!(view.round.counts.valid, 3);
    assert!(of_dave(&view).is_err(), "{view:?}");
    let alice = swarm.running(0)?;
    assert!(alice.metric("starling_shards_refused_total").await? >= 1.0);
    assert_eq!(
        alice.metric("starling_shards_served_rows_total").await?,
        0.0
    );
    let dave = swarm.running(DAVE)?;
    assert!(dave.log_count(&["ERROR", "no node that may be used holds"]) <= 1);

    let validator = swarm.validators.first().context("Alice")?;
    validator.configure(&server(answer, "0..30", ""))?;
    alice
        .logged(&["the agent configuration has been read again"])
        .await?;
    // Dave does not ask a peer again at once after a refusal.
    for _ in 0..5 {
        let id = swarm.ask(QUESTION, FEE).await?;
        let (_, view) = swarm.ended(id).await?;
        if of_dave(&view).is_ok() {
            return check(&view, 3);
        }
    }
    bail!("Dave does not answer any more")
}
