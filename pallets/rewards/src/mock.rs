// SPDX-License-Identifier: Apache-2.0
//! A chain with money, tickets and a treasury.

use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible::{Balanced, Inspect},
        tokens::imbalance::Imbalance,
    },
    PalletId,
};
use frame_system::EnsureRoot;
use sp_runtime::{BuildStorage, Permill};
use starling_primitives::Balance;

use crate::{CreditOf, Parameters};

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Tickets: pallet_tickets,
        Rewards: crate,
    }
);

pub const EXISTENTIAL_DEPOSIT: Balance = 10;
/// The existing accounts, and the initial funds of each.
pub const ACCOUNTS: core::ops::RangeInclusive<AccountId> = 1..=9;
pub const ENDOWMENT: Balance = 1_000;
/// An account that does not exist: amounts below the existential deposit cannot reach it.
pub const STRANGER: AccountId = 77;

parameter_types! {
    // Losers keep a part and the pot gets one, so that every rule moves money.
    pub static Chosen: Parameters = Parameters {
        loser: Permill::from_percent(10),
        forfeits: Permill::from_percent(20),
        ..Parameters::production()
    };
    pub static MinFee: Balance = 100_000;
    pub static MaxResponses: u32 = 500;
    pub static MinTicket: Balance = 1_000;
    pub static TicketShare: Permill = Permill::from_percent(1);
    pub const TreasuryId: PalletId = PalletId(*b"strl/trs");
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

impl pallet_tickets::Config for Test {
    type WeightInfo = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type MinTicket = MinTicket;
    type TicketShare = TicketShare;
}

impl crate::Config for Test {
    type WeightInfo = ();
    type Currency = Balances;
    type Tickets = Tickets;
    type SpendOrigin = EnsureRoot<AccountId>;
    type TreasuryId = TreasuryId;
    type Parameters = Chosen;
    type MinFee = MinFee;
    type MaxResponses = MaxResponses;
}

/// New money, as if taken from an account.
pub fn credit(amount: Balance) -> CreditOf<Test> {
    <Balances as Balanced<_>>::issue(amount)
}

pub fn balance(who: AccountId) -> Balance {
    <Balances as Inspect<_>>::balance(&who)
}

/// The treasury's funds above its existential deposit.
pub fn treasury() -> Balance {
    balance(Rewards::treasury()) - EXISTENTIAL_DEPOSIT
}

/// Earnings of `who`.
pub fn earned(who: AccountId) -> Balance {
    balance(who) - ENDOWMENT
}

/// The initial state.
pub fn genesis() -> sp_core::storage::Storage {
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: ACCOUNTS.map(|who| (who, ENDOWMENT)).collect(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("a genesis")
}

/// Runs a test on a chain of its own, and checks the invariants at the end.
pub fn run(test: impl FnOnce()) {
    sp_io::TestExternalities::from(genesis()).execute_with(|| {
        System::set_block_number(1);
        test();
        Rewards::do_try_state().expect("the state is sound");
        let owned: Balance = frame_system::Account::<Test>::iter()
            .map(|(_, account)| account.data.free + account.data.reserved)
            .sum();
        assert_eq!(owned, Balances::total_issuance(), "all money has an owner");
    });
}

/// Settles by `settle` with `fee` and `forfeits`, checks the destination of every unit against the
/// report, and returns the report.
pub fn settle(
    fee: Balance,
    forfeits: Balance,
    settle: impl FnOnce(CreditOf<Test>, CreditOf<Test>) -> starling_primitives::rewards::Paid,
) -> starling_primitives::rewards::Paid {
    let before = (Balances::total_issuance(), treasury());
    let (fee, forfeits) = (credit(fee), credit(forfeits));
    let given = fee.peek() + forfeits.peek();
    let paid = settle(fee, forfeits);
    assert_eq!(
        given + paid.subsidy,
        paid.winner + paid.rankers + paid.treasury + paid.burnt,
        "every unit is accounted for"
    );
    assert_eq!(
        Balances::total_issuance(),
        before.0 + given + paid.subsidy - paid.burnt,
        "issuance changes by subsidy and burn only"
    );
    assert_eq!(treasury(), before.1 + paid.treasury);
    paid
}
