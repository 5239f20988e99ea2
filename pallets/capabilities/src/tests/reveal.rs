// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::Permill;
use starling_primitives::choice::Form;

use crate::{
    mock::*, Capabilities as Records, Error, Event, Pool, QuestionPool, Questions, Traffic, Used,
};

const EXAMINER: AccountId = EXAMINERS[0];

/// A round with a known answer that is over: agent 1 is right, 2 to 4 are wrong.
fn over(index: u32) -> u64 {
    has_asked(EXAMINER);
    let id = ask(EXAMINER, index);
    conclude(
        id,
        answers_of(&[&right(index), WRONG, WRONG, WRONG], |_, _| 9),
    );
    id
}

#[test]
fn an_answer_in_time_teaches_and_is_paid_for() {
    run(|| {
        let id = over(3);
        System::reset_events();
        assert_ok!(reveal(EXAMINER, id, 3));
        assert_eq!(Payments::get(), [(EXAMINER, FEE + PREMIUM)]);
        assert_eq!(Traffic::<Test>::get(EXAMINER).revealed, 1);
        assert!(Questions::<Test>::get(id).expect("it is stored").revealed);
        assert_eq!(Used::<Test>::iter().count(), 1);
        assert_eq!(Records::<Test>::iter().count(), 4);
        let revealed = Event::<Test>::AnswerRevealed {
            round: id,
            examiner: EXAMINER,
            index: 3,
            agents: 4,
            paid: FEE + PREMIUM,
        };
        assert_eq!(events(), [revealed]);
    });
}

#[test]
fn a_treasury_without_funds_pays_what_it_has() {
    run(|| {
        Funds::set(7);
        let id = over(3);
        assert_ok!(reveal(EXAMINER, id, 3));
        assert_eq!(Payments::get(), [(EXAMINER, 7)]);
    });
}

#[test]
fn the_treasury_pays_back_no_more_than_the_least_fees() {
    run(|| {
        has_asked(EXAMINER);
        let commitment = opening(EXAMINER, 3);
        let id = ask_for(1_000 * FEE, EXAMINER, prompt(3), Form::Number, commitment);
        conclude(id, answers_of(&[&right(3), WRONG, WRONG, WRONG], |_, _| 9));
        assert_ok!(reveal(EXAMINER, id, 3));
        assert_eq!(Payments::get(), [(EXAMINER, MAX_REFUND + PREMIUM)]);
    });
}

#[test]
fn every_question_of_the_pool_has_a_proof() {
    run(|| {
        for index in 0..QUESTIONS {
            let id = over(index);
            assert_ok!(reveal(EXAMINER, id, index));
        }
    });
}

#[test]
fn a_wrong_key_opens_nothing() {
    run(|| {
        let id = over(3);
        let right = opening_of(3);
        for wrong in [
            Opening {
                keys: keys(4),
                ..right.clone()
            },
            Opening {
                keys: vec![],
                ..right.clone()
            },
            Opening {
                keys: [keys(3), keys(4)].concat(),
                ..right.clone()
            },
            Opening {
                salt: [8; 32],
                ..right.clone()
            },
            opening_of(4),
        ] {
            assert_noop!(
                reveal_with(EXAMINER, id, wrong),
                Error::<Test>::CommitmentMismatch
            );
        }
        assert_ok!(reveal_with(EXAMINER, id, right));
    });
}

#[test]
fn a_question_outside_the_pool_proves_nothing() {
    run(|| {
        has_asked(EXAMINER);
        // The commitment is right, but the pool has another prompt there.
        let id = ask_with(EXAMINER, prompt(4), Form::Number, opening(EXAMINER, 3));
        conclude(id, answers_of(&[WRONG; 4], |_, _| 9));
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::WrongProof);
        // So it is with another form.
        let id = ask_with(EXAMINER, prompt(3), Form::Short, opening(EXAMINER, 3));
        conclude(id, answers_of(&[WRONG; 4], |_, _| 9));
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::WrongProof);
    });
}

