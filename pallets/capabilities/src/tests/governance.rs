// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;
use starling_primitives::choice::{Choice, Votes};

use crate::{mock::*, Chosen, Error, Event, Examiners, Pool, Traffic};

#[test]
fn governance_alone_names_examiners_and_sets_pool_and_choice() {
    run(|| {
        let stranger = || RuntimeOrigin::signed(EXAMINERS[0]);
        let examiners = vec![7].try_into().expect("one");
        assert_noop!(
            Capabilities::set_examiners(stranger(), examiners),
            DispatchError::BadOrigin
        );
        assert_noop!(
            Capabilities::set_pool(stranger(), None),
            DispatchError::BadOrigin
        );
        assert_noop!(
            Capabilities::set_choice(stranger(), Choice::Paper),
            DispatchError::BadOrigin
        );

        let choice = Choice::Votes(Votes::default());
        assert_ok!(Capabilities::set_choice(RuntimeOrigin::root(), choice));
        assert_eq!(Chosen::<Test>::get(), choice);
        assert_ok!(Capabilities::set_pool(RuntimeOrigin::root(), None));
        assert_eq!(Pool::<Test>::get(), None);
        assert_eq!(
            events(),
            [
                Event::<Test>::ChoiceSet { choice },
                Event::<Test>::PoolSet { pool: None }
            ]
        );
    });
}

#[test]
fn an_examiner_that_leaves_starts_again_when_it_returns() {
    run(|| {
        EXAMINERS.iter().for_each(|who| has_asked(*who));
        let [a, b, c] = EXAMINERS;
        let set = |examiners: Vec<AccountId>| {
            let examiners = examiners.try_into().expect("a few");
            Capabilities::set_examiners(RuntimeOrigin::root(), examiners)
        };
        assert_ok!(set(vec![c, a]));
        assert!(Traffic::<Test>::contains_key(a) && !Traffic::<Test>::contains_key(b));
        assert_ok!(set(vec![b, c]));
        assert_eq!(Traffic::<Test>::get(b).asked, 0);
        assert_eq!(Traffic::<Test>::get(c).asked, 1_000);
        assert_noop!(set(vec![a, b, a]), Error::<Test>::DuplicateExaminer);
        assert_ok!(set(vec![]));
        assert!(Examiners::<Test>::get().is_empty());
        assert_eq!(Traffic::<Test>::iter().count(), 0);
    });
}
