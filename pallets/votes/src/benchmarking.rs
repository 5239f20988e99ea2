// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::vec::Vec;
use codec::{Decode, Encode};
use frame_benchmarking::v2::*;
use frame_support::traits::{Get, Hooks};
use frame_system::{
    pallet_prelude::{BlockNumberFor, HeaderFor},
    RawOrigin,
};
use sp_consensus_grandpa::{AuthorityId, Commit, GrandpaJustification, SetId};
use sp_runtime::{
    traits::{One, Zero},
    RuntimeAppPublic,
};

use super::*;

const ROUND: u64 = 1;

/// The votes of `voters` for the genesis block, in a set of them.
fn votes<T: Config>(voters: &[AuthorityId], set: SetId) -> Commit<HeaderFor<T>> {
    const PRECOMMIT: u8 = 1;
    let block = (
        frame_system::BlockHash::<T>::get(BlockNumberFor::<T>::zero()),
        BlockNumberFor::<T>::zero(),
    );
    let votes: Vec<_> = voters
        .iter()
        .map(|id| {
            let message = (PRECOMMIT, block, ROUND, set).encode();
            let signature = id.sign(&message).expect("the keystore has the key");
            (block, signature, id.clone())
        })
        .collect();
    let bytes = (ROUND, (block, votes), Vec::<HeaderFor<T>>::new()).encode();
    GrandpaJustification::decode(&mut bytes.as_slice())
        .expect("the encoding of a justification")
        .commit
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// All validators vote, and all votes are new.
    #[benchmark]
    fn note(v: Linear<1, { <T as pallet_grandpa::Config>::MaxAuthorities::get() }>) {
        let voters: Vec<_> = (0..v).map(|_| AuthorityId::generate_pair(None)).collect();
        let authorities = voters.iter().map(|id| (id.clone(), 1)).collect();
        let now = BlockNumberFor::<T>::one();
        frame_system::Pallet::<T>::set_block_number(now);
        pallet_grandpa::Pallet::<T>::schedule_change(authorities, Zero::zero(), None)
            .expect("no change is pending");
        pallet_grandpa::Pallet::<T>::on_finalize(now);
        let set = pallet_grandpa::CurrentSetId::<T>::get();
        let commit = votes::<T>(&voters, set);

        #[extrinsic_call]
        _(RawOrigin::None, ROUND, commit);

        assert_eq!(Voters::<T>::get().len(), voters.len());
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::for_benchmarks(), crate::mock::Test);
}
