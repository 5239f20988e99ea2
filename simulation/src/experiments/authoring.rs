// SPDX-License-Identifier: Apache-2.0
//! Authoring by Aura beside authoring by BABE, over the same network and under the same finality.
//!
//! The nodes run Aura. BABE's authors are computed here: each validator's VRF of a slot against the
//! threshold of `sc-consensus-babe`, and the hash that names the secondary author. That crate keeps
//! both rules private, so they are written out. A secondary author authors beside primary ones.
//!
//! A block is ready some time after its slot begins, and is with each other node a delay later, drawn
//! evenly from half to one and a half of the mean. Nodes build on the best block that they have: the
//! longest chain by Aura, and by BABE first the one with most primary blocks. GRANDPA's rounds follow
//! each other. Voters prevote for their best block after two gossip times, and precommit after four,
//! or when the prevotes are there.

use std::collections::BTreeMap;

use anyhow::{ensure, Result};
use codec::Encode;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;
use sp_core::{
    sr25519::{vrf::VrfTranscript, Pair},
    Pair as _, U256,
};
use sp_io::hashing::blake2_256;
use starling_runtime::{MINUTES, SLOT_DURATION};

use crate::{output::Output, runner::Runner, stats::mean};

/// The share of the slots with a primary author, as on the chains of the SDK.
const PRIMARY: f64 = 0.25;

/// The gossip time of this project's nodes, in milliseconds.
const GOSSIP: f64 = 100.0;

/// A way to choose authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// In turn.
    Aura,
    /// By lot, and a secondary author in each slot.
    Babe,
}

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// Numbers of validators.
    pub validators: Vec<usize>,
    /// Mean delays between two nodes, in milliseconds.
    pub delays: Vec<f64>,
    /// Shares of the validators that are away, at most as many as finality bears.
    pub away: Vec<f64>,
    /// Time from the beginning of a slot until its block is ready, in milliseconds.
    pub build: f64,
    /// Number of slots.
    pub slots: u64,
    /// Seed of keys, lots and delays.
    pub seed: u64,
}

/// Results for one network.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The way to choose authors.
    pub protocol: Protocol,
    /// Number of validators.
    pub validators: usize,
    /// Mean delay between two nodes, in milliseconds.
    pub delay: f64,
    /// Share of the validators that are away.
    pub away: f64,
    /// True if the author that everybody can foresee is kept from authoring, slot by slot.
    pub attacked: bool,
    /// Share of the slots that gave the final chain a block.
    pub filled: f64,
    /// Share of the blocks that are not in the final chain.
    pub forks: f64,
    /// Share of a node's slots in which it left a branch for another one.
    pub reorgs: f64,
    /// Mean time from the beginning of a slot until its block is final, in milliseconds.
    pub finality: f64,
    /// Share of the final blocks whose author everybody could foresee.
    pub foreseen: f64,
}

/// The validators that BABE lets author in a slot.
struct Lots {
    primary: Vec<usize>,
    secondary: usize,
}

/// An author of a slot.
struct Author {
    validator: usize,
    primary: bool,
    foreseen: bool,
}

/// Plays both protocols over all networks, and writes a table.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Row>> {
    let lots = options.validators.iter().map(|n| (*n, lots(*n, options)));
    let lots: BTreeMap<usize, Vec<Lots>> = lots.collect();
    let mut inputs = Vec::new();
    for n in options.validators.iter().copied() {
        for away in options.away.iter().copied() {
            let absent = (away * n as f64).floor() as usize;
            ensure!(
                absent <= (n - 1) / 3,
                "without {absent} of {n} validators nothing is final"
            );
            for delay in options.delays.iter().copied() {
                for attacked in [false, true] {
                    inputs.push((Protocol::Aura, n, delay, away, absent, attacked));
                    inputs.push((Protocol::Babe, n, delay, away, absent, attacked));
                }
            }
        }
    }
    let steps = inputs.len() as u64 * options.slots;
    let rows = runner.all("authoring", steps, &inputs, |input, bar| {
        let (protocol, validators, delay, away, absent, attacked) = *input;
        let mut net = Net::new(validators, absent, delay, options);
        for (slot, lots) in (1..).zip(&lots[&validators]) {
            let mut authors = authors(protocol, slot, validators, lots);
            authors.retain(|one| one.validator >= absent && !(attacked && one.foreseen));
            net.slot(slot, &authors);
            bar.inc(1);
        }
        Ok(net.end(protocol, away, attacked))
    })?;
    output.table("authoring", &rows)?;
    Ok(rows)
}

