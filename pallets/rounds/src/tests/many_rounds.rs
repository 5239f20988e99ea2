// SPDX-License-Identifier: Apache-2.0

use frame_support::{dispatch::DispatchClass, traits::Get, weights::Weight};

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
        let over = || ids.iter().filter(|id| is_over(**id)).count();
        assert_eq!(over(), 2);
        // Round 3 waits, so that its deadline moves along: a commit is still in time.
        commit(ids[3], 1);
        next_block();
        assert_eq!(over(), 4);
        assert!(!is_over(ids[4]), "the younger ones later");
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
        let over = || ids.iter().filter(|id| is_over(**id)).count();
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

/// The room that this block would reserve for its end, besides reading the agenda.
fn reserved() -> Room {
    Reserved::<Test>::kill();
    let weight = Rounds_::reserve();
    let open = u32::try_from(Agenda::<Test>::get().len()).unwrap();
    let room = Reserved::<Test>::take();
    let base = <() as WeightInfo>::on_initialize(open, <Test as Config>::MaxAuthorities::get());
    let transitions = match room {
        Room { transitions: 0, .. } => Weight::zero(),
        room => Rounds_::weight_of(room),
    };
    assert_eq!(weight, base.saturating_add(transitions));
    room
}

#[test]
fn weight_is_reserved_for_the_rounds_that_are_due_alone_and_is_bounded() {
    run(|| {
        for _ in 0..6 {
            ask();
        }
        assert_eq!(reserved(), Room::default());
        let deadline = round(0).deadline;
        System::set_block_number(u64::from(deadline - 1));
        assert_eq!(reserved(), Room::default());
        System::set_block_number(deadline.into());
        let agents = Agenda::<Test>::get()
            .iter()
            .map(|due| due.agents)
            .sum::<u32>();
        let most = Room {
            transitions: MaxTransitions::get(),
            agents: agents.min(MaxTransitionAgents::get()),
        };
        assert!(most.transitions < 6);
        assert_eq!(reserved(), most);
    });
}

#[test]
fn a_round_that_is_complete_in_a_full_block_goes_on_in_the_next_one() {
    run(|| {
        let id = ask();
        next_block();
        (1..=6).for_each(|who| commit(id, who));
        (7..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        let limits = frame_system::limits::BlockWeights::default();
        System::register_extra_weight_unchecked(
            limits.max_block.div(2),
            DispatchClass::Operational,
        );
        next_block();
        assert_eq!(phase(id), Phase::Committing);
        assert_eq!(Reserved::<Test>::get().transitions, 1);
        // Works however full this block is.
        System::register_extra_weight_unchecked(limits.max_block, DispatchClass::Operational);
        next_block();
        assert_eq!(phase(id), Phase::Revealing);
        assert_eq!(Reserved::<Test>::get(), Room::default());
    });
}
