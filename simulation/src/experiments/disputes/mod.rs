// SPDX-License-Identifier: Apache-2.0
//! Adversaries before the court of disputes, beside the arithmetic of its committees.
//!
//! Accusations, draws, commitments, rulings, appeals and all money are those of the real runtime.
//! Executors compute nothing: the rows of a case are random, and the distances between honest and
//! false ones are those that were measured (`findings.rs`). Holders have equal bonds, so that the
//! adversary's share of the bonds is its share of the executors.

mod adversary;
mod court;
mod findings;

use anyhow::{ensure, Result};
use serde::Serialize;
use starling_evidence::{verdict::two_thirds, Ruling};

pub use adversary::Adversary;
use court::{convicts, is_wrong, parameters, Court, Played};

use crate::{
    capture::{captured, chances, Chances, Holders, Sizes},
    output::Output,
    runner::Runner,
    stats::{indicator, mean},
};

/// Cases of one chain. Another one begins with whole bonds.
const BATCH: u32 = 25;

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The adversaries.
    pub adversaries: Vec<Adversary>,
    /// Shares of the adversary in the bonds of all executors.
    pub shares: Vec<f64>,
    /// Number of executors: agents that hold the model.
    pub executors: u32,
    /// Number of cases of each adversary with each share.
    pub cases: u32,
    /// Seed of keys, rows and draws.
    pub seed: u64,
}

/// Results of an adversary with a share. Chances are shares of the cases; amounts are means of a
/// case, in the currency's unit, of all agents of a kind together. An amount below zero is a gain.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The adversary.
    pub adversary: Adversary,
    /// Its share of the executors' bonds.
    pub share: f64,
    /// Number of executors.
    pub executors: u32,
    /// Number of those that are its own.
    pub owned: u32,
    /// Number of cases.
    pub cases: u32,
    /// A guilty server is convicted in the end.
    pub guilty_convicted: f64,
    /// An honest server is convicted by the first ruling.
    pub honest_convicted_first: f64,
    /// An honest server is convicted in the end.
    pub honest_convicted: f64,
    /// There is no verdict in the end.
    pub none: f64,
    /// The same by arithmetic, members drawn without replacement.
    pub none_drawn: f64,
    /// The same by arithmetic, of endlessly many executors.
    pub none_endless: f64,
    /// The first ruling is wrong.
    pub wrong_first: f64,
    /// The same by arithmetic, members drawn without replacement.
    pub wrong_first_drawn: f64,
    /// The same by arithmetic, of endlessly many executors.
    pub wrong_first_endless: f64,
    /// The ruling in the end is wrong.
    pub wrong: f64,
    /// The same by arithmetic, members drawn without replacement.
    pub wrong_drawn: f64,
    /// The same by arithmetic, of endlessly many executors.
    pub wrong_endless: f64,
    /// The first committee that is drawn has two thirds of the adversary's members.
    pub captured: f64,
    /// The same by arithmetic, members drawn without replacement.
    pub captured_drawn: f64,
    /// The same by arithmetic, of endlessly many executors: the binomial chance of the design.
    pub captured_endless: f64,
    /// Loss of everything that is the adversary's.
    pub adversary_lost: f64,
    /// Loss of the guilty server.
    pub guilty_lost: f64,
    /// Loss of the accuser.
    pub accuser_lost: f64,
    /// Loss of the honest servers.
    pub honest_servers_lost: f64,
    /// Loss of the adversary's executors.
    pub owned_executors_lost: f64,
    /// Loss of the honest executors.
    pub honest_executors_lost: f64,
}

/// A chain's part of a row.
struct Batch {
    adversary: Adversary,
    owned: u32,
    cases: u32,
    number: u32,
}

/// Plays all adversaries with all shares, and writes a table.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let rows = play(options, runner)?;
    output.table("disputes", &rows)?;
    Ok(rows)
}

