// SPDX-License-Identifier: Apache-2.0
//! `starling-shards guesses`: what guessed tokens save a pipeline with network delay.

use std::path::PathBuf;

use starling_engine::{
    backend::{Backend, BackendError, LocalBackend},
    generate::{Cancel, GenerateOptions, Generation},
    prompt::Prompt,
    sampling::Sampling,
    tokenizer::Tokenizer,
    LoadOptions,
};
use starling_infer::{cancel_on_interrupt, item_bar, Failure, StoreArgs};
use starling_shards::{Pipeline, PipelineConfig};

use crate::{
    spread,
    swarm::Swarm,
    table::{OutputArgs, Table},
    Source,
};

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
    #[arg(short, long, required = true)]
    model: Vec<String>,
    /// Folder with the evaluation data; the contexts of HellaSwag are the prompts
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Number of prompts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    prompts: u16,
    /// Number of spans
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    spans: u16,
    /// Milliseconds added to the round trip between any two nodes
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20, 100], value_name = "MS,…")]
    delays: Vec<u64>,
    /// Temperatures; 0 draws the most probable token
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.7], value_name = "T,…")]
    temperatures: Vec<f32>,
    /// Number of tokens to decode
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    decode: u16,
    /// Threads of each node; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// Prints tokens a second with and without guesses, and their ratio on the same prompt.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    for name in &args.model {
        let source = Source::open(store, name)?;
        let options = LoadOptions {
            threads: args.threads,
            ..LoadOptions::default()
        };
        let swarm = Swarm::start(&source, &options, args.spans.into(), 1)?;
        let backend = |guesses| {
            let pipeline = swarm.pipeline(PipelineConfig {
                guesses,
                remembered: 0,
                ..PipelineConfig::default()
            });
            let tokenizer = Tokenizer::from_gguf(source.gguf.metadata())?;
            let backend = LocalBackend::new(source.label.clone(), pipeline, tokenizer)?;
            Ok::<_, Failure>(backend)
        };
        let bench = Bench {
            with: backend(PipelineConfig::default().guesses)?,
            without: backend(0)?,
            source,
            swarm,
            args: &args,
            cancel: &cancel,
        };
        output.write(&bench.table()?)?;
    }
    Ok(())
}

struct Bench<'a> {
    source: Source,
    swarm: Swarm,
    with: LocalBackend<Pipeline>,
    without: LocalBackend<Pipeline>,
    args: &'a Args,
    cancel: &'a Cancel,
}

/// Both ways of one text.
struct Pair {
    with: Generation,
    without: Generation,
}

impl Pair {
    fn rates(&self) -> [f64; 2] {
        [&self.without, &self.with].map(rate)
    }
}

/// Tokens a second after the first one.
fn rate(generation: &Generation) -> f64 {
    generation.tokens.len().saturating_sub(1) as f64 / generation.decode.as_secs_f64()
}

impl Bench<'_> {
    fn table(&self) -> Result<Table, Failure> {
        let prompts = self
            .source
            .contexts(&self.args.data, self.args.prompts.into())?;
        let cases = self.args.temperatures.len() * self.args.delays.len();
        let bar = item_bar(
            format!("{} guesses", self.source.label),
            cases * prompts.len(),
        );
        let mut table = Table::new(
            format!("guesses {}", self.source.label),
            format!(
                "{}: {} spans, {} tokens after each of {} prompts, with at most {} guesses a pass; \
                 medians (least – most)",
                self.source.label,
                self.args.spans,
                self.args.decode,
                prompts.len(),
                PipelineConfig::default().guesses,
            ),
            &[
                "temperature",
                "added, ms",
                "tokens/s without",
                "with guesses",
                "ratio",
                "tokens a pass",
            ],
        );
        for &temperature in &self.args.temperatures {
            for &delay in &self.args.delays {
                self.swarm.delay(delay);
                let mut pairs = vec![];
                for (seed, prompt) in prompts.iter().enumerate() {
                    pairs.push(self.pair(prompt, temperature, seed as u64)?);
                    bar.inc(1);
                }
                let of = |which: usize| {
                    pairs
                        .iter()
                        .filter_map(move |p| p.rates().get(which).copied())
                };
                let ratio = pairs
                    .iter()
                    .map(|pair| rate(&pair.with) / rate(&pair.without));
                let a_pass = |pair: &Pair| {
                    let later = pair.with.tokens.len().saturating_sub(1);
                    later as f64 / pair.with.passes.max(1) as f64
                };
                table.row([
                    temperature.to_string(),
                    delay.to_string(),
                    spread(of(0), 1),
                    spread(of(1), 1),
                    spread(ratio, 2),
                    spread(pairs.iter().map(a_pass), 2),
                ]);
            }
        }
        self.swarm.delay(0);
        bar.finish_and_clear();
        Ok(table)
    }

    /// The same text both ways, in turns.
    fn pair(&self, prompt: &str, temperature: f32, seed: u64) -> Result<Pair, Failure> {
        let options = GenerateOptions {
            max_tokens: self.args.decode.into(),
            stop: vec![],
            sampling: Sampling {
                temperature,
                seed,
                ..Sampling::default()
            },
        };
        let generate = |backend: &LocalBackend<Pipeline>| {
            let prompt = Prompt::data(prompt);
            let done = backend.generate(&prompt, &options, self.cancel, &mut |_| {})?;
            match self.cancel.is_cancelled() {
                true => Err(BackendError::Cancelled),
                false => Ok(done),
            }
        };
        let pair = Pair {
            without: generate(&self.without)?,
            with: generate(&self.with)?,
        };
        if pair.with.tokens != pair.without.tokens {
            return Err("guesses changed a text".into());
        }
        Ok(pair)
    }
}
