// SPDX-License-Identifier: Apache-2.0
//! Agents that cannot work. Their node reports it once and still authors blocks, and the agent
//! works again once the cause is gone.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use anyhow::{ensure, Context, Result};
use starling_models::Store;
use starling_runtime::{AccountId, MILLI_UNIT, UNIT};
use starling_tests::{
    chain::{account_id, call, next_block, send},
    node::run,
    rounds::{opened, request, round, View},
    Node,
};
use subxt::{
    dynamic::Value,
    rpcs::{methods::legacy::Bytes, rpc_params},
};
use subxt_signer::sr25519::{
    dev::{alice, bob},
    Keypair,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    client::starling,
    played::{enrol, pass, Played},
    swarm::engine::{model, SMOLLM2},
};

const TOML_OF_AN_EXPERT: &str =
    "[[primary]]\n[[primary.patterns]]\npattern = '.'\nanswer = \"Yes.\"\n";
const ACCOUNTS: &str = "accounts = [\"Alice\"]\n";
const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Bob asks; the only agent with a node is Alice, and the idle ones pass. Returns the round once it
/// is over. A single answer is never enough, so the result is whether Alice committed.
async fn ask(node: &Node, idle: &[Played]) -> Result<View> {
    let (api, rpc) = (node.api().await?, node.rpc().await?);
    let id = opened(&send(&api, &request("Is it so?", UNIT, 32), &bob()).await?).await?;
    let mut blocks = api.stream_blocks().await?;
    // If they passed before Alice answers, the round would end: it could not succeed any more.
    // While she is chilled, nobody waits for her.
    let now = loop {
        let at = next_block(&mut blocks).await?;
        let view = round(&rpc, &at, id).await?.context("it is open")?;
        let others = usize::try_from(view.round.terms.active)? > idle.len();
        if view.round.counts.heard > 0 || !others {
            break at.block_number();
        }
    };
    pass(&rpc, idle, id, now).await?;
    // The chain keeps a round without enough answers for one block only: look at each.
    let mut number = now;
    loop {
        let newest = blocks.next().await.context("no more blocks")??.number();
        while number <= newest {
            let view = round(&rpc, &api.at_block(number).await?, id).await?;
            if let Some(view) = view.filter(|view| view.round.phase.is_final()) {
                return Ok(view);
            }
            number += 1;
        }
    }
}

async fn buy_tickets(node: &Node) -> Result<()> {
    let tickets = call("Tickets", "buy", vec![Value::u128(100 * MILLI_UNIT)]);
    let bought = send(&node.api().await?, &tickets, &alice()).await?;
    bought.wait_for_success().await?;
    Ok(())
}

/// A development chain whose agent, Alice, has tickets and this configuration, and agents without a
/// node.
async fn dev_with_agent(folder: &Path, config: &Path) -> Result<(Node, Vec<Played>)> {
    let agent = format!("--agent-config={}", config.display());
    let node = Node::start(&folder.join("base"), ["--dev", &agent]).await?;
    buy_tickets(&node).await?;
    let idle = enrol(&node.api().await?).await?;
    Ok((node, idle))
}

/// Answers one completion like an OpenAI-compatible server.
async fn complete(connection: TcpStream) -> Result<()> {
    let mut connection = BufReader::new(connection);
    let (mut length, mut line) = (0, String::new());
    while connection.read_line(&mut line).await? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    connection.read_exact(&mut vec![0; length]).await?;
    let answer = "data: {\"choices\":[{\"text\":\"Yes.\"}]}\n\ndata: [DONE]\n\n";
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    connection.write_all((head + answer).as_bytes()).await?;
    Ok(connection.flush().await?)
}

