// SPDX-License-Identifier: Apache-2.0
//! Accusations: their checks, and what they lock.

use frame_support::{pallet_prelude::*, traits::UnixTime};
use sp_runtime::AccountId32;
use starling_evidence::{
    messages::{self, Accusation},
    Claim, Code, Evidence, Flaw, SignedOutput,
};
use starling_primitives::{crypto, locks::LockId, traits::AgentRegistry, Balance, H256};

use crate::{
    doubled, Against, Agenda, BlockNumber, By, Case, CaseId, CaseOf, Claims, Config, Convicted,
    Convictions, Error, Event, InForce, Known, NextCase, OpenCases, Pallet, Phase, VerdictRange,
    AHEAD_MS,
};

/// Phases of a case at most, each of which may wait for its turn in a block.
const PHASES: BlockNumber = 16;

impl<T: Config> Pallet<T> {
    /// The agents of the two claims.
    pub(crate) fn accused(evidence: &Evidence) -> [T::AccountId; 2] {
        evidence
            .answers()
            .map(|answer| AccountId32::new(answer.claim.account))
    }

    /// Whether an agent is the accuser or one of the accused.
    pub(crate) fn is_party(case: &CaseOf<T>, who: &T::AccountId) -> bool {
        *who == case.accuser || Self::accused(case.evidence()).contains(who)
    }

    /// The bond of an accusation by this agent now.
    pub fn bond_of_accusation(agent: &T::AccountId) -> Balance {
        let (own, open) = (By::<T>::get(agent), OpenCases::<T>::get());
        InForce::<T>::get().accusation_bond(own, open, T::MaxCases::get())
    }

    /// Checks an accusation, the cheap rules first and the signatures last. Returns the accuser's
    /// bond.
    pub(crate) fn check_accuse(
        agent: &T::AccountId,
        accusation: &Accusation,
    ) -> Result<Balance, Error<T>> {
        ensure!(InForce::<T>::get().are_open(), Error::NotOpen);
        let evidence = &accusation.evidence;
        evidence.contradicts().map_err(|flaw| match flaw {
            Flaw::SameAgent => Error::SameAgent,
            Flaw::OtherQuestion => Error::OtherQuestion,
            Flaw::SameOutput => Error::SameOutput,
        })?;
        let [first, second] = evidence.answers().map(|answer| &answer.claim.body);
        ensure!(first.is_sound(), Error::IndexOutside);
        // The error of the coarsest code is as large as that of a cheat.
        let is_fine = first.wire == second.wire && first.wire != Code::Linear8Row;
        ensure!(is_fine, Error::WrongCode);
        ensure!(accusation.network == Self::genesis(), Error::WrongChain);
        Self::check_time(first)?;
        Self::check_time(second)?;
        for answer in evidence.answers() {
            Self::check_new(answer)?;
        }
        let is_over = Claims::<T>::contains_key(Self::name_of(agent, accusation));
        ensure!(!is_over, Error::AlreadyJudged);
        ensure!(T::Agents::is_active(agent), Error::NotAnAgent);
        ensure!(Self::has_room(), Error::TooManyCases);
        let is_spared = |who: &T::AccountId| Against::<T>::get(who) < T::MaxAgainst::get();
        ensure!(
            Self::accused(evidence).iter().all(is_spared),
            Error::TooManyAgainst
        );
        let bond = Self::bond_of_accusation(agent);
        let case = NextCase::<T>::get();
        ensure!(
            T::Agents::can_lock(agent, LockId::Accusation { case }, bond),
            Error::BondNotFree
        );
        for answer in evidence.answers() {
            Self::check_signature(answer)?;
        }
        Ok(bond)
    }

    /// Checks the age of a claim.
    fn check_time(claim: &Claim) -> Result<(), Error<T>> {
        let now = u64::try_from(T::Time::now().as_millis()).unwrap_or(u64::MAX);
        let life = InForce::<T>::get().evidence_life;
        ensure!(
            claim.time <= now.saturating_add(AHEAD_MS),
            Error::FromTheFuture
        );
        ensure!(claim.time.saturating_add(life) >= now, Error::TooOld);
        Ok(())
    }

    /// Checks that no case is or was about a claim.
    fn check_new(answer: &SignedOutput) -> Result<(), Error<T>> {
        match Claims::<T>::get(H256(answer.id())) {
            Some(Known::Open) => Err(Error::AlreadyAccused),
            Some(Known::Judged) => Err(Error::AlreadyJudged),
            None => Ok(()),
        }
    }

