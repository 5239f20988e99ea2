// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod dispatchable_impls;
#[cfg(test)]
mod mock;
mod reward_impls;
#[cfg(test)]
mod tests;
mod treasury_impls;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;
pub mod weights;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The log target of this pallet.
const LOG_TARGET: &str = "runtime::rewards";

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::{
        pallet_prelude::*,
        traits::fungible::{Balanced, Mutate},
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use starling_primitives::{
        traits::{Consistent, Tickets},
        Balance,
    };

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// The currency of rewards.
        type Currency: Balanced<Self::AccountId, Balance = Balance>
            + Mutate<Self::AccountId, Balance = Balance>;

        /// The tickets, for their price: a requester that owns all agents must lose.
        type Tickets: Tickets<Self::AccountId>;

        /// Origin that may spend from the treasury.
        type SpendOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Identifier that the treasury's account is derived from.
        #[pallet::constant]
        type TreasuryId: Get<PalletId>;

        /// Shares of a pot.
        #[pallet::constant]
        type Parameters: Get<Parameters>;

        /// Minimum fee of a request.
        #[pallet::constant]
        type MinFee: Get<Balance>;

        /// Maximum number of responses of a round.
        #[pallet::constant]
        type MaxResponses: Get<u32>;
    }

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        #[serde(skip)]
        _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Err(error) = Pallet::<T>::do_open_treasury() {
                panic!("the treasury cannot be opened: {error:?}");
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The treasury paid.
        Spent {
            /// The receiver.
            to: T::AccountId,
            /// The paid amount.
            amount: Balance,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The amount is zero.
        ZeroAmount,
        /// The treasury has less than this above its existential deposit.
        TreasuryTooPoor,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert_eq!(<Self as Consistent>::check(), Ok(()));
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Pays `amount` from the treasury to `to`.
        ///
        /// `SpendOrigin` may call it. The treasury keeps its existential deposit.
        ///
        /// Emits [`Event::Spent`].
        ///
        /// Fails with [`Error::ZeroAmount`], [`Error::TreasuryTooPoor`], or an error of the
        /// currency if the amount is too small for `to` to receive.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::spend())]
        pub fn spend(
            origin: OriginFor<T>,
            to: T::AccountId,
            #[pallet::compact] amount: Balance,
        ) -> DispatchResult {
            T::SpendOrigin::ensure_origin(origin)?;
            Self::do_spend(to, amount)
        }
    }
}