#[tokio::test]
async fn a_missing_model_is_reported_once_and_its_return_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("agent.toml");
    let store = folder.path().join("store");
    let weights = model(SMOLLM2);
    // A port without a listener for now.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let write = |sha256: &str, rest: &str| {
        let config_text = format!(
            "{ACCOUNTS}store = {store:?}\nthreads = 1\nniceness = 0\n\
             [[primary]]\nmodel = {SMOLLM2:?}\naccept = {{ max_prompt_bytes = 1 }}\n\
             [[primary]]\nname = \"file\"\npath = {weights:?}\nsha256 = {sha256:?}\n\
             accept = {{ max_prompt_bytes = 1 }}\n\
             [[primary]]\nurl = \"http://127.0.0.1:{port}/v1\"\nmodel = \"served\"\n\
             [ranking]\nranker = \"similarity\"\n{rest}"
        );
        // Replaces the file at once, as editors do: the node must not see half of it.
        let new = config.with_extension("new");
        fs::write(&new, config_text)?;
        fs::rename(&new, &config)
    };
    write(WRONG, "")?;
    let (node, idle) = dev_with_agent(folder.path(), &config).await?;

    // No model, a wrong file, and no server.
    let missing = ["model \"smollm2-135m-instruct\": ", "has not been fetched"];
    let wrong = [
        "model \"file\": ",
        "is corrupt or another file: its SHA-256 is",
    ];
    let down = ["model \"served\": ", "Connection refused"];
    let back = |topic| [topic, "works again"];
    node.logged(&missing).await?;
    node.logged(&wrong).await?;
    let heals = async {
        node.logged(&down).await?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                complete(connection).await?;
            }
            anyhow::Ok(())
        });
        anyhow::Ok(server)
    };
    // The server starts in the middle of the round, which is not lost.
    let (round, server) = tokio::try_join!(ask(&node, &idle), heals)?;
    assert_eq!(round.round.counts.commits, 1);
    node.logged(&back("model \"served\": ")).await?;

    // An invalid configuration changes nothing.
    write(WRONG, "[nonsense]")?;
    let refused = ["the agent configuration: ", "TOML parse error"];
    node.logged(&refused).await?;
    assert_eq!(ask(&node, &idle).await?.round.counts.commits, 1);

    // The right hash without a restart, and the model without a change to the configuration.
    let hash = Store::open(None)?.entry(SMOLLM2)?.sha256.clone();
    write(&hash, "")?;
    node.logged(&back("the agent configuration: ")).await?;
    node.logged(&back("model \"file\": ")).await?;
    link(&weights, &store.join(SMOLLM2))?;
    node.logged(&back("model \"smollm2-135m-instruct\": "))
        .await?;

    for words in [&missing, &wrong, &down, &refused] {
        assert_eq!(node.log_count(words), 1, "{words:?}");
    }
    server.abort();
    Ok(())
}

/// Puts a file into a folder of its own.
fn link(file: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let name = file.file_name().context("a file has a name")?;
    Ok(std::os::unix::fs::symlink(file, folder.join(name))?)
}

/// A validator whose keystore has session keys and no inference key, and later one without tickets.
#[tokio::test]
async fn without_key_or_tickets_an_agent_says_so_and_passes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("base");
    let config = folder.path().join("agent.toml");
    fs::write(&config, ACCOUNTS.to_owned() + TOML_OF_AN_EXPERT)?;
    for (key_type, scheme) in [("aura", "sr25519"), ("gran", "ed25519")] {
        let inserted = run([
            "key",
            "insert",
            "--chain=dev",
            "--suri=//Alice",
            &format!("--base-path={}", base.display()),
            &format!("--key-type={key_type}"),
            &format!("--scheme={scheme}"),
        ])
        .await?;
        assert_eq!(inserted.code, Some(0), "{}", inserted.stderr);
    }
    let node = Node::start(
        &base,
        [
            "--chain=dev".to_owned(),
            "--validator".into(),
            "--rpc-methods=unsafe".into(),
            "--unsafe-force-node-key-generation".into(),
            format!("--agent-config={}", config.display()),
        ],
    )
    .await?;
    let no_key = ["the inference key: the keystore holds no key of type `infr`"];
    node.logged(&no_key).await?;

    let rpc = node.rpc().await?;
    let key = Bytes(account_id(&alice()).0.to_vec());
    let (): () = rpc
        .request("author_insertKey", rpc_params!["infr", "//Alice", key])
        .await?;
    let idle = enrol(&node.api().await?).await?;
    // The node authors blocks, or this would not be in one.
    assert_eq!(ask(&node, &idle).await?.round.counts.commits, 0);
    node.logged(&["the agent can only pass: it has no ticket"])
        .await?;
    buy_tickets(&node).await?;
    assert_eq!(ask(&node, &idle).await?.round.counts.commits, 1);
    node.logged(&["the inference key: works again"]).await?;
    assert_eq!(node.log_count(&no_key), 1);

    // An agent that chills, and validates again.
    let api = node.api().await?;
    let chilled = ["its agent ", "is not active: it is chilled"];
    let active = ["the inference key ", "works again"];
    for (what, commits, words) in [("chill", 0, &chilled[..]), ("unchill", 1, &active[..])] {
        let sent = send(&api, &call("Agents", what, vec![]), &alice()).await?;
        sent.wait_for_success().await?;
        node.logged(words).await?;
        assert_eq!(
            ask(&node, &idle).await?.round.counts.commits,
            commits,
            "{what}"
        );
    }
    assert_eq!(node.log_count(&chilled), 1);
    Ok(())
}

