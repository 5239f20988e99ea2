// SPDX-License-Identifier: Apache-2.0
//! `starling-infer rank` and `starling-infer calibrate`.

use crate::common::{
    cancel_on_interrupt, default_ranker, item_bar, read_file, Failure, ModelArgs, StoreArgs,
};
use serde::{Deserialize, Serialize};
use starling_console::outln;
use starling_engine::{
    chat::Message,
    rank::{self, Quantiles, RankerKind},
};
use starling_evaluation::{rank_choices, Items, Task};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// judge, likelihood, lift or pairwise [default: the manifest's for the model]
    #[arg(long)]
    ranker: Option<RankerKind>,
    /// The question
    #[arg(short, long)]
    question: String,
    /// A response (may be repeated)
    #[arg(short, long, required_unless_present = "responses")]
    response: Vec<String>,
    /// JSON file with an array of responses; - for standard input
    #[arg(long, value_name = "FILE")]
    responses: Option<PathBuf>,
    /// Reference scores from `calibrate`; prints quantiles instead of raw scores
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Print a JSON array of scores
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// judge, likelihood, lift or pairwise [default: the manifest's for the model]
    #[arg(long)]
    ranker: Option<RankerKind>,
    /// Folder of evaluation data with HellaSwag; its endings are scored
    #[arg(long, value_name = "DIR", required_unless_present = "responses")]
    data: Option<PathBuf>,
    /// Number of HellaSwag items to score
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// JSON file with an array of {"question", "responses"} to score instead of HellaSwag
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    responses: Option<PathBuf>,
    /// File to write the reference to
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// A question with responses to it.
#[derive(Deserialize)]
struct Answered {
    question: String,
    responses: Vec<String>,
}

/// Raw scores of one ranker on one model.
#[derive(Serialize, Deserialize)]
struct Reference {
    model: String,
    ranker: RankerKind,
    scores: Quantiles,
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let kind = args
        .ranker
        .unwrap_or_else(|| default_ranker(store, &args.model.model));
    let mut responses = args.response;
    if let Some(path) = &args.responses {
        let more: Vec<String> = serde_json::from_str(&read_file(path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        responses.extend(more);
    }
    let reference = args
        .reference
        .as_ref()
        .map(|path| -> Result<Reference, Failure> {
            let reference: Reference = serde_json::from_str(&read_file(path)?)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            if (reference.model.as_str(), reference.ranker) != (args.model.model.as_str(), kind) {
                return Err(format!(
                    "{} is for ranker {} on {}",
                    path.display(),
                    reference.ranker,
                    reference.model
                )
                .into());
            }
            Ok(reference)
        });
    let reference = reference.transpose()?;
    let backend = args.model.backend(store)?;
    let cancel = cancel_on_interrupt()?;
    let messages = [Message::user(args.question)];
    let task = rank::Task {
        messages: &messages,
        responses: &responses,
    };
    let mut scores = kind.ranker().rank(backend.as_ref(), task, &cancel)?;
    if let Some(reference) = reference {
        scores
            .iter_mut()
            .for_each(|score| *score = reference.scores.quantile(*score));
    }
    if args.json {
        outln!("{}", serde_json::to_string(&scores)?);
    } else {
        let mut order: Vec<_> = scores.iter().zip(&responses).collect();
        order.sort_by(|a, b| b.0.total_cmp(a.0));
        for (score, response) in order {
            outln!("{score:.6}  {}", shown(response));
        }
    }
    Ok(())
}

/// The beginning of a response, without control characters that a terminal would act on.
pub(crate) fn shown(response: &str) -> String {
    const WIDTH: usize = 80;
    let line: String = response.chars().take(WIDTH).collect();
    let more = if response.chars().nth(WIDTH).is_some() {
        "…"
    } else {
        ""
    };
    line.replace(char::is_control, " ") + more
}

pub fn calibrate(store: &StoreArgs, args: CalibrateArgs) -> Result<(), Failure> {
    let kind = args
        .ranker
        .unwrap_or_else(|| default_ranker(store, &args.model.model));
    let backend = args.model.backend(store)?;
    let cancel = cancel_on_interrupt()?;
    let ranker = kind.ranker();
    let title = format!("{kind} on {}", args.model.model);
    let mut scores = vec![];
    if let Some(path) = &args.responses {
        let items: Vec<Answered> = serde_json::from_str(&read_file(path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let bar = item_bar(title.clone(), items.len());
        for item in &items {
            let messages = [Message::user(item.question.as_str())];
            let task = rank::Task {
                messages: &messages,
                responses: &item.responses,
            };
            scores.extend(ranker.rank(backend.as_ref(), task, &cancel)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    if let Some(data) = &args.data {
        let Items::Choices(items) = Task::HellaSwag.load(data, args.limit)? else {
            return Err("HellaSwag has choices".into());
        };
        let bar = item_bar(title, items.len());
        for item in &items {
            scores.extend(rank_choices(
                backend.as_ref(),
                ranker.as_ref(),
                item,
                &cancel,
            )?);
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    let reference = Reference {
        model: args.model.model,
        ranker: kind,
        scores: Quantiles::new(scores)?,
    };
    std::fs::write(&args.output, serde_json::to_string(&reference)?)
        .map_err(|error| format!("{}: {error}", args.output.display()))?;
    Ok(())
}
