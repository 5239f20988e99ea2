// SPDX-License-Identifier: Apache-2.0
//! The cost of a round, by its number of agents.

use std::time::Instant;

use anyhow::{ensure, Result};
use serde::Serialize;
use sp_runtime::Perbill;
use starling_primitives::sealing::BYTES_PER_TOKEN;
use starling_runtime::{parameters::Preset, Runtime};

use crate::{
    ability::Ability,
    chain::{Authoring, Block},
    output::{Output, Panel, Series},
    runner::Runner,
    swarm::{Config, Spec, Swarm},
};

/// Blocks that a round stays, instead of a day of them; the purge does not depend on it.
const RETENTION: u32 = 30;

/// Blocks in a session.
const SESSION: u32 = starling_runtime::MINUTES;

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// Numbers of agents.
    pub sizes: Vec<usize>,
    /// The length of a response.
    pub response_bytes: usize,
    /// Share of a block that an author fills.
    pub fill: f64,
    /// The seed.
    pub seed: u64,
}

/// Observations of one round.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Agents in the round.
    pub agents: usize,
    /// Number of responses that each agent ranks.
    pub rankings: u32,
    /// Blocks from the request to the last rating.
    pub blocks: usize,
    /// Computation of the heaviest block, in milliseconds.
    pub max_block_ms: f64,
    /// Its share of a block's computation limit.
    pub max_block_share: f64,
    /// Share of the heaviest hooks, which no author can leave out.
    pub max_hooks_share: f64,
    /// Computation of all blocks together, in milliseconds.
    pub total_ms: f64,
    /// The largest storage proof of a block, in bytes.
    pub max_proof_bytes: usize,
    /// The extrinsics of the round, in bytes.
    pub extrinsic_bytes: usize,
    /// Items of the round's state at its peak.
    pub peak_items: usize,
    /// Their keys and values, in bytes.
    pub peak_bytes: usize,
    /// Items left after the purge, above the number before the round.
    pub left_items: i64,
    /// Bytes left after the purge, above the number before the round.
    pub left_bytes: i64,
    /// Duration on this machine in seconds, with proofs and the reading of all state.
    pub seconds: f64,
}

/// Plays a round of each size.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let rows = runner.all(
        "scale",
        options.sizes.len() as u64,
        &options.sizes,
        |size, bar| {
            let row = measure(*size, options)?;
            bar.inc(1);
            Ok(row)
        },
    )?;
    output.table("scale", &rows)?;
    let line = |label: &str, value: &dyn Fn(&Row) -> f64| {
        let points = rows.iter().map(|row| (row.agents as f64, value(row)));
        Series::line(label, points.collect())
    };
    let panel = |title: &str, y: &str, series| Panel {
        title: title.into(),
        x: "agents".into(),
        y: y.into(),
        series,
    };
    output.plot(
        "scale",
        &[
            panel(
                "Blocks",
                "blocks a round",
                vec![line("blocks", &|row| row.blocks as f64)],
            ),
            panel(
                "Weight",
                "share of a block",
                vec![
                    line("heaviest block", &|row| row.max_block_share),
                    line("of it hooks", &|row| row.max_hooks_share),
                ],
            ),
            panel(
                "Bytes",
                "KiB",
                vec![
                    line("largest proof of a block", &|row| {
                        row.max_proof_bytes as f64 / 1024.0
                    }),
                    line("extrinsics of the round", &|row| {
                        row.extrinsic_bytes as f64 / 1024.0
                    }),
                    line("peak state", &|row| row.peak_bytes as f64 / 1024.0),
                ],
            ),
        ],
    )?;
    Ok(rows)
}

fn measure(size: usize, options: &Options) -> Result<Row> {
    let start = Instant::now();
    let mut parameters = Preset::Production.parameters();
    parameters.rounds.retention_period = RETENTION;
    let agents = vec![Spec::honest(Ability::default()); size];
    let mut swarm = Swarm::new(Config {
        response_bytes: options.response_bytes,
        // What the request allows is what a padded response takes.
        max_tokens: u32::try_from(options.response_bytes)?.div_ceil(BYTES_PER_TOKEN),
        fill: Perbill::from_float(options.fill),
        prove: true,
        ..Config::new(parameters, agents, options.seed)
    })?;
    // Values of the pallet as a whole are written for the first time in a first round: the number
    // of the next round, the queue of ended ones, the agenda, and the list of rounds in Committing.
    swarm.play()?;
    purge(&mut swarm)?;
    let before = rounds_state(&mut swarm);
    let mut peak = before;
    let played = swarm.play_observed(|chain| {
        let now = chain.read(state_of_rounds);
        peak = (peak.0.max(now.0), peak.1.max(now.1));
    })?;
    ensure!(played.done, "the round of {size} agents has no winner");
    purge(&mut swarm)?;
    let after = rounds_state(&mut swarm);
    // The session pallet claims a whole block at the end of a session, whatever it contains.
    let blocks = || {
        played
            .blocks
            .iter()
            .filter(|block| block.number % SESSION != 0)
    };
    let share = |weight: &dyn Fn(&Block) -> f64| blocks().map(weight).fold(0.0, f64::max);
    let ms = |block: &Block| block.weight.ref_time() as f64 / 1e9;
    Ok(Row {
        agents: size,
        rankings: played.rankings,
        blocks: played.blocks.len(),
        max_block_ms: share(&ms),
        max_block_share: share(&|block| Block::share(block.weight)),
        max_hooks_share: share(&|block| Block::share(block.hooks)),
        total_ms: blocks().map(ms).sum(),
        max_proof_bytes: played
            .blocks
            .iter()
            .filter_map(|block| block.proof)
            .max()
            .unwrap_or(0),
        extrinsic_bytes: played.blocks.iter().map(|block| block.bytes).sum(),
        peak_items: peak.0,
        peak_bytes: peak.1,
        left_items: after.0 as i64 - before.0 as i64,
        left_bytes: after.1 as i64 - before.1 as i64,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Waits until the last round is purged.
fn purge(swarm: &mut Swarm) -> Result<()> {
    for _ in 0..RETENTION * 10 {
        swarm
            .chain()
            .author(&mut Vec::new(), Authoring::default())?;
        if swarm.chain().read(|| {
            pallet_rounds::Rounds::<Runtime>::iter_keys()
                .next()
                .is_none()
        }) {
            return Ok(());
        }
    }
    anyhow::bail!("a round is not purged")
}

fn rounds_state(swarm: &mut Swarm) -> (usize, usize) {
    swarm.chain().read(state_of_rounds)
}

/// Number of items of `pallet-rounds` in the state, and bytes of their keys and values.
fn state_of_rounds() -> (usize, usize) {
    let prefix = sp_io::hashing::twox_128(b"Rounds");
    let mut key = prefix.to_vec();
    let (mut items, mut bytes) = (0, 0);
    while let Some(next) = sp_io::storage::next_key(&key).filter(|next| next.starts_with(&prefix)) {
        items += 1;
        bytes += next.len() + sp_io::storage::get(&next).map_or(0, |value| value.len());
        key = next;
    }
    (items, bytes)
}
