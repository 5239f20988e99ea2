// SPDX-License-Identifier: Apache-2.0
//! The duration of rounds, phase by phase, and the slots without a block, from the chain's own
//! numbers and timestamps.

use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter},
    fs, thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{ensure, Context, Result};
use futures::{stream, StreamExt, TryStreamExt};
use starling_client::{
    answers::Answers,
    signer,
    transaction::{self, Request},
    AccountId32, At, Chain, Keypair,
};
use starling_primitives::{
    api::RoundView,
    round::{BlockNumber, Phase},
    Balance, RoundId, H256,
};

use crate::timestamp;

/// The questions, in turn.
const QUESTIONS: [&str; 5] = [
    "Why is the sky blue?",
    "What is the capital of France?",
    "How do birds find their way?",
    "Why do we dream?",
    "What makes bread rise?",
];

/// The phases of a round that has a winner.
const PHASES: [Phase; 4] = [
    Phase::Committing,
    Phase::Revealing,
    Phase::Ranking,
    Phase::Disclosing,
];

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Number of rounds.
    pub rounds: usize,
    /// Number of rounds that are open at the same time: 1, or 2 with a second requester.
    pub at_once: usize,
    /// Maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// Fee of each round.
    pub fee: Balance,
}

/// One round that is over in a final block. Times are in milliseconds since 1970.
pub struct Timed {
    /// The round at its end.
    pub view: RoundView<AccountId32>,
    /// Time of the request.
    sent: u64,
    /// The blocks at the end of which phases began, and their times; the end of the round last.
    began: Vec<(Phase, BlockNumber, u64)>,
    /// Time at which the requester saw that the end is final.
    seen: u64,
}

impl Timed {
    /// The messages that agents owed to the round and did not get in. Each active agent commits or
    /// passes, each that committed reveals, and each that revealed discloses.
    pub fn missed(&self) -> u32 {
        let (terms, counts) = (&self.view.round.terms, &self.view.round.counts);
        let revealed = counts.valid.saturating_add(counts.spoiled_responses);
        let disclosed = counts.disclosures.saturating_add(counts.spoiled_scores);
        let mut missed = terms.active.saturating_sub(counts.heard);
        if self.began.len() > 2 {
            missed = missed.saturating_add(counts.commits.saturating_sub(revealed));
        }
        if self.began.len() > 3 {
            missed = missed.saturating_add(counts.valid.saturating_sub(disclosed));
        }
        missed
    }

    fn at(&self, phase: Phase) -> Option<(BlockNumber, u64)> {
        let mut began = self.began.iter();
        let found = began.find(|(other, ..)| *other == phase);
        found.map(|(_, block, time)| (*block, *time))
    }

    fn end(&self) -> Option<(BlockNumber, u64)> {
        let (phase, block, time) = self.began.last()?;
        phase.is_final().then_some((*block, *time))
    }

    /// Blocks and milliseconds from the beginning of a phase to that of the next one.
    fn phase(&self, phase: Phase) -> Option<(BlockNumber, u64)> {
        let index = self.began.iter().position(|(other, ..)| *other == phase)?;
        let (_, block, time) = self.began.get(index)?;
        let (_, next_block, next_time) = self.began.get(index + 1)?;
        Some((
            next_block.saturating_sub(*block),
            next_time.saturating_sub(*time),
        ))
    }
}

/// The rounds of a measurement.
pub struct Measured {
    /// The plan.
    pub plan: Plan,
    /// The rounds, in the order in which they ended.
    pub rounds: Vec<Timed>,
    blocks: u64,
    slots: u64,
    load: [String; 2],
}

impl Measured {
    /// The messages that honest agents owed and did not get in.
    pub fn missed(&self) -> u32 {
        self.rounds.iter().map(Timed::missed).sum()
    }
}

/// Asks and waits, as `plan` says, on the chain of the node at `url`.
pub async fn measure(url: &str, plan: Plan) -> Result<Measured> {
    let requesters = [signer::development("eve")?, signer::development("ferdie")?];
    ensure!(
        (1..=requesters.len()).contains(&plan.at_once),
        "one or two rounds at once"
    );
    let chain = Chain::connect(url, false).await?;
    let load = load();
    let first = chain.finalized().await?;
    let lanes = requesters.iter().take(plan.at_once).enumerate();
    let lanes = lanes.map(|(lane, requester)| {
        let chain = &chain;
        let numbers = (lane..plan.rounds).step_by(plan.at_once);
        stream::iter(numbers).then(move |number| async move {
            let question = QUESTIONS.iter().cycle().nth(number).unwrap_or(&"Why?");
            time(chain, requester, question, &plan).await
        })
    });
    let rounds = stream::select_all(lanes.map(Box::pin))
        .try_collect()
        .await?;
    let last = chain.finalized().await?;
    Ok(Measured {
        plan,
        rounds,
        blocks: last.number().saturating_sub(first.number()).into(),
        slots: slot(&last).await?.saturating_sub(slot(&first).await?),
        load: [load, self::load()],
    })
}

