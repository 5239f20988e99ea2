// SPDX-License-Identifier: Apache-2.0
//! Rounds that language models answer and rank.

use anyhow::{ensure, Context, Result};
use starling_primitives::round::Phase;
use starling_runtime::UNIT;

use super::{
    account, complete, expert,
    honest::{check_settlement, texts},
    keys,
    oracle::{Scores, TODAY},
    Swarm,
};

/// Models and servers of the engine's own tests.
#[path = "../../../offchain-inference/engine/tests/common/mod.rs"]
pub(crate) mod engine;

use engine::{server::Server, GEMMA3, SMOLLM2};

const FEE: u128 = 10 * UNIT;

/// A model of the store with a fixed sampling seed: with bad luck, all responses might stay below
/// the threshold.
fn model(name: &str, temperature: f32) -> String {
    format!(
        "threads = 1\nniceness = 0\n[[primary]]\nmodel = {name:?}\nmax_tokens = 16\n\
         [primary.sampling]\ntemperature = {temperature}\nseed = 1\n"
    )
}

/// Four agents with two models, which are fetched if they are not there.
pub(super) fn two_models() -> [String; 4] {
    engine::model(SMOLLM2);
    engine::model(GEMMA3);
    [
        model(SMOLLM2, 0.2),
        model(SMOLLM2, 0.6),
        model(GEMMA3, 0.2),
        model(GEMMA3, 0.6),
    ]
}

#[tokio::test]
async fn four_agents_with_two_models_answer_and_rank() -> Result<()> {
    let swarm = Swarm::start(two_models()).await?;
    let api = swarm.api().await?;
    // An agent passes while its model is being read, which takes a while on a busy machine.
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
    let said = texts(&view);
    for (agent, text) in &said {
        eprintln!("{agent}: {text:?}");
    }
    assert_eq!(said.len(), 4, "{view:?}");
    for response in &view.responses {
        // A model that cannot tell responses apart would give them all the same score.
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
    assert!(Scores::of(&view).is_complete(), "{view:?}");
    check_settlement(&swarm, &api, &at, &view, TODAY).await
}

/// The format of SmolLM2's training conversations.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
    {{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}\
    <|im_start|>assistant\n{% endif %}";

/// The fourth agent's model is behind an OpenAI-compatible endpoint, which dies and comes back.
#[tokio::test]
async fn an_agent_with_a_remote_model_takes_part_whenever_it_works() -> Result<()> {
    let server = Server::start(&engine::model(SMOLLM2));
    let folder = tempfile::tempdir()?;
    let template = folder.path().join("chatml.jinja");
    std::fs::write(&template, CHATML)?;
    // llama.cpp's server returns no probabilities of given text, so this agent ranks by similarity.
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

    let (_, port) = server
        .url
        .trim_end_matches("/v1")
        .rsplit_once(':')
        .context("no port")?;
    let port = port.parse()?;
    // This ends the server at once, in the middle of its work.
    drop(server);
    let id = swarm.ask("What is the capital of France?", FEE).await?;
    let node = swarm.validators.get(3).context("no Dave")?.node()?;
    let down = ["model \"smollm2\": ", "Connection refused"];
    node.logged(&down).await?;
    let server = Server::start_at(&engine::model(SMOLLM2), port);
    let (_, view) = swarm.ended(id).await?;
    complete(&view, 4)?;
    node.logged(&["model \"smollm2\": ", "works again"]).await?;
    assert_eq!(node.log_count(&down), 1, "said once");
    drop(server);
    Ok(())
}
