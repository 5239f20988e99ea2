// SPDX-License-Identifier: Apache-2.0
//! `starling-sim`: simulates the swarm under attack.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{ensure, Context, Result};
use clap::{Args, Parser, Subcommand};
use serde::{de::value, Deserialize, Serialize};
use starling_engine::ActivationBits;
use starling_evaluation::Task;
use starling_runtime::parameters::{Parameters, Preset};
use starling_simulation::{
    ability::Ability,
    behaviour::Kind,
    changes::Changes,
    experiments::{
        alternatives,
        behaviours::{self, Attack},
        grinding, injection, quality, ratings, scale,
        scenario::{self, Scenario},
        short,
        sweep::{self, Parameter},
        sybil, POOR,
    },
    models::{Model, Scorer},
    output::Output,
    page,
    runner::Runner,
    swarm::{Config, Spec, Swarm},
    tables,
};

/// Simulates swarms of honest and dishonest agents on the real runtime.
///
/// Every command writes tables (CSV) and plots (SVG) into the folder for results, and prints its main
/// table. The same options and seed give the same results.
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

#[derive(Subcommand)]
enum Experiment {
    /// Measure the cost of a round by its number of agents: blocks, weight, proofs, bytes, state.
    Scale {
        /// Numbers of agents.
        #[arg(long, value_delimiter = ',', default_value = "10,50,100,250,500")]
        agents: Vec<usize>,
        /// Length of a response, in bytes.
        #[arg(long, default_value_t = 1_000)]
        response_bytes: usize,
        /// Share of each block that its author fills.
        #[arg(long, default_value_t = 0.5, value_parser = share)]
        fill: f64,
    },
    /// Measure the duration of rounds on this machine.
    Speed {
        /// Number of agents.
        #[arg(long, default_value_t = 10)]
        agents: usize,
        /// Number of rounds.
        #[arg(long, default_value_t = 1_000)]
        rounds: u64,
    },
    /// Compare ratings with true abilities (figures 3 to 5).
    Ratings {
        /// The presets of parameters.
        #[arg(long, value_delimiter = ',', default_value = "paper,production", value_parser = named::<Preset>)]
        presets: Vec<Preset>,
        /// Number of agents.
        #[arg(long, default_value_t = 10)]
        agents: usize,
        /// Number of rounds.
        #[arg(long, default_value_t = 1_000)]
        rounds: u32,
        /// Number of seeds.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
    },
    /// Compare other methods of rating rankers, on the same scores.
    Alternatives {
        /// Number of rounds.
        #[arg(long, default_value_t = 50)]
        rounds: u32,
        /// Number of seeds.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
    },
    /// Measure the profit of further identities (figure 6).
    Sybil {
        /// The presets of parameters.
        #[arg(long, value_delimiter = ',', default_value = "paper,production", value_parser = named::<Preset>)]
        presets: Vec<Preset>,
        /// Numbers of agents.
        #[arg(long, value_delimiter = ',', default_value = "10,20,50,100,200,500")]
        agents: Vec<usize>,
        /// Prices of a ticket.
        #[arg(long, value_delimiter = ',', default_value = "0,0.5,1,1.5,2")]
        tickets: Vec<f64>,
        /// Rounds at each point.
        #[arg(long, default_value_t = 2)]
        rounds: u32,
    },
    /// Measure the income of one person's identities among honest agents.
    SybilCases {
        /// Number of agents.
        #[arg(long, default_value_t = 100)]
        agents: usize,
        /// Shares of the agents that belong to one person.
        #[arg(long, value_delimiter = ',', default_value = "0.01,0.1,0.33,0.49", value_parser = share)]
        shares: Vec<f64>,
        #[command(flatten)]
        counted: Counted,
        #[command(flatten)]
        parameters: ParametersArg,
    },
    /// Measure the effect of each behaviour on the swarm, by the fraction of agents that have it.
    Behaviours {
        /// The behaviours; all of them if left out.
        #[arg(long, value_delimiter = ',')]
        attacks: Vec<Attack>,
        /// Fractions of agents with the behaviour.
        #[arg(long, value_delimiter = ',', default_value = "0,0.1,0.2,0.33,0.49", value_parser = share)]
        fractions: Vec<f64>,
        /// Number of agents.
        #[arg(long, default_value_t = 20)]
        agents: usize,
        #[command(flatten)]
        counted: Counted,
        /// Mean quality of answers without effort.
        #[arg(long, default_value_t = POOR, value_parser = share)]
        poor: f64,
        #[command(flatten)]
        parameters: ParametersArg,
    },
    /// Measure the gain of a block author that chooses among several blocks for a full round.
    Grinding {
        /// Number of agents.
        #[arg(long, default_value_t = 20)]
        agents: usize,
        /// Number of agents in a round.
        #[arg(long, default_value_t = 10)]
        seats: u32,
        /// Kinds of the attackers' agents.
        #[arg(long, value_delimiter = ',', default_value = "honest,ring,subtle", value_parser = named::<Kind>)]
        kinds: Vec<Kind>,
        /// Shares of the attackers among the agents.
        #[arg(long, value_delimiter = ',', default_value = "0.2,0.33", value_parser = share)]
        fractions: Vec<f64>,
        /// Numbers of blocks that the author chooses from; the first one is the baseline.
        #[arg(long, value_delimiter = ',', default_value = "1,4,16,64", value_parser = clap::value_parser!(u32).range(1..))]
        candidates: Vec<u32>,
        #[command(flatten)]
        counted: Counted,
        #[command(flatten)]
        parameters: ParametersArg,
    },
    /// Measure the effects of the main parameters.
    Sweep {
        /// The parameters; all of them if left out.
        #[arg(long, value_delimiter = ',', value_parser = named::<Parameter>)]
        parameters: Vec<Parameter>,
        /// Number of agents.
        #[arg(long, default_value_t = 20)]
        agents: usize,
        /// Share of attackers among them.
        #[arg(long, default_value_t = 0.2, value_parser = share)]
        fraction: f64,
        #[command(flatten)]
        counted: Counted,
    },
    /// Measure how often poor answers with prompt injections win, with real models.
    Injection {
        #[command(flatten)]
        models: ModelArgs,
        /// The task set.
        #[arg(long, default_value = "hellaswag")]
        task: Task,
        /// Number of agents that give the poor answer.
        #[arg(long, default_value_t = 1)]
        attackers: usize,
        /// The ways in which agents score.
        #[arg(long, value_delimiter = ',', default_value = "likelihood,lift,judge", value_parser = named::<Scorer>)]
        scorers: Vec<Scorer>,
        /// The attacks; all of them if left out. The first one is the baseline.
        #[arg(long, value_delimiter = ',', value_parser = named::<injection::Attack>)]
        attacks: Vec<injection::Attack>,
        /// Whether to take precautions.
        #[arg(long, value_delimiter = ',', default_value = "true,false")]
        defences: Vec<bool>,
    },
    /// Compare the answers of a swarm of real models with those of its models alone.
    Quality {
        #[command(flatten)]
        models: ModelArgs,
        /// The task sets.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "hellaswag,causal_judgement,disambiguation_qa,\
                             logical_deduction_three_objects,logical_deduction_five_objects"
        )]
        tasks: Vec<Task>,
        /// The way in which agents score.
        #[arg(long, default_value = "likelihood", value_parser = named::<Scorer>)]
        scorer: Scorer,
    },
    /// Play a scenario of your own.
    Scenario {
        /// The file (TOML); see `simulation/scenarios`.
        file: PathBuf,
    },
}

