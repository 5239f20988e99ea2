// SPDX-License-Identifier: Apache-2.0
//! Evaluation on public task sets: HellaSwag, LAMBADA and three families of BIG-Bench Hard, each
//! zero-shot. Also measures the accuracy of the rankers on the same items, and the [gain] of aids on
//! generated questions.
//!
//! The public sets are not part of this crate; [`Task::load`] reads them from a folder.

mod data;
pub mod gain;
pub mod injection;
mod stats;

pub use data::{Choice, DataError, Items, Passage};
pub use stats::{bootstrap, mean_interval, paired, wilson, Interval, Paired};

use starling_engine::{
    backend::{Ask, Backend, BackendError, Evaluation, PromptTree},
    chat::Message,
    generate::Cancel,
    prompt::Prompt,
    rank::{self, Ranker},
};
use std::{fmt, path::Path, str::FromStr};

/// A task set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// Choose the right one of four endings (Zellers et al. 2019).
    HellaSwag,
    /// Predict the last word of a passage (Paperno et al. 2016), OpenAI's version.
    Lambada,
    /// BIG-Bench Hard: did one event cause another?
    CausalJudgement,
    /// BIG-Bench Hard: the referent of a pronoun.
    DisambiguationQa,
    /// BIG-Bench Hard: the order of three objects.
    LogicalDeductionThree,
    /// BIG-Bench Hard: the order of five objects.
    LogicalDeductionFive,
}

impl Task {
    /// All task sets.
    pub const ALL: [Self; 6] = [
        Self::HellaSwag,
        Self::Lambada,
        Self::CausalJudgement,
        Self::DisambiguationQa,
        Self::LogicalDeductionThree,
        Self::LogicalDeductionFive,
    ];

    /// Name of the set, and of its file without the extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::HellaSwag => "hellaswag",
            Self::Lambada => "lambada",
            Self::CausalJudgement => "causal_judgement",
            Self::DisambiguationQa => "disambiguation_qa",
            Self::LogicalDeductionThree => "logical_deduction_three_objects",
            Self::LogicalDeductionFive => "logical_deduction_five_objects",
        }
    }

    /// Reads at most `limit` items of the set's file in `folder`.
    pub fn load(self, folder: &Path, limit: usize) -> Result<Items, DataError> {
        let mut items = match self {
            Self::HellaSwag => data::hellaswag(&folder.join("hellaswag.txt"))?,
            Self::Lambada => data::lambada(&folder.join("lambada.jsonl"))?,
            other => data::big_bench_hard(&folder.join(format!("{}.json", other.name())))?,
        };
        match &mut items {
            Items::Choices(items) => items.truncate(limit),
            Items::Passages(items) => items.truncate(limit),
        }
        Ok(items)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("no task is called {name:?} ({names})")
            })
    }
}

/// A measured quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// `acc`, `acc_norm` or `perplexity`.
    pub name: &'static str,
    /// Value and 95 % confidence interval.
    pub interval: Interval,
    /// Number of measured items.
    pub items: usize,
    /// Value of each item: 1 or 0 for an accuracy, nats of loss for a perplexity.
    pub values: Vec<f64>,
}

impl Measure {
    /// The share of right items.
    fn accuracy(name: &'static str, right: &[bool]) -> Self {
        Self {
            name,
            interval: wilson(right.iter().filter(|&&right| right).count(), right.len()),
            items: right.len(),
            values: right.iter().map(|&right| f64::from(right)).collect(),
        }
    }

    /// The perplexity for these losses in nats.
    fn perplexity(losses: Vec<f64>) -> Self {
        Self {
            name: "perplexity",
            interval: mean_interval(&losses).map(f64::exp),
            items: losses.len(),
            values: losses,
        }
    }
}

/// Receives the number of finished items after each item.
pub type OnItem<'a> = dyn FnMut(usize) + 'a;

