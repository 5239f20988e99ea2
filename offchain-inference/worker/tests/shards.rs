// SPDX-License-Identifier: Apache-2.0

//! Agents that compute layers of a model for each other, on a network in memory.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use starling_engine::{gguf::Gguf, requantise, ActivationBits, WeightFormat};
use starling_primitives::choice::Form;
use starling_shards::{
    integrity::{check, judge, Archive, Case, Room},
    simulated_network::{self, Agents},
    transport::ModelId,
    Served,
};
use starling_worker::{
    agent::{Agent, Failure, Reply, Request, Signals},
    config::Config,
    file::ModelFile,
    metrics::Metrics,
    problems::Problems,
    shards::{Network, Shards},
};
use tempfile::TempDir;

use crate::engine::{self, SMOLLM2};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

const CLIENT: &str = "threads = 1\n[[primary]]\nmodel = \"smollm2-135m-instruct\"\nshards = true\n\
                      [primary.sampling]\ntemperature = 0.0\n[shards]\npatience = \"300ms\"\n";

/// The agents' network.
#[derive(Default)]
struct Swarm {
    network: simulated_network::Network,
    agents: Arc<Agents>,
    nodes: u8,
}

struct Node {
    shards: Shards,
    evidence: TempDir,
    problems: Arc<Problems>,
    metrics: Metrics,
}

impl Swarm {
    fn node(&mut self, config: &str) -> Node {
        self.nodes += 1;
        let agent = simulated_network::Agent::new(self.nodes);
        self.agents.insert(agent.record());
        let network = Network {
            transport: self.network.join(&format!("node {}", self.nodes)),
            directory: self.agents.clone(),
            identity: Arc::new(agent),
        };
        let metrics = Metrics::new(None).unwrap();
        let problems = Arc::new(Problems::default());
        let evidence = tempfile::tempdir().unwrap();
        let shards = Shards::start(
            network,
            &parse(config),
            evidence.path().join("evidence"),
            metrics.clone(),
            problems.clone(),
            None,
        );
        Node {
            shards: shards.unwrap(),
            evidence,
            problems,
            metrics,
        }
    }

    fn server(&mut self, layers: &str) -> Node {
        let node = self.node(&serve(layers));
        node.serves(15);
        node
    }
}

impl Node {
    fn agent(&self, config: &str) -> Agent {
        let service = Some(self.shards.service());
        let (metrics, problems) = (self.metrics.clone(), self.problems.clone());
        Agent::new(parse(config), None, service, metrics, problems).unwrap()
    }

    /// Waits until this many layers are served.
    fn serves(&self, layers: u64) {
        let served = self.metrics.served.with_label_values(&[SMOLLM2]);
        wait(|| served.get() == layers);
    }

    fn knows(&self) -> Vec<std::ops::Range<usize>> {
        let holders = self.shards.service().holders(&model()).into_iter();
        let mut spans: Vec<_> = holders.map(|holder| holder.layers).collect();
        spans.sort_by_key(|span| span.start);
        spans
    }
}

fn parse(config: &str) -> Config {
    toml::from_str(config).unwrap()
}

fn serve(layers: &str) -> String {
    format!("threads = 1\n[[serve]]\nmodel = {SMOLLM2:?}\n{layers}\n")
}

fn model() -> ModelId {
    let file = ModelFile::Store {
        name: SMOLLM2.into(),
        folder: None,
    };
    file.id().unwrap()
}

