// SPDX-License-Identifier: Apache-2.0
//! Agreement on the next token over LAMBADA passages.

use std::{fs, path::Path};

use serde::Serialize;
use starling_engine::Model;

use crate::{engine, peer::Peer, speed::greedy, Common, Outcome};

/// Tokens of a passage that are used.
const PASSAGE: usize = 96;

/// Tokens whose log-probability is recorded for each position.
const TOP: usize = 5;

fn passages(path: &Path) -> Outcome<Vec<String>> {
    fs::read_to_string(path)?
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line)?;
            Ok(value["text"]
                .as_str()
                .ok_or("a line without a text")?
                .to_owned())
        })
        .collect()
}

pub fn run(common: &Common, text: &Path, positions: usize) -> Outcome<()> {
    let model = engine(common)?;
    let peer = Peer::load(&common.model)?;
    let mut sequence = peer.sequence(512, common.threads as i32)?;
    let vocab = model.config().vocab;
    let (mut compared, mut same) = (0usize, 0usize);
    let (mut worst_next, mut sum_next, mut worst_top) = (0f64, 0f64, 0f64);
    let (mut worst_logit, mut divergence) = (0f64, 0f64);
    let mut misses = Vec::new();
    for passage in passages(text)? {
        if compared >= positions {
            break;
        }
        let mut tokens = peer.tokenize(&passage);
        tokens.truncate(PASSAGE);
        sequence.clear();
        sequence.extend(&tokens, true)?;
        let ours = our_logits(&model, &tokens)?;
        for (row, ours) in ours.chunks_exact(vocab).enumerate().take(tokens.len() - 1) {
            let theirs = sequence.logits(row as i32);
            let (our_total, their_total) = (log_sum(ours), log_sum(theirs));
            let difference = |token: usize| {
                ((ours[token] as f64 - our_total) - (theirs[token] as f64 - their_total)).abs()
            };
            let top = greedy(theirs) as usize;
            let next = difference(tokens[row + 1] as usize);
            compared += 1;
            sum_next += next;
            worst_next = worst_next.max(next);
            worst_top = worst_top.max(difference(top));
            divergence += (0..vocab)
                .map(|t| {
                    let theirs = theirs[t] as f64 - their_total;
                    theirs.exp() * (theirs - (ours[t] as f64 - our_total))
                })
                .sum::<f64>();
            for (ours, theirs) in ours.iter().zip(theirs) {
                worst_logit = worst_logit.max((ours - theirs).abs() as f64);
            }
            if greedy(ours) as usize == top {
                same += 1;
            } else {
                // How much worse llama.cpp finds our choice than its own.
                misses.push((theirs[top] - theirs[greedy(ours) as usize]) as f64);
            }
        }
    }
    let share = 100.0 * same as f64 / compared as f64;
    println!("{}: {compared} positions", common.model.display());
    println!("top-1 agreement {same}/{compared} = {share:.2} %");
    println!(
        "|Δ ln p| of the text's next token: mean {:.4}, largest {worst_next:.4}",
        sum_next / compared as f64
    );
    println!("|Δ ln p| of llama.cpp's first choice: largest {worst_top:.4}");
    println!("|Δ logit|: largest {worst_logit:.4}");
    println!(
        "KL(llama.cpp ‖ ours): mean {:.6}",
        divergence / compared as f64
    );
    misses.sort_by(f64::total_cmp);
    println!("where the choice differs, llama.cpp's logits differ by {misses:.3?}");
    Ok(())
}

fn our_logits(model: &Model, tokens: &[u32]) -> Outcome<Vec<f32>> {
    let hidden = model.session().extend(tokens)?;
    Ok(model.logits(&hidden)?)
}

fn log_sum(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    largest
        + logits
            .iter()
            .map(|&l| (l as f64 - largest).exp())
            .sum::<f64>()
            .ln()
}

/// What the engine's tests compare with; see `offchain-inference/engine/tests/fixtures`.
#[derive(Serialize)]
struct Recording {
    /// File name of the model.
    model: String,
    /// Who made it.
    made_by: String,
    passages: Vec<Passage>,
}

#[derive(Serialize)]
struct Passage {
    tokens: Vec<u32>,
    /// For each token but the last: ln p of the token that follows.
    next: Vec<f32>,
    /// For each token but the last: the likeliest tokens with their ln p.
    top: Vec<Vec<(u32, f32)>>,
}

pub fn record(common: &Common, text: &Path, positions: usize, out: &Path) -> Outcome<()> {
    let peer = Peer::load(&common.model)?;
    let mut sequence = peer.sequence(512, common.threads as i32)?;
    let mut recorded = Vec::new();
    let mut count = 0;
    for passage in passages(text)? {
        if count >= positions {
            break;
        }
        let mut tokens = peer.tokenize(&passage);
        tokens.truncate(PASSAGE);
        sequence.clear();
        sequence.extend(&tokens, true)?;
        let (mut next, mut top) = (Vec::new(), Vec::new());
        for (row, &following) in tokens.iter().skip(1).enumerate() {
            let logits = sequence.logits(row as i32);
            let total = log_sum(logits);
            let rounded = |token: usize| {
                ((logits[token] as f64 - total) * 10_000.0).round() as f32 / 10_000.0
            };
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            next.push(rounded(following as usize));
            top.push(
                order
                    .iter()
                    .take(TOP)
                    .map(|&t| (t as u32, rounded(t)))
                    .collect(),
            );
            count += 1;
        }
        recorded.push(Passage { tokens, next, top });
    }
    let recording = Recording {
        model: common
            .model
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        made_by: "starling-peer record, llama-cpp-2 0.1.160".into(),
        passages: recorded,
    };
    fs::write(out, serde_json::to_string(&recording)? + "\n")?;
    println!("{count} positions → {}", out.display());
    Ok(())
}
