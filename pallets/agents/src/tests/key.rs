// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::{traits::AgentRegistry, H256};

use crate::{mock::*, Error, Event};

fn rotate(who: AccountId, n: u8) -> frame_support::pallet_prelude::DispatchResult {
    Agents::rotate_key(RuntimeOrigin::signed(who), key(n), proof(n, who))
}

fn agent_of(n: u8) -> Option<AccountId> {
    <Agents as AgentRegistry<_>>::agent_of(&key(n))
}

#[test]
fn without_open_rounds_a_new_key_is_in_force_at_once() {
    Chain::new().run(|| {
        register(1, 100);
        let before = free(1);
        assert_ok!(rotate(1, 50));
        assert_eq!(
            events().last(),
            Some(&Event::KeyRotated {
                who: 1,
                key: key(50)
            })
        );
        assert_eq!((agent_of(1), agent_of(50)), (None, Some(1)));
        // What the old key has signed is still the agent's.
        assert_eq!([1, 50].map(|n| Agents::owner_of(&key(n))), [Some(1); 2]);
        assert_eq!(free(1), before - KeyFee::get());
    });
}

#[test]
fn others_hear_of_a_key_in_force_of_another_model_and_of_who_leaves() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 10));
        assert_ok!(rotate(1, 50));
        assert!(Changed::get().is_empty());
        <Agents as AgentRegistry<_>>::release(&1, 10);
        assert_eq!(Changed::get(), [1]);
        let mut other = crate::Agents::<Test>::get(1).unwrap().model;
        assert_ok!(Agents::set_model(RuntimeOrigin::signed(1), other.clone()));
        assert_eq!(Changed::get(), [1]);
        other.hash = H256::repeat_byte(9);
        assert_ok!(Agents::set_model(RuntimeOrigin::signed(1), other));
        assert_eq!(Changed::get(), [1, 1]);
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        assert_eq!(Changed::get(), [1, 1, 1]);
    });
}

#[test]
fn a_new_key_waits_for_the_last_open_round() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 10));
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 10));
        assert_ok!(rotate(1, 50));
        assert_eq!(
            events().last(),
            Some(&Event::KeyRotationScheduled {
                who: 1,
                key: key(50)
            })
        );
        <Agents as AgentRegistry<_>>::release(&1, 10);
        assert_eq!((agent_of(1), agent_of(50)), (Some(1), None));
        keep(<Agents as AgentRegistry<_>>::slash_reserved(&1, 10));
        assert_eq!((agent_of(1), agent_of(50)), (None, Some(1)));
        assert!(events().contains(&Event::KeyRotated {
            who: 1,
            key: key(50)
        }));
    });
}

#[test]
fn a_key_that_waited_and_was_replaced_is_lost() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 10));
        assert_ok!(rotate(1, 50));
        assert_ok!(rotate(1, 51));
        <Agents as AgentRegistry<_>>::release(&1, 10);
        assert_eq!((agent_of(50), agent_of(51)), (None, Some(1)));
        assert_noop!(rotate(1, 50), Error::<Test>::KeyInUse);
    });
}

#[test]
fn a_key_is_never_reused_not_even_by_its_own_agent() {
    Chain::new().run(|| {
        register(1, 100);
        register(2, 100);
        assert_noop!(rotate(1, 1), Error::<Test>::KeyInUse);
        assert_noop!(rotate(1, 2), Error::<Test>::KeyInUse);
        assert_ok!(rotate(1, 50));
        assert_noop!(rotate(1, 1), Error::<Test>::KeyInUse);
        assert_noop!(rotate(2, 1), Error::<Test>::KeyInUse);
    });
}

#[test]
fn a_rotation_needs_a_registration_and_a_proof() {
    Chain::new().run(|| {
        assert_noop!(rotate(1, 50), Error::<Test>::NotRegistered);
        register(1, 100);
        assert_noop!(
            Agents::rotate_key(RuntimeOrigin::signed(1), key(50), proof(50, 2)),
            Error::<Test>::InvalidProof
        );
        assert_eq!(agent_of(1), Some(1));
    });
}

#[test]
fn a_rotation_that_cannot_be_paid_is_refused() {
    Chain::new().run(|| {
        register(1, ENDOWMENT - KeyFee::get() - EXISTENTIAL_DEPOSIT);
        assert_noop!(rotate(1, 50), sp_runtime::TokenError::FundsUnavailable);
    });
}
