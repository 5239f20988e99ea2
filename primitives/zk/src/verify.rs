// SPDX-License-Identifier: Apache-2.0
//! The check of a proof (section 6).

// Nothing overflows or panics in a group.
#![allow(clippy::arithmetic_side_effects)]

use alloc::vec::Vec;
use bulletproofs::{LinearProof, RangeProof};
use codec::Encode;
use core::{error::Error, fmt};
use curve25519_dalek::{
    ristretto::CompressedRistretto, traits::VartimeMultiscalarMul, RistrettoPoint, Scalar,
};
use merlin::Transcript;
use rand_chacha_03::{rand_core::SeedableRng, ChaCha20Rng};

use crate::{
    generators::{Generators, BITS},
    proof::{Number, Proof},
    relation::{append, append_values, challenge, negated, powers, scalar, Points},
    statement::Statement,
};

/// The reason why a proof shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A registered point is none.
    Head,
    /// Bytes of the proof are no point, or no number below the order of the group.
    Encoding,
    /// The values of the hidden units are not shown to be small.
    Range,
    /// The values of the hidden units are not shown to be those of the registered rows.
    Rows,
    /// The output is not shown to follow from the hidden units.
    Output,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the registered head has bytes that are no point; register it again",
            Self::Encoding => "the proof has bytes that are no point or no number; send it again",
            Self::Range => "the range proof fails: the proof is of another statement, or altered",
            Self::Rows => "the linear proof fails: the proof is of another statement, or altered",
            Self::Output => "the proof of the output fails: it is of another one, or altered",
        })
    }
}

impl Error for Invalid {}

/// Checks that the registered head has the output for the features, by a proof made for this case.
///
/// # Errors
/// [`Invalid`] if the proof does not show it. No bytes make it panic.
pub fn verify(
    generators: &Generators,
    statement: &Statement<'_>,
    proof: &Proof,
) -> Result<(), Invalid> {
    let points = Points::of(statement.head, &proof.units)?;
    let mut transcript = statement.transcript();
    append_values(&mut transcript, &proof.units);
    check_range(generators, &mut transcript, proof)?;

    let powers = powers(challenge(&mut transcript, b"rho"));
    LinearProof::from_bytes(&proof.linear)
        .and_then(|linear| {
            linear.verify(
                &mut transcript,
                &points.combined(&powers),
                &generators.weights,
                &generators.values.B,
                &generators.values.B_blinding,
                negated(statement.features),
            )
        })
        .map_err(|_| Invalid::Rows)?;
    check_output(
        generators,
        &mut transcript,
        &points,
        statement.output,
        proof,
    )
}

/// Checks that all `P` and `Q` are commitments to values below 2³².
fn check_range(
    generators: &Generators,
    transcript: &mut Transcript,
    proof: &Proof,
) -> Result<(), Invalid> {
    // Batches two equations by a number that nobody can choose: it follows from the whole proof.
    let mut batching = transcript
        .build_rng()
        .rekey_with_witness_bytes(b"proof", &proof.encode())
        .finalize(&mut ChaCha20Rng::from_seed([0; 32]));
    let positive = proof.units.iter().map(|unit| unit.positive);
    let negative = proof.units.iter().map(|unit| unit.negative);
    let commitments: Vec<_> = positive.chain(negative).map(CompressedRistretto).collect();
    RangeProof::from_bytes(&proof.range)
        .and_then(|range| {
            range.verify_multiple_with_rng(
                &generators.range,
                &generators.values,
                transcript,
                &commitments,
                BITS,
                &mut batching,
            )
        })
        .map_err(|_| Invalid::Range)
}

/// Checks, for numbers `p` that the prover knows, that `P = p · F + r · B`, `0 = p · Q + τ · B` and
/// `y · F − C_0 = Σ p · C + τ_0 · B`.
fn check_output(
    generators: &Generators,
    transcript: &mut Transcript,
    points: &Points,
    output: i64,
    proof: &Proof,
) -> Result<(), Invalid> {
    let (f, b) = (generators.values.B, generators.values.B_blinding);
    let expected = number(&proof.challenge)?;
    let mut values = Vec::new();
    for (unit, points) in proof.units.iter().zip(&points.units) {
        let value = number(&unit.value)?;
        let opening = RistrettoPoint::vartime_multiscalar_mul(
            [value, number(&unit.blinding)?, -expected],
            [f, b, points.positive],
        );
        let product = RistrettoPoint::vartime_multiscalar_mul(
            [value, number(&unit.product)?],
            [points.negative, b],
        );
        append(transcript, b"opening", &opening);
        append(transcript, b"product", &product);
        values.push(value);
    }
    let claimed = f * scalar(output) - points.bias;
    values.extend([number(&proof.output)?, -expected]);
    let bases: Vec<RistrettoPoint> = points
        .units
        .iter()
        .map(|unit| unit.weight)
        .chain([b, claimed])
        .collect();
    append(
        transcript,
        b"output",
        &RistrettoPoint::vartime_multiscalar_mul(values, bases),
    );
    if challenge(transcript, b"challenge") == expected {
        Ok(())
    } else {
        Err(Invalid::Output)
    }
}

/// The number of these bytes, if it is below the order of the group.
fn number(bytes: &Number) -> Result<Scalar, Invalid> {
    Option::from(Scalar::from_canonical_bytes(*bytes)).ok_or(Invalid::Encoding)
}
