// SPDX-License-Identifier: Apache-2.0
//! `starling-shards recover`: measures the cost of a server's failure for a sequence.

use crate::{
    quantile, sorted, spread,
    swarm::{extend, prompts, Swarm},
    table::{OutputArgs, Table},
    Source,
};
use starling_engine::{generate::Cancel, tokenizer::TokenId, LoadOptions, Trunk};
use starling_infer::{cancel_on_interrupt, item_bar, Failure, StoreArgs};
use starling_shards::{transport::Peer, wire::WireFormat, PipelineConfig};
use std::time::Instant;

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
    #[arg(short, long, required = true)]
    model: Vec<String>,
    /// Number of spans, each held by two nodes; a server of the middle one fails
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100), value_name = "N")]
    spans: u16,
    /// Wire format
    #[arg(long, default_value_t, value_name = "CODE")]
    wire: WireFormat,
    /// Milliseconds added to the round trip between any two nodes
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100], value_name = "MS,…")]
    delays: Vec<u64>,
    /// Tokens of the prompt, which the replacement must replay
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512], value_parser = clap::value_parser!(u16).range(1..), value_name = "N,…")]
    prompts: Vec<u16>,
    /// Number of tokens to decode; the server fails after half of them
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(4..), value_name = "N")]
    decode: u16,
    /// Number of rounds; each measures everything once, and medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    rounds: u16,
    /// Threads of each node; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// A kind of failure of a server.
#[derive(Clone, Copy)]
enum Fault {
    /// The server dies with a computed answer, and its connections break.
    Killed,
    /// The server stops answering, and its connections stay.
    Silent,
}

impl Fault {
    const ALL: [Self; 2] = [Self::Killed, Self::Silent];

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Silent => "silent",
        }
    }

    fn strike(self, swarm: &Swarm, peer: &Peer) {
        match self {
            Self::Killed => {
                let (network, dying) = (swarm.network.clone(), peer.clone());
                swarm.network.corrupt(peer, move |answer| {
                    answer.clear();
                    network.kill(&dying);
                });
            },
            Self::Silent => swarm.network.pause(peer),
        }
    }
}

/// One generation with a failure. Times are in milliseconds.
struct Outcome {
    /// Median of the other steps.
    step: f64,
    /// Duration of the step in which the server failed.
    failed: f64,
    /// Time from the detection of the failure to the end of that step.
    recovery: f64,
    replayed: f64,
    tokens: Vec<TokenId>,
}

/// Prints the time that a pipeline needs to replace a server.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    for name in &args.model {
        let bench = Bench {
            source: Source::open(store, name)?,
            args: &args,
            cancel: &cancel,
        };
        output.write(&bench.table()?)?;
    }
    Ok(())
}

struct Bench<'a> {
    source: Source,
    args: &'a Args,
    cancel: &'a Cancel,
}

impl Bench<'_> {
    fn table(&self) -> Result<Table, Failure> {
        let (args, source) = (self.args, &self.source);
        let options = LoadOptions {
            threads: args.threads,
            ..LoadOptions::default()
        };
        let whole = source.load(&options)?;
        let mut table = Table::new(format!("recover {}", source.label), 
            format!(
                "{}: {} spans, each held by two nodes, wire {}, {} threads a node; a server of the middle \
                 span fails; medians of {} rounds (least – most)",
                source.label,
                args.spans,
                args.wire,
                whole.threads(),
                args.rounds,
            ),
            &[
                "server",
                "tokens of the prompt",
                "added round trip, ms",
                "a step otherwise, ms",
                "the step of the failure, ms",
                "until the failure is known, ms",
                "until the pipeline has gone on, ms",
                "rows replayed",
                "tokens as without failure",
            ],
        );
        let cases = Fault::ALL.len() * args.prompts.len() * args.delays.len();
        let bar = item_bar(source.label.clone(), cases * usize::from(args.rounds));
        for fault in Fault::ALL {
            for &prompt in &args.prompts {
                for &delay in &args.delays {
                    let (mut outcomes, mut same) = (vec![], 0);
                    for round in 1..=usize::from(args.rounds) {
                        let prompt = prompts(source, 1, prompt.into(), round);
                        let mut expected = vec![];
                        self.generate(&whole, &prompt, &mut expected, |_| ())?;
                        let outcome = self.fail(&options, fault, &prompt, delay)?;
                        same += usize::from(outcome.tokens == expected);
                        outcomes.push(outcome);
                        bar.inc(1);
                    }
                    let of = |value: fn(&Outcome) -> f64| spread(outcomes.iter().map(value), 1);
                    table.row([
                        fault.name().to_owned(),
                        prompt.to_string(),
                        delay.to_string(),
                        of(|o| o.step),
                        of(|o| o.failed),
                        of(|o| o.failed - o.recovery),
                        of(|o| o.recovery),
                        spread(outcomes.iter().map(|o| o.replayed), 0),
                        format!("{same} of {}", outcomes.len()),
                    ]);
                }
            }
        }
        bar.finish_and_clear();
        Ok(table)
    }

    /// Generates, and makes a server fail halfway.
    fn fail(
        &self,
        options: &LoadOptions,
        fault: Fault,
        prompt: &[Vec<TokenId>],
        delay: u64,
    ) -> Result<Outcome, Failure> {
        let swarm = Swarm::start(&self.source, options, self.args.spans.into(), 2)?;
        swarm.delay(delay);
        let pipeline = swarm.pipeline(PipelineConfig {
            wire: self.args.wire,
            // On a busy machine a server may look like a straggler, and be replaced before it
            // fails.
            replan: false,
            spot_check: 0.0,
            ..PipelineConfig::default()
        });
        let half = usize::from(self.args.decode) / 2;
        let mut struck = None;
        let mut tokens = vec![];
        let mut times = self.generate(&pipeline, prompt, &mut tokens, |step| {
            if step == half {
                let route = pipeline.route();
                struck = route.get(route.len() / 2).map(|(_, peer)| peer.clone());
                if let Some(peer) = &struck {
                    fault.strike(&swarm, peer);
                }
            }
        })?;
        if let Some(peer) = &struck {
            swarm.network.resume(peer);
        }
        let metrics = swarm.service.metrics();
        if metrics.recovery_seconds.get_sample_count() == 0 {
            return Err("the server's failure made no difference".into());
        }
        let failed = times.remove(half);
        Ok(Outcome {
            step: quantile(&sorted(times), 0.5),
            failed,
            recovery: 1e3 * metrics.recovery_seconds.get_sample_sum(),
            replayed: metrics.replayed_rows.get(),
            tokens,
        })
    }

    /// Decodes greedy tokens after a prompt, and calls `before` before each step. Returns the
    /// durations of the steps in milliseconds.
    fn generate<T: Trunk>(
        &self,
        trunk: &T,
        prompt: &[Vec<TokenId>],
        tokens: &mut Vec<TokenId>,
        mut before: impl FnMut(usize),
    ) -> Result<Vec<f64>, Failure> {
        let mut sessions = [trunk.session()];
        let mut next = extend(trunk, &mut sessions, prompt)?;
        let mut times = vec![];
        for step in 0..self.args.decode.into() {
            if self.cancel.is_cancelled() {
                return Err(starling_engine::backend::BackendError::Cancelled.into());
            }
            before(step);
            let started = Instant::now();
            tokens.extend_from_slice(&next);
            next = extend(trunk, &mut sessions, &[next])?;
            times.push(1e3 * started.elapsed().as_secs_f64());
        }
        tokens.extend(next);
        Ok(times)
    }
}
