// SPDX-License-Identifier: Apache-2.0
//! `starling`, the client, against a running node: its output for programs, its messages if the
//! chain refuses, and its exit codes.

use std::collections::BTreeSet;

use anyhow::{ensure, Context, Result};
use serde_json::Value;
use starling_tests::{
    node::{command_of, run_to_end, Outcome},
    Node,
};

use crate::played::enrol;

const UNIT: &str = "000000000000";

/// Runs the client against `node` to its end.
pub(crate) async fn starling(node: &Node, arguments: &[&str]) -> Result<Outcome> {
    starling_at(node.url(), arguments).await
}

pub(crate) async fn starling_at(url: &str, arguments: &[&str]) -> Result<Outcome> {
    let mut command = command_of("STARLING_CLIENT", "starling")?;
    command
        .args(["--url", url])
        .args(arguments)
        .env_remove("STARLING_SURI");
    run_to_end(&mut command).await
}

/// The client's output with `--json`.
pub(crate) async fn json(node: &Node, arguments: &[&str]) -> Result<Value> {
    let outcome = starling(node, &[&["--json"], arguments].concat()).await?;
    ensure!(
        outcome.code == Some(0),
        "{arguments:?}: {:?} {}",
        outcome.code,
        outcome.stderr
    );
    serde_json::from_str(&outcome.stdout).with_context(|| outcome.stdout)
}

/// Asserts that the client ends with `code` and prints `words`.
async fn assert_fails(node: &Node, arguments: &[&str], code: i32, words: &str) -> Result<()> {
    let outcome = starling(node, arguments).await?;
    assert_eq!(
        outcome.code,
        Some(code),
        "{arguments:?}: {}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains(words),
        "{arguments:?}: {}",
        outcome.stderr
    );
    Ok(())
}

fn star(amount: &str) -> Value {
    Value::from(format!("{amount}{UNIT}"))
}

