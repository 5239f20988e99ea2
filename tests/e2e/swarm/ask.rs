// SPDX-License-Identifier: Apache-2.0
//! `starling ask`, as called by a script.

use anyhow::{Context, Result};
use serde_json::Value;
use starling_primitives::{round::Phase, Balance, RoundId};
use starling_tests::node::{command_of, run_to_end, Outcome};

use super::{
    honest::{experts, texts},
    Swarm,
};

/// The most messages to the node of one `starling ask --watch`: a quarter of those that it sent when
/// it read headers, versions and rounds at every block.
const MOST_SENT: u64 = 151;

/// Eve asks and waits for the end.
async fn ask(swarm: &Swarm, arguments: &[&str]) -> Result<(Outcome, Value)> {
    let mut command = command_of("STARLING_CLIENT", "starling")?;
    command
        .args([
            "--json",
            "--url",
            swarm.node()?.url(),
            "ask",
            "--dev",
            "eve",
        ])
        .args(arguments)
        .env_remove("STARLING_SURI");
    let outcome = run_to_end(&mut command).await?;
    // `--watch` prints one object a line, and the result last. A refusal prints none.
    let result = match outcome.stdout.lines().last() {
        Some(last) => serde_json::from_str(last).with_context(|| outcome.stdout.clone())?,
        None => Value::Null,
    };
    Ok((outcome, result))
}

/// The number of messages sent, and the line of standard error that tells it.
fn sent(stderr: &str) -> Result<(u64, &str)> {
    let line = stderr
        .lines()
        .find(|line| line.contains(" messages sent, "));
    let line = line.with_context(|| stderr.to_owned())?;
    let (sent, _) = line.split_once(' ').context("a number")?;
    Ok((sent.parse()?, line))
}

fn amount(value: &Value) -> Result<Balance> {
    let amount = value.as_str().with_context(|| value.to_string())?;
    Ok(amount.parse()?)
}

#[tokio::test]
async fn a_script_asks_and_gets_an_answer_or_an_exit_code() -> Result<()> {
    let swarm = Swarm::start(experts()).await?;
    let arguments = ["--fee", "10", "--watch", "--verbose", "What is a starling?"];
    let (outcome, result) = ask(&swarm, &arguments).await?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let (sent, messages) = sent(&outcome.stderr)?;
    println!("starling ask: {messages}");
    assert!(sent < MOST_SENT, "{messages}");
    let id: RoundId = result["round"].as_u64().context("a number")?;
    let (_, view) = swarm.ended(id).await?;
    assert_eq!(view.round.phase, Phase::Done);
    assert_eq!(result["phase"], "done");
    let said = texts(&view);
    let winner = view.round.winner.as_ref().context("there is a winner")?;
    assert_eq!(result["answer"], said[winner].as_str());
    assert_eq!(result["prompt"], "What is a starling?");

    let candidates = result["candidates"].as_array().context("candidates")?;
    assert_eq!(candidates.len(), 4);
    assert_eq!(candidates[0]["won"], true);
    assert_eq!(candidates[0]["agent"]["address"], winner.to_string());
    let mut paid = 0;
    for candidate in candidates {
        assert_eq!(candidate["rankings"].as_array().map(Vec::len), Some(3));
        paid += amount(&candidate["paid"])?;
    }
    let settlement = &result["settlement"];
    let moved = amount(&settlement["winner"])? + amount(&settlement["rankers"])?;
    assert_eq!(paid, moved);

    // Every phase began in a block of its own, and each was reported while it went on.
    let blocks = result["blocks"].as_array().context("blocks")?;
    let phases: Vec<_> = blocks.iter().map(|block| &block["phase"]).collect();
    let all = ["committing", "revealing", "ranking", "disclosing", "done"];
    assert_eq!(phases, all);
    let numbers: Vec<_> = blocks.iter().map(|block| block["block"].as_u64()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert!(lines.len() > 12, "an object for each message: {lines:?}");
    for line in &lines {
        serde_json::from_str::<Value>(line).with_context(|| line.to_string())?;
    }

    // Four agents cannot give five answers.
    let too_many = ["--min-responses", "5", "What is a flock?"];
    let (outcome, result) = ask(&swarm, &too_many).await?;
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert_eq!(result, Value::Null);
    assert!(
        outcome.stderr.contains("Rounds.TooFewAgents"),
        "{}",
        outcome.stderr
    );
    Ok(())
}
