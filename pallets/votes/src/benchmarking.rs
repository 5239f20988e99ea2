// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::vec::Vec;
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::traits::{Get, Hooks};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_consensus_grandpa::{AuthorityId, SetId};
use sp_runtime::{
    traits::{One, Zero},
    RuntimeAppPublic,
};

use super::*;

const ROUND: u64 = 1;

/// The votes of `voters` for the genesis block, in a set of them.
fn votes<T: Config>(voters: &[AuthorityId], set: SetId) -> Vec<VoteOf<T>> {
    const PRECOMMIT: u8 = 1;
    let number = BlockNumberFor::<T>::zero();
    let hash = frame_system::BlockHash::<T>::get(number);
    let payload = (PRECOMMIT, (hash, number), ROUND, set).encode();
    let vote = |voter: &AuthorityId| Vote {
        hash,
        number,
        voter: voter.clone(),
        signature: voter.sign(&payload).expect("the keystore has the key"),
    };
    voters.iter().map(vote).collect()
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
        let votes = votes::<T>(&voters, set);

        #[extrinsic_call]
        _(RawOrigin::None, ROUND, votes);

        assert_eq!(Voters::<T>::get().len(), voters.len());
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::for_benchmarks(), crate::mock::Test);
}
