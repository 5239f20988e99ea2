// SPDX-License-Identifier: Apache-2.0

mod cost;
mod exact;
mod library;
mod search;
mod view;

use proptest::prelude::*;

use crate::{Model, NodeFacts, Picture, Placement, Span};

pub(crate) use self::search::total;

/// Nodes that are all alike, each 30 ms from the others, for a model of eight layers.
pub(crate) fn alike(nodes: usize) -> Picture {
    let facts = NodeFacts {
        capacity: 4.0,
        layer_us: 200.0,
        batch: 2.0,
        up_kbps: 20e3,
        down_kbps: 100e3,
        availability: 0.9,
    };
    let model = Model {
        layers: 8,
        row_bytes: 612,
        hop_ns: 1_000_000,
    };
    Picture::new(model, &vec![facts; nodes], |_, _| Some(300.0)).unwrap()
}

/// Pictures of up to `layers` layers and `nodes` nodes; links need not obey the triangle
/// inequality, and memory need not suffice.
pub(crate) fn pictures(layers: u16, nodes: usize) -> impl Strategy<Value = Picture> {
    let node = (
        0..=layers,
        1.0f64..5e4,
        1.0f64..12.0,
        64.0f64..1e6,
        64.0f64..1e6,
        0.05f64..1.0,
    )
        .prop_map(
            |(capacity, layer_us, batch, up_kbps, down_kbps, availability)| NodeFacts {
                capacity: capacity.into(),
                layer_us,
                batch,
                up_kbps,
                down_kbps,
                availability,
            },
        );
    (1..=layers, proptest::collection::vec(node, 1..=nodes)).prop_flat_map(|(layers, nodes)| {
        let n = nodes.len();
        proptest::collection::vec(1.0f64..5000.0, n * n).prop_map(move |rtt| {
            let model = Model {
                layers,
                row_bytes: 8704,
                hop_ns: 1_000_000,
            };
            Picture::new(model, &nodes, |i, j| Some(rtt[i * n + j])).unwrap()
        })
    })
}

/// A picture and a placement that it allows.
pub(crate) fn placements(layers: u16, nodes: usize) -> impl Strategy<Value = (Picture, Placement)> {
    pictures(layers, nodes).prop_flat_map(|picture| {
        let layers = picture.model().layers;
        let span = (0..=layers, 0..=layers).prop_map(|(start, length)| Span::of(start, length));
        let spans = proptest::collection::vec(span, picture.nodes().len());
        (Just(picture), spans).prop_map(|(picture, spans)| {
            let placement = Placement(spans).allowed(&picture);
            (picture, placement)
        })
    })
}
