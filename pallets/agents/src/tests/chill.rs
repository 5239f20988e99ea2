// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::traits::AgentRegistry;

use crate::{mock::*, Candidates, Error, Event};

#[test]
fn a_chilled_agent_is_neither_active_nor_a_candidate_and_keeps_its_key() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_eq!(
            events()[2..],
            [
                Event::Chilled { who: 1 },
                Event::CandidateRemoved { who: 1 }
            ]
        );
        assert!(!<Agents as AgentRegistry<_>>::is_active(&1));
        assert_eq!(<Agents as AgentRegistry<_>>::active_count(), 0);
        assert!(Candidates::<Test>::get().is_empty());
        assert_noop!(
            <Agents as AgentRegistry<_>>::reserve(&1, 1),
            Error::<Test>::NotActive
        );
        assert_eq!(<Agents as AgentRegistry<_>>::agent_of(&key(1)), Some(1));
    });
}

#[test]
fn an_unchilled_agent_is_active_at_once_with_a_new_activation() {
    Chain::new().run(|| {
        register(1, 100);
        let watermark = <Agents as AgentRegistry<_>>::activations();
        assert!(<Agents as AgentRegistry<_>>::activation(&1) < Some(watermark));
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(1)));
        assert!(<Agents as AgentRegistry<_>>::is_active(&1));
        // It was away, so it does not count among the agents that were active at the watermark.
        assert_eq!(
            <Agents as AgentRegistry<_>>::activation(&1),
            Some(watermark)
        );
        assert_eq!(Candidates::<Test>::get().len(), 1);
    });
}

#[test]
fn chilling_and_unchilling_twice_is_refused() {
    Chain::new().run(|| {
        let chill = || Agents::chill(RuntimeOrigin::signed(1));
        let unchill = || Agents::unchill(RuntimeOrigin::signed(1));
        assert_noop!(chill(), Error::<Test>::NotRegistered);
        assert_noop!(unchill(), Error::<Test>::NotRegistered);
        register(1, 100);
        assert_noop!(unchill(), Error::<Test>::NotChilled);
        assert_ok!(chill());
        assert_noop!(chill(), Error::<Test>::AlreadyChilled);
        assert_ok!(unchill());
    });
}

#[test]
fn an_agent_without_the_minimum_bond_stays_chilled() {
    Chain::new().run(|| {
        register(1, 100);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_ok!(Agents::slash(RuntimeOrigin::root(), 1, 1));
        assert_noop!(
            Agents::unchill(RuntimeOrigin::signed(1)),
            Error::<Test>::BondTooLow
        );
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(1), 1));
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(1)));
    });
}
