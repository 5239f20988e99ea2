// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Error, Event};

type Registry = Agents;

fn reserve(who: AccountId, amount: u128) -> frame_support::pallet_prelude::DispatchResult {
    <Registry as AgentRegistry<_>>::reserve(&who, amount)
}

#[test]
fn the_free_bond_bounds_what_can_be_reserved() {
    Chain::new().run(|| {
        assert_noop!(reserve(1, 1), Error::<Test>::NotRegistered);
        register(1, 150);
        assert_ok!(reserve(1, 100));
        assert!(!<Registry as AgentRegistry<_>>::can_reserve(&1, 51));
        assert_noop!(reserve(1, 51), Error::<Test>::BondNotFree);
        assert!(<Registry as AgentRegistry<_>>::can_reserve(&1, 50));
        assert_ok!(reserve(1, 50));
        assert_eq!(<Registry as AgentRegistry<_>>::reservations(&1), (2, 150));
    });
}

#[test]
fn a_released_reservation_costs_nothing() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(reserve(1, 100));
        <Registry as AgentRegistry<_>>::release(&1, 100);
        assert_eq!(<Registry as AgentRegistry<_>>::reservations(&1), (0, 0));
        assert_eq!(<Registry as AgentRegistry<_>>::bond(&1), 150);
        assert_ok!(reserve(1, 150));
    });
}

#[test]
fn a_slashed_reservation_is_the_callers() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(reserve(1, 40));
        assert_ok!(reserve(1, 20));
        let treasury = free(TREASURY);
        let credit = <Registry as AgentRegistry<_>>::slash_reserved(&1, 40);
        assert_eq!(free(TREASURY), treasury, "the caller decides who gets it");
        assert_eq!(keep(credit), 40);
        assert_eq!(held(1), 110);
        assert_eq!(<Registry as AgentRegistry<_>>::bond(&1), 110);
        assert_eq!(<Registry as AgentRegistry<_>>::reservations(&1), (1, 20));
        assert_eq!(
            events().last(),
            Some(&Event::Slashed { who: 1, amount: 40 })
        );
    });
}

#[test]
fn an_agent_slashed_below_the_minimum_is_out_of_new_rounds_but_stays_in_its_open_ones() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(reserve(1, 40));
        assert_ok!(reserve(1, 20));
        keep(<Registry as AgentRegistry<_>>::slash_reserved(&1, 40));
        assert!(!<Registry as AgentRegistry<_>>::is_active(&1));
        assert_noop!(reserve(1, 1), Error::<Test>::NotActive);
        assert_eq!(<Registry as AgentRegistry<_>>::agent_of(&key(1)), Some(1));
        <Registry as AgentRegistry<_>>::release(&1, 20);
    });
}

#[test]
fn chilling_does_not_end_what_is_open() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(reserve(1, 40));
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_eq!(<Registry as AgentRegistry<_>>::reservations(&1), (1, 40));
        keep(<Registry as AgentRegistry<_>>::slash_reserved(&1, 40));
        assert_eq!(<Registry as AgentRegistry<_>>::bond(&1), 60);
    });
}

#[test]
fn the_watermark_tells_who_was_active_then() {
    Chain::new().run(|| {
        register(1, 100);
        register(2, 100);
        let watermark = <Registry as AgentRegistry<_>>::activations();
        register(3, 100);
        let was_active = |who| {
            <Registry as AgentRegistry<_>>::activation(&who)
                .is_some_and(|ordinal| ordinal < watermark)
        };
        assert_eq!([1, 2, 3, 4].map(was_active), [true, true, false, false]);
        // A change of the bond is not an activation.
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(1), 5));
        assert!(was_active(1));
    });
}
