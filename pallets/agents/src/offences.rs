// SPDX-License-Identifier: Apache-2.0
//! The rule of how much an equivocation costs.

use sp_runtime::{Perbill, Saturating};

use crate::seats::tolerated;

/// The part that a lone offender loses of its bond. A machine that forgot its last vote is punished
/// like one that lies, so the part is small: alone it can do no harm.
const LONE: Perbill = Perbill::from_percent(1);

/// The part that each of `offenders` loses of its bond, of `validators` in their session.
///
/// It grows with the harm that they could do together: one offender loses a hundredth, and those
/// who are more than GRANDPA tolerates lose everything. In between it grows with the square.
pub fn part(offenders: u32, validators: u32) -> Perbill {
    let tolerated = tolerated(validators);
    if offenders <= 1 {
        return LONE;
    }
    if offenders > tolerated {
        return Perbill::one();
    }
    let others = Perbill::from_rational(offenders.saturating_sub(1), tolerated);
    let rest = Perbill::one().saturating_sub(LONE);
    LONE.saturating_add(rest.saturating_mul(others.square()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_offender_loses_a_hundredth_of_its_bond() {
        for validators in 1..=100 {
            assert_eq!(part(1, validators), Perbill::from_percent(1));
        }
    }

    #[test]
    fn offenders_that_could_finalise_two_chains_lose_everything() {
        for validators in 2..=100 {
            let enough = (validators - 1) / 3 + 1;
            for offenders in enough.max(2)..=validators {
                assert_eq!(part(offenders, validators), Perbill::one());
            }
        }
    }

    #[test]
    fn the_part_grows_with_every_offender_and_is_not_all_while_finality_is_safe() {
        for validators in 1..=100 {
            for offenders in 1..validators {
                let (one, next) = (part(offenders, validators), part(offenders + 1, validators));
                assert!(one <= next, "{offenders} of {validators}");
                if offenders <= (validators - 1) / 3 {
                    assert!(one < Perbill::one(), "{offenders} of {validators}");
                }
            }
        }
        assert_eq!(part(2, 7), Perbill::from_rational(2575u32, 10_000));
    }
}
