// SPDX-License-Identifier: Apache-2.0
//! `starling-infer generate`.

use crate::common::{cancel_on_interrupt, text_or_stdin, Failure, ModelArgs, StoreArgs};
use starling_engine::{
    backend::BackendError,
    chat::Message,
    generate::{Finish, GenerateOptions},
    prompt::Prompt,
    sampling::Sampling,
};
use std::io::Write;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The question or text; standard input without it
    prompt: Option<String>,
    /// Standing instructions
    #[arg(long)]
    system: Option<String>,
    /// Go on with the text as it is, without chat template
    #[arg(long, conflicts_with = "system")]
    raw: bool,
    /// The most tokens to generate
    #[arg(short = 'n', long, default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// End before this text (may be repeated)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// 0 takes the most probable token always
    #[arg(long, default_value_t = Sampling::default().temperature)]
    temperature: f32,
    /// Only the K most probable tokens; 0 for all
    #[arg(long, default_value_t = Sampling::default().top_k, value_name = "K")]
    top_k: usize,
    /// Only the most probable tokens that reach this probability together
    #[arg(long, default_value_t = Sampling::default().top_p, value_name = "P")]
    top_p: f32,
    /// Only tokens this many times as probable as the best
    #[arg(long, default_value_t = Sampling::default().min_p, value_name = "P")]
    min_p: f32,
    /// Above 1: say less often what was said before
    #[arg(long, default_value_t = Sampling::default().repetition_penalty, value_name = "X")]
    repetition_penalty: f32,
    /// Same seed, same tokens
    #[arg(long, default_value_t = Sampling::default().seed)]
    seed: u64,
    /// Print figures to standard error at the end
    #[arg(long)]
    stats: bool,
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repetition_penalty: args.repetition_penalty,
        seed: args.seed,
        ..Sampling::default()
    };
    // Before the model is loaded, which takes longer.
    sampling.validate()?;
    let text = text_or_stdin(args.prompt)?;
    if text.trim().is_empty() {
        return Err(BackendError::EmptyPrompt.into());
    }
    let backend = args.model.backend(store)?;
    let mut options = GenerateOptions {
        max_tokens: args.max_tokens,
        stop: args.stop,
        sampling,
    };
    let prompt = if args.raw {
        Prompt::data(text)
    } else {
        options.stop.extend(
            backend
                .chat()
                .stop_strings()
                .iter()
                .map(|&stop| stop.into()),
        );
        let system = args.system.map(Message::system);
        let messages: Vec<_> = system.into_iter().chain([Message::user(text)]).collect();
        backend.chat().render(&messages, true)?
    };
    let cancel = cancel_on_interrupt()?;
    let mut out = std::io::stdout().lock();
    let mut broken = None;
    let done = backend.generate(&prompt, &options, &cancel, &mut |piece| {
        if let Err(error) = out.write_all(piece.as_bytes()).and_then(|()| out.flush()) {
            // Nobody reads on.
            broken.get_or_insert(error);
            cancel.cancel();
        }
    })?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    writeln!(out)?;
    if args.stats {
        let rate = |tokens: usize, time: std::time::Duration| tokens as f64 / time.as_secs_f64();
        let n = done.tokens.len();
        if let Some(prompt) = done.prompt_tokens {
            eprintln!(
                "prompt: {prompt} tokens, {:.1} tokens/s",
                rate(prompt, done.prefill)
            );
        }
        eprintln!(
            "generated: {n} tokens, {:.1} tokens/s; ended by {:?}",
            rate(n.saturating_sub(1), done.decode),
            done.finish
        );
    }
    match done.finish {
        Finish::Cancelled => Err(BackendError::Cancelled.into()),
        _ => Ok(()),
    }
}
