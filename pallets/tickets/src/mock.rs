// SPDX-License-Identifier: Apache-2.0
//! A chain with money and tickets.

use frame_support::{derive_impl, parameter_types, traits::fungible};
use sp_runtime::{BuildStorage, Permill};
use starling_primitives::Balance;

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Tickets: crate,
    }
);

/// Initial funds of accounts 1 to 3.
pub const ENDOWMENT: Balance = 1_000;
pub const EXISTENTIAL_DEPOSIT: Balance = 5;

parameter_types! {
    pub static MinTicket: Balance = 10;
    pub static TicketShare: Permill = Permill::from_percent(1);
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = frame_support::traits::ConstU128<EXISTENTIAL_DEPOSIT>;
}

impl crate::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type MinTicket = MinTicket;
    type TicketShare = TicketShare;
}

/// The events of this pallet so far.
pub fn events() -> Vec<crate::Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Tickets(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// The free and the held funds of `who`.
pub fn money(who: AccountId) -> (Balance, Balance) {
    (
        <Balances as fungible::Inspect<_>>::balance(&who),
        <Balances as fungible::InspectHold<_>>::total_balance_on_hold(&who),
    )
}

/// The initial state.
pub fn genesis() -> sp_core::storage::Storage {
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: (1..=3).map(|who| (who, ENDOWMENT)).collect(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("a genesis")
}

/// Runs a test on a chain of its own. At the end it checks the invariants, and that the issuance
/// shrank by the amount that the test returns as forfeited and dropped.
pub fn run(test: impl FnOnce() -> Balance) {
    sp_io::TestExternalities::from(genesis()).execute_with(|| {
        System::set_block_number(1);
        let issued = Balances::total_issuance();
        let burnt = test();
        assert_eq!(Balances::total_issuance(), issued - burnt);
        Tickets::do_try_state().expect("the state is sound");
    });
}
