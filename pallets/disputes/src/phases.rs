// SPDX-License-Identifier: Apache-2.0
//! The phases of a case: each ends in a block of the agenda.

use alloc::vec::Vec;
use frame_support::{
    pallet_prelude::*,
    traits::{tokens::imbalance::Imbalance, OnUnbalanced},
};
use starling_evidence::{judge, sample, Finding, Judgement, Ruling};
use starling_primitives::{
    draw::case_seed,
    locks::LockId,
    traits::{AgentRegistry, Randomness},
    H256,
};

use crate::{
    BlockNumber, Case, CaseId, CaseOf, Cases, Config, Error, Event, Exhibits, InForce, Pallet,
    Phase, WeightInfo, Works, APPEAL_FACTOR, LOG_TARGET,
};

impl<T: Config> Pallet<T> {
    /// Stores a case with the end of its phase.
    pub(crate) fn put(id: CaseId, case: CaseOf<T>) {
        Self::schedule(id, case.due);
        Cases::<T>::insert(id, case);
    }

    /// Ends the phases that are due, as many as fit into a block.
    pub(crate) fn end_phases() -> Weight {
        let now = Self::now();
        let mut weight = T::WeightInfo::end_phases();
        for _ in 0..T::MaxTransitions::get() {
            let Some(id) = Self::take_due(now) else {
                break;
            };
            weight.saturating_accrue(Self::end_phase(id));
        }
        weight
    }

    /// Ends the phase of a case. Returns its weight.
    fn end_phase(id: CaseId) -> Weight {
        let Some(case) = Cases::<T>::get(id) else {
            log::error!(target: LOG_TARGET, "case {id} is on the agenda and not stored");
            return T::DbWeight::get().reads(1);
        };
        match case.phase {
            Phase::Drawing => Self::draw_committee(id, case),
            Phase::Committing => Self::open_reveals(id, case),
            Phase::Revealing => Self::judge_findings(id, case),
            Phase::Judged => {
                let ruling = case.ruling.unwrap_or(Ruling::NoQuorum);
                Self::close(id, case, ruling);
                T::WeightInfo::close()
            },
            Phase::Closed => {
                Self::forget_works(id, &case);
                Exhibits::<T>::remove(id);
                Cases::<T>::remove(id);
                T::WeightInfo::forget()
            },
        }
    }

    fn in_blocks(window: BlockNumber) -> BlockNumber {
        Self::now().saturating_add(window)
    }

    fn draw_committee(id: CaseId, case: CaseOf<T>) -> Weight {
        let parameters = InForce::<T>::get();
        let size = if case.appealed {
            parameters.appeal
        } else {
            parameters.committee
        };
        let draw = case_seed(T::Randomness::value(), id, case.attempt);
        let (committee, holders) = Self::draw(&case, draw, size);
        let weight = T::WeightInfo::draw(holders);
        if u32::try_from(committee.len()).is_ok_and(|len| len < parameters.least) {
            Self::close(id, case, Ruling::NoCommittee);
            return weight.saturating_add(T::WeightInfo::close());
        }
        Self::deposit_event(Event::Drawn {
            case: id,
            committee: committee.clone(),
        });
        let case = Case {
            phase: Phase::Committing,
            due: Self::in_blocks(parameters.commit_window),
            draw,
            committee,
            committed: 0,
            revealed: 0,
            ..case
        };
        Self::put(id, case);
        weight
    }

    fn open_reveals(id: CaseId, case: CaseOf<T>) -> Weight {
        let window = match case.committed {
            // Nobody can reveal.
            0 => 1,
            _ => InForce::<T>::get().reveal_window,
        };
        let case = Case {
            phase: Phase::Revealing,
            due: Self::in_blocks(window),
            ..case
        };
        Self::put(id, case);
        Self::deposit_event(Event::Revealing { case: id });
        T::WeightInfo::open_reveals()
    }

    fn judge_findings(id: CaseId, case: CaseOf<T>) -> Weight {
        let members = u32::try_from(case.committee.len()).unwrap_or(u32::MAX);
        let weight = T::WeightInfo::judge(members);
        let Judged {
            ruling,
            agreeing,
            failing,
        } = Self::judgement(id, &case);
        for who in failing {
            Self::fine(id, who);
        }
        let is_undecided = matches!(ruling, Ruling::NoQuorum | Ruling::Unstable);
        if is_undecided && case.attempt.is_multiple_of(2) {
            Self::draw_again(id, case, ruling);
            return weight;
        }
        Self::deposit_event(Event::Judged { case: id, ruling });
        let case = Self::with_earners(case, ruling, agreeing);
        let parameters = InForce::<T>::get();
        let is_decided = matches!(ruling, Ruling::Decided { .. });
        if is_decided && !case.appealed && parameters.appeal > 0 {
            let case = Case {
                phase: Phase::Judged,
                due: Self::in_blocks(parameters.appeal_window),
                ruling: Some(ruling),
                ..case
            };
            Self::put(id, case);
            return weight;
        }
        Self::close(id, case, ruling);
        weight.saturating_add(T::WeightInfo::close())
    }

