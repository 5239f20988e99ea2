// SPDX-License-Identifier: Apache-2.0
//! Speed, measured in turns so that whatever else the machine does hits both engines.

use std::time::Instant;

use starling_engine::Model;

use crate::{
    engine,
    peer::{Peer, Sequence},
    Common, Outcome,
};

/// Tokens decoded one by one in a turn, after as many tokens of prompt.
const DECODE: usize = 64;

/// The workloads: name, and tokens of the prompt.
const WORKLOADS: [(&str, usize, bool); 3] = [
    ("prefill 128", 128, false),
    ("prefill 512", 512, false),
    ("decode 64", DECODE, true),
];

pub fn run(common: &Common, rounds: usize) -> Outcome<()> {
    let model = engine(common)?;
    let peer = Peer::load(&common.model)?;
    let mut sequence = peer.sequence(1024, common.threads as i32)?;
    println!(
        "{}, {} threads, {} kernels, {}-bit activations, {rounds} rounds in turns, tokens/s",
        common.model.display(),
        common.threads,
        model.instruction_set(),
        common.activation_bits,
    );
    println!(
        "{:<12} {:>10} {:>10} {:>6} | {:>10} {:>10} {:>6}",
        "", "ours best", "peer best", "ratio", "ours med.", "peer med.", "ratio"
    );
    for (name, prompt, decode) in WORKLOADS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            // No prompt comes twice: neither engine may profit from an earlier turn.
            let tokens: Vec<u32> = (0..prompt)
                .map(|i| ((i * 7919 + round * 104_729) % 40_000 + 100) as u32)
                .collect();
            let our_rate = our_turn(&model, &tokens, decode)?;
            let their_rate = their_turn(&mut sequence, &tokens, decode)?;
            // The first round warms both up.
            if round > 0 {
                ours.push(our_rate);
                theirs.push(their_rate);
            }
        }
        ours.sort_by(f64::total_cmp);
        theirs.sort_by(f64::total_cmp);
        let (ours, theirs) = (summary(&ours), summary(&theirs));
        println!(
            "{name:<12} {:>10.1} {:>10.1} {:>6.2} | {:>10.1} {:>10.1} {:>6.2}",
            ours.0,
            theirs.0,
            ours.0 / theirs.0,
            ours.1,
            theirs.1,
            ours.1 / theirs.1
        );
    }
    if let Some(peak) = peak_memory() {
        println!(
            "peak memory of the process, both models loaded: {} MB",
            peak / 1000
        );
    }
    Ok(())
}

fn our_turn(model: &Model, tokens: &[u32], decode: bool) -> Outcome<f64> {
    let mut session = model.session();
    let start = Instant::now();
    let mut hidden = session.extend(tokens)?;
    let mut next = greedy(&model.logits(&hidden.last())?);
    if !decode {
        return Ok(tokens.len() as f64 / start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    for _ in 0..DECODE {
        hidden = session.extend(&[next])?;
        next = greedy(&model.logits(&hidden)?);
    }
    Ok(DECODE as f64 / start.elapsed().as_secs_f64())
}

fn their_turn(sequence: &mut Sequence<'_>, tokens: &[u32], decode: bool) -> Outcome<f64> {
    sequence.clear();
    let start = Instant::now();
    sequence.extend(tokens, false)?;
    let mut next = greedy(sequence.logits(-1));
    if !decode {
        return Ok(tokens.len() as f64 / start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    for _ in 0..DECODE {
        sequence.extend(&[next], false)?;
        next = greedy(sequence.logits(-1));
    }
    Ok(DECODE as f64 / start.elapsed().as_secs_f64())
}

pub fn greedy(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as u32)
}

/// Best and median of sorted rates.
fn summary(rates: &[f64]) -> (f64, f64) {
    (
        rates.last().copied().unwrap_or(f64::NAN),
        rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN),
    )
}

/// Peak resident memory in kB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
