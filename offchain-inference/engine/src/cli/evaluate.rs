// SPDX-License-Identifier: Apache-2.0
//! `starling-infer eval`.

use super::common::{cancel_on_interrupt, item_bar, read_file, Failure, Means, StoreArgs};
use crate::{
    backend::Backend,
    eval::{evaluate, evaluate_ranker, Items, Measure, Task},
    generate::Cancel,
    rank::RankerKind,
};
use std::{fmt::Write, path::PathBuf, time::Instant};

#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
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
    /// Measure these rankers too
    #[arg(long, value_delimiter = ',', value_name = "RANKER,…")]
    rankers: Vec<RankerKind>,
    /// Measure the rankers only
    #[arg(long, requires = "rankers")]
    rankers_only: bool,
    /// At most this many items of each set
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    limit: usize,
    /// Append the table to this file
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
        .map(|task| Ok((task, task.load(&args.data, args.limit)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let cancel = cancel_on_interrupt()?;
    let mut table = String::from(
        "| model | task | method | n | measure | value | 95 % interval | s |\n|---|---|---|---|---|---|---|---|\n",
    );
    for model in &args.model {
        let backend = args.means.backend(store, model)?;
        for (task, items) in &sets {
            measure(
                &args,
                model,
                backend.as_ref(),
                *task,
                items,
                &cancel,
                &mut table,
            )?;
        }
    }
    print!("{table}");
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

fn measure(
    args: &Args,
    model: &str,
    backend: &dyn Backend,
    task: Task,
    items: &Items,
    cancel: &Cancel,
    table: &mut String,
) -> Result<(), Failure> {
    let label = model_label(model);
    let mut row = |method: &str, measures: &[Measure], seconds: f64| {
        for m in measures {
            let i = m.interval;
            writeln!(
                table,
                "| {label} | {task} | {method} | {} | {} | {:.4} | {:.4} – {:.4} | {seconds:.0} |",
                m.items, m.name, i.value, i.low, i.high
            )
            .ok();
        }
    };
    if !args.rankers_only {
        let bar = item_bar(format!("{label} {task}"), items.len());
        let started = Instant::now();
        let measures = evaluate(backend, task, items, cancel, &mut |done| {
            bar.set_position(done as u64)
        })?;
        bar.finish_and_clear();
        row(
            "log-probability",
            &measures,
            started.elapsed().as_secs_f64(),
        );
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
            row(kind.name(), &[measure], started.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// The model's name, or the name of its file.
pub fn model_label(model: &str) -> String {
    let file = std::path::Path::new(model).file_name();
    file.map_or_else(
        || model.to_owned(),
        |file| file.to_string_lossy().into_owned(),
    )
}
