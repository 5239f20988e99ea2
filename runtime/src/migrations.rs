// SPDX-License-Identifier: Apache-2.0
//! Migrations of the state of older releases. See `docs/upgrades.md` for how to add one.

use core::marker::PhantomData;

use frame_support::{
    migrations::VersionedMigration,
    traits::{PalletInfoAccess, UncheckedOnRuntimeUpgrade},
    weights::Weight,
};

use crate::{Agents, Parameters, Ratings, Rewards, Rounds, Runtime, Tickets};
#[cfg(feature = "try-runtime")]
use {
    alloc::vec::Vec,
    frame_support::{
        ensure, storage::PrefixIterator, traits::StorageVersion, Blake2_256, StorageHasher,
    },
    sp_runtime::TryRuntimeError,
};

/// The migrations, in the order in which they run.
pub type Migrations = (
    pallet_protocol_parameters::migration::MoveFromRules<Runtime>,
    V1<Parameters>,
    V1With<SeatFounders, Agents>,
    V1<Tickets>,
    V1<Ratings>,
    V1<Rewards>,
    V1With<pallet_rounds::migration::CountRequests<Runtime>, Rounds>,
    VersionedMigration<
        1,
        2,
        pallet_ratings::migration::ShortenWindows<Runtime>,
        Ratings,
        <Runtime as frame_system::Config>::DbWeight,
    >,
    // The records of answers begin empty: everybody is a newcomer.
    VersionedMigration<
        2,
        3,
        BytesStay<Ratings>,
        Ratings,
        <Runtime as frame_system::Config>::DbWeight,
    >,
);

/// Version 1 fixes the bytes of the first release. Every variant of an enum gets the index of its
/// place explicitly.
type V1<Pallet> = V1With<BytesStay<Pallet>, Pallet>;

/// Version 1 of a pallet that gets new values besides.
type V1With<Step, Pallet> =
    VersionedMigration<0, 1, Step, Pallet, <Runtime as frame_system::Config>::DbWeight>;

/// Changes nothing, and checks that no byte changes.
pub struct BytesStay<Pallet>(PhantomData<Pallet>);

impl<Pallet: PalletInfoAccess> UncheckedOnRuntimeUpgrade for BytesStay<Pallet> {
    #[cfg(feature = "try-runtime")]
    fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
        Ok(digest::<Pallet>(&[]).to_vec())
    }

    #[cfg(feature = "try-runtime")]
    fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
        ensure!(before == digest::<Pallet>(&[]), "the storage has changed");
        Ok(())
    }
}

/// Gives seats to the validators of the next session, whom the first release chose, and changes
/// nothing else.
pub struct SeatFounders;

impl UncheckedOnRuntimeUpgrade for SeatFounders {
    fn on_runtime_upgrade() -> Weight {
        Agents::seat_founders();
        <Runtime as frame_system::Config>::DbWeight::get().reads_writes(1, 1)
    }

    #[cfg(feature = "try-runtime")]
    fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
        Ok(digest::<Agents>(&[]).to_vec())
    }

    #[cfg(feature = "try-runtime")]
    fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
        let seats = pallet_agents::Seats::<Runtime>::hashed_key();
        ensure!(
            before == digest::<Agents>(&[seats.as_slice()]),
            "more than the seats has changed"
        );
        ensure!(
            pallet_agents::Seats::<Runtime>::get().len() == crate::Session::queued_keys().len(),
            "a validator has no seat"
        );
        Ok(())
    }
}

/// A hash of everything that a pallet stores, except for its version and the values of some keys.
#[cfg(feature = "try-runtime")]
fn digest<Pallet: PalletInfoAccess>(except: &[&[u8]]) -> [u8; 32] {
    let version = StorageVersion::storage_key::<Pallet>();
    let prefix = Pallet::name_hash().to_vec();
    let mut digest = [0; 32];
    let entries =
        PrefixIterator::<(Vec<u8>, Vec<u8>)>::new(prefix.clone(), prefix, |key, value| {
            Ok((key.to_vec(), value.to_vec()))
        });
    for (key, value) in entries {
        let is_excepted = except.iter().any(|whole| whole.ends_with(&key));
        if !version.ends_with(&key) && !is_excepted {
            digest = Blake2_256::hash(&codec::Encode::encode(&(digest, key, value)));
        }
    }
    digest
}
