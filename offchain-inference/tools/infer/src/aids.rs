// SPDX-License-Identifier: Apache-2.0
//! `starling-infer aids`.

use crate::{
    common::{cancel_on_interrupt, item_bar, Failure, Means, StoreArgs},
    evaluate::model_label,
};
use clap::{builder::RangedU64ValueParser, ValueEnum};
use starling_aids::{
    arithmetic, calculator,
    knowledge::{with_passages, Base, Settings},
};
use starling_console::outln;
use starling_engine::{backend::Backend, generate::Cancel};
use starling_evaluation::{
    bootstrap,
    gain::{self, Question},
    wilson,
};
use std::{fs, path::PathBuf, time::Instant};
use tempfile::TempDir;

/// Passages that a question gets, and their bytes: the defaults of an agent.
const PASSAGES: usize = 3;
const MAX_ADDED: usize = 2 << 10;

#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated). Without a model, only the search
    /// of the knowledge base is measured
    #[arg(short, long)]
    model: Vec<String>,
    #[command(flatten)]
    means: Means,
    /// Aids to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [Aid::Arithmetic, Aid::Calculator, Aid::Knowledge],
        value_name = "AID,…"
    )]
    aids: Vec<Aid>,
    /// Folder of an embedding model for the knowledge base, as sentence-transformers has it
    #[arg(long, value_name = "DIR")]
    embeddings: Option<PathBuf>,
    /// Number of generated questions for each aid
    #[arg(
        long,
        default_value_t = 100,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000),
        value_name = "N"
    )]
    items: usize,
    /// Seed of the questions and of the intervals
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// An aid, with the questions on which it should help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Aid {
    /// Values of the arithmetic in the question; on sums and products
    Arithmetic,
    /// Calls of a calculator in the answer; on stories with numbers
    Calculator,
    /// Passages of a folder; on generated facts
    Knowledge,
}

impl Aid {
    fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Calculator => "calculator",
            Self::Knowledge => "knowledge",
        }
    }
}

/// Makes the prompt of a question.
type Before = Box<dyn Fn(&str) -> Result<String, Failure>>;

/// A way to ask a model.
struct Way {
    name: &'static str,
    before: Before,
    after: fn(&str) -> String,
}

impl Way {
    fn new(name: &'static str, before: fn(&str) -> String, after: fn(&str) -> String) -> Self {
        let before =
            Box::new(move |question: &str| -> Result<String, Failure> { Ok(before(question)) });
        Self {
            name,
            before,
            after,
        }
    }

    /// With passages of a knowledge base.
    fn knowing(name: &'static str, base: Base) -> Self {
        let before = Box::new(move |question: &str| -> Result<String, Failure> {
            let passages = base.lookup(question, PASSAGES)?;
            Ok(with_passages(&passages, question, MAX_ADDED))
        });
        let after = str::to_owned;
        Self {
            name,
            before,
            after,
        }
    }
}

/// Questions, and the ways to ask them. The first is that without an aid.
struct Set {
    questions: Vec<Question>,
    ways: Vec<Way>,
    /// Folder of the knowledge base, which lasts as long as the set.
    _folder: Option<TempDir>,
}

impl Set {
    fn new(aid: Aid, args: &Args) -> Result<Self, Failure> {
        let alone = Way::new("alone", str::to_owned, str::to_owned);
        let (questions, ways) = match aid {
            Aid::Arithmetic => {
                let aided = Way::new("arithmetic", arithmetic::annotate, arithmetic::correct);
                (gain::arithmetic(args.items, args.seed), vec![alone, aided])
            },
            Aid::Calculator => {
                let shown = Way::new("examples alone", calculator::examples, str::to_owned);
                let aided = Way::new("calculator", calculator::invite, calculator::compute);
                let questions = gain::stories(args.items, args.seed);
                (questions, vec![alone, shown, aided])
            },
            Aid::Knowledge => return Self::knowledge(alone, args),
        };
        Ok(Self {
            questions,
            ways,
            _folder: None,
        })
    }

    fn knowledge(alone: Way, args: &Args) -> Result<Self, Failure> {
        let facts = gain::facts(args.items, args.seed);
        let folder = tempfile::tempdir()?;
        for (number, text) in facts.texts.iter().enumerate() {
            fs::write(folder.path().join(format!("{number}.txt")), text)?;
        }
        let base = |words, embeddings| -> Result<Base, Failure> {
            let base = Base::new(Settings {
                folder: folder.path().to_owned(),
                embeddings,
                index: folder.path().join(".vectors"),
                most_text: usize::MAX,
                words,
            });
            base.refresh(|| true)?;
            Ok(base)
        };
        let mut ways = vec![alone, Way::knowing("words", base(true, None)?)];
        if let Some(model) = &args.embeddings {
            let vectors = base(false, Some(model.clone()))?;
            let both = base(true, Some(model.clone()))?;
            ways.push(Way::knowing("vectors", vectors));
            ways.push(Way::knowing("words and vectors", both));
        }
        Ok(Self {
            questions: facts.questions,
            ways,
            _folder: Some(folder),
        })
    }

