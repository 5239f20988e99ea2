// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_core::Pair;
use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};
use starling_primitives::{
    choice::{Capabilities, Capability, Choice, Votes},
    locks::LockId,
    traits::AgentRegistry,
};

use crate::{mock::*, Ended, Error, Now, Oldest, Parameters, Settings, VolunteerCount, Volunteers};

#[test]
fn an_epoch_begins_when_the_one_before_is_over() {
    run(|| {
        let first = Now::<Test>::get();
        assert_eq!((first.epoch, first.began, first.ends), (1, 1, 1 + EPOCH));
        to_block(EPOCH);
        assert_eq!(Now::<Test>::get(), first);
        to_block(EPOCH + 1);
        let second = Now::<Test>::get();
        assert_eq!((second.epoch, second.began), (2, first.ends));
        assert!(Settings::<Test>::get(3).is_some());
        assert_eq!(Settings::<Test>::get(4), None);
    });
}

#[test]
fn an_epoch_chooses_in_the_way_in_force_when_the_one_before_it_began() {
    run(|| {
        let votes = Choice::Votes(Votes::default());
        let (id, epoch) = served();
        let choice = |epoch| Settings::<Test>::get(epoch).map(|setting| setting.choice);
        Chosen::set(votes);
        let of_committee = Lanes::committee_view(id, epoch).map(|committee| committee.choice);
        assert_eq!(of_committee, Some(Choice::Paper), "fixed");
        assert_eq!(choice(epoch + 1), Some(Choice::Paper), "fixed");
        to_epoch(epoch + 1);
        assert_eq!(choice(epoch + 2), Some(votes));
        Chosen::set(Choice::Paper);
        to_epoch(epoch + 2);
        assert_eq!(choice(epoch + 2), Some(votes));
    });
}

#[test]
fn a_committee_weighs_by_what_was_known_when_its_members_joined() {
    run(|| {
        let known = |rounds| Capabilities {
            short: Capability {
                rounds,
                ..Capability::default()
            },
            ..Capabilities::default()
        };
        let all = |rounds| (1..=AGENTS).map(move |number| (account(number), known(rounds)));
        Known::set(all(7).collect());
        let (id, epoch) = served();
        Known::set(all(8).collect());
        let before = Lanes::committee_view(id, epoch).unwrap();
        assert!(before.members.iter().all(|member| member.known == known(7)));
        assert_eq!(join(&account(1), epoch + 3), Ok(()));
        let later = Volunteers::<Test>::get(epoch + 3, account(1)).unwrap();
        assert_eq!(later.known, known(8));
        assert_eq!(Lanes::committee_view(id, epoch), Some(before));
    });
}

#[test]
fn an_agent_joins_three_epochs_ahead_and_once() {
    run(|| {
        let who = account(1);
        let early = Refused::Pool(UnknownTransaction::CannotLookup.into());
        let stale = Refused::Pool(InvalidTransaction::Stale.into());
        assert_eq!(join(&who, 5), Err(early));
        assert_eq!(
            join(&who, 3),
            Err(Refused::Pool(InvalidTransaction::Stale.into()))
        );
        assert_eq!(join(&who, 4), Ok(()));
        assert_eq!(join(&who, 4), Err(stale));
        let volunteer = Volunteers::<Test>::get(4, &who).unwrap();
        assert_eq!(volunteer.bond, BOND);
        assert_eq!(volunteer.key, pair(&who).public());
        assert_eq!(VolunteerCount::<Test>::get(4), 1);
    });
}

#[test]
fn strangers_forgers_and_bad_points_are_refused() {
    run(|| {
        assert_eq!(join(&account(50), 4), Err(refused(Error::NotActive)));
        let forged = crate::Call::join {
            agent: account(1),
            epoch: 4,
            point: point(&account(1)),
            peer: [9; 32],
            signature: sign(&account(2), &[0; 32]),
        };
        let bad = Refused::Pool(InvalidTransaction::BadProof.into());
        assert_eq!(send(forged), Err(bad));
        let no_point = crate::Call::join {
            agent: account(1),
            epoch: 4,
            point: [0; 32],
            peer: [9; 32],
            signature: [0; 64],
        };
        assert_eq!(send(no_point), Err(refused(Error::InvalidPoint)));
    });
}

