// SPDX-License-Identifier: Apache-2.0
//! Parts that prover and verifier compute alike.

// Nothing overflows or panics in a group.
#![allow(clippy::arithmetic_side_effects)]

use alloc::vec::Vec;
use curve25519_dalek::{
    ristretto::CompressedRistretto, traits::VartimeMultiscalarMul, RistrettoPoint, Scalar,
};
use merlin::Transcript;

use crate::{
    commitment::Commitment, features::Features, proof::UnitProof, verify::Invalid, Point, HIDDEN,
};

/// The points of a hidden unit: `A`, `C`, `P`, `Q`.
pub struct UnitPoints {
    pub row: RistrettoPoint,
    pub weight: RistrettoPoint,
    pub positive: RistrettoPoint,
    pub negative: RistrettoPoint,
}

/// The points of a commitment and of a proof.
pub struct Points {
    pub units: Vec<UnitPoints>,
    pub bias: RistrettoPoint,
}

impl Points {
    /// Decompresses them.
    pub fn of(head: &Commitment, units: &[UnitProof; HIDDEN]) -> Result<Self, Invalid> {
        let registered = |point| decompressed(point).ok_or(Invalid::Head);
        let sent = |point| decompressed(point).ok_or(Invalid::Encoding);
        let units = head.units.iter().zip(units).map(|(committed, proven)| {
            Ok(UnitPoints {
                row: registered(&committed.row)?,
                weight: registered(&committed.weight)?,
                positive: sent(&proven.positive)?,
                negative: sent(&proven.negative)?,
            })
        });
        Ok(Self {
            units: units.collect::<Result<_, Invalid>>()?,
            bias: registered(&head.bias)?,
        })
    }

    /// `Σ ρⁱ · (A_i − P_i + Q_i)`, which has no part of `F` beyond that of the features.
    pub fn combined(&self, powers: &[Scalar]) -> CompressedRistretto {
        let scalars = powers.iter().flat_map(|power| [*power, -power, *power]);
        let points = self
            .units
            .iter()
            .flat_map(|unit| [unit.row, unit.positive, unit.negative]);
        let scalars: Vec<Scalar> = scalars.collect();
        let points: Vec<RistrettoPoint> = points.collect();
        RistrettoPoint::vartime_multiscalar_mul(scalars, points).compress()
    }
}

/// The point of these bytes, if they are one.
fn decompressed(point: &Point) -> Option<RistrettoPoint> {
    CompressedRistretto(*point).decompress()
}

/// The powers of a number, from the 0th on, one for each hidden unit.
pub fn powers(number: Scalar) -> Vec<Scalar> {
    core::iter::successors(Some(Scalar::ONE), |power| Some(power * number))
        .take(HIDDEN)
        .collect()
}

/// The features with their signs turned.
pub fn negated(features: &Features) -> Vec<Scalar> {
    let feature = |feature: &i8| scalar(i64::from(*feature).saturating_neg());
    features.values().iter().map(feature).collect()
}

/// An integer as a number modulo the order of the group.
pub fn scalar(value: i64) -> Scalar {
    let size = Scalar::from(value.unsigned_abs());
    if value < 0 {
        -size
    } else {
        size
    }
}

/// Adds `P` and `Q` of all units to the transcript.
pub fn append_values(transcript: &mut Transcript, units: &[UnitProof; HIDDEN]) {
    for unit in units {
        transcript.append_message(b"P", &unit.positive);
        transcript.append_message(b"Q", &unit.negative);
    }
}

/// Adds a point to the transcript.
pub fn append(transcript: &mut Transcript, label: &'static [u8], point: &RistrettoPoint) {
    transcript.append_message(label, point.compress().as_bytes());
}

/// The next challenge.
pub fn challenge(transcript: &mut Transcript, label: &'static [u8]) -> Scalar {
    let mut bytes = [0; 64];
    transcript.challenge_bytes(label, &mut bytes);
    Scalar::from_bytes_mod_order_wide(&bytes)
}
