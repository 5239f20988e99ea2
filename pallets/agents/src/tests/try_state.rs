// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_ok, traits::fungible::MutateHold, BoundedVec};
use starling_primitives::traits::AgentRegistry;

use crate::{
    mock::*, ActiveCount, Agent, Agents as Registered, Bar, Barred, Candidates, Debts, KeyOwner,
    Seats,
};

/// The error of `do_try_state` after `f` broke the state.
fn broken(f: impl FnOnce()) -> String {
    let mut said = String::new();
    let mut externalities =
        sp_io::TestExternalities::from(Chain::with_agents(&[(1, 200), (2, 100)]).storage());
    externalities.execute_with(|| {
        System::set_block_number(1);
        assert_ok!(Agents::do_try_state());
        f();
        said = format!("{:?}", Agents::do_try_state().expect_err("a broken state"));
    });
    said
}

fn change(who: AccountId, f: impl FnOnce(&mut Agent)) {
    Registered::<Test>::mutate(who, |agent| f(agent.as_mut().unwrap()));
}

#[test]
fn a_broken_state_is_noticed() {
    for (f, expected) in [
        (
            (|| change(1, |agent| agent.reserved = 201)) as fn(),
            "more is reserved than bonded",
        ),
        (
            || change(1, |agent| agent.reserved = 1),
            "a reservation without a round",
        ),
        (
            || change(1, |agent| agent.next_key = Some(key(9))),
            "a key waits for no round",
        ),
        (
            || change(1, |agent| agent.chilled = true),
            "active is not what bond and chill say",
        ),
        (
            || change(1, |agent| agent.activation = Some(9)),
            "an activation of the future",
        ),
        (
            || change(1, |agent| agent.activation = Some(1)),
            "two agents share an activation",
        ),
        (|| KeyOwner::<Test>::insert(key(1), 2), "a key is another's"),
        (
            || ActiveCount::<Test>::put(3),
            "the count of active agents is wrong",
        ),
        (
            || {
                let reason = crate::HoldReason::Bond.into();
                assert_ok!(Balances::hold(&reason, &1, 1));
            },
            "the held funds are not those on record",
        ),
        (
            || Candidates::<Test>::mutate(|list| list.as_mut().reverse()),
            "candidates out of order",
        ),
        (
            || Candidates::<Test>::mutate(|list| list[1].bond = 99),
            "a candidate's bond is not its bond",
        ),
        (
            || Candidates::<Test>::mutate(|list| list[1] = list[0].clone()),
            "a candidate is twice on the list",
        ),
        (
            || Candidates::<Test>::mutate(|list| list[1].who = 7),
            "a candidate is not an agent",
        ),
        (
            || Seats::<Test>::mutate(|seats| seats[1] = seats[0].clone()),
            "a validator has two seats",
        ),
        (
            || Seats::<Test>::mutate(|seats| seats[1].voted = false),
            "unproven validators can stop finality",
        ),
        (
            || {
                let bar = Bar {
                    who: 1,
                    until: 9,
                    offence: false,
                };
                Barred::<Test>::put(BoundedVec::truncate_from(vec![bar.clone(), bar]));
            },
            "an agent is barred twice",
        ),
        (
            || Debts::<Test>::insert(1, 0),
            "a debt that no round has a claim on",
        ),
    ] {
        assert!(broken(f).contains(expected), "{expected}");
    }
}

#[test]
fn a_sound_state_with_reservations_passes() {
    Chain::with_agents(&[(1, 200)]).run(|| {
        assert_ok!(<Agents as AgentRegistry<_>>::reserve(&1, 10));
        assert_ok!(Agents::rotate_key(
            RuntimeOrigin::signed(1),
            key(9),
            proof(9, 1)
        ));
    });
}
