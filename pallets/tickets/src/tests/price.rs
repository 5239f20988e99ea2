// SPDX-License-Identifier: Apache-2.0

use starling_primitives::traits::Tickets as _;

use crate::mock::*;

#[test]
fn a_ticket_costs_its_share_of_the_reward_but_not_less_than_the_minimum() {
    run(|| {
        assert_eq!(Tickets::price(0), 10);
        assert_eq!(Tickets::price(1_000), 10);
        assert_eq!(Tickets::price(1_001), 11);
        assert_eq!(Tickets::price(50_000), 500);
        0
    });
}
