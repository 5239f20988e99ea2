// SPDX-License-Identifier: Apache-2.0
//! The rules of who sits among the validators.
//!
//! A validator is *proven* once it has authored a block and voted on finality in completed sessions
//! of its seat. The rules bound the number of seats whose owners might run no node, or one that
//! does not vote, whatever money buys: finality goes on without them.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_staking::SessionIndex;

/// Number of times that all validators must have had a slot before one that used none is silent,
/// and before one whose vote came into none is mute. A slot is missed by chance; this many hardly
/// are.
pub const SILENT_TURNS: u32 = 3;

/// Number of sessions for which a silent validator has no seat. Without it, bonds without nodes
/// would take the same seats again at once, and nobody else would ever get them.
pub const SILENCE_BAR: SessionIndex = 10;

/// Number of `validators` that may fail or lie while GRANDPA stays safe and goes on.
pub fn tolerated(validators: u32) -> u32 {
    validators.saturating_sub(1) / 3
}

/// Maximum number of `validators` that leave at once: a third, but one at least.
pub fn leaving(validators: u32) -> u32 {
    (validators / 3).max(1)
}

/// A seat in the latest planned set of validators.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Seat<AccountId> {
    /// The validator.
    pub who: AccountId,
    /// The first session of this seat.
    pub since: SessionIndex,
    /// Whether it has authored a block in a completed session of this seat.
    pub authored: bool,
    /// Whether a block of a completed session of this seat has brought a vote of it.
    pub voted: bool,
    /// Number of blocks in the completed sessions of this seat since the last one in which it
    /// authored.
    pub idle: u32,
    /// Number of blocks in the completed sessions of this seat that brought votes, since the last
    /// one that brought its own.
    pub mute: u32,
}

/// A session that has ended, as far as it concerns one of its validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Whether the validator authored.
    pub authored: bool,
    /// Whether a block brought a vote of it. `None` if the session's blocks brought no votes at
    /// all, as when finality stands still: then nobody is judged by them.
    pub voted: Option<bool>,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of validators.
    pub validators: u32,
}

impl<AccountId> Seat<AccountId> {
    /// A seat of a validator that has shown nothing yet.
    pub fn new(who: AccountId, since: SessionIndex) -> Self {
        Self {
            who,
            since,
            authored: false,
            voted: false,
            idle: 0,
            mute: 0,
        }
    }

    /// A seat whose owner is trusted to run a node: in the genesis, or in the first release.
    pub fn founding(who: AccountId) -> Self {
        Self {
            authored: true,
            voted: true,
            ..Self::new(who, 0)
        }
    }

    /// Whether its owner has shown that it runs a node that authors and votes.
    pub fn proven(&self) -> bool {
        self.authored && self.voted
    }

    /// Takes note of a session of this seat. Returns whether the validator has been silent or mute
    /// for too long.
    ///
    /// Blocks are counted and not slots: while the chain stands still, nobody falls silent. Each
    /// block has a slot of its own, so in as many blocks as there are validators everyone had one.
    pub fn completed(&mut self, session: Served) -> bool {
        let Served {
            authored,
            voted,
            blocks,
            validators,
        } = session;
        self.authored |= authored;
        self.voted |= voted == Some(true);
        self.idle = if authored {
            0
        } else {
            self.idle.saturating_add(blocks)
        };
        self.mute = match voted {
            Some(true) => 0,
            Some(false) => self.mute.saturating_add(blocks),
            None => self.mute,
        };
        self.unheard() >= validators.saturating_mul(SILENT_TURNS)
    }

    /// Number of blocks without a sign of life: the worse of both kinds.
    pub fn unheard(&self) -> u32 {
        self.idle.max(self.mute)
    }
}

/// Inputs of a choice of validators.
#[derive(Clone, Debug)]
pub struct Election {
    /// Number of validators in the set before.
    pub sitting: usize,
    /// Number of proven ones that could stay.
    pub proven: usize,
    /// Number of those that want to, and may.
    pub willing: usize,
    /// Number of unproven candidates with bonds high enough for a seat.
    pub unproven: usize,
    /// Number of those that have a seat already. They come first.
    pub seated: usize,
    /// Number of seats.
    pub max: usize,
    /// Number of validators below which nobody leaves.
    pub min: usize,
}

/// The next set: the first ones of the proven and the first ones of the unproven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Number of proven validators.
    pub proven: usize,
    /// Number of unproven ones.
    pub unproven: usize,
}

impl Election {
    /// The set with the fewest proven validators kept against their bonds or their will, such that
    ///
    /// - unproven ones are never more than [`tolerated`] of the set, without exception,
    /// - no more than [`leaving`] of the set before leave, as far as there are proven ones to keep,
    /// - the set does not fall below `min`, as far as there are proven ones to keep,
    /// - no seat stays empty while a willing proven validator wants it.
    pub fn choose(&self) -> Choice {
        let by_bonds = self.max.saturating_sub(self.unproven).min(self.willing);
        let most = self.proven.min(self.max);
        (by_bonds..most)
            .map(|proven| self.with(proven))
            .find(|choice| self.is_fair(*choice))
            .unwrap_or_else(|| self.with(most))
    }

