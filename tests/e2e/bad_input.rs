// SPDX-License-Identifier: Apache-2.0
//! Bad input ends with one clear line and an exit code, and changes nothing.

use std::{fs, net::TcpListener, path::Path, process::Command};

use anyhow::{Context, Result};
use starling_tests::node::{run, runtime_cache, specification, Node};

#[tokio::test]
async fn an_unknown_chain_is_refused() -> Result<()> {
    let line = refusal(&["--chain=nowhere", "--tmp"]).await?;
    assert!(line.contains("nowhere"), "{line}");
    Ok(())
}

#[tokio::test]
async fn a_validator_names_its_chain() -> Result<()> {
    let line = refusal(&["--validator", "--tmp", "--no-mdns", "--no-telemetry"]).await?;
    assert!(line.contains("--chain"), "{line}");
    Ok(())
}

#[tokio::test]
async fn an_unreadable_spec_is_refused() -> Result<()> {
    let base = tempfile::tempdir()?;
    let spec = base.path().join("spec.json");
    fs::write(&spec, r#"{ "name": "Starling", "#)?;
    let line = refusal(&[&format!("--chain={}", spec.display()), "--tmp"]).await?;
    assert!(line.contains(&spec.display().to_string()), "{line}");
    Ok(())
}

#[tokio::test]
async fn malformed_finality_forks_are_refused() -> Result<()> {
    let base = tempfile::tempdir()?;
    let mut spec = specification("dev").await?;
    let block = serde_json::json!({ "number": 7, "hash": format!("0x{}", "07".repeat(32)) });
    spec["finalityForks"] = serde_json::json!([{
        "lastFinal": block,
        "inForce": block,
        "setId": 1,
        "authorities": [["5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu", 1]],
    }]);
    let path = base.path().join("spec.json");
    fs::write(&path, spec.to_string())?;
    let line = refusal(&[&format!("--chain={}", path.display()), "--tmp"]).await?;
    assert!(line.contains("finalityForks[0]"), "{line}");
    assert!(line.contains("inForce"), "{line}");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_refused() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    for option in [
        format!("--rpc-port={port}"),
        format!("--prometheus-port={port}"),
        format!("--listen-addr=/ip4/127.0.0.1/tcp/{port}"),
    ] {
        let line = refusal(&["--dev", "--tmp", "--no-mdns", "--no-telemetry", &option])
            .await
            .with_context(|| option.clone())?;
        assert!(line.contains(&port.to_string()), "{option}: {line}");
    }
    Ok(())
}

/// The address is none of this machine's (RFC 5737), so it is free and cannot be bound: as if
/// another program had taken it after the first check.
#[tokio::test]
async fn a_node_that_can_listen_nowhere_ends() -> Result<()> {
    let address = "/ip4/203.0.113.1/tcp/30333";
    let line = refusal(&[
        "--dev",
        "--tmp",
        "--no-mdns",
        "--no-telemetry",
        "--rpc-port=0",
        "--no-prometheus",
        &cache()?,
        "--listen-addr",
        address,
    ])
    .await?;
    assert!(line.contains(address), "{line}");
    Ok(())
}

#[test]
fn scripts_colour_nothing_but_terminals() -> Result<()> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    for entry in fs::read_dir(&scripts)? {
        let path = entry?.path();
        if !path.is_file() || path.ends_with("lib.sh") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for escape in ["\\033", "\\e[", "\\x1b"] {
            let name = path.display();
            assert!(
                !text.contains(escape),
                "{name} colours by itself: use emphasis of lib.sh"
            );
        }
    }
    let said = Command::new("bash")
        .args(["-c", ". \"$0/lib.sh\"; say done; (die wrong) || true"])
        .arg(&scripts)
        .env_remove("NO_COLOR")
        .output()?;
    assert_eq!(String::from_utf8(said.stdout)?, "==> done\n");
    assert_eq!(String::from_utf8(said.stderr)?, "error: wrong\n");
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_type_is_refused() -> Result<()> {
    let base = tempfile::tempdir()?;
    let base_path = format!("--base-path={}", base.path().display());
    let insert = [
        "key",
        "insert",
        "--chain=dev",
        "--scheme=sr25519",
        "--suri=//Alice",
        &base_path,
    ];

    let line = refusal(&[&insert[..], &["--key-type=auras"]].concat()).await?;
    assert!(line.contains("key type"), "{line}");
    assert_eq!(files_under(base.path())?, 0, "a key was stored");
    Ok(())
}

#[tokio::test]
async fn a_database_of_another_chain_is_refused() -> Result<()> {
    let base = tempfile::tempdir()?;
    let node = Node::start(base.path(), ["--dev"]).await?;
    node.api().await?.at_current_block().await?;
    node.stop().await?;

    // A chain of the same name whose genesis differs.
    let mut spec = specification("dev").await?;
    let balance = spec
        .pointer_mut("/genesis/runtimeGenesis/patch/balances/balances/0/1")
        .context("the spec lists no balances")?;
    // More than its bond.
    *balance = 500_000_000_000_000_000_u64.into();
    let path = base.path().join("other.json");
    fs::write(&path, spec.to_string())?;

    let line = refusal(&[
        &format!("--chain={}", path.display()),
        &format!("--base-path={}", base.path().display()),
        "--rpc-port=0",
        "--listen-addr=/ip4/127.0.0.1/tcp/0",
        "--no-mdns",
        "--no-prometheus",
        "--no-telemetry",
        &cache()?,
    ])
    .await?;
    assert!(line.contains("genesis"), "{line}");

    // The database still works for its own chain.
    Node::start(base.path(), ["--dev"]).await?.stop().await
}

/// The option for compiled runtimes, with the folder of all tests.
fn cache() -> Result<String> {
    Ok(format!("--runtime-cache={}", runtime_cache()?.display()))
}

/// The single line with which the node refuses `args`.
async fn refusal(args: &[&str]) -> Result<String> {
    let outcome = run(args).await?;
    Ok(outcome.refusal()?.to_string())
}

fn files_under(path: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() {
            files_under(&entry.path())?
        } else {
            1
        };
    }
    Ok(files)
}
