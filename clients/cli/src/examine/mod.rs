// SPDX-License-Identifier: Apache-2.0
//! `starling examine`: asks questions with known answers, and reveals the answers.

mod arithmetic;
mod pool;
mod reveal;
mod run;
mod state;

use std::path::PathBuf;

use directories::ProjectDirs;
use serde_json::json;
use sp_core::crypto::AccountId32;
use starling_client::{Chain, Error, Keypair, Result};
use starling_console::outln;

use crate::arguments::{account_of, Connection, Signer};
use pool::Pool;
use state::{Fate, Ledger};

const FORMAT: &str = r#"A pool has a JSON object a line. A question's index is its line from 0 on:
  {"question": "What is 2 + 2?", "form": "number", "keys": ["4"]}
  {"question": "Which is a bird? a) cod b) owl", "form": "choice", "keys": ["b"], "options": 2}
  {"question": "What is the capital of France?", "form": "short", "keys": ["paris"]}

  form     number, choice or short
  keys     1 to 4 keys of the right answer: lower case, no marks at the ends, at most 64 bytes
  options  number of options of a choice, 2 to 10
  chance   share of right answers by chance of the other forms, at most 0.5 [default: 0.05]

A file of ordinary questions has `question` and `form` [default: free] alone.
Keep a pool and the folder of --data secret until all answers are public."#;

#[derive(clap::Args)]
#[command(after_long_help = FORMAT)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a pool of questions with known answers, or generate one.
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Ask ordinary questions and, at random moments, questions of a pool; reveal their answers.
    #[command(after_long_help = FORMAT)]
    Run(run::Args),
    /// Reveal the known answers of all rounds that are over.
    Reveal(Place),
}

#[derive(clap::Subcommand)]
enum PoolCommand {
    /// Check every line of a pool, and print the number of questions and the Merkle root.
    #[command(after_long_help = FORMAT)]
    Check {
        /// Pool
        file: PathBuf,
    },
    /// Print a pool of questions of arithmetic. Agents recognise such questions: use them on local
    /// swarms alone.
    Arithmetic {
        /// Number of questions
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
        /// Seed; the same one gives the same questions
        #[arg(long, value_name = "S")]
        seed: u64,
    },
}

/// The pool, and the record of what was asked.
#[derive(clap::Args)]
struct Place {
    /// Pool
    file: PathBuf,
    /// Folder for the record of the questions that were asked [default: the data folder of the
    /// user]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Args { signer, command } = args;
    match command {
        Command::Pool(PoolCommand::Check { file }) => check(connection, &file),
        Command::Pool(PoolCommand::Arithmetic { count, seed }) => generate(count, seed),
        Command::Run(args) => run::run(connection, &signer, args).await,
        Command::Reveal(place) => {
            let pool = Pool::read(&place.file)?;
            let key = signer.required()?;
            connection
                .run(|chain| async move {
                    let mut examiner = Examiner::open(chain, key, pool, place.data)?;
                    examiner.reveal().await?;
                    examiner.summarise(connection);
                    Ok(())
                })
                .await
        },
    }
}

fn check(connection: &Connection, file: &std::path::Path) -> Result<()> {
    let pool = Pool::read(file)?;
    let root = format!("{:?}", pool.root());
    if connection.json {
        outln!(
            "{}",
            json!({
                "questions": pool.count(),
                "root": root,
                "generated": pool.is_generated(),
            })
        );
        return Ok(());
    }
    outln!("questions:  {}", pool.count());
    outln!("root:       {root}");
    if pool.is_generated() {
        outln!("The pool has generated questions: use it on local swarms alone.");
    }
    Ok(())
}

fn generate(count: u32, seed: u64) -> Result<()> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    for line in arithmetic::questions(count, seed) {
        let line = serde_json::to_string(&line);
        outln!(
            "{}",
            line.map_err(|error| Error::Protocol(error.to_string()))?
        );
    }
    Ok(())
}

/// An examiner at work.
struct Examiner {
    chain: Chain,
    key: Keypair,
    pool: Pool,
    ledger: Ledger,
}

impl Examiner {
    fn open(chain: Chain, key: Keypair, pool: Pool, data: Option<PathBuf>) -> Result<Self> {
        let standard =
            || ProjectDirs::from("", "", "starling").map(|dirs| dirs.data_dir().join("examiner"));
        let folder = data
            .or_else(standard)
            .ok_or_else(|| Error::Usage("the user has no home folder: pass --data".into()))?;
        let ledger = Ledger::open(&folder, chain.genesis(), &account_of(&key), pool.root())?;
        Ok(Self {
            chain,
            key,
            pool,
            ledger,
        })
    }

    fn account(&self) -> AccountId32 {
        account_of(&self.key)
    }

    /// Prints what has become of the known answers so far.
    fn summarise(&self, connection: &Connection) {
        let used = self.ledger.used().len();
        let unused = usize::try_from(self.pool.count())
            .unwrap_or(usize::MAX)
            .saturating_sub(used);
        let [public, open, lost] =
            [Fate::Public, Fate::Open, Fate::Lost].map(|fate| self.ledger.with_fate(fate));
        if connection.json {
            outln!(
                "{}",
                json!({
                    "asked": used, "public": public, "open": open, "lost": lost, "unused": unused,
                })
            );
        } else {
            outln!(
                "{used} questions of the pool were asked: {public} answers are public, {open} are \
                 to be revealed, {lost} are lost. {unused} questions are left."
            );
        }
    }
}
