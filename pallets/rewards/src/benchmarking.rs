// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use frame_benchmarking::v2::*;
use frame_support::traits::{
    fungible::{Balanced, Inspect},
    EnsureOrigin, OnUnbalanced,
};

use super::*;

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn spend() -> Result<(), BenchmarkError> {
        let origin = T::SpendOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no origin may spend"))?;
        let to: T::AccountId = account("payee", 0, 0);
        let amount = T::Currency::minimum_balance();
        Pallet::<T>::on_unbalanced(T::Currency::issue(amount.saturating_mul(2)));

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, to.clone(), amount);

        assert_eq!(T::Currency::balance(&to), amount);
        Ok(())
    }

    impl_benchmark_test_suite!(
        Pallet,
        sp_io::TestExternalities::from(crate::mock::genesis()),
        crate::mock::Test
    );
}
