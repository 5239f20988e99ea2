// SPDX-License-Identifier: Apache-2.0
//! `starling-infer bench`.

use super::common::{item_bar, model_path, Failure, ModelArgs, StoreArgs};
use crate::{
    backend::{Ask, Backend, LocalBackend, PromptTree},
    generate::Cancel,
    prompt::Prompt,
    tokenizer::TokenId,
    Ends, Trunk,
};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Lengths of prompts, in tokens
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512], value_name = "N,…")]
    prefill: Vec<usize>,
    /// Tokens to decode
    #[arg(long, default_value_t = 64, value_name = "N")]
    decode: usize,
    /// Numbers of 64-token responses to rank together behind a cached 256-token prompt
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64], value_name = "N,…")]
    rank: Vec<usize>,
    /// Runs of each; the median is shown
    #[arg(long, default_value_t = 5, value_name = "N")]
    runs: usize,
}

const PROMPT: usize = 256;
const RESPONSE: usize = 64;

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let path = model_path(store, &args.model.model)?;
    let options = args.model.means.load_options();
    match args.model.means.device().of_candle()? {
        None => measure(&LocalBackend::load(&path, &options)?, &args),
        Some(device) => measure(&LocalBackend::load_on(&device, &path, &options)?, &args),
    }
}

fn measure<T: Trunk>(backend: &LocalBackend<T>, args: &Args) -> Result<(), Failure> {
    let stages = args.prefill.len() + 1 + args.rank.len();
    let bar = item_bar("bench".into(), stages * args.runs);
    let median = |run: &mut dyn FnMut(usize) -> Result<Duration, Failure>| {
        let mut times = vec![];
        for i in 0..args.runs.max(1) {
            times.push(run(i)?);
            bar.inc(1);
        }
        times.sort_unstable();
        times
            .get(times.len() / 2)
            .copied()
            .ok_or_else(|| Failure::from("no run"))
    };
    let mut lines = vec![
        "| what | median of runs |".to_owned(),
        "|---|---|".to_owned(),
    ];
    for &n in &args.prefill {
        let time = median(&mut |run| {
            let tokens = tokens(backend, n, run);
            let mut session = backend.trunk().session();
            timed(|| Ok(backend.extend(&mut session, &tokens).map(drop)?))
        })?;
        lines.push(format!(
            "| prefill {n} | {:.1} tokens/s |",
            n as f64 / time.as_secs_f64()
        ));
    }
    let time = median(&mut |run| {
        let mut session = backend.trunk().session();
        backend.extend(&mut session, &tokens(backend, PROMPT, run))?;
        let next = tokens(backend, args.decode, run + 1);
        timed(|| {
            for &token in &next {
                let hidden = backend.extend(&mut session, &[token])?;
                backend.model().logits(&hidden)?;
            }
            Ok(())
        })
    })?;
    let rate = args.decode as f64 / time.as_secs_f64();
    lines.push(format!(
        "| decode {} after {PROMPT} | {rate:.1} tokens/s |",
        args.decode
    ));
    for &n in &args.rank {
        let prompt = text(backend, PROMPT, 0);
        // Puts the prompt into the cache.
        rank(backend, &prompt, 1, args.runs)?;
        let time = median(&mut |run| rank(backend, &prompt, n, run))?;
        lines.push(format!(
            "| rank {n} × {RESPONSE} tokens, {PROMPT} cached | {:.1} ms |",
            1e3 * time.as_secs_f64()
        ));
    }
    bar.finish_and_clear();
    println!("{}", lines.join("\n"));
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// `n` tokens of plain text, others for each `seed`.
fn tokens<T: Trunk>(backend: &LocalBackend<T>, n: usize, seed: usize) -> Vec<TokenId> {
    let vocabulary = backend.tokenizer().len().max(2_000);
    let step = 7 + 2 * (seed % 1_000);
    (0..n)
        .map(|i| (1_000 + (i * step + seed * 31) % (vocabulary - 1_000)) as TokenId)
        .collect()
}

/// Text of about `n` tokens.
fn text<T: Trunk>(backend: &LocalBackend<T>, n: usize, seed: usize) -> String {
    let words = [
        "river", "stone", "light", "market", "window", "letter", "garden", "number",
    ];
    let all: Vec<_> = (0..n)
        .map(|i| words[(i * (seed + 3) + i / 8 + seed) % words.len()])
        .collect();
    backend.cut(&all.join(" "), n).to_owned()
}

/// Time to score `n` responses.
fn rank<T: Trunk>(
    backend: &LocalBackend<T>,
    prompt: &str,
    n: usize,
    seed: usize,
) -> Result<Duration, Failure> {
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data(prompt), Ask::Nothing);
    for i in 0..n {
        let response = text(backend, RESPONSE, seed.wrapping_mul(64).wrapping_add(i));
        tree.child(root, Prompt::data(format!(" {response}")), Ask::Tokens);
    }
    timed(|| Ok(backend.evaluate(&tree, &Cancel::new()).map(drop)?))
}
