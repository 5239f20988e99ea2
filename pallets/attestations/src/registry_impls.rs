// SPDX-License-Identifier: Apache-2.0
//! Implementation of the registry for others.

use alloc::vec::Vec;
use frame_support::BoundedVec;
use starling_attestation::{Basis, Key, View};
use starling_primitives::traits::OnAgentChange;

use crate::{
    Attestation, Attested, Collaterals, Config, Event, Floors, Measurements, Pallet, Revoked,
};

impl<T: Config> Pallet<T> {
    /// The attestation of `who`, if it counts now.
    pub fn attestation(who: &T::AccountId) -> Option<Attestation> {
        Attested::<T>::get(who).filter(Self::counts)
    }

    /// The attestation of `who` for the runtime API, if it counts now.
    pub fn view(who: &T::AccountId) -> Option<View> {
        let attestation = Self::attestation(who)?;
        let advisories = attestation.advisories.into_iter();
        Some(View {
            kind: attestation.kind,
            measurement: attestation.measurement.0,
            model: attestation.model.0,
            peer: attestation.claim.peer,
            hop_key: attestation.claim.hop_key,
            platform: attestation.platform.0,
            status: attestation.status,
            advisories: advisories.map(BoundedVec::into_inner).collect(),
            at: attestation.at,
            until: attestation.until,
        })
    }

    /// The items of collateral, each with the last second in which it counts.
    pub fn collateral() -> Vec<(Key, u64)> {
        let items = Collaterals::<T>::iter();
        items.map(|(key, stored)| (key, stored.until)).collect()
    }

    fn counts(attestation: &Attestation) -> bool {
        Self::now() <= attestation.until
            && Measurements::<T>::contains_key(attestation.measurement)
            && !Revoked::<T>::contains_key(attestation.platform)
            && Self::is_latest(&attestation.basis)
    }

    /// Whether a status rests on what is known now: on the documents in force, or on firmware not
    /// below the floor.
    fn is_latest(basis: &Basis) -> bool {
        match *basis {
            Basis::Intel {
                kind,
                fmspc,
                platform,
                enclave,
            } => {
                Self::evaluation(&Key::TcbInfo(kind, fmspc)) == Some(platform)
                    && Self::evaluation(&Key::QeIdentity(kind)) == Some(enclave)
            },
            Basis::Amd { product, tcb } => {
                Floors::<T>::get(product).is_some_and(|floor| tcb.is_at_least(&floor))
            },
        }
    }

    fn evaluation(key: &Key) -> Option<u32> {
        Collaterals::<T>::get(key).map(|stored| stored.evaluation)
    }
}

impl<T: Config> OnAgentChange<T::AccountId> for Pallet<T> {
    fn on_agent_change(who: &T::AccountId) {
        if Attested::<T>::take(who).is_some() {
            Self::deposit_event(Event::AttestationEnded { who: who.clone() });
        }
    }
}
