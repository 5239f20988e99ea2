// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls, on made-up evidence.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use codec::Decode;
use frame_benchmarking::v2::*;
use frame_support::traits::{EnsureOrigin, Get, UnixTime};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::SaturatedConversion;
use starling_attestation::{dcap, fixtures, snp, Collateral, Item, Key, Product, SnpTcb};
use starling_primitives::{crypto, traits::Identities, H256};

use super::*;

/// The block that the evidence knows.
const KNOWN: u32 = 5;

fn governance<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
    T::GovernanceOrigin::try_successful_origin()
        .map_err(|_| BenchmarkError::Stop("no origin may govern"))
}

fn claim() -> Claim {
    Claim {
        peer: fixtures::PEER,
        hop_key: fixtures::HOP_KEY,
        block: KNOWN,
    }
}

/// The agent to which the evidence is bound, on a chain with all collateral.
fn agent<T: Config>() -> T::AccountId {
    let who = T::AccountId::decode(&mut fixtures::ACCOUNT.as_slice()).expect("an account");
    T::Agents::make_agent(
        &who,
        crypto::key(fixtures::INFERENCE_KEY),
        H256(fixtures::MODEL),
    );
    set_time::<T>();
    let now = BlockNumberFor::<T>::from(KNOWN.saturating_add(1));
    frame_system::Pallet::<T>::set_block_number(now);
    for (number, hash) in [(0, fixtures::GENESIS), (KNOWN, fixtures::BLOCK)] {
        let number = BlockNumberFor::<T>::from(number);
        frame_system::BlockHash::<T>::insert(number, H256(hash));
    }
    for item in fixtures::collateral() {
        Pallet::<T>::do_put_collateral(item).expect("good collateral");
    }
    who
}

fn set_time<T: Config>() {
    let now = fixtures::NOW.saturating_mul(1_000);
    pallet_timestamp::Now::<T>::put(now.saturated_into::<T::Moment>());
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// The item with the largest key: its certificate is signed by RSA.
    #[benchmark]
    fn put_collateral() {
        set_time::<T>();
        let caller: T::AccountId = whitelisted_caller();
        let mut items = fixtures::collateral();
        let item: Collateral = items.pop().expect("the chain of AMD is the last item");

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), item);

        assert!(Collaterals::<T>::contains_key(Key::AmdChain(
            Product::Milan
        )));
    }

    #[benchmark]
    fn attest_dcap() {
        let who = agent::<T>();
        let now = <pallet_timestamp::Pallet<T> as UnixTime>::now().as_secs();
        let evidence = dcap::verify(fixtures::TDX_5, &T::Roots::get(), now, |key| {
            Collaterals::<T>::get(key).map(Item::from)
        })
        .expect("a good quote");
        Measurements::<T>::insert(H256(evidence.measurement), ());

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who.clone()),
            fixtures::TDX_5.to_vec(),
            claim(),
        );

        assert!(Pallet::<T>::attestation(&who).is_some());
    }

    #[benchmark]
    fn attest_snp() {
        let who = agent::<T>();
        let ask = Collaterals::<T>::get(Key::AmdChain(Product::Milan)).expect("put above");
        let evidence = snp::verify(
            fixtures::SNP,
            fixtures::VCEK,
            Product::Milan,
            &ask.into(),
            fixtures::NOW,
        )
        .expect("a good report");
        Measurements::<T>::insert(H256(evidence.measurement), ());
        Floors::<T>::insert(Product::Milan, SnpTcb::default());

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who.clone()),
            Product::Milan,
            fixtures::SNP.to_vec(),
            fixtures::VCEK.to_vec(),
            claim(),
        );

        assert!(Pallet::<T>::attestation(&who).is_some());
    }

    #[benchmark]
    fn set_measurement() -> Result<(), BenchmarkError> {
        let origin = governance::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, H256::zero(), true);

        assert!(Measurements::<T>::contains_key(H256::zero()));
        Ok(())
    }

    #[benchmark]
    fn set_floor() -> Result<(), BenchmarkError> {
        let origin = governance::<T>()?;

        #[extrinsic_call]
        _(
            origin as T::RuntimeOrigin,
            Product::Milan,
            Some(SnpTcb::default()),
        );

        assert!(Floors::<T>::contains_key(Product::Milan));
        Ok(())
    }

    #[benchmark]
    fn set_platform() -> Result<(), BenchmarkError> {
        let origin = governance::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, H256::zero(), true);

        assert!(Revoked::<T>::contains_key(H256::zero()));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::ext(), crate::mock::Test);
}
