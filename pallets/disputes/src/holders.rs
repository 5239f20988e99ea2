// SPDX-License-Identifier: Apache-2.0
//! The agents that hold models for disputes, and the draw of a committee from them.

use alloc::vec::Vec;
use frame_support::{ensure, pallet_prelude::DispatchResult, traits::Get, BoundedVec};
use starling_evidence::ModelId;
use starling_primitives::{draw::executor_draw, traits::AgentRegistry, H256};

use crate::{
    BlockNumber, CaseOf, Config, Error, Event, Held, HolderCount, Holders, Holding, InForce,
    MembersOf, Models, Pallet,
};

impl<T: Config> Pallet<T> {
    /// Checks what an agent says of its models. Returns them, and what it said before.
    pub(crate) fn check_hold(
        agent: &T::AccountId,
        models: &[ModelId],
        at: BlockNumber,
    ) -> Result<(Models, Holding), Error<T>> {
        ensure!(models.is_sorted_by(|a, b| a < b), Error::BadModels);
        let models = Models::try_from(models.to_vec()).map_err(|_| Error::BadModels)?;
        let (now, before) = (Self::now(), Held::<T>::get(agent));
        ensure!(at <= now, Error::TooEarly);
        let longevity = T::Longevity::get();
        let is_recent = now.saturating_sub(at) < longevity;
        ensure!(at > before.at && is_recent, Error::TooLate);
        // The call is feeless, and may walk over all holders.
        let rests = before.at > 0 && at.saturating_sub(before.at) < longevity;
        ensure!(!rests, Error::TooEarly);
        // Who is no longer active may still take its word back.
        let takes_back = models.is_empty() && !before.models.is_empty();
        ensure!(takes_back || T::Agents::is_active(agent), Error::NotAnAgent);
        for model in models.iter().filter(|model| !before.models.contains(model)) {
            let has_room = HolderCount::<T>::get(model) < T::MaxHolders::get()
                || Self::idle_holder(model).is_some();
            ensure!(has_room, Error::TooManyHolders);
        }
        Ok((models, before))
    }

    pub(crate) fn do_hold(
        agent: T::AccountId,
        models: Vec<ModelId>,
        at: BlockNumber,
    ) -> DispatchResult {
        let (models, before) = Self::check_hold(&agent, &models, at)?;
        for gone in before.models.iter().filter(|old| !models.contains(old)) {
            Self::remove_holder(gone, &agent);
        }
        for new in models.iter().filter(|new| !before.models.contains(new)) {
            Self::make_place(new);
            Holders::<T>::insert(new, &agent, Self::now());
            HolderCount::<T>::mutate(new, |count| *count = count.saturating_add(1));
        }
        let holding = Holding {
            models: models.clone(),
            at,
        };
        Held::<T>::insert(&agent, holding);
        Self::deposit_event(Event::Holds { agent, models });
        Ok(())
    }

    /// A holder that is not active any more. Walks over all of them.
    fn idle_holder(model: &ModelId) -> Option<T::AccountId> {
        let mut holders = Holders::<T>::iter_key_prefix(model);
        holders.find(|who| !T::Agents::is_active(who))
    }

    /// Takes the place of an idle holder, if there is no other place.
    fn make_place(model: &ModelId) {
        if HolderCount::<T>::get(model) < T::MaxHolders::get() {
            return;
        }
        if let Some(idle) = Self::idle_holder(model) {
            Self::remove_holder(model, &idle);
            Held::<T>::mutate(&idle, |holding| {
                holding.models.retain(|held| held != model);
            });
        }
    }

    fn remove_holder(model: &ModelId, who: &T::AccountId) {
        if Holders::<T>::take(model, who).is_none() {
            return;
        }
        let left = HolderCount::<T>::get(model).saturating_sub(1);
        if left == 0 {
            HolderCount::<T>::remove(model);
        } else {
            HolderCount::<T>::insert(model, left);
        }
    }

    /// Draws the lowest `size` of the holders that are active, are no party of the case, and were in
    /// no earlier committee. Holders and bonds count as they were `holder_delay` before the case.
    /// Returns them, and the number of holders.
    pub(crate) fn draw(case: &CaseOf<T>, seed: H256, size: u32) -> (MembersOf<T>, u32) {
        let delay = InForce::<T>::get().holder_delay;
        let ripe = case.opened.saturating_sub(delay);
        let mut holders: u32 = 0;
        let model = case.evidence().first.claim.body.model;
        let mut draws: Vec<_> = Holders::<T>::iter_prefix(model)
            .inspect(|_| holders = holders.saturating_add(1))
            .filter(|(who, since)| {
                since.saturating_add(delay) <= case.opened
                    && !Self::is_barred(case, who)
                    && T::Agents::is_active(who)
            })
            .map(|(who, _)| (T::Agents::bond_at(&who, ripe), who))
            .filter(|(bond, _)| *bond > 0)
            .map(|(bond, who)| (executor_draw(seed, &who, bond), who))
            .collect();
        draws.sort_unstable();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let members = draws.into_iter().take(size).map(|(_, who)| who).collect();
        (BoundedVec::truncate_from(members), holders)
    }

    /// Whether an agent judges not in this case: it is a party, or has judged already.
    fn is_barred(case: &CaseOf<T>, who: &T::AccountId) -> bool {
        Self::is_party(case, who) || case.former.contains(who)
    }
}
