// SPDX-License-Identifier: Apache-2.0
//! `starling-infer head`: private heads, small networks that score responses. Training reports what
//! a head ranks right; proofs show that a score is the head's, and nothing else of it.

mod proofs;
mod rankings;
mod report;
mod train;

use crate::common::{read_file, Failure};
use clap::Subcommand;
use proofs::{Prove, Verify};
use starling_console::outln;
use starling_zk::{
    features::Features,
    file::HeadFile,
    head::Head,
    secret::Secret,
    table::{Table, POINTS},
};
use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

#[derive(Subcommand)]
pub enum Command {
    /// Train a head on rankings, and report how many pairs it ranks right.
    Train(Train),
    /// Print the commitment to a head and the table of its scores, for whoever verifies proofs.
    Registration {
        /// File of the head
        head: PathBuf,
    },
    /// Score responses with a head.
    Score(Score),
    /// Prove the score of a response.
    Prove(Prove),
    /// Verify the proof of a score, and print the score.
    Verify(Verify),
}

#[derive(clap::Args)]
pub struct Train {
    /// JSON file with an array of {"question", "responses", "scores"}, a greater score for a better
    /// response; - for standard input
    #[arg(long, value_name = "FILE")]
    rankings: PathBuf,
    /// File to write the head to, which must not exist; it holds the secret weights
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Share of the questions that training does not see and the report is about
    #[arg(long, default_value_t = 0.2, value_parser = share, value_name = "SHARE")]
    held_out: f64,
    /// Number of times that training sees each pair
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: u32,
    /// Seed of training; the same one gives the same weights
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Score {
    /// File of the head
    head: PathBuf,
    /// The question
    #[arg(short, long)]
    question: String,
    /// A response (may be repeated)
    #[arg(short, long, required = true)]
    response: Vec<String>,
    /// Print a JSON array of scores
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if 0.0 < share && share < 1.0 => Ok(share),
        _ => Err("a share is a number between 0 and 1".into()),
    }
}

pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Train(args) => train(args),
        Command::Registration { head } => {
            outln!("{}", proofs::registration(&read_head(&head)?)?);
            Ok(())
        },
        Command::Score(args) => score(args),
        Command::Prove(args) => proofs::prove(args),
        Command::Verify(args) => proofs::verify(args),
    }
}

fn train(args: Train) -> Result<(), Failure> {
    if args.output.exists() {
        return Err(format!("{} is there already", args.output.display()).into());
    }
    let path = &args.rankings;
    let questions = rankings::parse(&read_file(path)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let (seen, held_out) = rankings::split(questions, args.held_out, args.seed)?;
    let head = train::train(&seen, args.epochs, args.seed);
    let report = report::Report::new(&head, &seen, &held_out);
    let file = HeadFile {
        table: table(&head, seen.iter().chain(&held_out).flatten())?,
        secret: Secret::new(head, random()?),
    };
    write_secret(&args.output, &file.to_bytes())?;
    if args.json {
        outln!("{}", serde_json::to_string(&report)?);
    } else {
        outln!("{report}");
    }
    Ok(())
}

/// The outputs that part the responses into equal shares.
fn table<'a>(
    head: &Head,
    responses: impl Iterator<Item = &'a rankings::Response>,
) -> Result<Table, Failure> {
    let mut outputs: Vec<i64> = responses
        .map(|response| head.output(&response.features))
        .collect();
    outputs.sort_unstable();
    let last = outputs.len().saturating_sub(1);
    let point = |i: usize| outputs.get(i * last / (POINTS - 1)).copied();
    let points = std::array::from_fn(|i| point(i).unwrap_or_default());
    Ok(Table::new(points)?)
}

fn score(args: Score) -> Result<(), Failure> {
    let head = read_head(&args.head)?;
    let scored = |response: &String| {
        let features = Features::of(args.question.as_bytes(), response.as_bytes());
        fraction(head.table.score(head.secret.head().output(&features)))
    };
    let scores: Vec<f64> = args.response.iter().map(scored).collect();
    if args.json {
        outln!("{}", serde_json::to_string(&scores)?);
    } else {
        for (score, response) in scores.iter().zip(&args.response) {
            outln!("{score:.6}  {}", crate::rank::shown(response));
        }
    }
    Ok(())
}

/// A score in [0, 1].
fn fraction(score: u16) -> f64 {
    f64::from(score) / f64::from(u16::MAX)
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system has no random numbers: {error}"))?;
    Ok(bytes)
}

fn read_head(path: &Path) -> Result<HeadFile, Failure> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| at(&error))?;
    Ok(HeadFile::from_bytes(&bytes).map_err(|error| at(&error))?)
}

/// Writes a new file that only the user may read.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|error| format!("{}: {error}", path.display()).into())
}
