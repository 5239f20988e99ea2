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

// Only code of the macros uses `expect` here.
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
        /// The values that differ between chains.
        type Parameters: Parameter + MaxEncodedLen;

        /// Parameters by name, for chain specifications.
        type Preset: Clone + Into<Self::Parameters> + MaybeSerializeDeserialize;

        /// The parameters in the metadata of a runtime without a chain.
        type Stateless: Get<Self::Parameters>;
    }

    /// The parameters of this chain. Every block reads them, so they are in the cache.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type InForce<T: Config> = StorageValue<_, T::Parameters, OptionQuery>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Name of the parameters. There is no default. FRAME requires that a genesis without a
        /// name builds, but such a chain makes no block.
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
    ///
    /// On a chain without parameters, or with parameters that do not decode. Any other answer would
    /// let the chain go on under the terms of another one.
    pub fn in_force() -> T::Parameters {
        match InForce::<T>::get().or_else(migration::unmoved::<T>) {
            Some(parameters) => parameters,
            None if is_stateless() => T::Stateless::get(),
            None => panic!("the parameters of this chain are missing or do not decode"),
        }
    }

    /// Checks that there are parameters, and that they decode.
    pub fn do_try_state() -> Result<(), &'static str> {
        match InForce::<T>::get() {
            Some(_) => Ok(()),
            None => Err("the parameters of this chain are missing or do not decode"),
        }
    }
}

/// Whether there is no chain. The state of a chain would hold its code.
fn is_stateless() -> bool {
    sp_io::storage::read(CODE, &mut [], 0).is_none_or(|bytes| bytes == 0)
}
