// SPDX-License-Identifier: Apache-2.0
//! A chain with ratings.

use frame_support::{derive_impl, parameter_types};
use sp_runtime::BuildStorage;
use starling_primitives::{
    fixed::ONE,
    rating::{Deviations, Mean},
};

use crate::Parameters;

pub type AccountId = u64;
pub type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Ratings: crate,
    }
);

parameter_types! {
    pub static Window: u32 = 3;
    pub static Chosen: Parameters = Parameters {
        min_samples: 8,
        initial_rating: ONE / 2,
        weight_floor: ONE / 4,
        min_participants: 5,
        rated_fee: 100,
        min_spread: ONE / 10,
        mean: Mean::OfOthers,
    };
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
}

impl crate::Config for Test {
    type Window = Window;
    type Parameters = Chosen;
}

/// A round in which each of `count` scores was `deviation` away from the others' mean.
pub fn round(deviation: u64, count: u32) -> Deviations {
    let square = u128::from(deviation) * u128::from(deviation);
    Deviations {
        squares: square * u128::from(count),
        count,
    }
}

/// Runs a test on a chain of its own, and checks the invariants at the end.
pub fn run(test: impl FnOnce()) {
    let storage = RuntimeGenesisConfig::default()
        .build_storage()
        .expect("a genesis");
    sp_io::TestExternalities::from(storage).execute_with(|| {
        System::set_block_number(1);
        test();
        Ratings::do_try_state().expect("the state is sound");
    });
}
