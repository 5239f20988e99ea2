// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use starling_primitives::{
    fixed::ONE,
    quality::{after, NEWCOMER},
    traits::Ratings as _,
    Score,
};

fn plays(rounds: u32, judge: impl Fn(AccountId, AccountId) -> Score + Copy) {
    for _ in 0..rounds {
        let id = ask();
        play(id, 8, judge);
        while Agenda::<Test>::get().iter().any(|due| due.round == id) {
            next_block();
        }
    }
}

#[test]
fn ratings_move_in_pages_after_the_end() {
    run(|| {
        let id = ask();
        play(id, 8, honest);
        assert_eq!(phase(id), Phase::Done, "the answer is there at once");
        assert_eq!(round(id).rated, 0);
        for rated in [3, 6, 8] {
            next_block();
            assert_eq!(round(id).rated, rated);
        }
        assert!(Agenda::<Test>::get().is_empty());
        assert!(LastEvents::get().contains(&Event::Rated { round: id }));
        for who in 1..=8 {
            assert_eq!(pallet_ratings::Records::<Test>::get(who).rounds, 1);
        }
    });
}

#[test]
fn answers_leave_a_record_by_what_others_say_of_them() {
    run(|| {
        let seen = |author: &AccountId| honest(0, *author).0;
        let best = (1..=8).max_by_key(seen).unwrap();
        let worst = (1..=8).min_by_key(seen).unwrap();
        plays(3, honest);
        assert!(Ratings::quality(&best) > NEWCOMER);
        assert!(Ratings::quality(&worst) < NEWCOMER);
        assert_eq!(Ratings::quality(&9), NEWCOMER, "has answered nothing");
    });
}

#[test]
fn what_an_agent_says_of_others_does_not_move_its_own_record() {
    // Everybody ranks all others.
    MinRankings::set(7);
    let record = |judge: fn(AccountId, AccountId) -> Score| {
        run(|| {
            plays(1, judge);
            Ratings::quality(&4)
        })
    };
    // Better than four of seven.
    let fair = after(NEWCOMER, ONE * 8 / 14);
    assert_eq!(record(honest), fair);
    let unfair = |who, author| match who {
        4 => Score(0),
        _ => honest(who, author),
    };
    assert_eq!(record(unfair), fair);
}

#[test]
fn an_honest_ranker_outrates_one_that_says_the_opposite() {
    run(|| {
        plays(3, all_honest_but(8));
        assert!(Ratings::rating(&1) > Ratings::rating(&8), "in the end");
        assert!(Ratings::weight(&8) < Ratings::weight(&1));
        assert!(Ratings::rating(&1) <= ONE);
    });
}

#[test]
fn rankers_that_all_fell_below_the_floor_still_decide_and_can_rise_again() {
    run(|| {
        for who in AGENTS {
            let strayed = starling_primitives::rating::Deviations {
                squares: 4 << 64,
                count: 16,
            };
            Ratings::record(&who, strayed);
            assert!(Ratings::rating(&who) > 0);
            assert_eq!(Ratings::weight(&who), 0);
        }
        let before = Ratings::rating(&1);
        plays(1, honest);
        assert_eq!(phase(0), Phase::Done);
        assert!(Ratings::rating(&1) > before);
        let Response::Valid { weight, rating, .. } = response_of(0, 1) else {
            panic!()
        };
        assert_eq!((weight, rating), (before, before));
    });
}

#[test]
fn a_rating_survives_the_registration() {
    run(|| {
        plays(3, all_honest_but(8));
        let bad = Ratings::rating(&8);
        assert!(bad < Ratings::rating(&9), "worse than a newcomer");
        frame_support::assert_ok!(Agents::deregister(RuntimeOrigin::signed(8)));
        assert_eq!(Ratings::rating(&8), bad);
        let next = sp_core::Pair::from_seed(&[8; 32]);
        let next: starling_primitives::crypto::InferencePair = next;
        let model = pallet_agents::ModelDescriptor {
            name: b"another".to_vec().try_into().unwrap(),
            hash: starling_primitives::H256::zero(),
        };
        let payload =
            starling_primitives::messages::ownership_payload(System::block_hash(0), &8u64);
        frame_support::assert_ok!(Agents::register(
            RuntimeOrigin::signed(8),
            sp_core::Pair::public(&next),
            sp_core::Pair::sign(&next, &payload),
            model,
            BOND,
        ));
        assert_eq!(
            Ratings::rating(&8),
            bad,
            "an agent that comes back keeps its rating"
        );
    });
}

#[test]
fn a_round_that_teaches_nothing_moves_no_rating() {
    run(|| {
        plays(1, |_, _| Score(u16::MAX / 2));
        assert!(
            pallet_ratings::Records::<Test>::get(1).window.is_empty(),
            "nothing to tell apart"
        );
        let id = ask();
        play(id, 8, |_, author| {
            Score(u16::try_from(9_000 - author * 900).unwrap())
        });
        assert_eq!(phase(id), Phase::Failed(Failure::BelowThreshold));
        blocks(4);
        assert!(
            pallet_ratings::Records::<Test>::get(1).window.is_empty(),
            "a round that failed was cheap"
        );
        assert_eq!(pallet_ratings::Qualities::<Test>::iter().count(), 0);
    });
}
