// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_ok;

use crate::{mock::*, Event};

/// The validators two sessions later: a set is queued for one session before it is in force.
fn validators_in_two_sessions() -> Vec<AccountId> {
    run_to((System::block_number() / SESSION + 2) * SESSION);
    assert_eq!(Session::validators(), Authorities::get());
    Authorities::get()
}

#[test]
fn the_highest_bonds_with_session_keys_become_the_validators() {
    Chain::new().run(|| {
        for (who, bond) in [(1, 100), (2, 500), (3, 400), (4, 300), (5, 200)] {
            register(who, bond);
            if who != 3 {
                set_session_keys(who);
            }
        }
        assert_eq!(validators_in_two_sessions(), [2, 4, 5]);
    });
}

/// Six agents for five seats.
fn six_for_five() -> Chain {
    MaxCandidates::set(6);
    MaxValidators::set(5);
    Chain::with_agents(&[(1, 600), (2, 590), (3, 580), (4, 570), (5, 560), (6, 550)])
}

fn sorted(mut validators: Vec<AccountId>) -> Vec<AccountId> {
    validators.sort();
    validators
}

#[test]
fn a_chilled_validator_is_replaced() {
    six_for_five().run(|| {
        assert_eq!(Authorities::get(), [1, 2, 3, 4, 5]);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(2)));
        assert_eq!(validators_in_two_sessions(), [1, 3, 4, 5, 6]);
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(2)));
        sessions(3);
        assert_eq!(sorted(validators_in_two_sessions()), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_slashed_validator_falls_back() {
    six_for_five().run(|| {
        assert_ok!(Agents::slash(RuntimeOrigin::root(), 1, 501));
        assert_eq!(validators_in_two_sessions(), [2, 3, 4, 5, 6]);
    });
}

#[test]
fn with_too_few_candidates_the_validators_stay() {
    Chain::with_agents(&[(1, 400), (2, 300), (3, 200)]).run(|| {
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_eq!(validators_in_two_sessions(), [2, 3]);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(2)));
        assert_eq!(validators_in_two_sessions(), [3, 2]);
        assert_eq!(
            events().last(),
            Some(&Event::ValidatorsKept { candidates: 1 })
        );
        assert_eq!(validators_in_two_sessions(), [3, 2]);
    });
}

#[test]
fn bonds_without_session_keys_do_not_count_as_validators() {
    Chain::with_agents(&[(1, 400), (2, 300)]).run(|| {
        for who in 3..=5 {
            register(who, 1_000);
        }
        assert_eq!(validators_in_two_sessions(), [1, 2]);
    });
}
