// SPDX-License-Identifier: Apache-2.0
//! A head with its seed, which commits and proves (section 6).
//!
//! Time and memory of these functions depend on the weights. Run them where nobody measures.

// Nothing overflows or panics in a group.
#![allow(clippy::arithmetic_side_effects)]

use bulletproofs::{LinearProof, RangeProof};
use codec::{Decode, Encode};
use curve25519_dalek::{traits::MultiscalarMul, RistrettoPoint, Scalar};
use merlin::{Transcript, TranscriptRng};
use rand_chacha_03::{rand_core::SeedableRng, ChaCha20Rng};

use crate::{
    commitment::{Commitment, UnitCommitment},
    features::Features,
    generators::{Generators, BITS},
    head::{Head, Unit},
    proof::{Proof, UnitProof, LINEAR, RANGE},
    relation::{append, append_values, challenge, negated, powers, scalar, Points},
    statement::{Case, Statement},
    verify::{verify, Invalid},
    Point, HIDDEN, WIDTH,
};

/// A head and the seed of the numbers that blind its commitment.
#[derive(Clone, Encode, Decode)]
pub struct Secret {
    head: Head,
    seed: [u8; 32],
}

/// The numbers that blind the commitments to a hidden unit: `r` and `t`.
struct UnitBlinding {
    row: Scalar,
    weight: Scalar,
}

/// The numbers that blind a commitment.
struct Blinding {
    units: [UnitBlinding; HIDDEN],
    bias: Scalar,
}

/// The values of a hidden unit, with the numbers that blind them: `p` and `q`.
struct Values {
    positive: u64,
    negative: u64,
    positive_blinding: Scalar,
    negative_blinding: Scalar,
}

impl Values {
    /// Those of a unit with this sum.
    fn of(sum: i64, rng: &mut TranscriptRng) -> Self {
        Self {
            positive: sum.max(0).unsigned_abs(),
            negative: sum.min(0).unsigned_abs(),
            positive_blinding: Scalar::random(rng),
            negative_blinding: Scalar::random(rng),
        }
    }
}

/// The parts of a proof that its prover knows, with the points over them.
type Known<'a> = (&'a Points, &'a [Values; HIDDEN], &'a Blinding);

/// The secrets behind the first messages for a hidden unit.
struct Nonces {
    value: Scalar,
    blinding: Scalar,
    product: Scalar,
}

impl Secret {
    /// A head with a seed of 32 fresh random bytes.
    pub const fn new(head: Head, seed: [u8; 32]) -> Self {
        Self { head, seed }
    }

    /// The head.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The commitment to register: the same one each time.
    pub fn commitment(&self, generators: &Generators) -> Commitment {
        let blinding = self.blinding();
        let mut commitment = Commitment {
            units: [UnitCommitment {
                row: [0; 32],
                weight: [0; 32],
            }; HIDDEN],
            bias: blinded(generators, scalar(self.head.bias.into()), blinding.bias),
        };
        let units = self.head.units.iter().zip(&blinding.units);
        for (committed, (unit, blinding)) in commitment.units.iter_mut().zip(units) {
            *committed = UnitCommitment {
                row: row(generators, unit, blinding.row),
                weight: blinded(generators, scalar(unit.weight.into()), blinding.weight),
            };
        }
        commitment
    }

    /// The output for the features, and a proof of it for a case. `entropy` is 32 fresh random
    /// bytes; should they not be, then the secrets of the proof still differ from statement to
    /// statement.
    ///
    /// # Errors
    /// [`Invalid`] if the new proof does not verify, which no head and no features lead to.
    pub fn prove(
        &self,
        generators: &Generators,
        case: &Case,
        features: &Features,
        entropy: [u8; 32],
    ) -> Result<(i64, Proof), Invalid> {
        let commitment = self.commitment(generators);
        let statement = Statement {
            case,
            head: &commitment,
            features,
            output: self.head.output(features),
        };
        let mut rng = self.rng(&statement.transcript(), entropy);
        let units = self.head.units.each_ref();
        let values = units.map(|unit| Values::of(unit.sum(features), &mut rng));
        let proof = self.prove_values(generators, &statement, &values, &mut rng)?;
        verify(generators, &statement, &proof)?;
        Ok((statement.output, proof))
    }