#[test]
fn a_false_proof_is_refused() {
    run(|| {
        let id = over(3);
        let right = opening_of(3);
        let mut long = right.proof.clone();
        long.push(SEED);
        for wrong in [
            Opening {
                proof: proof(4),
                ..right.clone()
            },
            Opening {
                proof: vec![],
                ..right.clone()
            },
            Opening {
                proof: long,
                ..right.clone()
            },
            Opening {
                chance: Permill::from_percent(6),
                ..right.clone()
            },
        ] {
            assert_noop!(reveal_with(EXAMINER, id, wrong), Error::<Test>::WrongProof);
        }
        let pool = Pool::<Test>::get().expect("there is a pool");
        Pool::<Test>::put(QuestionPool {
            questions: 3,
            ..pool
        });
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::WrongProof);
        Pool::<Test>::kill();
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::NoPool);
    });
}

#[test]
fn a_foreign_round_is_refused() {
    run(|| {
        let id = over(3);
        let other = EXAMINERS[1];
        has_asked(other);
        // Another examiner that learns what the first one knows cannot open its commitment,
        assert_noop!(reveal(other, id, 3), Error::<Test>::CommitmentMismatch);
        // nor may it open a commitment of its own in a round that somebody else asked.
        let id = ask_with(STRANGER, prompt(3), Form::Number, opening(other, 3));
        conclude(id, answers_of(&[WRONG; 4], |_, _| 9));
        assert_noop!(reveal(other, id, 3), Error::<Test>::NotRequester);
        // And the requests of strangers teach nothing, whatever they commit to.
        let id = ask(STRANGER, 3);
        conclude(id, answers_of(&[WRONG; 4], |_, _| 9));
        assert_noop!(reveal(STRANGER, id, 3), Error::<Test>::NotExaminer);
    });
}

#[test]
fn an_answer_is_revealed_once_and_between_the_end_and_the_window() {
    run(|| {
        has_asked(EXAMINER);
        let id = ask(EXAMINER, 3);
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::NotConcluded);
        assert_noop!(reveal(EXAMINER, id + 1, 3), Error::<Test>::UnknownQuestion);
        conclude(id, answers_of(&[WRONG; 4], |_, _| 9));
        blocks(WINDOW + 1);
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::TooLate);
        System::set_block_number(1 + u64::from(WINDOW));
        assert_ok!(reveal(EXAMINER, id, 3));
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::AlreadyRevealed);
    });
}

#[test]
fn a_question_is_good_for_one_answer_in_each_pool() {
    run(|| {
        let (first, second) = (over(3), over(3));
        assert_ok!(reveal(EXAMINER, first, 3));
        assert_noop!(reveal(EXAMINER, second, 3), Error::<Test>::QuestionUsed);
        // A pool that comes back brings no known questions.
        let pool = Pool::<Test>::get();
        assert_ok!(Capabilities::set_pool(RuntimeOrigin::root(), None));
        assert_ok!(Capabilities::set_pool(RuntimeOrigin::root(), pool));
        assert_noop!(reveal(EXAMINER, second, 3), Error::<Test>::QuestionUsed);
    });
}

#[test]
fn at_most_one_request_in_ten_is_revealed() {
    run(|| {
        let mut rounds: Vec<u64> = (0..9).map(|index| ask(EXAMINER, index)).collect();
        for id in &rounds {
            conclude(*id, answers_of(&[WRONG; 4], |_, _| 9));
        }
        assert_noop!(
            reveal(EXAMINER, rounds[0], 0),
            Error::<Test>::TooManyReveals
        );
        rounds.push(ask(EXAMINER, 9));
        assert_ok!(reveal(EXAMINER, rounds[0], 0));
        assert_noop!(
            reveal(EXAMINER, rounds[1], 1),
            Error::<Test>::TooManyReveals
        );
    });
}

#[test]
fn free_text_has_no_right_answer() {
    run(|| {
        has_asked(EXAMINER);
        let id = ask_with(EXAMINER, prompt(3), Form::Free, opening(EXAMINER, 3));
        conclude(id, answers_of(&[WRONG; 4], |_, _| 9));
        assert_noop!(reveal(EXAMINER, id, 3), Error::<Test>::FreeForm);
    });
}
