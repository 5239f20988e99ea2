// SPDX-License-Identifier: Apache-2.0
//! Known answers prove agents, and the votes of proven agents choose an answer that the scores alone
//! would not.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{json, Value as Json};
use starling_primitives::{choice::REQUESTS_PER_ANSWER, fixed::ONE};
use starling_runtime::UNIT;
use starling_tests::{
    chain::{account_id, call, send, sudo, AtBlock, Call},
    governance::Committee,
    rounds::ask,
};
use subxt::dynamic::{storage, Value};
use subxt_signer::sr25519::{
    dev::{alice, eve},
    Keypair,
};
use tokio::time::timeout;

use super::{account, keys, Swarm, PATIENCE};
use crate::client::starling;

/// The questions of the pool, and the right answers.
const KNOWN: [(&str, &str); 2] = [("What is 12 + 30?", "42"), ("What is 7 * 8?", "56")];

/// An agent that gives these answers to the questions of the pool, and this one to the question at
/// the end. It passes on chat.
fn agent(known: [&str; 2], last: &str) -> String {
    let answers = [
        (r"12 \+ 30", format!("Answer: {}", known[0])),
        (r"7 \* 8", format!("Answer: {}", known[1])),
        (r"15 \+ 4", last.into()),
    ];
    let patterns = answers.map(|(pattern, answer)| {
        format!("[[primary.patterns]]\npattern = '{pattern}'\nanswer = {answer:?}\n")
    });
    let accept = "[accept]\nrefuse = ['^Chat']\n[[primary]]\n";
    accept.to_owned() + &patterns.concat()
}

/// Two agents know arithmetic and word their answers in their own ways. Two do not, and agree to the
/// letter.
fn agents() -> [String; 4] {
    let wrong = "Everybody here says so, quite surely. Answer: 20";
    [
        agent(["42", "56"], "Fifteen and four more make it. Answer: 19"),
        agent(
            ["42", "56"],
            "Add four to fifteen, step by step. Answer: 19",
        ),
        agent(["41", "57"], wrong),
        agent(["41", "57"], wrong),
    ]
}

/// Number of Eve's open rounds.
async fn open(at: &AtBlock) -> Result<u32> {
    let address = storage::<([u8; 32],), u32>("Rounds", "Requests");
    let key = (account_id(&eve()).0,);
    let open = at.storage().try_fetch(address, key).await?;
    Ok(open.map(|open| open.decode()).transpose()?.unwrap_or(0))
}

/// Eve asks as many questions as agents pass on, and waits for the end of their rounds.
async fn chat(swarm: &Swarm, count: usize) -> Result<()> {
    let calls = (0..count).map(|index| {
        let prompt = format!("Chat: how many birds are on wire {index}?");
        ask(&prompt, UNIT, "Number").into_value()
    });
    let batch = call(
        "Utility",
        "batch_all",
        vec![Value::unnamed_composite(calls)],
    );
    let api = swarm.api().await?;
    let sent = timeout(PATIENCE, send(&api, &batch, &eve())).await??;
    sent.wait_for_success().await?;
    let nobody: [Keypair; 0] = [];
    let chain = Committee::new(&nobody, swarm.node()?).await?;
    let over = chain.until(async |at| Ok(open(at).await? == 0));
    timeout(PATIENCE, over).await??;
    Ok(())
}

/// Makes Eve the examiner of this pool, and lets two known answers prove an agent.
async fn govern(swarm: &Swarm, pool: &Json) -> Result<()> {
    let root = pool["root"].as_str().context("a root")?;
    let root: starling_primitives::H256 = root.trim_start_matches("0x").parse()?;
    let questions = pool["questions"].as_u64().context("a number")?;
    let pool = Value::named_composite([
        ("root", Value::from_bytes(root)),
        ("questions", Value::u128(questions.into())),
    ]);
    let votes = Value::named_composite([
        ("proof", Value::u128(2)),
        ("unproven", Value::u128((ONE / 10).into())),
        ("counted", Value::u128(3)),
        ("rankers", Value::u128(2)),
        ("authors", Value::u128(2)),
    ]);
    let examiners = [Value::from_bytes(account_id(&eve()).0)];
    let set = |name: &str, value: Value| -> Call { call("Capabilities", name, vec![value]) };
    let api = swarm.api().await?;
    for call in [
        set("set_examiners", Value::unnamed_composite(examiners)),
        set("set_pool", Value::unnamed_variant("Some", [pool])),
        set("set_choice", Value::unnamed_variant("Votes", [votes])),
    ] {
        let sent = timeout(PATIENCE, send(&api, &sudo(call), &alice())).await??;
        sent.wait_for_success().await?;
    }
    Ok(())
}

