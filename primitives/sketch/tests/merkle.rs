// SPDX-License-Identifier: Apache-2.0
//! Roots and paths over sketches.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use proptest::prelude::*;
use starling_sketch::{
    merkle::{verify, BadPath, BadTree, Tree, MAX_LEAVES},
    sketch::VALUES,
    Sketch,
};

fn sketch(number: i16) -> Sketch {
    let mut value = number * 1000 - 1;
    Sketch::new([(); VALUES].map(|()| {
        value += 1;
        value
    }))
}

fn tree(leaves: u16) -> (Vec<Sketch>, Tree) {
    let sketches: Vec<_> = (0..leaves).map(|i| sketch((i % 30) as i16)).collect();
    let tree = Tree::new(&sketches).unwrap();
    (sketches, tree)
}

/// From Python's `hashlib`, by the words of the design.
#[test]
fn golden_roots() {
    for (leaves, golden) in [
        (
            1,
            "9980a98da7128c24ab321f637e9904054858cfd5cfecd235abef9509e7783990",
        ),
        (
            3,
            "0fc25034e034ffbb65c9a15c21e8911e7f2ddceafff5146a4aed6c2b2e411086",
        ),
        (
            5,
            "1ef01cdc7f8c412bd6274b5de43b9765ee02dbadc4b940d651133763d82746e8",
        ),
    ] {
        let root: String = tree(leaves)
            .1
            .root()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(root, golden, "{leaves}");
    }
}

#[test]
fn every_path_of_every_small_tree_leads_to_the_root() {
    for leaves in 1..70 {
        let (sketches, tree) = tree(leaves);
        for (index, sketch) in (0u16..).zip(&sketches) {
            let path = tree.path(index).unwrap();
            assert_eq!(verify(&tree.root(), leaves, index, sketch, &path), Ok(()));
        }
        assert_eq!(tree.path(leaves), None);
    }
}

#[test]
fn no_sketch_and_too_many_have_no_root() {
    assert_eq!(Tree::new(&[]).unwrap_err(), BadTree::Empty);
    let many = vec![sketch(0); MAX_LEAVES + 1];
    assert_eq!(Tree::new(&many).unwrap_err(), BadTree::TooMany(65_536));
    assert!(Tree::new(&many[1..]).is_ok());
}

#[test]
fn equal_sketches_have_places_of_their_own() {
    let same = vec![sketch(1); 4];
    let tree = Tree::new(&same).unwrap();
    let path = tree.path(2).unwrap();
    assert_eq!(verify(&tree.root(), 4, 2, &same[2], &path), Ok(()));
    assert_eq!(verify(&tree.root(), 4, 3, &same[3], &path), Err(BadPath));
}

/// A tree whose last leaf is doubled would have the root of a longer answer.
#[test]
fn a_repeated_last_sketch_changes_the_root() {
    let three: Vec<_> = (0..3).map(sketch).collect();
    let four: Vec<_> = [0, 1, 2, 2].map(sketch).into();
    assert_ne!(
        Tree::new(&three).unwrap().root(),
        Tree::new(&four).unwrap().root()
    );
}

proptest! {
    #[test]
    fn a_tampered_path_is_refused(
        leaves in 2u16..300,
        index in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in 0usize..32,
        bit in 0u8..8,
    ) {
        let (sketches, tree) = tree(leaves);
        let index = index.index(leaves.into()) as u16;
        let sketch = &sketches[usize::from(index)];
        let root = tree.root();
        let path = tree.path(index).unwrap();
        prop_assert_eq!(verify(&root, leaves, index, sketch, &path), Ok(()));

        let mut other = path.clone();
        other[at.index(path.len())][byte] ^= 1 << bit;
        prop_assert_eq!(verify(&root, leaves, index, sketch, &other), Err(BadPath));

        let mut other = root;
        other[byte] ^= 1 << bit;
        prop_assert_eq!(verify(&other, leaves, index, sketch, &path), Err(BadPath));

        let longer = [&path[..], &[[0; 32]]].concat();
        prop_assert_eq!(verify(&root, leaves, index, sketch, &longer), Err(BadPath));
        let shorter = &path[1..];
        prop_assert_eq!(verify(&root, leaves, index, sketch, shorter), Err(BadPath));
        prop_assert_eq!(verify(&root, leaves, index ^ 1, sketch, &path), Err(BadPath));
        prop_assert_eq!(verify(&root, index, index, sketch, &path), Err(BadPath));

        let mut bytes = sketch.to_bytes();
        bytes[8 * byte + usize::from(bit)] ^= 1;
        let other = Sketch::from_bytes(&bytes);
        prop_assert_eq!(verify(&root, leaves, index, &other, &path), Err(BadPath));
    }
}
