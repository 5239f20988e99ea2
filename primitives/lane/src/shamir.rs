// SPDX-License-Identifier: Apache-2.0
//! Shamir's shares of 32 bytes over [`crate::gf256`], each byte on its own.
//!
//! Member `j` has the value of the polynomial at `j + 1`. The secret is its value at 0.

use crate::{gf256, Member, Secret};

/// A share of a secret.
pub type Share = [u8; 32];

/// The point of a member's share.
pub fn point(member: Member) -> u8 {
    member.saturating_add(1)
}

/// The value at `point` of the polynomial with these coefficients, the constant one first.
pub fn evaluate(coefficients: &[Secret], point: u8) -> Share {
    let mut value = [0; 32];
    for coefficient in coefficients.iter().rev() {
        for (to, from) in value.iter_mut().zip(coefficient) {
            *to = gf256::mul(*to, point) ^ from;
        }
    }
    value
}

/// The value at `at` of the polynomial of least degree through all these shares. `None` if a member
/// occurs twice.
pub fn interpolate(shares: &[(Member, Share)], at: u8) -> Option<Share> {
    let mut value = [0; 32];
    for (index, (member, share)) in shares.iter().enumerate() {
        let mut factor = 1;
        for (other, (another, _)) in shares.iter().enumerate() {
            if other == index {
                continue;
            }
            if another == member {
                return None;
            }
            let distance = point(*member) ^ point(*another);
            factor = gf256::mul(factor, at ^ point(*another));
            factor = gf256::mul(factor, gf256::inverse(distance));
        }
        for (to, from) in value.iter_mut().zip(share) {
            *to ^= gf256::mul(factor, *from);
        }
    }
    Some(value)
}
