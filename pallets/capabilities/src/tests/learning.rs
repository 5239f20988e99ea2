// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_ok;
use starling_primitives::{choice::Form, fixed::ONE, traits::Answered};

use crate::{mock::*, Capabilities as Records};

const RIGHT: u16 = 60_000;

/// Scores of a ranker that knows that agents 1 and 2 are right. All others prefer 3 and 4.
fn judge(ranker: AccountId, author: AccountId) -> u16 {
    let is_right = author <= 2;
    match is_right == (ranker <= 2) {
        true => RIGHT,
        false => 100,
    }
}

fn known(who: AccountId) -> Option<(u32, u64, u64, u64)> {
    let record = Records::<Test>::get(who, Form::Number)?;
    let known = record.capability;
    Some((known.rounds, known.right, known.ordered, known.pairs))
}

#[test]
fn agents_learn_as_authors_and_as_rankers() {
    run(|| {
        let right = right(3);
        examine(
            EXAMINERS[0],
            3,
            &[&right, &right, WRONG, "Answer: 9"],
            judge,
        );
        // Agents 1 and 2 see one right and two wrong answers of others, each in the right order.
        assert_eq!(known(1), Some((1, ONE, 2 * ONE, 2 * ONE)));
        assert_eq!(known(2), Some((1, ONE, 2 * ONE, 2 * ONE)));
        // Agents 3 and 4 see two right answers and one wrong one, in the wrong order.
        assert_eq!(known(3), Some((1, 0, 0, ONE)));
        assert_eq!(known(4), Some((1, 0, 0, ONE)));
        let record = Records::<Test>::get(1, Form::Number).expect("it has learnt");
        assert_eq!(record.capability.chance >> 16, (ONE / 20) >> 16);
        assert_eq!(record.last, 1);
        assert_eq!(Records::<Test>::iter_prefix(1).count(), 1);
    });
}

#[test]
fn learning_moves_weights_and_the_api_shows_them() {
    run(|| {
        for index in 0..6 {
            let right = right(index);
            examine(EXAMINERS[0], index, &[&right, &right, WRONG, WRONG], judge);
        }
        let view = |who| match Capabilities::capabilities(&who).as_slice() {
            [view] => *view,
            other => panic!("{other:?}"),
        };
        let (good, bad) = (view(1), view(3));
        assert!(good.is_proven && bad.is_proven);
        assert_eq!((good.form, good.rounds), (Form::Number, 6));
        assert!(good.author > ONE && bad.author == votes().unproven);
        assert!(good.ranker > ONE && bad.ranker < ONE / 100);
        assert!(bad.right == 0 && good.right == good.answers);
        assert!(Capabilities::capabilities(&9).is_empty());

        blocks(1_000);
        assert_eq!(view(1).right, good.right / 2, "half is left");
        assert!(view(1).author < good.author);
    });
}

#[test]
fn an_examiner_s_own_agent_gains_nothing() {
    run(|| {
        let [examiner, other, _] = EXAMINERS;
        has_asked(examiner);
        let id = ask(examiner, 3);
        let right = right(3);
        let texts: [&str; 4] = [&right, &right, WRONG, WRONG];
        let of_agents = |agents: [AccountId; 4]| -> Vec<Answered<AccountId>> {
            let answers = answers_of(&texts, judge).into_iter();
            answers
                .zip(agents)
                .map(|(answer, agent)| Answered { agent, ..answer })
                .collect()
        };
        conclude(id, of_agents([examiner, other, 3, 4]));
        assert_ok!(reveal(examiner, id, 3));
        let learnt: Vec<_> = Records::<Test>::iter_keys().map(|(who, _)| who).collect();
        assert_eq!(learnt.len(), 2);
        assert!(!learnt.contains(&examiner) && !learnt.contains(&other));
    });
}

#[test]
fn an_agent_learns_nothing_from_the_examiners_of_its_last_answers() {
    run(|| {
        Spacing::set(2);
        let [a, b, c] = EXAMINERS;
        let rounds = |who| known(who).map_or(0, |known| known.0);
        let examine = |who, index| examine(who, index, &[&right(index), WRONG, WRONG], judge);
        let mut index = 0;
        for (examiner, expected) in [(a, 1), (a, 1), (b, 2), (a, 2), (c, 3), (a, 4), (c, 4)] {
            examine(examiner, index);
            assert_eq!(rounds(1), expected, "question {index}");
            index += 1;
        }
        // A new agent learns from the examiner from which the others do not.
        let id = ask(c, index);
        conclude(id, answers_of(&[WRONG; 4], judge));
        assert_ok!(reveal(c, id, index));
        assert_eq!((rounds(1), rounds(4)), (4, 1));
    });
}

#[test]
fn with_fewer_examiners_than_the_spacing_agents_still_learn() {
    run(|| {
        Spacing::set(2);
        let only = vec![EXAMINERS[0]].try_into().expect("one");
        assert_ok!(Capabilities::set_examiners(RuntimeOrigin::root(), only));
        for index in 0..3 {
            examine(EXAMINERS[0], index, &[&right(index), WRONG], judge);
        }
        assert_eq!(known(1).expect("it has learnt").0, 3);
    });
}

#[test]
fn scores_that_were_not_disclosed_teach_nothing_about_a_ranker() {
    run(|| {
        has_asked(EXAMINERS[0]);
        let id = ask(EXAMINERS[0], 3);
        let mut answers = answers_of(&[&right(3), WRONG, WRONG], judge);
        answers[1].scores.clear();
        conclude(id, answers);
        assert_ok!(reveal(EXAMINERS[0], id, 3));
        assert_eq!(known(2), Some((1, 0, 0, 0)));
        assert_eq!(known(3).expect("it has learnt").3, ONE);
    });
}
