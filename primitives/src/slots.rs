// SPDX-License-Identifier: Apache-2.0
//! The price of a slot for an open round.

use sp_arithmetic::{helpers_128bit::multiply_by_rational_with_rounding, Rounding};

use crate::Balance;

/// The price of a slot when `open` of `slots` are taken.
///
/// The first quarter is free. From there on the price grows with the square of the taken slots: at
/// half it is `slots / 16` times `base`, at the last one about `slots · 9 / 16` times. So a chain
/// with few questions costs nothing besides, and whoever takes all slots pays for it.
pub fn price(base: Balance, open: u32, slots: u32) -> Balance {
    let free = slots.checked_div(4).unwrap_or_default();
    let above = Balance::from(open.min(slots).saturating_sub(free));
    multiply_by_rational_with_rounding(
        base,
        above.saturating_mul(above),
        slots.max(1).into(),
        Rounding::Up,
    )
    .unwrap_or(Balance::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_quarter_is_free_and_the_last_slot_is_dear() {
        let price = |open| price(64, open, 64);
        assert_eq!([0, 1, 16].map(price), [0, 0, 0]);
        assert_eq!([17, 32, 63, 64].map(price), [1, 256, 47 * 47, 48 * 48]);
    }

    #[test]
    fn all_slots_together_cost_hundreds_of_times_the_base() {
        let sum: Balance = (0..64).map(|open| price(1_000, open, 64)).sum();
        assert!((550_000..570_000).contains(&sum), "{sum}");
    }

    proptest! {
        #[test]
        fn a_price_never_falls_with_the_taken_slots(base in any::<u128>(), open in 0..70u32, slots in 0..70u32) {
            prop_assert!(price(base, open, slots) <= price(base, open + 1, slots));
        }
    }
}