/// Writes a pool and ordinary questions, and returns their paths.
fn files(folder: &Path) -> Result<[String; 2]> {
    let pool = folder.join("pool.jsonl");
    let lines = KNOWN.map(|(question, key)| {
        json!({ "question": question, "form": "number", "keys": [key] }).to_string()
    });
    fs::write(&pool, lines.join("\n"))?;
    let ordinary = folder.join("ordinary.jsonl");
    let chat = json!({ "question": "Chat: how are you?", "form": "number" });
    fs::write(&ordinary, chat.to_string())?;
    Ok([pool, ordinary].map(|path| path.display().to_string()))
}

#[tokio::test]
async fn votes_of_agents_that_known_answers_prove_win_against_the_better_score() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [pool, ordinary] = files(folder.path())?;
    let data = folder.path().join("data").display().to_string();
    let swarm = Swarm::start(agents()).await?;
    let run = [
        "examine",
        "run",
        &pool,
        "--ordinary",
        &ordinary,
        "--data",
        &data,
        "--dev",
        "eve",
        "--one-in",
        "1",
        "--pause",
        "0",
        "--questions",
        "1",
    ];
    let refused = starling(swarm.node()?, &run).await?;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("Eve is no examiner"),
        "{}",
        refused.stderr
    );

    let checked = swarm.client(&["examine", "pool", "check", &pool]).await?;
    assert_eq!(checked["questions"], KNOWN.len());
    govern(&swarm, &checked).await?;

    // The second run begins where the first one ended.
    for asked in 1..=KNOWN.len() {
        let summary = swarm.client(&run).await?;
        let unused = KNOWN.len() - asked;
        let waiting = json!({
            "asked": asked, "public": 0, "open": asked, "lost": 0, "unused": unused,
        });
        assert_eq!(summary, waiting, "nine more requests are needed for each");
    }
    let status = ["agent", "status", "alice"];
    let before = swarm.client(&status).await?;
    assert_eq!(before["capabilities"], json!([]));

    let ordinary = usize::try_from(REQUESTS_PER_ANSWER)? - 1;
    let reveal = ["examine", "reveal", &pool, "--data", &data, "--dev", "eve"];
    for public in 1..=KNOWN.len() {
        chat(&swarm, ordinary).await?;
        let summary = swarm.client(&reveal).await?;
        assert_eq!(summary["public"], public, "{summary}");
        assert_eq!(summary["lost"], 0, "{summary}");
    }

    for (key, is_right) in keys().iter().zip([true, true, false, false]) {
        let who = account(key).to_string();
        let agent = swarm.client(&["agent", "status", &who]).await?;
        let known = &agent["capabilities"][0];
        assert_eq!(known["form"], "number", "{agent}");
        assert_eq!(known["known"], KNOWN.len(), "{agent}");
        assert_eq!(known["proven"], true, "{agent}");
        let number = |field: &str| known[field].as_f64().context("a number");
        let (right, answers) = (number("right")?, number("answers")?);
        if is_right {
            assert_eq!(right, answers);
            assert!(number("vote")? > 1.0 && number("scores")? > 0.5, "{agent}");
        } else {
            assert_eq!((right, number("scores")?), (0.0, 0.0), "{agent}");
            assert!((number("vote")? - 0.1).abs() < 1e-6, "{agent}");
        }
    }

    let question = [
        "ask",
        "--dev",
        "eve",
        "--answers",
        "number",
        "What is 15 + 4?",
    ];
    let result = swarm.client(&question).await?;
    assert_eq!(result["answers"], "number");
    let answer = result["answer"].as_str().context("an answer")?;
    assert!(answer.ends_with("Answer: 19"), "{answer}");
    let outcome = &result["outcome"];
    assert_eq!(outcome["is_voted"], true, "{result}");
    assert_eq!(
        (&outcome["votes"], &outcome["responses"]),
        (&json!(2), &json!(4))
    );
    assert_eq!(outcome["share_of_votes"], 0.5);
    let weight = outcome["share_of_weight"].as_f64().context("a share")?;
    assert!(weight > 0.9 && weight < 1.0, "{weight}");

    // Every wrong answer has the better score.
    let candidates = result["candidates"].as_array().context("candidates")?;
    let scores = |key: &str| -> Vec<f64> {
        let with_key = candidates.iter().filter(|one| one["key"] == key);
        with_key.filter_map(|one| one["score"].as_f64()).collect()
    };
    let (right, wrong) = (scores("19"), scores("20"));
    assert_eq!((right.len(), wrong.len()), (2, 2), "{result}");
    let worse = right
        .iter()
        .all(|right| wrong.iter().all(|wrong| right < wrong));
    assert!(worse, "{right:?} {wrong:?}");

    let round = result["round"].to_string();
    let shown = swarm.client(&["rounds", "show", &round]).await?;
    assert_eq!(&shown["outcome"], outcome);
    assert_eq!(shown["candidates"], result["candidates"]);
    Ok(())
}