/// Number of rounds and seeds.
#[derive(Args)]
struct Counted {
    /// Rounds before counting begins, in which the ratings settle. A rating farmer is honest for
    /// the first forty rounds.
    #[arg(long, default_value_t = 45)]
    warm_up: u32,
    /// Rounds that are counted.
    #[arg(long, default_value_t = 60)]
    rounds: u32,
    /// Number of seeds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
}

/// Other parameters than those of production.
#[derive(Args)]
struct ParametersArg {
    /// A file (TOML) with parameters, as in the `[parameters]` of a scenario.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
}

impl ParametersArg {
    fn parameters(&self) -> Result<Parameters> {
        match &self.parameters {
            Some(file) => read::<Changes>(file)?.parameters(),
            None => Changes::default().parameters(),
        }
    }
}

/// The models and their questions.
#[derive(Args)]
struct ModelArgs {
    /// A model file (GGUF). Several models also form a mixed swarm.
    #[arg(long = "model", value_name = "FILE", required = true)]
    models: Vec<PathBuf>,
    /// Folder with the task sets.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Folder that keeps the models' outputs, so that they are not computed again.
    #[arg(long, value_name = "FOLDER", default_value = "simulation-results/said")]
    said: PathBuf,
    /// Bits of the activations that are multiplied with quantised weights: 16, or 8, which is
    /// faster and less exact.
    #[arg(long, default_value_t)]
    activation_bits: ActivationBits,
    /// Number of questions of a set to ask.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Number of earlier questions that only set the scale of the scores.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    reference: u32,
    /// Number of agents in a swarm.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..))]
    agents: u32,
    /// Temperature at which they draw their answers.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Number of seeds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
}

