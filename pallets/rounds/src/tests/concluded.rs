// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use starling_primitives::{traits::Requests as _, Score};

#[test]
fn a_round_that_is_over_shows_its_answers_and_what_was_paid() {
    run(|| {
        let id = ask();
        assert!(Rounds_::is_stored(id));
        assert_eq!(Rounds_::concluded(id), None, "it is open");
        play(id, 4, honest);
        let concluded = Rounds_::concluded(id).expect("it is over");
        assert_eq!(concluded.requester, REQUESTER);
        assert_eq!(concluded.prompt, b"why?");
        assert_eq!(concluded.paid, FEE);
        assert_eq!(concluded.ended_at + 1, Rounds_::now());
        let mut authors: Vec<_> = concluded.answers.iter().map(|it| it.agent).collect();
        authors.sort_unstable();
        assert_eq!(authors, [1, 2, 3, 4]);
        for it in &concluded.answers {
            assert_eq!(it.text, answer(it.agent).into_bytes());
            let entry = Entries::<Test>::get(id, it.position).expect("it was ranked");
            assert_eq!(entry.agent, it.agent);
            assert_eq!(it.scores.len(), 3);
        }
    });
}

#[test]
fn a_round_below_the_threshold_shows_the_part_of_the_fee_that_did_not_come_back() {
    run(|| {
        let id = ask();
        play(id, 4, |_, _| Score(0));
        assert_eq!(phase(id), Phase::Failed(Failure::BelowThreshold));
        let refunded = settlement(id).refunded;
        let concluded = Rounds_::concluded(id).expect("its responses were ranked");
        assert!(refunded > 0);
        assert_eq!(concluded.paid, FEE - refunded);
    });
}

#[test]
fn a_round_without_a_ranking_shows_nothing() {
    run(|| {
        let id = ask();
        blocks(8);
        assert!(is_over(id));
        assert_eq!(Rounds_::concluded(id), None);
        assert_eq!(Rounds_::concluded(id + 1), None, "there is no such round");
        assert!(!Rounds_::is_stored(id + 1));
    });
}

#[test]
fn the_largest_round_with_counted_answers_fits_into_a_block() {
    run(|| {
        for agents in [2, 3, 32, 500] {
            MaxTransitionAgents::set(agents);
            let most = Rounds_::most_counted();
            assert!(Rounds_::room_for_counting(most) <= agents);
            assert!(Rounds_::room_for_counting(most + 1) > agents);
        }
        MaxTransitionAgents::set(32);
    });
}

#[test]
fn a_round_is_withdrawn_in_its_first_phase() {
    run(|| {
        let id = ask();
        next_block();
        commit(id, 1);
        assert!(Rounds_::is_committing(id));
        assert!(Rounds_::withdraw(id));
        assert_eq!(phase(id), Phase::Failed(Failure::TooFewCommits));
        assert!(!Rounds_::withdraw(id));
        next_block();
        assert_eq!(settlement(id).refunded, FEE - FEE / 10);
        check();
    });
}

#[test]
fn a_round_is_not_withdrawn_once_keys_are_revealed() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        assert!(!Rounds_::is_committing(id));
        assert!(!Rounds_::withdraw(id));
        assert_eq!(phase(id), Phase::Revealing);
    });
}
