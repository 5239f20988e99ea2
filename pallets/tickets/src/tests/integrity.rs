// SPDX-License-Identifier: Apache-2.0

use frame_support::traits::Hooks;
use sp_runtime::Permill;

use crate::mock::*;

#[test]
fn the_mocks_parameters_are_sound() {
    <Tickets as Hooks<_>>::integrity_test();
}

#[test]
#[should_panic(expected = "FreeTicket")]
fn a_ticket_must_cost_something() {
    MinTicket::set(0);
    <Tickets as Hooks<_>>::integrity_test();
}

#[test]
#[should_panic(expected = "TicketTooCheap")]
fn a_ticket_must_cost_a_hundredth_of_the_reward() {
    TicketShare::set(Permill::from_parts(9_999));
    <Tickets as Hooks<_>>::integrity_test();
}
