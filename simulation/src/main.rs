// SPDX-License-Identifier: Apache-2.0
//! `starling-sim`: simulates the swarm under attack.

mod arguments;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{ensure, Context, Result};
use clap::{Args, Parser, Subcommand};
use starling_simulation::{output::Output, page, runner::Runner, tables};

use arguments::{Experiment, Stage};

/// Simulates swarms of honest and dishonest agents on the real runtime.
///
/// Every command writes tables (CSV) and plots (SVG) into the folder for results, and prints its
/// main table. The same options and seed give the same results.
#[derive(Parser)]
#[command(name = "starling-sim", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Common {
    /// Folder for results.
    #[arg(long, global = true, default_value = "simulation-results")]
    out: PathBuf,
    /// Put results into folders of this name: another run of the same experiment.
    #[arg(long, global = true, value_name = "NAME", value_parser = variant)]
    variant: Option<String>,
    /// Number of simulations to run at a time; 0 means one for each core.
    #[arg(long, global = true, default_value_t = 0)]
    threads: usize,
    /// The first seed.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Show no progress.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Experiment(Experiment),
    /// Play the commands that the pages of results name, and refresh the tables of these pages.
    Page {
        /// The folder of the pages. Results that their commands write into it go to `--out`; tables
        /// are made from its folder `data`.
        #[arg(default_value = "docs/results")]
        pages: PathBuf,
        /// Folder with the task sets: `DATA` in the commands. Commands with real models are left
        /// out if this or `--models` is missing.
        #[arg(long, value_name = "FOLDER", requires = "models")]
        data: Option<PathBuf>,
        /// Folder with the model files: `MODELS` in the commands.
        #[arg(long, value_name = "FOLDER", requires = "data")]
        models: Option<PathBuf>,
        /// Only show the commands that would run.
        #[arg(long)]
        dry_run: bool,
        /// Play nothing, and refresh the tables alone.
        #[arg(long, conflicts_with = "dry_run")]
        tables: bool,
    },
}

/// Parses the name of a folder.
fn variant(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.into()),
        false => Err("it must be letters, digits and hyphens".into()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let threads = rayon::ThreadPoolBuilder::new().num_threads(cli.common.threads);
    match threads
        .build_global()
        .map_err(Into::into)
        .and_then(|()| run(cli))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        },
    }
}

/// The folders that commands of pages name.
struct Folders {
    /// The folder that they write into.
    pages: PathBuf,
    data: Option<PathBuf>,
    models: Option<PathBuf>,
}

impl Folders {
    /// Completes a command of a page with the common options. Returns none if the command needs a
    /// folder that is not given.
    fn fill(&self, words: &[String], common: &Common) -> Result<Option<Cli>> {
        let mut filled = vec!["starling-sim".into()];
        for word in words {
            let word = match word.split_once('/') {
                _ if word == "DATA" => self.data.clone(),
                Some(("MODELS", model)) => self.models.as_ref().map(|folder| folder.join(model)),
                _ => Some(word.into()),
            };
            match word {
                Some(word) => filled.push(word),
                None => return Ok(None),
            }
        }
        let mut cli = Cli::try_parse_from(filled)?;
        let pages = self.pages.display();
        ensure!(
            cli.common.out == self.pages,
            "it does not write into {pages}"
        );
        cli.common = Common {
            out: common.out.clone(),
            variant: cli.common.variant.take(),
            ..*common
        };
        Ok(Some(cli))
    }
}

/// The pages of a folder, in the order of their names.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let unread = || format!("cannot read {}", folder.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).with_context(unread)? {
        pages.push(entry.with_context(unread)?.path());
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    ensure!(!pages.is_empty(), "{} has no pages", folder.display());
    Ok(pages)
}

fn read_page(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Plays the commands that pages name, but the call of itself.
fn play_pages(folders: &Folders, common: &Common, dry_run: bool) -> Result<()> {
    let mut commands = Vec::new();
    for file in pages(&folders.pages)? {
        for words in page::commands(&read_page(&file)?) {
            let call = words.join(" ");
            if words.first().is_none_or(|name| name != "page") {
                let cli = folders.fill(&words, common);
                let cli = cli.with_context(|| format!("{} has {call}", file.display()))?;
                commands.push((call, cli));
            }
        }
    }
    let folder = folders.pages.display();
    ensure!(
        !commands.is_empty(),
        "the pages of {folder} have no commands"
    );
    let all = commands.len();
    for (index, (call, cli)) in commands.into_iter().enumerate() {
        let left_out = match cli {
            Some(_) => "",
            None => " (left out: it needs --data and --models)",
        };
        if dry_run || !common.quiet {
            eprintln!("[{}/{all}] {call}{left_out}", index + 1);
        }
        if let (Some(cli), false) = (cli, dry_run) {
            run(cli)?;
        }
    }
    Ok(())
}

/// Makes the tables of pages anew from their data.
fn refresh_tables(folder: &Path) -> Result<()> {
    for file in pages(folder)? {
        let text = read_page(&file)?;
        let fresh = tables::refresh(&text, folder)
            .with_context(|| format!("the tables of {}", file.display()))?;
        if fresh != text {
            fs::write(&file, fresh).with_context(|| format!("cannot write {}", file.display()))?;
            eprintln!("{}: refreshed", file.display());
        }
    }
    Ok(())
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Page {
            pages,
            data,
            models,
            dry_run,
            tables,
        } => {
            let folders = Folders {
                pages,
                data,
                models,
            };
            if !tables {
                play_pages(&folders, &cli.common, dry_run)?;
            }
            match dry_run {
                true => Ok(()),
                false => refresh_tables(&folders.pages),
            }
        },
        Command::Experiment(experiment) => experiment.play(&Stage {
            seed: cli.common.seed,
            runner: Runner {
                quiet: cli.common.quiet,
            },
            output: Output::new(&cli.common.out, cli.common.variant.as_deref())?,
        }),
    }
}
