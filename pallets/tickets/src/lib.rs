// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod dispatchable_impls;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod ticket_impls;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;
pub mod weights;

pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// The log target of this pallet.
const LOG_TARGET: &str = "runtime::tickets";

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::{pallet_prelude::*, traits::fungible::hold};
    use frame_system::pallet_prelude::*;
    use sp_runtime::Permill;
    use starling_primitives::{traits::Consistent, Balance};

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// The overarching reason of holds.
        type RuntimeHoldReason: From<HoldReason>;

        /// The currency of tickets.
        type Currency: hold::Balanced<Self::AccountId, Balance = Balance>
            + hold::Mutate<Self::AccountId, Balance = Balance, Reason = Self::RuntimeHoldReason>;

        /// Minimum price of a ticket.
        #[pallet::constant]
        type MinTicket: Get<Balance>;

        /// Price of a ticket as a share of the round's reward.
        #[pallet::constant]
        type TicketShare: Get<Permill>;
    }

    /// Reasons why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// Tickets, free and staked.
        #[codec(index = 0)]
        Tickets,
    }

    /// The tickets of every account that has any.
    #[pallet::storage]
    pub type Accounts<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Account, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Tickets were bought.
        Bought {
            /// The buyer.
            who: T::AccountId,
            /// The bought amount.
            amount: Balance,
            /// The buyer's free tickets now.
            free: Balance,
        },
        /// Free tickets were turned back into money.
        Refunded {
            /// Their owner.
            who: T::AccountId,
            /// The refunded amount.
            amount: Balance,
            /// The owner's free tickets now.
            free: Balance,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The amount is zero.
        ZeroAmount,
        /// There are not enough free tickets.
        NotEnoughTickets,
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
        /// Buys tickets for `amount`.
        ///
        /// Any signed account may call it. It puts `amount` on hold as free tickets. An agent
        /// spends them on rounds, and [`Pallet::refund`] turns them back into money.
        ///
        /// Emits [`Event::Bought`].
        ///
        /// Fails with [`Error::ZeroAmount`], or an error of the currency when the account cannot
        /// pay.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::buy())]
        pub fn buy(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_buy(who, amount)
        }

        /// Turns free tickets worth `amount` back into money.
        ///
        /// Any signed account may call it. Tickets that are staked in a round are not free.
        ///
        /// Emits [`Event::Refunded`].
        ///
        /// Fails with [`Error::ZeroAmount`] or [`Error::NotEnoughTickets`].
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::refund())]
        pub fn refund(origin: OriginFor<T>, #[pallet::compact] amount: Balance) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_refund(who, amount)
        }
    }
}
