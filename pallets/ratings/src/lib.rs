// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod migration;
#[cfg(test)]
mod mock;
mod rating_impls;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;

pub use pallet::*;
pub use types::*;

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use sp_runtime::traits::Zero;
    use starling_primitives::traits::Consistent;

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(3);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// Number of rounds that a rating remembers.
        #[pallet::constant]
        type Window: Get<u32>;

        /// The parameters of counting rounds and of first ratings.
        #[pallet::constant]
        type Parameters: Get<Parameters>;
    }

    /// The record of every agent that ever ranked in a round that counted. It survives the agent's
    /// registration: an agent that comes back keeps its record.
    #[pallet::storage]
    pub type Records<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Record<T::Window>, ValueQuery>;

    /// The record of the answers of every agent that ever answered in a round that counted, 32
    /// fractional bits. It survives the agent's registration, too.
    #[pallet::storage]
    pub type Qualities<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u64>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A round counted for a ranker.
        Rated {
            /// The ranker.
            who: T::AccountId,
            /// Its present rating, 32 fractional bits.
            rating: u64,
        },
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(!T::Window::get().is_zero(), "Window must be above zero");
            assert_eq!(<Self as Consistent>::check(), Ok(()));
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
