// SPDX-License-Identifier: Apache-2.0
//! The Merkle root over an answer's sketches, and paths to it (section 2).
//!
//! A leaf is blake2_256(0x00 ‖ index as u16, low byte first ‖ sketch), a node blake2_256(0x01 ‖
//! left ‖ right). A node without a neighbour moves up as it is. The number of leaves belongs to
//! what is checked, since it decides the length of a path.

use crate::{Hash, Sketch};
use alloc::{vec, vec::Vec};
use blake2::{digest::consts::U32, Blake2b, Digest};
use core::{error::Error, fmt};

/// The most sketches under one root.
pub const MAX_LEAVES: usize = u16::MAX as usize;

/// Refuses sketches that no root can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTree {
    /// There is no sketch.
    Empty,
    /// There are more than [`MAX_LEAVES`].
    TooMany(usize),
}

impl fmt::Display for BadTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a root needs a sketch; an empty answer has none"),
            Self::TooMany(given) => {
                write!(
                    f,
                    "{given} sketches are too many; pass at most {MAX_LEAVES}"
                )
            },
        }
    }
}

impl Error for BadTree {}

/// Refuses a sketch that is not at that place under a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path does not lead from the sketch to the root; ask for it again")
    }
}

impl Error for BadPath {}

/// The hash of a sketch at its place.
pub fn leaf(index: u16, sketch: &Sketch) -> Hash {
    hash(&[&[0], &index.to_le_bytes(), &sketch.to_bytes()])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// blake2_256 of some bytes, one after the other.
pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Blake2b::<U32>::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// All hashes over some sketches.
#[derive(Clone, Debug)]
pub struct Tree {
    /// From the leaves up.
    levels: Vec<Vec<Hash>>,
    root: Hash,
}

impl Tree {
    /// The tree over sketches in their order.
    ///
    /// # Errors
    /// [`BadTree`] if there are none or more than [`MAX_LEAVES`].
    pub fn new(sketches: &[Sketch]) -> Result<Self, BadTree> {
        if sketches.len() > MAX_LEAVES {
            return Err(BadTree::TooMany(sketches.len()));
        }
        let leaves = (0u16..).zip(sketches);
        let leaves: Vec<Hash> = leaves.map(|(i, sketch)| leaf(i, sketch)).collect();
        let mut levels = vec![];
        let mut level = leaves;
        while level.len() > 1 {
            let above = level
                .chunks(2)
                .filter_map(|pair| match pair {
                    [left, right] => Some(node(left, right)),
                    [alone] => Some(*alone),
                    _ => None,
                })
                .collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        let root = level.first().copied().ok_or(BadTree::Empty)?;
        Ok(Self { levels, root })
    }

    /// The root.
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// The neighbours on the way from a sketch to the root; `None` if there is no such sketch.
    pub fn path(&self, index: u16) -> Option<Vec<Hash>> {
        let mut at = usize::from(index);
        // The leaves of a tree of one are its root.
        let leaves = self.levels.first().map_or(1, Vec::len);
        if at >= leaves {
            return None;
        }
        let mut path = vec![];
        for level in &self.levels {
            path.extend(level.get(at ^ 1));
            at >>= 1;
        }
        Some(path)
    }
}

/// Checks that `sketch` is at place `index` of the `leaves` sketches under `root`.
///
/// # Errors
/// [`BadPath`] if it is not, or if the path is not exactly as long as it has to be.
pub fn verify(
    root: &Hash,
    leaves: u16,
    index: u16,
    sketch: &Sketch,
    path: &[Hash],
) -> Result<(), BadPath> {
    if index >= leaves {
        return Err(BadPath);
    }
    let mut path = path.iter();
    let (mut at, mut last) = (index, leaves.saturating_sub(1));
    let mut hash = leaf(index, sketch);
    while last > 0 {
        let right = at & 1 == 1;
        if right || at < last {
            let neighbour = path.next().ok_or(BadPath)?;
            hash = if right {
                node(neighbour, &hash)
            } else {
                node(&hash, neighbour)
            };
        }
        at >>= 1;
        last >>= 1;
    }
    if path.next().is_none() && hash == *root {
        Ok(())
    } else {
        Err(BadPath)
    }
}
