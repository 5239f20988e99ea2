// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(feature = "runtime-benchmarks")]
extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
mod output_impls;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

use sp_inherents::InherentIdentifier;

/// The place of the output in the data for inherents.
pub const INHERENT_IDENTIFIER: InherentIdentifier = *b"strlbeac";

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::{WeightInfo, INHERENT_IDENTIFIER};
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use sp_consensus_aura::{sr25519::AuthorityId, Slot};
    use sp_inherents::{InherentData, InherentIdentifier, MakeFatalError};
    use starling_primitives::{beacon::Output, H256};

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config:
        frame_system::Config<Hash = H256> + pallet_aura::Config<AuthorityId = AuthorityId>
    {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// The hash of all outputs.
    #[pallet::storage]
    pub type Accumulator<T: Config> = StorageValue<_, H256, ValueQuery>;

    /// The value that the authors of this epoch sign.
    #[pallet::storage]
    pub type Seed<T: Config> = StorageValue<_, H256, ValueQuery>;

    /// The author of this block and its slot, until its output is there.
    #[pallet::storage]
    pub type Awaited<T: Config> = StorageValue<_, (AuthorityId, Slot), OptionQuery>;

    /// Errors of the call. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    pub enum Error<T> {
        /// This block needs no output, or has it already.
        #[codec(index = 0)]
        NotAwaited,
        /// The output is not that of this block's author.
        #[codec(index = 1)]
        WrongOutput,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Reveals the author's output. Authors put it into their blocks.
        ///
        /// # Errors
        ///
        /// `BadOrigin` with any signature, [`Error::NotAwaited`], [`Error::WrongOutput`].
        #[pallet::call_index(0)]
        #[pallet::weight((<T as Config>::WeightInfo::reveal(), DispatchClass::Mandatory))]
        pub fn reveal(origin: OriginFor<T>, output: Output) -> DispatchResult {
            ensure_none(origin)?;
            Self::do_reveal(&output)
        }
    }

    #[pallet::inherent]
    impl<T: Config> ProvideInherent for Pallet<T> {
        type Call = Call<T>;
        type Error = MakeFatalError<()>;
        const INHERENT_IDENTIFIER: InherentIdentifier = INHERENT_IDENTIFIER;

        fn create_inherent(data: &InherentData) -> Option<Self::Call> {
            let output = data.get_data(&INHERENT_IDENTIFIER).ok().flatten()?;
            Some(Call::reveal { output })
        }

        fn is_inherent(call: &Self::Call) -> bool {
            matches!(call, Call::reveal { .. })
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Must come before a session changes Aura's set.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::await_author();
            <T as Config>::WeightInfo::begin_and_end()
        }

        /// Stops a block whose author hides its output, which is no valid block.
        fn on_finalize(now: BlockNumberFor<T>) {
            assert!(
                Awaited::<T>::take().is_none(),
                "the block lacks the output of its author's VRF"
            );
            Self::end_block(now);
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
