// SPDX-License-Identifier: Apache-2.0
//! Arbitrary purchases, refunds and rounds: the held funds of an account are its purchases, less
//! refunds and forfeits, to the last unit.

use frame_support::traits::tokens::imbalance::Imbalance;
use proptest::prelude::*;
use starling_primitives::{traits::Tickets as _, Balance};

use crate::mock::*;

#[derive(Clone, Debug)]
enum Op {
    Buy(Balance),
    Refund(Balance),
    Spend(Balance),
    GiveBack,
    Forfeit(Balance),
}

fn op() -> impl Strategy<Value = (AccountId, Op)> {
    let amount = || 0..400u128;
    let op = prop_oneof![
        amount().prop_map(Op::Buy),
        amount().prop_map(Op::Refund),
        amount().prop_map(Op::Spend),
        Just(Op::GiveBack),
        amount().prop_map(Op::Forfeit),
    ];
    (1..=3u64, op)
}

proptest! {
    #[test]
    fn no_unit_is_lost(ops in prop::collection::vec(op(), 1..100)) {
        run(|| {
            let mut staked: Vec<(AccountId, Balance)> = Vec::new();
            let mut forfeited = 0;
            for (who, op) in ops {
                let total = |(free, held)| free + held;
                let before = total(money(who));
                let mut lost = 0;
                let ticket = staked.iter().position(|(owner, _)| *owner == who);
                match op {
                    Op::Buy(amount) => {
                        let _ = Tickets::buy(RuntimeOrigin::signed(who), amount);
                    },
                    Op::Refund(amount) => {
                        let _ = Tickets::refund(RuntimeOrigin::signed(who), amount);
                    },
                    Op::Spend(price) => {
                        let can = Tickets::can_spend(&who, price);
                        assert_eq!(Tickets::spend(&who, price).is_ok(), can);
                        if can {
                            staked.push((who, price));
                        }
                    },
                    Op::GiveBack => if let Some(index) = ticket {
                        Tickets::give_back(&who, staked.remove(index).1);
                    },
                    Op::Forfeit(part) => if let Some(index) = ticket {
                        let (_, price) = staked.remove(index);
                        lost = Tickets::forfeit(&who, price, part).peek();
                        assert_eq!(lost, part.min(price));
                    },
                }
                assert_eq!(total(money(who)), before - lost);
                forfeited += lost;
                for who in 1..=3 {
                    let own = staked.iter().filter(|(owner, _)| *owner == who);
                    let own: Balance = own.map(|(_, price)| price).sum();
                    assert_eq!(Tickets::staked(&who), own);
                }
                Tickets::do_try_state().expect("the state is sound");
            }
            forfeited
        });
    }
}
