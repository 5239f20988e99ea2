// SPDX-License-Identifier: Apache-2.0
//! A chain with one number as its parameters.

use frame_support::{derive_impl, parameter_types};
use frame_system::EnsureRoot;
use sp_io::TestExternalities;
use sp_runtime::BuildStorage;
use starling_primitives::rules::Rule;

pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Parameters: crate,
    }
);

parameter_types! {
    pub const Stateless: u64 = 1;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
}

/// The number must be above zero, and may not fall.
pub struct Rules;

impl crate::Consistency<u64> for Rules {
    fn check(old: &u64, new: &u64) -> Result<(), Rule> {
        assert_eq!(Parameters::in_force(), *new, "the new number is in force");
        match new {
            0 => Err(Rule::NoFee),
            new if new < old => Err(Rule::RankingsLowered),
            _ => Ok(()),
        }
    }
}

impl crate::Config for Test {
    type Parameters = u64;
    type WeightInfo = ();
    type AdminOrigin = EnsureRoot<u64>;
    type Consistency = Rules;
    type Preset = u32;
    type Stateless = Stateless;
}

/// The state of a chain, which has a code, with these parameters.
pub fn chain(preset: Option<u32>) -> TestExternalities {
    let genesis = RuntimeGenesisConfig {
        parameters: crate::GenesisConfig { preset },
        ..Default::default()
    };
    let storage = genesis.build_storage().expect("a genesis");
    TestExternalities::new_with_code(b"code", storage)
}
