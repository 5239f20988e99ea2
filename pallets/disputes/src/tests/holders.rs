// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use frame_support::{assert_noop, assert_ok};
use sp_runtime::{traits::Zero, transaction_validity::InvalidTransaction};
use starling_primitives::H256;

use crate::{mock::*, Error, HolderCount, Holders, Phase};

/// Holds by the account of `who`, which names the errors.
fn hold_signed(
    who: &AccountId,
    models: &[[u8; 32]],
    at: u32,
) -> frame_support::dispatch::DispatchResult {
    let origin = RuntimeOrigin::signed(who.clone());
    Disputes::hold(origin, who.clone(), models.to_vec(), at, None)
}

/// The committee that some seed draws.
fn drawn(id: crate::CaseId, seed: u64, size: u32) -> Vec<AccountId> {
    let (members, _) = Disputes::draw(&case(id), H256::from_low_u64_be(seed), size);
    members.into_inner()
}

#[test]
fn an_agent_holds_what_it_says_until_it_says_otherwise() {
    run(|| {
        let who = account(4);
        assert_eq!(hold(&who, &[[1; 32], MODEL]), Ok(()));
        to_block(now() + 8);
        assert_eq!(hold(&who, &[MODEL, [8; 32]]), Ok(()));
        assert_eq!(
            Holders::<Test>::get(MODEL, &who),
            Some(1),
            "it still counts from then"
        );
        assert_eq!(Holders::<Test>::get([8; 32], &who), Some(9));
        assert!(HolderCount::<Test>::get([1; 32]).is_zero());
        to_block(now() + 8);
        assert_eq!(hold(&who, &[]), Ok(()));
        assert_eq!(Holders::<Test>::iter().count(), 0);
    });
}

#[test]
fn what_nobody_can_hold_is_refused_by_name() {
    run(|| {
        let who = account(4);
        let refused = |models: &[[u8; 32]], at| hold_signed(&who, models, at).unwrap_err();
        assert_eq!(refused(&[MODEL, MODEL], 1), Error::<Test>::BadModels.into());
        assert_eq!(
            refused(&[MODEL, [1; 32]], 1),
            Error::<Test>::BadModels.into()
        );
        let nine: Vec<_> = (0..9).map(|n| [n; 32]).collect();
        assert_eq!(refused(&nine, 1), Error::<Test>::BadModels.into());
        assert_eq!(refused(&[MODEL], 2), Error::<Test>::TooEarly.into());
        assert_ok!(hold_signed(&who, &[MODEL], 1));
        // The same again, by whoever has seen it.
        assert_eq!(refused(&[MODEL], 1), Error::<Test>::TooLate.into());
        to_block(8);
        assert_eq!(refused(&[MODEL], 8), Error::<Test>::TooEarly.into());
        to_block(10);
        assert_eq!(refused(&[MODEL], 2), Error::<Test>::TooLate.into());
        assert_noop!(
            hold_signed(&account(100), &[MODEL], 10),
            Error::<Test>::NotAnAgent
        );
        let bad = crate::Call::hold {
            agent: who,
            models: vec![],
            at: 10,
            signature: Some([3; 64]),
        };
        let proof = InvalidTransaction::BadProof.into();
        assert_eq!(send(bad), Err(Refused::Pool(proof)));
    });
}

#[test]
fn an_idle_holder_gives_its_place_away() {
    run(|| {
        MaxHolders::set(2);
        for number in [4, 5] {
            assert_eq!(hold(&account(number), &[MODEL]), Ok(()));
        }
        assert_noop!(
            hold_signed(&account(6), &[MODEL], 1),
            Error::<Test>::TooManyHolders
        );
        assert_ok!(Agents::chill(RuntimeOrigin::signed(account(4))));
        assert_eq!(hold(&account(6), &[MODEL]), Ok(()));
        assert_eq!(Holders::<Test>::get(MODEL, account(4)), None);
        assert!(Disputes::held_by(&account(4)).0.is_empty());
        MaxHolders::set(64);
    });
}

#[test]
fn parties_the_idle_and_late_comers_are_not_drawn() {
    run_with(10, || {
        for who in accused().into_iter().chain([accuser()]) {
            assert_eq!(hold(&who, &[MODEL]), Ok(()));
        }
        to_block(now() + PARAMETERS.holder_delay);
        assert_eq!(hold(&account(4), &[MODEL]), Ok(()));
        let id = opened(1);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(account(AGENTS))));
        let everybody: BTreeSet<_> = drawn(id, 1, 21).into_iter().collect();
        let expected: BTreeSet<_> = (AGENTS - 9..AGENTS).map(account).collect();
        assert_eq!(everybody, expected);
    });
}

#[test]
fn a_bond_that_grew_of_late_does_not_count() {
    run_with(2, || {
        let rich = account(AGENTS);
        let extra = BOND * 50;
        assert_ok!(Agents::bond_extra(
            RuntimeOrigin::signed(rich.clone()),
            extra
        ));
        let id = opened(1);
        let first = |seed| drawn(id, seed, 1) == [rich.clone()];
        let wins = (0..400).filter(|seed| first(*seed)).count();
        // With the bond of before it is as good as the other one.
        assert!((120..280).contains(&wins), "{wins} of 400");
    });
}

#[test]
fn a_second_growth_does_not_make_the_first_one_count() {
    run_with(2, || {
        let parameters = crate::Parameters {
            holder_delay: 60,
            ..PARAMETERS
        };
        assert_ok!(Disputes::set_parameters(RuntimeOrigin::root(), parameters));
        to_block(now() + 60);
        let rich = account(AGENTS);
        let grow = |extra| Agents::bond_extra(RuntimeOrigin::signed(rich.clone()), extra);
        assert_ok!(grow(BOND * 50));
        // No round is that long.
        to_block(now() + 30);
        assert_ok!(grow(1));
        let id = opened(1);
        let first = |seed| drawn(id, seed, 1) == [rich.clone()];
        let wins = (0..400).filter(|seed| first(*seed)).count();
        assert!((120..280).contains(&wins), "{wins} of 400");
    });
}

#[test]
fn bonds_buy_places_in_proportion() {
    run(|| {
        let rich = account(AGENTS);
        assert_ok!(Agents::bond_extra(
            RuntimeOrigin::signed(rich.clone()),
            BOND * 3
        ));
        to_block(now() + 1);
        for number in [AGENTS - 1, AGENTS] {
            assert_eq!(hold(&account(number), &[MODEL]), Ok(()));
        }
        to_block(now() + PARAMETERS.holder_delay + 1);
        let id = opened(1);
        let first = |seed| drawn(id, seed, 1) == [rich.clone()];
        let wins = (0..400).filter(|seed| first(*seed)).count();
        // Four of five parts, though not exactly: the lower of two quotients wins.
        assert!((300..390).contains(&wins), "{wins} of 400");
    });
}

#[test]
fn the_draw_waits_for_randomness_that_nobody_knew() {
    run_with(10, || {
        let id = opened(1);
        let opened = now();
        to_phase(id, Phase::Committing);
        assert_eq!(now(), opened + PARAMETERS.drawing);
        let case = case(id);
        assert_eq!(case.committee.len(), 5);
        let seed = starling_primitives::draw::case_seed(H256::from_low_u64_be(now().into()), id, 0);
        assert_eq!(case.draw, seed);
    });
}
