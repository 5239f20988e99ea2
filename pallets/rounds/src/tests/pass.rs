// SPDX-License-Identifier: Apache-2.0

use frame_support::assert_ok;
use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};

use crate::{mock::*, *};

#[test]
fn a_pass_is_heard_and_when_all_are_heard_the_phase_ends() {
    run(|| {
        let id = ask();
        next_block();
        (1..=5).for_each(|who| commit(id, who));
        (6..=7).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        assert_eq!(phase(id), Phase::Committing, "agent 8 is missing");
        assert_ok!(send(pass_call(id, 8)));
        assert_eq!(
            events(),
            vec![Event::Passed {
                round: id,
                agent: 8
            }]
        );
        next_block();
        assert_eq!(phase(id), Phase::Revealing);
    });
}

#[test]
fn an_agent_that_was_not_active_at_the_request_is_not_waited_for() {
    run(|| {
        assert_ok!(Agents::chill(RuntimeOrigin::signed(8)));
        let id = ask();
        register(9, BOND).unwrap();
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(8)));
        next_block();
        assert_refused(
            pass_call(id, 9),
            custom(Error::NotExpected),
            Error::NotExpected,
        );
        assert_refused(
            pass_call(id, 8),
            custom(Error::NotExpected),
            Error::NotExpected,
        );
        // It may commit, but its word does not stand for another one's.
        commit(id, 9);
        (1..=6).for_each(|who| commit(id, who));
        next_block();
        assert_eq!(phase(id), Phase::Committing);
        commit(id, 7);
        next_block();
        assert_eq!(phase(id), Phase::Revealing);
        assert_eq!(round(id).counts.commits, 8);
    });
}

#[test]
fn a_pass_is_refused_like_a_commit() {
    run(|| {
        assert_refused(
            pass_call(0, 1),
            UnknownTransaction::CannotLookup,
            Error::UnknownRound,
        );
        let id = ask();
        next_block();
        assert_refused(pass_call(id, 9), custom(Error::NotAgent), Error::NotAgent);
        commit(id, 1);
        assert_refused(
            pass_call(id, 1),
            InvalidTransaction::Stale,
            Error::AlreadySent,
        );
        assert_ok!(send(pass_call(id, 2)));
        assert_refused(
            pass_call(id, 2),
            InvalidTransaction::Stale,
            Error::AlreadySent,
        );
        (4..=6).for_each(|who| commit(id, who));
        blocks(CommitWindow::get());
        assert_refused(pass_call(id, 3), InvalidTransaction::Stale, Error::TooLate);
    });
}