/// Mallory registers a key for an agent of her own and puts it into the keystore of another's node.
#[tokio::test]
async fn nobody_works_for_an_account_that_the_configuration_does_not_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("agent.toml");
    fs::write(&config, ACCOUNTS.to_owned() + TOML_OF_AN_EXPERT)?;
    let (node, idle) = dev_with_agent(folder.path(), &config).await?;
    let hash = "0".repeat(64);
    for arguments in [
        &[
            "agent",
            "register",
            "--inference-key=//Mallory",
            "--bond=200",
            "--model=patterns",
            "--model-hash",
            &hash,
        ][..],
        &["tickets", "buy", "1"],
    ] {
        let done = starling(&node, &[arguments, &["--dev", "dave"]].concat()).await?;
        ensure!(done.code == Some(0), "{arguments:?}: {}", done.stderr);
    }
    let uri = "//Mallory";
    let key = Keypair::from_uri(&uri.parse()?)?.public_key().0.to_vec();
    let (): () = node
        .rpc()
        .await?
        .request("author_insertKey", rpc_params!["infr", uri, Bytes(key)])
        .await?;

    let ignored = ["of the keystore is ignored: it serves"];
    node.logged(&ignored).await?;
    let view = ask(&node, &idle).await?;
    let agents: Vec<_> = view
        .responses
        .iter()
        .map(|response| &response.agent)
        .collect();
    assert_eq!(agents, [&AccountId::new(account_id(&alice()).0)]);
    assert_eq!(view.round.counts.commits, 1);
    assert_eq!(node.log_count(&ignored), 1);
    Ok(())
}

#[tokio::test]
async fn a_configuration_can_be_checked_before_a_node_runs_with_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("agent.toml");
    let path = config.display().to_string();
    fs::write(&config, ACCOUNTS.to_owned() + TOML_OF_AN_EXPERT)?;
    let checked = run(["agent", "check", &path]).await?;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    fs::write(&config, "[[serve]]\nmodel = \"m\"\nmax_blocks = 3\n")?;
    let checked = run(["agent", "check", &path]).await?;
    assert_eq!(checked.code, Some(1), "{}", checked.stderr);
    assert!(
        checked.stderr.contains("`max_blocks` is now `max_layers`"),
        "{}",
        checked.stderr
    );
    Ok(())
}

/// Tokio gives up running tasks after a minute. Until then, a node that waits for its agent seems
/// to hang.
const GIVEN_UP: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_node_whose_agent_works_ends_without_waiting_for_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("agent.toml");
    // A server that accepts a call and never answers.
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let hook = format!(
        "[[before]]\nurl = \"http://{}/\"\ntimeout = \"10m\"\n",
        server.local_addr()?
    );
    fs::write(&config, ACCOUNTS.to_owned() + &hook + TOML_OF_AN_EXPERT)?;
    let (node, _idle) = dev_with_agent(folder.path(), &config).await?;
    let asked = request("Is it so?", UNIT, 32);
    opened(&send(&node.api().await?, &asked, &bob()).await?).await?;
    let _called = server.accept().await?;
    let stopped = timeout(GIVEN_UP * 3 / 4, node.stop()).await;
    stopped.context("the node waits for its agent")?
}
