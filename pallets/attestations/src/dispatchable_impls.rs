// SPDX-License-Identifier: Apache-2.0
//! Implementation of the calls.

use alloc::string::String;
use codec::Encode;
use frame_support::{pallet_prelude::*, traits::UnixTime};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::SaturatedConversion;
use starling_attestation::{
    dcap, report_data, snp, Basis, Binding, Collateral, Evidence, Item, Key, Product, Refusal,
    MAX_QUOTE, MAX_VCEK,
};
use starling_primitives::{round::BlockNumber, traits::Identities, InferenceKey, H256};

use crate::{
    Advisories, Attestation, Attested, Claim, Collaterals, Config, Error, Event, Floors,
    Measurements, Pallet, Revoked, Stored,
};

/// The values that the quote of an agent must be bound to.
struct Bound {
    key: InferenceKey,
    model: H256,
    report_data: [u8; 64],
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_put_collateral(collateral: Collateral) -> DispatchResult {
        ensure!(collateral.is_small(), Error::<T>::CollateralTooLarge);
        let now = Self::seconds();
        let (key, item) = collateral
            .check(&T::Roots::get(), now)
            .map_err(|fault| Error::<T>::CollateralInvalid(fault.code()))?;
        let is_in_time = item.issued <= now && now <= item.until;
        ensure!(is_in_time, Error::<T>::CollateralStale);
        let stored = Stored::new(item).ok_or(Error::<T>::CollateralTooLarge)?;
        if let Some(old) = Collaterals::<T>::get(&key) {
            ensure!(stored.is_newer_than(&old), Error::<T>::CollateralNotNewer);
        }
        Collaterals::<T>::insert(&key, &stored);
        Self::deposit_event(Event::CollateralPut {
            key,
            until: stored.until,
            evaluation: stored.evaluation,
        });
        Ok(())
    }

    pub(crate) fn do_attest_dcap(who: T::AccountId, quote: &[u8], claim: Claim) -> DispatchResult {
        ensure!(quote.len() <= MAX_QUOTE, Error::<T>::QuoteTooLarge);
        let bound = Self::bound(&who, &claim)?;
        let fetch = |key: &Key| Collaterals::<T>::get(key).map(Item::from);
        let evidence = dcap::verify(quote, &T::Roots::get(), Self::seconds(), fetch)
            .map_err(Error::<T>::from)?;
        Self::attest(who, claim, bound, evidence)
    }

    pub(crate) fn do_attest_snp(
        who: T::AccountId,
        product: Product,
        report: &[u8],
        vcek: &[u8],
        claim: Claim,
    ) -> DispatchResult {
        let is_small = report.len() <= snp::REPORT && vcek.len() <= MAX_VCEK;
        ensure!(is_small, Error::<T>::QuoteTooLarge);
        let bound = Self::bound(&who, &claim)?;
        let ask = Collaterals::<T>::get(Key::AmdChain(product));
        let ask = Item::from(ask.ok_or(Error::<T>::ProductUnknown)?);
        let now = Self::seconds();
        ensure!(now <= ask.until, Error::<T>::CollateralStale);
        let evidence = snp::verify(report, vcek, product, &ask, now)
            .map_err(|fault| Error::<T>::QuoteInvalid(fault.code()))?;
        Self::attest(who, claim, bound, evidence)
    }

    /// The report data of a quote of `who` with this claim, for the runtime API.
    pub fn report_data(who: &T::AccountId, claim: &Claim) -> Option<[u8; 64]> {
        Some(Self::bound(who, claim).ok()?.report_data)
    }

    /// The values that a quote of `who` must be bound to.
    fn bound(who: &T::AccountId, claim: &Claim) -> Result<Bound, Error<T>> {
        let (key, model) = T::Agents::identity(who).ok_or(Error::<T>::NotAnAgent)?;
        let age = Self::now().checked_sub(claim.block);
        let is_recent = age.is_some_and(|age| age <= T::MaxAge::get());
        ensure!(is_recent, Error::<T>::BlockUnknown);
        let block = Self::hash_of(claim.block);
        ensure!(!block.is_zero(), Error::<T>::BlockUnknown);
        let account = who.encode();
        let inference_key: &[u8] = key.as_ref();
        let report_data = report_data(&Binding {
            genesis: Self::hash_of(0).0,
            account: &account,
            inference_key: inference_key
                .try_into()
                .map_err(|_| Error::<T>::NotAnAgent)?,
            peer: claim.peer,
            model: model.0,
            block: block.0,
            hop_key: claim.hop_key,
        });
        Ok(Bound {
            key,
            model,
            report_data,
        })
    }

    /// Attests `who`, if the policy lets its evidence count.
    fn attest(who: T::AccountId, claim: Claim, bound: Bound, evidence: Evidence) -> DispatchResult {
        let is_bound = evidence.report_data == bound.report_data;
        ensure!(is_bound, Error::<T>::BindingMismatch);
        let (measurement, platform) = (H256(evidence.measurement), H256(evidence.platform));
        let is_known = Measurements::<T>::contains_key(measurement);
        ensure!(is_known, Error::<T>::MeasurementUnknown);
        let is_revoked = Revoked::<T>::contains_key(platform);
        ensure!(!is_revoked, Error::<T>::PlatformRevoked);
        Self::ensure_accepted(&evidence)?;
        let at = Self::now();
        let until = at.saturating_add(T::Lifetime::get());
        let attestation = Attestation {
            kind: evidence.kind,
            measurement,
            key: bound.key,
            model: bound.model,
            claim,
            platform,
            status: evidence.status,
            advisories: advisories(evidence.advisories),
            basis: evidence.basis,
            at,
            until,
        };
        Attested::<T>::insert(&who, attestation);
        Self::deposit_event(Event::AgentAttested {
            who,
            kind: evidence.kind,
            measurement,
            status: evidence.status,
            until,
        });
        Ok(())
    }

    /// The policy on firmware: that of Intel's documents, or the floor of AMD's product.
    fn ensure_accepted(evidence: &Evidence) -> Result<(), Error<T>> {
        let is_accepted = match &evidence.basis {
            Basis::Intel { .. } => {
                let superseded = evidence.superseded;
                evidence.status.is_accepted(superseded, Self::seconds())
            },
            Basis::Amd { product, tcb } => {
                let floor = Floors::<T>::get(product).ok_or(Error::<T>::ProductUnknown)?;
                tcb.is_at_least(&floor)
            },
        };
        ensure!(is_accepted, Error::<T>::TcbRejected);
        Ok(())
    }

    /// The number of this block.
    pub(crate) fn now() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }

    /// The seconds since 1970 of this block.
    pub(crate) fn seconds() -> u64 {
        <pallet_timestamp::Pallet<T> as UnixTime>::now().as_secs()
    }

    fn hash_of(block: BlockNumber) -> H256 {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::from(block))
    }
}

impl<T> From<Refusal> for Error<T> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(_) => Self::CollateralMissing,
            Refusal::Stale(_) => Self::CollateralStale,
            Refusal::Invalid(fault) => Self::QuoteInvalid(fault.code()),
        }
    }
}

/// Advisories for the storage. A verification bounds their number and their length.
fn advisories(names: impl IntoIterator<Item = String>) -> Advisories {
    let names = names.into_iter();
    BoundedVec::truncate_from(
        names
            .map(|name| BoundedVec::truncate_from(name.into_bytes()))
            .collect(),
    )
}
