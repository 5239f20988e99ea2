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
    /// The question or text; read from standard input if missing
    prompt: Option<String>,
    /// Draft model: a smaller model with the same tokenizer, by name or path. The text is the same
    #[arg(long, value_name = "MODEL", conflicts_with = "endpoint")]
    draft: Option<String>,
    /// Number of tokens that the draft model drafts before each pass [default: as many as save time
    /// where round trips are long, and none on this machine]
    #[arg(long, value_name = "N", requires = "draft")]
    drafted: Option<u16>,
    /// System prompt
    #[arg(long)]
    system: Option<String>,
    /// Continue the text as it is, without chat template
    #[arg(long, conflicts_with = "system")]
    raw: bool,
    /// Maximum number of tokens to generate
    #[arg(short = 'n', long, default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// Stop before this text (may be repeated)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Temperature; 0 always takes the most probable token
    #[arg(long, default_value_t = Sampling::default().temperature)]
    temperature: f32,
    /// Sample only from the K most probable tokens; 0 means all
    #[arg(long, default_value_t = Sampling::default().top_k, value_name = "K")]
    top_k: usize,
    /// Sample only from the most probable tokens that reach this probability together
    #[arg(long, default_value_t = Sampling::default().top_p, value_name = "P")]
    top_p: f32,
    /// Sample only from tokens with at least this share of the best one's probability
    #[arg(long, default_value_t = Sampling::default().min_p, value_name = "P")]
    min_p: f32,
    /// Penalty for repeated tokens; 1 means none
    #[arg(long, default_value_t = Sampling::default().repetition_penalty, value_name = "X")]
    repetition_penalty: f32,
    /// Seed; the same seed gives the same tokens
    #[arg(long, default_value_t = Sampling::default().seed)]
    seed: u64,
    /// Print statistics to standard error at the end
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
    // Validates before loading the model, which takes longer.
    sampling.validate()?;
    let text = text_or_stdin(args.prompt)?;
    if text.trim().is_empty() {
        return Err(BackendError::EmptyPrompt.into());
    }
    let backend = match &args.draft {
        Some(draft) => {
            let draft = args.model.means.draft(store, draft)?;
            let draft = match args.drafted {
                Some(tokens) => draft.always(tokens.into()),
                None => draft,
            };
            args.model.backend_with_draft(store, draft)?
        },
        None => args.model.backend(store)?,
    };
    let options = GenerateOptions {
        max_tokens: args.max_tokens,
        stop: args.stop,
        sampling,
        ..GenerateOptions::default()
    };
    let cancel = cancel_on_interrupt()?;
    let mut out = std::io::stdout().lock();
    let mut broken = None;
    let mut print = |piece: &str| {
        if let Err(error) = out.write_all(piece.as_bytes()).and_then(|()| out.flush()) {
            // The reader has gone.
            broken.get_or_insert(error);
            cancel.cancel();
        }
    };
    let done = if args.raw {
        backend.generate(&Prompt::data(text), &options, &cancel, &mut print)?
    } else {
        let system = args.system.map(Message::system);
        let messages: Vec<_> = system.into_iter().chain([Message::user(text)]).collect();
        backend.reply(&messages, &options, &cancel, &mut print)?
    };
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
        if args.draft.is_some() {
            eprintln!(
                "guessed: {} of {} tokens right, {} passes",
                done.guessed_right, done.guessed, done.passes
            );
        }
    }
    match done.finish {
        Finish::Cancelled => Err(BackendError::Cancelled.into()),
        _ => Ok(()),
    }
}
