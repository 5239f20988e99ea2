// SPDX-License-Identifier: Apache-2.0
//! Agreement on the next token.

use std::{fs, path::Path};

use serde::Serialize;
use starling_engine::{ActivationBits, Hidden, Model};

use crate::{
    engine,
    llama_cpp::{LlamaCpp, Sequence},
    speed::greedy,
    Outcome,
};

/// Tokens whose log-probability is recorded for each position.
const TOP: usize = 5;

/// Rows whose logits are held at a time.
const ROWS: usize = 64;

/// The paragraphs of a text file, or the `text` of each line of a `.jsonl` file.
fn paragraphs(path: &Path) -> Outcome<Vec<String>> {
    let text = fs::read_to_string(path)?;
    if path.extension().is_none_or(|e| e != "jsonl") {
        let paragraphs = text.split("\n\n").map(str::trim);
        return Ok(paragraphs
            .filter(|p| !p.is_empty())
            .map(str::to_owned)
            .collect());
    }
    text.lines()
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

/// Paragraphs put together to passages of `length` tokens.
fn passages(llama_cpp: &LlamaCpp, path: &Path, length: usize) -> Outcome<Vec<Vec<u32>>> {
    let mut passages = Vec::new();
    let mut text = String::new();
    for paragraph in paragraphs(path)? {
        if !text.is_empty() {
            text += "\n";
        }
        text += &paragraph;
        let mut tokens = llama_cpp.tokenize(&text, false)?;
        if tokens.len() >= length {
            tokens.truncate(length);
            passages.push(tokens);
            text.clear();
        }
    }
    Ok(passages)
}

/// The engine that is compared with llama.cpp as it runs by default, a passage in one batch.
enum Candidate<'a> {
    Engine(Box<Model>),
    /// llama.cpp, a token at a time.
    TokenByToken(Sequence<'a>),
    /// llama.cpp without flash attention, whose sums are f16 in part.
    PlainAttention(Sequence<'a>),
}

impl Candidate<'_> {
    /// Calls `visit` with the logits of each of the tokens.
    fn logits(
        &mut self,
        tokens: &[u32],
        mut visit: impl FnMut(usize, &[f32]) -> Outcome<()>,
    ) -> Outcome<()> {
        match self {
            Self::Engine(model) => {
                let (width, vocab) = (model.config().width, model.config().vocab);
                let hidden = model.session().extend(tokens)?.into_vec();
                for (i, rows) in hidden.chunks(ROWS * width).enumerate() {
                    let logits = model.logits(&Hidden::new(width, rows.to_vec())?)?;
                    for (row, logits) in logits.chunks_exact(vocab).enumerate() {
                        visit(i * ROWS + row, logits)?;
                    }
                }
            },
            Self::TokenByToken(sequence) => {
                sequence.clear();
                for (row, token) in tokens.iter().enumerate() {
                    sequence.extend(&[*token], true)?;
                    visit(row, sequence.logits(-1)?)?;
                }
            },
            Self::PlainAttention(sequence) => {
                sequence.clear();
                sequence.extend(tokens, true)?;
                for row in 0..tokens.len() {
                    visit(row, sequence.logits(i32::try_from(row)?)?)?;
                }
            },
        }
        Ok(())
    }
}

/// Distance of a candidate from llama.cpp.
#[derive(Default)]
struct Distance {
    positions: usize,
    same: usize,
    /// |Δ ln p| of the text's next token.
    next_sum: f64,
    next_largest: f64,
    /// |Δ ln p| of llama.cpp's first choice.
    top_largest: f64,
    divergence: f64,
    /// If the choices differ, the largest lead of llama.cpp's own over the candidate's.
    lead: f64,
}

impl Distance {
    fn add(&mut self, theirs: &[f32], candidate: &[f32], following: u32) {
        let (total, their_total) = (log_sum(candidate), log_sum(theirs));
        let logprobs = |token: usize| {
            (
                candidate[token] as f64 - total,
                theirs[token] as f64 - their_total,
            )
        };
        let difference = |token: usize| {
            let (candidate, theirs) = logprobs(token);
            (candidate - theirs).abs()
        };
        let (top, choice) = (greedy(theirs) as usize, greedy(candidate) as usize);
        let next = difference(following as usize);
        self.positions += 1;
        self.same += usize::from(top == choice);
        self.next_sum += next;
        self.next_largest = self.next_largest.max(next);
        self.top_largest = self.top_largest.max(difference(top));
        self.lead = self.lead.max((theirs[top] - theirs[choice]) as f64);
        self.divergence += (0..theirs.len())
            .map(|token| {
                let (candidate, theirs) = logprobs(token);
                theirs.exp() * (theirs - candidate)
            })
            .sum::<f64>();
    }
}

fn log_sum(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    let mass: f64 = logits.iter().map(|&l| (l as f64 - largest).exp()).sum();
    largest + mass.ln()
}

/// The models and the text of a comparison.
pub struct Comparison<'a> {
    /// File of the engine.
    pub model: &'a Path,
    /// File of llama.cpp.
    pub llama_cpp_model: &'a Path,
    pub text: &'a Path,
    /// Tokens of a passage.
    pub length: usize,
    /// Positions to compare, at least.
    pub positions: usize,
    /// First position of a passage that is compared.
    pub from: usize,
    /// Leaves out llama.cpp compared with itself.
    pub ours_only: bool,
}

