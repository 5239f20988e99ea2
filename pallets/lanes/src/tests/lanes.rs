// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_lane_primitives::{Committee, Terms};

use crate::{mock::*, Error, Lanes as LaneMap, Now, Parameters};

#[test]
fn a_deposit_is_on_hold_but_for_its_burnt_part() {
    run(|| {
        let (before, issued) = (free(&requester()), issuance());
        let id = open(&requester(), terms());
        assert_eq!(escrow(&requester()), 4_950);
        assert_eq!(free(&requester()), before - DEPOSIT);
        assert_eq!(issuance(), issued - 50);
        let origin = RuntimeOrigin::signed(requester());
        assert_ok!(Lanes::top_up(origin.clone(), id, 1_000));
        assert_eq!(escrow(&requester()), 4_950 + 990);
        assert_noop!(Lanes::top_up(origin, id, 0), Error::<Test>::DepositTooLow);
        let stranger = RuntimeOrigin::signed(account(101));
        assert_noop!(
            Lanes::top_up(stranger, id, 1_000),
            Error::<Test>::NotRequester
        );
    });
}

#[test]
fn a_lane_keeps_the_bound_of_its_own_committee() {
    run(|| {
        let id = open(&requester(), terms());
        let of_four = Lanes::lane(id).unwrap().max_pending;
        assert_eq!(
            of_four,
            PARAMETERS.max_pending(Committee::SMALLEST, MIN_SLASH)
        );
        let larger = Parameters {
            min_committee: 7,
            ..PARAMETERS
        };
        assert_ok!(Lanes::set_parameters(RuntimeOrigin::root(), larger));
        assert_eq!(Lanes::lane(id).unwrap().max_pending, of_four);
    });
}

#[test]
fn terms_that_nobody_can_serve_are_refused() {
    run(|| {
        let origin = || RuntimeOrigin::signed(requester());
        for members in [0, 1, 3, 5, 6, 17, 19] {
            let terms = Terms { members, ..terms() };
            assert_noop!(
                Lanes::open(origin(), DEPOSIT, terms),
                Error::<Test>::InvalidCommittee
            );
        }
        for terms in [
            Terms {
                max_fee: 9,
                ..terms()
            },
            Terms {
                max_tokens: 0,
                ..terms()
            },
            Terms {
                answer_ms: 999,
                ..terms()
            },
            Terms {
                rank_ms: 999,
                ..terms()
            },
        ] {
            assert_noop!(
                Lanes::open(origin(), DEPOSIT, terms),
                Error::<Test>::InvalidTerms
            );
        }
        assert_noop!(
            Lanes::open(origin(), 999, terms()),
            Error::<Test>::DepositTooLow
        );
    });
}

#[test]
fn lanes_are_bounded_and_the_last_ones_are_dear() {
    run(|| {
        MaxLanes::set(8);
        let origin = || RuntimeOrigin::signed(requester());
        let mut least = PARAMETERS.min_deposit;
        for _ in 0..MaxLanes::get() {
            assert_eq!(Lanes::rules().min_deposit, least);
            assert_noop!(
                Lanes::open(origin(), least - 1, terms()),
                Error::<Test>::DepositTooLow
            );
            assert_ok!(Lanes::open(origin(), least, terms()));
            least *= 2;
        }
        assert_noop!(
            Lanes::open(origin(), least, terms()),
            Error::<Test>::TooManyLanes
        );
        MaxLanes::set(64);
    });
}

#[test]
fn a_closed_lane_gives_its_rest_back_after_all_windows() {
    run(|| {
        let (id, epoch) = served();
        let origin = || RuntimeOrigin::signed(requester());
        assert_noop!(Lanes::reclaim(origin(), id), Error::<Test>::NotClosing);
        assert_ok!(Lanes::close(origin(), id));
        assert_noop!(Lanes::close(origin(), id), Error::<Test>::AlreadyClosing);
        assert_noop!(
            Lanes::top_up(origin(), id, 1),
            Error::<Test>::AlreadyClosing
        );
        // What was certified is still settled.
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Ok(()));
        assert_noop!(Lanes::reclaim(origin(), id), Error::<Test>::NotReclaimable);
        let reclaimable = lane(id).closing.unwrap().reclaimable;
        to_block(reclaimable - 1);
        assert_noop!(Lanes::reclaim(origin(), id), Error::<Test>::NotReclaimable);
        to_block(reclaimable);
        let before = free(&requester());
        assert_ok!(Lanes::reclaim(origin(), id));
        assert_eq!(free(&requester()), before + 4_950 - FEE);
        assert_eq!(escrow(&requester()), 0);
        assert_eq!(LaneMap::<Test>::get(id), None);
    });
}

#[test]
fn a_closed_lane_has_no_later_committee() {
    run(|| {
        let (id, epoch) = served();
        for number in 1..=AGENTS {
            assert_eq!(join(&account(number), epoch + 3), Ok(()));
        }
        assert_ok!(Lanes::close(RuntimeOrigin::signed(requester()), id));
        to_epoch(epoch + 3);
        assert_eq!(Now::<Test>::get().epoch, epoch + 3);
        assert!(Lanes::committee_view(id, epoch).is_some());
        assert_eq!(Lanes::committee_view(id, epoch + 3), None);
    });
}
