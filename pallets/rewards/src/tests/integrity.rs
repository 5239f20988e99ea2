// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;
use sp_runtime::Permill;
use starling_primitives::traits::{Rewards as _, Tickets as _};

use crate::{mock::*, Parameters};

fn integrity_test_with(change: impl FnOnce(&mut Parameters)) {
    let mut parameters = Chosen::get();
    change(&mut parameters);
    Chosen::set(parameters);
    <Rewards as Hooks<_>>::integrity_test();
}

#[test]
fn the_mocks_parameters_are_sound() {
    integrity_test_with(|_| {});
}

#[test]
#[should_panic(expected = "SharesExceedPot")]
fn shares_must_not_exceed_the_pot() {
    integrity_test_with(|parameters| parameters.rankers = Permill::from_parts(300_001));
}

#[test]
#[should_panic(expected = "NoFee")]
fn a_request_must_cost_something() {
    MinFee::set(0);
    integrity_test_with(|_| {});
}

#[test]
#[should_panic(expected = "SelfDealingGains")]
fn a_subsidy_that_pays_a_requester_to_ask_itself_is_refused() {
    integrity_test_with(|parameters| parameters.subsidy = Permill::from_percent(12));
}

#[test]
#[should_panic(expected = "SelfDealingGains")]
fn forfeits_that_pay_a_requester_to_ask_itself_are_refused() {
    integrity_test_with(|parameters| parameters.forfeits = Permill::from_percent(25));
}

#[test]
#[should_panic(expected = "SelfDealingGains")]
fn the_least_fee_counts_for_a_ticket_has_a_minimum() {
    MinTicket::set(1_100);
    integrity_test_with(|_| {});
}

#[test]
#[should_panic(expected = "SelfDealingGains")]
fn a_ticket_that_is_a_share_of_the_fee_counts_with_that_share() {
    MinTicket::set(1);
    integrity_test_with(|parameters| parameters.forfeits = Permill::from_percent(25));
}

/// Plays the case of the condition: a requester that owns all agents, at the largest round, with
/// every ranker's point.
#[test]
fn a_requester_that_owns_all_agents_loses() {
    run(|| {
        for fee in [100_000, 123_457, 10_000_000, 1 << 90] {
            let price = Tickets::price(Rewards::reward(fee));
            let forfeits = Rewards::loser_part(price) * u128::from(MaxResponses::get() - 1);
            let paid = settle(fee, forfeits, |fee, forfeits| {
                Rewards::pay_winner(fee, forfeits, &1, &[(1, 1)])
            });
            assert!(paid.winner + paid.rankers < fee + forfeits);
            // Not even if the forfeits were free.
            assert!(paid.winner + paid.rankers < fee);
        }
    });
}
