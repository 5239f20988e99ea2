// SPDX-License-Identifier: Apache-2.0
//! The end of a case: slashes, fees, and the verdicts that are remembered.

use alloc::vec::Vec;
use frame_support::{
    traits::{fungible::Balanced, tokens::imbalance::Imbalance, Get, OnUnbalanced},
    weights::Weight,
};
use starling_evidence::{Ruling, Side};
use starling_primitives::{locks::LockId, traits::AgentRegistry, Balance, H256};

use crate::{
    Against, Agenda, BlockNumber, By, Case, CaseId, CaseOf, Claims, Config, Convicted, Convictions,
    CreditOf, Event, InForce, Known, OpenCases, Pallet, Phase, VerdictRange, Verdicts, WeightInfo,
    ACCUSER, AHEAD_MS, EXECUTORS,
};

/// Maximum number of verdicts that a block forgets.
pub(crate) const PAGE: u32 = 32;

impl<T: Config> Pallet<T> {
    /// Closes a case: slashes who is guilty, pays who is owed, and ends all locks.
    pub(crate) fn close(id: CaseId, case: CaseOf<T>, ruling: Ruling) {
        let sides = match ruling {
            Ruling::Decided { first, second } => [first, second],
            _ => [Side::Unclear; 2],
        };
        let mut pot = Self::take_appeal(id, &case, ruling);
        pot.subsume(Self::take_stakes(id, &case, sides));
        let is_guilty = sides.contains(&Side::Guilty);
        let lock = LockId::Accusation { case: id };
        let loss = if is_guilty {
            0
        } else {
            Self::accusers_loss(&case, ruling)
        };
        pot.subsume(T::Agents::end_lock(&case.accuser, lock, loss));
        let payments = Self::payments(&case, pot.peek(), is_guilty, loss);
        let paid = Self::pay(pot, payments);
        Self::leave_court(&case, sides);
        let case = Case {
            phase: Phase::Closed,
            due: Self::now().saturating_add(Self::retention()),
            ruling: Some(ruling),
            ..case
        };
        Self::put(id, case);
        Self::deposit_event(Event::Closed {
            case: id,
            ruling,
            paid,
        });
    }

    /// Blocks for which a case that closes now stays stored. Closed cases take no place of open ones:
    /// they cost no bond any more.
    fn retention() -> BlockNumber {
        let stored = u32::try_from(Agenda::<T>::get().len()).unwrap_or(u32::MAX);
        let closed = stored.saturating_sub(OpenCases::<T>::get());
        let places = T::MaxStored::get().saturating_sub(T::MaxCases::get());
        if closed < places {
            InForce::<T>::get().retention
        } else {
            1
        }
    }

    /// The bond of an appeal that did not change the ruling.
    fn take_appeal(id: CaseId, case: &CaseOf<T>, ruling: Ruling) -> CreditOf<T> {
        let Some((who, bond)) = &case.appellant else {
            return CreditOf::<T>::zero();
        };
        let loss = if case.ruling == Some(ruling) {
            *bond
        } else {
            0
        };
        T::Agents::end_lock(who, LockId::Appeal { case: id }, loss)
    }

    /// The stakes of the guilty. Those of others are free again.
    fn take_stakes(id: CaseId, case: &CaseOf<T>, sides: [Side; 2]) -> CreditOf<T> {
        let mut taken = CreditOf::<T>::zero();
        let (first, second) = case.stakes;
        let accused = Self::accused(case.evidence());
        for ((who, stake), side) in accused.into_iter().zip([first, second]).zip(sides) {
            let is_guilty = side == Side::Guilty;
            let loss = if is_guilty { stake } else { 0 };
            let credit = T::Agents::end_lock(&who, LockId::Accused { case: id }, loss);
            if is_guilty {
                Self::convict(id, who, credit.peek());
            }
            taken.subsume(credit);
        }
        taken
    }

    fn convict(id: CaseId, who: T::AccountId, slashed: Balance) {
        let past = Self::convictions(&who);
        let convictions = Convictions {
            count: past.count.saturating_add(1),
            last: Self::now(),
        };
        Convicted::<T>::insert(&who, convictions);
        T::Agents::punish(&who);
        Self::deposit_event(Event::Convicted {
            case: id,
            agent: who,
            slashed,
        });
    }

    /// The accuser's loss where nobody is guilty: all of its bond if it accused the innocent or
    /// showed no exhibit, and the executors' fees otherwise. One fee at least: for nothing the guilty
    /// would take all places in court themselves.
    fn accusers_loss(case: &CaseOf<T>, ruling: Ruling) -> Balance {
        match ruling {
            Ruling::Unavailable
            | Ruling::Decided {
                first: Side::Cleared,
                second: Side::Cleared,
            } => case.bond,
            _ => Self::fees(case).max(InForce::<T>::get().member_fee),
        }
    }

