// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

#[test]
fn a_message_is_in_time_in_the_last_block_and_not_after_it() {
    run(|| {
        let id = ask();
        next_block();
        (1..=4).for_each(|who| commit(id, who));
        let deadline = round(id).deadline;
        while Rounds_::now() < deadline {
            next_block();
        }
        assert_eq!(phase(id), Phase::Committing, "block {deadline} is in time");
        commit(id, 5);
        next_block();
        assert_eq!(phase(id), Phase::Revealing);
        assert_eq!(round(id).since, deadline);
        assert_eq!(round(id).deadline, deadline + RevealWindow::get());
        let deadline = round(id).deadline;
        (1..=4).for_each(|who| reveal(id, who));
        while Rounds_::now() < deadline {
            next_block();
        }
        reveal(id, 5);
        next_block();
        assert_eq!(phase(id), Phase::Ranking);
    });
}

#[test]
fn scores_are_in_time_in_the_last_block_of_their_phases() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        let all = all_scores(id, 1..=5, honest);
        let deadline = round(id).deadline;
        assert_eq!(deadline, round(id).since + RankWindow::get());
        (1..=3).for_each(|who| commit_scores(id, who, &all[&who]));
        while Rounds_::now() < deadline {
            next_block();
        }
        commit_scores(id, 4, &all[&4]);
        next_block();
        assert_eq!(phase(id), Phase::Disclosing);
        assert_eq!(round(id).since, deadline);
        let deadline = round(id).deadline;
        assert_eq!(deadline, round(id).since + DiscloseWindow::get());
        (1..=2).for_each(|who| disclose(id, who, &all[&who]));
        while Rounds_::now() < deadline {
            next_block();
        }
        disclose(id, 3, &all[&3]);
        next_block();
        assert_eq!(phase(id), Phase::Done);
        assert_eq!(round(id).since, deadline);
        assert_eq!(round(id).counts.disclosures, 3);
    });
}

#[test]
fn a_phase_ends_in_the_block_of_its_last_message() {
    run(|| {
        let id = ask();
        let first = Rounds_::now();
        play(id, 8, honest);
        assert_eq!(phase(id), Phase::Done);
        assert_eq!(Rounds_::now(), first + 5, "one block a phase");
        let phases: Vec<_> = LastEvents::get()
            .into_iter()
            .filter(|event| matches!(event, Event::Settled { .. }))
            .collect();
        assert_eq!(phases.len(), 1, "one event with all of it");
    });
}

#[test]
fn censoring_authors_cannot_make_honest_agents_miss_a_deadline() {
    run(|| {
        Authorities::set(vec![1, 2, 3]);
        Author::set(Some(1));
        let id = ask();
        next_block();
        (1..=4).for_each(|who| commit(id, who));
        // One author of three alone, far beyond the deadline.
        blocks(3 * CommitWindow::get());
        assert_eq!(phase(id), Phase::Committing);
        // The messages that it kept out are still in time.
        commit(id, 5);
        Author::set(Some(3));
        next_block();
        next_block();
        assert_eq!(phase(id), Phase::Revealing, "two of three have authored");
    });
}

#[test]
fn an_author_counts_only_if_it_authored_in_the_phase_and_is_an_authority() {
    run(|| {
        Authorities::set(vec![1, 2]);
        for author in [1, 2] {
            Author::set(Some(author));
            next_block();
        }
        Author::set(Some(9));
        next_block();
        let id = ask();
        next_block();
        (1..=4).for_each(|who| commit(id, who));
        blocks(2 * CommitWindow::get());
        assert_eq!(
            phase(id),
            Phase::Committing,
            "1 and 2 authored before it, 9 is nobody"
        );
        Author::set(Some(2));
        blocks(2);
        assert_eq!(phase(id), Phase::Revealing);
    });
}

#[test]
fn the_author_of_the_block_in_which_the_phase_begins_does_not_count() {
    run(|| {
        Authorities::set(vec![1, 2]);
        let id = ask();
        assert_eq!(round(id).since, Rounds_::now(), "authored by 1");
        Author::set(Some(9));
        next_block();
        (1..=4).for_each(|who| commit(id, who));
        blocks(2 * CommitWindow::get());
        assert_eq!(phase(id), Phase::Committing);
    });
}

#[test]
fn only_recent_authors_are_remembered() {
    run(|| {
        for author in 1..=9 {
            Author::set(Some(author));
            next_block();
        }
        let known: Vec<_> = Authors::<Test>::get()
            .into_iter()
            .map(|known| known.author)
            .collect();
        assert_eq!(known.len(), 5);
        assert!((5..=9).all(|author| known.contains(&author)));
    });
}

#[test]
fn early_closing_does_not_wait_for_authors() {
    run(|| {
        Authorities::set(vec![1, 2, 3, 4]);
        let id = ask();
        play(id, 8, honest);
        assert_eq!(phase(id), Phase::Done);
    });
}
