// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::TokenError;
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Candidates, Error, Event};

#[test]
fn a_bond_grows_and_so_does_the_candidates_place() {
    Chain::new().run(|| {
        register(1, 100);
        register(2, 100);
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(2), 1));
        assert_eq!(
            events().last(),
            Some(&Event::Bonded {
                who: 2,
                amount: 1,
                bond: 101
            })
        );
        assert_eq!(held(2), 101);
        let order: Vec<_> = Candidates::<Test>::get()
            .into_iter()
            .map(|c| c.who)
            .collect();
        assert_eq!(order, [2, 1]);
    });
}

#[test]
fn nothing_cannot_be_bonded_nor_more_than_there_is_nor_by_a_stranger() {
    Chain::new().run(|| {
        assert_noop!(
            Agents::bond_extra(RuntimeOrigin::signed(1), 1),
            Error::<Test>::NotRegistered
        );
        register(1, 100);
        assert_noop!(
            Agents::bond_extra(RuntimeOrigin::signed(1), 0),
            Error::<Test>::ZeroAmount
        );
        assert_noop!(
            Agents::bond_extra(RuntimeOrigin::signed(1), ENDOWMENT),
            TokenError::FundsUnavailable
        );
    });
}

#[test]
fn an_agent_that_was_slashed_below_the_minimum_is_active_again_when_it_bonds_enough() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(Agents::slash(RuntimeOrigin::root(), 1, 2));
        assert!(!<Agents as AgentRegistry<_>>::is_active(&1));
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(1), 1));
        assert!(!<Agents as AgentRegistry<_>>::is_active(&1));
        assert!(Candidates::<Test>::get().is_empty());
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(1), 1));
        assert!(<Agents as AgentRegistry<_>>::is_active(&1));
        assert_eq!(Candidates::<Test>::get().len(), 1);
    });
}