#[tokio::test]
async fn wrong_usage_and_a_missing_node_have_exit_codes_of_their_own() -> Result<()> {
    let outcome = starling_at("ws://127.0.0.1:1", &["rounds", "list"]).await?;
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("is the node running?"),
        "{}",
        outcome.stderr
    );

    let outcome = starling_at("ws://192.0.2.1:9944", &["rounds", "list"]).await?;
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--insecure"), "{}", outcome.stderr);

    let node = Node::dev().await?;
    for (arguments, words) in [
        (&["rounds", "show", "first"][..], "invalid value 'first'"),
        (
            &["tickets", "buy", "much", "--dev", "bob"],
            "`much` is not an amount",
        ),
        (
            &["ask", "--dev", "eve", "--answers", "essay", "Why?"],
            "invalid value 'essay' for '--answers <FORM>'",
        ),
        (&["tickets", "buy", "1"], "no signer: pass --dev"),
        (
            &["tickets", "buy", "1", "--dev", "mallory"],
            "`mallory` is not a development account",
        ),
        (
            &["tickets", "list", "5Mallory"],
            "`5Mallory` is not an account",
        ),
    ] {
        assert_fails(&node, arguments, 2, words).await?;
    }
    for (arguments, words) in [
        (&["rounds", "show", "99"][..], "there is no round 99"),
        (&["rounds", "watch", "99"], "there is no round 99"),
        (&["agent", "status", "ferdie"], "Ferdie is not an agent"),
    ] {
        assert_fails(&node, arguments, 6, words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn tickets_are_bought_listed_and_refunded() -> Result<()> {
    let node = Node::dev().await?;
    let bought = json(&node, &["tickets", "buy", "2.5", "--dev", "bob"]).await?;
    assert_eq!(bought["free"], "2500000000000");
    let list = json(&node, &["tickets", "list", "bob"]).await?;
    assert_eq!(list["accounts"][0]["free"], "2500000000000");

    let refund = &["tickets", "refund", "3", "--dev", "bob"];
    assert_fails(&node, refund, 4, "There are not enough free tickets.").await?;
    let refunded = json(&node, &["tickets", "refund", "--dev", "bob"]).await?;
    assert_eq!(refunded["free"], "0");
    let again = &["tickets", "refund", "--dev", "bob"];
    assert_fails(&node, again, 4, "The amount is zero.").await
}

#[tokio::test]
async fn lanes_are_opened_listed_topped_up_and_closed() -> Result<()> {
    let node = Node::dev().await?;
    assert_fails(&node, &["lane", "status", "99"], 6, "there is no lane 99").await?;
    let odd = &["lane", "open", "20", "--members", "5", "--dev", "eve"];
    assert_fails(&node, odd, 2, "no committee has 5 members").await?;
    let poor = &["lane", "open", "1", "--dev", "eve"];
    assert_fails(&node, poor, 4, "The deposit is below the least one").await?;
    let none = &["lane", "ask", "--dev", "eve", "Why?"];
    assert_fails(&node, none, 6, "no open lane that takes the request").await?;

    let lane = json(&node, &["lane", "open", "20", "--dev", "eve"]).await?;
    assert_eq!(lane["lane"], 0);
    assert_eq!(lane["state"], "open");
    assert_eq!(lane["deposited"], star("20"));
    assert_eq!(lane["committee"], Value::Null);
    let topped = json(&node, &["lane", "top-up", "0", "5", "--dev", "eve"]).await?;
    assert_eq!(topped["deposited"], star("25"));
    let list = json(&node, &["lane", "list", "eve"]).await?;
    assert_eq!(list[0]["deposited"], star("25"));
    let nothing = json(&node, &["lane", "list", "bob"]).await?;
    assert_eq!(nothing, Value::Array(vec![]));

    // Nobody has volunteered, so that nothing is sent and nothing is paid.
    assert_fails(&node, none, 4, "the lane does not take the request").await?;
    let dear = &[
        "lane", "ask", "--lane", "0", "--fee", "1000", "--dev", "eve", "Why?",
    ];
    assert_fails(&node, dear, 2, "its terms allow no fee as high").await?;
    let of_others = &["lane", "close", "0", "--dev", "bob"];
    assert_eq!(starling(&node, of_others).await?.code, Some(4));
    let closed = json(&node, &["lane", "close", "0", "--dev", "eve"]).await?;
    assert_eq!(closed["state"], "closing");
    let early = &["lane", "reclaim", "0", "--dev", "eve"];
    assert_eq!(starling(&node, early).await?.code, Some(4));
    Ok(())
}

#[tokio::test]
async fn an_agent_registers_changes_its_bond_rests_and_leaves() -> Result<()> {
    let node = Node::dev().await?;
    let keystore = tempfile::tempdir()?;
    let keystore = keystore.path().to_str().context("a path in UTF-8")?;

    let register = [
        "agent",
        "register",
        "--dev",
        "eve",
        "--bond",
        "200",
        "--model",
        "gemma-3-270m",
        "--keystore",
        keystore,
    ];
    let agent = json(&node, &register).await?;
    assert_eq!(
        (&agent["state"], &agent["bond"]),
        (&Value::from("active"), &star("200"))
    );
    let key = agent["inference_key"].as_str().context("a key")?;
    let file = format!("696e6672{}", key.trim_start_matches("0x"));
    assert!(std::path::Path::new(keystore).join(file).is_file());
    assert_fails(&node, &register, 4, "The account is already an agent.").await?;

    let bonded = json(&node, &["agent", "bond", "50", "--dev", "eve"]).await?;
    assert_eq!(bonded["bond"], star("250"));
    let much = ["agent", "unbond", "249", "--dev", "eve"];
    assert_fails(
        &node,
        &much,
        4,
        "The bond is, or would be, below the minimum.",
    )
    .await?;
    let unbonded = json(&node, &["agent", "unbond", "100", "--dev", "eve"]).await?;
    assert_eq!(unbonded["unbonding"][0]["amount"], star("100"));
    let withdraw = ["agent", "withdraw", "--dev", "eve"];
    assert_fails(&node, &withdraw, 4, "Nothing is due yet.").await?;

    let chilled = json(&node, &["agent", "chill", "--dev", "eve"]).await?;
    assert_eq!(chilled["state"], "chilled");
    let back = json(&node, &["agent", "unchill", "--dev", "eve"]).await?;
    assert_eq!(back["state"], "active");
    let rotated = json(
        &node,
        &[
            "agent",
            "rotate-key",
            "--dev",
            "eve",
            "--keystore",
            keystore,
        ],
    )
    .await?;
    assert_ne!(rotated["inference_key"], agent["inference_key"]);

    json(&node, &["agent", "deregister", "--dev", "eve"]).await?;
    assert_fails(&node, &["agent", "status", "eve"], 6, "Eve is not an agent").await?;
    let all = json(&node, &["agent", "status"]).await?;
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    Ok(())
}

#[tokio::test]
async fn a_request_is_listed_and_shown() -> Result<()> {
    let node = Node::dev().await?;
    let low = ["ask", "--dev", "eve", "--fee", "0.5", "Why?"];
    assert_fails(
        &node,
        &low,
        4,
        "The fee is below MinFee, 1 STAR. (Rounds.FeeTooLow)",
    )
    .await?;
    let empty = ["ask", "--dev", "eve", "--", ""];
    assert_fails(&node, &empty, 4, "The prompt is empty or not UTF-8.").await?;
    let pauper = ["ask", "--suri", "//Pauper", "Why?"];
    assert_fails(&node, &pauper, 4, "the account cannot pay the fee").await?;

    let question = ["ask", "--dev", "eve", "--no-wait", "Why is the sky blue?"];
    assert_fails(&node, &question, 4, "(Rounds.TooFewAgents)").await?;
    enrol(&node.api().await?).await?;
    let asked = json(&node, &question).await?;
    assert_eq!(asked["round"], 0);
    // No answers arrive, because these agents have no node.
    let waiting = ["rounds", "watch", "0", "--timeout", "1"];
    assert_fails(&node, &waiting, 7, "timeout after 1 s: round 0 is not over").await?;
    let list = json(&node, &["rounds", "list", "--open"]).await?;
    assert_eq!(
        (&list[0]["round"], &list[0]["phase"]),
        (&Value::from(0), &Value::from("committing"))
    );
    let round = json(&node, &["rounds", "show", "0"]).await?;
    assert_eq!(round["prompt"], "Why is the sky blue?");
    assert_eq!(round["requester"]["name"], "Eve");
    assert_eq!(round["terms"]["fee"], star("1"));
    assert_eq!(round["blocks"][0]["phase"], "committing");

    let shown = starling(&node, &["rounds", "show", "0"]).await?;
    assert!(
        shown.stdout.contains("The round is not over: Committing"),
        "{}",
        shown.stdout
    );

    let counted = [&question[..4], &["--answers", "short", "Which colour?"]].concat();
    assert_eq!(json(&node, &counted).await?["round"], 1);
    let short = json(&node, &["rounds", "show", "1"]).await?;
    assert_eq!(
        (&short["answers"], &short["outcome"]),
        (&Value::from("short"), &Value::Null)
    );
    Ok(())
}

#[tokio::test]
async fn transactions_of_one_account_at_the_same_time_all_succeed() -> Result<()> {
    let node = Node::dev().await?;
    let buys = (0..8).map(|_| json(&node, &["tickets", "buy", "1", "--dev", "eve"]));
    let bought = futures::future::try_join_all(buys).await?;
    let free = bought.iter().map(|one| one["free"].clone());
    assert!(free.into_iter().any(|free| free == star("8")), "{bought:?}");

    // Questions of other lengths have other priorities in the pool. None displaces another.
    enrol(&node.api().await?).await?;
    let node = &node;
    let questions: Vec<_> = (0..8)
        .map(|n| format!("Why{}?", " why".repeat(n * n)))
        .collect();
    let asks = questions.iter().map(|question| {
        let arguments = ["ask", "--dev", "eve", "--no-wait", question.as_str()];
        async move { json(node, &arguments).await }
    });
    let asked = futures::future::try_join_all(asks).await?;
    let rounds: BTreeSet<_> = asked.iter().map(|one| one["round"].as_u64()).collect();
    let all: BTreeSet<_> = (0..8).map(Some).collect();
    assert_eq!(rounds, all, "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn secrets_are_never_repeated_and_nothing_is_no_secret() -> Result<()> {
    let phrase = "bottom drive obey lake curtain smoke\nbasket hold race lonely fit walk";
    let keystore = tempfile::tempdir()?;
    let folder = keystore.path().display().to_string();
    for (secret, words) in [
        (phrase, "character 37"),
        ("", "no secret"),
        (" ", "no secret"),
    ] {
        for arguments in [
            &["key", "inspect", secret][..],
            &["key", "insert", secret, "--keystore", &folder],
        ] {
            let outcome = starling_at("ws://127.0.0.1:1", arguments).await?;
            assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
            assert!(!outcome.stderr.contains("lonely"), "{}", outcome.stderr);
        }
    }
    assert_eq!(std::fs::read_dir(keystore.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_full_disk_under_the_output_is_an_error_in_words() -> Result<()> {
    for arguments in [
        &["key", "generate"][..],
        &["completions", "bash"],
        &["model", "list"],
        &["--json", "model", "list"],
    ] {
        let mut command = command_of("STARLING_CLIENT", "starling")?;
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
        let process = command.args(arguments).stdout(full).spawn()?;
        let output = process.wait_with_output().await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: standard output: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    Ok(())
}
