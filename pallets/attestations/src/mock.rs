// SPDX-License-Identifier: Apache-2.0
//! A chain with one agent, to which the made-up evidence is bound.

use std::collections::BTreeMap;

use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, ConstU64},
};
use frame_system::EnsureRoot;
use sp_io::TestExternalities;
use sp_runtime::{traits::IdentityLookup, AccountId32, BuildStorage};
use starling_attestation::{fixtures, Roots};
use starling_primitives::{crypto, traits::Identities, InferenceKey, H256};

use crate::Claim;

pub type AccountId = AccountId32;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Timestamp: pallet_timestamp,
        Attestations: crate,
    }
);

/// Blocks in which an attestation counts.
pub const LIFETIME: u32 = 20;
/// Blocks in which a quote may name a block.
pub const MAX_AGE: u32 = 8;
/// The block that the evidence knows, and the one in which tests begin.
pub const KNOWN: u32 = 5;

parameter_types! {
    pub const VendorsRoots: Roots = fixtures::ROOTS;
    /// The agents, with key and model.
    pub static Agents: BTreeMap<AccountId, (InferenceKey, H256)> = BTreeMap::new();
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
}

impl pallet_timestamp::Config for Test {
    type Moment = u64;
    type OnTimestampSet = ();
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = ();
}

pub struct Registry;

impl Identities<AccountId> for Registry {
    fn identity(who: &AccountId) -> Option<(InferenceKey, H256)> {
        Agents::get().get(who).cloned()
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn make_agent(who: &AccountId, key: InferenceKey, model: H256) {
        Agents::mutate(|agents| agents.insert(who.clone(), (key, model)));
    }
}

impl crate::Config for Test {
    type WeightInfo = ();
    type Agents = Registry;
    type Roots = VendorsRoots;
    type GovernanceOrigin = EnsureRoot<AccountId>;
    type Lifetime = ConstU32<LIFETIME>;
    type MaxAge = ConstU32<MAX_AGE>;
}

/// The agent.
pub fn agent() -> AccountId {
    AccountId::new(fixtures::ACCOUNT)
}

pub fn key() -> InferenceKey {
    crypto::key(fixtures::INFERENCE_KEY)
}

/// The agent's claim beside its evidence.
pub fn claim() -> Claim {
    Claim {
        peer: fixtures::PEER,
        hop_key: fixtures::HOP_KEY,
        block: KNOWN,
    }
}

/// Sets the clock of the chain.
pub fn set_time(seconds: u64) {
    pallet_timestamp::Now::<Test>::put(seconds * 1_000);
}

/// The chain in the block after the known one, without collateral.
pub fn ext() -> TestExternalities {
    let storage = RuntimeGenesisConfig::default().build_storage();
    let mut chain = TestExternalities::new(storage.expect("a genesis"));
    chain.execute_with(|| {
        let model = H256(fixtures::MODEL);
        Agents::set(BTreeMap::from([(agent(), (key(), model))]));
        System::set_block_number(u64::from(KNOWN) + 1);
        for (number, hash) in [(0, fixtures::GENESIS), (KNOWN.into(), fixtures::BLOCK)] {
            frame_system::BlockHash::<Test>::insert(number, H256(hash));
        }
        set_time(fixtures::NOW);
    });
    chain
}
