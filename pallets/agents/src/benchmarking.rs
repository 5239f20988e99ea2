// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls, each with a full list of candidates.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::{vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Balanced, tokens::Precision::Exact, EnsureOrigin, Get},
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_application_crypto::RuntimeAppPublic;
use sp_runtime::{
    traits::{One, Zero},
    Saturating,
};
use starling_primitives::{
    messages::ownership_payload, Balance, InferenceKey, InferenceSignature, H256,
};

use super::*;

/// Gives `who` funds for `amount` and for all charges of a test.
fn fund<T: Config>(who: &T::AccountId, amount: Balance) {
    let fees = T::KeyFee::get()
        .saturating_mul(4)
        .saturating_add(T::MinBond::get());
    let sum = amount.saturating_add(fees);
    // Dropping the debt issues the deposited amount.
    drop(T::Currency::deposit(who, sum, Exact).expect("benchmark accounts can be funded"));
}

fn longest_model() -> ModelDescriptor {
    ModelDescriptor {
        name: vec![b'm'; MAX_MODEL_NAME as usize]
            .try_into()
            .expect("a name of the longest size"),
        hash: H256::repeat_byte(1),
    }
}

/// Makes `who` an active agent with at least `bond` of its bond free.
pub(crate) fn make_active<T: Config>(who: &T::AccountId, key: InferenceKey, bond: Balance) {
    let bond = bond.max(T::MinBond::get());
    fund::<T>(who, bond);
    if Agents::<T>::contains_key(who) {
        Pallet::<T>::do_bond_extra(who.clone(), bond).expect("funded");
    } else {
        KeyOwner::<T>::insert(&key, who);
        Pallet::<T>::insert_agent(who.clone(), key, longest_model(), bond).expect("funded");
    }
}

/// A new key in the keystore, and its agreement to serve `who`.
fn new_key<T: Config>(who: &T::AccountId) -> (InferenceKey, InferenceSignature) {
    let key = InferenceKey::generate_pair(None);
    let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
    let proof = key
        .sign(&ownership_payload(genesis, who))
        .expect("the key is in the keystore");
    (key, proof)
}

/// Fills the list of candidates except for `free` places, with bonds from twice the minimum on.
fn candidates<T: Config>(free: u32) {
    let list: Vec<_> = (0..T::MaxCandidates::get().saturating_sub(free))
        .rev()
        .map(|n| Candidate {
            who: account("candidate", n, 0),
            bond: T::MinBond::get().saturating_mul(2).saturating_add(n.into()),
        })
        .collect();
    Candidates::<T>::put(BoundedVec::truncate_from(list));
}

/// A bond above those of all candidates.
fn highest<T: Config>() -> Balance {
    T::MinBond::get()
        .saturating_mul(3)
        .saturating_add(T::MaxCandidates::get().into())
}

/// An agent that fills the list of candidates, as the first or as the last one.
fn agent<T: Config>(bond: Balance) -> T::AccountId {
    candidates::<T>(1);
    let who: T::AccountId = whitelisted_caller();
    make_active::<T>(&who, InferenceKey::generate_pair(None), bond);
    who
}

/// Adds unbonding parts of the bond; the first ones are due in this block.
fn unbonding<T: Config>(who: &T::AccountId, parts: u32) {
    let now = frame_system::Pallet::<T>::block_number();
    for n in 0..parts {
        let part = T::MinBond::get();
        fund::<T>(who, part);
        Pallet::<T>::do_bond_extra(who.clone(), part).expect("funded");
        frame_system::Pallet::<T>::set_block_number(now.saturating_add(n.into()));
        Pallet::<T>::do_unbond(who.clone(), part).expect("bonded");
    }
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register() {
        candidates::<T>(0);
        let who: T::AccountId = whitelisted_caller();
        let bond = highest::<T>();
        fund::<T>(&who, bond);
        let (key, proof) = new_key::<T>(&who);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who.clone()),
            key,
            proof,
            longest_model(),
            bond,
        );

        assert!(Agents::<T>::contains_key(&who));
        assert_eq!(
            Candidates::<T>::get().first().map(|first| &first.who),
            Some(&who)
        );
    }

    #[benchmark]
    fn bond_extra() {
        let who = agent::<T>(T::MinBond::get());
        let amount = highest::<T>();
        fund::<T>(&who, amount);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), amount);

        assert_eq!(
            Candidates::<T>::get().first().map(|first| &first.who),
            Some(&who)
        );
    }

    #[benchmark]
    fn unbond() {
        let who = agent::<T>(highest::<T>());
        unbonding::<T>(&who, T::MaxUnbonding::get().saturating_sub(1));
        let now = frame_system::Pallet::<T>::block_number();
        frame_system::Pallet::<T>::set_block_number(now.saturating_add(One::one()));
        let amount = highest::<T>().saturating_sub(T::MinBond::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), amount);

        assert_eq!(
            Unbonding::<T>::get(&who).len() as u32,
            T::MaxUnbonding::get()
        );
        assert_eq!(
            Candidates::<T>::get().last().map(|last| &last.who),
            Some(&who)
        );
    }

    #[benchmark]
    fn withdraw_unbonded() {
        let who = agent::<T>(highest::<T>());
        unbonding::<T>(&who, T::MaxUnbonding::get());
        let now = frame_system::Pallet::<T>::block_number();
        frame_system::Pallet::<T>::set_block_number(now.saturating_add(T::UnbondingPeriod::get()));

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(!Unbonding::<T>::contains_key(&who));
    }

    #[benchmark]
    fn chill() {
        let who = agent::<T>(highest::<T>());

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(Agents::<T>::get(&who).is_some_and(|agent| agent.chilled));
    }

    #[benchmark]
    fn unchill() {
        let who = agent::<T>(highest::<T>());
        Pallet::<T>::do_chill(who.clone()).expect("not chilled");
        candidates::<T>(0);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert_eq!(
            Candidates::<T>::get().first().map(|first| &first.who),
            Some(&who)
        );
    }

    #[benchmark]
    fn rotate_key() {
        let who = agent::<T>(highest::<T>());
        let (key, proof) = new_key::<T>(&who);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), key.clone(), proof);

        assert!(Agents::<T>::get(&who).is_some_and(|agent| agent.key == key));
    }

    #[benchmark]
    fn set_model() {
        let who = agent::<T>(highest::<T>());
        let mut model = longest_model();
        model.hash = H256::repeat_byte(2);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), model.clone());

        assert!(Agents::<T>::get(&who).is_some_and(|agent| agent.model == model));
    }

    #[benchmark]
    fn deregister() {
        let who = agent::<T>(highest::<T>());
        unbonding::<T>(&who, T::MaxUnbonding::get().saturating_sub(1));
        let now = frame_system::Pallet::<T>::block_number();
        frame_system::Pallet::<T>::set_block_number(now.saturating_add(One::one()));

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(!Agents::<T>::contains_key(&who));
    }

    #[benchmark]
    fn slash() -> Result<(), BenchmarkError> {
        let who = agent::<T>(highest::<T>());
        unbonding::<T>(&who, T::MaxUnbonding::get());
        let origin = T::SlashOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no origin may slash"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone(), Balance::MAX);

        assert!(Agents::<T>::get(&who).is_some_and(|agent| agent.bond.is_zero()));
        Ok(())
    }

    #[benchmark]
    fn enter() {
        let who = agent::<T>(highest::<T>());
        candidates::<T>(0);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), who.clone());

        assert_eq!(
            Candidates::<T>::get().first().map(|first| &first.who),
            Some(&who)
        );
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::for_benchmarks(), crate::mock::Test);
}
