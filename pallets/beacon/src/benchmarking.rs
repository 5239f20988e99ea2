// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the call and of the hooks.

use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{traits::Get, BoundedVec};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use hex_literal::hex;
use sp_consensus_aura::{sr25519::AuthorityId, Slot, AURA_ENGINE_ID};
use sp_core::sr25519::Public;
use sp_runtime::{traits::Zero, DigestItem};
use starling_primitives::{
    beacon::{Output, EPOCH},
    H256,
};

use super::*;

const SLOT: u64 = 5;
/// Any genesis; the output is for it.
const GENESIS: H256 = H256::repeat_byte(7);

/// The author with the secret of 32 bytes 1. A runtime has no host function that signs for it.
const AUTHOR: [u8; 32] = hex!("189dac29296d31814dc8c56cf3d36a0543372bba7538fa322a4aebfebc39e056");
/// Its output for the slot, with the first seed.
const OUTPUT: Output = Output {
    pre_output: hex!("949e5dc0274cff326c24c8db1a8939f3bbcd591cb1cf5e3e3c5f5dee08a5ec0b"),
    proof: hex!("b3d9e0eb8778a2e2e3a47af9e5bc0cf7b008b0eb4f976311d6c16918ed92d6055e989fe3657d6a4b7bfcf8158e10e616e46c72624a91d0a1719cdd9c372e5001"),
};

fn author() -> AuthorityId {
    Public::from_raw(AUTHOR).into()
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn reveal() {
        frame_system::BlockHash::<T>::insert(BlockNumberFor::<T>::zero(), GENESIS);
        Seed::<T>::kill();
        Awaited::<T>::put((author(), Slot::from(SLOT)));

        #[extrinsic_call]
        _(RawOrigin::None, OUTPUT);

        assert!(!Awaited::<T>::exists());
    }

    /// A full set of authors, and the end of an epoch.
    #[benchmark]
    fn begin_and_end() {
        let number = usize::try_from(<T as pallet_aura::Config>::MaxAuthorities::get());
        let authors = alloc::vec![author(); number.unwrap_or_default()];
        pallet_aura::Authorities::<T>::put(BoundedVec::truncate_from(authors));
        let slot = DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(SLOT).encode());
        frame_system::Pallet::<T>::deposit_log(slot);
        Accumulator::<T>::put(GENESIS);

        #[block]
        {
            Pallet::<T>::await_author();
            Pallet::<T>::end_block(EPOCH.saturating_sub(1).into());
        }

        assert!(Awaited::<T>::exists());
        assert_eq!(Seed::<T>::get(), GENESIS);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::chain(), crate::mock::Test);
}
