// SPDX-License-Identifier: Apache-2.0
//! The number of blocks that each phase of a round takes. The chain forgets when a phase began as soon as the
//! next one begins, so the gateway watches.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde_json::{json, Value};
use starling_client::{
    events::{BlockEvents, Event},
    follow::BestChain,
    report::phase_name,
    At, Chain, Error,
};
use starling_primitives::{
    round::{BlockNumber, Phase},
    RoundId,
};
use tokio::time::sleep;

use crate::gateway::Gateway;

/// The number of answered rounds that count, the newest.
const KEPT: usize = 100;

/// The time between two tries to follow the chain.
const AGAIN: Duration = Duration::from_secs(5);

/// The phases of an answered round.
const PHASES: [Phase; 4] = [
    Phase::Committing,
    Phase::Revealing,
    Phase::Ranking,
    Phase::Disclosing,
];

/// The lengths of the phases of the last answered rounds, in blocks.
#[derive(Debug, Default)]
pub struct Pace {
    /// The open rounds, with the first block of each phase that was seen.
    open: BTreeMap<RoundId, Vec<(Phase, BlockNumber)>>,
    /// The lengths of the phases, by phase.
    over: VecDeque<Vec<BlockNumber>>,
}

impl Pace {
    /// Notes that a round is in `phase` since a block.
    pub fn note(&mut self, round: RoundId, phase: Phase, since: BlockNumber) {
        match phase {
            Phase::Done => {
                let begun = self.open.remove(&round).unwrap_or_default();
                if let Some(lengths) = lengths(&begun, since) {
                    self.over.push_back(lengths);
                }
                if self.over.len() > KEPT {
                    self.over.pop_front();
                }
            },
            Phase::Failed(_) => {
                self.open.remove(&round);
            },
            _ => {
                let begun = self.open.entry(round).or_default();
                // A fork may have begun it in another block.
                begun.retain(|(known, _)| *known != phase);
                begun.push((phase, since));
            },
        }
    }

    /// Notes an event of a round in a block.
    pub fn hear(&mut self, round: RoundId, event: &Event, block: BlockNumber) {
        match event {
            Event::Requested { .. } => self.note(round, Phase::Committing, block),
            Event::PhaseBegan { phase, .. } | Event::Settled { phase, .. } => {
                self.note(round, *phase, block);
            },
            Event::Purged => self.forget(round),
            _ => {},
        }
    }

    /// Forgets a round that the chain no longer has.
    pub fn forget(&mut self, round: RoundId) {
        self.open.remove(&round);
    }

    /// The rounds whose end was not seen.
    pub fn open(&self) -> impl Iterator<Item = RoundId> + '_ {
        self.open.keys().copied()
    }

    /// The number of blocks within which half and 95 % of the rounds left each phase.
    pub fn report(&self) -> Value {
        let phases = PHASES.iter().enumerate().map(|(place, phase)| {
            let of_phase = self.over.iter().filter_map(|lengths| lengths.get(place));
            let mut sorted: Vec<_> = of_phase.copied().collect();
            sorted.sort_unstable();
            json!({
                "phase": phase_name(*phase),
                "half": within(&sorted, 50),
                "most": within(&sorted, 95),
            })
        });
        json!({ "rounds": self.over.len(), "phases": phases.collect::<Vec<_>>() })
    }
}

/// The lengths of all phases, if the beginning of each is known.
fn lengths(begun: &[(Phase, BlockNumber)], end: BlockNumber) -> Option<Vec<BlockNumber>> {
    let first = |phase: &Phase| {
        let known = begun.iter().find(|(known, _)| known == phase);
        known.map(|(_, block)| *block)
    };
    let begins = PHASES.iter().map(first).collect::<Option<Vec<_>>>()?;
    let ends = begins.iter().skip(1).copied().chain([end]);
    let lengths = begins.iter().zip(ends);
    Some(
        lengths
            .map(|(begin, end)| end.saturating_sub(*begin))
            .collect(),
    )
}

