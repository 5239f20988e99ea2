// SPDX-License-Identifier: Apache-2.0
//! A chain with GRANDPA and three blocks.

use codec::Encode;
use frame_support::{
    derive_impl,
    traits::{ConstU32, ConstU64},
};
use sp_consensus_grandpa::AuthorityId;
use sp_core::{crypto::UncheckedFrom, ed25519, Pair, H256};
use sp_io::TestExternalities;
use sp_runtime::BuildStorage;

use crate::Vote;

pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Grandpa: pallet_grandpa,
        Votes: crate,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
}

impl pallet_grandpa::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<4>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<8>;
    type KeyOwnerProof = sp_core::Void;
    type EquivocationReportSystem = ();
}

impl crate::Config for Test {
    type WeightInfo = ();
}

/// The key of the `n`th validator, of which there are four, or a stranger's.
pub fn pair(n: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[n; 32])
}

pub fn id(n: u8) -> AuthorityId {
    ed25519::Public::unchecked_from(pair(n).public().0).into()
}

/// The hash of a block of this chain.
pub fn hash(block: u64) -> H256 {
    H256::repeat_byte(u8::try_from(block).expect("a small number"))
}

/// A vote of each of `voters` for `block`, signed for a round and a set.
pub fn votes(voters: &[u8], block: (u64, H256), round: u64, set: u64) -> Vec<Vote<H256, u64>> {
    const PRECOMMIT: u8 = 1;
    let (number, hash) = block;
    let payload = (PRECOMMIT, (hash, number), round, set).encode();
    let vote = |n: &u8| Vote {
        hash,
        number,
        voter: id(*n),
        signature: pair(*n).sign(&payload).into(),
    };
    voters.iter().map(vote).collect()
}

/// A chain of four validators at block 4.
pub fn chain() -> TestExternalities {
    let storage = RuntimeGenesisConfig {
        grandpa: pallet_grandpa::GenesisConfig {
            authorities: (1..=4).map(|n| (id(n), 1)).collect(),
            ..Default::default()
        },
        ..Default::default()
    }
    .build_storage()
    .expect("a genesis");
    let mut chain = TestExternalities::from(storage);
    chain.execute_with(|| {
        for block in 0..4 {
            frame_system::BlockHash::<Test>::insert(block, hash(block));
        }
        System::set_block_number(4);
    });
    chain
}

/// The same with a keystore for the keys that benchmarks make.
#[cfg(feature = "runtime-benchmarks")]
pub fn for_benchmarks() -> TestExternalities {
    use sp_keystore::{testing::MemoryKeystore, KeystoreExt};

    let mut chain = chain();
    chain.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    chain
}
