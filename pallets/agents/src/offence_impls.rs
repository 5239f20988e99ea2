// SPDX-License-Identifier: Apache-2.0
//! The punishment of validators that signed contradicting votes or blocks.

use frame_support::{pallet_prelude::*, traits::defensive_prelude::*};
use sp_runtime::{traits::Zero, Perbill};
use sp_staking::{
    offence::{OffenceDetails, OnOffenceHandler},
    SessionIndex,
};
use starling_primitives::traits::{AgentRegistry, Sessions};

use crate::{offences, Bar, Barred, Config, Event, Offender, Offenders, Pallet, WeightInfo};

/// Number of sessions for which an offender has no seat: an hour of sessions of a minute.
pub(crate) const OFFENCE_BAR: SessionIndex = 60;

impl<T: Config> OnOffenceHandler<T::AccountId, (T::AccountId, T::AccountId), Weight> for Pallet<T> {
    /// Chills the offenders and takes the part of their bonds that [`offences::part`] says for all
    /// offenders of `session`, less what was taken from each of them for this session before.
    ///
    /// `offenders` are those of one round of votes or of one slot, known ones included. The
    /// fraction is ignored: it knows that round or slot alone, and a group could spread over
    /// several.
    fn on_offence(
        offenders: &[OffenceDetails<T::AccountId, (T::AccountId, T::AccountId)>],
        _: &[Perbill],
        session: SessionIndex,
    ) -> Weight {
        let mut known = Offenders::<T>::get(session);
        for details in offenders {
            let (who, _) = &details.offender;
            if known.iter().any(|offender| &offender.who == who) {
                continue;
            }
            let offender = Offender {
                who: who.clone(),
                exposed: Self::exposed(who),
                charged: 0,
            };
            known
                .try_push(offender)
                .defensive_proof("a session has at most as many offenders as validators; qed")
                .ok();
            Self::expel(who);
        }
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
        // An offence was proven against the session's validators, so their number is known.
        let validators = T::Sessions::size(session).unwrap_or(count);
        let part = offences::part(count, validators);
        for offender in known.iter_mut() {
            Self::charge(offender, part, session);
        }
        Offenders::<T>::insert(session, known);
        Self::punishing(count)
    }
}

impl<T: Config> Pallet<T> {
    /// The weight of punishing `offenders`.
    pub fn punishing(offenders: u32) -> Weight {
        T::WeightInfo::slash()
            .saturating_add(T::WeightInfo::chill())
            .saturating_mul(offenders.into())
    }

    /// Takes a seat away for [`OFFENCE_BAR`] sessions, and keeps its owner from authoring until
    /// then.
    fn expel(who: &T::AccountId) {
        Self::chill_by_rule(who);
        // The first session that is not planned yet.
        let next = T::Sessions::current().saturating_add(2);
        Self::bar(who, next.saturating_add(OFFENCE_BAR), true);
        T::Sessions::disable(who);
    }

    /// Chills an agent that is not chilled.
    pub(crate) fn chill_by_rule(who: &T::AccountId) {
        // Who is no agent any more has nothing to chill.
        let _ = Self::mutate_agent(who, |agent| {
            if !agent.chilled {
                agent.chilled = true;
                Self::deposit_event(Event::Chilled { who: who.clone() });
            }
            Ok(())
        });
    }

    /// Gives `who` no seat before session `until`.
    pub(crate) fn bar(who: &T::AccountId, until: SessionIndex, offence: bool) {
        Barred::<T>::mutate(|barred| {
            if let Some(bar) = barred.iter_mut().find(|bar| &bar.who == who) {
                bar.until = bar.until.max(until);
                bar.offence = bar.offence || offence;
                return;
            }
            if barred.is_full() {
                // The one that ends first.
                let first = barred.iter().enumerate().min_by_key(|(_, bar)| bar.until);
                if let Some(place) = first.map(|(place, _)| place) {
                    barred.swap_remove(place);
                }
            }
            let who = who.clone();
            let _ = barred.try_push(Bar {
                who,
                until,
                offence,
            });
        });
    }

    /// Takes what an offender owes by `part` and has not been charged for this session.
    fn charge(offender: &mut Offender<T::AccountId>, part: Perbill, session: SessionIndex) {
        let due = part.mul_floor(offender.exposed);
        let amount = due.saturating_sub(offender.charged);
        if amount.is_zero() {
            return;
        }
        offender.charged = due;
        let who = offender.who.clone();
        // It fails where nothing is left to take. Parts that rounds have a claim on become a debt.
        let _ = Self::do_slash(who.clone(), amount);
        Self::deposit_event(Event::Offended {
            who,
            session,
            amount,
        });
    }

    /// Keeps the offenders among the validators of this session from authoring. Each change of
    /// validators enables all of them again.
    pub(crate) fn disable_offenders(session: SessionIndex) {
        for bar in Barred::<T>::get() {
            if bar.offence && bar.until > session {
                T::Sessions::disable(&bar.who);
            }
        }
    }

    /// Forgets the offenders of a session that has just become too old.
    pub(crate) fn forget_offences() {
        let first = T::Sessions::accountable();
        if let Some(last) = first.checked_sub(1) {
            Offenders::<T>::remove(last);
        }
        T::Sessions::prune();
    }
}