/// The authors of a slot.
fn authors(protocol: Protocol, slot: u64, validators: usize, lots: &Lots) -> Vec<Author> {
    if protocol == Protocol::Aura {
        return vec![Author {
            validator: (slot % validators as u64) as usize,
            primary: false,
            foreseen: true,
        }];
    }
    let second = lots.secondary;
    let primary = lots.primary.iter().map(|validator| Author {
        validator: *validator,
        primary: true,
        foreseen: *validator == second,
    });
    let alone = !lots.primary.contains(&second);
    let secondary = alone.then_some(Author {
        validator: second,
        primary: false,
        foreseen: true,
    });
    primary.chain(secondary).collect()
}

/// BABE's lots of all slots.
fn lots(validators: usize, options: &Options) -> Vec<Lots> {
    let pair = |index| Pair::from_seed(&(options.seed, index as u64).using_encoded(blake2_256));
    let pairs: Vec<Pair> = (0..validators).map(pair).collect();
    // Equal bonds have equal weights.
    let chance = 1.0 - (1.0 - PRIMARY).powf(1.0 / validators as f64);
    let threshold = (chance * 2f64.powi(128)) as u128;
    let of_slot = |slot: u64| {
        let epoch = slot / u64::from(MINUTES);
        let randomness = (options.seed, epoch, "epoch").using_encoded(blake2_256);
        let input = VrfTranscript::new(
            b"BABE",
            &[
                (&b"slot number"[..], &slot.to_le_bytes()[..]),
                (&b"current epoch"[..], &epoch.to_le_bytes()[..]),
                (&b"chain randomness"[..], &randomness[..]),
            ],
        );
        let score = |pair: &Pair| pair.make_bytes::<16>(b"substrate-babe-vrf", &input);
        let claims = |pair: &Pair| u128::from_le_bytes(score(pair)) < threshold;
        let hash = (randomness, slot).using_encoded(blake2_256);
        let secondary = U256::from_little_endian(&hash) % U256::from(validators);
        Lots {
            primary: (0..validators).filter(|one| claims(&pairs[*one])).collect(),
            secondary: secondary.as_usize(),
        }
    };
    let slots: Vec<u64> = (1..=options.slots).collect();
    slots.into_par_iter().map(of_slot).collect()
}

struct Block {
    parent: usize,
    slot: u64,
    /// Number of primary blocks, and of all blocks, from genesis to this one.
    weight: (u64, u64),
    foreseen: bool,
    /// The time at which each node has it.
    arrivals: Vec<f64>,
    /// False once another branch is final.
    open: bool,
}

/// The nodes of the validators. Those with the lowest numbers are away.
struct Net<'a> {
    options: &'a Options,
    rng: ChaCha8Rng,
    blocks: Vec<Block>,
    absent: usize,
    delay: f64,
    /// The last final block, and the beginning of the next round of votes.
    last: usize,
    round: f64,
    /// The best block of each node in the last slot.
    bests: Vec<usize>,
    reorgs: usize,
    /// Each final block, with the time from its slot until then.
    finals: Vec<(usize, f64)>,
}

impl<'a> Net<'a> {
    fn new(validators: usize, absent: usize, delay: f64, options: &'a Options) -> Self {
        let genesis = Block {
            parent: 0,
            slot: 0,
            weight: (0, 0),
            foreseen: false,
            arrivals: vec![0.0; validators],
            open: true,
        };
        Self {
            options,
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            blocks: vec![genesis],
            absent,
            delay,
            last: 0,
            round: 0.0,
            bests: vec![0; validators],
            reorgs: 0,
            finals: Vec::new(),
        }
    }

    fn nodes(&self) -> std::ops::Range<usize> {
        self.absent..self.bests.len()
    }

