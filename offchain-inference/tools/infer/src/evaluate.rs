// SPDX-License-Identifier: Apache-2.0
//! `starling-infer eval`.

use crate::common::{cancel_on_interrupt, item_bar, read_file, Failure, Means, StoreArgs};
use starling_console::outln;
use starling_engine::{backend::Backend, generate::Cancel, rank::RankerKind};
use starling_evaluation::{evaluate, evaluate_ranker, paired, Items, Measure, Task};
use std::{fmt::Write, path::PathBuf, time::Instant};

#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file. May be repeated: each model is then compared
    /// with the first, item by item
    #[arg(short, long, required = true)]
    model: Vec<String>,
    #[command(flatten)]
    means: Means,
    /// Folder of the evaluation data
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Task sets [default: all]
    #[arg(long, value_delimiter = ',', value_name = "TASK,…")]
    tasks: Vec<Task>,
    /// Measure these rankers, too
    #[arg(long, value_delimiter = ',', value_name = "RANKER,…")]
    rankers: Vec<RankerKind>,
    /// Measure only the rankers
    #[arg(long, requires = "rankers")]
    rankers_only: bool,
    /// Maximum number of items of each set
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    limit: usize,
    /// Number of items to skip at the start of each set
    #[arg(long, default_value_t, value_name = "N")]
    skip: usize,
    /// Append the tables to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let tasks = if args.tasks.is_empty() {
        Task::ALL.to_vec()
    } else {
        args.tasks.clone()
    };
    let sets = tasks
        .into_iter()
        .map(|task| {
            let items = task.load(&args.data, args.skip.saturating_add(args.limit))?;
            Ok((task, items.skip(args.skip)))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let cancel = cancel_on_interrupt()?;
    let mut measured = vec![];
    for model in &args.model {
        let backend = args.means.backend(store, model)?;
        let mut rows = vec![];
        for (task, items) in &sets {
            measure(
                &args,
                model,
                backend.as_ref(),
                *task,
                items,
                &cancel,
                &mut rows,
            )?;
        }
        measured.push((model_label(model), rows));
    }
    let table = table(&measured) + &comparison(&measured);
    outln!("{}", table.to_string().trim_end());
    if let Some(path) = &args.output {
        let earlier = if path.exists() {
            read_file(path)? + "\n"
        } else {
            String::new()
        };
        std::fs::write(path, earlier + &table)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Measurements of one model on one set.
struct Row {
    task: Task,
    method: &'static str,
    measure: Measure,
    seconds: f64,
}

fn measure(
    args: &Args,
    model: &str,
    backend: &dyn Backend,
    task: Task,
    items: &Items,
    cancel: &Cancel,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let label = model_label(model);
    if !args.rankers_only {
        let bar = item_bar(format!("{label} {task}"), items.len());
        let started = Instant::now();
        let measures = evaluate(backend, task, items, cancel, &mut |done| {
            bar.set_position(done as u64)
        })?;
        bar.finish_and_clear();
        rows.extend(measures.into_iter().map(|measure| Row {
            task,
            method: "log-probability",
            measure,
            seconds: started.elapsed().as_secs_f64(),
        }));
    }
    // LAMBADA has no choices to rank.
    if let Items::Choices(items) = items {
        for &kind in &args.rankers {
            let bar = item_bar(format!("{label} {task} {kind}"), items.len());
            let started = Instant::now();
            let ranker = kind.ranker();
            let measure = evaluate_ranker(backend, ranker.as_ref(), items, cancel, &mut |done| {
                bar.set_position(done as u64);
            })?;
            bar.finish_and_clear();
            rows.push(Row {
                task,
                method: kind.name(),
                measure,
                seconds: started.elapsed().as_secs_f64(),
            });
        }
    }
    Ok(())
}

fn table(measured: &[(String, Vec<Row>)]) -> String {
    let mut table = String::from(
        "| model | task | method | n | measure | value | 95 % interval | s |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (model, rows) in measured {
        for row in rows {
            let (m, i) = (&row.measure, row.measure.interval);
            writeln!(
                table,
                "| {model} | {} | {} | {} | {} | {:.4} | {:.4} – {:.4} | {:.0} |",
                row.task, row.method, m.items, m.name, i.value, i.low, i.high, row.seconds
            )
            .ok();
        }
    }
    table
}

/// Each model beside the first on the same items: the difference of accuracies, or the ratio of
/// perplexities. Empty for a single model.
fn comparison(measured: &[(String, Vec<Row>)]) -> String {
    let Some(((first, reference), others @ [_, ..])) = measured.split_first() else {
        return String::new();
    };
    let mut table = format!(
        "\n| model beside {first} | task | method | n | measure | higher | lower | difference | 95 % interval |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (model, rows) in others {
        for (row, reference) in rows.iter().zip(reference) {
            let Some(pairs) = paired(&reference.measure.values, &row.measure.values) else {
                continue;
            };
            let (m, difference) = (&row.measure, pairs.difference);
            let interval = match m.name {
                "perplexity" => {
                    let ratio = difference.map(f64::exp);
                    format!(
                        "× {:.4} | {:.4} – {:.4}",
                        ratio.value, ratio.low, ratio.high
                    )
                },
                _ => format!(
                    "{:+.4} | {:+.4} – {:+.4}",
                    difference.value, difference.low, difference.high
                ),
            };
            writeln!(
                table,
                "| {model} | {} | {} | {} | {} | {} | {} | {interval} |",
                row.task, row.method, m.items, m.name, pairs.more, pairs.less
            )
            .ok();
        }
    }
    table
}

/// The model's name, or the name of its file.
pub fn model_label(model: &str) -> String {
    let file = std::path::Path::new(model).file_name();
    file.map_or_else(
        || model.to_owned(),
        |file| file.to_string_lossy().into_owned(),
    )
}
