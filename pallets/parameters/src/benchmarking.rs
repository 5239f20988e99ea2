// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls.

use alloc::boxed::Box;

use frame_benchmarking::v2::*;
use frame_support::traits::EnsureOrigin;

use super::*;

#[benchmarks]
mod benchmarks {
    use super::*;

    /// All rules hold, so that each is checked.
    #[benchmark]
    fn set() -> Result<(), BenchmarkError> {
        let origin = T::AdminOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no origin may change the parameters"))?;
        let parameters = Pallet::<T>::in_force();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, Box::new(parameters.clone()));

        assert!(InForce::<T>::get() == Some(parameters));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::chain(Some(10)), crate::mock::Test);
}
