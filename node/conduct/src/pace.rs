// SPDX-License-Identifier: Apache-2.0
//! The pace of authoring while finality stands still.
//!
//! Each block that is not final keeps its state, so that the database would grow at full speed. The
//! SDK's strategy waits a number of slots after each block: where that number is a multiple of the
//! validators', one of them authors all blocks and the others look silent. Here all of them work and
//! rest together.

use sc_consensus_slots::BackoffAuthoringBlocksStrategy;
use sp_consensus_slots::Slot;

/// Blocks without finality after which the authors rest, or rest longer: an hour at full speed.
const PATIENCE: u32 = 3_600;

/// Slots in a row with the same answer. A set has fewer validators, so that each has its slots.
const SPELL: u64 = 128;

/// The least part of the spells in which the authors work: one of so many.
const LEAST: u64 = 8;

/// Has the authors rest more and more while finality stands still.
#[derive(Clone, Copy, Debug)]
pub struct Pace;

impl BackoffAuthoringBlocksStrategy<u32> for Pace {
    fn should_backoff(
        &self,
        chain_head_number: u32,
        _chain_head_slot: Slot,
        finalized_number: u32,
        slot_now: Slot,
        _logging_target: &str,
    ) -> bool {
        rests(
            *slot_now,
            chain_head_number.saturating_sub(finalized_number),
        )
    }
}

/// Whether the authors rest in a slot, over so many blocks that are not final.
fn rests(slot: u64, unfinal: u32) -> bool {
    let spells = u64::from(unfinal / PATIENCE).saturating_add(1).min(LEAST);
    !(slot / SPELL).is_multiple_of(spells)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots after which everything repeats, whatever the number of spells.
    const PERIOD: u64 = SPELL * 840;

    #[test]
    fn with_finality_nobody_rests() {
        let (pace, head) = (Pace, Slot::from(0));
        for slot in 0..PERIOD {
            assert!(!pace.should_backoff(9_000, head, 8_990, slot.into(), ""));
            // The node's best block may be behind the final one for a moment.
            assert!(!pace.should_backoff(8_990, head, 9_000, slot.into(), ""));
            assert!(!rests(slot, PATIENCE - 1), "{slot}");
        }
    }

    #[test]
    fn without_finality_there_are_fewer_blocks_and_at_least_an_eighth() {
        for (hours, part) in [(1, 2), (2, 3), (6, 7), (7, 8), (1_000, 8)] {
            let working = (0..PERIOD).filter(|slot| !rests(*slot, hours * PATIENCE));
            assert_eq!(working.count() as u64, PERIOD / part, "{hours}");
        }
    }

    #[test]
    fn every_validator_of_a_full_set_authors_as_often_as_the_others() {
        const SEATS: u64 = 64;
        for hours in 1..9 {
            let mut authored = [0; SEATS as usize];
            for slot in (0..PERIOD).filter(|slot| !rests(*slot, hours * PATIENCE)) {
                authored[(slot % SEATS) as usize] += 1;
            }
            assert!(authored[0] > 0);
            assert_eq!(authored, [authored[0]; SEATS as usize], "{hours}");
        }
    }
}
