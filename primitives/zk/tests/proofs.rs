// SPDX-License-Identifier: Apache-2.0
//! Proofs: complete, bound to their statement, and worth nothing when altered.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::sync::LazyLock;

use codec::{DecodeAll, Encode, MaxEncodedLen};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use starling_zk::{
    commitment::Commitment,
    features::Features,
    generators::Generators,
    head::{Head, Unit},
    proof::Proof,
    secret::Secret,
    statement::{Case, Statement},
    verify::{verify, Invalid},
    HIDDEN, WIDTH,
};

const CASE: Case = Case {
    genesis: [1; 32],
    round: 2,
    ranker: [3; 32],
    position: 4,
};

static GENERATORS: LazyLock<Generators> = LazyLock::new(Generators::new);
static PROVEN: LazyLock<Proven> = LazyLock::new(|| Proven::new(5));

/// A proof of a case, with all of its statement.
struct Proven {
    commitment: Commitment,
    features: Features,
    output: i64,
    proof: Proof,
}

impl Proven {
    fn new(weight: i8) -> Self {
        let unit = |i: usize| Unit {
            row: core::array::from_fn(|j| ((i * 31 + j * 7) % 255) as i8),
            bias: i as i32 - 8,
            weight,
        };
        let head = Head {
            units: core::array::from_fn(unit),
            bias: 6,
        };
        let secret = Secret::new(head, [7; 32]);
        let features = Features::of(b"Why is the sky blue?", b"Air scatters blue light most.");
        let (output, proof) = secret
            .prove(&GENERATORS, &CASE, &features, [8; 32])
            .unwrap();
        Self {
            commitment: secret.commitment(&GENERATORS),
            features,
            output,
            proof,
        }
    }

    fn statement(&self) -> Statement<'_> {
        Statement {
            case: &CASE,
            head: &self.commitment,
            features: &self.features,
            output: self.output,
        }
    }

    fn verdict(&self, proof: &[u8]) -> Result<(), Invalid> {
        let proof = Proof::decode_all(&mut &proof[..]).unwrap();
        verify(&GENERATORS, &self.statement(), &proof)
    }
}

/// Row, bias and weight of a unit. Heads and their units have no `Debug`, which strategies need.
type Numbers = (Vec<i8>, i32, i8);

fn numbers() -> impl Strategy<Value = (Vec<Numbers>, i32)> {
    let byte = prop_oneof![Just(i8::MIN), Just(0), Just(i8::MAX), any::<i8>()];
    let word = prop_oneof![Just(i32::MIN), Just(0), Just(i32::MAX), any::<i32>()];
    let row = proptest::collection::vec(byte.clone(), WIDTH);
    let unit = (row, word.clone(), byte);
    (proptest::collection::vec(unit, HIDDEN), word)
}

/// A head of these numbers. Its first two units are the greatest and the least that there are.
fn head(units: &[Numbers], bias: i32) -> Head {
    let unit = |row, bias, weight| Unit { row, bias, weight };
    Head {
        units: core::array::from_fn(|i| match i {
            0 => unit([i8::MAX; WIDTH], i32::MAX, i8::MIN),
            1 => unit([i8::MIN; WIDTH], i32::MIN, i8::MAX),
            i => {
                let (row, bias, weight) = &units[i];
                unit(row.clone().try_into().unwrap(), *bias, *weight)
            },
        }),
        bias,
    }
}

#[test]
fn every_head_proves_its_output() {
    let mut runner = TestRunner::new(Config::with_cases(4));
    let strategy = (numbers(), ".{0,60}", ".{0,60}", any::<[u8; 32]>());
    runner
        .run(&strategy, |((units, bias), prompt, response, entropy)| {
            let head = head(&units, bias);
            let features = Features::of(prompt.as_bytes(), response.as_bytes());
            let secret = Secret::new(head.clone(), entropy);
            let (output, proof) = secret
                .prove(&GENERATORS, &CASE, &features, entropy)
                .unwrap();
            prop_assert_eq!(output, head.output(&features));
            let commitment = secret.commitment(&GENERATORS);
            let statement = Statement {
                case: &CASE,
                head: &commitment,
                features: &features,
                output,
            };
            prop_assert_eq!(verify(&GENERATORS, &statement, &proof), Ok(()));
            Ok(())
        })
        .unwrap();
}

