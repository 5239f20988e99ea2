// SPDX-License-Identifier: Apache-2.0
//! The merge loop that byte-pair encoding and SentencePiece share: a linked list of symbols and a
//! queue of neighbouring pairs, best first, leftmost first among equals.

use std::{cmp::Reverse, collections::BinaryHeap};

struct Node<T> {
    value: T,
    prev: Option<usize>,
    next: Option<usize>,
    alive: bool,
    /// Counts changes, so that queued pairs of an older value are recognised.
    version: u32,
}

/// A sequence of symbols of type `T` under merging.
pub(super) struct Symbols<T> {
    nodes: Vec<Node<T>>,
}

/// A pair in the queue, ordered by (rank, position).
type Queued<R> = Reverse<(R, usize, usize, u32, u32)>;

impl<T> Symbols<T> {
    pub fn new(values: impl Iterator<Item = T>) -> Self {
        let mut nodes: Vec<Node<T>> = values
            .enumerate()
            .map(|(i, value)| Node {
                value,
                prev: i.checked_sub(1),
                next: Some(i + 1),
                alive: true,
                version: 0,
            })
            .collect();
        if let Some(last) = nodes.last_mut() {
            last.next = None;
        }
        Self { nodes }
    }

    /// Merges neighbours until `join` finds none to merge. `join(left, right)` returns the rank
    /// (lowest first) and the merged symbol. O(n log n).
    pub fn merge<R: Ord + Copy>(&mut self, join: impl Fn(&T, &T) -> Option<(R, T)>) {
        let mut queue: BinaryHeap<Queued<R>> = BinaryHeap::new();
        let push = |nodes: &[Node<T>], queue: &mut BinaryHeap<Queued<R>>, left: usize| {
            let pair = nodes
                .get(left)
                .and_then(|l| Some((l, l.next?)))
                .and_then(|(l, right)| {
                    let r = nodes.get(right)?;
                    let (rank, _) = join(&l.value, &r.value)?;
                    Some(Reverse((rank, left, right, l.version, r.version)))
                });
            queue.extend(pair);
        };
        for left in 0..self.nodes.len() {
            push(&self.nodes, &mut queue, left);
        }
        while let Some(Reverse((_, left, right, left_version, right_version))) = queue.pop() {
            let (Some(l), Some(r)) = (self.nodes.get(left), self.nodes.get(right)) else {
                continue;
            };
            if !l.alive || !r.alive || l.version != left_version || r.version != right_version {
                continue;
            }
            let Some((_, merged)) = join(&l.value, &r.value) else {
                continue;
            };
            let (before, after) = (l.prev, r.next);
            if let Some(r) = self.nodes.get_mut(right) {
                r.alive = false;
            }
            if let Some(l) = self.nodes.get_mut(left) {
                l.value = merged;
                l.next = after;
                l.version += 1;
            }
            if let Some(node) = after.and_then(|i| self.nodes.get_mut(i)) {
                node.prev = Some(left);
            }
            if let Some(before) = before {
                push(&self.nodes, &mut queue, before);
            }
            push(&self.nodes, &mut queue, left);
        }
    }

    /// The symbols that are left, in order.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.nodes
            .into_iter()
            .filter(|node| node.alive)
            .map(|node| node.value)
    }
}
