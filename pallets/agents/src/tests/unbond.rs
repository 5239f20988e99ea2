// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Error, Event, Unbonding};

#[test]
fn an_unbonded_amount_comes_back_after_the_period_and_not_a_block_earlier() {
    Chain::new().run(|| {
        register(1, 150);
        let before = free(1);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 50));
        let due = 1 + UnbondingPeriod::get();
        assert_eq!(
            events().last(),
            Some(&Event::Unbonding {
                who: 1,
                amount: 50,
                due
            })
        );
        assert_eq!(<Agents as AgentRegistry<_>>::bond(&1), 100);
        assert_eq!(held(1), 150);

        run_to(due - 1);
        assert_noop!(
            Agents::withdraw_unbonded(RuntimeOrigin::signed(1)),
            Error::<Test>::NothingToWithdraw
        );
        run_to(due);
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_eq!(
            events().last(),
            Some(&Event::Withdrawn { who: 1, amount: 50 })
        );
        assert_eq!(free(1), before + 50);
        assert_eq!(held(1), 100);
        assert!(
            !Unbonding::<Test>::contains_key(1),
            "nothing is left on record"
        );
    });
}

#[test]
fn only_what_is_due_is_withdrawn() {
    Chain::new().run(|| {
        register(1, 300);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 50));
        run_to(2);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 60));
        run_to(1 + UnbondingPeriod::get());
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_eq!(held(1), 250);
        run_to(2 + UnbondingPeriod::get());
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_eq!(held(1), 190);
    });
}

#[test]
fn a_bond_is_left_whole_or_at_least_at_the_minimum() {
    Chain::new().run(|| {
        register(1, 150);
        let unbond = |amount| Agents::unbond(RuntimeOrigin::signed(1), amount);
        assert_noop!(unbond(0), Error::<Test>::ZeroAmount);
        assert_noop!(unbond(51), Error::<Test>::BondTooLow);
        assert_noop!(unbond(149), Error::<Test>::BondTooLow);
        assert_noop!(unbond(151), Error::<Test>::BondNotFree);
        assert_ok!(unbond(150));
        assert!(!<Agents as AgentRegistry<_>>::is_active(&1));
        assert_noop!(
            Agents::unbond(RuntimeOrigin::signed(2), 1),
            Error::<Test>::NotRegistered
        );
    });
}

#[test]
fn the_parts_that_unbond_are_bounded_and_those_of_one_block_are_one() {
    Chain::new().run(|| {
        register(1, 1_000);
        for block in 1..=u64::from(MaxUnbonding::get()) {
            run_to(block);
            assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 10));
            assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 10));
        }
        run_to(10);
        assert_noop!(
            Agents::unbond(RuntimeOrigin::signed(1), 10),
            Error::<Test>::TooManyUnbonding
        );
        assert_noop!(
            Agents::deregister(RuntimeOrigin::signed(1)),
            Error::<Test>::TooManyUnbonding
        );
        run_to(1 + UnbondingPeriod::get());
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 10));
    });
}

#[test]
fn with_an_open_round_nothing_is_withdrawn() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 50));
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 30));
        run_to(1 + UnbondingPeriod::get());
        assert_noop!(
            Agents::withdraw_unbonded(RuntimeOrigin::signed(1)),
            Error::<Test>::OpenReservations
        );
        <Agents as AgentRegistry<_>>::release(&1, 30);
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
    });
}

#[test]
fn what_is_reserved_cannot_unbond() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 120));
        assert_noop!(
            Agents::unbond(RuntimeOrigin::signed(1), 31),
            Error::<Test>::BondNotFree
        );
        assert_noop!(
            Agents::unbond(RuntimeOrigin::signed(1), 150),
            Error::<Test>::BondNotFree
        );
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 30));
    });
}

#[test]
fn an_upgrade_that_shortens_the_period_lets_nothing_overtake() {
    Chain::new().run(|| {
        register(1, 300);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 50));
        let due = 1 + UnbondingPeriod::get();
        run_to(2);
        UnbondingPeriod::set(3);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 60));
        assert_eq!(
            events().last(),
            Some(&Event::Unbonding {
                who: 1,
                amount: 60,
                due
            })
        );
        run_to(due - 1);
        assert_noop!(
            Agents::withdraw_unbonded(RuntimeOrigin::signed(1)),
            Error::<Test>::NothingToWithdraw
        );
    });
}