fn wait(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

fn respond(agent: &Agent) -> Result<Reply, Failure> {
    let request = Request {
        round: 1,
        prompt: "What is the capital of France?".into(),
        max_tokens: 12,
        fee: 1,
        slash: 0,
        form: Form::Free,
        is_first: true,
        place: None,
    };
    agent.respond(&request, &Signals::default())
}

#[test]
fn an_agent_without_layers_answers_and_ranks_as_one_with_all_of_them() {
    engine::model(SMOLLM2);
    let mut swarm = Swarm::default();
    let _servers = [
        swarm.server("layers = \"0..15\""),
        swarm.server("layers = \"15..30\""),
    ];
    let node = swarm.node(CLIENT);
    let [apart, whole] = [
        node.agent(CLIENT),
        node.agent(&CLIENT.replace("shards = true", "")),
    ];
    let said = respond(&apart).unwrap();
    assert!(
        matches!(&said, Reply::Text(text) if text.contains("Paris")),
        "{said:?}"
    );
    assert_eq!(said, respond(&whole).unwrap());
    let with_own = |layers: &str| {
        let shards = format!("shards = true\nown_layers = {layers}");
        respond(&node.agent(&CLIENT.replace("shards = true", &shards)))
    };
    assert_eq!(said, with_own("5").unwrap());
    for (wrong, words) in [
        ("30", "has 30 layers"),
        ("5\ncache = \"1 KiB\"", "needs a `cache`"),
    ] {
        let failure = format!("{:?}", with_own(wrong).unwrap_err());
        assert!(failure.contains(words), "{failure}");
    }

    let responses = ["Paris is the capital of France.", "No idea.", "Banana"];
    let responses = responses.map(str::to_owned);
    let rank = |agent: &Agent| agent.rank("What is it?", "", &responses, 64, &Signals::default());
    let scores = rank(&apart).unwrap();
    assert_eq!(scores, rank(&whole).unwrap());
    assert!(scores.iter().any(|score| *score != scores[0]));
}

#[test]
fn who_computes_with_other_weights_is_kept_on_file() {
    let mut swarm = Swarm::default();
    let folder = tempfile::tempdir().unwrap();
    let coarse = folder.path().join("coarse.gguf");
    let whole = Gguf::open(&engine::model(SMOLLM2)).unwrap();
    requantise(&whole, &coarse, WeightFormat::Q4_0).unwrap();
    let _honest = [
        swarm.server("layers = \"0..15\""),
        swarm.server("layers = \"15..30\""),
    ];
    let liar = swarm.node(CLIENT);
    let served = Served {
        path: coarse,
        layers: 15..30,
        threads: 1,
        cache_bytes: 64 << 20,
        activation_bits: ActivationBits::default(),
    };
    liar.shards.service().serve(model(), &served).unwrap();
    let config = CLIENT.to_owned() + "spot_check = 1.0\n";
    let node = swarm.node(&config);
    let agent = node.agent(&config);
    let archive = Archive::new(node.evidence.path().join("evidence"), Room::default());
    let mut paths = vec![];
    wait(|| {
        respond(&agent).unwrap();
        paths = archive.paths().unwrap_or_default();
        !paths.is_empty()
    });
    let metrics = node.shards.service().metrics();
    assert!(metrics.evidence.with_label_values(&["found"]).get() >= 1.0);
    for path in paths {
        let case = Case::read(&path).unwrap();
        check(&case.evidence, &*swarm.agents).unwrap();
        assert!(!judge(&case.evidence, &case.exhibit).unwrap().agrees);
        let claims = [&case.evidence.first.claim, &case.evidence.second.claim];
        // The third node's agent, by its number.
        assert!(claims.iter().any(|claim| claim.account == [3; 32]));
    }
    assert!(node.problems.active().is_empty());
}

#[test]
fn missing_layers_are_a_problem_until_somebody_serves_them() {
    engine::model(SMOLLM2);
    let mut swarm = Swarm::default();
    let _first = swarm.server("layers = \"0..15\"");
    let second = swarm.server("layers = \"15..30\"");
    second.shards.configure(&parse(CLIENT));
    second.serves(0);
    let node = swarm.node(CLIENT);
    let agent = node.agent(CLIENT);
    let Err(Failure::Broken(reason)) = respond(&agent) else {
        panic!("nobody holds the last layers")
    };
    assert!(reason.contains("holds layers 15..30"), "{reason}");
    assert_eq!(node.problems.active().len(), 1);

    second
        .shards
        .configure(&parse(&serve("layers = \"15..30\"")));
    second.serves(15);
    wait(|| matches!(respond(&agent), Ok(Reply::Text(_))));
    assert!(node.problems.active().is_empty());
}

#[test]
fn a_node_that_may_choose_takes_what_the_others_lack() {
    engine::model(SMOLLM2);
    let mut swarm = Swarm::default();
    let _first = swarm.server("layers = \"0..15\"");
    let _second = swarm.server("max_layers = 15");
    let node = swarm.node(CLIENT);
    wait(|| node.knows() == [0..15, 15..30]);
}

#[test]
fn what_cannot_be_served_is_said() {
    engine::model(SMOLLM2);
    let mut swarm = Swarm::default();
    for (config, words) in [
        (serve("layers = \"20..31\""), "the model has 30"),
        (
            "[[serve]]\nmodel = \"no such\"".into(),
            "no model is called",
        ),
    ] {
        let node = swarm.node(&config);
        wait(|| !node.problems.active().is_empty());
        let problems = node.problems.active();
        let (topic, reason) = problems.iter().next().unwrap();
        assert!(topic.starts_with("serving"), "{topic}");
        assert!(reason.contains(words), "{reason}");
        // The problem goes with its cause.
        node.shards.configure(&parse(CLIENT));
        wait(|| node.problems.active().is_empty());
    }
}