/// Asks, and follows the round until its end is final.
async fn time(chain: &Chain, requester: &Keypair, question: &str, plan: &Plan) -> Result<Timed> {
    let mut blocks = chain.finalized_blocks().await?;
    let request = Request {
        prompt: question.into(),
        fee: plan.fee,
        max_tokens: plan.max_tokens,
        min_responses: 3,
        max_responses: 8,
        answers: Answers::Free,
    };
    let sent = now();
    let success = transaction::send(chain, &request.call(), requester).await?;
    let id = success.round.context("the request opened no round")?;
    loop {
        let block = blocks
            .next()
            .await
            .context("the node closed the connection")??;
        let at = chain.at(H256(block.hash().0)).await?;
        let view = at.round(id).await?;
        if let Some(view) = view.filter(|view| view.round.phase.is_final()) {
            let seen = now();
            return Ok(Timed {
                sent,
                began: history(chain, id, &view, at.number()).await?,
                seen,
                view,
            });
        }
    }
}

/// The beginning of each phase of a round, from the state after each block.
async fn history(
    chain: &Chain,
    id: RoundId,
    view: &RoundView<AccountId32>,
    last: BlockNumber,
) -> Result<Vec<(Phase, BlockNumber, u64)>> {
    let mut began = BTreeMap::new();
    for number in view.round.requested_at..=last {
        let at = chain.at_number(number).await?;
        let Some(view) = at.round(id).await? else {
            continue;
        };
        let phase = view.round.phase;
        if let std::collections::btree_map::Entry::Vacant(entry) = began.entry(phase) {
            entry.insert((at.number(), timestamp(&at).await?));
        }
    }
    let began = began.into_iter();
    Ok(began
        .map(|(phase, (block, time))| (phase, block, time))
        .collect())
}

async fn slot(at: &At) -> Result<u64> {
    let slot = at.value("Aura", "CurrentSlot").await?;
    slot.context("the chain has no slots")
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").into()
}

/// The quantile of the values at this share, by nearest rank.
pub(crate) fn quantile(values: &mut [u64], share: f64) -> Option<u64> {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { plan, rounds, .. } = self;
        let cores = thread::available_parallelism().map_or(0, usize::from);
        writeln!(
            f,
            "{} rounds, {} at a time, answers of up to {} tokens; {cores} cores, load average {} \
             before and {} after",
            rounds.len(),
            plan.at_once,
            plan.max_tokens,
            self.load[0],
            self.load[1],
        )?;
        writeln!(f, "{:36}{:>9}{:>9}{:>9}", "", "median", "p95", "blocks")?;
        let row = |f: &mut Formatter<'_>, name: &str, of: &dyn Fn(&Timed) -> Option<Span>| {
            let spans: Vec<_> = rounds.iter().filter_map(of).collect();
            let mut times: Vec<_> = spans.iter().map(|span| span.1).collect();
            let mut blocks: Vec<_> = spans.iter().filter_map(|span| span.0).collect();
            let time = |time: Option<u64>| {
                time.map_or("-".into(), |time| format!("{:.1} s", time as f64 / 1e3))
            };
            let median = time(quantile(&mut times, 0.5));
            let p95 = time(quantile(&mut times, 0.95));
            let blocks = quantile(&mut blocks, 0.5);
            let blocks = blocks.map_or(String::new(), |blocks| blocks.to_string());
            writeln!(f, "{name:36}{median:>9}{p95:>9}{blocks:>9}")
        };
        row(f, "request sent, in a block", &|timed| {
            let (_, time) = timed.at(Phase::Committing)?;
            Some((None, time.saturating_sub(timed.sent)))
        })?;
        for phase in PHASES {
            row(f, &format!("{phase:?}"), &|timed| {
                let (blocks, time) = timed.phase(phase)?;
                Some((Some(blocks.into()), time))
            })?;
        }
        row(f, "end of Committing, end of the round", &|timed| {
            let (from, begin) = timed.at(Phase::Revealing)?;
            let (to, end) = timed.end()?;
            let blocks = to.saturating_sub(from);
            Some((Some(blocks.into()), end.saturating_sub(begin)))
        })?;
        row(f, "request sent, end of the round", &|timed| {
            Some((None, timed.end()?.1.saturating_sub(timed.sent)))
        })?;
        row(f, "end of the round, seen to be final", &|timed| {
            Some((None, timed.seen.saturating_sub(timed.end()?.1)))
        })?;
        row(f, "request sent, seen to be final", &|timed| {
            Some((None, timed.seen.saturating_sub(timed.sent)))
        })?;
        let missing = self.slots.saturating_sub(self.blocks);
        writeln!(
            f,
            "{} blocks in {} slots: {:.1} % of the slots without a block",
            self.blocks,
            self.slots,
            100.0 * missing as f64 / self.slots.max(1) as f64,
        )?;
        let mut ends = BTreeMap::<_, usize>::new();
        for timed in rounds {
            let end = match timed.view.round.phase {
                Phase::Failed(why) => format!("without a winner ({why:?})"),
                _ => "with a winner".into(),
            };
            *ends.entry(end).or_default() += 1;
        }
        for (end, count) in ends {
            write!(f, "{count} rounds {end}, ")?;
        }
        writeln!(f, "{} messages of agents missing", self.missed())
    }
}

/// Blocks, where they are known, and milliseconds.
type Span = (Option<u64>, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_by_nearest_rank() {
        let mut values: Vec<u64> = (1..=20).rev().collect();
        assert_eq!(quantile(&mut values, 0.5), Some(10));
        assert_eq!(quantile(&mut values, 0.95), Some(19));
        assert_eq!(quantile(&mut [7], 0.95), Some(7));
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
