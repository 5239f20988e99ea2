// SPDX-License-Identifier: Apache-2.0

use starling_primitives::{rewards::Paid, traits::Rewards as _};

use crate::mock::*;

#[test]
fn without_a_winner_the_rankers_get_their_share_of_the_whole_fee() {
    run(|| {
        assert_eq!(Rewards::failure_refund(100_001), 50_000);
        let paid = settle(50_001, 10_000, |rest, forfeits| {
            Rewards::pay_rankers(100_001, rest, forfeits, &[(2, 3), (3, 1)])
        });
        // 20 % of fee and of the 2 000 of forfeits that go into the pot.
        assert_eq!(
            paid,
            Paid {
                subsidy: 0,
                winner: 0,
                rankers: 20_400,
                treasury: 39_601,
                burnt: 0
            }
        );
        assert_eq!([2, 3].map(earned), [15_300, 5_100]);
    });
}

#[test]
fn without_points_all_of_it_is_the_treasurys() {
    run(|| {
        let paid = settle(500, 0, |rest, forfeits| {
            Rewards::pay_rankers(1_000, rest, forfeits, &[(2, 0)])
        });
        assert_eq!((paid.rankers, paid.treasury), (0, 500));
    });
}