    /// The block that a node builds on: of equally good ones the first that it had.
    fn best(&self, node: usize, at: f64) -> usize {
        let mut best = self.last;
        for (index, block) in self.blocks.iter().enumerate().skip(self.last + 1) {
            let (arrival, rival) = (block.arrivals[node], &self.blocks[best]);
            let better = block.weight > rival.weight
                || (block.weight == rival.weight && arrival < rival.arrivals[node]);
            if block.open && arrival <= at && better {
                best = index;
            }
        }
        best
    }

    /// The blocks from this one down to the last final one, without that.
    fn branch(&self, mut block: usize) -> Vec<usize> {
        let mut branch = Vec::new();
        while block > self.last {
            branch.push(block);
            block = self.blocks[block].parent;
        }
        branch
    }

    /// Plays a slot.
    fn slot(&mut self, slot: u64, authors: &[Author]) {
        let now = (slot * SLOT_DURATION) as f64;
        self.finalise(now);
        for node in self.nodes() {
            let (old, best) = (self.bests[node], self.best(node, now));
            let left = old > self.last && !self.branch(best).contains(&old);
            self.reorgs += usize::from(left);
            self.bests[node] = best;
        }
        for author in authors {
            let parent = self.bests[author.validator];
            let ready = now + self.options.build;
            let mut arrivals = self.blocks[parent].arrivals.clone();
            for (node, arrival) in arrivals.iter_mut().enumerate() {
                let travel = self.delay * self.rng.random_range(0.5..1.5);
                let own = node == author.validator;
                *arrival = f64::max(*arrival, if own { ready } else { ready + travel });
            }
            let (primary, all) = self.blocks[parent].weight;
            self.blocks.push(Block {
                parent,
                slot,
                weight: (primary + u64::from(author.primary), all + 1),
                foreseen: author.foreseen,
                arrivals,
                open: true,
            });
        }
    }

    /// Plays the rounds of votes that end until then.
    fn finalise(&mut self, until: f64) {
        let slowest = 1.5 * self.delay;
        let quorum = self.bests.len() - (self.bests.len() - 1) / 3;
        loop {
            let prevote = self.round + 2.0 * GOSSIP;
            let precommit = (self.round + 4.0 * GOSSIP).max(prevote + slowest);
            let end = precommit + slowest;
            if end > until {
                return;
            }
            let mut votes = BTreeMap::new();
            for node in self.nodes() {
                for block in self.branch(self.best(node, prevote)) {
                    *votes.entry(block).or_insert(0) += 1;
                }
            }
            // A child comes after its parent, and two branches cannot both have a quorum.
            let chosen = votes.iter().rev().find(|(_, count)| **count >= quorum);
            if let Some((chosen, _)) = chosen {
                self.choose(*chosen, end);
            }
            self.round = end;
        }
    }

    fn choose(&mut self, chosen: usize, at: f64) {
        for block in self.branch(chosen) {
            let began = (self.blocks[block].slot * SLOT_DURATION) as f64;
            self.finals.push((block, at - began));
        }
        for index in self.last + 1..self.blocks.len() {
            let parent = self.blocks[index].parent;
            let follows = parent >= chosen && self.blocks[parent].open;
            self.blocks[index].open = index == chosen || follows;
        }
        self.last = chosen;
    }

    /// The results after all slots.
    fn end(mut self, protocol: Protocol, away: f64, attacked: bool) -> Row {
        let slots = self.options.slots;
        self.finalise((slots * SLOT_DURATION) as f64);
        let last = self.blocks[self.last].slot;
        let told = self.blocks.iter().skip(1).filter(|one| one.slot <= last);
        let (told, finals) = (told.count(), self.finals.len());
        let lags: Vec<f64> = self.finals.iter().map(|(_, lag)| *lag).collect();
        let foreseen = self
            .finals
            .iter()
            .filter(|(one, _)| self.blocks[*one].foreseen);
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        Row {
            protocol,
            validators: self.bests.len(),
            delay: self.delay,
            away,
            attacked,
            filled: share(finals, slots as usize),
            forks: share(told - finals, told),
            reorgs: share(self.reorgs, self.nodes().len() * slots as usize),
            finality: mean(&lags),
            foreseen: share(foreseen.count(), finals),
        }
    }
}
