// SPDX-License-Identifier: Apache-2.0
//! The layers of each node.

use crate::picture::Picture;

/// Layers [start, end) of a model; none where both are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first layer.
    pub start: u16,
    /// The layer after the last.
    pub end: u16,
}

impl Span {
    /// The span of `length` layers from `start`.
    pub fn of(start: u16, length: u16) -> Self {
        Self {
            start,
            end: start.saturating_add(length),
        }
    }

    /// The number of its layers.
    pub fn len(&self) -> u16 {
        self.end.saturating_sub(self.start)
    }

    /// True if it has no layers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One span a node, in the order of the picture's nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placement(pub Vec<Span>);

impl Placement {
    /// Every node holds as many layers as its memory takes, from the given start. A start from
    /// which they would reach beyond the model is moved down.
    pub fn full(picture: &Picture, starts: &[u16]) -> Self {
        let layers = picture.model().layers;
        let mut starts = starts.iter().copied();
        Self(
            picture
                .nodes()
                .iter()
                .map(|node| {
                    let last = layers - node.capacity;
                    Span::of(starts.next().unwrap_or(0).min(last), node.capacity)
                })
                .collect(),
        )
    }

    /// The placement without the parts that the picture does not allow: spans of nodes that it does
    /// not have, layers beyond the model, and layers beyond a node's memory.
    pub fn allowed(&self, picture: &Picture) -> Self {
        let layers = picture.model().layers;
        let mut spans = self.0.iter();
        Self(
            picture
                .nodes()
                .iter()
                .map(|node| {
                    let span = spans.next().copied().unwrap_or_default();
                    let start = span.start.min(layers);
                    let end = span.end.min(layers).max(start);
                    Span::of(start, (end - start).min(node.capacity))
                })
                .collect(),
        )
    }

    /// True if every node holds as many layers as its memory takes.
    pub fn is_full(&self, picture: &Picture) -> bool {
        let mut both = self.0.iter().zip(picture.nodes());
        both.all(|(span, node)| span.len() == node.capacity)
    }

    /// The first layer of each node's span.
    pub fn starts(&self) -> Vec<u16> {
        self.0.iter().map(|span| span.start).collect()
    }

    /// The number of holders of each layer.
    pub fn holders(&self, layers: u16) -> Vec<u32> {
        let mut holders = vec![0; usize::from(layers)];
        for span in &self.0 {
            let held = holders.iter_mut().skip(span.start.into());
            held.take(span.len().into()).for_each(|count| *count += 1);
        }
        holders
    }
}
