// SPDX-License-Identifier: Apache-2.0
//! The ends of phases, in order.

use frame_support::traits::Defensive;

use crate::{Agenda, BlockNumber, CaseId, Config, Pallet};

impl<T: Config> Pallet<T> {
    /// Lets the phase of a case end in block `due`, and no other one. There is room: accusations are
    /// refused where there is none.
    pub(crate) fn schedule(id: CaseId, due: BlockNumber) {
        Agenda::<T>::mutate(|agenda| {
            agenda.retain(|(_, other)| *other != id);
            let place = agenda.partition_point(|entry| *entry <= (due, id));
            let _ = agenda.try_insert(place, (due, id)).defensive();
        });
    }

    /// Takes the next case off the agenda whose phase ends in block `now` or before.
    pub(crate) fn take_due(now: BlockNumber) -> Option<CaseId> {
        let next = Agenda::<T>::get().first().copied();
        let (_, id) = next.filter(|(due, _)| *due <= now)?;
        Agenda::<T>::mutate(|agenda| agenda.retain(|(_, other)| *other != id));
        Some(id)
    }
}
