// SPDX-License-Identifier: Apache-2.0
//! Nodes of this process that hold a model in spans.

use crate::{even_spans, Source};
use starling_engine::{tokenizer::TokenId, Ends, Hidden, Input, LoadOptions, Model, Step, Trunk};
use starling_infer::Failure;
use starling_shards::{
    simulated_network::{Agent, Agents, Endpoint, Network},
    transport::{ModelId, Transport},
    Pipeline, PipelineConfig, Served, Service, ServiceConfig,
};
use std::{sync::Arc, time::Duration};

/// The name of the model among the nodes.
const MODEL: ModelId = [1; 32];

/// Nodes that hold a model in spans, and one that holds its ends.
pub(super) struct Swarm {
    pub network: Network,
    nodes: Vec<(Arc<Endpoint>, Arc<Service>)>,
    client: Arc<Endpoint>,
    /// The client's service, which ends when it is dropped.
    pub service: Arc<Service>,
    ends: Model,
}

impl Swarm {
    /// Starts a swarm in which `holders` nodes hold each span.
    pub fn start(
        source: &Source,
        options: &LoadOptions,
        spans: usize,
        holders: usize,
    ) -> Result<Self, Failure> {
        let network = Network::new();
        let agents = Arc::new(Agents::default());
        let join = |number: usize| {
            let agent = Agent::new(u8::try_from(number)?);
            agents.insert(agent.record());
            let endpoint = network.join(&format!("node {number}"));
            let service = Service::start(
                endpoint.clone(),
                agents.clone(),
                Arc::new(agent),
                ServiceConfig::default(),
                None,
            )?;
            Ok::<_, Failure>((endpoint, service))
        };
        let ends = LoadOptions {
            layers: Some(0..0),
            ..options.clone()
        };
        let ends = source.load(&ends)?;
        let (client, service) = join(0)?;
        let mut nodes = vec![];
        for _ in 0..holders {
            for layers in even_spans(ends.config().layers, spans) {
                let (endpoint, service) = join(nodes.len() + 1)?;
                let served = Served {
                    path: source.gguf.path().to_owned(),
                    layers,
                    threads: options.threads,
                    cache_bytes: options.cache_bytes,
                    activation_bits: options.activation_bits,
                };
                service.serve(MODEL, &served)?;
                nodes.push((endpoint, service));
            }
        }
        Ok(Self {
            network,
            nodes,
            client,
            service,
            ends,
        })
    }

    /// The model as a pipeline over the nodes.
    pub fn pipeline(&self, config: PipelineConfig) -> Pipeline {
        self.service.pipeline(MODEL, self.ends.clone(), config)
    }

    /// Number of nodes that hold spans.
    pub fn servers(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes sent so far between client and nodes, and between nodes.
    pub fn bytes(&self) -> u64 {
        let nodes = self.nodes.iter().map(|(node, _)| node.local());
        let all: Vec<_> = nodes.chain([self.client.local()]).collect();
        all.iter()
            .flat_map(|from| all.iter().map(move |to| (from, to)))
            .map(|(from, to)| self.network.traffic(from, to).bytes)
            .sum()
    }

    /// Adds `milliseconds` to each round trip.
    pub fn delay(&self, milliseconds: u64) {
        self.network
            .set_delay(Duration::from_millis(milliseconds) / 2);
    }
}

/// `n` prompts of `len` tokens, different for each `seed`, so that no cache knows them.
pub fn prompts(source: &Source, n: usize, len: usize, seed: usize) -> Vec<Vec<TokenId>> {
    let range = source.tokenizer.len().max(2_000) - 1_000;
    let token = |i: usize, k: usize| {
        let mixed = (seed * 97 + k + 1) * 7_919 + i * (2 * k + 13);
        (1_000 + mixed % range) as TokenId
    };
    (0..n)
        .map(|k| (0..len).map(|i| token(i, k)).collect())
        .collect()
}

/// Extends all sequences; returns the most probable next token of each.
pub fn extend<T: Trunk>(
    trunk: &T,
    sessions: &mut [T::Session],
    tokens: &[Vec<TokenId>],
) -> Result<Vec<TokenId>, Failure> {
    let mut steps: Vec<_> = sessions
        .iter_mut()
        .zip(tokens)
        .map(|(session, tokens)| Step {
            session,
            input: Input::Tokens(tokens),
        })
        .collect();
    let outputs = trunk.forward(&mut steps)?;
    let config = trunk.ends().config();
    let last = outputs.iter().flat_map(|hidden| hidden.last().into_vec());
    let last = Hidden::new(config.width, last.collect())?;
    let logits = trunk.ends().logits(&last)?;
    let best = |row: &[f32]| {
        let best = row
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(0, |(i, _)| i as TokenId)
    };
    Ok(logits.chunks_exact(config.vocab).map(best).collect())
}
