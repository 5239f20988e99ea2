// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

mod api;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
mod offence;
mod report_impls;
#[cfg(test)]
mod tests;
pub mod weights;

pub use api::*;
pub use offence::{ContradictingBlocks, TimeSlot};
pub use pallet::*;
pub use report_impls::ProofOf;
pub use weights::WeightInfo;

/// The log target of this pallet.
const LOG_TARGET: &str = "runtime::authoring";

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::{ContradictingBlocks, ProofOf, WeightInfo};
    use alloc::boxed::Box;
    use frame_support::{pallet_prelude::*, traits::KeyOwnerProofSystem};
    use frame_system::pallet_prelude::*;
    use sp_consensus_aura::sr25519::AuthorityId;
    use sp_runtime::{traits::Convert, KeyTypeId};
    use sp_session::MembershipProof;
    use sp_staking::{offence::ReportOffence, SessionIndex};

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// The weight of checking who owned a key.
        type OwnershipWeight: Get<Weight>;

        /// The weight of punishing an offence.
        type PunishmentWeight: Get<Weight>;

        /// The owner of a key.
        type Offender: Parameter;

        /// Owners of keys in a session.
        type KeyOwnership: KeyOwnerProofSystem<
            (KeyTypeId, AuthorityId),
            Proof = MembershipProof,
            IdentificationTuple = Self::Offender,
        >;

        /// The session whose authors make the block of a height.
        type SessionOf: Convert<BlockNumberFor<Self>, SessionIndex>;

        /// The pallet that keeps and punishes offences.
        type Offences: ReportOffence<
            Self::AccountId,
            Self::Offender,
            ContradictingBlocks<Self::Offender>,
        >;

        /// Number of blocks in which an offence can be reported.
        type ReportLongevity: Get<u64>;
    }

    /// Errors of the call. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    pub enum Error<T> {
        /// A header does not end with a seal of Aura.
        #[codec(index = 0)]
        NotSealed,
        /// A header is not of the slot of the report.
        #[codec(index = 1)]
        WrongSlot,
        /// Both headers are the same block, signed once or twice.
        #[codec(index = 2)]
        SameBlock,
        /// A seal is not the key's.
        #[codec(index = 3)]
        BadSeal,
        /// The lower header is older than an offence can be punished.
        #[codec(index = 4)]
        TooOld,
        /// The proof of the key's owner is not of the session of the lower header.
        #[codec(index = 5)]
        WrongSession,
        /// The key was no author's in this session, or the proof of it is wrong.
        #[codec(index = 6)]
        NoAuthor,
        /// The author was reported for this slot before.
        #[codec(index = 7)]
        AlreadyReported,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Reports an author that has made two blocks in one slot.
        ///
        /// Without a signature it is taken from the node's own pool and in blocks alone. Any
        /// account may sign it; its fee is waived if the report is right.
        ///
        /// - `proof`: the key, the slot, and both headers with their seals.
        /// - `ownership`: of the key, in the session of the lower header.
        ///
        /// # Errors
        ///
        /// `BadOrigin`, [`Error::NotSealed`], [`Error::WrongSlot`], [`Error::SameBlock`],
        /// [`Error::BadSeal`], [`Error::TooOld`], [`Error::WrongSession`], [`Error::NoAuthor`],
        /// [`Error::AlreadyReported`].
        #[pallet::call_index(0)]
        #[pallet::weight(
            T::WeightInfo::report_equivocation()
                .saturating_add(T::OwnershipWeight::get())
                .saturating_add(T::PunishmentWeight::get())
        )]
        #[pallet::weight_of_authorize(
            T::WeightInfo::report_equivocation().saturating_add(T::OwnershipWeight::get())
        )]
        #[pallet::authorize(Self::authorize_report)]
        pub fn report_equivocation(
            origin: OriginFor<T>,
            proof: Box<ProofOf<T>>,
            ownership: MembershipProof,
        ) -> DispatchResultWithPostInfo {
            let reporter = match ensure_authorized(origin.clone()) {
                Ok(()) => None,
                Err(_) => Some(ensure_signed(origin)?),
            };
            Self::do_report(reporter, &proof, ownership)
        }
    }
}
