// SPDX-License-Identifier: Apache-2.0

use frame_support::{
    assert_noop, assert_ok,
    inherent::{InherentData, ProvideInherent},
};
use sp_runtime::traits::Dispatchable;

use crate::{mock::*, *};

/// All agents but the last one commit.
fn seven_commit(id: u64) {
    next_block();
    (1..=7).for_each(|who| commit(id, who));
    next_block();
    assert_eq!(phase(id), Phase::Committing, "agent 8 is missing");
}

#[test]
fn a_chill_counts_as_heard() {
    run(|| {
        let id = ask();
        seven_commit(id);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(8)));
        blocks(2);
        assert_eq!(phase(id), Phase::Revealing);
        assert_eq!(round(id).counts.heard, 8);
        assert!(Inactive::<Test>::get().is_empty());
    });
}

#[test]
fn so_does_any_loss_of_activity() {
    for loses in [
        || Agents::slash(RuntimeOrigin::root(), 8, BOND),
        || Agents::unbond(RuntimeOrigin::signed(8), BOND),
        || Agents::deregister(RuntimeOrigin::signed(8)),
    ] {
        run(|| {
            let id = ask();
            seven_commit(id);
            assert_ok!(loses());
            blocks(2);
            assert_eq!(phase(id), Phase::Revealing);
        });
    }
}

#[test]
fn who_has_spoken_or_came_later_counts_once_or_not_at_all() {
    run(|| {
        let id = ask();
        register(9, BOND).unwrap();
        seven_commit(id);
        for who in [1, 2, 9] {
            assert_ok!(Agents::chill(RuntimeOrigin::signed(who)));
        }
        blocks(2);
        assert_eq!(round(id).counts.heard, 7);
        assert_eq!(phase(id), Phase::Committing);
        // It has left, and comes back as a stranger to this round.
        assert_ok!(Agents::chill(RuntimeOrigin::signed(8)));
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(8)));
        blocks(2);
        assert_eq!(phase(id), Phase::Revealing);
    });
}

#[test]
fn more_agents_than_a_block_counts_wait_for_the_next_one() {
    run(|| {
        let id = ask_with(FEE, 4, 8).unwrap();
        next_block();
        commit(id, 1);
        (2..=8).for_each(|who| Agents::chill(RuntimeOrigin::signed(who)).unwrap());
        next_block();
        assert_eq!(round(id).counts.heard, 5);
        assert_eq!(Inactive::<Test>::get().len(), 3);
        blocks(2);
        assert!(is_over(id), "one of eight is too few");
    });
}

#[test]
fn a_round_that_cannot_succeed_any_more_ends_at_once_and_before_older_ones() {
    run(|| {
        let older = ask();
        let id = ask();
        next_block();
        (1..=3).for_each(|who| commit(id, who));
        (4..=7).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        assert_eq!(phase(id), Phase::Committing, "agent 8 may still commit");
        send(pass_call(id, 8)).unwrap();
        next_block();
        assert!(is_over(id));
        assert_eq!(phase(older), Phase::Committing);
        assert!(settlement(id).refunded > 0);
    });
}

