// SPDX-License-Identifier: Apache-2.0

#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]
// A sum that overflows in a test fails the test.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod inherent_impls;
#[cfg(test)]
mod mock;
mod set_impls;
#[cfg(test)]
mod tests;
mod vote_impls;
pub mod weights;

pub use inherent_impls::{Evidence, Vote, VoteOf, INHERENT_IDENTIFIER};
pub use pallet::*;
pub use weights::WeightInfo;

pub(crate) const LOG_TARGET: &str = "runtime::votes";

// Only code of the macros uses `expect` here; the work is in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::{Evidence, VoteOf, WeightInfo, INHERENT_IDENTIFIER};
    use alloc::vec::Vec;
    use frame_support::{pallet_prelude::*, BoundedBTreeSet};
    use frame_system::pallet_prelude::*;
    use sp_consensus_grandpa::{AuthorityId, RoundNumber, SetId};
    use sp_inherents::{InherentData, InherentIdentifier, MakeFatalError};

    /// The version of the storage. See `docs/upgrades.md`.
    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config + pallet_grandpa::Config {
        /// The weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// The keys whose votes blocks of this session have brought.
    #[pallet::storage]
    pub type Voters<T: Config> = StorageValue<
        _,
        BoundedBTreeSet<AuthorityId, <T as pallet_grandpa::Config>::MaxAuthorities>,
        ValueQuery,
    >;

    /// The first block of this session.
    #[pallet::storage]
    pub type Since<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    /// The first block that each of GRANDPA's sets may finalise, of sets that began under this
    /// code. As many are kept as sets that can still be punished.
    #[pallet::storage]
    pub type SetStart<T: Config> =
        StorageMap<_, Twox64Concat, SetId, BlockNumberFor<T>, OptionQuery>;

    /// Errors of the call. The index of each is stored by clients: it is never used again.
    #[pallet::error]
    pub enum Error<T> {
        /// A vote is not one of this session's: its signer, its block or its signature is wrong, or
        /// it is on record already.
        #[codec(index = 0)]
        WrongVote,
        /// There is no vote.
        #[codec(index = 1)]
        NoVotes,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Notes who voted. Authors put it into their blocks.
        ///
        /// # Errors
        ///
        /// `BadOrigin` with any signature, [`Error::NoVotes`], [`Error::WrongVote`].
        #[pallet::call_index(0)]
        #[pallet::weight((
            <T as Config>::WeightInfo::note(u32::try_from(votes.len()).unwrap_or(u32::MAX)),
            DispatchClass::Mandatory
        ))]
        pub fn note(
            origin: OriginFor<T>,
            #[pallet::compact] round: RoundNumber,
            votes: Vec<VoteOf<T>>,
        ) -> DispatchResult {
            ensure_none(origin)?;
            Self::do_note(round, &votes)
        }
    }

    #[pallet::inherent]
    impl<T: Config> ProvideInherent for Pallet<T> {
        type Call = Call<T>;
        type Error = MakeFatalError<()>;
        const INHERENT_IDENTIFIER: InherentIdentifier = INHERENT_IDENTIFIER;

        fn create_inherent(data: &InherentData) -> Option<Self::Call> {
            let evidence: Evidence<T::Hash, BlockNumberFor<T>> =
                data.get_data(&INHERENT_IDENTIFIER).ok().flatten()?;
            let (round, votes) = Self::news(evidence)?;
            Some(Call::note { round, votes })
        }

        fn is_inherent(call: &Self::Call) -> bool {
            matches!(call, Call::note { .. })
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
