// SPDX-License-Identifier: Apache-2.0
//! The checks of a report, and its ways into the pool and on chain.

use alloc::boxed::Box;
use codec::Encode;
use frame_support::{
    dispatch::{DispatchResultWithPostInfo, Pays},
    ensure,
    pallet_prelude::{
        InvalidTransaction, TransactionPriority, TransactionSource, TransactionValidityError,
        ValidTransaction,
    },
    traits::{Get, KeyOwnerProofSystem},
    weights::Weight,
};
use frame_system::{
    offchain::{CreateAuthorizedTransaction, SubmitTransaction},
    pallet_prelude::HeaderFor,
};
use sp_consensus_aura::{
    digests::CompatibleDigestItem,
    sr25519::{AuthorityId, AuthoritySignature},
};
use sp_consensus_slots::{EquivocationProof, Slot};
use sp_runtime::{
    key_types::AURA,
    traits::{Convert, Header, Saturating, UniqueSaturatedInto},
    transaction_validity::TransactionValidityWithRefund,
    DigestItem, RuntimeAppPublic,
};
use sp_session::MembershipProof;
use sp_staking::offence::ReportOffence;

use crate::{Call, Config, ContradictingBlocks, Error, Pallet, TimeSlot, LOG_TARGET};

/// Two headers of one author and one slot.
pub type ProofOf<T> = EquivocationProof<HeaderFor<T>, AuthorityId>;

/// The slot in the digest of a header.
fn slot_of<H: Header>(header: &H) -> Option<Slot> {
    let mut items = header.digest().logs().iter();
    items.find_map(<DigestItem as CompatibleDigestItem<AuthoritySignature>>::as_aura_pre_digest)
}

/// A header without its seal, and the seal.
fn unseal<H: Header>(mut header: H) -> Option<(H, AuthoritySignature)> {
    let last = header.digest_mut().pop()?;
    let seal = <DigestItem as CompatibleDigestItem<AuthoritySignature>>::as_aura_seal(&last)?;
    Some((header, seal))
}

impl<T: Config> Pallet<T> {
    /// Checks that one key has sealed two blocks of one slot.
    pub(crate) fn check_seals(proof: &ProofOf<T>) -> Result<(), Error<T>> {
        let unsealed = |header: &HeaderFor<T>| unseal(header.clone()).ok_or(Error::<T>::NotSealed);
        let (first, first_seal) = unsealed(&proof.first_header)?;
        let (second, second_seal) = unsealed(&proof.second_header)?;
        for header in [&first, &second] {
            ensure!(slot_of(header) == Some(proof.slot), Error::<T>::WrongSlot);
        }
        ensure!(first != second, Error::<T>::SameBlock);
        // The signatures last: they cost the most.
        for (header, seal) in [(first, first_seal), (second, second_seal)] {
            let right = proof.offender.verify(&header.hash(), &seal);
            ensure!(right, Error::<T>::BadSeal);
        }
        Ok(())
    }

    /// The offence that a report proves, if it is new.
    fn offence(
        proof: &ProofOf<T>,
        ownership: MembershipProof,
    ) -> Result<ContradictingBlocks<T::Offender>, Error<T>> {
        // Forks of two heights may lie in two sessions, and an offence counts in one.
        let number = *proof
            .first_header
            .number()
            .min(proof.second_header.number());
        let now = frame_system::Pallet::<T>::block_number();
        let age: u64 = now.saturating_sub(number).unique_saturated_into();
        ensure!(age <= T::ReportLongevity::get(), Error::<T>::TooOld);
        let session = T::SessionOf::convert(number);
        ensure!(ownership.session == session, Error::<T>::WrongSession);
        Self::check_seals(proof)?;

        let validators = ownership.validator_count;
        let key = (AURA, proof.offender.clone());
        let offender = T::KeyOwnership::check_proof(key, ownership).ok_or(Error::<T>::NoAuthor)?;
        let offence = ContradictingBlocks {
            time_slot: TimeSlot {
                session,
                slot: proof.slot,
            },
            validators,
            offender,
        };
        let offenders = core::slice::from_ref(&offence.offender);
        let known = T::Offences::is_known_offence(offenders, &offence.time_slot);
        ensure!(!known, Error::<T>::AlreadyReported);
        Ok(offence)
    }

    /// Lets a report of this node into its pool, and into a block.
    // The macro needs the type of the argument.
    #[allow(clippy::borrowed_box)]
    pub(crate) fn authorize_report(
        source: TransactionSource,
        proof: &Box<ProofOf<T>>,
        ownership: &MembershipProof,
    ) -> TransactionValidityWithRefund {
        if source == TransactionSource::External {
            return Err(InvalidTransaction::Call.into());
        }
        Self::offence(proof, ownership.clone()).map_err(Self::refusal)?;
        let valid = ValidTransaction::with_tag_prefix("AuthoringEquivocation")
            .priority(TransactionPriority::MAX)
            .and_provides((&proof.offender, proof.slot))
            .longevity(T::ReportLongevity::get())
            // No other node would take it.
            .propagate(false)
            .build()?;
        Ok((valid, Weight::zero()))
    }

    /// Translates an error for the pool.
    fn refusal(error: Error<T>) -> TransactionValidityError {
        match error {
            Error::TooOld | Error::AlreadyReported => InvalidTransaction::Stale.into(),
            Error::BadSeal | Error::NoAuthor => InvalidTransaction::BadProof.into(),
            other => {
                let index = other.encode().first().copied().unwrap_or(u8::MAX);
                InvalidTransaction::Custom(index).into()
            },
        }
    }

    pub(crate) fn do_report(
        reporter: Option<T::AccountId>,
        proof: &ProofOf<T>,
        ownership: MembershipProof,
    ) -> DispatchResultWithPostInfo {
        let offence = Self::offence(proof, ownership)?;
        T::Offences::report_offence(reporter.into_iter().collect(), offence)
            .map_err(|_| Error::<T>::AlreadyReported)?;
        Ok(Pays::No.into())
    }
}

impl<T: Config + CreateAuthorizedTransaction<Call<T>>> Pallet<T> {
    /// Puts a report into the node's own pool. `None` if the pool refuses it.
    pub fn submit_report(proof: ProofOf<T>, ownership: MembershipProof) -> Option<()> {
        let call = Call::<T>::report_equivocation {
            proof: Box::new(proof),
            ownership,
        };
        let transaction = T::create_authorized_transaction(call.into());
        let sent = SubmitTransaction::<T, Call<T>>::submit_transaction(transaction);
        if sent.is_err() {
            log::debug!(target: LOG_TARGET, "the pool refused a report");
        }
        sent.ok()
    }
}
