// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]

extern crate alloc;

pub mod migration;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

use frame_support::traits::Get;
use sp_storage::well_known_keys::CODE;

pub use pallet::*;

// Only what the macros write here expects anything.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    #[pallet::pallet]
    #[pallet::storage_version(migration::VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// What differs between chains.
        type Parameters: Parameter + MaxEncodedLen;

        /// Parameters by name, as a chain specification chooses them.
        type Preset: Clone + Into<Self::Parameters> + MaybeSerializeDeserialize;

        /// What stands in the metadata of a runtime without a chain.
        type Stateless: Get<Self::Parameters>;
    }

    /// The parameters of this chain. Every block reads them, so that they are in the cache.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type InForce<T: Config> = StorageValue<_, T::Parameters, OptionQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The name of the parameters. There is no default: FRAME wants the genesis without one
        /// to build, and the chain makes no block.
        pub preset: Option<T::Preset>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(preset) = &self.preset {
                InForce::<T>::put::<T::Parameters>(preset.clone().into());
            }
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Ok(Self::do_try_state()?)
        }
    }
}

impl<T: Config> Pallet<T> {
    /// The parameters of this chain.
    ///
    /// # Panics
    /// On a chain without them, or with some that do not decode. Every other answer would let the
    /// chain go on under the terms of another one.
    pub fn in_force() -> T::Parameters {
        match InForce::<T>::get().or_else(migration::unmoved::<T>) {
            Some(parameters) => parameters,
            None if is_stateless() => T::Stateless::get(),
            None => panic!("the parameters of this chain are missing or do not decode"),
        }
    }

    /// There are parameters, and they decode.
    pub fn do_try_state() -> Result<(), &'static str> {
        match InForce::<T>::get() {
            Some(_) => Ok(()),
            None => Err("the parameters of this chain are missing or do not decode"),
        }
    }
}

/// Whether there is no chain: its state would hold its code.
fn is_stateless() -> bool {
    sp_io::storage::read(CODE, &mut [], 0).is_none_or(|bytes| bytes == 0)
}
