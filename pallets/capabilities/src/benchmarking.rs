// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::{vec, vec::Vec};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{EnsureOrigin, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use sp_runtime::{
    traits::{BlakeTwo256, Hash},
    Permill,
};
use starling_primitives::{
    choice::{commitment, leaf, Choice, Form, Votes},
    traits::Requests,
    Salt, H256,
};

use super::*;

const SALT: Salt = [9; 32];
const CHANCE: Permill = Permill::from_percent(5);

fn governance<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
    T::GovernanceOrigin::try_successful_origin()
        .map_err(|_| BenchmarkError::Stop("no origin may govern"))
}

fn hashes(count: u32) -> Vec<H256> {
    (0..count)
        .map(|n| H256::from_low_u64_be(n.into()))
        .collect()
}

/// Full of examiners, all with traffic.
fn appoint<T: Config>(first: T::AccountId) {
    let others = (1..T::MaxExaminers::get()).map(|n| account("examiner", n, 0));
    let examiners: Vec<T::AccountId> = core::iter::once(first).chain(others).collect();
    let traffic = ExaminerTraffic {
        asked: REQUESTS_PER_ANSWER,
        revealed: 0,
    };
    for examiner in &examiners {
        Traffic::<T>::insert(examiner, traffic);
    }
    Examiners::<T>::put(BoundedVec::truncate_from(examiners));
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn ask(p: Linear<1, { T::MaxPrompt::get() }>) {
        let (requester, fee, responses) = T::Requests::requester();
        appoint::<T>(requester.clone());

        #[extrinsic_call]
        _(
            RawOrigin::Signed(requester),
            vec![b'a'; p as usize],
            fee,
            1,
            responses,
            responses,
            Form::Short,
            H256::zero(),
        );

        assert_eq!(Questions::<T>::iter().count(), 1);
    }

    /// The longest prompt and proof, as many keys as there may be, and responses of maximum length.
    #[benchmark]
    fn reveal_answer(n: Linear<2, { T::MaxResponses::get() }>) {
        let examiner: T::AccountId = whitelisted_caller();
        appoint::<T>(examiner.clone());
        let prompt = vec![b'a'; T::MaxPrompt::get() as usize];
        let round = T::Requests::conclude(&examiner, prompt.clone(), n);
        let keys = hashes(T::MaxKeys::get());
        let proof = hashes(T::MaxProof::get());
        // The first question of the largest pool is a left child on each level.
        let leaf = leaf(0, &prompt, Form::Short, CHANCE, &keys);
        let node = |left: H256, right: &H256| BlakeTwo256::hash_of(&(left, right));
        let root = proof.iter().fold(leaf, node);
        Pool::<T>::put(QuestionPool {
            root,
            questions: u32::MAX,
        });
        let question = Question {
            form: Form::Short,
            commitment: commitment(Pallet::<T>::genesis(), &examiner, 0, &keys, &SALT),
            revealed: false,
        };
        Questions::<T>::insert(round, question);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(examiner),
            round,
            0,
            BoundedVec::truncate_from(keys),
            CHANCE,
            SALT,
            BoundedVec::truncate_from(proof),
        );

        assert_eq!(Capabilities::<T>::iter().count(), n as usize);
    }

    /// All examiners are replaced.
    #[benchmark]
    fn set_examiners() -> Result<(), BenchmarkError> {
        appoint::<T>(whitelisted_caller());
        let origin = governance::<T>()?;
        let new = (0..T::MaxExaminers::get()).map(|n| account("new", n, 0));
        let new: Vec<T::AccountId> = new.collect();

        #[extrinsic_call]
        _(
            origin as T::RuntimeOrigin,
            BoundedVec::truncate_from(new.clone()),
        );

        assert_eq!(Examiners::<T>::get().into_inner(), new);
        assert_eq!(Traffic::<T>::iter().count(), 0);
        Ok(())
    }

    #[benchmark]
    fn set_pool() -> Result<(), BenchmarkError> {
        let origin = governance::<T>()?;
        let pool = QuestionPool {
            root: H256::zero(),
            questions: 1,
        };

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, Some(pool));

        assert_eq!(Pool::<T>::get(), Some(pool));
        Ok(())
    }

    #[benchmark]
    fn set_choice() -> Result<(), BenchmarkError> {
        let origin = governance::<T>()?;
        let choice = Choice::Votes(Votes::default());

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, choice);

        assert_eq!(Chosen::<T>::get(), choice);
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::ext(), crate::mock::Test);
}
