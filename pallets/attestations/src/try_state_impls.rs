// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use frame_support::ensure;
use sp_runtime::DispatchResult;
use starling_primitives::traits::Identities;

use crate::{Attested, Collaterals, Config, Pallet};

impl<T: Config> Pallet<T> {
    /// Checks the invariants between blocks. Native only.
    pub fn do_try_state() -> DispatchResult {
        for (who, attestation) in Attested::<T>::iter() {
            let identity = T::Agents::identity(&who);
            ensure!(
                identity == Some((attestation.key, attestation.model)),
                "an attestation of another key or model"
            );
            ensure!(
                attestation.claim.block <= attestation.at && attestation.at <= attestation.until,
                "an attestation that ends before it begins"
            );
        }
        for stored in Collaterals::<T>::iter_values() {
            ensure!(
                stored.issued <= stored.until,
                "an item of collateral that ends before it begins"
            );
        }
        Ok(())
    }
}
