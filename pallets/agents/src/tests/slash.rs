// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Candidates, Debts, Error, Event, Unbonding};

fn slash(who: AccountId, amount: u128) -> frame_support::pallet_prelude::DispatchResult {
    Agents::slash(RuntimeOrigin::root(), who, amount)
}

#[test]
fn unbonding_parts_are_slashed_first_the_oldest_before_the_others() {
    Chain::new().run(|| {
        register(1, 300);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 50));
        run_to(2);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 60));
        let treasury = free(TREASURY);

        let left = || -> Vec<_> {
            let parts = Unbonding::<Test>::get(1).into_iter();
            parts.map(|part| (part.amount, part.due)).collect()
        };
        let due = 1 + UnbondingPeriod::get();
        assert_eq!(left(), [(50, due), (60, due + 1)]);
        assert_ok!(slash(1, 30));
        assert_eq!(left(), [(20, due), (60, due + 1)]);
        assert_ok!(slash(1, 40));
        assert_eq!(left(), [(40, due + 1)]);
        assert_eq!(<Agents as AgentRegistry<_>>::bond(&1), 190);

        assert_ok!(slash(1, 50));
        assert!(!Unbonding::<Test>::contains_key(1));
        assert_eq!(<Agents as AgentRegistry<_>>::bond(&1), 180);
        assert_eq!(Candidates::<Test>::get()[0].bond, 180);
        assert_eq!(free(TREASURY), treasury + 120);
        assert_eq!(held(1), 180);
    });
}

#[test]
fn the_claims_of_a_round_are_left_to_it() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 40));
        assert_ok!(slash(1, 1_000));
        assert_eq!(
            events().last(),
            Some(&Event::Slashed {
                who: 1,
                amount: 110
            })
        );
        assert_eq!(<Agents as AgentRegistry<_>>::bond(&1), 40);
        assert!(!<Agents as AgentRegistry<_>>::is_active(&1));
        assert_noop!(slash(1, 1), Error::<Test>::NothingToSlash);
        assert_eq!(
            keep(<Agents as AgentRegistry<_>>::slash_reserved(&1, 40)),
            40
        );
        assert_eq!(held(1), 0);
    });
}

#[test]
fn who_left_is_slashed_in_what_is_unbonding() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        assert_ok!(slash(1, 150));
        assert_eq!(held(1), 0);
        run_to(1 + UnbondingPeriod::get());
        assert_noop!(
            Agents::withdraw_unbonded(RuntimeOrigin::signed(1)),
            Error::<Test>::NothingToWithdraw
        );
    });
}

#[test]
fn only_the_slash_origin_slashes_and_only_who_has_something() {
    Chain::new().run(|| {
        register(1, 150);
        assert_noop!(
            Agents::slash(RuntimeOrigin::signed(2), 1, 1),
            DispatchError::BadOrigin
        );
        assert_noop!(slash(2, 1), Error::<Test>::NothingToSlash);
        assert_noop!(slash(1, 0), Error::<Test>::NothingToSlash);
    });
}

#[test]
fn what_rounds_have_a_claim_on_is_taken_when_they_end() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 60));
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 50));
        let treasury = free(TREASURY);
        assert_ok!(slash(1, 120));
        assert!(events().contains(&Event::Indebted { who: 1, amount: 80 }));
        assert_eq!(free(TREASURY), treasury + 40);
        assert_eq!(Debts::<Test>::get(1), 80);
        <Agents as AgentRegistry<_>>::release(&1, 60);
        assert_eq!(
            (free(TREASURY), Debts::<Test>::get(1)),
            (treasury + 100, 20)
        );
        <Agents as AgentRegistry<_>>::release(&1, 50);
        assert_eq!((free(TREASURY), Debts::<Test>::get(1)), (treasury + 120, 0));
        assert_eq!((<Agents as AgentRegistry<_>>::bond(&1), held(1)), (30, 30));
    });
}

#[test]
fn a_round_is_paid_before_a_debt() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 150));
        assert_ok!(slash(1, 1_000));
        assert_eq!(Debts::<Test>::get(1), 150, "no more than there is");
        assert_eq!(
            keep(<Agents as AgentRegistry<_>>::slash_reserved(&1, 150)),
            150
        );
        assert_eq!((Debts::<Test>::get(1), held(1)), (0, 0));
    });
}
