// SPDX-License-Identifier: Apache-2.0
//! `starling-infer calibrate-sketch`: measures how far apart the sketches and the tokens of honest
//! kernels and of cheats are, and sets the thresholds between them.

mod answers;
pub(crate) mod draws;
mod prints;
pub(crate) mod profile;
mod provers;
mod report;
mod toploc;

use crate::{
    common::{cancel_on_interrupt, from_hex, item_bar, model_path, Failure, StoreArgs},
    evaluate::model_label,
};
use answers::{generate, prompts, Answer, Cost};
use draws::{replay, Audit, Author, Questions, Traced, Way, TEMPERATURES};
use indicatif::ProgressBar;
use prints::Prints;
use provers::{cheats, kernels, rows, Kernel};
use report::{Comparison, Honest, Report};
use starling_console::outln;
use starling_engine::{
    backend::{BackendError, LocalBackend},
    generate::Cancel,
    gguf::Gguf,
    requantise, Device, Ends, Hidden, InstructionSet, LoadOptions, Trunk, WeightFormat,
};
use starling_models::sha256;
use starling_sketch::{
    signs::{answer_seed, Signs},
    trace::Numerics,
    Hash,
};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// A model of the store by name, or the path of a GGUF file
    #[arg(short, long)]
    model: String,
    /// File with a prompt on each line, - for standard input [default: built-in prompts]
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Most tokens of an answer. Answers of fewer than 32 tokens are left out
    #[arg(
        long,
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(32..),
        value_name = "N"
    )]
    tokens: u16,
    /// Devices whose kernels are compared: cpu, candle, cuda:N
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [Device::Cpu],
        value_name = "DEVICE,…"
    )]
    devices: Vec<Device>,
    /// Instruction sets of the device cpu [default: all that this CPU has]
    #[arg(long, value_delimiter = ',', value_name = "SET,…")]
    instruction_sets: Vec<InstructionSet>,
    /// Threads of the device cpu; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// File to write the model's profile to: as JSON if its name ends in .json, else as TOML
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The parts of a run that all provers share.
struct Job<'a> {
    answers: &'a [Answer],
    /// The signs of distributions.
    vocabulary: &'a Signs,
    cancel: &'a Cancel,
    bar: &'a ProgressBar,
}

impl Job<'_> {
    /// The prints of all answers by a prover, who gives the hidden states of each by its number.
    fn measure<E: Ends>(
        &self,
        ends: &E,
        prover: &dyn Fn(usize, &Answer) -> Result<Hidden, Failure>,
    ) -> Result<Prints, Failure> {
        let mut prints = Prints::default();
        for (number, answer) in self.answers.iter().enumerate() {
            check(self.cancel)?;
            let hidden = prover(number, answer)?;
            prints.add(ends, &hidden, &answer.signs, self.vocabulary)?;
            self.bar.inc(1);
        }
        Ok(prints)
    }

    /// The prints by a model that computes what it should.
    fn whole<T: Trunk>(&self, backend: &LocalBackend<T>) -> Result<Prints, Failure> {
        self.measure(backend.model(), &|_, answer| {
            rows(backend, &answer.prompt, &answer.tokens)
        })
    }
}

fn check(cancel: &Cancel) -> Result<(), Failure> {
    if cancel.is_cancelled() {
        return Err(BackendError::Cancelled.into());
    }
    Ok(())
}