/// Scores a model on a task set. Multiple choice: the most probable choice (`acc`), and the most
/// probable one for its length in bytes (`acc_norm`, HellaSwag). LAMBADA: greedy accuracy, and the
/// perplexity of the last word.
pub fn evaluate(
    backend: &dyn Backend,
    task: Task,
    items: &Items,
    cancel: &Cancel,
    on_item: &mut OnItem<'_>,
) -> Result<Vec<Measure>, BackendError> {
    match items {
        Items::Choices(items) => {
            let (mut right, mut right_norm) = (vec![], vec![]);
            for (i, item) in items.iter().enumerate() {
                let sums = choice_logprobs(backend, item, cancel)?;
                let lengths = item.choices.iter().map(|choice| choice.len().max(1) as f64);
                let norm: Vec<_> = sums
                    .iter()
                    .zip(lengths)
                    .map(|(sum, len)| sum / len)
                    .collect();
                right.push(argmax(&sums) == Some(item.gold));
                right_norm.push(argmax(&norm) == Some(item.gold));
                on_item(i + 1);
            }
            let mut measures = vec![Measure::accuracy("acc", &right)];
            if task == Task::HellaSwag {
                measures.push(Measure::accuracy("acc_norm", &right_norm));
            }
            Ok(measures)
        },
        Items::Passages(items) => {
            let (mut right, mut losses) = (vec![], vec![]);
            for (i, item) in items.iter().enumerate() {
                let (logprob, greedy) = last_word(backend, item, cancel)?;
                right.push(greedy);
                losses.push(-logprob);
                on_item(i + 1);
            }
            Ok(vec![
                Measure::accuracy("acc", &right),
                Measure::perplexity(losses),
            ])
        },
    }
}

/// The share of items in which a ranker puts the right choice first (`acc`). The first wins ties.
pub fn evaluate_ranker(
    backend: &dyn Backend,
    ranker: &dyn Ranker,
    items: &[Choice],
    cancel: &Cancel,
    on_item: &mut OnItem<'_>,
) -> Result<Measure, BackendError> {
    let mut right = vec![];
    for (i, item) in items.iter().enumerate() {
        let scores = rank_choices(backend, ranker, item, cancel)?;
        right.push(argmax(&scores) == Some(item.gold));
        on_item(i + 1);
    }
    Ok(Measure::accuracy("acc", &right))
}

/// A ranker's scores of an item's choices, as responses to its question.
pub fn rank_choices(
    backend: &dyn Backend,
    ranker: &dyn Ranker,
    item: &Choice,
    cancel: &Cancel,
) -> Result<Vec<f64>, BackendError> {
    let messages = [Message::user(item.question.clone())];
    let task = rank::Task {
        messages: &messages,
        responses: &item.choices,
    };
    ranker.rank(backend, task, cancel)
}

/// ln p of each choice after the item's context.
fn choice_logprobs(
    backend: &dyn Backend,
    item: &Choice,
    cancel: &Cancel,
) -> Result<Vec<f64>, BackendError> {
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data(item.context.as_str()), Ask::Nothing);
    for choice in &item.choices {
        tree.child(root, Prompt::data(format!(" {choice}")), Ask::Tokens);
    }
    let answers = backend.evaluate(&tree, cancel)?;
    Ok(answers.iter().skip(1).map(total).collect())
}

/// ln p of a passage's last word, and whether greedy decoding gives it.
fn last_word(
    backend: &dyn Backend,
    item: &Passage,
    cancel: &Cancel,
) -> Result<(f64, bool), BackendError> {
    let mut tree = PromptTree::new();
    let root = tree.root(Prompt::data(item.context.as_str()), Ask::Nothing);
    tree.child(root, Prompt::data(format!(" {}", item.word)), Ask::Greedy);
    let answers = backend.evaluate(&tree, cancel)?;
    Ok(match answers.last() {
        Some(answer @ Evaluation::Greedy(_, greedy)) => (total(answer), *greedy),
        _ => (f64::NEG_INFINITY, false),
    })
}

fn total(answer: &Evaluation) -> f64 {
    match answer {
        Evaluation::Tokens(logprobs) | Evaluation::Greedy(logprobs, _) => {
            logprobs.iter().map(|&p| f64::from(p)).sum()
        },
        Evaluation::Nothing | Evaluation::Next(_) => f64::NEG_INFINITY,
    }
}

/// Index of the largest value, the first among equals.
fn argmax(values: &[f64]) -> Option<usize> {
    let best = values.iter().copied().reduce(f64::max)?;
    values.iter().position(|&value| value == best)
}
