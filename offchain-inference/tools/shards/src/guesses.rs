// SPDX-License-Identifier: Apache-2.0
//! `starling-shards guesses`: what guessed tokens save a pipeline with network delay.

use std::path::PathBuf;

use starling_engine::{
    backend::{Backend, BackendError, DraftModel, LocalBackend},
    generate::{Cancel, GenerateOptions, Generation},
    prompt::Prompt,
    sampling::Sampling,
    tokenizer::Tokenizer,
    LoadOptions,
};
use starling_infer::{
    cancel_on_interrupt, evaluate::model_label, item_bar, model_path, Failure, StoreArgs,
};
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
    /// Draft model with the tokenizer of the models, of the store or as a path; measured, too
    #[arg(long, value_name = "MODEL")]
    draft: Option<String>,
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

/// Tokens that are decoded after a change of the delay before anything is measured, so that the
/// client knows the new times.
const WARM_UP: usize = 16;

/// Prints tokens a second without guesses, with prompt lookup and with a draft model, and the ratio
/// to those without on the same prompt.
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
        let most = PipelineConfig::default().guesses;
        let mut ways = vec![
            Way::new("none", backend(0)?),
            Way::new("lookup", backend(most)?),
        ];
        if let Some(draft) = &args.draft {
            let draft = DraftModel::load(&model_path(store, draft)?, &options)?;
            ways.push(Way::new("draft model", backend(most)?.with_draft(draft)?));
        }
        let bench = Bench {
            ways,
            source,
            swarm,
            args: &args,
            cancel: &cancel,
        };
        output.write(&bench.table()?)?;
    }
    Ok(())
}

/// A way to guess tokens.
struct Way {
    name: &'static str,
    backend: LocalBackend<Pipeline>,
}

impl Way {
    fn new(name: &'static str, backend: LocalBackend<Pipeline>) -> Self {
        Self { name, backend }
    }
}

struct Bench<'a> {
    source: Source,
    swarm: Swarm,
    /// The first way makes no guesses.
    ways: Vec<Way>,
    args: &'a Args,
    cancel: &'a Cancel,
}

/// Tokens a second after the first one.
fn rate(generation: &Generation) -> f64 {
    generation.tokens.len().saturating_sub(1) as f64 / generation.decode.as_secs_f64()
}

/// Tokens after the first one for each pass.
fn a_pass(generation: &Generation) -> f64 {
    let later = generation.tokens.len().saturating_sub(1);
    later as f64 / generation.passes.max(1) as f64
}

/// The guesses of all texts and those that were right.
fn right<'a>(generations: impl Iterator<Item = &'a Generation>) -> String {
    let (right, all) = generations.fold((0, 0), |(right, all), generation| {
        (right + generation.guessed_right, all + generation.guessed)
    });
    format!("{right} of {all}")
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
            self.title(prompts.len()),
            &[
                "temperature",
                "added, ms",
                "guesses by",
                "tokens/s",
                "ratio to none",
                "tokens a pass",
                "guesses right",
            ],
        );
        for &temperature in &self.args.temperatures {
            for &delay in &self.args.delays {
                self.swarm.delay(delay);
                if let Some(prompt) = prompts.first() {
                    self.texts(prompt, temperature, 0, WARM_UP)?;
                }
                // For each prompt, the same text by each way.
                let mut texts = vec![];
                for (seed, prompt) in prompts.iter().enumerate() {
                    let decode = self.args.decode.into();
                    texts.push(self.texts(prompt, temperature, seed as u64, decode)?);
                    bar.inc(1);
                }
                for (at, way) in self.ways.iter().enumerate() {
                    let own = || texts.iter().filter_map(move |text| text.get(at));
                    let none = texts.iter().filter_map(|text| text.first());
                    let ratio = own().zip(none).map(|(own, none)| rate(own) / rate(none));
                    table.row([
                        temperature.to_string(),
                        delay.to_string(),
                        way.name.to_owned(),
                        spread(own().map(rate), 1),
                        spread(ratio, 2),
                        spread(own().map(a_pass), 2),
                        right(own()),
                    ]);
                }
            }
        }
        self.swarm.delay(0);
        bar.finish_and_clear();
        Ok(table)
    }

    fn title(&self, prompts: usize) -> String {
        let draft = match &self.args.draft {
            Some(draft) => format!(" and the draft model {}", model_label(draft)),
            None => String::new(),
        };
        format!(
            "{}: {} spans, {} tokens after each of {prompts} prompts, with at most {} guesses a \
             pass{draft}; medians (least – most)",
            self.source.label,
            self.args.spans,
            self.args.decode,
            PipelineConfig::default().guesses,
        )
    }

    /// The same text by each way, in turns.
    fn texts(
        &self,
        prompt: &str,
        temperature: f32,
        seed: u64,
        max_tokens: usize,
    ) -> Result<Vec<Generation>, Failure> {
        let options = GenerateOptions {
            max_tokens,
            sampling: Sampling {
                temperature,
                seed,
                ..Sampling::default()
            },
            ..GenerateOptions::default()
        };
        let prompt = Prompt::data(prompt);
        let mut texts: Vec<Generation> = vec![];
        for way in &self.ways {
            let done = way
                .backend
                .generate(&prompt, &options, self.cancel, &mut |_| {})?;
            if self.cancel.is_cancelled() {
                return Err(BackendError::Cancelled.into());
            }
            if texts.first().is_some_and(|none| none.tokens != done.tokens) {
                return Err(format!("guesses by {} changed a text", way.name).into());
            }
            texts.push(done);
        }
        Ok(texts)
    }
}
