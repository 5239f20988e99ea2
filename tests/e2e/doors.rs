// SPDX-License-Identifier: Apache-2.0
//! Access to unsafe methods of a node: the operator's programs, and no page of a stranger that a
//! browser on the operator's machine shows.

use std::{fs, time::Instant};

use anyhow::{ensure, Context, Result};
use serde_json::{json, Value};
use starling_tests::{
    node::{raw_specification, run},
    Node, WebSocket,
};
use subxt_signer::sr25519::Keypair;

const EVIL: &str = "https://evil.example";

/// Words of the refusal of an unsafe method.
const DENIED: &str = "RPC call is unsafe to be called externally";

/// Arguments of `author_insertKey` and, without the second one, of `author_hasKey`.
fn key(uri: &str) -> Result<[Value; 3]> {
    let public = Keypair::from_uri(&uri.parse()?)?.public_key();
    let public = public.0.iter().map(|byte| format!("{byte:02x}"));
    let public = format!("0x{}", public.collect::<String>());
    Ok([json!("infr"), json!(uri), json!(public)])
}

async fn insert(socket: &mut WebSocket, uri: &str) -> Result<()> {
    let inserted = socket.call("author_insertKey", json!(key(uri)?)).await;
    inserted.map(drop)
}

async fn has_key(socket: &mut WebSocket, uri: &str) -> Result<bool> {
    let [key_type, _, public] = key(uri)?;
    let has_key = socket.call("author_hasKey", json!([public, key_type]));
    has_key.await?.as_bool().context("yes or no")
}

/// Asserts that a connection has safe methods and no others.
async fn assert_safe(socket: &mut WebSocket) -> Result<()> {
    let health = socket.call("system_health", json!([])).await?;
    assert!(health["peers"].is_u64(), "{health}");
    let peer = "/ip4/192.0.2.1/tcp/30333/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    for (method, arguments) in [
        ("author_insertKey", json!(key("//Mallory")?)),
        ("author_rotateKeys", json!([])),
        ("system_addReservedPeer", json!([peer])),
        (
            "offchain_localStorageSet",
            json!(["PERSISTENT", "0x00", "0x00"]),
        ),
    ] {
        let refused = socket.call(method, arguments).await;
        let error = refused.err().context(method)?.to_string();
        assert!(error.contains(DENIED), "{method}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_page_of_a_stranger_gets_safe_methods_only() -> Result<()> {
    let node = Node::dev().await?;
    let mut own = WebSocket::open(node.url(), None, None).await?;
    for origin in [EVIL, "null", "http://localhost.evil.example"] {
        let mut page = WebSocket::open(node.url(), None, Some(origin)).await?;
        assert_safe(&mut page)
            .await
            .with_context(|| origin.to_owned())?;
    }
    assert!(!has_key(&mut own, "//Mallory").await?);

    // A program of this machine, and a page from it.
    insert(&mut own, "//Carol").await?;
    let mut local = WebSocket::open(node.url(), None, Some("http://localhost:3000")).await?;
    assert!(has_key(&mut local, "//Carol").await?);

    // Programs read the port from this line: it is there once.
    assert_eq!(node.log_count(&["Running JSON-RPC server"]), 1);
    // This server counts.
    let opened = node.metric("substrate_rpc_sessions_opened").await?;
    assert!(opened >= 5.0, "{opened}");
    assert!(node.metric("substrate_rpc_calls_started").await? > 0.0);
    Ok(())
}

/// Its owner points a name at this machine: the page and the node are one origin then.
#[tokio::test]
async fn a_foreign_host_is_no_way_around() -> Result<()> {
    let node = Node::dev().await?;
    let port = node.url().rsplit_once(':').context("a port")?.1;
    let host = format!("evil.example:{port}");
    let origin = format!("http://{host}");
    for origin in [None, Some(origin.as_str())] {
        let mut page = WebSocket::open(node.url(), Some(&host), origin).await?;
        assert_safe(&mut page)
            .await
            .with_context(|| format!("{origin:?}"))?;
    }
    let own = format!("localhost:{port}");
    let mut own = WebSocket::open(node.url(), Some(&own), None).await?;
    assert!(!has_key(&mut own, "//Mallory").await?);
    Ok(())
}

/// The keys of a validator are worth more than those that everybody knows.
#[tokio::test]
async fn a_validator_offers_unsafe_methods_only_if_told_to() -> Result<()> {
    let validator = [
        "--chain=dev",
        "--validator",
        "--unsafe-force-node-key-generation",
    ];
    for (methods, offered) in [(None, false), (Some("--rpc-methods=unsafe"), true)] {
        let base = tempfile::tempdir()?;
        let arguments = validator.into_iter().chain(methods);
        let node = Node::start(base.path(), arguments).await?;
        let mut own = WebSocket::open(node.url(), None, None).await?;
        if offered {
            insert(&mut own, "//Carol").await?;
            assert!(has_key(&mut own, "//Carol").await?);
        } else {
            assert_safe(&mut own).await?;
        }
        let mut page = WebSocket::open(node.url(), None, Some(EVIL)).await?;
        assert_safe(&mut page).await?;
        // Outside of development, the node answers its own names alone.
        let error = WebSocket::open(node.url(), Some("evil.example"), None).await;
        let error = error.err().context("a foreign host")?.to_string();
        assert!(error.contains("403"), "{error}");
    }
    Ok(())
}

/// The answer of such a call and its event are two messages: with Nagle's algorithm the second one
/// waits 40 ms. The times are printed, since a busy machine may take any.
#[tokio::test]
async fn a_call_of_the_new_specification_brings_its_event() -> Result<()> {
    let node = Node::dev().await?;
    let mut socket = WebSocket::open(node.url(), None, None).await?;
    let follow = socket.call("chainHead_v1_follow", json!([true])).await?;
    let hash = loop {
        let message = socket.next().await?;
        let event = &message["params"]["result"];
        if event["event"] == "initialized" {
            let hashes = event["finalizedBlockHashes"].as_array();
            break hashes.and_then(|hashes| hashes.last()).cloned();
        }
    };
    let hash = hash.context("a finalised block")?;
    let mut times = vec![];
    for _ in 0..20 {
        let began = Instant::now();
        let arguments = json!([follow, hash, "Core_version", "0x"]);
        let started = socket.call("chainHead_v1_call", arguments).await?;
        ensure!(started["result"] == "started", "{started}");
        loop {
            let message = socket.next().await?;
            let event = &message["params"]["result"];
            if event["operationId"] == started["operationId"] {
                ensure!(event["event"] == "operationCallDone", "{event}");
                break;
            }
        }
        times.push(began.elapsed());
    }
    times.sort_unstable();
    println!("a call takes {:?} (median of {times:?})", times[10]);
    Ok(())
}

/// zombienet and others know no other command.
#[tokio::test]
async fn tools_of_other_chains_get_the_same_specification() -> Result<()> {
    let own = fs::read_to_string(raw_specification("local").await?)?;
    let theirs = ["build-spec", "--chain=local", "--disable-default-bootnode"];
    let raw = run(theirs.into_iter().chain(["--raw"])).await?;
    ensure!(raw.code == Some(0), "{}", raw.stderr);
    assert!(raw.stdout == own, "two specifications");
    let plain = run(theirs).await?;
    let plain: Value = serde_json::from_str(&plain.stdout).context(plain.stderr)?;
    assert_eq!(plain["id"], "starling_local");
    assert!(plain["genesis"]["runtimeGenesis"].is_object());
    Ok(())
}
