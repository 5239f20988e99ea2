// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use proptest::prelude::*;
use starling_primitives::{locks::LockId, traits::AgentRegistry};

use crate::{mock::*, Error, Locks, MAX_LOCKS};

type Registry = Agents;

const ID: LockId = LockId::Lanes;

/// The lock of a seat in this epoch.
fn seat(epoch: u32) -> LockId {
    LockId::Seat { lane: 0, epoch }
}

fn lock(who: AccountId, id: LockId, amount: u128, until: u32) -> sp_runtime::DispatchResult {
    <Registry as AgentRegistry<_>>::lock(&who, id, amount, until)
}

fn can_reserve(who: AccountId, amount: u128) -> bool {
    <Registry as AgentRegistry<_>>::can_reserve(&who, amount)
}

fn slash_lock(who: AccountId, id: LockId) -> u128 {
    keep(<Registry as AgentRegistry<_>>::slash_lock(&who, id))
}

#[test]
fn what_is_locked_cannot_be_reserved_until_the_lock_ends() {
    Chain::new().run(|| {
        register(1, 150);
        assert_noop!(lock(1, ID, 151, 10), Error::<Test>::BondNotFree);
        assert_ok!(lock(1, ID, 100, 10));
        assert!(can_reserve(1, 50));
        assert!(!can_reserve(1, 51));
        System::set_block_number(9);
        assert!(!can_reserve(1, 51));
        System::set_block_number(10);
        assert!(can_reserve(1, 150));
    });
}

#[test]
fn a_reserved_bond_cannot_be_locked() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(<Registry as AgentRegistry<_>>::reserve(&1, 100));
        assert!(!<Registry as AgentRegistry<_>>::can_lock(&1, ID, 51));
        assert_ok!(lock(1, ID, 50, 10));
        <Registry as AgentRegistry<_>>::release(&1, 100);
    });
}

#[test]
fn a_lock_grows_and_lasts_longer_and_never_shrinks() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(lock(1, ID, 100, 10));
        assert_ok!(lock(1, ID, 120, 20));
        assert_ok!(lock(1, ID, 110, 5));
        assert_noop!(lock(1, ID, 151, 20), Error::<Test>::BondNotFree);
        assert!(!<Registry as AgentRegistry<_>>::can_lock(&1, ID, 151));
        System::set_block_number(19);
        assert!(can_reserve(1, 30));
        assert!(!can_reserve(1, 31));
        System::set_block_number(20);
        assert!(can_reserve(1, 150));
    });
}

#[test]
fn who_leaves_is_liable_and_cannot_withdraw() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(lock(1, ID, 100, 50));
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        System::set_block_number(30);
        assert_noop!(
            Agents::withdraw_unbonded(RuntimeOrigin::signed(1)),
            Error::<Test>::BondNotFree
        );
        assert_eq!(slash_lock(1, ID), 100);
        assert_eq!(slash_lock(1, ID), 0);
        assert_eq!(held(1), 50);
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_eq!(held(1), 0);
    });
}

#[test]
fn the_free_bond_goes_first() {
    Chain::new().run(|| {
        register(1, 300);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 200));
        assert_ok!(lock(1, ID, 250, 50));
        assert_eq!(slash_lock(1, ID), 250);
        assert_eq!(<Registry as AgentRegistry<_>>::bond(&1), 0);
        assert_eq!(held(1), 50);
    });
}

#[test]
fn a_lock_may_end_with_a_part_of_its_loss() {
    Chain::new().run(|| {
        register(1, 300);
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(1), 100));
        assert_eq!(<Registry as AgentRegistry<_>>::lockable(&1), 300);
        assert_ok!(lock(1, ID, 250, 50));
        assert_ok!(lock(1, seat(1), 30, 50));
        assert_eq!(<Registry as AgentRegistry<_>>::lockable(&1), 20);
        let lost = keep(<Registry as AgentRegistry<_>>::end_lock(&1, ID, 40));
        assert_eq!((lost, held(1)), (40, 260));
        assert_eq!(<Registry as AgentRegistry<_>>::lockable(&1), 230);
        // Never more than what was locked.
        let lost = keep(<Registry as AgentRegistry<_>>::end_lock(&1, seat(1), 1_000));
        assert_eq!((lost, held(1)), (30, 230));
        assert_eq!(keep(<Registry as AgentRegistry<_>>::end_lock(&1, ID, 1)), 0);
    });
}

#[test]
fn the_punished_are_chilled_and_may_be_punished_again() {
    Chain::new().run(|| {
        register(1, 300);
        for _ in 0..2 {
            <Registry as AgentRegistry<_>>::punish(&1);
            assert!(!<Registry as AgentRegistry<_>>::is_active(&1));
        }
        // Who is no agent has nothing to chill.
        <Registry as AgentRegistry<_>>::punish(&9);
    });
}

#[test]
fn locks_are_bounded() {
    Chain::new().run(|| {
        register(1, 150);
        for epoch in 0..MAX_LOCKS {
            assert_ok!(lock(1, seat(epoch), 1, 10));
        }
        let one_more = seat(MAX_LOCKS);
        assert_noop!(lock(1, one_more, 1, 10), Error::<Test>::TooManyLocks);
        System::set_block_number(10);
        assert_ok!(lock(1, one_more, 1, 20));
        assert_eq!(Locks::<Test>::get(1).len(), 1);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an agent does with its bond, what is locked is there when it is slashed.
    #[test]
    fn nobody_escapes_a_lock(
        amount in 1..200u128,
        steps in prop::collection::vec((0..4u8, 1..200u128, 0..12u64), 0..12),
    ) {
        Chain::new().run(|| {
            register(1, 200);
            lock(1, ID, amount, 1_000).unwrap();
            for (step, part, blocks) in steps {
                let origin = RuntimeOrigin::signed(1);
                let _ = match step {
                    0 => Agents::unbond(origin, part),
                    1 => Agents::deregister(origin),
                    2 => Agents::withdraw_unbonded(origin),
                    _ => Agents::bond_extra(origin, part),
                };
                System::set_block_number(System::block_number() + blocks);
            }
            assert_eq!(slash_lock(1, ID), amount);
        });
    }
}
