// SPDX-License-Identifier: Apache-2.0
//! `starling-infer bench`.

use crate::common::{item_bar, model_path, Failure, ModelArgs, StoreArgs};
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};
use starling_console::outln;
use starling_engine::{
    backend::{Backend, LocalBackend},
    chat::Message,
    generate::Cancel,
    rank::{RankerKind, Task},
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
    /// Numbers of 64-token responses to rank together after a cached 256-token prompt
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64], value_name = "N,…")]
    rank: Vec<usize>,
    /// Rankers to use
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [RankerKind::Likelihood, RankerKind::Lift],
        value_name = "RANKER,…"
    )]
    rankers: Vec<RankerKind>,
    /// Runs of each measurement; the median is shown
    #[arg(long, default_value_t = 5, value_name = "N")]
    runs: usize,
}

const PROMPT: usize = 256;
const RESPONSE: usize = 64;

/// Words of prompts, different from those of responses. A response that repeats the prompt, or
/// itself, would be a copy, which costs rankers less.
const ASKED: [&str; 16] = [
    "river", "stone", "light", "market", "window", "letter", "garden", "number", "forest",
    "engine", "planet", "ticket", "pocket", "dinner", "museum", "orange",
];
const ANSWERED: [&str; 16] = [
    "winter", "bridge", "paper", "silver", "doctor", "summer", "island", "record", "cotton",
    "desert", "camera", "family", "street", "violin", "ladder", "harbor",
];

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let path = model_path(store, &args.model.model)?;
    let options = args.model.means.load_options(&path)?;
    match args.model.means.device().of_candle()? {
        None => measure(&LocalBackend::load(&path, &options)?, &args),
        Some(device) => measure(&LocalBackend::load_on(&device, &path, &options)?, &args),
    }
}

fn measure<T: Trunk>(backend: &LocalBackend<T>, args: &Args) -> Result<(), Failure> {
    let stages = args.prefill.len() + 1 + args.rankers.len() * args.rank.len();
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
    let question = [Message::user(text(backend, &ASKED, PROMPT, 0))];
    for &kind in &args.rankers {
        // Puts the prompt into the cache.
        rank(backend, kind, &question, 1, args.runs)?;
        for &n in &args.rank {
            let time = median(&mut |run| rank(backend, kind, &question, n, run))?;
            lines.push(format!(
                "| {kind} of {n} × {RESPONSE} tokens, {PROMPT} cached | {:.1} ms |",
                1e3 * time.as_secs_f64()
            ));
        }
    }
    bar.finish_and_clear();
    outln!("{}", lines.join("\n"));
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// `n` tokens of plain text, different for each `seed`.
fn tokens<T: Trunk>(backend: &LocalBackend<T>, n: usize, seed: usize) -> Vec<TokenId> {
    let vocabulary = backend.tokenizer().len().max(2_000);
    let step = 7 + 2 * (seed % 1_000);
    (0..n)
        .map(|i| (1_000 + (i * step + seed * 31) % (vocabulary - 1_000)) as TokenId)
        .collect()
}

/// Text of about `n` tokens, with the words in another random order for each `seed`.
fn text<T: Trunk>(backend: &LocalBackend<T>, words: &[&str], n: usize, seed: usize) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
    let all: Vec<_> = (0..n)
        .map(|_| words[random.next_u32() as usize % words.len()])
        .collect();
    backend.cut(&all.join(" "), n).to_owned()
}

/// Time to score `n` responses.
fn rank<T: Trunk>(
    backend: &LocalBackend<T>,
    kind: RankerKind,
    question: &[Message],
    n: usize,
    seed: usize,
) -> Result<Duration, Failure> {
    let responses: Vec<_> = (0..n)
        .map(|i| text(backend, &ANSWERED, RESPONSE, seed * n + i))
        .collect();
    let task = Task {
        messages: question,
        responses: &responses,
    };
    let ranker = kind.ranker();
    timed(|| Ok(ranker.rank(backend, task, &Cancel::new()).map(drop)?))
}
