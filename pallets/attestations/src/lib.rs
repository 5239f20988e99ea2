// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

mod api;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod dispatchable_impls;
#[cfg(test)]
mod mock;
mod registry_impls;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state_impls;
mod types;
pub mod weights;

pub use api::*;
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::vec::Vec;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;
    use starling_attestation::{Collateral, Key, Kind, Product, Roots, SnpTcb, Status};
    use starling_primitives::{round::BlockNumber, traits::Identities, H256};

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<Hash = H256> + pallet_timestamp::Config {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// The agents with their keys and models.
        type Agents: Identities<Self::AccountId>;

        /// The vendors' root keys.
        type Roots: Get<Roots>;

        /// Origin that names good measurements, the floors of firmware, and platforms that leaked
        /// their keys.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// Number of blocks after which an attestation ends.
        #[pallet::constant]
        type Lifetime: Get<BlockNumber>;

        /// Maximum age, in blocks, of the block that a quote knows.
        #[pallet::constant]
        type MaxAge: Get<BlockNumber>;
    }

    /// The collateral of verifications.
    #[pallet::storage]
    pub type Collaterals<T: Config> = StorageMap<_, Blake2_128Concat, Key, Stored, OptionQuery>;

    /// The hashes of good measurements.
    #[pallet::storage]
    pub type Measurements<T: Config> = StorageMap<_, Blake2_128Concat, H256, (), OptionQuery>;

    /// The least versions of firmware by product.
    #[pallet::storage]
    pub type Floors<T: Config> = StorageMap<_, Twox64Concat, Product, SnpTcb, OptionQuery>;

    /// The platforms that leaked their keys.
    #[pallet::storage]
    pub type Revoked<T: Config> = StorageMap<_, Blake2_128Concat, H256, (), OptionQuery>;

    /// The last attestation of each agent, which may not count any more: see
    /// [`Pallet::attestation`].
    #[pallet::storage]
    pub type Attested<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, Attestation, OptionQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An item of collateral is in force.
        #[codec(index = 0)]
        CollateralPut {
            /// Its name.
            key: Key,
            /// The last second in which it counts.
            until: u64,
            /// The number of the event that it knows of.
            evaluation: u32,
        },
        /// A quote or a report showed that an agent's key lives in measured code.
        #[codec(index = 1)]
        AgentAttested {
            /// The agent.
            who: T::AccountId,
            /// The technology.
            kind: Kind,
            /// The hash of what was measured.
            measurement: H256,
            /// The state of the platform's firmware.
            status: Status,
            /// The last block in which the attestation counts.
            until: BlockNumber,
        },
        /// An agent has another key or model, or left: its attestation is gone.
        #[codec(index = 2)]
        AttestationEnded {
            /// The agent, or former agent.
            who: T::AccountId,
        },
        /// A measurement is good from now on, or is not any more.
        #[codec(index = 3)]
        MeasurementSet {
            /// The hash of the measurement.
            measurement: H256,
            /// Whether it is good.
            is_good: bool,
        },
        /// A product has other least versions of firmware.
        #[codec(index = 4)]
        FloorSet {
            /// The product.
            product: Product,
            /// The least versions; none if no report of the product counts.
            floor: Option<SnpTcb>,
        },
        /// A platform has leaked its keys, or has not after all.
        #[codec(index = 5)]
        PlatformSet {
            /// The hash of the platform's name.
            platform: H256,
            /// Whether its quotes count for nothing.
            is_revoked: bool,
        },
    }

    /// Errors of the calls. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    pub enum Error<T> {
        /// The quote, the report or the certificate is too long.
        #[codec(index = 0)]
        QuoteTooLarge,
        /// A part of the item is too long.
        #[codec(index = 1)]
        CollateralTooLarge,
        /// The item proves nothing: see `Fault` of `starling-attestation` for the number.
        #[codec(index = 2)]
        CollateralInvalid(u8),
        /// The item in force is as new, or knows of more events.
        #[codec(index = 3)]
        CollateralNotNewer,
        /// Nobody has brought an item that the quote needs: bring the collateral first.
        #[codec(index = 4)]
        CollateralMissing,
        /// An item is past its next update, or not issued yet: bring a newer one.
        #[codec(index = 5)]
        CollateralStale,
        /// The quote proves nothing: see `Fault` of `starling-attestation` for the number.
        #[codec(index = 6)]
        QuoteInvalid(u8),
        /// Governance has not named the measurement: build the code as it was released.
        #[codec(index = 7)]
        MeasurementUnknown,
        /// The quote is bound to another chain, account, key, identity, model or block.
        #[codec(index = 8)]
        BindingMismatch,
        /// The platform's firmware is too old, or wrongly configured.
        #[codec(index = 9)]
        TcbRejected,
        /// There is no floor for the product, or nobody has brought its certificates.
        #[codec(index = 10)]
        ProductUnknown,
        /// The account is not an agent.
        #[codec(index = 11)]
        NotAnAgent,
        /// The block is too old, or is none of this chain.
        #[codec(index = 12)]
        BlockUnknown,
        /// The platform has leaked its keys.
        #[codec(index = 13)]
        PlatformRevoked,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(T::MaxAge::get() > 0, "a quote must know an earlier block");
            assert!(
                BlockNumberFor::<T>::from(T::MaxAge::get()) <= T::BlockHashCount::get(),
                "the hash of a block must be known as long as a quote may name it"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Brings an item of collateral, which its vendor signed.
        ///
        /// Any signed account may call it. The item takes the place of an older one.
        ///
        /// Emits [`Event::CollateralPut`].
        ///
        /// Fails with [`Error::CollateralTooLarge`], [`Error::CollateralInvalid`],
        /// [`Error::CollateralStale`] or [`Error::CollateralNotNewer`].
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::put_collateral())]
        pub fn put_collateral(origin: OriginFor<T>, collateral: Collateral) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_put_collateral(collateral)
        }

        /// Shows by a quote of Intel TDX or SGX that the caller's inference key lives in measured
        /// code.
        ///
        /// An agent calls it for itself. The attestation lasts for `Lifetime` blocks, and ends
        /// before with the key or the model of the agent, the measurement, the platform, or newer
        /// documents on the platform.
        ///
        /// - `quote`: of version 3, 4 or 5, at most 8 KiB, with the certificates of the platform.
        /// - `claim`: what the quote is bound to besides the agent's account, key and model.
        ///
        /// Emits [`Event::AgentAttested`].
        ///
        /// Fails with [`Error::QuoteTooLarge`], [`Error::NotAnAgent`], [`Error::BlockUnknown`],
        /// [`Error::CollateralMissing`], [`Error::CollateralStale`], [`Error::QuoteInvalid`],
        /// [`Error::BindingMismatch`], [`Error::MeasurementUnknown`], [`Error::PlatformRevoked`] or
        /// [`Error::TcbRejected`].
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::attest_dcap())]
        pub fn attest_dcap(origin: OriginFor<T>, quote: Vec<u8>, claim: Claim) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_attest_dcap(who, &quote, claim)
        }

        /// Shows by a report of AMD SEV-SNP that the caller's inference key lives in measured code.
        ///
        /// As [`Pallet::attest_dcap`], for guests of AMD's processors.
        ///
        /// - `product`: the product whose key signed the certificate.
        /// - `report`: 1,184 bytes.
        /// - `vcek`: the certificate of the chip with its firmware, in DER, at most 2 KiB.
        /// - `claim`: what the report is bound to besides the agent's account, key and model.
        ///
        /// Emits [`Event::AgentAttested`].
        ///
        /// Fails with [`Error::QuoteTooLarge`], [`Error::NotAnAgent`], [`Error::BlockUnknown`],
        /// [`Error::ProductUnknown`], [`Error::CollateralStale`], [`Error::QuoteInvalid`],
        /// [`Error::BindingMismatch`], [`Error::MeasurementUnknown`], [`Error::PlatformRevoked`] or
        /// [`Error::TcbRejected`].
        #[pallet::call_index(2)]
        #[pallet::weight(<T as Config>::WeightInfo::attest_snp())]
        pub fn attest_snp(
            origin: OriginFor<T>,
            product: Product,
            report: Vec<u8>,
            vcek: Vec<u8>,
            claim: Claim,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_attest_snp(who, product, &report, &vcek, claim)
        }

        /// Names a good measurement, or takes it back with all of its attestations.
        ///
        /// `GovernanceOrigin` may call it.
        ///
        /// Emits [`Event::MeasurementSet`].
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::set_measurement())]
        pub fn set_measurement(
            origin: OriginFor<T>,
            measurement: H256,
            is_good: bool,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Measurements::<T>::set(measurement, is_good.then_some(()));
            Self::deposit_event(Event::MeasurementSet {
                measurement,
                is_good,
            });
            Ok(())
        }

        /// Sets the least versions of firmware of a product. Attestations below them end.
        ///
        /// `GovernanceOrigin` may call it.
        ///
        /// Emits [`Event::FloorSet`].
        #[pallet::call_index(4)]
        #[pallet::weight(<T as Config>::WeightInfo::set_floor())]
        pub fn set_floor(
            origin: OriginFor<T>,
            product: Product,
            floor: Option<SnpTcb>,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Floors::<T>::set(product, floor);
            Self::deposit_event(Event::FloorSet { product, floor });
            Ok(())
        }

        /// Revokes a platform that leaked its keys, with all of its attestations, or takes it back.
        ///
        /// `GovernanceOrigin` may call it.
        ///
        /// - `platform`: the hash of its name, as attestations have it.
        ///
        /// Emits [`Event::PlatformSet`].
        #[pallet::call_index(5)]
        #[pallet::weight(<T as Config>::WeightInfo::set_platform())]
        pub fn set_platform(
            origin: OriginFor<T>,
            platform: H256,
            is_revoked: bool,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Revoked::<T>::set(platform, is_revoked.then_some(()));
            Self::deposit_event(Event::PlatformSet {
                platform,
                is_revoked,
            });
            Ok(())
        }
    }
}
