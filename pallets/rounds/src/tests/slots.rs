// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use starling_primitives::Balance;

use crate::{mock::*, *};

const OTHER: AccountId = REQUESTER + 1;

fn ask_as(who: AccountId, fee: Balance) -> sp_runtime::DispatchResult {
    Rounds_::request(RuntimeOrigin::signed(who), b"why?".to_vec(), fee, 16, 4, 8)
}

#[test]
fn a_slot_is_free_at_first_and_dearer_the_more_are_taken() {
    run(|| {
        SlotPrice::set(6_000);
        for price in [0, 0, 1_000, 4_000, 9_000, 16_000] {
            let (wealth_before, issued) = (wealth(REQUESTER), Balances::total_issuance());
            let (cost, _) = Rounds_::request_cost(8);
            assert_eq!(cost, request_fee(8) + price);
            assert_ok!(ask_as(REQUESTER, FEE));
            assert_eq!(wealth(REQUESTER), wealth_before - cost);
            assert_eq!(Balances::total_issuance(), issued - cost, "it is burnt");
        }
    });
}

#[test]
fn nobody_pays_more_for_a_slot_than_it_offers() {
    run(|| {
        SlotPrice::set(6 * FEE);
        (0..2).for_each(|_| {
            ask();
        });
        assert_noop!(ask_as(REQUESTER, FEE - 1), Error::<Test>::SlotTooExpensive);
        assert_ok!(ask_as(REQUESTER, FEE));
    });
}

#[test]
fn when_all_slots_are_taken_a_higher_offer_takes_the_lowest_to_which_nobody_has_committed() {
    run(|| {
        SlotPrice::set(6_000);
        let low = ask_with(FEE / 2, 4, 8).unwrap();
        let (before, issued) = (wealth(REQUESTER), Balances::total_issuance());
        let lowest = ask_with(FEE, 4, 7).unwrap();
        let burnt = before - wealth(REQUESTER);
        (0..4).for_each(|_| {
            ask_with(2 * FEE, 4, 8).unwrap();
        });
        next_block();
        // The offer below it has a response.
        commit(low, 1);
        send(pass_call(lowest, 1)).unwrap();

        assert_noop!(ask_as(OTHER, FEE), Error::<Test>::TooManyRounds);
        let (on_hold_before, theirs, own) = (on_hold(REQUESTER), wealth(REQUESTER), wealth(OTHER));
        let issued_before = Balances::total_issuance();
        assert_ok!(ask_as(OTHER, FEE + 1));
        let expected = Event::Outbid {
            round: lowest,
            requester: REQUESTER,
        };
        assert!(events().contains(&expected));
        // It has its fee and what it has burnt.
        assert_eq!(on_hold(REQUESTER), on_hold_before - FEE);
        assert_eq!(wealth(REQUESTER), theirs + burnt);
        // The new one pays for its slot, and that besides.
        let price = 6_000 * 25 / 6;
        let paid = request_fee(8) + price;
        assert_eq!(wealth(OTHER), own - paid - burnt);
        assert_eq!(Balances::total_issuance(), issued_before - paid);
        assert!(issued_before < issued, "nothing is minted");
        assert_eq!(phase(lowest), Phase::Failed(Failure::Outbid));
        check();
        next_block();
        assert!(is_over(lowest) && !is_over(low));
        assert!(
            !Rounds::<Test>::contains_key(lowest),
            "purged, with its deposit"
        );
        assert!(!CommittingRounds::<Test>::get().contains(&lowest));
    });
}

#[test]
fn a_round_that_lost_its_slot_in_the_block_of_its_request_leaves_nothing() {
    run(|| {
        MaxStoredRounds::set(20);
        (0..6).for_each(|_| {
            ask();
        });
        // More than there are slots, in one block.
        for more in 1..=8 {
            assert_ok!(ask_as(OTHER, FEE + more));
        }
        check();
        blocks(CommitWindow::get() + 4);
        assert_eq!(Rounds_::stored_rounds(), 0);
        assert_eq!(on_hold(REQUESTER) + on_hold(OTHER), 0);
    });
}

#[test]
fn an_account_has_a_bounded_number_of_open_rounds() {
    run(|| {
        MaxRequests::set(2);
        let first = ask();
        ask();
        assert_noop!(ask_as(REQUESTER, FEE), Error::<Test>::TooManyRequests);
        assert_ok!(ask_as(OTHER, FEE));
        play(first, 4, honest);
        assert_ok!(ask_as(REQUESTER, FEE));
        blocks(4 * CommitWindow::get());
        assert_eq!(Requests::<Test>::iter().count(), 0);
    });
}