    /// The share of the questions whose fact is in the prompt; nothing for questions without facts.
    fn found(&self, way: &Way) -> Result<String, Failure> {
        let mut found = 0;
        for question in &self.questions {
            let Some(fact) = &question.fact else {
                return Ok("–".into());
            };
            found += usize::from((way.before)(&question.text)?.contains(fact.as_str()));
        }
        Ok(format!("{:.3}", wilson(found, self.questions.len()).value))
    }
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    let sets = args
        .aids
        .iter()
        .map(|aid| Set::new(*aid, &args).map(|set| (*aid, set)))
        .collect::<Result<Vec<_>, Failure>>()?;
    outln!("| model | aid | way | n | facts found | right | 95 % interval | gain | 95 % interval | s |");
    outln!("|---|---|---|---|---|---|---|---|---|---|");
    if args.model.is_empty() {
        for (aid, set) in sets.iter().filter(|(aid, _)| *aid == Aid::Knowledge) {
            for way in &set.ways {
                let (found, n) = (set.found(way)?, set.questions.len());
                let (aid, way) = (aid.name(), way.name);
                outln!("| – | {aid} | {way} | {n} | {found} | – | – | – | – | – |");
            }
        }
    }
    for model in &args.model {
        let backend = args.means.backend(store, model)?;
        for (aid, set) in &sets {
            measure(model, backend.as_ref(), *aid, set, args.seed, &cancel)?;
        }
    }
    Ok(())
}

/// Prints a row for each way: how many answers are right, and how many more than without the aid.
fn measure(
    model: &str,
    backend: &dyn Backend,
    aid: Aid,
    set: &Set,
    seed: u64,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let label = model_label(model);
    let mut alone: Option<Vec<f64>> = None;
    for way in &set.ways {
        let started = Instant::now();
        let bar = item_bar(format!("{label} {}", way.name), set.questions.len());
        let mut right = vec![];
        for question in &set.questions {
            let response = gain::ask(backend, &(way.before)(&question.text)?, cancel)?;
            let is_right = gain::is_right(&(way.after)(&response), &question.answer);
            right.push(f64::from(u8::from(is_right)));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let share = wilson(right.iter().filter(|&&one| one > 0.0).count(), right.len());
        let gained = alone
            .as_ref()
            .and_then(|alone| bootstrap(alone, &right, seed));
        let gained = gained.map_or("– | –".into(), |gained| {
            format!(
                "{:+.3} | {:+.3} – {:+.3}",
                gained.value, gained.low, gained.high
            )
        });
        outln!(
            "| {label} | {} | {} | {} | {} | {:.3} | {:.3} – {:.3} | {gained} | {seconds:.0} |",
            aid.name(),
            way.name,
            right.len(),
            set.found(way)?,
            share.value,
            share.low,
            share.high,
        );
        alone.get_or_insert(right);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn set(aid: Aid) -> Set {
        let cli = Cli::parse_from(["aids", "--items", "40"]);
        Set::new(aid, &cli.args).unwrap()
    }

    #[test]
    fn words_find_most_facts_and_nothing_is_found_without_them() {
        let set = set(Aid::Knowledge);
        let share = |way: &Way| set.found(way).unwrap().parse::<f64>().unwrap();
        let [alone, words] = &set.ways[..] else {
            panic!("two ways")
        };
        assert_eq!(share(alone), 0.0);
        assert!(share(words) > 0.8, "{}", share(words));
    }

    #[test]
    fn a_perfect_model_is_right_with_every_aid() {
        let set = set(Aid::Arithmetic);
        let [_, aided] = &set.ways[..] else {
            panic!("two ways")
        };
        for question in &set.questions {
            let prompt = (aided.before)(&question.text).unwrap();
            // The value stands in the prompt, and survives as an answer.
            assert!(
                prompt.contains(&format!("= {})", question.answer)),
                "{prompt}"
            );
            let answer = (aided.after)(&question.answer);
            assert!(gain::is_right(&answer, &question.answer));
        }
        let stories = self::set(Aid::Calculator);
        assert!(stories.ways.iter().skip(1).all(|way| {
            let prompt = (way.before)(&stories.questions[0].text).unwrap();
            prompt.ends_with("\nAnswer:")
        }));
    }
}
