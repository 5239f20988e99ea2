// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::tokens::imbalance::Imbalance;
use starling_primitives::{rewards::Paid, traits::Rewards as _};

use crate::{mock::*, Parameters};

/// Settles a round of this fee in which agents with these losses did not deliver.
fn pay(fee: u128, rest: u128, lost: (u128, u128), delivered: &[AccountId]) -> Paid {
    settle(rest, lost.0 + lost.1, |rest, lost_together| {
        let (forfeits, slashes) = lost_together.split(lost.0);
        Rewards::pay_delivered(fee, rest, forfeits, slashes, delivered)
    })
}

#[test]
fn the_agents_that_delivered_share_the_losses_and_the_rankers_part_of_the_fee() {
    run(|| {
        // 20 % of the fee, and all of the losses.
        assert_eq!(
            pay(1_000, 890, (10, 100), &[2, 3, 4]),
            Paid {
                rankers: 309,
                treasury: 691,
                ..Default::default()
            }
        );
        assert_eq!([2, 3, 4].map(earned), [103, 103, 103]);
    });
}

#[test]
fn if_nobody_delivered_the_treasury_gets_everything() {
    run(|| {
        assert_eq!(
            pay(1_000, 500, (10, 30), &[]),
            Paid {
                treasury: 540,
                ..Default::default()
            }
        );
    });
}

#[test]
fn what_is_left_of_the_fee_bounds_the_part_of_those_who_delivered() {
    run(|| {
        let paid = pay(1_000, 100, (0, 0), &[2]);
        assert_eq!((paid.rankers, paid.treasury), (100, 0));
    });
}

#[test]
fn if_forfeits_are_burnt_slashes_are_still_paid() {
    run(|| {
        Chosen::set(Parameters::paper());
        assert_eq!(
            pay(1_000, 500, (40, 100), &[2]),
            Paid {
                rankers: 100,
                treasury: 500,
                burnt: 40,
                ..Default::default()
            }
        );
    });
}
