// SPDX-License-Identifier: Apache-2.0

use starling_primitives::choice::Form;

use crate::{
    mock::*, Capabilities as Records, ExaminerTraffic, Outcomes, Question, Questions, Record,
    Summary, Traffic,
};

#[test]
fn a_broken_state_is_noticed() {
    let summary = Summary {
        is_voted: false,
        votes: 0,
        responses: 0,
        share_of_votes: 0,
        share_of_weight: 0,
    };
    let question = Question {
        form: Form::Number,
        commitment: SEED,
        revealed: false,
    };
    let late = Record {
        last: 9,
        ..Default::default()
    };
    let mut false_record = Record::default();
    false_record.capability.right = 1;
    let traffic = ExaminerTraffic {
        asked: 9,
        revealed: 1,
    };
    type Breaks = (&'static str, Box<dyn FnOnce()>);
    let cases: [Breaks; 7] = [
        ("traffic of no examiner", Box::new(|| has_asked(STRANGER))),
        (
            "too many answers were revealed",
            Box::new(move || Traffic::<Test>::insert(EXAMINERS[0], traffic)),
        ),
        (
            "a question without a round",
            Box::new(move || Questions::<Test>::insert(9, question)),
        ),
        (
            "an outcome without a question",
            Box::new(move || Outcomes::<Test>::insert(9, summary)),
        ),
        (
            "a capability in free form",
            Box::new(|| Records::<Test>::insert(1, Form::Free, Record::default())),
        ),
        (
            "an answer from the future",
            Box::new(move || Records::<Test>::insert(1, Form::Short, late)),
        ),
        (
            "more right answers than answers",
            Box::new(move || Records::<Test>::insert(1, Form::Short, false_record)),
        ),
    ];
    for (problem, breaks) in cases {
        ext().execute_with(|| {
            breaks();
            assert_eq!(Capabilities::do_try_state(), Err(problem.into()));
        });
    }
}
