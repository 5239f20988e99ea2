// SPDX-License-Identifier: Apache-2.0
//! The work of a committee: commitments, findings, and the exhibit on chain.

use frame_support::pallet_prelude::*;
use starling_evidence::{Exhibit, Fault, Finding};
use starling_primitives::H256;

use crate::{CaseId, CaseOf, Cases, Config, Error, Event, Exhibits, Pallet, Phase, Work, Works};

impl<T: Config> Pallet<T> {
    /// Checks that an agent may commit. Returns the case.
    pub(crate) fn check_commit(id: CaseId, agent: &T::AccountId) -> Result<CaseOf<T>, Error<T>> {
        let case = Self::stored(id)?;
        ensure!(case.phase == Phase::Committing, Error::WrongPhase);
        ensure!(case.committee.contains(agent), Error::NotAMember);
        ensure!(!Works::<T>::contains_key(id, agent), Error::Twice);
        Ok(case)
    }

    pub(crate) fn do_commit(id: CaseId, agent: T::AccountId, commitment: H256) -> DispatchResult {
        let mut case = Self::check_commit(id, &agent)?;
        let work = Work {
            commitment,
            finding: None,
        };
        Works::<T>::insert(id, &agent, work);
        case.committed = case.committed.saturating_add(1);
        Self::hasten(id, case, |case| case.committed);
        Ok(())
    }

    /// Checks that a finding is the one that its author has committed to. Returns the case and its
    /// work.
    pub(crate) fn check_reveal(
        id: CaseId,
        agent: &T::AccountId,
        finding: &Finding,
        salt: &[u8; 32],
    ) -> Result<(CaseOf<T>, Work), Error<T>> {
        let case = Self::stored(id)?;
        ensure!(case.phase == Phase::Revealing, Error::WrongPhase);
        let work = Works::<T>::get(id, agent).ok_or(Error::NoCommitment)?;
        ensure!(work.finding.is_none(), Error::Twice);
        let commitment =
            finding.commitment(&Self::genesis(), agent.as_ref(), id, &case.draw.0, salt);
        ensure!(work.commitment.0 == commitment, Error::Mismatch);
        Ok((case, work))
    }

    pub(crate) fn do_reveal(
        id: CaseId,
        agent: &T::AccountId,
        finding: Finding,
        salt: &[u8; 32],
    ) -> DispatchResult {
        let (mut case, work) = Self::check_reveal(id, agent, &finding, salt)?;
        let work = Work {
            finding: Some(finding),
            ..work
        };
        Works::<T>::insert(id, agent, work);
        case.revealed = case.revealed.saturating_add(1);
        Self::hasten(id, case, |case| case.revealed);
        Ok(())
    }

    /// Stores a case, and lets its phase end in the next block once all members have spoken.
    fn hasten(id: CaseId, mut case: CaseOf<T>, spoken: impl Fn(&CaseOf<T>) -> u32) {
        let expected = match case.phase {
            // Who has not committed cannot reveal.
            Phase::Revealing => case.committed,
            _ => u32::try_from(case.committee.len()).unwrap_or(u32::MAX),
        };
        if spoken(&case) >= expected {
            case.due = Self::now().saturating_add(1);
            Self::put(id, case);
        } else {
            Cases::<T>::insert(id, case);
        }
    }

    pub(crate) fn do_publish(id: CaseId, who: &T::AccountId, exhibit: &Exhibit) -> DispatchResult {
        let case = Self::stored(id)?;
        ensure!(*who == case.accuser, Error::<T>::NotTheAgent);
        let is_early = matches!(case.phase, Phase::Drawing | Phase::Committing);
        ensure!(is_early, Error::<T>::WrongPhase);
        ensure!(
            !Exhibits::<T>::contains_key(id),
            Error::<T>::AlreadyPublished
        );
        let longest = usize::try_from(T::MaxExhibit::get()).unwrap_or(usize::MAX);
        exhibit
            .admit(case.evidence(), longest)
            .map_err(|fault| match fault {
                Fault::TooLong => Error::<T>::ExhibitTooLong,
                Fault::Tokens | Fault::Outside => Error::<T>::IndexOutside,
                Fault::NotFinite => Error::<T>::NotFinite,
                Fault::Inputs | Fault::Outputs => Error::<T>::Mismatch,
            })?;
        let bytes =
            BoundedVec::try_from(exhibit.encode()).map_err(|_| Error::<T>::ExhibitTooLong)?;
        Exhibits::<T>::insert(id, bytes);
        Self::deposit_event(Event::Published { case: id });
        Ok(())
    }
}
