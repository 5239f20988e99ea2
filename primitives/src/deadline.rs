// SPDX-License-Identifier: Apache-2.0
//! The condition under which a deadline counts.

/// Whether a phase with this deadline is over in block `now`.
///
/// Besides the end of its blocks, more than a third of the authorities must have authored in the
/// phase. If at most a third of them are dishonest, an honest one was among them. So a few
/// censoring authors in a row cannot make an honest agent miss the deadline. A chain that knows no
/// authorities cannot count them.
pub fn passed(now: u32, deadline: u32, authored: u32, authorities: u32) -> bool {
    let enough = u64::from(authored).saturating_mul(3) > u64::from(authorities);
    now >= deadline && (enough || authorities == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_block_is_the_last_one() {
        assert!(!passed(9, 10, 1, 1));
        assert!(passed(10, 10, 1, 1));
    }

    #[test]
    fn a_third_of_the_authorities_is_not_enough() {
        assert!(!passed(10, 10, 1, 3));
        assert!(passed(10, 10, 2, 3));
        assert!(!passed(10, 10, 33, 100));
        assert!(passed(10, 10, 34, 100));
    }
}
