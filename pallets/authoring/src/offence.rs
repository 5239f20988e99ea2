// SPDX-License-Identifier: Apache-2.0
//! The offence, as `sp-staking` names offences.

use alloc::{vec, vec::Vec};
use codec::{Decode, Encode};
use sp_consensus_slots::Slot;
use sp_runtime::Perbill;
use sp_staking::{
    offence::{Kind, Offence},
    SessionIndex,
};

/// When it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TimeSlot {
    // The order of these matters for `Ord`.
    /// The session of the lower block.
    pub session: SessionIndex,
    /// The slot of both.
    pub slot: Slot,
}

/// An author made two blocks in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContradictingBlocks<Offender> {
    /// When it happened.
    pub time_slot: TimeSlot,
    /// Number of validators in the session.
    pub validators: u32,
    /// The author.
    pub offender: Offender,
}

impl<Offender: Clone> Offence<Offender> for ContradictingBlocks<Offender> {
    const ID: Kind = *b"aura:equivocatio";
    type Slot = TimeSlot;

    fn offenders(&self) -> Vec<Offender> {
        vec![self.offender.clone()]
    }

    fn session_index(&self) -> SessionIndex {
        self.time_slot.session
    }

    fn validator_set_count(&self) -> u32 {
        self.validators
    }

    fn slot(&self) -> TimeSlot {
        self.time_slot
    }

    /// The SDK's fraction for contradicting votes. A handler may have a rule of its own.
    fn slash_fraction(&self, offenders: u32) -> Perbill {
        Perbill::from_rational(offenders.saturating_mul(3), self.validators.max(1)).square()
    }
}