    /// The ruling on the findings of the committee.
    fn judgement(id: CaseId, case: &CaseOf<T>) -> Judged<T::AccountId> {
        let mut silent = Vec::new();
        let mut revealed: Vec<(T::AccountId, Finding)> = Vec::new();
        for who in &case.committee {
            match Works::<T>::get(id, who).and_then(|work| work.finding) {
                Some(finding) => revealed.push((who.clone(), finding)),
                None => silent.push(who.clone()),
            }
        }
        let findings: Vec<&Finding> = revealed.iter().map(|(_, finding)| finding).collect();
        let rows = case.evidence().first.claim.body.rows;
        let judgement = match sample::layout(rows) {
            Some(layout) => judge(layout, case.committee.len(), &findings),
            None => Judgement {
                ruling: Ruling::Unnatural,
                agreeing: Vec::new(),
                far: Vec::new(),
            },
        };
        let who = |places: &[usize]| -> Vec<T::AccountId> {
            let found = places.iter().filter_map(|place| revealed.get(*place));
            found.map(|(who, _)| who.clone()).collect()
        };
        silent.extend(who(&judgement.far));
        Judged {
            ruling: judgement.ruling,
            agreeing: who(&judgement.agreeing),
            failing: silent,
        }
    }

    /// Takes the stake of an executor that was silent, or far from the others.
    fn fine(id: CaseId, who: T::AccountId) {
        let fine = T::Agents::fine(&who, InForce::<T>::get().member_stake);
        let amount = fine.peek();
        T::Treasury::on_unbalanced(fine);
        Self::deposit_event(Event::Fined {
            case: id,
            agent: who,
            amount,
        });
    }

    /// The case with the executors that its ruling pays. A first committee is not paid for a verdict
    /// that the second one does not share.
    fn with_earners(mut case: CaseOf<T>, ruling: Ruling, agreeing: Vec<T::AccountId>) -> CaseOf<T> {
        let is_decided = matches!(ruling, Ruling::Decided { .. });
        if is_decided && case.ruling.is_some_and(|first| first != ruling) {
            case.earners.clear();
        }
        for who in agreeing {
            // There is room for both committees.
            let _ = case.earners.try_push(who);
        }
        case
    }

    fn draw_again(id: CaseId, case: CaseOf<T>, ruling: Ruling) {
        let case = Self::undrawn(id, case);
        let case = Case {
            attempt: case.attempt.saturating_add(1),
            ..case
        };
        Self::put(id, case);
        Self::deposit_event(Event::DrawnAgain { case: id, ruling });
    }

    /// The case without its committee and that one's work, before another draw.
    fn undrawn(id: CaseId, case: CaseOf<T>) -> CaseOf<T> {
        Self::forget_works(id, &case);
        Case {
            phase: Phase::Drawing,
            due: Self::in_blocks(InForce::<T>::get().drawing),
            draw: H256::zero(),
            committee: BoundedVec::default(),
            committed: 0,
            revealed: 0,
            ..case
        }
    }

    fn forget_works(id: CaseId, case: &CaseOf<T>) {
        for who in &case.committee {
            Works::<T>::remove(id, who);
        }
    }

    pub(crate) fn do_appeal(id: CaseId, who: T::AccountId) -> DispatchResult {
        let case = Self::stored(id)?;
        ensure!(!case.appealed, Error::<T>::AlreadyAppealed);
        ensure!(case.phase == Phase::Judged, Error::<T>::NotJudged);
        ensure!(Self::now() < case.due, Error::<T>::TooLate);
        ensure!(Self::is_party(&case, &who), Error::<T>::NotAParty);
        // An accuser can make its own bond high by other cases. That makes no appeal dear.
        let least = InForce::<T>::get().accusation_bond(0, 0, T::MaxCases::get());
        let bond = least.saturating_mul(APPEAL_FACTOR);
        let lock = LockId::Appeal { case: id };
        ensure!(
            T::Agents::can_lock(&who, lock, bond),
            Error::<T>::BondNotFree
        );
        Self::lock(&who, lock, bond)?;
        let former = case.committee.clone();
        let case = Self::undrawn(id, case);
        let case = Case {
            appealed: true,
            attempt: 2,
            former,
            appellant: Some((who.clone(), bond)),
            ..case
        };
        Self::put(id, case);
        Self::deposit_event(Event::Appealed {
            case: id,
            appellant: who,
            bond,
        });
        Ok(())
    }
}

/// The end of a committee's work, by accounts.
struct Judged<AccountId> {
    ruling: Ruling,
    /// The executors that agree.
    agreeing: Vec<AccountId>,
    /// The executors that were silent, or far from those.
    failing: Vec<AccountId>,
}
