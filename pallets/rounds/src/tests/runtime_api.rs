// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use starling_primitives::api::Task;

fn task(id: u64, who: AccountId) -> Option<Task<AccountId>> {
    Rounds_::owed(&who)
        .into_iter()
        .find(|owed| owed.round == id)
        .map(|owed| owed.task)
}

#[test]
fn each_phase_has_a_task_for_an_agent() {
    run(|| {
        let id = ask();
        let respond = Task::Respond {
            prompt: b"why?".to_vec(),
            max_tokens: TOKENS,
            fee: FEE,
            slash: round(id).terms.slash,
            max_bytes: MaxResponse::get(),
            format: starling_primitives::sealing::Format::Padded,
        };
        assert_eq!(task(id, 1), Some(respond.clone()), "work may begin at once");
        next_block();
        assert_eq!(task(id, 1), Some(respond));
        assert_eq!(task(id, 9), None, "not an agent");
        (1..=6).for_each(|who| commit(id, who));
        assert_eq!(task(id, 1), None, "it has committed");
        (7..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        assert_eq!(task(id, 1), Some(Task::Reveal));
        assert_eq!(task(id, 7), None);
        (1..=6).for_each(|who| reveal(id, who));
        assert_eq!(task(id, 1), None);
        next_block();
        let Some(Task::Rank {
            prompt,
            seed,
            responses,
            max_tokens: TOKENS,
        }) = task(id, 1)
        else {
            panic!()
        };
        assert_eq!((prompt, Some(seed)), (b"why?".to_vec(), round(id).seed));
        assert_eq!(responses.len(), 3);
        for (place, author, text) in responses {
            assert_eq!(Entries::<Test>::get(id, place).unwrap().agent, author);
            assert_eq!(text, answer(author).into_bytes());
        }
        let all = all_scores(id, 1..=6, honest);
        commit_all(id, &all);
        assert_eq!(task(id, 1), None);
        next_block();
        assert_eq!(task(id, 1), Some(Task::Disclose { seed }));
        disclose_all(id, &all);
        assert_eq!(task(id, 1), None);
        next_block();
        assert_eq!(Rounds_::open_rounds(), Vec::<u64>::new());
    });
}

#[test]
fn an_agent_that_cannot_answer_is_told_to_pass() {
    run(|| {
        let id = ask();
        next_block();
        let free = pallet_tickets::Accounts::<Test>::get(1).free;
        Tickets::refund(RuntimeOrigin::signed(1), free).unwrap();
        assert_eq!(task(id, 1), Some(Task::Pass));
    });
}

#[test]
fn a_round_with_everything_public_about_it() {
    run(|| {
        assert_eq!(Rounds_::round_view(0), None);
        let id = ask();
        assert_eq!(Rounds_::open_rounds(), vec![id]);
        play(id, 6, honest);
        let view = Rounds_::round_view(id).unwrap();
        assert_eq!(view.prompt, b"why?");
        assert_eq!(view.round, round(id));
        assert_eq!(view.responses.len(), 6);
        for response in view.responses {
            assert_eq!(response.text, Some(answer(response.agent).into_bytes()));
            assert!(!response.spoiled);
            assert_eq!(response.tally.unwrap().count, 3);
            assert_eq!(response.scores.unwrap().len(), 3);
            assert!(response.position.is_some() && response.weight.is_some());
            assert!(response.rating >= response.weight);
        }
    });
}

#[test]
fn the_answer_of_a_round() {
    run(|| {
        assert_eq!(Rounds_::answer(0), None);
        let id = ask();
        let open = Rounds_::answer(id).unwrap();
        assert_eq!(
            (open.phase, open.agent, open.text),
            (Phase::Committing, None, None)
        );
        play(id, 6, honest);
        let done = Rounds_::answer(id).unwrap();
        assert_eq!(done.phase, Phase::Done);
        assert_eq!(done.agent, Some(1));
        assert_eq!(done.text, Some(answer(1).into_bytes()));
    });
}

#[test]
fn the_record_of_an_agent() {
    run(|| {
        assert_eq!(Rounds_::agent_view(&9), None);
        let id = ask();
        next_block();
        commit(id, 1);
        let view = Rounds_::agent_view(&1).unwrap();
        let terms = round(id).terms;
        assert!(view.active);
        assert_eq!(
            (view.bond, view.open_rounds, view.reserved),
            (BOND, 1, terms.slash)
        );
        assert_eq!(view.staked_tickets, terms.ticket);
        assert_eq!(Rounds_::ticket_price(FEE), terms.ticket);
        assert_eq!(Rounds_::request_cost(8), (request_fee(8), terms.deposit));
    });
}