impl ModelArgs {
    fn open(&self) -> Result<Vec<Model>> {
        ensure!(
            self.temperature >= 0.0 && self.temperature.is_finite(),
            "the temperature must not be negative"
        );
        let open = |path: &PathBuf| Model::open(path, &self.said, self.activation_bits);
        self.models.iter().map(open).collect()
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("it must be a number between 0 and 1".into()),
    }
}

/// Parses a value by its name in files.
fn named<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, value::Error> {
    T::deserialize(value::StrDeserializer::new(text))
}

/// Parses the name of a folder.
fn variant(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.into()),
        false => Err("it must be letters, digits and hyphens".into()),
    }
}

fn print<T: Serialize>(rows: &[T]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(std::io::stdout());
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.flush()?)
}

fn read<T: for<'a> Deserialize<'a>>(file: &PathBuf) -> Result<T> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot parse {}", file.display()))
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
        Command::Experiment(experiment) => play(experiment, &cli.common),
    }
}

fn play(experiment: Experiment, common: &Common) -> Result<()> {
    let seed = common.seed;
    let output = Output::new(&common.out, common.variant.as_deref())?;
    let runner = Runner {
        quiet: common.quiet,
    };
    let some = |seeds: u64| (seed..seed.saturating_add(seeds)).collect::<Vec<u64>>();
    match experiment {
        Experiment::Scale {
            agents,
            response_bytes,
            fill,
        } => {
            let options = scale::Options {
                sizes: agents,
                response_bytes,
                fill,
                seed,
            };
            print(&scale::run(&options, runner, &output)?)
        },
        Experiment::Speed { agents, rounds } => {
            let agents = vec![Spec::honest(Ability::default()); agents];
            let config = Config::new(short(Preset::Production), agents, seed);
            let start = Instant::now();
            runner.all("speed", rounds, &[config], |config, bar| {
                let mut swarm = Swarm::new(config.clone())?;
                for _ in 0..rounds {
                    swarm.play()?;
                    bar.inc(1);
                }
                Ok(())
            })?;
            println!("{rounds} rounds in {:.1} s", start.elapsed().as_secs_f64());
            Ok(())
        },
        Experiment::Ratings {
            presets,
            agents,
            rounds,
            seeds,
        } => {
            let sets: Vec<_> = presets
                .into_iter()
                .map(|preset| ratings::Options {
                    preset,
                    agents,
                    rounds,
                    seeds: some(seeds),
                })
                .collect();
            print(&ratings::run(&sets, runner, &output)?)
        },
        Experiment::Alternatives { rounds, seeds } => {
            let options = alternatives::Options {
                rounds,
                seeds: some(seeds),
            };
            print(&alternatives::run(&options, runner, &output)?)
        },
        Experiment::Sybil {
            presets,
            agents,
            tickets,
            rounds,
        } => {
            let sets: Vec<_> = presets
                .into_iter()
                .map(|preset| sybil::SurfaceOptions {
                    preset,
                    agents: agents.clone(),
                    tickets: tickets.clone(),
                    rounds,
                    seed,
                })
                .collect();
            print(&sybil::run(&sets, runner, &output)?)
        },
        Experiment::SybilCases {
            agents,
            shares,
            counted,
            parameters,
        } => {
            let options = sybil::CaseOptions {
                parameters: parameters.parameters()?,
                agents,
                shares,
                warm_up: counted.warm_up,
                rounds: counted.rounds,
                seeds: some(counted.seeds),
            };
            print(&sybil::cases(&options, runner, &output)?)
        },
        Experiment::Behaviours {
            attacks,
            fractions,
            agents,
            counted,
            poor,
            parameters,
        } => {
            let options = behaviours::Options {
                parameters: parameters.parameters()?,
                agents,
                attacks: match attacks.is_empty() {
                    true => Attack::all(),
                    false => attacks,
                },
                fractions,
                warm_up: counted.warm_up,
                rounds: counted.rounds,
                seeds: some(counted.seeds),
                poor,
            };
            print(&behaviours::run(&options, runner, &output)?)
        },
        Experiment::Grinding {
            agents,
            seats,
            kinds,
            fractions,
            candidates,
            counted,
            parameters,
        } => {
            let options = grinding::Options {
                parameters: parameters.parameters()?,
                agents,
                seats,
                kinds,
                fractions,
                candidates,
                warm_up: counted.warm_up,
                rounds: counted.rounds,
                seeds: some(counted.seeds),
                poor: POOR,
            };
            print(&grinding::run(&options, runner, &output)?)
        },
        Experiment::Sweep {
            parameters,
            agents,
            fraction,
            counted,
        } => {
            let options = sweep::Options {
                parameters: match parameters.is_empty() {
                    true => Parameter::ALL.into(),
                    false => parameters,
                },
                agents,
                fraction,
                warm_up: counted.warm_up,
                rounds: counted.rounds,
                seeds: some(counted.seeds),
            };
            print(&sweep::run(&options, runner, &output)?)
        },
        Experiment::Injection {
            models,
            task,
            attackers,
            scorers,
            attacks,
            defences,
        } => {
            let agents = models.agents as usize;
            ensure!(
                attackers < agents,
                "there must be agents that do not attack"
            );
            let options = injection::Options {
                models: models.open()?,
                task,
                limit: models.limit as usize,
                reference: models.reference as usize,
                agents,
                attackers,
                temperature: models.temperature,
                scorers,
                attacks: match attacks.is_empty() {
                    true => injection::Attack::ALL.into(),
                    false => attacks,
                },
                defences,
                seeds: some(models.seeds),
                data: models.data,
            };
            print(&injection::run(&options, runner, &output)?)
        },
        Experiment::Quality {
            models,
            tasks,
            scorer,
        } => {
            let options = quality::Options {
                models: models.open()?,
                tasks,
                limit: models.limit as usize,
                reference: models.reference as usize,
                agents: models.agents as usize,
                temperature: models.temperature,
                scorer,
                seeds: some(models.seeds),
                data: models.data,
            };
            print(&quality::run(&options, runner, &output)?)
        },
        Experiment::Scenario { file } => print(&scenario::run(
            &read::<Scenario>(&file)?,
            seed,
            runner,
            &output,
        )?),
    }
}