#[test]
fn a_late_commit_in_the_same_block_gives_it_hope_but_no_lead_over_an_older_round() {
    run(|| {
        let older = ask();
        let id = ask();
        let deadline = round(id).deadline;
        register(9, BOND).unwrap();
        next_block();
        (1..=3).for_each(|who| commit(id, who));
        (4..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        commit(id, 9);
        blocks(2);
        assert_eq!(
            phase(id),
            Phase::Committing,
            "the older round is still Committing"
        );
        assert_eq!(phase(older), Phase::Committing);
        while Rounds_::now() <= deadline {
            next_block();
        }
        assert_eq!(phase(id), Phase::Revealing);
    });
}

#[test]
fn nobody_waits_for_the_requesters_own_agent() {
    run(|| {
        let origin = RuntimeOrigin::signed(8);
        assert_ok!(Rounds_::request(
            origin,
            b"why?".to_vec(),
            FEE,
            TOKENS,
            4,
            8
        ));
        next_block();
        assert_refused(
            pass_call(0, 8),
            custom(Error::NotExpected),
            Error::NotExpected,
        );
        (1..=7).for_each(|who| commit(0, who));
        next_block();
        assert_eq!(phase(0), Phase::Revealing);
    });
}

#[test]
fn silence_costs_a_fine_for_whoever_reports_it() {
    run(|| {
        let id = ask();
        register(9, BOND).unwrap();
        seven_commit(id);
        let report = |who| Rounds_::report(RuntimeOrigin::signed(REQUESTER), id, who);
        assert_noop!(report(8), Error::<Test>::TooEarly);
        blocks(CommitWindow::get());
        assert_eq!(phase(id), Phase::Revealing);
        let (reporter, silent) = (wealth(REQUESTER), wealth(8));
        assert_ok!(report(8));
        assert_eq!(wealth(8), silent - SILENCE_FINE);
        assert_eq!(wealth(REQUESTER), reporter + SILENCE_FINE);
        assert_eq!(bond(8), BOND - SILENCE_FINE);
        let fined = Event::Fined {
            round: id,
            agent: 8,
            reporter: REQUESTER,
            amount: SILENCE_FINE,
        };
        assert!(events().contains(&fined));
        // Once, and only who was silent and waited for.
        for who in [8, 1, 9, 77] {
            assert_noop!(report(who), Error::<Test>::NotSilent);
        }
        let unknown = Rounds_::report(RuntimeOrigin::signed(REQUESTER), 7, 8);
        assert_eq!(unknown, Err(Error::<Test>::UnknownRound.into()));
    });
}

/// Puts what the author of this block reports into it.
fn author_reports() -> Option<Call<Test>> {
    let call = Rounds_::create_inherent(&InherentData::new())?;
    assert!(Rounds_::is_inherent(&call));
    assert_ok!(RuntimeCall::Rounds_(call.clone()).dispatch(RuntimeOrigin::none()));
    Some(call)
}

#[test]
fn after_one_silence_no_round_waits_for_the_agent() {
    run(|| {
        let id = ask();
        seven_commit(id);
        assert_eq!(author_reports(), None, "it still may speak");
        blocks(CommitWindow::get());
        assert_eq!(phase(id), Phase::Revealing);
        let before = wealth(8);
        assert!(author_reports().is_some());
        let silent = Event::Silent {
            round: id,
            agent: 8,
            amount: SILENCE_FINE,
        };
        assert!(events().contains(&silent));
        assert_eq!(wealth(8), before - SILENCE_FINE);
        next_block();
        assert_eq!(author_reports(), None);

        let next = ask();
        assert_eq!(round(next).terms.active, 7);
        next_block();
        (1..=7).for_each(|who| commit(next, who));
        next_block();
        assert_eq!(phase(next), Phase::Revealing, "at once");
        assert_noop!(
            Rounds_::report(RuntimeOrigin::signed(REQUESTER), next, 8),
            Error::<Test>::NotSilent
        );
    });
}

#[test]
fn a_resting_agent_may_answer_and_is_waited_for_again_after_a_while() {
    run(|| {
        let id = ask();
        seven_commit(id);
        blocks(CommitWindow::get());
        author_reports();
        next_block();
        let answered = || {
            let id = ask();
            next_block();
            commit(id, 8);
            id
        };
        let early = answered();
        assert_eq!(round(early).counts.heard, 0, "nobody waits for it");
        assert!(Resting::<Test>::contains_key(8));
        let passed = ask();
        next_block();
        assert_refused(
            pass_call(passed, 8),
            custom(Error::NotExpected),
            Error::NotExpected,
        );
        while Rounds_::now() < Resting::<Test>::get(8).unwrap().until {
            next_block();
        }
        let other = ask();
        let late = answered();
        assert!(!Resting::<Test>::contains_key(8));
        // Rounds that are open do not count it, since they did not when they began.
        for id in [other, late] {
            assert_eq!((round(id).terms.active, round(id).counts.heard), (7, 0));
        }
        assert_eq!(round(ask()).terms.active, 8);
    });
}

#[test]
fn a_second_report_lets_no_round_wait_that_has_begun_after_the_first() {
    run(|| {
        let (first, second) = (ask(), ask());
        next_block();
        for id in [first, second] {
            (1..=7).for_each(|who| commit(id, who));
        }
        blocks(CommitWindow::get());
        assert!(author_reports().is_some());
        let third = ask();
        assert_eq!(round(third).terms.active, 7);
        next_block();
        assert!(
            author_reports().is_some(),
            "it was silent in the second, too"
        );
        assert_eq!(bond(8), BOND - 2 * SILENCE_FINE);
        assert_refused(
            pass_call(third, 8),
            custom(Error::NotExpected),
            Error::NotExpected,
        );
    });
}

#[test]
fn authors_report_once_a_block_and_only_the_silent() {
    run(|| {
        let id = ask();
        register(9, BOND).unwrap();
        seven_commit(id);
        blocks(CommitWindow::get());
        let report = |agents: Vec<AccountId>| {
            let agents = agents.try_into().unwrap();
            Rounds_::silence(RuntimeOrigin::none(), id, agents)
        };
        let all: Vec<_> = [1, 7, 9, 77].into();
        let signed = RuntimeOrigin::signed(1);
        assert_noop!(
            Rounds_::silence(signed, id, all.clone().try_into().unwrap()),
            sp_runtime::DispatchError::BadOrigin
        );
        assert_ok!(report(all));
        assert_eq!(Resting::<Test>::count(), 0);
        assert_noop!(report(vec![8]), Error::<Test>::AlreadyReported);
        next_block();
        assert_ok!(report(vec![8, 8]));
        assert_eq!(Resting::<Test>::count(), 1);
        assert_eq!(bond(8), BOND - SILENCE_FINE);
        next_block();
        // The list is done with this round.
        assert_ok!(report(vec![1]));
        assert_eq!(author_reports(), None);
    });
}

#[test]
fn nobody_is_silent_in_a_round_that_ended_before_its_deadline() {
    run(|| {
        let id = ask();
        next_block();
        (1..=3).for_each(|who| commit(id, who));
        (4..=7).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        send(pass_call(id, 8)).unwrap();
        next_block();
        assert!(is_over(id));
        assert_eq!(author_reports(), None);

        let id = ask_with(FEE, 7, 8).unwrap();
        next_block();
        (1..=2).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        assert!(is_over(id), "six of the seven are too few");
        assert!(Rounds_::report(RuntimeOrigin::signed(REQUESTER), id, 8).is_err());
        assert_eq!(author_reports(), None);
    });
}
