// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use frame_benchmarking::v2::*;
use frame_support::traits::{
    fungible::{Balanced, Inspect},
    tokens::Precision::Exact,
    Get,
};
use frame_system::RawOrigin;
use starling_primitives::Balance;

use super::*;

/// Gives `who` money for tickets worth `amount`, and enough to keep its account alive.
fn fund<T: Config>(who: &T::AccountId, amount: Balance) {
    let sum = amount.saturating_add(T::Currency::minimum_balance().saturating_mul(2));
    // Dropping the debt issues the deposited amount.
    drop(T::Currency::deposit(who, sum, Exact).expect("benchmark accounts can be funded"));
}

/// Gives `who` free tickets worth `amount`.
pub(crate) fn endow<T: Config>(who: &T::AccountId, amount: Balance) {
    fund::<T>(who, amount);
    Pallet::<T>::do_buy(who.clone(), amount).expect("funded");
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn buy() {
        let who: T::AccountId = whitelisted_caller();
        let amount = T::MinTicket::get();
        fund::<T>(&who, amount);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), amount);

        assert_eq!(Accounts::<T>::get(&who).free, amount);
    }

    #[benchmark]
    fn refund() {
        let who: T::AccountId = whitelisted_caller();
        let amount = T::MinTicket::get();
        endow::<T>(&who, amount);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), amount);

        assert!(!Accounts::<T>::contains_key(&who));
    }

    impl_benchmark_test_suite!(
        Pallet,
        sp_io::TestExternalities::from(crate::mock::genesis()),
        crate::mock::Test
    );
}