/// Plays all adversaries with all shares: a row of each pair.
pub fn play(options: &Options, runner: Runner) -> Result<Vec<Row>> {
    let sizes = sizes();
    ensure!(
        options.executors >= sizes.first + sizes.appeal,
        "an appeal needs {} executors",
        sizes.first + sizes.appeal
    );
    let mut pairs = Vec::new();
    for adversary in options.adversaries.iter().copied() {
        pairs.extend(options.shares.iter().map(|share| (adversary, *share)));
    }
    let batches: Vec<Batch> = pairs
        .iter()
        .flat_map(|pair| batches(*pair, options))
        .collect();
    let steps = pairs.len() as u64 * u64::from(options.cases);
    let played = runner.all("disputes", steps, &batches, |batch, bar| {
        let seed = (options.seed, batch.number);
        let mut court = Court::new(
            batch.adversary,
            options.executors,
            batch.owned,
            batch.cases,
            seed,
        )?;
        let mut played = Vec::new();
        for _ in 0..batch.cases {
            played.push(court.play()?);
            bar.inc(1);
        }
        court.check()?;
        Ok(played)
    })?;
    let mut played = played.into_iter();
    let count = options.cases.div_ceil(BATCH) as usize;
    Ok(pairs
        .into_iter()
        .map(|pair| {
            let of_pair: Vec<Played> = played.by_ref().take(count).flatten().collect();
            row(pair, &of_pair, options)
        })
        .collect())
}

/// The sizes of the committees that are drawn.
fn sizes() -> Sizes {
    let parameters = parameters();
    Sizes {
        first: parameters.committee,
        appeal: parameters.appeal,
        least: parameters.least,
    }
}

/// The number of the adversary's executors, to the nearest.
fn owned(share: f64, options: &Options) -> u32 {
    (share * f64::from(options.executors)).round() as u32
}

/// The chains on which the cases of an adversary with a share are played.
fn batches((adversary, share): (Adversary, f64), options: &Options) -> Vec<Batch> {
    let owned = owned(share, options);
    (0..options.cases.div_ceil(BATCH))
        .map(|number| Batch {
            adversary,
            owned,
            cases: BATCH.min(options.cases - number * BATCH),
            number,
        })
        .collect()
}

fn row((adversary, share): (Adversary, f64), played: &[Played], options: &Options) -> Row {
    let owned = owned(share, options);
    let of = |value: &dyn Fn(&Played) -> f64| -> f64 {
        let values: Vec<f64> = played.iter().map(value).collect();
        mean(&values)
    };
    let share_of = |holds: &dyn Fn(&Played) -> bool| of(&|one| indicator(holds(one)));
    let has_guilty = adversary.has_guilty();
    let convicts_honest = |ruling: Ruling| {
        let [first, second] = convicts(ruling);
        second || (first && !has_guilty)
    };
    let drawn = Holders::Limited {
        all: options.executors,
        owned,
    };
    let endless = Holders::Endless { share };
    let sizes = sizes();
    let expected = |holders: Holders| -> Chances {
        chances(holders, sizes, |size, bad| adversary.end(size, bad))
    };
    let quorum = two_thirds(sizes.first as usize) as u32;
    let of_first = |is: bool, one: &Played| if is { one.lost.first } else { 0.0 };
    let guilty_lost = of(&|one| of_first(has_guilty, one));
    let accuser_lost = of(&|one| one.lost.accuser);
    let owned_executors_lost = of(&|one| one.lost.owned_executors);
    let mut adversary_lost = owned_executors_lost;
    if adversary.owns_guilty() {
        adversary_lost += guilty_lost;
    }
    if adversary.owns_accuser() {
        adversary_lost += accuser_lost;
    }
    let (by_draw, by_limit) = (expected(drawn), expected(endless));
    Row {
        adversary,
        share,
        executors: options.executors,
        owned,
        cases: options.cases,
        guilty_convicted: share_of(&|one| has_guilty && convicts(one.last)[0]),
        honest_convicted_first: share_of(&|one| one.first.is_some_and(convicts_honest)),
        honest_convicted: share_of(&|one| convicts_honest(one.last)),
        none: share_of(&|one| !matches!(one.last, Ruling::Decided { .. })),
        none_drawn: by_draw.none,
        none_endless: by_limit.none,
        wrong_first: share_of(&|one| one.first.is_some_and(|first| is_wrong(adversary, first))),
        wrong_first_drawn: by_draw.wrong_first,
        wrong_first_endless: by_limit.wrong_first,
        wrong: share_of(&|one| is_wrong(adversary, one.last)),
        wrong_drawn: by_draw.wrong,
        wrong_endless: by_limit.wrong,
        captured: share_of(&|one| one.captured),
        captured_drawn: captured(drawn, sizes.first, quorum),
        captured_endless: captured(endless, sizes.first, quorum),
        adversary_lost,
        guilty_lost,
        accuser_lost,
        honest_servers_lost: of(&|one| one.lost.second + of_first(!has_guilty, one)),
        owned_executors_lost,
        honest_executors_lost: of(&|one| one.lost.honest_executors),
    }
}
