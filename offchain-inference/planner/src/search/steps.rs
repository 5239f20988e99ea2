// SPDX-License-Identifier: Apache-2.0
//! Single steps from one placement to another.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{picture::Picture, placement::Span};

/// Up to two spans that a step replaced, to take it back.
pub struct Step([Option<(usize, Span)>; 2]);

impl Step {
    /// Takes the step back.
    pub fn undo(self, spans: &mut [Span]) {
        for (node, span) in self.0.into_iter().flatten() {
            spans[node] = span;
        }
    }
}

fn put(picture: &Picture, spans: &mut [Span], node: usize, start: i32) {
    let length = spans[node].len();
    let last = i32::from(picture.model().layers - length);
    spans[node] = Span::of(start.clamp(0, last) as u16, length);
}

/// Moves one node to a random place (15 %), to another's border (45 %), lets two change places (30
/// %), or lets two that follow each other change their order, so that the layers of both stay held
/// (10 %). Lengths stay.
pub fn shift(picture: &Picture, spans: &mut [Span], rng: &mut ChaCha8Rng) -> Step {
    let node = rng.random_range(0..spans.len());
    let other = rng.random_range(0..spans.len());
    let (first, second) = (spans[node], spans[other]);
    let alone = Step([Some((node, first)), None]);
    match rng.random_range(0..100u32) {
        0..15 => {
            let last = picture.model().layers - first.len();
            put(picture, spans, node, rng.random_range(0..=last).into());
            alone
        },
        15..60 => {
            let start = match rng.random_range(0..100u32) {
                0..35 => i32::from(second.end),
                35..70 => i32::from(second.start) - i32::from(first.len()),
                _ => i32::from(second.start),
            };
            put(picture, spans, node, start);
            alone
        },
        60..90 if node != other => {
            put(picture, spans, node, second.start.into());
            put(picture, spans, other, first.start.into());
            Step([Some((node, first)), Some((other, second))])
        },
        60..90 => alone,
        _ => {
            // The next node that follows, searched from a random one on.
            let places = (other..spans.len()).chain(0..other);
            let follows = |&next: &usize| next != node && spans[next].start == first.end;
            let Some(next) = places.into_iter().find(follows) else {
                return alone;
            };
            let second = spans[next];
            put(picture, spans, next, first.start.into());
            let start = i32::from(first.start) + i32::from(second.len());
            put(picture, spans, node, start);
            Step([Some((node, first)), Some((next, second))])
        },
    }
}

/// Changes the length of one node's span at its start or its end, moves its end to another's start,
/// or its start to another's end.
pub fn trim(picture: &Picture, spans: &mut [Span], rng: &mut ChaCha8Rng) -> Step {
    let n = spans.len();
    let node = rng.random_range(0..n);
    let other = spans[rng.random_range(0..n)];
    let capacity = picture.nodes()[node].capacity;
    let layers = picture.model().layers;
    let before = spans[node];
    let step = Step([Some((node, before)), None]);
    if capacity == 0 {
        return step;
    }
    let length = rng.random_range(1..=capacity);
    spans[node] = match rng.random_range(0..4u32) {
        0 => Span::of(before.start.min(layers - length), length),
        1 => {
            let end = before.end.max(length);
            Span::of(end - length, length)
        },
        2 if other.start > before.start => {
            Span::of(before.start, (other.start - before.start).min(capacity))
        },
        _ if other.end < before.end => {
            let start = other.end.max(before.end.saturating_sub(capacity));
            Span::of(start, before.end - start)
        },
        _ => before,
    };
    step
}
