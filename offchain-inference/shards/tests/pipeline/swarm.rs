// SPDX-License-Identifier: Apache-2.0
//! Nodes on a simulated network, and common steps of the tests.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use starling_engine::{Ends, Hidden, Input, LoadOptions, Model, Sequence, Step, Trunk};
use starling_models::Store;
use starling_shards::{
    auth::Identity,
    simulated_network::{Agent, Agents, Network},
    transport::{ModelId, Peer, Transport},
    Pipeline, PipelineConfig, Served, Service, ServiceConfig,
};

pub const MODEL: ModelId = [3; 32];

/// The path of the real model.
pub fn smollm2() -> PathBuf {
    // Tests run at the same time in separate processes; only one of them needs to fetch.
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fetching.lock");
    let lock = File::create(lock).unwrap();
    lock.lock().unwrap();
    let store = Store::open(None).expect("the model store opens");
    store
        .fetch("smollm2-135m-instruct", &mut ())
        .expect("the model is needed for this test")
}

pub struct Node {
    pub service: Arc<Service>,
    pub peer: Peer,
}

pub struct Swarm {
    pub network: Network,
    pub agents: Arc<Agents>,
    pub model: ModelId,
    path: PathBuf,
    nodes: u8,
}

impl Swarm {
    pub fn new(path: &Path) -> Self {
        Self {
            network: Network::new(),
            agents: Arc::default(),
            model: MODEL,
            path: path.to_owned(),
            nodes: 0,
        }
    }

    /// A node with an agent.
    pub fn node(&mut self) -> Node {
        self.node_with(ServiceConfig {
            requests_per_second: 1e6,
            messages_per_second: 1e6,
            ..ServiceConfig::default()
        })
    }

    pub fn node_with(&mut self, config: ServiceConfig) -> Node {
        self.nodes += 1;
        let agent = Agent::new(self.nodes);
        self.agents.insert(agent.record());
        self.node_of(agent, config)
    }

    pub fn node_of(&self, agent: Agent, config: ServiceConfig) -> Node {
        let account = agent.account().unwrap();
        self.node_called(&format!("node {}", account[0]), agent, config)
    }

    pub fn node_called(&self, name: &str, agent: Agent, config: ServiceConfig) -> Node {
        let endpoint = self.network.join(name);
        let service = Service::start(
            endpoint.clone(),
            self.agents.clone(),
            Arc::new(agent),
            config,
            None,
        )
        .unwrap();
        Node {
            service,
            peer: endpoint.local(),
        }
    }

    /// A node that serves layers.
    pub fn server(&mut self, layers: Range<usize>) -> Node {
        let node = self.node();
        self.serve(&node, layers);
        node
    }

    pub fn serve(&self, node: &Node, layers: Range<usize>) {
        self.serve_file(node, &self.path, layers);
    }

    /// Serves the layers of another file under the model's name.
    pub fn serve_file(&self, node: &Node, path: &Path, layers: Range<usize>) {
        let served = Served {
            path: path.to_owned(),
            layers,
            threads: 1,
            cache_bytes: 64 << 20,
            activation_bits: Default::default(),
        };
        node.service.serve(self.model, &served).unwrap();
    }

    /// The model's ends.
    pub fn ends(&self) -> Model {
        self.ends_with(0)
    }

    /// The model's ends, with its first layers.
    pub fn ends_with(&self, own: usize) -> Model {
        let options = LoadOptions {
            layers: Some(0..own),
            threads: 1,
            ..LoadOptions::default()
        };
        Model::load(&self.path, &options).unwrap()
    }

    pub fn whole(&self) -> Model {
        let options = LoadOptions {
            threads: 1,
            ..LoadOptions::default()
        };
        Model::load(&self.path, &options).unwrap()
    }

    pub fn pipeline(&self, node: &Node, config: PipelineConfig) -> Pipeline {
        node.service.pipeline(self.model, self.ends(), config)
    }
}

/// Extends one sequence by tokens.
pub fn extend<T: Trunk>(
    trunk: &T,
    session: &mut T::Session,
    tokens: &[u32],
) -> starling_engine::Result<Hidden> {
    let input = Input::Tokens(tokens);
    let outputs = trunk.forward(&mut [Step { session, input }])?;
    Ok(outputs.into_iter().next().unwrap())
}

/// Greedy tokens after `prompt`; `at` is called before each.
pub fn greedy<T: Trunk>(
    trunk: &T,
    prompt: &[u32],
    count: usize,
    mut at: impl FnMut(usize),
) -> starling_engine::Result<Vec<u32>> {
    let mut session = trunk.session();
    let mut hidden = extend(trunk, &mut session, prompt)?;
    let mut tokens = vec![];
    for i in 0..count {
        at(i);
        let logits = trunk.ends().logits(&hidden.last())?;
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let token = best.unwrap() as u32;
        tokens.push(token);
        hidden = extend(trunk, &mut session, &[token])?;
    }
    assert_eq!(session.len(), prompt.len() + count);
    Ok(tokens)
}

/// Waits until `is_so` holds.
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Settings patient enough for a busy machine.
pub fn config() -> PipelineConfig {
    PipelineConfig {
        least_step_timeout: Duration::from_secs(60),
        most_step_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(60),
        patience: Duration::from_secs(60),
        // By chance; tests of checks ask for them.
        spot_check: 0.0,
        ..PipelineConfig::default()
    }
}