    /// The choice with this many proven validators, and as many unproven ones as they can bear.
    fn with(&self, proven: usize) -> Choice {
        // u ≤ ⌊(p + u − 1) / 3⌋ exactly if u ≤ ⌊(p − 1) / 2⌋.
        let bearable = proven.saturating_sub(1) / 2;
        let room = self.max.saturating_sub(proven);
        Choice {
            proven,
            unproven: self.unproven.min(bearable).min(room),
        }
    }

    fn is_fair(&self, choice: Choice) -> bool {
        let size = choice.proven.saturating_add(choice.unproven);
        let staying = choice
            .proven
            .saturating_add(self.seated.min(choice.unproven));
        let left = self.sitting.saturating_sub(staying);
        let sitting = u32::try_from(self.sitting).unwrap_or(u32::MAX);
        let may_leave = usize::try_from(leaving(sitting)).unwrap_or(usize::MAX);
        (choice.proven >= self.willing || size >= self.max) && left <= may_leave && size >= self.min
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn election() -> impl Strategy<Value = Election> {
        let sets = (0..80usize, 0..80usize, 0..80usize);
        let limits = (1..70usize, 1..70usize);
        (sets, 0..80usize, 0..80usize, limits).prop_map(
            |((a, b, c), unproven, seated, (max, min))| {
                // A set before that kept the rules: proven ones, and unproven ones that they bear.
                let proven = a.min(max);
                let bearable = (proven.saturating_sub(1) / 2).min(max - proven);
                let before = b.min(bearable);
                Election {
                    sitting: proven + before,
                    proven,
                    willing: c.min(proven),
                    unproven,
                    seated: seated.min(before).min(unproven),
                    max,
                    min,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn unproven_seats_never_stop_finality(election in election()) {
            let Choice { proven, unproven } = election.choose();
            let size = (proven + unproven) as u32;
            prop_assert!(unproven as u32 <= tolerated(size), "{election:?}");
            prop_assert!(size as usize <= election.max);
            prop_assert!(proven <= election.proven && unproven <= election.unproven);
        }

        #[test]
        fn a_third_leaves_at_once_at_most(election in election()) {
            let Choice { proven, unproven } = election.choose();
            let staying = proven + unproven.min(election.seated);
            let left = (election.sitting - staying) as u32;
            prop_assert!(left <= leaving(election.sitting as u32), "{election:?}");
        }

        #[test]
        fn nobody_leaves_a_set_that_would_become_too_small(election in election()) {
            let Choice { proven, unproven } = election.choose();
            prop_assert!(
                proven + unproven >= election.min || proven == election.proven.min(election.max),
                "{election:?}"
            );
        }

        #[test]
        fn no_seat_is_empty_while_a_willing_proven_validator_waits(election in election()) {
            let Choice { proven, unproven } = election.choose();
            prop_assert!(
                proven + unproven >= election.max || proven >= election.willing,
                "{election:?}"
            );
        }
    }

    #[test]
    fn four_proven_validators_bear_one_newcomer_and_five_bear_two() {
        let set = |proven: usize| {
            Election {
                sitting: proven,
                proven,
                willing: proven,
                unproven: 9,
                seated: 0,
                max: 64,
                min: 4,
            }
            .choose()
            .unproven
        };
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(set), [0, 0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn a_newcomer_takes_the_seat_of_the_lowest_bond_in_a_full_set() {
        let full = Election {
            sitting: 4,
            proven: 4,
            willing: 4,
            unproven: 1,
            seated: 0,
            max: 4,
            min: 4,
        };
        let expected = Choice {
            proven: 3,
            unproven: 1,
        };
        assert_eq!(full.choose(), expected);
    }

    fn served(authored: bool, voted: Option<bool>, blocks: u32, validators: u32) -> Served {
        Served {
            authored,
            voted,
            blocks,
            validators,
        }
    }

    #[test]
    fn a_validator_that_authors_nothing_falls_silent_after_three_turns() {
        let silent = served(false, Some(true), 60, 64);
        let mut seat = Seat::new((), 1);
        assert!(!seat.completed(silent));
        assert!(!seat.completed(silent));
        assert!(!seat.completed(silent));
        assert!(seat.completed(silent));
        assert!(!seat.proven());

        assert!(!seat.completed(served(true, Some(true), 60, 64)));
        assert!(seat.proven());
        assert!(!seat.completed(silent));
        assert!(seat.completed(served(false, Some(true), 60, 20)));
        assert!(seat.proven(), "once proven, a seat stays so");
    }

    #[test]
    fn a_validator_that_authors_and_never_votes_is_not_proven_and_falls_silent() {
        let mut seat = Seat::new((), 1);
        assert!(seat.completed(served(true, Some(false), 60, 20)));
        assert!(!seat.proven());

        let mut founder = Seat::founding(());
        assert!(!founder.completed(served(true, Some(false), 60, 64)));
        assert!(!founder.completed(served(true, Some(true), 60, 64)));
        assert_eq!(founder.mute, 0);
    }

    #[test]
    fn where_finality_stands_still_nobody_is_judged_by_votes() {
        let mut seat = Seat::new((), 1);
        for _ in 0..1_000 {
            assert!(!seat.completed(served(true, None, 60, 4)));
        }
        assert!(!seat.proven(), "and nobody is proven");
    }

    #[test]
    fn a_chain_that_stands_still_silences_nobody() {
        let mut seat = Seat::founding(());
        for _ in 0..1_000 {
            assert!(!seat.completed(served(false, Some(false), 0, 4)));
        }
    }
}
