// SPDX-License-Identifier: Apache-2.0

use starling_primitives::{rewards::Paid, traits::Rewards as _};

use crate::{mock::*, Parameters};

#[test]
fn winner_rankers_and_treasury_share_the_pot() {
    run(|| {
        let paid = settle(100_000, 10_000, |fee, forfeits| {
            Rewards::pay_winner(fee, forfeits, &1, &[(1, 1), (2, 2), (3, 1), (4, 0)])
        });
        // 100 000 of fee, 500 of subsidy, 2 000 of forfeits.
        let pot = 102_500;
        assert_eq!(
            paid,
            Paid {
                subsidy: 500,
                winner: 71_750,
                rankers: 20_500,
                treasury: pot / 10 + 8_000,
                burnt: 0,
            }
        );
        assert_eq!(earned(1), 71_750 + 5_125);
        assert_eq!([2, 3, 4].map(earned), [10_250, 5_125, 0]);
    });
}

#[test]
fn a_loser_leaves_its_part_of_a_ticket_rounded_down() {
    run(|| {
        // 10 %.
        let left = [0, 9, 10, 19, 20, 10_059].map(Rewards::loser_part);
        assert_eq!(left, [0, 0, 1, 1, 2, 1_005]);
    });
}

#[test]
fn remainders_are_the_treasurys() {
    run(|| {
        let paid = settle(101, 3, |fee, forfeits| {
            Rewards::pay_winner(fee, forfeits, &1, &[(2, 1), (3, 1), (4, 1)])
        });
        // The pot is the fee: 3 · 20 % of forfeits and 0.5 % of subsidy round to nothing.
        assert_eq!((paid.subsidy, paid.winner, paid.rankers), (0, 70, 18));
        assert_eq!(paid.treasury, 16);
        assert_eq!([2, 3, 4].map(earned), [6, 6, 6]);
    });
}

#[test]
fn the_rankers_share_is_the_treasurys_when_nobody_has_points() {
    run(|| {
        for rankers in [&[][..], &[(2, 0), (3, 0)]] {
            let paid = settle(1_000, 0, |fee, forfeits| {
                Rewards::pay_winner(fee, forfeits, &1, rankers)
            });
            assert_eq!((paid.winner, paid.rankers, paid.treasury), (703, 0, 302));
        }
    });
}

#[test]
fn what_cannot_be_delivered_is_the_treasurys() {
    run(|| {
        // Too little to make an account.
        let paid = settle(10, 0, |fee, forfeits| {
            Rewards::pay_winner(fee, forfeits, &STRANGER, &[(STRANGER, 1), (2, 1)])
        });
        assert_eq!((paid.winner, paid.rankers, paid.treasury), (0, 1, 9));
        assert_eq!((balance(STRANGER), earned(2)), (0, 1));
    });
}

#[test]
fn in_the_paper_the_winner_takes_all_and_forfeits_are_burnt() {
    run(|| {
        Chosen::set(Parameters::paper());
        let paid = settle(1_000, 200, |fee, forfeits| {
            Rewards::pay_winner(fee, forfeits, &1, &[(2, 1)])
        });
        assert_eq!(
            paid,
            Paid {
                subsidy: 0,
                winner: 1_000,
                rankers: 0,
                treasury: 0,
                burnt: 200
            }
        );
        assert_eq!(Rewards::loser_part(50), 50);
        assert_eq!(Rewards::reward(1_000), 1_000);
    });
}