    /// The name of an accusation by this agent: what its signature is over.
    pub(crate) fn name_of(agent: &T::AccountId, accusation: &Accusation) -> H256 {
        let payload = messages::accuse(&Self::genesis(), agent.as_ref(), accusation);
        H256(payload)
    }

    /// Checks that a claim is signed with a key that is or was the agent's.
    fn check_signature(answer: &SignedOutput) -> Result<(), Error<T>> {
        let key = crypto::key(answer.claim.key);
        let owner = T::Agents::owner_of(&key);
        ensure!(
            owner == Some(AccountId32::new(answer.claim.account)),
            Error::UnknownKey
        );
        let message = answer.message(&Self::genesis());
        ensure!(
            crypto::has_signed(&key, &message, &answer.claim.signature),
            Error::BadSignature
        );
        Ok(())
    }

    /// Whether there is room for one more case, and for its verdicts.
    fn has_room() -> bool {
        let open = OpenCases::<T>::get();
        let (oldest, next) = VerdictRange::<T>::get();
        let claims = u64::from(open.saturating_add(1)).saturating_mul(2);
        let verdicts = next.saturating_sub(oldest).saturating_add(claims);
        open < T::MaxCases::get()
            && u32::try_from(Agenda::<T>::get().len()).is_ok_and(|len| len < T::MaxStored::get())
            && verdicts <= u64::from(T::MaxVerdicts::get())
    }

    /// The block until which bonds of a case that opens now are locked. A closed case ends its locks.
    fn locked_until() -> BlockNumber {
        let longest = InForce::<T>::get().longest().saturating_mul(2);
        let waiting = T::MaxStored::get().saturating_mul(PHASES);
        Self::now().saturating_add(longest).saturating_add(waiting)
    }

    /// Locks for a case, up to the end of its last phase.
    pub(crate) fn lock(who: &T::AccountId, id: LockId, amount: Balance) -> DispatchResult {
        T::Agents::lock(who, id, amount, Self::locked_until())
    }

    /// Locks what a conviction in this case costs an agent, or as much of it as is free. Returns the
    /// amount. What is unbonding counts: it stays liable for longer than claims live.
    fn stake(who: &T::AccountId, case: CaseId) -> Balance {
        let parameters = InForce::<T>::get();
        let past = Self::convictions(who).count;
        let slash = parameters.slash.mul_floor(T::Agents::exposed(who));
        let amount = doubled(slash.max(T::MinSlash::get()), past).min(T::Agents::lockable(who));
        let is_locked = amount > 0 && Self::lock(who, LockId::Accused { case }, amount).is_ok();
        if is_locked {
            amount
        } else {
            0
        }
    }

    /// The past convictions of an agent that still count.
    pub(crate) fn convictions(who: &T::AccountId) -> Convictions {
        let past = Convicted::<T>::get(who);
        let memory = InForce::<T>::get().conviction_memory;
        if past.last.saturating_add(memory) < Self::now() {
            return Convictions::default();
        }
        past
    }

    pub(crate) fn do_accuse(accuser: T::AccountId, accusation: Accusation) -> DispatchResult {
        let bond = Self::check_accuse(&accuser, &accusation)?;
        let id = NextCase::<T>::get();
        Self::lock(&accuser, LockId::Accusation { case: id }, bond)?;
        NextCase::<T>::put(id.saturating_add(1));
        for answer in accusation.evidence.answers() {
            Claims::<T>::insert(H256(answer.id()), Known::Open);
        }
        let [first, second] = Self::accused(&accusation.evidence);
        let stakes = (Self::stake(&first, id), Self::stake(&second, id));
        for who in [&first, &second] {
            Against::<T>::mutate(who, |count| *count = count.saturating_add(1));
        }
        By::<T>::mutate(&accuser, |count| *count = count.saturating_add(1));
        OpenCases::<T>::mutate(|count| *count = count.saturating_add(1));
        let now = Self::now();
        let case = Case {
            accuser: accuser.clone(),
            accusation,
            opened: now,
            phase: Phase::Drawing,
            due: now.saturating_add(InForce::<T>::get().drawing),
            attempt: 0,
            appealed: false,
            draw: H256::zero(),
            committee: BoundedVec::default(),
            former: BoundedVec::default(),
            committed: 0,
            revealed: 0,
            bond,
            appellant: None,
            stakes,
            earners: BoundedVec::default(),
            ruling: None,
        };
        Self::put(id, case);
        Self::deposit_event(Event::Opened {
            case: id,
            accuser,
            first,
            second,
            bond,
        });
        Ok(())
    }
}
