// SPDX-License-Identifier: Apache-2.0
//! Fixed-point numbers with 32 fractional bits in a `u64`, and sums of them in a `u128`.
//! Logarithms have a sign and are in an `i64`.
//!
//! The runtime has no floats: two machines must compute the same bits.

mod ln;

pub use ln::{ln, logit};

use sp_arithmetic::{helpers_128bit::sqrt, Permill};

/// 1.
pub const ONE: u64 = 1 << 32;

/// `numerator / denominator`, rounded down. 0 if the denominator is 0, and `u64::MAX` if the
/// quotient does not fit.
pub fn ratio(numerator: u64, denominator: u64) -> u64 {
    u128::from(numerator)
        .saturating_mul(ONE.into())
        .checked_div(denominator.into())
        .map_or(0, |quotient| u64::try_from(quotient).unwrap_or(u64::MAX))
}

/// `a · b`, rounded down; `u64::MAX` if the product does not fit.
pub fn mul(a: u64, b: u64) -> u64 {
    let product = u128::from(a).saturating_mul(b.into()) >> 32;
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// The square root of a number with 64 fractional bits, rounded up. The result has 32 fractional
/// bits.
pub fn sqrt_up(square: u128) -> u64 {
    let floor = sqrt(square);
    let root = if floor.saturating_mul(floor) < square {
        floor.saturating_add(1)
    } else {
        floor
    };
    u64::try_from(root).unwrap_or(u64::MAX)
}

/// A share of one, 32 fractional bits.
pub fn share(part: Permill) -> u64 {
    ratio(
        part.deconstruct().into(),
        Permill::one().deconstruct().into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ratio_is_exact_at_the_ends() {
        assert_eq!(ratio(0, 7), 0);
        assert_eq!(ratio(7, 7), ONE);
        assert_eq!(ratio(1, 0), 0);
        assert_eq!(ratio(u64::MAX, 1), u64::MAX);
    }

    proptest! {
        #[test]
        fn sqrt_up_is_the_least_root_that_is_enough(square in any::<u128>()) {
            let square = square >> 2;
            let root = u128::from(sqrt_up(square));
            prop_assert!(root * root >= square);
            prop_assert!(root == 0 || (root - 1) * (root - 1) < square);
        }

        #[test]
        fn mul_is_monotonous_and_bounded_by_its_factors(a in 0..=ONE, b in 0..=ONE) {
            prop_assert!(mul(a, b) <= a.min(b));
            prop_assert_eq!(mul(a, ONE), a);
        }
    }
}
