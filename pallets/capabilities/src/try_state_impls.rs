// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use alloc::collections::BTreeSet;
use frame_support::ensure;
use sp_runtime::DispatchResult;
use starling_primitives::traits::Requests;

use crate::{Capabilities, Config, Examiners, Outcomes, Pallet, Questions, Traffic};

impl<T: Config> Pallet<T> {
    /// Checks the invariants between blocks. Native only.
    pub fn do_try_state() -> DispatchResult {
        let examiners = Examiners::<T>::get();
        let distinct: BTreeSet<_> = examiners.iter().collect();
        ensure!(
            distinct.len() == examiners.len(),
            "an examiner is named twice"
        );
        for (who, traffic) in Traffic::<T>::iter() {
            ensure!(distinct.contains(&who), "traffic of no examiner");
            ensure!(traffic.is_sparse(), "too many answers were revealed");
        }
        for round in Questions::<T>::iter_keys() {
            ensure!(T::Requests::is_stored(round), "a question without a round");
        }
        for round in Outcomes::<T>::iter_keys() {
            let question = Questions::<T>::get(round);
            ensure!(
                question.is_some_and(|question| question.form.is_counted()),
                "an outcome without a question"
            );
        }
        for (_, form, record) in Capabilities::<T>::iter() {
            let known = record.capability;
            ensure!(form.is_counted(), "a capability in free form");
            ensure!(record.last <= Self::now(), "an answer from the future");
            ensure!(
                known.right <= known.answers && known.ordered <= known.pairs,
                "more right answers than answers"
            );
        }
        Ok(())
    }
}
