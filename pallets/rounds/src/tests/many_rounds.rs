// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

#[test]
fn a_younger_round_does_not_reveal_before_an_older_one() {
    run(|| {
        let (older, younger) = (ask(), ask());
        next_block();
        AGENTS.for_each(|who| commit(younger, who));
        blocks(2);
        assert_eq!(
            phase(younger),
            Phase::Committing,
            "the older round is still Committing"
        );
        (1..=4).for_each(|who| commit(older, who));
        (5..=8).for_each(|who| drop(send(pass_call(older, who)).unwrap()));
        next_block();
        assert_eq!(phase(older), Phase::Revealing);
        assert_eq!(phase(younger), Phase::Revealing, "in the same block");
    });
}

#[test]
fn a_block_ends_only_so_many_phases_and_the_others_wait() {
    run(|| {
        MaxTransitions::set(2);
        let ids: Vec<_> = (0..5).map(|_| ask()).collect();
        blocks(CommitWindow::get() + 1);
        let over = || ids.iter().filter(|id| phase(**id).is_final()).count();
        assert_eq!(over(), 2);
        // Round 3 waits, so that its deadline moves along: a commit is still in time.
        commit(ids[3], 1);
        next_block();
        assert_eq!(over(), 4);
        assert!(!phase(ids[4]).is_final(), "the younger ones later");
        next_block();
        assert_eq!(over(), 5);
    });
}

#[test]
fn a_block_ends_only_rounds_of_so_many_agents() {
    run(|| {
        MaxTransitionAgents::set(16);
        let ids: Vec<_> = (0..5).map(|_| ask()).collect();
        blocks(CommitWindow::get() + 1);
        let over = || ids.iter().filter(|id| phase(**id).is_final()).count();
        assert_eq!(over(), 2, "two of eight places each");
        next_block();
        assert_eq!(over(), 4);
    });
}

#[test]
fn rounds_that_overlap_are_independent() {
    run(|| {
        let first = ask();
        next_block();
        let second = ask();
        next_block();
        for id in [first, second] {
            (1..=6).for_each(|who| commit(id, who));
            (7..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        }
        next_block();
        assert_eq!(
            (phase(first), phase(second)),
            (Phase::Revealing, Phase::Revealing)
        );
        (1..=6).for_each(|who| reveal(first, who));
        next_block();
        assert_eq!(
            (phase(first), phase(second)),
            (Phase::Ranking, Phase::Revealing)
        );
        assert_eq!(pallet_agents::Agents::<Test>::get(1).unwrap().open, 2);
        (1..=6).for_each(|who| reveal(second, who));
        next_block();
        assert_ne!(round(first).seed, round(second).seed);
    });
}

#[test]
fn the_weight_reserved_for_the_end_of_a_block_grows_with_the_agenda_and_is_bounded() {
    run(|| {
        let empty = Rounds_::weight_of_finalize();
        ask();
        let one = Rounds_::weight_of_finalize();
        assert!(one.all_gt(frame_support::weights::Weight::zero()) || one.ref_time() > 0);
        assert!(one.ref_time() > empty.ref_time());
        (0..5).for_each(|_| {
            ask();
        });
        let most = Rounds_::weight_of_finalize();
        assert!(most.ref_time() > one.ref_time());
        let bound = <() as WeightInfo>::on_initialize(6, 5)
            .saturating_add(Rounds_::weight_of_transition(0).saturating_mul(4))
            .saturating_add(Rounds_::weight_of_transition(MaxTransitionAgents::get()));
        assert_eq!(most, bound);
    });
}
