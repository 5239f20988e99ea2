// SPDX-License-Identifier: Apache-2.0
//! `starling examine` with bad files: one line of error, an exit code, and no secret.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{json, Value};
use starling_tests::node::Outcome;

use crate::client::starling_at;

/// Nobody listens here: none of these commands needs a node.
const NOWHERE: &str = "ws://127.0.0.1:1";

/// The key of every bad question.
const SECRET: &str = "zanzibar";

async fn examine(arguments: &[&str]) -> Result<Outcome> {
    starling_at(NOWHERE, &[&["--json", "examine"], arguments].concat()).await
}

async fn check(folder: &Path, lines: &[Value]) -> Result<Outcome> {
    let file = folder.join("pool.jsonl");
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n"))?;
    let file = file.to_str().context("a path in UTF-8")?;
    examine(&["pool", "check", file]).await
}

#[tokio::test]
async fn bad_questions_are_refused_by_line_and_their_keys_are_not_repeated() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let good = json!({ "question": "What is 2 + 2?", "form": "number", "keys": ["4"] });
    let of_keys =
        |keys: Value| json!({ "question": "Where is it?", "form": "short", "keys": keys });
    let long = SECRET.repeat(8 * 1024);
    for (bad, words) in [
        (of_keys(json!([])), "0 keys"),
        (of_keys(json!([SECRET, long])), "key 2 has 65536 bytes"),
        (of_keys(json!([SECRET, "Zanzibar"])), "key 2 is not what"),
        // A Cyrillic a among Latin letters, and a word of Cyrillic letters alone.
        (
            of_keys(json!([SECRET, "z\u{430}nzibar"])),
            "key 2 mixes letters",
        ),
        (
            of_keys(json!([SECRET, "\u{441}\u{43e}\u{440}\u{430}"])),
            "key 2 looks like",
        ),
        (
            of_keys(json!([SECRET, "\u{f6}l", "o\u{308}l"])),
            "2 and 3 look alike",
        ),
        (
            json!({ "question": "?", "form": "essay", "keys": [SECRET] }),
            "form is not known",
        ),
        (
            json!({ "question": "?", "form": "number", "keys": [SECRET] }),
            "not a plain number",
        ),
        (
            json!({ "question": "?", "form": "short", "key": SECRET }),
            "from column",
        ),
        (good.clone(), "the same question"),
    ] {
        let outcome = check(folder.path(), &[good.clone(), bad]).await?;
        let said = outcome.stderr;
        assert_eq!(outcome.code, Some(2), "{words}: {said}");
        assert!(
            said.contains("line 2") && said.contains(words),
            "{words}: {said}"
        );
        assert!(!said.contains(SECRET), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn a_generated_pool_is_good_and_the_same_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let generate = ["pool", "arithmetic", "--count", "50", "--seed", "7"];
    let made = examine(&generate).await?;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert_eq!(made.stdout, examine(&generate).await?.stdout);
    let lines = made.stdout.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), 50);

    let checked = check(folder.path(), &lines).await?;
    let checked: Value = serde_json::from_str(&checked.stdout)?;
    assert_eq!(
        (&checked["questions"], &checked["generated"]),
        (&json!(50), &json!(true))
    );
    let fewer = check(folder.path(), &lines[..49]).await?;
    let fewer: Value = serde_json::from_str(&fewer.stdout)?;
    assert_ne!(checked["root"], fewer["root"]);
    Ok(())
}

#[tokio::test]
async fn a_run_that_agents_could_see_through_does_not_begin() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (pool, ordinary) = (path("pool.jsonl"), path("ordinary.jsonl"));
    let known = json!({ "question": "What is 2 + 2?", "form": "number", "keys": ["4"] });
    fs::write(&pool, known.to_string())?;
    let run = ["run", &pool, "--ordinary", &ordinary, "--dev", "eve"];
    for (question, form, words) in [
        ("Why?", "free", "no ordinary question has the form number"),
        ("What is 2 + 2?", "number", "is among the ordinary ones"),
        (" ", "number", "line 1: the question is empty"),
        ("Why?", "essay", "line 1: the form is not known"),
    ] {
        fs::write(
            &ordinary,
            json!({ "question": question, "form": form }).to_string(),
        )?;
        let refused = examine(&run).await?;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    fs::write(
        &ordinary,
        json!({ "question": "?", "form": "number" }).to_string(),
    )?;
    assert_eq!(
        examine(&run).await?.code,
        Some(3),
        "only the node is missing"
    );
    for part in ["0/3", "4/3", "x"] {
        let refused = examine(&[&run[..], &["--part", part]].concat()).await?;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    }
    Ok(())
}
