// SPDX-License-Identifier: Apache-2.0
//! The places of a model's layers in a swarm, and the pipelines that clients use.
//!
//! A [`Picture`] holds a node's knowledge of a swarm: the model, the nodes, and the round-trip
//! times between them. A [`Placement`] gives each node a span of layers. [`Costs`] is the one cost
//! that placement and routing share; an [`Evaluator`] scores placements by it. [`candidates`] are
//! the placements of simple rules (Petals, Parallax, exo). [`plan`] searches for a better one; its
//! answer is never worse than the best candidate. [`choose`] and [`relocate`] are Petals' rules. A
//! node joins by the first. It moves by [`moves::next`], on the [`View`] that it has of the swarm.
//!
//! The crate is pure: it has no clock, no network and no chain. Budgets are counted in evaluations,
//! and all random numbers follow from the picture, so that the same picture gives the same plan on
//! every machine.

mod assignment;
pub mod cost;
pub mod exact;
pub mod fingerprint;
pub mod greedy;
pub mod homology;
pub mod library;
pub mod moves;
mod petals;
pub mod picture;
pub mod placement;
pub mod routing;
pub mod search;
pub mod slice_graph;
pub mod survey;
pub mod view;

pub use cost::{Costs, Evaluator, Objective, Score, Switch};
pub use fingerprint::Fingerprint;
pub use greedy::{candidates, Origin};
pub use library::{Library, LibraryError, Schema};
pub use petals::{choose, relocate, weakest, Server, MOVE_BELOW};
pub use picture::{Model, NodeFacts, Picture, PictureError};
pub use placement::{Placement, Span};
pub use search::{plan, Budget, Planned};
pub use view::{Holding, View};

#[cfg(test)]
mod tests;
