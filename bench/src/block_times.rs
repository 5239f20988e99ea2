// SPDX-License-Identifier: Apache-2.0
//! Block time, finality lag and peak memory, from the blocks that one node sees.

use std::{
    collections::HashMap,
    fmt::{Display, Formatter},
    time::Instant,
};

use anyhow::{Context, Result};
use starling_client::Chain;
use starling_primitives::H256;

use crate::{process::Memory, timestamp};

/// A finalised block, as the node saw it.
struct Finalized {
    hash: H256,
    /// Milliseconds from its import to its finality.
    lag: u64,
    /// Blocks from it to the best one when it was finalised.
    lag_blocks: u64,
}

/// The figures of a number of finalised blocks.
pub struct Measured {
    url: String,
    blocks: u32,
    times: Vec<u64>,
    lags: Vec<u64>,
    lags_in_blocks: Vec<u64>,
    memory: Vec<u64>,
}

/// Watches `count` blocks of the node at `url` until each is final, then reads the peak memory of
/// the processes.
pub async fn measure(url: &str, count: u32, processes: &[u32]) -> Result<Measured> {
    let chain = Chain::connect(url, true).await?;
    let blocks = observe(&chain, count).await?;
    let mut stamps = vec![];
    for block in &blocks {
        stamps.push(timestamp(&chain.at(block.hash).await?).await?);
    }
    // The first block is where the first interval begins.
    let counted = || blocks.iter().skip(1);
    Ok(Measured {
        url: url.into(),
        blocks: count,
        times: intervals(&stamps),
        lags: counted().map(|block| block.lag).collect(),
        lags_in_blocks: counted().map(|block| block.lag_blocks).collect(),
        memory: processes
            .iter()
            .map(|pid| Memory::Peak.of(*pid))
            .collect::<Result<_>>()?,
    })
}

/// Watches one block to start from, then `count` blocks, until each is finalised.
async fn observe(chain: &Chain, count: u32) -> Result<Vec<Finalized>> {
    const CLOSED: &str = "the node closed the connection";
    let mut imports = chain.all_blocks().await?;
    let mut finality = chain.finalized_blocks().await?;
    let mut imported = HashMap::new();
    let mut best = 0u64;
    let mut blocks = vec![];
    while blocks.len() <= count as usize {
        tokio::select! {
            block = imports.next() => {
                let block = block.context(CLOSED)??;
                best = best.max(block.number());
                // The genesis block has no time.
                if block.number() > 0 {
                    imported.insert(block.hash(), Instant::now());
                }
            },
            block = finality.next() => {
                let block = block.context(CLOSED)??;
                // The first blocks to be finalised were imported before this began.
                let Some(import) = imported.remove(&block.hash()) else { continue };
                blocks.push(Finalized {
                    hash: H256(block.hash().0),
                    lag: import.elapsed().as_millis().try_into()?,
                    lag_blocks: best.saturating_sub(block.number()),
                });
                if blocks.len() % 10 == 0 {
                    eprintln!("{} of {count} blocks", blocks.len());
                }
            },
        }
    }
    Ok(blocks)
}

fn intervals(stamps: &[u64]) -> Vec<u64> {
    let pairs = stamps.iter().zip(stamps.iter().skip(1));
    pairs.map(|(from, to)| to.saturating_sub(*from)).collect()
}

/// The median and the maximum.
fn summary(values: &[u64]) -> Option<(u64, u64)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} finalised blocks seen by {}", self.blocks, self.url)?;
        writeln!(f, "{:<24}{:>12}{:>12}", "", "median", "maximum")?;
        type Row<'a> = (&'a str, &'a [u64], fn(u64) -> String);
        let rows: [Row; 4] = [
            ("block time", &self.times, |time| format!("{time} ms")),
            ("finality lag", &self.lags, |lag| format!("{lag} ms")),
            ("finality lag, in blocks", &self.lags_in_blocks, |lag| {
                lag.to_string()
            }),
            ("peak memory of a node", &self.memory, |bytes| {
                format!("{} MiB", bytes >> 20)
            }),
        ];
        for (name, values, show) in rows {
            if let Some((median, maximum)) = summary(values) {
                writeln!(f, "{name:<24}{:>12}{:>12}", show(median), show(maximum))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_times_lie_between_the_stamps_of_neighbours() {
        assert_eq!(intervals(&[1_000, 2_000, 3_005]), [1_000, 1_005]);
        assert!(intervals(&[1_000]).is_empty());
    }

    #[test]
    fn a_summary_has_the_median_and_the_maximum() {
        assert_eq!(summary(&[3, 1, 2]), Some((2, 3)));
        assert_eq!(summary(&[]), None);
    }
}
