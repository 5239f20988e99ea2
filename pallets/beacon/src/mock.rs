// SPDX-License-Identifier: Apache-2.0
//! A chain of three authors.

use codec::Encode;
use frame_support::{
    derive_impl,
    traits::{ConstBool, ConstU32, ConstU64, Hooks},
};
use sp_consensus_aura::{sr25519::AuthorityId, Slot, AURA_ENGINE_ID};
use sp_core::{crypto::VrfSecret, sr25519, Pair, H256};
use sp_io::TestExternalities;
use sp_runtime::{BuildStorage, Digest, DigestItem};
use starling_primitives::beacon::{input, Output};

use crate::{Accumulator, Seed};

pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Timestamp: pallet_timestamp,
        Aura: pallet_aura,
        Beacon: crate,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
}

impl pallet_timestamp::Config for Test {
    type Moment = u64;
    type OnTimestampSet = ();
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = ();
}

impl pallet_aura::Config for Test {
    type AuthorityId = AuthorityId;
    type DisabledValidators = ();
    type MaxAuthorities = ConstU32<3>;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = ConstU64<2>;
}

impl crate::Config for Test {
    type WeightInfo = ();
}

pub fn pair(n: u8) -> sr25519::Pair {
    sr25519::Pair::from_seed(&[n; 32])
}

/// The author of a slot of this chain.
pub fn author(slot: u64) -> u8 {
    u8::try_from(slot % 3).expect("a small number")
}

/// The output of an author for a slot, with the seed in force.
pub fn output(author: u8, slot: u64) -> Output {
    let asked = input(System::block_hash(0), Seed::<Test>::get(), slot);
    pair(author).vrf_sign(&asked).into()
}

/// Begins a block of `slot`.
pub fn begin(number: u64, slot: u64) {
    let item = DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(slot).encode());
    let digest = Digest { logs: vec![item] };
    System::reset_events();
    System::initialize(&number, &H256::repeat_byte(1), &digest);
    Beacon::on_initialize(number);
}

/// Makes a whole block of `slot`. Returns the randomness after it.
pub fn block(number: u64, slot: u64) -> H256 {
    begin(number, slot);
    Beacon::do_reveal(&output(author(slot), slot)).expect("its author's output");
    Beacon::on_finalize(number);
    Accumulator::<Test>::get()
}

/// The chain before its first block.
pub fn chain() -> TestExternalities {
    let authorities = (0..3).map(|n| pair(n).public().into()).collect();
    let storage = RuntimeGenesisConfig {
        aura: pallet_aura::GenesisConfig { authorities },
        ..Default::default()
    }
    .build_storage()
    .expect("a genesis");
    storage.into()
}
