// SPDX-License-Identifier: Apache-2.0
//! `starling-shards wires`: measures the cost and the errors of each wire format.

use crate::{
    even_spans, mean, quantile, sorted,
    split::{carry, Split},
    table::{OutputArgs, Table},
    Source,
};
use starling_engine::{
    backend::{Backend, LocalBackend},
    generate::{Cancel, GenerateOptions},
    prompt::Prompt,
    sampling::Sampling,
    tokenizer::{TokenId, Tokenizer},
    Hidden, Input, LoadOptions, Model, Step, Trunk,
};
use starling_evaluation::{evaluate, Items, Task};
use starling_infer::{cancel_on_interrupt, item_bar, Failure, StoreArgs};
use starling_shards::{
    integrity::{difference, Difference},
    wire::WireFormat,
};
use std::path::PathBuf;

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
    #[arg(short, long, required = true)]
    model: Vec<String>,
    /// Folder of the evaluation data; texts are HellaSwag's contexts
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Wire formats [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CODE,…")]
    wires: Vec<WireFormat>,
    /// Number of spans to cut the model into, for tokens and accuracy; states are coded before,
    /// between and after them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    spans: u16,
    /// Number of cuts at which errors are measured, spread evenly from the first layer to after the
    /// last
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(2..), value_name = "N")]
    cuts: u16,
    /// Number of texts to measure errors on
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    texts: u16,
    /// Number of prompts to generate from
    #[arg(long, default_value_t = 16, value_name = "N")]
    prompts: usize,
    /// Number of tokens to generate from each prompt
    #[arg(long, default_value_t = 48, value_name = "N")]
    tokens: usize,
    /// Task sets for accuracy
    #[arg(long, value_delimiter = ',', default_values_t = [Task::HellaSwag, Task::Lambada], value_name = "TASK,…")]
    tasks: Vec<Task>,
    /// Maximum number of items of each set; 0 skips the tasks
    #[arg(long, default_value_t = 200, value_name = "N")]
    limit: usize,
    /// Threads; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// Prints the bytes, error, changed tokens and accuracy of each wire format.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    let wires = if args.wires.is_empty() {
        WireFormat::ALL.to_vec()
    } else {
        args.wires.clone()
    };
    let sets = args
        .tasks
        .iter()
        .map(|&task| Ok((task, task.load(&args.data, args.limit)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    for name in &args.model {
        let source = Source::open(store, name)?;
        let options = LoadOptions {
            threads: args.threads,
            ..LoadOptions::default()
        };
        let model = source.load(&options)?;
        output.write(&errors(&source, &model, &args, &wires)?)?;
        let spans = even_spans(model.config().layers, args.spans.into());
        let backend = |wire| {
            let split = Split::new(model.clone(), spans.clone(), wire);
            // Opened again, because a backend owns its tokenizer.
            let tokenizer = Tokenizer::from_gguf(source.gguf.metadata())?;
            LocalBackend::new(source.label.clone(), split, tokenizer).map_err(Failure::from)
        };
        if args.prompts > 0 && args.tokens > 0 {
            output.write(&tokens(&source, &backend, &args, &wires, &cancel)?)?;
        }
        if args.limit > 0 {
            output.write(&accuracy(&source, &backend, &args, &wires, &sets, &cancel)?)?;
        }
    }
    Ok(())
}

/// Errors of one transfer at several cuts.
fn errors(
    source: &Source,
    model: &Model,
    args: &Args,
    wires: &[WireFormat],
) -> Result<Table, Failure> {
    let texts = source.texts(&args.data, args.texts.into(), 256)?;
    let segments = even_spans(model.config().layers, usize::from(args.cuts) - 1);
    let bar = item_bar(format!("{} errors", source.label), texts.len());
    // Rows of all texts before each segment and after the last.
    let mut cuts: Vec<Vec<f32>> = vec![vec![]; segments.len() + 1];
    let width = model.config().width;
    for text in &texts {
        let mut state = model.embed(text)?;
        let mut keep = |cut: usize, state: &Hidden| {
            if let Some(rows) = cuts.get_mut(cut) {
                rows.extend_from_slice(state.as_slice());
            }
        };
        keep(0, &state);
        for (i, segment) in segments.iter().enumerate() {
            let mut session = model.session();
            let input = Input::Hidden(&state);
            let mut step = [Step {
                session: &mut session,
                input,
            }];
            let outputs = model.forward_layers(segment.clone(), &mut step)?;
            state = outputs.into_iter().next().ok_or("no output")?;
            keep(i + 1, &state);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut table = Table::new(
        format!("wires-error {}", source.label),
        format!(
            "{}: error of one transfer, ‖x − x̂‖ / ‖x‖ of each of {} rows (tokens)",
            source.label,
            texts.iter().map(Vec::len).sum::<usize>(),
        ),
        &[
            "before layer",
            "wire",
            "bytes a token",
            "mean error",
            "99 % of rows below",
            "largest",
            "peak / RMS of a row, median",
        ],
    );
    let borders = segments
        .iter()
        .map(|s| s.start)
        .chain([model.config().layers]);
    for (border, rows) in borders.zip(&cuts) {
        let state = Hidden::new(width, rows.clone())?;
        let peaks = sorted(rows.chunks_exact(width).map(peak_to_rms).collect());
        for &wire in wires {
            let arrived = carry(wire, &state)?;
            let errors = sorted(
                row_differences(&state, &arrived)
                    .map(|d| d.relative)
                    .collect(),
            );
            table.row([
                border.to_string(),
                wire.to_string(),
                wire.bytes(1, width).to_string(),
                percent(mean(&errors)),
                percent(quantile(&errors, 0.99)),
                percent(quantile(&errors, 1.0)),
                format!("{:.1}", quantile(&peaks, 0.5)),
            ]);
        }
    }
    Ok(table)
}

/// Distance of two states, row by row.
fn row_differences<'a>(a: &'a Hidden, b: &'a Hidden) -> impl Iterator<Item = Difference> + 'a {
    let width = a.width();
    let rows = a
        .as_slice()
        .chunks_exact(width)
        .zip(b.as_slice().chunks_exact(width));
    rows.filter_map(move |(a, b)| difference(a, b, width))
}

fn peak_to_rms(row: &[f32]) -> f64 {
    let peak = row.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    f64::from(peak) / (square / row.len() as f64).sqrt()
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0".into(),
        percent if percent < 0.01 => format!("{percent:.1e} %"),
        percent => format!("{percent:.3} %"),
    }
}

type Codec<'a> = dyn Fn(WireFormat) -> Result<LocalBackend<Split>, Failure> + 'a;

/// Greedy tokens that differ from those of the exact transfer.
fn tokens(
    source: &Source,
    backend: &Codec<'_>,
    args: &Args,
    wires: &[WireFormat],
    cancel: &Cancel,
) -> Result<Table, Failure> {
    let Items::Choices(items) = Task::HellaSwag.load(&args.data, args.prompts)? else {
        return Err("HellaSwag has no choices".into());
    };
    let prompts: Vec<_> = items
        .iter()
        .map(|item| Prompt::data(item.context.as_str()))
        .collect();
    let options = GenerateOptions {
        max_tokens: args.tokens,
        sampling: Sampling::greedy(),
        ..GenerateOptions::default()
    };
    let generate = |wire: WireFormat| {
        let backend = backend(wire)?;
        let bar = item_bar(format!("{} tokens {wire}", source.label), prompts.len());
        let mut texts = vec![];
        for prompt in &prompts {
            let generation = backend.generate(prompt, &options, cancel, &mut |_| ())?;
            if cancel.is_cancelled() {
                return Err(starling_engine::backend::BackendError::Cancelled.into());
            }
            texts.push(generation.tokens);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok::<_, Failure>(texts)
    };
    let reference = generate(WireFormat::F32)?;
    let mut table = Table::new(format!("wires-tokens {}", source.label), 
        format!(
            "{}: greedy tokens changed, {} spans, {} prompts, {} tokens at most; *same prefix*: the \
             next token differs after the same tokens",
            source.label, args.spans, prompts.len(), args.tokens,
        ),
        &["wire", "changed, same prefix", "of tokens", "share", "texts changed", "same tokens before the first change, median of all"],
    );
    for &wire in wires {
        let texts = generate(wire)?;
        let coded = backend(wire)?;
        let mut changed = 0;
        for (prompt, text) in prompts.iter().zip(&reference) {
            changed += changed_after_same(&coded, &source.tokenizer.encode_prompt(prompt), text)?;
        }
        let total: usize = reference.iter().map(Vec::len).sum();
        let same =
            |a: &[TokenId], b: &[TokenId]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let pairs = || texts.iter().zip(&reference);
        let same = sorted(pairs().map(|(a, b)| same(a, b) as f64).collect());
        table.row([
            wire.to_string(),
            changed.to_string(),
            total.to_string(),
            format!("{:.2} %", 100.0 * changed as f64 / total.max(1) as f64),
            format!(
                "{} of {}",
                pairs().filter(|(a, b)| a != b).count(),
                texts.len()
            ),
            format!("{:.0}", quantile(&same, 0.5)),
        ]);
    }
    Ok(table)
}

/// Tokens of `text` that are not the most probable ones after `prompt` and the tokens before them.
fn changed_after_same(
    backend: &LocalBackend<Split>,
    prompt: &[TokenId],
    text: &[TokenId],
) -> Result<usize, Failure> {
    let Some((_, given)) = text.split_last() else {
        return Ok(0);
    };
    let trunk = backend.trunk();
    let sequence = [prompt, given].concat();
    let mut session = trunk.session();
    let input = Input::Tokens(&sequence);
    let mut step = [Step {
        session: &mut session,
        input,
    }];
    let hidden = trunk
        .forward(&mut step)?
        .into_iter()
        .next()
        .ok_or("no output")?;
    let mut changed = 0;
    let rows = hidden.as_slice().chunks_exact(hidden.width());
    for (row, token) in rows.skip(prompt.len() - 1).zip(text) {
        let row = Hidden::new(hidden.width(), row.to_vec())?;
        let logits = trunk.ends().logits(&row)?;
        let best = logits
            .iter()
            .enumerate()
            .max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)))
            .map(|(i, _)| i);
        changed += usize::from(best != Some(*token as usize));
    }
    Ok(changed)
}

/// Task accuracy.
fn accuracy(
    source: &Source,
    backend: &Codec<'_>,
    args: &Args,
    wires: &[WireFormat],
    sets: &[(Task, Items)],
    cancel: &Cancel,
) -> Result<Table, Failure> {
    let mut table = Table::new(
        format!("wires-accuracy {}", source.label),
        format!("{}: accuracy with {} spans", source.label, args.spans),
        &["task", "wire", "n", "measure", "value", "95 % interval"],
    );
    for (task, items) in sets {
        for &wire in wires {
            let backend = backend(wire)?;
            let bar = item_bar(format!("{} {task} {wire}", source.label), items.len());
            let measures = evaluate(&backend, *task, items, cancel, &mut |done| {
                bar.set_position(done as u64);
            })?;
            bar.finish_and_clear();
            for m in measures {
                let i = m.interval;
                table.row([
                    task.to_string(),
                    wire.to_string(),
                    m.items.to_string(),
                    m.name.to_owned(),
                    format!("{:.4}", i.value),
                    format!("{:.4} – {:.4}", i.low, i.high),
                ]);
            }
        }
    }
    Ok(table)
}