pub fn run(store: &StoreArgs, args: Args) -> Result<(), Failure> {
    let path = model_path(store, &args.model)?;
    let prompts = prompts(args.prompts.as_deref())?;
    let kernels = kernels(&args.devices, &args.instruction_sets, args.threads)?;
    let cancel = cancel_on_interrupt()?;
    let sha256 = sha256(&path)?;
    let model = hash(&sha256).ok_or("the hash of the model is not one")?;
    let options = LoadOptions {
        threads: args.threads,
        ..LoadOptions::default()
    };
    let backend = LocalBackend::load(&path, &options)?;
    let label = model_label(&args.model);

    let bar = item_bar(format!("{label}: answers"), prompts.len());
    let mut cost = Cost::default();
    let mut answers = vec![];
    for (number, prompt) in (0u64..).zip(&prompts) {
        check(&cancel)?;
        let seed = answer_seed(&model, &number.to_le_bytes());
        let most = args.tokens.into();
        answers.extend(generate(&backend, prompt, most, number, &seed, &mut cost)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if answers.len() < 2 {
        return Err(
            "fewer than two answers have 32 tokens; give prompts that ask for more text".into(),
        );
    }
    // The draw of a case is fixed after the outputs are; here any will do.
    let draw = answer_seed(&model, b"distributions");
    let vocabulary = Signs::new(&draw, backend.model().config().vocab.try_into()?);
    let cheats = cheats(&backend, &answers);

    // Beside the kernels and the cheats there are the coarse weights.
    let provers = kernels.len() + cheats.len() + 1;
    let bar = item_bar(format!("{label}: sketches"), provers * answers.len());
    let job = Job {
        answers: &answers,
        vocabulary: &vocabulary,
        cancel: &cancel,
        bar: &bar,
    };
    let (mut honest, mut distinct): (Vec<Honest>, Vec<&Kernel>) = (vec![], vec![]);
    for kernel in &kernels {
        let prints = by_kernel(&job, &path, kernel)?;
        match honest.iter_mut().find(|known| known.prints == prints) {
            Some(known) => known.kernels.push(kernel.to_string()),
            None => {
                honest.push(Honest {
                    kernels: vec![kernel.to_string()],
                    prints,
                });
                distinct.push(kernel);
            },
        }
    }
    let mut cheated = vec![];
    for (label, prover) in &cheats {
        cheated.push((label.clone(), job.measure(backend.model(), &**prover)?));
    }
    let coarse = coarse(&path, &options)?;
    cheated.push((COARSE.to_owned(), job.whole(&coarse)?));
    bar.finish_and_clear();
    let comparison = Comparison::of(&honest, &cheated)?;

    // Each kernel is an author, and there are three cheats.
    let works = (distinct.len() + 3) * TEMPERATURES.len() * prompts.len();
    let bar = item_bar(format!("{label}: draws"), works * (1 + distinct.len()));
    let questions = Questions {
        model,
        prompts: &prompts,
        most: args.tokens.into(),
        cancel: &cancel,
        bar: &bar,
    };
    let mut authors = cheating(&questions, &backend, &coarse)?;
    let audits = audits(&questions, &path, &distinct, &mut authors)?;
    bar.finish_and_clear();

    let counts = (prompts.len(), answers.len());
    let draws = (&*authors, &*audits);
    let report = Report::new(label, sha256, counts, &honest, comparison, draws, &cost);
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        outln!("{}", report.markdown());
    }
    if let Some(path) = &args.out {
        let profile = report.profile(path)?;
        std::fs::write(path, profile).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn by_kernel(job: &Job<'_>, path: &Path, kernel: &Kernel) -> Result<Prints, Failure> {
    let options = kernel.options();
    match kernel.device.of_candle()? {
        None => job.whole(&LocalBackend::load(path, &options)?),
        Some(device) => job.whole(&LocalBackend::load_on(&device, path, &options)?),
    }
}

/// The cheats whose tokens are checked.
fn cheating(
    questions: &Questions<'_>,
    backend: &LocalBackend,
    coarse: &LocalBackend,
) -> Result<Vec<Author>, Failure> {
    let cheats = [
        (COARSE, coarse, Way::Plain),
        ("tokens of another key", backend, Way::OtherKey),
        ("the answer to the next prompt", backend, Way::NextPrompt),
    ];
    let mut authors = vec![];
    for (label, backend, way) in cheats {
        authors.push(Author {
            label: label.to_owned(),
            honest: false,
            answers: questions.answers(backend, Numerics::Wide, way)?,
        });
    }
    Ok(authors)
}

/// Adds the kernels to the authors, and has each kernel audit all authors but itself.
fn audits(
    questions: &Questions<'_>,
    path: &Path,
    kernels: &[&Kernel],
    authors: &mut Vec<Author>,
) -> Result<Vec<Audit>, Failure> {
    for kernel in kernels {
        authors.push(Author {
            label: kernel.to_string(),
            honest: true,
            answers: answers_by(questions, path, kernel)?,
        });
    }
    let mut audits = vec![];
    for kernel in kernels {
        audits.extend(audits_by(questions, path, kernel, authors)?);
    }
    Ok(audits)
}

/// The answers by a kernel.
fn answers_by(
    questions: &Questions<'_>,
    path: &Path,
    kernel: &Kernel,
) -> Result<Vec<Traced>, Failure> {
    let (options, numerics) = (kernel.options(), kernel.numerics());
    match kernel.device.of_candle()? {
        None => {
            let backend = LocalBackend::load(path, &options)?;
            questions.answers(&backend, numerics, Way::Plain)
        },
        Some(device) => {
            let backend = LocalBackend::load_on(&device, path, &options)?;
            questions.answers(&backend, numerics, Way::Plain)
        },
    }
}

/// The audits of all authors but itself by a kernel.
fn audits_by(
    questions: &Questions<'_>,
    path: &Path,
    kernel: &Kernel,
    authors: &[Author],
) -> Result<Vec<Audit>, Failure> {
    let options = kernel.options();
    match kernel.device.of_candle()? {
        None => {
            let backend = LocalBackend::load(path, &options)?;
            audits_of(questions, &backend, kernel, authors)
        },
        Some(device) => {
            let backend = LocalBackend::load_on(&device, path, &options)?;
            audits_of(questions, &backend, kernel, authors)
        },
    }
}

fn audits_of<T: Trunk>(
    questions: &Questions<'_>,
    backend: &LocalBackend<T>,
    kernel: &Kernel,
    authors: &[Author],
) -> Result<Vec<Audit>, Failure> {
    let verifier = kernel.to_string();
    let mut audits = vec![];
    for (number, author) in authors.iter().enumerate() {
        if author.label == verifier {
            continue;
        }
        let mut replays = vec![];
        for answer in &author.answers {
            check(questions.cancel)?;
            replays.push(replay(backend, answer)?);
            questions.bar.inc(1);
        }
        audits.push(Audit {
            author: number,
            verifier: verifier.clone(),
            replays,
        });
    }
    Ok(audits)
}

/// The cheat with cheaper weights.
const COARSE: &str = "weights of 4 bits with a scale every 32 (Q4_0)";

/// The model with cheaper weights, as a cheat might use.
fn coarse(path: &Path, options: &LoadOptions) -> Result<LocalBackend, Failure> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("coarse.gguf");
    requantise(&Gguf::open(path)?, &target, WeightFormat::Q4_0)?;
    Ok(LocalBackend::load(&target, options)?)
}

/// A SHA-256 from its hexadecimal digits.
pub(crate) fn hash(hex: &str) -> Option<Hash> {
    from_hex(hex)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_from_its_digits() {
        let mut golden = [0; 32];
        golden[0] = 0xfe;
        golden[31] = 0x0a;
        let hex = format!("fe{}0a", "00".repeat(30));
        assert_eq!(hash(&hex), Some(golden));
        assert_eq!(hash(&hex[2..]), None);
        assert_eq!(hash(&hex.replace('f', "g")), None);
    }
}
