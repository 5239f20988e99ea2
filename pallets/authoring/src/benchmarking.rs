// SPDX-License-Identifier: Apache-2.0
//! Benchmark of the checks of a report.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use frame_benchmarking::v2::*;
use frame_system::pallet_prelude::{BlockNumberFor, HeaderFor};
use sp_consensus_aura::{
    digests::CompatibleDigestItem,
    sr25519::{AuthorityId, AuthoritySignature},
};
use sp_consensus_slots::{EquivocationProof, Slot};
use sp_runtime::{
    traits::{Header, One},
    Digest, DigestItem, RuntimeAppPublic,
};

use super::*;

const SLOT: u64 = 5;

/// A sealed header on a parent.
fn header<T: Config>(author: &AuthorityId, parent: T::Hash) -> HeaderFor<T> {
    let slot = Slot::from(SLOT);
    let item = <DigestItem as CompatibleDigestItem<AuthoritySignature>>::aura_pre_digest(slot);
    let mut header = HeaderFor::<T>::new(
        BlockNumberFor::<T>::one(),
        T::Hash::default(),
        T::Hash::default(),
        parent,
        Digest {
            logs: alloc::vec![item],
        },
    );
    let seal = author
        .sign(&header.hash())
        .expect("the keystore has the key");
    let seal = <DigestItem as CompatibleDigestItem<AuthoritySignature>>::aura_seal(seal);
    header.digest_mut().push(seal);
    header
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// Two headers that prove it.
    #[benchmark]
    fn report_equivocation() {
        let offender = AuthorityId::generate_pair(None);
        let first = T::Hash::default();
        let mut second = T::Hash::default();
        second.as_mut().fill(1);
        let proof = EquivocationProof {
            slot: Slot::from(SLOT),
            first_header: header::<T>(&offender, first),
            second_header: header::<T>(&offender, second),
            offender,
        };
        let checked;

        #[block]
        {
            checked = Pallet::<T>::check_seals(&proof);
        }

        assert!(checked.is_ok());
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::for_benchmarks(), crate::mock::Test);
}
