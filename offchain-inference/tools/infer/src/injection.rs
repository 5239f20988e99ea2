// SPDX-License-Identifier: Apache-2.0
//! `starling-infer injection`.

use crate::{
    common::{cancel_on_interrupt, item_bar, Failure, Means, StoreArgs},
    evaluate::model_label,
};
use starling_console::outln;
use starling_engine::rank::{Quoting, RankerKind};
use starling_evaluation::injection::{measure, Attack};
use starling_evaluation::{Items, Task};
use std::path::PathBuf;

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
    /// Rankers to attack
    #[arg(long, value_delimiter = ',', default_values_t = RankerKind::ALL, value_name = "RANKER,…")]
    rankers: Vec<RankerKind>,
    /// Number of HellaSwag items; the first wrong ending of each is attacked
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Number of items to skip
    #[arg(long, default_value_t, value_name = "N")]
    skip: usize,
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let Items::Choices(items) = Task::HellaSwag
        .load(&args.data, args.skip.saturating_add(args.limit))?
        .skip(args.skip)
    else {
        return Err("HellaSwag has choices".into());
    };
    let cancel = cancel_on_interrupt()?;
    outln!("| model | ranker | defences | attack | score moved by | 95 % interval | beats the right answer |");
    outln!("|---|---|---|---|---|---|---|");
    for model in &args.model {
        let backend = args.means.backend(store, model)?;
        for &kind in &args.rankers {
            for (label, quoting) in [("on", Quoting::default()), ("off", Quoting::none())] {
                let rounds = items.len() * (Attack::ALL.len() + 1);
                let bar = item_bar(
                    format!("{} {kind}, defences {label}", model_label(model)),
                    rounds,
                );
                let effects = measure(
                    backend.as_ref(),
                    kind,
                    quoting,
                    &items,
                    &cancel,
                    &mut || bar.inc(1),
                )?;
                bar.finish_and_clear();
                for effect in effects {
                    let name = effect.attack.map_or("none", Attack::name);
                    outln!(
                        "| {} | {kind} | {label} | {name} | {:+.4} | {:+.4} – {:+.4} | {:.0} % |",
                        model_label(model),
                        effect.moved.value,
                        effect.moved.low,
                        effect.moved.high,
                        100.0 * effect.wins.value,
                    );
                }
            }
        }
    }
    Ok(())
}
