// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use frame_support::weights::Weight;

const PLENTY: Weight = Weight::from_parts(u64::MAX / 2, u64::MAX / 2);

/// Items of this pallet's maps.
fn items() -> usize {
    Rounds::<Test>::iter().count()
        + Prompts::<Test>::iter().count()
        + Participants::<Test>::iter().count()
        + Absent::<Test>::iter().count()
        + Draws::<Test>::iter().count()
        + Sealed::<Test>::iter().count()
        + Responses::<Test>::iter().count()
        + Entries::<Test>::iter().count()
        + Ended::<Test>::iter().count()
        + Void::<Test>::iter().count()
}

#[test]
fn after_the_retention_period_nothing_is_left_and_the_deposit_is_back() {
    run(|| {
        let id = ask();
        play(id, 6, honest);
        blocks(3);
        assert!(items() > 20);
        let deadline = round(id).deadline;
        while Rounds_::now() <= deadline {
            next_block_with_idle(PLENTY);
            assert!(
                Rounds::<Test>::contains_key(id),
                "until the retention period is over"
            );
        }
        assert_eq!(on_hold(REQUESTER), round(id).terms.deposit);
        next_block_with_idle(PLENTY);
        assert_eq!(items(), 0);
        assert_eq!(on_hold(REQUESTER), 0);
        assert_eq!(EndedQueue::<Test>::get(), Queue { head: 1, tail: 1 });
        assert_eq!(ask(), id + 1, "its number is not used again");
    });
}

#[test]
fn a_round_with_too_few_commits_is_purged_at_once_whatever_a_block_has_to_do() {
    run(|| {
        let id = ask();
        next_block();
        (1..=3).for_each(|who| commit(id, who));
        (4..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        // A page of five items a block: three for each commit, and one for each pass.
        assert_eq!(items(), 3 + 14 - 5);
        blocks(2);
        assert_eq!(items(), 0);
        assert_eq!(on_hold(REQUESTER), 0);
        assert_eq!(Rounds_::stored_rounds(), 0);
        let expected = Event::Purged { round: id };
        assert!(events().contains(&expected));
    });
}

#[test]
fn a_round_that_failed_later_can_be_read_for_its_retention_period() {
    run(|| {
        let id = ask();
        to_ranking(id, 5);
        blocks(RankWindow::get());
        let over = round(id).since;
        assert_eq!(round(id).deadline, over + RetentionPeriod::get());
        while Rounds_::now() <= over + RetentionPeriod::get() {
            next_block_with_idle(PLENTY);
            assert!(Rounds::<Test>::contains_key(id));
        }
        next_block_with_idle(PLENTY);
        assert_eq!(items(), 0);
    });
}

#[test]
fn a_purge_takes_no_more_weight_than_is_left() {
    run(|| {
        let id = ask();
        play(id, 6, honest);
        blocks(RetentionPeriod::get() + 4);
        let before = items();
        assert_eq!(Rounds_::idle_purge(Weight::zero()), Weight::zero());
        assert_eq!(items(), before);
        let two = <() as WeightInfo>::purge(2);
        let used = Rounds_::idle_purge(two);
        assert!(used.all_lte(two));
        assert_eq!(items(), before - 2);
        let mut rounds = 0;
        while Rounds::<Test>::contains_key(id) {
            let left = <() as WeightInfo>::purge(4);
            assert!(Rounds_::idle_purge(left).all_lte(left));
            check();
            rounds += 1;
            assert!(rounds < 20, "it comes to an end");
        }
        assert_eq!(items(), 0);
    });
}

#[test]
fn above_half_of_the_storage_the_oldest_goes_before_its_time() {
    run(|| {
        RetentionPeriod::set(1_000);
        let ids: Vec<_> = (0..6)
            .map(|_| {
                let id = ask();
                play(id, 4, honest);
                blocks(3);
                id
            })
            .collect();
        // Six are more than half of ten. A page goes each block, without any weight left.
        blocks(5);
        assert_eq!(Rounds_::stored_rounds(), 5);
        assert!(!Rounds::<Test>::contains_key(ids[0]));
        assert!(ids[1..].iter().all(Rounds::<Test>::contains_key));
        blocks(5);
        assert_eq!(Rounds_::stored_rounds(), 5, "and no more than that");
    });
}

#[test]
fn a_day_has_room_for_more_rounds_than_are_stored() {
    run(|| {
        RetentionPeriod::set(1_000);
        PurgePage::set(40);
        for _ in 0..2 * MaxStoredRounds::get() {
            let id = ask();
            play(id, 4, honest);
        }
    });
}

#[test]
fn the_oldest_goes_first() {
    run(|| {
        let first = ask();
        play(first, 4, honest);
        let second = ask();
        play(second, 4, honest);
        while Rounds::<Test>::contains_key(first) {
            assert!(Rounds::<Test>::contains_key(second));
            next_block_with_idle(PLENTY);
        }
        assert!(Rounds::<Test>::contains_key(second));
    });
}