/// The least of the numbers that so many per cent of them do not exceed.
fn within(sorted: &[BlockNumber], percent: usize) -> Option<BlockNumber> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Gateway {
    /// Hears of the rounds in each best block, for ever.
    pub async fn watch_pace(&self) {
        loop {
            if let Ok(chain) = self.desk.node.chain().await {
                // A lost connection is made again.
                let _ = self.watch_over(&chain).await;
            }
            sleep(AGAIN).await;
        }
    }

    async fn watch_over(&self, chain: &Chain) -> Result<(), Error> {
        let mut blocks = BestChain::new(chain).await?;
        self.catch_up(&chain.best().await?).await?;
        loop {
            for at in blocks.next(chain).await? {
                let block = BlockEvents::read(&at).await?;
                let mut pace = self.pace();
                for (round, event) in &block.events {
                    pace.hear(*round, event, block.number);
                }
            }
        }
    }

    /// Reads the open rounds, and those whose end may have come while nobody watched.
    async fn catch_up(&self, at: &At) -> Result<(), Error> {
        let open = at.open_rounds().await?;
        let seen: Vec<_> = self.pace().open().collect();
        let all: BTreeSet<RoundId> = open.into_iter().chain(seen).collect();
        for id in all {
            let view = at.round(id).await?;
            let mut pace = self.pace();
            match view {
                Some(view) => pace.note(id, view.round.phase, view.round.since),
                None => pace.forget(id),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::round::Failure;

    fn play(pace: &mut Pace, round: RoundId, begins: [BlockNumber; 4], end: BlockNumber) {
        for (phase, since) in PHASES.into_iter().zip(begins) {
            // A phase is seen at each of its blocks.
            pace.note(round, phase, since);
            pace.note(round, phase, since);
        }
        pace.note(round, Phase::Done, end);
    }

    fn halves(pace: &Pace) -> Vec<Value> {
        let report = pace.report();
        let phases = report["phases"].as_array().unwrap();
        phases.iter().map(|phase| phase["half"].clone()).collect()
    }

    #[test]
    fn phases_last_from_their_first_block_to_that_of_the_next() {
        let mut pace = Pace::default();
        assert_eq!(
            halves(&pace),
            [Value::Null, Value::Null, Value::Null, Value::Null]
        );
        play(&mut pace, 7, [10, 13, 14, 19], 21);
        assert_eq!(halves(&pace), [3, 1, 5, 2]);
        // It is told once more at the next block, and counts once.
        pace.note(7, Phase::Done, 21);
        let report = pace.report();
        assert_eq!(report["rounds"], 1);
        assert_eq!(report["phases"][2]["phase"], "ranking");
        assert_eq!(pace.open().count(), 0);
    }

    #[test]
    fn events_tell_the_phases() {
        let mut pace = Pace::default();
        let requester = starling_client::AccountId32::new([1; 32]);
        pace.hear(7, &Event::Requested { requester }, 10);
        pace.hear(7, &Event::Rated, 11);
        for (phase, block) in PHASES.into_iter().zip([10, 12, 13, 17]).skip(1) {
            let deadline = 99;
            pace.hear(7, &Event::PhaseBegan { phase, deadline }, block);
        }
        let settled = Event::Settled {
            phase: Phase::Done,
            winner: None,
            settlement: Default::default(),
        };
        pace.hear(7, &settled, 18);
        assert_eq!(halves(&pace), [2, 1, 4, 1]);
        pace.note(8, Phase::Committing, 20);
        pace.hear(8, &Event::Purged, 21);
        assert_eq!(pace.open().count(), 0);
    }

    #[test]
    fn rounds_that_failed_or_were_seen_in_part_do_not_count() {
        let mut pace = Pace::default();
        pace.note(1, Phase::Ranking, 5);
        pace.note(1, Phase::Done, 9);
        pace.note(2, Phase::Committing, 5);
        pace.note(2, Phase::Failed(Failure::NoRankings), 9);
        pace.note(3, Phase::Committing, 5);
        pace.forget(3);
        assert_eq!(
            (pace.report()["rounds"].clone(), pace.open().count()),
            (json!(0), 0)
        );
    }

    #[test]
    fn the_newest_rounds_count() {
        let mut pace = Pace::default();
        for round in 0..150u32 {
            play(&mut pace, round.into(), [0, round, round, round], round);
        }
        let report = pace.report();
        assert_eq!(report["rounds"], KEPT);
        // Of 50 to 149.
        let [half, most] = ["half", "most"].map(|field| report["phases"][0][field].clone());
        assert_eq!((half, most), (json!(99), json!(144)));
    }
}
