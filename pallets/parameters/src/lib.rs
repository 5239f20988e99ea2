// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod dispatchable_impls;
pub mod migration;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
pub mod weights;

use frame_support::traits::Get;
use sp_storage::well_known_keys::CODE;

pub use dispatchable_impls::Consistency;
pub use pallet::*;
pub use weights::WeightInfo;

// Only code of the macros uses `expect` here.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::boxed::Box;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    #[pallet::pallet]
    #[pallet::storage_version(migration::VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The values that differ between chains.
        type Parameters: Parameter + MaxEncodedLen;

        /// The weight of the call.
        type WeightInfo: WeightInfo;

        /// Origin that may change the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The rules that the parameters keep together.
        type Consistency: Consistency<Self::Parameters>;

        /// Parameters by name, for chain specifications.
        type Preset: Clone + Into<Self::Parameters> + MaybeSerializeDeserialize;

        /// The parameters in the metadata of a runtime without a chain.
        type Stateless: Get<Self::Parameters>;
    }

    /// The parameters of this chain. Every block reads them, so they are in the cache.
    #[pallet::storage]
    #[pallet::whitelist_storage]
    pub type InForce<T: Config> = StorageValue<_, T::Parameters, OptionQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The parameters changed.
        Changed {
            /// The parameters from now on.
            parameters: T::Parameters,
        },
    }

    /// The rules that parameters broke.
    #[pallet::error]
    pub enum Error<T> {
        /// The minimum bond must be above zero.
        NoBond,
        /// The minimum number of validators must be above zero.
        NoValidator,
        /// The minimum number of validators must not be above the maximum.
        TooManyValidators,
        /// A bond must unbond for longer than twice the windows of a round together.
        UnbondingTooShort,
        /// The minimum price of a ticket must be above zero.
        FreeTicket,
        /// A ticket must cost at least a hundredth of the reward, or the identities of a Sybil pay
        /// for themselves.
        TicketTooCheap,
        /// The initial rating must be at most 1.
        RatingAboveOne,
        /// The minimum spread must be at most 1.
        SpreadAboveOne,
        /// The initial rating must be above the floor of weights, or no first round is decided.
        NewcomersWeighNothing,
        /// The shares of winner and rankers must not be above the whole pot.
        SharesExceedPot,
        /// The minimum fee must be above zero.
        NoFee,
        /// A requester that owns all agents of its round would gain: lower the subsidy or the share
        /// of forfeits, or raise the share of the treasury.
        SelfDealingGains,
        /// Each window must have at least one block.
        EmptyWindow,
        /// A round must have at least two responses.
        TooFewToRank,
        /// The minimum number of responses must not be above the maximum.
        MinResponsesAboveMax,
        /// The maximum number of responses must fit 16 bits.
        TooManyPositions,
        /// The largest round must fit into a block: lower the maximum number of responses.
        RoundExceedsBlock,
        /// The minimum number of rankings must not be above the maximum.
        MinRankingsAboveMax,
        /// The maximum number of rankings must be above zero.
        NobodyRanks,
        /// The scores of an agent must fit into a block: lower the maximum number of rankings.
        TooManyRankings,
        /// A message must live for at least one block.
        MessagesExpireAtOnce,
        /// The minimum slash must not be above a tenth of the minimum bond.
        MinSlashAboveMax,
        /// Withholding a key must cost at least what it brings back.
        WithholdingPays,
        /// The minimum bond cannot be changed: which agents are active follows from it.
        BondChanged,
        /// The maximum number of rankings cannot be lowered: stored scores must still decode.
        RankingsLowered,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets all parameters at once.
        ///
        /// `AdminOrigin` may call it. The rules are checked with all new values together; if one of
        /// them does not hold, nothing changes. Open rounds keep the terms of their requests: fee,
        /// ticket, slash, numbers of responses. Windows, shares and thresholds count from the next
        /// phase on.
        ///
        /// - `parameters`: all of them. A parameter that shall stay has its present value.
        ///
        /// Emits [`Event::Changed`]. Fails with the rule that does not hold.
        #[pallet::call_index(0)]
        #[pallet::weight((T::WeightInfo::set(), DispatchClass::Operational))]
        pub fn set(origin: OriginFor<T>, parameters: Box<T::Parameters>) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_set(*parameters)
        }
    }

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
