// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_noop;
use sp_runtime::DispatchError;
use starling_primitives::{
    api::QuestionView,
    choice::Form,
    traits::{Choice as _, KnownAnswers},
    H256,
};

use crate::{mock::*, Event, ExaminerTraffic, Outcomes, Questions, Traffic};

#[test]
fn a_request_opens_a_round_and_keeps_its_form_and_commitment() {
    run(|| {
        let commitment = H256::repeat_byte(5);
        let id = ask_with(STRANGER, b"why?".to_vec(), Form::Choice, commitment);
        let (round, is_over) = Stored::get().remove(&id).expect("it is stored");
        assert_eq!((round.requester, round.paid), (STRANGER, FEE));
        assert_eq!((round.prompt.as_slice(), is_over), (&b"why?"[..], false));
        let view = QuestionView {
            form: Form::Choice,
            commitment,
            revealed: false,
        };
        assert_eq!(Capabilities::question(id), Some(view));
        assert_eq!(Capabilities::question(id + 1), None);
        assert_eq!(Capabilities::outcome(id), None);
        let form = Form::Choice;
        assert_eq!(events(), [Event::<Test>::Asked { round: id, form }]);
    });
}

#[test]
fn a_request_that_the_rounds_refuse_changes_nothing() {
    run(|| {
        Refuses::set(true);
        let origin = RuntimeOrigin::signed(EXAMINERS[0]);
        assert_noop!(
            Capabilities::ask(origin, vec![], 0, 0, 0, 0, Form::Free, H256::zero()),
            DispatchError::Other("no round")
        );
    });
}

#[test]
fn requests_of_examiners_are_counted_and_those_of_others_are_not() {
    run(|| {
        let [examiner, ..] = EXAMINERS;
        for who in [STRANGER, examiner, examiner] {
            ask_with(who, b"why?".to_vec(), Form::Free, H256::zero());
        }
        let traffic = ExaminerTraffic {
            asked: 2,
            revealed: 0,
        };
        assert_eq!(Traffic::<Test>::get(examiner), traffic);
        assert!(!Traffic::<Test>::contains_key(STRANGER));
    });
}

#[test]
fn a_noted_round_has_a_form_and_is_no_traffic_of_an_examiner() {
    run(|| {
        let [examiner, ..] = EXAMINERS;
        let commitment = H256::repeat_byte(5);
        let id = ask_with(examiner, b"why?".to_vec(), Form::Free, H256::zero());
        Capabilities::note(id, Form::Number, commitment);
        assert!(Capabilities::is_counted(id));
        let noted = Capabilities::question(id).map(|question| question.commitment);
        assert_eq!(noted, Some(commitment));
        assert_eq!(Traffic::<Test>::get(examiner).asked, 1);
    });
}

#[test]
fn a_purge_forgets_question_and_outcome() {
    run(|| {
        let id = ask(STRANGER, 1);
        choose(id, &answers_of(&["1", "2", "3"], |_, _| 9)).expect("a winner");
        assert!(Outcomes::<Test>::contains_key(id));
        Stored::mutate(|stored| stored.remove(&id));
        Capabilities::forget(id);
        assert!(!Questions::<Test>::contains_key(id));
        assert!(!Outcomes::<Test>::contains_key(id));
    });
}
