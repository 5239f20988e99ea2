// SPDX-License-Identifier: Apache-2.0
//! `starling-shards speed`: compares pipelines of spans with the unsplit model.

use crate::{
    sealing, spread,
    swarm::{extend, prompts, Swarm},
    table::{OutputArgs, Table},
    Source,
};
use starling_engine::{generate::Cancel, tokenizer::TokenId, LoadOptions, Model, Trunk};
use starling_infer::{cancel_on_interrupt, item_bar, Failure, StoreArgs};
use starling_shards::{seal::TAG, wire::WireFormat, Pipeline, PipelineConfig};
use std::time::{Duration, Instant};

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
    #[arg(short, long, required = true)]
    model: Vec<String>,
    /// Numbers of spans
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3], value_parser = clap::value_parser!(u16).range(1..), value_name = "N,…")]
    spans: Vec<u16>,
    /// Wire format
    #[arg(long, default_value_t, value_name = "CODE")]
    wire: WireFormat,
    /// Milliseconds added to the round trip between any two nodes, measured with the largest number
    /// of spans
    #[arg(long, value_delimiter = ',', default_values_t = [5, 20, 100, 200], value_name = "MS,…")]
    delays: Vec<u64>,
    /// Numbers of sequences computed together, measured with the largest number of spans
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..), value_name = "N")]
    batch: u16,
    /// Tokens of a prompt
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    prompt: u16,
    /// Tokens of each prompt of a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    batch_prompt: u16,
    /// Number of tokens to decode
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    decode: u16,
    /// Number of tokens to decode with added delay
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    delayed_decode: u16,
    /// Number of rounds; each measures everything once, and medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    rounds: u16,
    /// Threads of each node; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// Prints the speed of pipelines of spans beside that of the whole model.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    for name in &args.model {
        let bench = Bench {
            source: Source::open(store, name)?,
            args: &args,
            cancel: &cancel,
        };
        let whole = bench.source.load(&bench.options())?;
        let courses = args
            .spans
            .iter()
            .map(|&spans| Course::start(&bench, spans.into()))
            .collect::<Result<Vec<_>, _>>()?;
        output.write(&bench.spans(&whole, &courses)?)?;
        output.write(&bench.sealing(&courses)?)?;
        if let Some(longest) = courses.iter().max_by_key(|course| course.swarm.servers()) {
            if !args.delays.is_empty() {
                output.write(&bench.delays(longest)?)?;
            }
            output.write(&bench.batches(&whole, longest)?)?;
        }
    }
    Ok(())
}

/// A swarm, and two pipelines over it.
struct Course {
    swarm: Swarm,
    /// Pipeline in which every output goes through the client.
    pipeline: Pipeline,
    /// Pipeline in which servers pass outputs on to each other.
    pushing: Pipeline,
}

impl Course {
    fn start(bench: &Bench<'_>, spans: usize) -> Result<Self, Failure> {
        let swarm = Swarm::start(&bench.source, &bench.options(), spans, 1)?;
        let pipeline = |push_from| {
            swarm.pipeline(PipelineConfig {
                wire: bench.args.wire,
                push_from,
                spot_check: 0.0,
                ..PipelineConfig::default()
            })
        };
        Ok(Self {
            pipeline: pipeline(Duration::MAX),
            pushing: pipeline(Duration::ZERO),
            swarm,
        })
    }

    /// The two pipelines with their names.
    fn ways(&self) -> [(&'static str, &Pipeline); 2] {
        [("client", &self.pipeline), ("server", &self.pushing)]
    }
}

/// Durations of a generation.
#[derive(Clone, Copy)]
struct Timing {
    /// Time to the first tokens.
    first: f64,
    /// Time of a decoding step.
    step: f64,
}

struct Bench<'a> {
    source: Source,
    args: &'a Args,
    cancel: &'a Cancel,
}

