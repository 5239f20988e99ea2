// SPDX-License-Identifier: Apache-2.0
//! A soak: questions without a pause, and the memory, open files and database of every node.
//!
//! Several lanes ask at the same time, each the next question as soon as one ends. At every interval
//! each node gives a [`Sample`], which goes to a CSV file at once, so that a soak that fails keeps
//! its figures. [`Report`] says by one rule whether memory is flat, and [`drawing::memory`] draws it.

pub mod drawing;
mod report;
pub mod trend;

use std::{
    cell::Cell,
    convert::Infallible,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use futures::future::try_join_all;
use starling_client::{
    answers::Answers,
    follow::{self, Watch},
    signer,
    transaction::Request,
    Chain, Keypair,
};
use starling_primitives::{
    round::{BlockNumber, Phase},
    Balance,
};
use tokio::time::{interval, timeout, MissedTickBehavior};

use crate::process::{descriptors, size, Memory};

pub use report::{Report, FLAT, SHORTEST};

/// The accounts that ask, in turn.
const REQUESTERS: [&str; 2] = ["eve", "ferdie"];
/// Far longer than any round takes. A question without an end by then counts as lost.
const PATIENCE: Duration = Duration::from_secs(600);

/// A soak.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The minutes that it lasts.
    pub duration: Duration,
    /// The time between two samples of a node.
    pub every: Duration,
    /// Number of questions that are open at the same time.
    pub at_once: usize,
    /// Maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// Fee of each round.
    pub fee: Balance,
}

/// A node to watch.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// The folder of its database.
    pub folder: PathBuf,
}

/// The questions so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rounds with a winner.
    pub won: u32,
    /// Rounds without a winner.
    pub failed: u32,
    /// Questions whose end the requester did not see.
    pub lost: u32,
}

/// The state of a node at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Seconds since the beginning.
    pub seconds: f64,
    /// The node.
    pub node: String,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Bytes of the database.
    pub database: u64,
    /// The last final block.
    pub block: BlockNumber,
    /// The questions so far.
    pub counts: Counts,
}

impl Sample {
    /// The names of the columns.
    pub const HEADER: &str = "seconds,node,resident_bytes,descriptors,database_bytes,final_block,\
                              rounds_won,rounds_failed,questions_lost";

    /// The values, in the order of [`Self::HEADER`].
    pub fn row(&self) -> String {
        let Counts { won, failed, lost } = self.counts;
        format!(
            "{:.1},{},{},{},{},{},{won},{failed},{lost}",
            self.seconds, self.node, self.resident, self.descriptors, self.database, self.block,
        )
    }
}

/// Asks the chain of the node at `url` without a pause, and takes samples of `nodes`. Writes them to
/// `csv`, and puts them into `samples`, which has what was taken when this fails.
pub async fn run(
    url: &str,
    nodes: &[Node],
    plan: &Plan,
    csv: &mut impl Write,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    ensure!(
        plan.at_once > 0,
        "a soak asks at least one question at once"
    );
    let requesters = REQUESTERS
        .into_iter()
        .map(signer::development)
        .collect::<starling_client::Result<Vec<_>>>()?;
    let counts = Cell::new(Counts::default());
    let lanes = requesters.iter().cycle().take(plan.at_once).enumerate();
    let lanes = lanes.map(|(lane, requester)| keep_asking(url, lane, requester, plan, &counts));
    let asking = try_join_all(lanes);
    tokio::select! {
        done = watch(url, nodes, plan, &counts, csv, samples) => done,
        stopped = asking => stopped.map(drop),
    }
}

/// Asks the next question as soon as one ends. Ends itself only when the node cannot be reached.
async fn keep_asking(
    url: &str,
    lane: usize,
    requester: &Keypair,
    plan: &Plan,
    counts: &Cell<Counts>,
) -> Result<Infallible> {
    let mut number = 0u64;
    loop {
        let chain = Chain::connect(url, false).await?;
        loop {
            let prompt = format!("What is a starling? Question {number} of lane {lane}.");
            let asked = timeout(PATIENCE, ask(&chain, requester, prompt, plan)).await;
            number = number.saturating_add(1);
            let mut now = counts.get();
            match asked {
                Ok(Ok(Phase::Done)) => now.won = now.won.saturating_add(1),
                Ok(Ok(phase)) => {
                    eprintln!("lane {lane}: a round without a winner: {phase:?}");
                    now.failed = now.failed.saturating_add(1);
                },
                // A node that is short of time ends subscriptions: its chain goes on.
                Ok(Err(error)) => {
                    eprintln!("lane {lane}: {error:#}");
                    now.lost = now.lost.saturating_add(1);
                },
                Err(_) => {
                    eprintln!("lane {lane}: no end of a round in {} s", PATIENCE.as_secs());
                    now.lost = now.lost.saturating_add(1);
                },
            }
            let is_lost = now.lost > counts.get().lost;
            counts.set(now);
            if is_lost {
                break;
            }
        }
    }
}

/// Needs the end of a round alone.
struct Quiet;

impl Watch for Quiet {}

/// Asks, and waits until the end of the round is final.
async fn ask(chain: &Chain, requester: &Keypair, prompt: String, plan: &Plan) -> Result<Phase> {
    let request = Request {
        prompt,
        fee: plan.fee,
        max_tokens: plan.max_tokens,
        min_responses: 3,
        max_responses: 8,
        answers: Answers::Free,
    };
    let view = follow::ask(chain, &request.call(), requester, &mut Quiet).await?;
    Ok(view.round.phase)
}

/// Takes samples of all nodes until the soak is over.
async fn watch(
    url: &str,
    nodes: &[Node],
    plan: &Plan,
    counts: &Cell<Counts>,
    csv: &mut impl Write,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    writeln!(csv, "{}", Sample::HEADER)?;
    let started = Instant::now();
    let mut chain = Chain::connect(url, false).await?;
    let mut ticks = interval(plan.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let elapsed = started.elapsed();
        let block = match chain.finalized().await {
            Ok(at) => at.number(),
            Err(_) => {
                chain = Chain::connect(url, false).await?;
                chain.finalized().await?.number()
            },
        };
        for node in nodes {
            let of = || format!("the node of {}", node.name);
            let sample = Sample {
                seconds: elapsed.as_secs_f64(),
                node: node.name.clone(),
                resident: Memory::Resident.of(node.pid).with_context(of)?,
                descriptors: descriptors(node.pid).with_context(of)?,
                database: size(&node.folder),
                block,
                counts: counts.get(),
            };
            writeln!(csv, "{}", sample.row())?;
            samples.push(sample);
        }
        csv.flush()?;
        if elapsed >= plan.duration {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_value_for_each_column() {
        let sample = Sample {
            seconds: 12.34,
            node: "alice".into(),
            resident: 1,
            descriptors: 2,
            database: 3,
            block: 4,
            counts: Counts {
                won: 5,
                failed: 6,
                lost: 7,
            },
        };
        assert_eq!(sample.row(), "12.3,alice,1,2,3,4,5,6,7");
        let columns = |line: &str| line.split(',').count();
        assert_eq!(columns(Sample::HEADER), columns(&sample.row()));
    }
}
