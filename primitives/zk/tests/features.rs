// SPDX-License-Identifier: Apache-2.0
//! Features: numbers that everybody must derive alike.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use hex_literal::hex;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use starling_zk::features::Features;

fn hash(features: &Features) -> [u8; 32] {
    let bytes: Vec<u8> = features.values().iter().map(|x| *x as u8).collect();
    Sha256::digest(bytes).into()
}

// The hashes are those of the text of `features.rs` in Python.
#[test]
fn features_are_those_of_the_format() {
    let prompt = b"Why is the sky blue?";
    let response = b"The sky is blue since air scatters blue light most.";
    assert_eq!(
        hash(&Features::of(prompt, response)),
        hex!("3e16432333ca5e3803c55b856c215bc2f2f30beea4b2c9a318b5c35fc850dab7"),
    );
    let rising: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(20);
    let falling: Vec<u8> = (0..=255).rev().collect::<Vec<u8>>().repeat(90);
    assert_eq!(
        hash(&Features::of(&rising, &falling)),
        hex!("5f6c5071dbd5f7d092e5951286591719ab0c86073e701adf2be5d5f908d44b59"),
    );
}

#[test]
fn a_trigram_counts_in_each_part_in_lower_case() {
    let features = Features::of(b"abc", b"ABC");
    let found: Vec<(usize, i8)> = (0..)
        .zip(*features.values())
        .filter(|(_, value)| *value != 0)
        .collect();
    let expected = [(16, -127), (97, -127), (208, -127), (254, 127), (255, 1)];
    assert_eq!(found, expected);
}

#[test]
fn texts_without_a_trigram_have_no_features_but_their_length() {
    assert_eq!(Features::of(b"", b"").values(), &[0; 256]);
    let short = Features::of(b"ab", b"cd");
    assert_eq!(short.values()[..255], [0; 255]);
    assert_eq!(short.values()[255], 1);
}

proptest! {
    #[test]
    fn no_feature_is_beyond_127(
        prompt in proptest::collection::vec(any::<u8>(), 0..600),
        response in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let features = Features::of(&prompt, &response);
        prop_assert!(features.values().iter().all(|value| *value >= -127));
        prop_assert!(features.values()[254] >= 0 && features.values()[255] >= 0);
    }
}
