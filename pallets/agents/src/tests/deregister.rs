// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Agents as Registered, Candidates, Error, Event};

#[test]
fn the_bond_unbonds_and_the_key_is_void() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        let due = 1 + UnbondingPeriod::get();
        assert_eq!(
            events()[2..],
            [
                Event::Unbonding {
                    who: 1,
                    amount: 150,
                    due
                },
                Event::CandidateRemoved { who: 1 },
                Event::Deregistered { who: 1 },
            ]
        );
        assert!(!Registered::<Test>::contains_key(1));
        assert!(Candidates::<Test>::get().is_empty());
        assert_eq!(<Agents as AgentRegistry<_>>::active_count(), 0);
        assert_eq!(<Agents as AgentRegistry<_>>::agent_of(&key(1)), None);
        assert_eq!(<Agents as AgentRegistry<_>>::bond(&1), 0);

        run_to(due);
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_eq!(free(1), ENDOWMENT - KeyFee::get());
        assert_eq!(held(1), 0);
    });
}

#[test]
fn a_former_agent_may_come_back_with_a_new_key_while_the_old_bond_unbonds() {
    Chain::new().run(|| {
        register(1, 150);
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        assert_noop!(
            Agents::register(
                RuntimeOrigin::signed(1),
                key(1),
                proof(1, 1),
                model("m"),
                100
            ),
            Error::<Test>::KeyInUse
        );
        assert_ok!(Agents::register(
            RuntimeOrigin::signed(1),
            key(50),
            proof(50, 1),
            model("m"),
            100
        ));
        assert_eq!(held(1), 250);
        run_to(1 + UnbondingPeriod::get());
        assert_ok!(Agents::withdraw_unbonded(RuntimeOrigin::signed(1)));
        assert_eq!(held(1), 100);
    });
}

#[test]
fn an_agent_with_an_open_round_stays() {
    Chain::new().run(|| {
        assert_noop!(
            Agents::deregister(RuntimeOrigin::signed(1)),
            Error::<Test>::NotRegistered
        );
        register(1, 150);
        // A reservation of nothing is one, too: the round still needs the key.
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 0));
        assert_noop!(
            Agents::deregister(RuntimeOrigin::signed(1)),
            Error::<Test>::OpenReservations
        );
        <Agents as AgentRegistry<_>>::release(&1, 0);
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
    });
}

#[test]
fn an_agent_without_a_bond_leaves_too() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(Agents::slash(RuntimeOrigin::root(), 1, 100));
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
        assert_eq!(held(1), 0);
    });
}