    /// The fees of all executors that are paid.
    fn fees(case: &CaseOf<T>) -> Balance {
        let earners = Balance::try_from(case.earners.len()).unwrap_or(Balance::MAX);
        InForce::<T>::get().member_fee.saturating_mul(earners)
    }

    /// The payments from a pot of `pot`, in their order.
    fn payments(
        case: &CaseOf<T>,
        pot: Balance,
        is_guilty: bool,
        loss: Balance,
    ) -> Vec<(T::AccountId, Balance)> {
        let fee = InForce::<T>::get().member_fee;
        let mut payments = Vec::new();
        let mut each = fee;
        if is_guilty {
            payments.push((case.accuser.clone(), ACCUSER.mul_floor(pot)));
            let earners = Balance::try_from(case.earners.len()).unwrap_or(Balance::MAX);
            let most = EXECUTORS.mul_floor(pot).checked_div(earners);
            each = fee.min(most.unwrap_or(0));
        }
        payments.extend(case.earners.iter().map(|who| (who.clone(), each)));
        if !is_guilty && loss >= case.bond {
            let accused = Self::accused(case.evidence());
            payments.extend(accused.into_iter().map(|who| (who, fee)));
        }
        payments
    }

    /// Pays from a pot as far as it goes; the rest is the treasury's. Returns what was paid.
    fn pay(mut pot: CreditOf<T>, payments: Vec<(T::AccountId, Balance)>) -> Balance {
        let mut paid: Balance = 0;
        for (who, amount) in payments {
            let (part, rest) = pot.split(amount);
            pot = rest;
            let due = part.peek();
            match T::Currency::resolve(&who, part) {
                Ok(()) => paid = paid.saturating_add(due),
                Err(part) => pot.subsume(part),
            }
        }
        T::Treasury::on_unbalanced(pot);
        paid
    }

    /// Takes a case off the counts, and its claims off the open ones. Verdicts are remembered.
    fn leave_court(case: &CaseOf<T>, sides: [Side; 2]) {
        OpenCases::<T>::mutate(|count| *count = count.saturating_sub(1));
        By::<T>::mutate_exists(&case.accuser, one_fewer);
        for who in Self::accused(case.evidence()) {
            Against::<T>::mutate_exists(&who, one_fewer);
        }
        for (answer, side) in case.evidence().answers().into_iter().zip(sides) {
            let claim = H256(answer.id());
            match side {
                Side::Guilty | Side::Cleared => Self::remember(claim),
                Side::Unclear => Claims::<T>::remove(claim),
            }
        }
        if sides == [Side::Unclear; 2] {
            // Others may accuse again, but nobody by the accuser's signature: it would lock and lose
            // another bond each time.
            Self::remember(Self::name_of(&case.accuser, &case.accusation));
        }
    }

    /// Remembers a claim, or an accusation, until its claims are too old.
    fn remember(claim: H256) {
        let (oldest, next) = VerdictRange::<T>::get();
        Verdicts::<T>::insert(next, (claim, Self::now()));
        VerdictRange::<T>::put((oldest, next.saturating_add(1)));
        Claims::<T>::insert(claim, Known::Judged);
    }

    /// Forgets verdicts on claims that are too old to be accused again.
    pub(crate) fn forget_verdicts(remaining: Weight) -> Weight {
        let weight = T::WeightInfo::forget_verdicts();
        if !remaining.all_gte(weight) {
            return Weight::zero();
        }
        let slot = T::SlotDuration::get();
        let ahead = AHEAD_MS.checked_div(slot).unwrap_or(0);
        let life = InForce::<T>::get().evidence_blocks(slot);
        let life = life.map_or(u64::MAX, |life| u64::from(life).saturating_add(ahead));
        let (first, next) = VerdictRange::<T>::get();
        let mut oldest = first;
        let last = next.min(oldest.saturating_add(PAGE.into()));
        while oldest < last {
            let Some((claim, at)) = Verdicts::<T>::get(oldest) else {
                break;
            };
            if u64::from(at).saturating_add(life) >= u64::from(Self::now()) {
                break;
            }
            Claims::<T>::remove(claim);
            Verdicts::<T>::remove(oldest);
            oldest = oldest.saturating_add(1);
        }
        if oldest > first {
            VerdictRange::<T>::put((oldest, next));
        }
        weight
    }
}

/// Takes one off a count. A count of zero is not stored.
fn one_fewer(count: &mut Option<u32>) {
    *count = count
        .and_then(|count| count.checked_sub(1))
        .filter(|left| *left > 0);
}