#[test]
fn sizes_are_fixed() {
    assert_eq!(Proof::max_encoded_len(), 4_160);
    assert_eq!(PROVEN.proof.encoded_size(), 4_160);
    assert_eq!(Commitment::max_encoded_len(), 1_056);
}

#[test]
fn a_proof_of_another_round_ranker_position_or_chain_is_refused() {
    let others = [
        Case {
            genesis: [9; 32],
            ..CASE
        },
        Case { round: 3, ..CASE },
        Case {
            ranker: [9; 32],
            ..CASE
        },
        Case {
            position: 5,
            ..CASE
        },
    ];
    for case in &others {
        let statement = Statement {
            case,
            ..PROVEN.statement()
        };
        let verdict = verify(&GENERATORS, &statement, &PROVEN.proof);
        assert_eq!(verdict, Err(Invalid::Range));
    }
}

#[test]
fn a_proof_of_another_output_text_or_head_is_refused() {
    let greater = Statement {
        output: PROVEN.output + 1,
        ..PROVEN.statement()
    };
    let text = Features::of(b"Why is the sky blue?", b"Air scatters red light most.");
    let other = Statement {
        features: &text,
        ..PROVEN.statement()
    };
    let head = Proven::new(6).commitment;
    let foreign = Statement {
        head: &head,
        ..PROVEN.statement()
    };
    for statement in [greater, other, foreign] {
        assert!(verify(&GENERATORS, &statement, &PROVEN.proof).is_err());
    }
}

#[test]
fn a_head_of_bytes_that_are_no_points_proves_nothing() {
    let mut commitment = PROVEN.commitment.clone();
    commitment.units[3].weight = [0xff; 32];
    let statement = Statement {
        head: &commitment,
        ..PROVEN.statement()
    };
    let verdict = verify(&GENERATORS, &statement, &PROVEN.proof);
    assert_eq!(verdict, Err(Invalid::Head));
}

#[test]
fn a_flipped_bit_in_any_point_or_number_is_refused() {
    let bytes = PROVEN.proof.encode();
    assert_eq!(PROVEN.verdict(&bytes), Ok(()));
    for (element, at) in (0..bytes.len()).step_by(32).enumerate() {
        let mut altered = bytes.clone();
        altered[at + element % 32] ^= 1 << (element % 8);
        assert!(PROVEN.verdict(&altered).is_err(), "element {element}");
    }
}

/// Plays `STARLING_FUZZ_CASES` alterations, 64 if it is not set.
#[test]
fn mutated_proofs_are_refused() {
    let cases = std::env::var("STARLING_FUZZ_CASES").map_or(64, |cases| cases.parse().unwrap());
    println!("STARLING_FUZZ_CASES={cases}");
    let bytes = PROVEN.proof.encode();
    let other = Proven::new(6).proof.encode();
    let elements = bytes.len() / 32;
    let strategy = (0..elements, 0..elements, 0..4u8, any::<[u8; 32]>());
    let mut runner = TestRunner::new(Config::with_cases(cases));
    runner
        .run(&strategy, |(to, from, kind, random)| {
            let (to, from) = (to * 32..to * 32 + 32, from * 32..from * 32 + 32);
            let mut altered = bytes.clone();
            let taken = match kind {
                // Another element of this proof, or of another statement's.
                0 => &bytes[from],
                1 => &other[from],
                // A number in most cases, or no point and no number.
                2 => &random[..],
                _ => &[0; 32][..],
            };
            altered[to].copy_from_slice(taken);
            prop_assume!(altered != bytes);
            prop_assert!(PROVEN.verdict(&altered).is_err());
            Ok(())
        })
        .unwrap();
}
