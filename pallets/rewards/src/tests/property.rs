// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::tokens::imbalance::Imbalance;
use proptest::prelude::*;
use sp_runtime::{PerThing, Permill};
use starling_primitives::{traits::Rewards as _, Balance};

use crate::{mock::*, Parameters};

fn permill() -> impl Strategy<Value = Permill> {
    (0..=1_000_000u32).prop_map(Permill::from_parts)
}

prop_compose! {
    fn parameters()(
        winner in permill(),
        of_rest in permill(),
        subsidy in permill(),
        loser in permill(),
        forfeits in permill(),
        burn_forfeits in any::<bool>(),
        refund in permill(),
    ) -> Parameters {
        let rankers = winner.left_from_one() * of_rest;
        Parameters { winner, rankers, subsidy, loser, forfeits, burn_forfeits, refund }
    }
}

fn amount() -> impl Strategy<Value = Balance> {
    prop_oneof![0..30u128, 0..1u128 << 100]
}

/// Accounts 10 to 20 do not exist.
fn rankers() -> impl Strategy<Value = Vec<(AccountId, u64)>> {
    prop::collection::vec((1..=20u64, prop_oneof![Just(0), 0..=1u64 << 32]), 0..20)
}

proptest! {
    /// [`settle`] checks every unit.
    #[test]
    fn every_unit_of_every_settlement_is_accounted_for(
        parameters in parameters(),
        fee in amount(),
        forfeits in amount(),
        winner in 1..=20u64,
        rankers in rankers(),
    ) {
        run(|| {
            Chosen::set(parameters);
            settle(fee, forfeits, |fee, forfeits| {
                Rewards::pay_winner(fee, forfeits, &winner, &rankers)
            });
            let rest = fee - Rewards::failure_refund(fee);
            settle(rest, forfeits, |rest, forfeits| {
                Rewards::pay_rankers(fee, rest, forfeits, &rankers)
            });
            let delivered: Vec<_> = rankers.iter().map(|(who, _)| *who).collect();
            settle(rest, forfeits, |rest, forfeits| {
                let (slashes, forfeits) = forfeits.split(winner.into());
                Rewards::pay_delivered(fee, rest, forfeits, slashes, &delivered)
            });
        });
    }
}