    /// A proof of a statement with these values of the hidden units, whatever they are.
    fn prove_values(
        &self,
        generators: &Generators,
        statement: &Statement<'_>,
        values: &[Values; HIDDEN],
        rng: &mut TranscriptRng,
    ) -> Result<Proof, Invalid> {
        let blinding = self.blinding();
        let mut units = values.each_ref().map(|values| UnitProof {
            positive: blinded(generators, values.positive.into(), values.positive_blinding),
            negative: blinded(generators, values.negative.into(), values.negative_blinding),
            value: [0; 32],
            blinding: [0; 32],
            product: [0; 32],
        });
        let points = Points::of(statement.head, &units)?;
        let known = (&points, values, &blinding);

        let mut transcript = statement.transcript();
        append_values(&mut transcript, &units);
        let range = prove_range(generators, &mut transcript, values, rng)?;
        let features = statement.features;
        let linear = self.prove_rows(generators, &mut transcript, features, known, rng)?;
        let (challenge, output) = prove_output(generators, &mut transcript, known, &mut units, rng);
        Ok(Proof {
            units,
            range,
            linear,
            challenge: challenge.to_bytes(),
            output: output.to_bytes(),
        })
    }

    /// Random numbers that follow from the secret, from a transcript and from further bytes.
    fn rng(&self, transcript: &Transcript, entropy: [u8; 32]) -> TranscriptRng {
        transcript
            .build_rng()
            .rekey_with_witness_bytes(b"secret", &self.encode())
            .finalize(&mut ChaCha20Rng::from_seed(entropy))
    }

    /// The numbers that blind the commitment. Another head has others, even with the same seed.
    fn blinding(&self) -> Blinding {
        let mut rng = self.rng(&Transcript::new(b"starling/head/v1/blinding"), [0; 32]);
        Blinding {
            units: core::array::from_fn(|_| UnitBlinding {
                row: Scalar::random(&mut rng),
                weight: Scalar::random(&mut rng),
            }),
            bias: Scalar::random(&mut rng),
        }
    }

    /// Proves that `p − q` is the sum of each unit, all units at once.
    fn prove_rows(
        &self,
        generators: &Generators,
        transcript: &mut Transcript,
        features: &Features,
        (points, values, blinding): Known<'_>,
        rng: &mut TranscriptRng,
    ) -> Result<[u8; LINEAR], Invalid> {
        let powers = powers(challenge(transcript, b"rho"));
        let mut weights = [Scalar::ZERO; WIDTH];
        let mut rest = Scalar::ZERO;
        let units = self.head.units.iter().zip(values).zip(&blinding.units);
        for (power, ((unit, values), blinding)) in powers.iter().zip(units) {
            for (sum, weight) in weights.iter_mut().zip(&unit.row) {
                *sum += scalar((*weight).into()) * power;
            }
            rest += (blinding.row - values.positive_blinding + values.negative_blinding) * power;
        }
        LinearProof::create(
            transcript,
            rng,
            &points.combined(&powers),
            rest,
            weights.to_vec(),
            negated(features),
            generators.weights.clone(),
            &generators.values.B,
            &generators.values.B_blinding,
        )
        .ok()
        .and_then(|proof| proof.to_bytes().try_into().ok())
        .ok_or(Invalid::Rows)
    }
}

/// Proves that `p · q = 0` and that the output follows from all `p`: writes the responses of
/// the units, and gives the challenge and the response for the output.
fn prove_output(
    generators: &Generators,
    transcript: &mut Transcript,
    (points, values, blinding): Known<'_>,
    units: &mut [UnitProof; HIDDEN],
    rng: &mut TranscriptRng,
) -> (Scalar, Scalar) {
    let (f, b) = (generators.values.B, generators.values.B_blinding);
    let nonces: [Nonces; HIDDEN] = core::array::from_fn(|_| Nonces {
        value: Scalar::random(rng),
        blinding: Scalar::random(rng),
        product: Scalar::random(rng),
    });
    let nonce = Scalar::random(rng);
    let mut first = b * nonce;
    for (nonces, points) in nonces.iter().zip(&points.units) {
        let opening = RistrettoPoint::multiscalar_mul([nonces.value, nonces.blinding], [f, b]);
        let product =
            RistrettoPoint::multiscalar_mul([nonces.value, nonces.product], [points.negative, b]);
        append(transcript, b"opening", &opening);
        append(transcript, b"product", &product);
        first += points.weight * nonces.value;
    }
    append(transcript, b"output", &first);
    let challenge = challenge(transcript, b"challenge");

    // y · F − C_0 − Σ p · C = τ_0 · B.
    let mut rest = -blinding.bias;
    let openings = nonces.iter().zip(values).zip(&blinding.units);
    for (unit, ((nonces, values), blinding)) in units.iter_mut().zip(openings) {
        let positive = Scalar::from(values.positive);
        let product = -(positive * values.negative_blinding);
        rest -= positive * blinding.weight;
        unit.value = (nonces.value + challenge * positive).to_bytes();
        unit.blinding = (nonces.blinding + challenge * values.positive_blinding).to_bytes();
        unit.product = (nonces.product + challenge * product).to_bytes();
    }
    (challenge, nonce + challenge * rest)
}