#[test]
fn the_bond_of_a_volunteer_is_locked_until_all_windows_are_over() {
    run(|| {
        let who = account(1);
        assert_eq!(join(&who, 4), Ok(()));
        assert!(Agents::can_reserve(&who, BOND - LANE_BOND));
        assert!(!Agents::can_reserve(&who, BOND - LANE_BOND + 1));
        // What is unbonding covers the lock as well, and does not leave while it must.
        let origin = || RuntimeOrigin::signed(who.clone());
        assert_ok!(Agents::deregister(origin()));
        to_epoch(4);
        to_block(now() + EPOCH + 2 * EPOCH + WINDOW);
        assert!(!Agents::can_lock(&who, LockId::Lanes, BOND + 1));
        to_block(250);
        assert_ok!(Agents::withdraw_unbonded(origin()));
        assert_eq!(bonded(&who), 0);
    });
}

#[test]
fn one_lock_covers_all_epochs() {
    run(|| {
        let who = account(1);
        for epoch in 4..14 {
            to_epoch(epoch - 3);
            assert_eq!(join(&who, epoch), Ok(()));
            assert!(Agents::can_reserve(&who, BOND - LANE_BOND));
            assert!(!Agents::can_reserve(&who, BOND - LANE_BOND + 1));
        }
    });
}

#[test]
fn who_joins_has_a_bond_for_a_seat_besides() {
    run(|| {
        let (poor, rich) = (account(1), account(2));
        let keep = |who: &AccountId, rest| {
            assert_ok!(Agents::slash(
                RuntimeOrigin::root(),
                who.clone(),
                BOND - rest
            ));
        };
        keep(&poor, 2 * LANE_BOND - 1);
        keep(&rich, 2 * LANE_BOND);
        let unknown = Refused::Pool(UnknownTransaction::CannotLookup.into());
        assert_eq!(join(&poor, 4), Err(unknown));
        assert_eq!(join(&rich, 4), Ok(()));
    });
}

#[test]
fn an_epoch_that_may_be_settled_is_not_forgotten_when_epochs_get_shorter() {
    run(|| {
        let long = Parameters {
            epoch: 60,
            ..PARAMETERS
        };
        assert_ok!(Lanes::set_parameters(RuntimeOrigin::root(), long));
        to_epoch(2);
        assert_ok!(Lanes::set_parameters(RuntimeOrigin::root(), PARAMETERS));
        let present = Now::<Test>::get();
        to_block(present.ends - 1);
        assert!(Ended::<Test>::get(1).is_some_and(|ended| ended + PARAMETERS.kept() <= now()));
        assert_eq!(Now::<Test>::get(), present);
        assert!(!Lanes::is_over(1), "its settlements are still accepted");
        to_epoch(3);
        assert!(Lanes::is_over(1));
    });
}

#[test]
fn an_agent_that_leaves_stays_out_and_its_bond_stays_locked() {
    run(|| {
        let who = account(1);
        assert_eq!(leave(&who, 4), Err(refused(Error::NotJoined)));
        assert_eq!(join(&who, 4), Ok(()));
        assert_eq!(leave(&who, 4), Ok(()));
        assert!(Agents::can_reserve(&who, BOND - LANE_BOND));
        assert!(!Agents::can_reserve(&who, BOND - LANE_BOND + 1));
        let stale = Refused::Pool(InvalidTransaction::Stale.into());
        assert_eq!(join(&who, 4), Err(stale));
        assert_eq!(leave(&who, 4), Err(refused(Error::NotJoined)));
        assert!(!Lanes::has_joined(&who, 4));
    });
}

#[test]
fn nobody_leaves_once_the_epoch_is_over() {
    run(|| {
        assert_eq!(join(&account(1), 4), Ok(()));
        to_epoch(2);
        let stale = Refused::Pool(InvalidTransaction::Stale.into());
        assert_eq!(leave(&account(1), 4), Err(stale));
    });
}

#[test]
fn volunteers_are_bounded_and_forgotten() {
    run(|| {
        MaxVolunteers::set(2);
        assert_eq!(join(&account(1), 4), Ok(()));
        assert_eq!(join(&account(2), 4), Ok(()));
        assert_eq!(join(&account(3), 4), Err(refused(Error::TooManyVolunteers)));
        to_epoch(4);
        assert!(Settings::<Test>::get(4).is_some());
        to_epoch(12);
        assert!(Oldest::<Test>::get() > 4);
        assert_eq!(Volunteers::<Test>::iter_prefix(4).count(), 0);
        assert_eq!(VolunteerCount::<Test>::get(4), 0);
        assert_eq!(Settings::<Test>::get(4), None);
        MaxVolunteers::set(32);
    });
}

#[test]
fn a_call_without_authorization_is_refused() {
    run(|| {
        let join = Lanes::join(
            RuntimeOrigin::signed(account(1)),
            account(1),
            4,
            point(&account(1)),
            [9; 32],
            [0; 64],
        );
        assert_noop!(join, sp_runtime::DispatchError::BadOrigin);
    });
}
