// SPDX-License-Identifier: Apache-2.0

//! The view that a node has of the layers that nodes compute for each other, for its operator.

use std::sync::{Arc, Weak};

use serde_json::{json, Value};
use sp_core::crypto::Ss58Codec;
use starling_planner::{picture::Node, View};
use starling_shards::{transport::Peer, Seen, Service, Shared, State};

use crate::{config::Sha256, AccountId};

/// A view of a node's shards. It does not keep them alive.
#[derive(Clone, Default)]
pub struct Layers(Weak<Service>);

impl Layers {
    pub(super) fn of(service: &Arc<Service>) -> Self {
        Self(Arc::downgrade(service))
    }

    /// The holders of the models that the node has served or used, in JSON. Asks them, and waits a
    /// few seconds for their answers. `serves` is false where the node runs no agent.
    pub fn report(&self) -> Value {
        let Some(service) = self.0.upgrade() else {
            return json!({ "serves": false, "models": [], "failovers": 0, "evidence": 0 });
        };
        let own = service.local();
        let models: Vec<_> = service
            .shared()
            .iter()
            .map(|one| model(one, &own))
            .collect();
        let metrics = service.metrics();
        json!({
            "serves": true,
            "models": models,
            "failovers": metrics.recovery_seconds.get_sample_count(),
            "evidence": metrics.evidence.with_label_values(&["found"]).get() as u64,
        })
    }
}

fn model(shared: &Shared, own: &Peer) -> Value {
    let holders: Vec<_> = shared.holders.iter().map(|one| holder(one, own)).collect();
    json!({
        "sha256": Sha256(shared.model).to_string(),
        "layers": shared.layers,
        "holders": holders,
        "rtts": shared.rtts,
        "picture": shared.view.as_ref().map(instance),
    })
}

/// A picture in the format of the instances that `starling-plan` reads, with the first layer of each
/// node's present span.
fn instance(view: &View) -> Value {
    let View { picture, placement } = view;
    let nodes: Vec<_> = picture.nodes().iter().map(node).collect();
    let row = |i: usize| {
        let rtts = (i.saturating_add(1)..nodes.len()).map(|j| picture.rtt(i, j).to_string());
        rtts.collect::<Vec<_>>().join(",")
    };
    let rows: Vec<_> = (0..nodes.len().saturating_sub(1)).map(row).collect();
    let model = picture.model();
    json!({
        "model": { "blocks": model.layers, "row_bytes": model.row_bytes },
        "hop_us": f64::from(model.hop_ns) / 1e3,
        "nodes": nodes,
        "rtt_tenth_ms": rows,
        "starts": placement.starts(),
    })
}

fn node(node: &Node) -> Value {
    json!({
        "blocks": node.capacity,
        "block_us": node.layer_ns as f64 / 1e3,
        "batch": f64::from(node.batch_milli) / 1e3,
        "up_kbps": node.up_kbps,
        "down_kbps": node.down_kbps,
        "availability": f64::from(node.availability_ppm) / 1e6,
    })
}

fn holder(seen: &Seen, own: &Peer) -> Value {
    let layers = &seen.holder.layers;
    let state = match seen.state {
        State::Free => "free",
        State::Busy => "busy",
        State::Stale => "stale",
    };
    let belief = seen.belief.as_ref();
    json!({
        "peer": seen.holder.peer.to_string(),
        "agent": AccountId::new(seen.holder.account).to_ss58check(),
        "own": seen.holder.peer == *own,
        "layers": [layers.start, layers.end],
        "state": state,
        "throughput": seen.holder.throughput,
        "rtt": seen.rtt,
        "trust": seen.trust,
        "free_sessions": seen.free_sessions,
        "free_positions": seen.free_positions,
        "heard": seen.heard.as_secs(),
        "up_kbps": belief.map(|belief| belief.up_kbps),
        "down_kbps": belief.map(|belief| belief.down_kbps),
        "availability": belief.map(|belief| belief.availability),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use starling_planner::{survey::Belief, Holding, Model, Span};
    use starling_shards::Holder;

    use super::*;

    #[test]
    fn a_holder_has_what_an_operator_asks_for() {
        let own = Peer::new([1; 38]);
        let seen = Seen {
            holder: Holder {
                peer: own.clone(),
                account: [7; 32],
                layers: 0..15,
                throughput: 480.5,
            },
            state: State::Busy,
            free_sessions: 0,
            free_positions: 9,
            rtt: Some(0.25),
            trust: 0.5,
            heard: Duration::from_millis(3_900),
            belief: Some(Belief {
                throughput: 480.5,
                most_throughput: 900.0,
                up_kbps: 20e3,
                down_kbps: 100e3,
                availability: 0.75,
            }),
        };
        let shared = Shared {
            model: [0xab; 32],
            layers: 30,
            holders: vec![seen],
            rtts: vec![vec![Some(0.0)]],
            view: None,
        };
        let expected = json!({
            "sha256": "ab".repeat(32),
            "layers": 30,
            "holders": [{
                "peer": "01".repeat(8),
                "agent": AccountId::new([7; 32]).to_ss58check(),
                "own": true,
                "layers": [0, 15],
                "state": "busy",
                "throughput": 480.5,
                "rtt": 0.25,
                "trust": 0.5,
                "free_sessions": 0,
                "free_positions": 9,
                "heard": 3,
                "up_kbps": 20e3,
                "down_kbps": 100e3,
                "availability": 0.75,
            }],
            "rtts": [[0.0]],
            "picture": null,
        });
        assert_eq!(model(&shared, &own), expected);
        assert_eq!(model(&shared, &Peer::new([2]))["holders"][0]["own"], false);
    }

    #[test]
    fn a_picture_is_an_instance() {
        let model = Model {
            layers: 30,
            row_bytes: 612,
            hop_ns: 1_000_000,
        };
        let holding = |start| Holding {
            span: Span::of(start, 15),
            belief: Belief {
                throughput: 5_000.0,
                most_throughput: 9_000.0,
                up_kbps: 20e3,
                down_kbps: 100e3,
                availability: 0.75,
            },
        };
        let rtt = |i: usize, j: usize| Some(0.01 * (i + j) as f64);
        let view = View::new(model, &[0, 15, 15].map(holding), rtt).unwrap();
        let node = json!({
            "blocks": 15,
            "block_us": 200.0,
            "batch": 2.0,
            "up_kbps": 20_000,
            "down_kbps": 100_000,
            "availability": 0.75,
        });
        let expected = json!({
            "model": { "blocks": 30, "row_bytes": 612 },
            "hop_us": 1000.0,
            "nodes": [node, node, node],
            "rtt_tenth_ms": ["100,200", "300"],
            "starts": [0, 15, 15],
        });
        assert_eq!(instance(&view), expected);
    }

    #[test]
    fn a_node_without_an_agent_serves_nothing() {
        let report = Layers::default().report();
        assert_eq!(
            (&report["serves"], &report["models"]),
            (&json!(false), &json!([]))
        );
    }
}