/// Proves that all `p` and `q` are below 2³².
fn prove_range(
    generators: &Generators,
    transcript: &mut Transcript,
    values: &[Values; HIDDEN],
    rng: &mut TranscriptRng,
) -> Result<[u8; RANGE], Invalid> {
    let positive = values.iter().map(|v| (v.positive, v.positive_blinding));
    let negative = values.iter().map(|v| (v.negative, v.negative_blinding));
    let (sizes, blindings): (Vec<u64>, Vec<Scalar>) = positive.chain(negative).unzip();
    RangeProof::prove_multiple_with_rng(
        &generators.range,
        &generators.values,
        transcript,
        &sizes,
        &blindings,
        BITS,
        rng,
    )
    .ok()
    .and_then(|(proof, _)| proof.to_bytes().try_into().ok())
    .ok_or(Invalid::Range)
}

/// `Σ_j row_j · G_j + bias · F + blinding · B`.
fn row(generators: &Generators, unit: &Unit, blinding: Scalar) -> Point {
    let mut scalars: Vec<Scalar> = unit.row.iter().map(|w| scalar((*w).into())).collect();
    scalars.extend([scalar(unit.bias.into()), blinding]);
    let mut points = generators.weights.clone();
    points.extend([generators.values.B, generators.values.B_blinding]);
    RistrettoPoint::multiscalar_mul(scalars, points)
        .compress()
        .to_bytes()
}

/// `value · F + blinding · B`.
fn blinded(generators: &Generators, value: Scalar, blinding: Scalar) -> Point {
    generators
        .values
        .commit(value, blinding)
        .compress()
        .to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTROPY: [u8; 32] = [7; 32];

    fn secret() -> Secret {
        let unit = |sign: i8| Unit {
            row: [sign; WIDTH],
            bias: 1_000_000 * i32::from(sign),
            weight: 3,
        };
        let units = core::array::from_fn(|i| unit(if i % 2 == 0 { 1 } else { -1 }));
        Secret::new(Head { units, bias: 5 }, [1; 32])
    }

    /// The verdict on the proof of a prover that changes its values.
    fn verdict(change: impl Fn(&mut [Values; HIDDEN])) -> Result<(), Invalid> {
        let secret = secret();
        let generators = Generators::new();
        let features = Features::of(b"a prompt", b"a response");
        let statement = Statement {
            case: &Case {
                genesis: [0; 32],
                round: 1,
                ranker: [2; 32],
                position: 3,
            },
            head: &secret.commitment(&generators),
            features: &features,
            output: secret.head.output(&features),
        };
        let mut rng = secret.rng(&statement.transcript(), ENTROPY);
        let units = secret.head.units.each_ref();
        let mut values = units.map(|unit| Values::of(unit.sum(&features), &mut rng));
        change(&mut values);
        let proof = secret.prove_values(&generators, &statement, &values, &mut rng)?;
        verify(&generators, &statement, &proof)
    }

    #[test]
    fn true_values_are_accepted() {
        assert_eq!(verdict(|_| ()), Ok(()));
    }

    #[test]
    fn a_unit_that_is_both_positive_and_negative_is_refused() {
        let both = |values: &mut [Values; HIDDEN]| {
            values[0].positive += 1;
            values[0].negative += 1;
        };
        assert_eq!(verdict(both), Err(Invalid::Output));
    }

    #[test]
    fn values_that_the_registered_rows_do_not_have_are_refused() {
        let greater = |values: &mut [Values; HIDDEN]| values[0].positive += 1;
        assert_eq!(verdict(greater), Err(Invalid::Rows));
        let turned = |values: &mut [Values; HIDDEN]| {
            let Values {
                positive, negative, ..
            } = &mut values[0];
            core::mem::swap(positive, negative);
        };
        assert_eq!(verdict(turned), Err(Invalid::Rows));
    }

    #[test]
    fn values_beyond_32_bits_are_refused() {
        let great = |values: &mut [Values; HIDDEN]| values[0].positive += 1 << 32;
        assert_eq!(verdict(great), Err(Invalid::Range));
    }
}
