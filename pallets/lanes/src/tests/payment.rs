// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok, traits::Hooks, weights::Weight};

use crate::{mock::*, Error, Event, Settlements};

#[test]
fn a_settlement_is_paid_once_after_its_window() {
    run(|| {
        let (id, epoch) = served();
        let checkpoint = checkpoint(id, epoch, 0, 0b11);
        assert_eq!(settle(&checkpoint), Ok(()));
        let anybody = || RuntimeOrigin::signed(account(101));
        assert_noop!(Lanes::finalise(anybody(), 0), Error::<Test>::NotDue);
        let due = Settlements::<Test>::get(0).unwrap().due;
        to_block(due);
        let before: Vec<_> = checkpoint
            .payouts
            .iter()
            .map(|(to, _)| free(&(*to).into()))
            .collect();
        let issued = issuance();
        assert_ok!(Lanes::finalise(anybody(), 0));
        for ((to, amount), before) in checkpoint.payouts.iter().zip(before) {
            assert_eq!(free(&(*to).into()), before + amount);
        }
        assert_eq!(issuance(), issued);
        assert_eq!((lane(id).pending, lane(id).paid), (0, 2 * FEE));
        assert_eq!(escrow(&requester()), 4_950 - 2 * FEE);
        assert_noop!(
            Lanes::finalise(anybody(), 0),
            Error::<Test>::UnknownSettlement
        );
        assert_noop!(
            Lanes::finalise(anybody(), 7),
            Error::<Test>::UnknownSettlement
        );
    });
}

#[test]
fn blocks_with_room_pay_by_themselves_in_order() {
    run(|| {
        let (id, epoch) = served();
        assert_eq!(settle(&checkpoint(id, epoch, 0, 1)), Ok(()));
        to_block(now() + 2);
        assert_eq!(settle(&checkpoint(id, epoch, 64, 1)), Ok(()));
        let due = |number| Settlements::<Test>::get(number).map(|settlement| settlement.due);
        let (first, second) = (due(0).unwrap(), due(1).unwrap());
        to_block(first);
        // No room.
        Lanes::on_idle(first.into(), Weight::zero());
        assert!(due(0).is_some());
        to_block(first + 1);
        assert_eq!((due(0), due(1)), (None, Some(second)));
        // Somebody was faster.
        to_block(second);
        assert_ok!(Lanes::finalise(RuntimeOrigin::signed(account(101)), 1));
        to_block(second + 1);
        assert_eq!(lane(id).paid, 2 * FEE);
        let paid = events();
        let paid = paid
            .iter()
            .filter(|event| matches!(event, Event::Paid { .. }));
        assert_eq!(paid.count(), 2);
    });
}

#[test]
fn what_goes_to_the_requester_is_free_again() {
    run(|| {
        let (id, epoch) = served();
        let mut without_winner = checkpoint(id, epoch, 0, 1);
        let treasury: [u8; 32] = Treasury::get().into();
        without_winner.payouts = vec![(requester().into(), 25), (treasury, 25)];
        assert_eq!(settle(&without_winner), Ok(()));
        to_block(now() + WINDOW + 1);
        let after = lane(id);
        assert_eq!((after.free, after.paid), (4_950 - 25, 25));
        assert_eq!(escrow(&requester()), 4_950 - 25);
    });
}

#[test]
fn a_voided_settlement_pays_nobody_and_costs_its_signers() {
    run(|| {
        let (id, epoch) = served();
        assert_eq!(settle(&checkpoint(id, epoch, 0, 0b11)), Ok(()));
        let (members, issued) = (members(id, epoch), issuance());
        let treasury = free(&Treasury::get());
        let stranger = RuntimeOrigin::signed(requester());
        assert_noop!(
            Lanes::void(stranger, 0),
            sp_runtime::DispatchError::BadOrigin
        );
        assert_ok!(Lanes::void(RuntimeOrigin::root(), 0));
        assert_eq!((lane(id).free, lane(id).pending), (4_950, 0));
        for (place, member) in members.iter().enumerate() {
            let lost = if place < 3 { LANE_BOND } else { 0 };
            assert_eq!(bonded(member), BOND - lost);
        }
        assert_eq!(free(&Treasury::get()), treasury + 3 * LANE_BOND);
        assert_eq!(issuance(), issued);
        assert_noop!(
            Lanes::void(RuntimeOrigin::root(), 0),
            Error::<Test>::UnknownSettlement
        );
        // The block stays settled.
        assert!(settle(&checkpoint(id, epoch, 0, 0b11)).is_err());
        to_block(now() + WINDOW + 1);
        assert_eq!(lane(id).paid, 0);
    });
}
