// SPDX-License-Identifier: Apache-2.0
//! Rounds that language models answer and rank.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{ensure, Context, Result};
use starling_engine::store::Store;
use starling_primitives::round::Phase;
use starling_runtime::UNIT;
use std::io::{BufRead, BufReader};

use super::{
    account, expert, honest::check_settlement, honest::texts, keys, oracle::Scores, Swarm,
};

const FEE: u128 = 10 * UNIT;
const SMOLLM2: &str = "smollm2-135m-instruct";
const GEMMA3: &str = "gemma-3-270m";

/// A model of the store with a sampling of its own.
fn model(name: &str, temperature: f32) -> String {
    format!(
        "threads = 1\nniceness = 0\n[[primary]]\nmodel = {name:?}\nmax_tokens = 16\n\
         [primary.sampling]\ntemperature = {temperature}\n"
    )
}

fn fetched(name: &str) -> Result<PathBuf> {
    let path = Store::open(None)?.path(name);
    path.with_context(|| format!("fetch it: `starling-infer models fetch {name}`"))
}

#[tokio::test]
async fn four_agents_with_two_models_answer_and_rank() -> Result<()> {
    fetched(SMOLLM2)?;
    fetched(GEMMA3)?;
    let swarm = Swarm::start([
        model(SMOLLM2, 0.2),
        model(SMOLLM2, 1.0),
        model(GEMMA3, 0.2),
        model(GEMMA3, 1.0),
    ])
    .await?;
    let api = swarm.api().await?;
    // An agent whose model is still being read passes, and on a busy machine that takes a while.
    let mut rounds = 0;
    let (at, view) = loop {
        let id = swarm.ask("What is the capital of France?", FEE).await?;
        let (at, view) = swarm.ended(id).await?;
        if view.round.counts.commits == 4 {
            break (at, view);
        }
        rounds += 1;
        ensure!(rounds < 4, "the models are never ready");
    };
    check_settlement(&swarm, &api, &at, &view).await?;
    let said = texts(&view);
    assert_eq!(said.len(), 4, "{view:?}");
    for (agent, text) in &said {
        eprintln!("{agent}: {text:?}");
    }
    for response in &view.responses {
        // A model that tells nothing apart would give all the same score.
        let scores = response.scores.as_ref().context("everybody discloses")?;
        eprintln!("{}: {scores:?}", response.agent);
        let distinct = said
            .values()
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        let first = scores.first().map(|(_, score)| *score);
        ensure!(
            distinct < 4 || scores.iter().any(|(_, score)| Some(*score) != first),
            "{} says nothing",
            response.agent
        );
    }
    assert!(Scores::of(&view).is_complete());
    Ok(())
}

const XLLAMACPP: &str = "xllamacpp==2026.10.11549";

/// Prints the server's address when the model is loaded, and serves until its input is closed.
const SERVE: &str = r#"
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.port = 0
params.n_ctx, params.n_parallel, params.warmup = 2048, 1, False
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"#;

/// The format that SmolLM2 was taught conversations in.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
    {{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}\
    <|im_start|>assistant\n{% endif %}";

/// llama.cpp's server in a process of its own, ended when dropped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(model: PathBuf) -> Result<Self> {
        let packages = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("xllamacpp");
        if !packages.join("xllamacpp").is_dir() {
            let install = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--only-binary=:all:",
                "--target",
            ];
            let installed = Command::new("python3")
                .args(install)
                .arg(&packages)
                .arg(XLLAMACPP)
                .status()?;
            ensure!(
                installed.success(),
                "this test needs pip and the package {XLLAMACPP}"
            );
        }
        let mut process = Command::new("python3")
            .args(["-c", SERVE])
            .arg(model)
            .env("PYTHONPATH", packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process.stdout.take().context("the output is piped")?;
        let mut server = Self {
            process,
            url: String::new(),
        };
        for line in BufReader::new(stdout).lines() {
            if let Some(address) = line?.strip_prefix("listening ") {
                server.url = format!("{}/v1", address.trim_end_matches('/'));
                return Ok(server);
            }
        }
        anyhow::bail!("the server did not start")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The fourth agent's model is behind an OpenAI-compatible endpoint.
#[tokio::test]
async fn an_agent_with_a_remote_model_takes_part() -> Result<()> {
    let server = Server::start(fetched(SMOLLM2)?)?;
    let folder = tempfile::tempdir()?;
    let template = folder.path().join("chatml.jinja");
    std::fs::write(&template, CHATML)?;
    // llama.cpp's server tells no probabilities of given text, so this agent ranks by similarity.
    let remote = format!(
        "[[primary]]\nurl = {:?}\nmodel = \"smollm2\"\nchat_template = {:?}\nmax_tokens = 16\n\
         [ranking]\nranker = \"similarity\"\n",
        server.url, template
    );
    let swarm = Swarm::start([
        expert("Paris is the capital of France."),
        expert("It is Paris."),
        expert("Paris"),
        remote,
    ])
    .await?;
    let id = swarm.ask("What is the capital of France?", FEE).await?;
    let (_, view) = swarm.ended(id).await?;
    assert_eq!(view.round.phase, Phase::Done);
    let dave = account(&keys()[3]);
    let response = view
        .responses
        .iter()
        .find(|response| response.agent == dave);
    let response = response.context("the remote model has answered")?;
    assert!(response.text.as_ref().is_some_and(|text| !text.is_empty()));
    assert_eq!(response.scores.as_ref().map(Vec::len), Some(3));
    Ok(())
}