impl Bench<'_> {
    fn options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.args.threads,
            ..LoadOptions::default()
        }
    }

    fn prompts(&self, n: usize, len: usize, seed: usize) -> Vec<Vec<TokenId>> {
        prompts(&self.source, n, len, seed)
    }

    /// Computes prompts together, then `steps` greedy tokens of each.
    fn generate<T: Trunk>(
        &self,
        trunk: &T,
        prompts: &[Vec<TokenId>],
        steps: usize,
    ) -> Result<Timing, Failure> {
        // Nodes first drop the sequences of before, which must not be measured.
        extend(trunk, &mut [trunk.session()], &[vec![0]])?;
        let mut sessions: Vec<_> = prompts.iter().map(|_| trunk.session()).collect();
        let started = Instant::now();
        let mut next = extend(trunk, &mut sessions, prompts)?;
        let first = started.elapsed().as_secs_f64();
        let started = Instant::now();
        for _ in 0..steps {
            if self.cancel.is_cancelled() {
                return Err(starling_engine::backend::BackendError::Cancelled.into());
            }
            let new: Vec<_> = next.into_iter().map(|token| vec![token]).collect();
            next = extend(trunk, &mut sessions, &new)?;
        }
        Ok(Timing {
            first,
            step: started.elapsed().as_secs_f64() / steps.max(1) as f64,
        })
    }

    fn spans(&self, whole: &Model, courses: &[Course]) -> Result<Table, Failure> {
        let args = self.args;
        let (prompt, steps) = (args.prompt.into(), usize::from(args.decode));
        let bar = item_bar(format!("{} spans", self.source.label), args.rounds.into());
        let mut unsplit = vec![];
        let pipelines: Vec<_> = courses
            .iter()
            .flat_map(|course| course.ways().map(|(way, pipeline)| (&course.swarm, way, pipeline)))
            // A single span passes nothing on.
            .filter(|(swarm, way, _)| swarm.servers() > 1 || *way == "client")
            .collect();
        let mut split: Vec<Vec<(Timing, u64)>> = vec![vec![]; pipelines.len()];
        for (_, _, pipeline) in &pipelines {
            self.generate(*pipeline, &self.prompts(1, prompt, 0), 2)?;
        }
        self.generate(whole, &self.prompts(1, prompt, 0), 2)?;
        for round in 1..=usize::from(args.rounds) {
            let prompts = self.prompts(1, prompt, round);
            unsplit.push(self.generate(whole, &prompts, steps)?);
            for ((swarm, _, pipeline), timings) in pipelines.iter().zip(&mut split) {
                // Bytes of the prompt alone belong to no token.
                let before = swarm.bytes();
                self.generate(*pipeline, &prompts, 0)?;
                let prefill = swarm.bytes() - before;
                let before = swarm.bytes();
                let timing = self.generate(*pipeline, &prompts, steps)?;
                let bytes = (swarm.bytes() - before).saturating_sub(prefill);
                timings.push((timing, bytes / steps as u64));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut table =
            Table::new(
                format!("speed {}", self.source.label),
                format!(
                "{}: {} tokens after {prompt}, wire {}, {} threads a node, medians of {} rounds \
                 (least – most); ratios within a round",
                self.source.label, steps, args.wire, whole.threads(), args.rounds,
            ),
                &[
                    "spans",
                    "rows go by",
                    "tokens/s",
                    "of unsplit",
                    "overhead a hop, ms",
                    "bytes a token",
                    "first token, ms",
                    "of unsplit",
                ],
            );
        let rates = |t: &Timing| 1.0 / t.step;
        table.row([
            "unsplit".to_owned(),
            "–".to_owned(),
            spread(unsplit.iter().map(rates), 1),
            "1".to_owned(),
            "–".to_owned(),
            "–".to_owned(),
            spread(unsplit.iter().map(|t| 1e3 * t.first), 0),
            "1".to_owned(),
        ]);
        for ((swarm, way, _), timings) in pipelines.iter().zip(&split) {
            let nodes = swarm.servers();
            let pairs = || timings.iter().map(|(timing, _)| timing).zip(&unsplit);
            table.row([
                nodes.to_string(),
                (*way).to_owned(),
                spread(timings.iter().map(|(t, _)| rates(t)), 1),
                spread(pairs().map(|(t, u)| u.step / t.step), 3),
                spread(
                    pairs().map(|(t, u)| 1e3 * (t.step - u.step) / nodes as f64),
                    2,
                ),
                spread(timings.iter().map(|(_, bytes)| *bytes as f64), 0),
                spread(timings.iter().map(|(t, _)| 1e3 * t.first), 0),
                spread(pairs().map(|(t, u)| t.first / u.first), 2),
            ]);
        }
        Ok(table)
    }

    /// The share of a hop that sealing takes.
    fn sealing(&self, courses: &[Course]) -> Result<Table, Failure> {
        let args = self.args;
        let steps = usize::from(args.delayed_decode);
        let batches = [1, usize::from(args.batch)];
        let bar = item_bar(
            format!("{} sealing", self.source.label),
            usize::from(args.rounds) * courses.len() * batches.len(),
        );
        let mut table = Table::new(
            format!("speed-sealing {}", self.source.label),
            format!(
                "{}: sealing and opening of a message and its answer, wire {}, beside the hop that \
                 they are a part of: a decoding step of the batch divided by the spans; {steps} \
                 steps after {} tokens, medians of {} rounds (least – most); shares within a round",
                self.source.label, args.wire, args.batch_prompt, args.rounds,
            ),
            &[
                "spans",
                "batch",
                "bytes of rows",
                "bytes sealed",
                "sealing, ms",
                "sealing a row, µs",
                "hop, ms",
                "hop without sealing, ms",
                "share of the hop",
            ],
        );
        let chunk = PipelineConfig::default().chunk_rows;
        for course in courses {
            let width = course.pipeline.ends().config().width;
            let spans = course.swarm.servers() as f64;
            for batch in batches {
                // A step of a large batch takes several messages.
                let messages = batch.div_ceil(chunk);
                let bare = args.wire.bytes(batch.div_ceil(messages), width);
                let mut rounds = vec![];
                for round in 1..=usize::from(args.rounds) {
                    let prompts = self.prompts(batch, args.batch_prompt.into(), 3_000 + round);
                    let timing = self.generate(&course.pipeline, &prompts, steps)?;
                    let sealing = sealing::seconds(bare)? * messages as f64;
                    rounds.push((sealing, timing.step / spans));
                    bar.inc(1);
                }
                let of = |value: fn(&(f64, f64)) -> f64, digits| {
                    spread(rounds.iter().map(value), digits)
                };
                table.row([
                    course.swarm.servers().to_string(),
                    batch.to_string(),
                    (2 * messages * bare).to_string(),
                    (2 * messages * (bare + TAG)).to_string(),
                    of(|(sealing, _)| 1e3 * sealing, 4),
                    spread(rounds.iter().map(|(s, _)| 1e6 * s / batch as f64), 2),
                    of(|(_, hop)| 1e3 * hop, 3),
                    of(|(sealing, hop)| 1e3 * (hop - sealing), 3),
                    of(|(sealing, hop)| sealing / hop, 4),
                ]);
            }
        }
        bar.finish_and_clear();
        Ok(table)
    }

    fn delays(&self, course: &Course) -> Result<Table, Failure> {
        let args = self.args;
        let steps = usize::from(args.delayed_decode);
        let batches = [1, usize::from(args.batch)];
        let delays: Vec<_> = [0].into_iter().chain(args.delays.iter().copied()).collect();
        let bar = item_bar(
            format!("{} delays", self.source.label),
            usize::from(args.rounds) * delays.len() * batches.len() * course.ways().len(),
        );
        let cases: Vec<_> = batches
            .iter()
            .flat_map(|&batch| course.ways().map(|(way, pipeline)| (batch, way, pipeline)))
            .collect();
        // Steps a second: by batch and way, by delay, by round.
        let mut rates = vec![vec![vec![]; delays.len()]; cases.len()];
        for round in 1..=usize::from(args.rounds) {
            for (&(batch, _, pipeline), rates) in cases.iter().zip(&mut rates) {
                for (&delay, rates) in delays.iter().zip(rates) {
                    course.swarm.delay(delay);
                    let prompts = self.prompts(batch, args.batch_prompt.into(), 1_000 + round);
                    let timing = self.generate(pipeline, &prompts, steps)?;
                    rates.push(1.0 / timing.step);
                    bar.inc(1);
                }
            }
        }
        course.swarm.delay(0);
        bar.finish_and_clear();
        let mut table = Table::new(
            format!("speed-delays {}", self.source.label),
            format!(
                "{}: {} spans, wire {}, delay added to each round trip between nodes; {} steps \
                 after {} tokens, medians of {} rounds. Petals (arXiv 2209.01188, BLOOM-176B on \
                 3 A100, batch 1): 1.71 steps/s below 5 ms, 1.23 at 100 ms, 72 % kept",
                self.source.label,
                course.swarm.servers(),
                args.wire,
                steps,
                args.batch_prompt,
                args.rounds,
            ),
            &[
                "batch",
                "rows go by",
                "added round trip, ms",
                "steps/s",
                "tokens/s",
                "share kept",
                "added to a step, ms",
            ],
        );
        for ((batch, way, _), rates) in cases.iter().zip(&rates) {
            let Some(undelayed) = rates.first() else {
                continue;
            };
            for (delay, rates) in delays.iter().zip(rates) {
                let pairs = || rates.iter().zip(undelayed);
                table.row([
                    batch.to_string(),
                    (*way).to_owned(),
                    delay.to_string(),
                    spread(rates.iter().copied(), 2),
                    spread(rates.iter().map(|rate| rate * *batch as f64), 1),
                    spread(pairs().map(|(rate, undelayed)| rate / undelayed), 3),
                    spread(
                        pairs().map(|(rate, undelayed)| 1e3 / rate - 1e3 / undelayed),
                        1,
                    ),
                ]);
            }
        }
        Ok(table)
    }

    fn batches(&self, whole: &Model, course: &Course) -> Result<Table, Failure> {
        let args = self.args;
        let len = usize::from(args.batch_prompt);
        let batches = [1, usize::from(args.batch)];
        let delay = args.delays.iter().copied().filter(|&ms| ms <= 100).max();
        let bar = item_bar(format!("{} batches", self.source.label), args.rounds.into());
        // Tokens a second of the unsplit model, the pipeline, and the pipeline with delay.
        let mut rates: Vec<[Vec<f64>; 3]> = vec![Default::default(); batches.len()];
        for round in 1..=usize::from(args.rounds) {
            for (&batch, [unsplit, split, delayed]) in batches.iter().zip(&mut rates) {
                let prompts = self.prompts(batch, len, 2_000 + round);
                let tokens = (batch * len) as f64;
                unsplit.push(tokens / self.generate(whole, &prompts, 0)?.first);
                split.push(tokens / self.generate(&course.pipeline, &prompts, 0)?.first);
                if let Some(delay) = delay {
                    course.swarm.delay(delay);
                    delayed.push(tokens / self.generate(&course.pipeline, &prompts, 0)?.first);
                    course.swarm.delay(0);
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut table = Table::new(format!("speed-batches {}", self.source.label), 
            format!(
                "{}: prefill of {len} tokens for each sequence of a batch, to the first tokens, {} spans, \
                 wire {}, medians of {} rounds",
                self.source.label, course.swarm.servers(), args.wire, args.rounds,
            ),
            &["model", "batch", "tokens/s", "of batch 1", "of unsplit"],
        );
        let delayed = delay.map(|ms| format!("split, +{ms} ms round trip"));
        let labels = ["unsplit".to_owned(), "split".to_owned()];
        for (which, label) in labels.into_iter().chain(delayed).enumerate() {
            for (batch, measured) in batches.iter().zip(&rates) {
                let of = |m: &[Vec<f64>; 3]| m.get(which).cloned().unwrap_or_default();
                let single = rates.first().map(of).unwrap_or_default();
                let [unsplit, ..] = measured;
                let ratio = |base: &[f64]| {
                    let pairs = of(measured);
                    spread(pairs.iter().zip(base).map(|(rate, base)| rate / base), 2)
                };
                table.row([
                    label.clone(),
                    batch.to_string(),
                    spread(of(measured), 0),
                    ratio(&single),
                    ratio(unsplit),
                ]);
            }
        }
        Ok(table)
    }
}