pub fn run(comparison: &Comparison<'_>, threads: usize, bits: &[ActivationBits]) -> Outcome<()> {
    let llama_cpp = LlamaCpp::load(comparison.llama_cpp_model)?;
    let context = u32::try_from(comparison.length)?;
    let mut reference = llama_cpp.sequence(context, threads)?;
    let mut candidates = Vec::new();
    for &bits in bits {
        let model = Box::new(engine(comparison.model, threads, bits)?);
        candidates.push((
            format!("ours, {bits}-bit activations"),
            Candidate::Engine(model),
        ));
    }
    if !comparison.ours_only {
        candidates.push((
            "llama.cpp, a token at a time".into(),
            Candidate::TokenByToken(llama_cpp.sequence(context, threads)?),
        ));
        candidates.push((
            "llama.cpp, without flash attention".into(),
            Candidate::PlainAttention(llama_cpp.sequence_with(context, threads, false)?),
        ));
    }
    let mut distances: Vec<_> = candidates.iter().map(|_| Distance::default()).collect();
    let mut positions = 0;
    for tokens in passages(&llama_cpp, comparison.text, comparison.length)? {
        if positions >= comparison.positions {
            break;
        }
        reference.clear();
        reference.extend(&tokens, true)?;
        for ((_, candidate), distance) in candidates.iter_mut().zip(&mut distances) {
            candidate.logits(&tokens, |row, logits| {
                if let (true, Some(&following)) = (row >= comparison.from, tokens.get(row + 1)) {
                    distance.add(reference.logits(i32::try_from(row)?)?, logits, following);
                }
                Ok(())
            })?;
        }
        positions += tokens.len() - 1 - comparison.from;
    }
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    println!(
        "ours on {}, llama.cpp on {}, {positions} positions from {} on in passages of {} tokens",
        name(comparison.model),
        name(comparison.llama_cpp_model),
        comparison.from,
        comparison.length,
    );
    println!("| against llama.cpp in one batch | same first choice | lead where not, largest | Δ ln p next, mean | largest | Δ ln p first choice, largest | KL, mean |");
    println!("|---|---|---|---|---|---|---|");
    for ((name, _), d) in candidates.iter().zip(&distances) {
        let n = d.positions as f64;
        println!(
            "| {name} | {}/{} = {:.2} % | {:.3} | {:.4} | {:.4} | {:.4} | {:.6} |",
            d.same,
            d.positions,
            100.0 * d.same as f64 / n,
            d.lead,
            d.next_sum / n,
            d.next_largest,
            d.top_largest,
            d.divergence / n,
        );
    }
    Ok(())
}

/// Reference for the engine's tests; see `offchain-inference/engine/tests/fixtures`.
#[derive(Serialize)]
struct Recording {
    /// File name of the model.
    model: String,
    /// Maker of the recording.
    made_by: &'static str,
    passages: Vec<Passage>,
}

#[derive(Serialize)]
struct Passage {
    tokens: Vec<u32>,
    /// First token that is recorded.
    from: usize,
    /// For each recorded token but the last: ln p of the token that follows.
    next: Vec<f32>,
    /// For each recorded token but the last: the likeliest tokens with their ln p.
    top: Vec<Vec<(u32, f32)>>,
}

/// Records the last `rows` positions of a passage of each of `lengths`.
pub fn record(
    model: &Path,
    text: &Path,
    lengths: &[usize],
    rows: usize,
    threads: usize,
    out: &Path,
) -> Outcome<()> {
    let llama_cpp = LlamaCpp::load(model)?;
    let mut recorded = Vec::new();
    let mut count = 0;
    for &length in lengths {
        let mut sequence = llama_cpp.sequence(u32::try_from(length)?, threads)?;
        let passages = passages(&llama_cpp, text, length)?;
        let tokens = passages
            .into_iter()
            .next()
            .ok_or_else(|| format!("no {length} tokens"))?;
        let from = (length - 1).saturating_sub(rows);
        sequence.extend(&tokens, true)?;
        let (mut next, mut top) = (Vec::new(), Vec::new());
        for (row, &following) in tokens.iter().skip(1).enumerate().skip(from) {
            let logits = sequence.logits(i32::try_from(row)?)?;
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
        recorded.push(Passage {
            tokens,
            from,
            next,
            top,
        });
    }
    let file = model.file_name().unwrap_or_default().to_string_lossy();
    let recording = Recording {
        model: file.into_owned(),
        made_by: "starling-bench-llama-cpp record, llama-cpp-sys-2 0.1.161",
        passages: recorded,
    };
    fs::write(out, serde_json::to_string(&recording)? + "\n")?;
    println!("{count} positions → {}", out.display());
    Ok(())
}
