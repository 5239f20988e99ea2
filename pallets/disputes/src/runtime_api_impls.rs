// SPDX-License-Identifier: Apache-2.0
//! The views of cases, and the transactions of feeless calls.

use alloc::{boxed::Box, vec::Vec};
use codec::Encode;
use frame_system::offchain::CreateAuthorizedTransaction;
use starling_evidence::{messages::Accusation, Finding, ModelId};
use starling_primitives::{
    api::disputes::{CaseView, DutyView, ExecutorView},
    H256,
};

use crate::{
    Agenda, BlockNumber, Call, CaseId, CaseOf, Cases, Config, Exhibits, Held, InForce, Pallet,
    Phase, Works,
};

impl<T: Config> Pallet<T> {
    /// Whether agents can be accused.
    pub fn are_open() -> bool {
        InForce::<T>::get().are_open()
    }

    /// The stored cases, the newest first.
    pub fn case_ids() -> Vec<CaseId> {
        let mut ids: Vec<CaseId> = Agenda::<T>::get().iter().map(|(_, id)| *id).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids
    }

    /// A case.
    pub fn case_view(id: CaseId) -> Option<CaseView<T::AccountId>> {
        let case = Cases::<T>::get(id)?;
        let committee = case.committee.iter().map(|agent| {
            let work = Works::<T>::get(id, agent);
            ExecutorView {
                agent: agent.clone(),
                commitment: work.as_ref().map(|work| work.commitment),
                finding: work.and_then(|work| work.finding),
            }
        });
        Some(CaseView {
            id,
            committee: committee.collect(),
            accuser: case.accuser,
            accusation: case.accusation,
            opened: case.opened,
            phase: case.phase,
            due: case.due,
            appealed: case.appealed,
            draw: case.draw,
            bond: case.bond,
            stakes: case.stakes,
            published: Exhibits::<T>::contains_key(id),
            ruling: case.ruling,
        })
    }

    /// The work that an agent owes to committees now.
    pub fn duties(agent: &T::AccountId) -> Vec<DutyView> {
        let stored = Self::case_ids().into_iter();
        let stored = stored.filter_map(|id| Some((id, Cases::<T>::get(id)?)));
        stored
            .filter(|(id, case)| Self::is_due(*id, case, agent))
            .map(|(id, case)| DutyView {
                case: id,
                draw: case.draw,
                phase: case.phase,
                due: case.due,
                accusation: case.accusation,
            })
            .collect()
    }

    /// Whether an agent owes a commitment or a finding.
    fn is_due(id: CaseId, case: &CaseOf<T>, agent: &T::AccountId) -> bool {
        if !case.committee.contains(agent) {
            return false;
        }
        let work = Works::<T>::get(id, agent);
        match case.phase {
            Phase::Committing => work.is_none(),
            Phase::Revealing => work.is_some_and(|work| work.finding.is_none()),
            Phase::Drawing | Phase::Judged | Phase::Closed => false,
        }
    }

    /// The exhibit of a case, encoded, if it was published.
    pub fn exhibit_of(id: CaseId) -> Option<Vec<u8>> {
        Exhibits::<T>::get(id).map(|bytes| bytes.into_inner())
    }

    /// The models that an agent holds for disputes, and the block in which it said so.
    pub fn held_by(agent: &T::AccountId) -> (Vec<ModelId>, BlockNumber) {
        let holding = Held::<T>::get(agent);
        (holding.models.into_inner(), holding.at)
    }

    /// Whether `accuse` would succeed with a good signature; the reason why not.
    pub fn can_accuse(agent: &T::AccountId, accusation: &Accusation) -> Result<(), Vec<u8>> {
        match Self::check_accuse(agent, accusation) {
            Ok(_) => Ok(()),
            Err(error) => {
                let name: &'static str = error.into();
                Err(name.as_bytes().to_vec())
            },
        }
    }
}

impl<T: Config + CreateAuthorizedTransaction<Call<T>>> Pallet<T> {
    fn transaction(call: Call<T>) -> Vec<u8> {
        T::create_authorized_transaction(call.into()).encode()
    }

    /// The transaction of `accuse`.
    pub fn accuse_transaction(
        agent: T::AccountId,
        accusation: Accusation,
        signature: [u8; 64],
    ) -> Vec<u8> {
        Self::transaction(Call::accuse {
            agent,
            accusation: Box::new(accusation),
            signature: Some(signature),
        })
    }

    /// The transaction of `hold`.
    pub fn hold_transaction(
        agent: T::AccountId,
        models: Vec<ModelId>,
        at: BlockNumber,
        signature: [u8; 64],
    ) -> Vec<u8> {
        Self::transaction(Call::hold {
            agent,
            models,
            at,
            signature: Some(signature),
        })
    }

    /// The transaction of `commit`.
    pub fn commit_transaction(
        case: CaseId,
        agent: T::AccountId,
        commitment: H256,
        signature: [u8; 64],
    ) -> Vec<u8> {
        Self::transaction(Call::commit {
            case,
            agent,
            commitment,
            signature,
        })
    }

    /// The transaction of `reveal`.
    pub fn reveal_transaction(
        case: CaseId,
        agent: T::AccountId,
        finding: Finding,
        salt: [u8; 32],
    ) -> Vec<u8> {
        Self::transaction(Call::reveal {
            case,
            agent,
            finding,
            salt,
        })
    }
}
