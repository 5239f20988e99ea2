// SPDX-License-Identifier: Apache-2.0
//! A node's picture of a swarm, made of what the nodes announce and of what they measured of each
//! other.
//!
//! - **Memory** is the span that a node announces: it holds as many layers as it serves now. No
//!   claim about more counts.
//! - **Speed, links, availability and round trips** count as far as [`survey`](crate::survey)
//!   believes them. A round trip of which nothing is known, not even over common neighbours, is
//!   [`UNKNOWN_RTT`](crate::picture::UNKNOWN_RTT).
//! - **Batch gain** is [`BATCH`] for all, since nobody measures it.
//!
//! A node of which no survey tells anything has a place in the picture too: its announcement counts
//! up to twice the swarm's median measurement, with default links and availability. Old and missing
//! reports make a picture coarser, never impossible.

use crate::{
    picture::{Model, NodeFacts, Picture, PictureError, LONGEST_RTT},
    placement::{Placement, Span},
    survey::Belief,
};

/// Tokens a second with a full queue over those with one sequence, where nobody measured them.
pub const BATCH: f64 = 2.0;

/// A node's layers as it announces them, and the belief about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    /// Its layers.
    pub span: Span,
    /// Speed, links and availability.
    pub belief: Belief,
}

/// A swarm as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The nodes and the round trips between them.
    pub picture: Picture,
    /// The layers that they hold now.
    pub placement: Placement,
}

impl View {
    /// Makes a view of the holders of a model. `rtt` has the believed seconds of a round trip
    /// between two of them, the same both ways.
    ///
    /// # Errors
    /// If there are no holders, or too many, or the model has no layers, or too many.
    pub fn new(
        model: Model,
        holdings: &[Holding],
        rtt: impl Fn(usize, usize) -> Option<f64>,
    ) -> Result<Self, PictureError> {
        let facts: Vec<_> = holdings.iter().map(facts).collect();
        // What is believed may be beyond the bounds of a picture, but is no bad fact.
        let tenths = |seconds: f64| (seconds * 1e4).clamp(1.0, LONGEST_RTT);
        let picture = Picture::new(model, &facts, |i, j| rtt(i, j).map(tenths))?;
        let spans = holdings.iter().map(|holding| holding.span).collect();
        let placement = Placement(spans).allowed(&picture);
        Ok(Self { picture, placement })
    }
}

fn facts(holding: &Holding) -> NodeFacts {
    let Belief {
        throughput,
        up_kbps,
        down_kbps,
        availability,
        ..
    } = holding.belief;
    NodeFacts {
        capacity: holding.span.len().into(),
        layer_us: 1e6 / throughput,
        batch: BATCH,
        up_kbps,
        down_kbps,
        availability,
    }
}
