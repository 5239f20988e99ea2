// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_ok;
use starling_primitives::{
    choice::{Choice, Form},
    fixed::{ratio, ONE},
    traits::{Answered, Choice as _, KnownAnswers},
    H256,
};

use crate::{mock::*, Chosen, Event, Outcomes, Summary};

/// Agents 1 and 2 know the answers, and all rankers see that they are right.
fn good(_: AccountId, author: AccountId) -> u16 {
    match author {
        1 | 2 => 50_000,
        _ => 100,
    }
}

/// Eight agents, of which the first two are right in all questions.
fn prove(questions: core::ops::Range<u32>) {
    for index in questions {
        let right = right(index);
        let mut texts = [WRONG; 8];
        texts[0] = &right;
        texts[1] = &right;
        examine(EXAMINERS[0], index, &texts, good);
    }
}

/// A question on which the first two say 7 and all others say 8, and the herd of the others prefers
/// itself.
fn contested() -> Vec<Answered<AccountId>> {
    let herd = |_: AccountId, author: AccountId| match author {
        1 | 2 => 20_000,
        _ => 50_000 + author as u16,
    };
    answers_of(&["7", "7", "8", "8", "8", "8", "8", "8"], herd)
}

fn summary(id: u64) -> Summary {
    Outcomes::<Test>::get(id).expect("answers were counted")
}

#[test]
fn votes_of_proven_agents_win_over_the_mean_score_and_before_that_equation_3_decides() {
    run(|| {
        let id = ask(STRANGER, 1);
        assert!(Capabilities::is_counted(id));
        let before = choose(id, &contested());
        assert_eq!(before.map(|(who, _)| who), Some(8), "the best mean score");
        let outcome = summary(id);
        assert!(!outcome.is_voted);
        assert_eq!((outcome.votes, outcome.responses), (6, 8));

        prove(0..1);
        choose(id, &contested());
        assert!(!summary(id).is_voted, "one answer proves nobody");

        prove(1..21);
        System::reset_events();
        let (best, tally) = choose(id, &contested()).expect("there is a winner");
        let outcome = summary(id);
        assert!(best <= 2 && outcome.is_voted, "{outcome:?}");
        assert_eq!((outcome.votes, outcome.responses), (2, 8));
        assert_eq!(outcome.share_of_votes, ratio(2, 8));
        assert!(outcome.share_of_weight > ONE / 2);
        assert!(tally.is_eligible());
        let round = id;
        let chosen = Event::<Test>::Chosen {
            round,
            best,
            outcome,
        };
        assert_eq!(events(), [chosen]);
        assert_eq!(
            Capabilities::outcome(id).map(|view| (view.is_voted, view.share_of_weight)),
            Some((true, outcome.share_of_weight))
        );
    });
}

#[test]
fn lanes_get_the_choice_and_the_weights_of_rounds() {
    run(|| {
        prove(0..20);
        let choice = <Capabilities as KnownAnswers<AccountId>>::choice();
        assert_eq!(choice, Chosen::<Test>::get());
        for who in 1..=8 {
            let known = Capabilities::known(&who);
            let views = Capabilities::capabilities(&who);
            assert!(!views.is_empty());
            for view in views {
                let weights = known.in_form(view.form).weights(&choice.votes());
                let expected = (view.ranker, view.author, view.is_proven);
                assert_eq!(
                    (weights.ranker, weights.author, weights.is_proven),
                    expected
                );
            }
            assert_eq!(known.in_form(Form::Free), Default::default());
        }
    });
}

#[test]
fn free_form_never_reads_texts() {
    run(|| {
        prove(0..20);
        let id = ask_with(STRANGER, prompt(1), Form::Free, H256::zero());
        assert!(!Capabilities::is_counted(id));
        let unread = |_: &AccountId| -> Vec<u8> { panic!("a text is read") };
        let best = choose_with(id, &contested(), true, &unread);
        assert_eq!(best.map(|(who, _)| who), Some(8));
        assert_eq!(Capabilities::outcome(id), None);
        // So it is for rounds that were not asked through this pallet, and in a full block.
        assert!(choose_with(id + 1, &contested(), true, &unread).is_some());
        let id = ask(STRANGER, 1);
        assert!(choose_with(id, &contested(), false, &unread).is_some());
        assert_ok!(Capabilities::set_choice(
            RuntimeOrigin::root(),
            Choice::Paper
        ));
        assert!(choose_with(id, &contested(), true, &unread).is_some());
        assert_eq!(Capabilities::outcome(id), None);
    });
}

#[test]
fn an_upgraded_chain_chooses_as_the_paper_does() {
    sp_io::TestExternalities::default().execute_with(|| {
        assert_eq!(Chosen::<Test>::get(), Choice::Paper);
    });
}

#[test]
fn a_round_in_which_nobody_disclosed_has_no_best_response() {
    run(|| {
        let id = ask(STRANGER, 1);
        let mut answers = contested();
        answers.iter_mut().for_each(|it| it.scores.clear());
        assert_eq!(choose(id, &answers), None);
        assert_eq!(Capabilities::outcome(id), None);
    });
}

#[test]
fn identities_without_proof_do_not_outvote_proven_agents() {
    run(|| {
        prove(0..20);
        // Agents 9 to 16 are new. They say 9, and praise each other.
        let herd = |ranker: AccountId, author: AccountId| match (ranker > 8) == (author > 8) {
            true => 60_000,
            false => 10,
        };
        let texts: Vec<&str> = (1..=16)
            .map(|agent| if agent > 8 { "9" } else { "7" })
            .collect();
        let id = ask(STRANGER, 1);
        let (best, _) = choose(id, &answers_of(&texts, herd)).expect("there is a winner");
        assert!(summary(id).is_voted);
        assert!(best <= 8);
    });
}
