// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use alloc::collections::{BTreeMap, BTreeSet};
use frame_support::{ensure, traits::Get};
use sp_runtime::DispatchError;
use starling_primitives::{locks::LockId, traits::AgentRegistry, H256};

use crate::{
    Against, Agenda, By, CaseId, CaseOf, Cases, Claims, Config, Exhibits, Held, HolderCount,
    Holders, InForce, Known, OpenCases, Pallet, Phase, VerdictRange, Verdicts, Works,
};

impl<T: Config> Pallet<T> {
    /// Checks the invariants between blocks. Native only.
    pub fn do_try_state() -> Result<(), DispatchError> {
        // The chain's unbonding period may have changed since.
        ensure!(
            InForce::<T>::get().is_sound(u32::MAX, T::SlotDuration::get()),
            "the parameters do not fit together"
        );
        Self::try_agenda()?;
        Self::try_counts()?;
        Self::try_works()?;
        Self::try_verdicts()?;
        Self::try_holders()
    }

    /// Each stored case is on the agenda once, in order.
    fn try_agenda() -> Result<(), DispatchError> {
        let agenda = Agenda::<T>::get();
        ensure!(agenda.is_sorted(), "the agenda is out of order");
        for (due, id) in &agenda {
            let case = Cases::<T>::get(id).ok_or("a case on the agenda is not stored")?;
            ensure!(case.due == *due, "a case is on the agenda at a wrong place");
        }
        ensure!(
            Cases::<T>::iter_keys().count() == agenda.len(),
            "a stored case is not on the agenda"
        );
        Ok(())
    }

    /// Open cases are counted, and their bonds are locked.
    fn try_counts() -> Result<(), DispatchError> {
        let (mut by, mut against) = (BTreeMap::new(), BTreeMap::new());
        let mut claims = BTreeSet::new();
        let mut open: u32 = 0;
        for (id, case) in Cases::<T>::iter().filter(|(_, case)| case.is_open()) {
            open = open.saturating_add(1);
            Self::try_bonds(id, &case)?;
            for answer in case.evidence().answers() {
                let claim = H256(answer.id());
                ensure!(
                    Claims::<T>::get(claim) == Some(Known::Open),
                    "a claim of an open case is not marked"
                );
                ensure!(claims.insert(claim), "two open cases are about one claim");
            }
            for who in Self::accused(case.evidence()) {
                count(&mut against, who);
            }
            count(&mut by, case.accuser);
        }
        ensure!(
            OpenCases::<T>::get() == open,
            "the count of open cases is wrong"
        );
        ensure!(open <= T::MaxCases::get(), "there are too many open cases");
        ensure!(
            against.values().all(|count| *count <= T::MaxAgainst::get()),
            "an agent is accused too often"
        );
        let is_as_counted = by == By::<T>::iter().collect::<BTreeMap<_, _>>()
            && against == Against::<T>::iter().collect::<BTreeMap<_, _>>();
        ensure!(is_as_counted, "the cases of an agent are counted wrongly");
        let marked = Claims::<T>::iter_values().filter(|known| *known == Known::Open);
        ensure!(
            marked.count() == claims.len(),
            "a claim is marked as open and is not"
        );
        Ok(())
    }

    fn try_bonds(id: CaseId, case: &CaseOf<T>) -> Result<(), DispatchError> {
        let is_locked = |who: &T::AccountId, lock, amount| {
            amount == 0 || T::Agents::can_lock(who, lock, amount)
        };
        let accusation = LockId::Accusation { case: id };
        ensure!(
            is_locked(&case.accuser, accusation, case.bond),
            "the bond of an accuser is gone"
        );
        let [first, second] = Self::accused(case.evidence());
        let accused = LockId::Accused { case: id };
        ensure!(
            is_locked(&first, accused, case.stakes.0) && is_locked(&second, accused, case.stakes.1),
            "the stake of an accused agent is gone"
        );
        let is_covered = case
            .appellant
            .as_ref()
            .is_none_or(|(who, bond)| is_locked(who, LockId::Appeal { case: id }, *bond));
        ensure!(is_covered, "the bond of an appellant is gone");
        Ok(())
    }

    /// Works are those of the committees of stored cases.
    fn try_works() -> Result<(), DispatchError> {
        for (id, who, _) in Works::<T>::iter() {
            let case = Cases::<T>::get(id).ok_or("a work of no case")?;
            ensure!(
                case.committee.contains(&who),
                "a work is not that of a member"
            );
        }
        for (id, case) in Cases::<T>::iter() {
            let (mut committed, mut revealed) = (0u32, 0u32);
            for work in Works::<T>::iter_prefix_values(id) {
                committed = committed.saturating_add(1);
                revealed = revealed.saturating_add(work.finding.is_some().into());
            }
            ensure!(
                (committed, revealed) == (case.committed, case.revealed),
                "the works of a case are counted wrongly"
            );
            let parties = Self::accused(case.evidence());
            let is_apart = |who: &T::AccountId| parties.contains(who) || *who == case.accuser;
            ensure!(
                !case.committee.iter().any(is_apart),
                "a party judges its own case"
            );
            ensure!(
                case.phase != Phase::Judged || case.ruling.is_some(),
                "a case is judged without a ruling"
            );
        }
        ensure!(
            Exhibits::<T>::iter_keys().all(Cases::<T>::contains_key),
            "an exhibit of no case"
        );
        Ok(())
    }

    /// Remembered verdicts are those in the range, and no more than there may be.
    fn try_verdicts() -> Result<(), DispatchError> {
        let (oldest, next) = VerdictRange::<T>::get();
        let known = Verdicts::<T>::iter_keys().count();
        ensure!(
            u64::try_from(known) == Ok(next.saturating_sub(oldest)),
            "the verdicts are counted wrongly"
        );
        ensure!(
            u32::try_from(known).is_ok_and(|known| known <= T::MaxVerdicts::get()),
            "too many verdicts are remembered"
        );
        for (place, (claim, _)) in Verdicts::<T>::iter() {
            ensure!(
                (oldest..next).contains(&place) && Claims::<T>::get(claim) == Some(Known::Judged),
                "a verdict is not that of its claim"
            );
        }
        Ok(())
    }

    /// Holders are those that said so, and are counted.
    fn try_holders() -> Result<(), DispatchError> {
        let mut counts = BTreeMap::new();
        for (model, who, _) in Holders::<T>::iter() {
            ensure!(
                Held::<T>::get(&who).models.contains(&model),
                "an agent holds a model that it did not name"
            );
            count(&mut counts, model);
        }
        ensure!(
            counts.values().all(|count| *count <= T::MaxHolders::get()),
            "a model has too many holders"
        );
        ensure!(
            counts == HolderCount::<T>::iter().collect::<BTreeMap<_, _>>(),
            "the holders of a model are counted wrongly"
        );
        Ok(())
    }
}

/// Counts one more of `key`.
fn count<Key: Ord>(counts: &mut BTreeMap<Key, u32>, key: Key) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}
