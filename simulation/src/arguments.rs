// SPDX-License-Identifier: Apache-2.0

//! The experiments on the command line.

use starling_console::outln;
use std::{fs, path::PathBuf, time::Instant};

use anyhow::{ensure, Context, Result};
use clap::{Args, Subcommand};
use serde::{de::value, Deserialize, Serialize};
use starling_engine::ActivationBits;
use starling_evaluation::Task;
use starling_runtime::{
    parameters::{Parameters, Preset},
    Balance, UNIT,
};
use starling_simulation::{
    ability::Ability,
    behaviour::Kind,
    changes::Changes,
    experiments::{
        alternatives, authoring,
        behaviours::{self, Attack},
        disputes::{self, Adversary},
        grinding, injection, quality, ratings, scale,
        scenario::{self, Scenario},
        seats::{self, Conduct},
        short,
        sweep::{self, Parameter},
        sybil, POOR,
    },
    models::{Model, Scorer},
    output::Output,
    runner::Runner,
    swarm::{Config, Spec, Swarm},
};

/// An experiment.
#[derive(Subcommand)]
pub(crate) enum Experiment {
    /// Measure the cost of a round by its number of agents: blocks, weight, proofs, bytes, state.
    Scale(ScaleArgs),
    /// Measure the duration of rounds on this machine.
    Speed(SpeedArgs),
    /// Compare ratings with true abilities (figures 3 to 5).
    Ratings(RatingsArgs),
    /// Compare other methods of rating rankers, on the same scores.
    Alternatives(AlternativesArgs),
    /// Measure the profit of further identities (figure 6).
    Sybil(SybilArgs),
    /// Measure the income of one person's identities among honest agents.
    SybilCases(SybilCasesArgs),
    /// Measure the effect of each behaviour on the swarm, by the fraction of agents that have it.
    Behaviours(BehavioursArgs),
    /// Measure the gain of a block author that chooses among several blocks for a full round.
    Grinding(GrindingArgs),
    /// Measure the seats of validators that bonds buy, and what their owner can do with them.
    Seats(SeatsArgs),
    /// Compare Aura with BABE: empty slots, forks, finality, authors that everybody can foresee.
    Authoring(AuthoringArgs),
    /// Measure the rulings of committees with adversaries among them, and what each side loses,
    /// beside the chances of draws.
    Disputes(DisputesArgs),
    /// Measure the effects of the main parameters.
    Sweep(SweepArgs),
    /// Measure how often poor answers with prompt injections win, with real models.
    Injection(InjectionArgs),
    /// Compare the answers of a swarm of real models with those of its models alone.
    Quality(QualityArgs),
    /// Play a scenario of your own.
    Scenario(ScenarioArgs),
}

/// The seed, the runner and the output of an experiment.
pub(crate) struct Stage {
    pub(crate) seed: u64,
    pub(crate) runner: Runner,
    pub(crate) output: Output,
}

impl Stage {
    /// The first seeds from the given one on.
    fn seeds(&self, count: u64) -> Vec<u64> {
        (self.seed..self.seed.saturating_add(count)).collect()
    }
}

impl Experiment {
    /// Plays the experiment and prints its main table.
    pub(crate) fn play(self, stage: &Stage) -> Result<()> {
        let Stage { runner, output, .. } = stage;
        match self {
            Self::Scale(args) => print(&scale::run(&args.options(stage), *runner, output)?),
            Self::Speed(args) => args.play(stage),
            Self::Ratings(args) => print(&ratings::run(&args.options(stage), *runner, output)?),
            Self::Alternatives(args) => {
                print(&alternatives::run(&args.options(stage), *runner, output)?)
            },
            Self::Sybil(args) => print(&sybil::run(&args.options(stage), *runner, output)?),
            Self::SybilCases(args) => print(&sybil::cases(&args.options(stage)?, *runner, output)?),
            Self::Behaviours(args) => {
                print(&behaviours::run(&args.options(stage)?, *runner, output)?)
            },
            Self::Grinding(args) => print(&grinding::run(&args.options(stage)?, *runner, output)?),
            Self::Seats(args) => print(&seats::run(&args.options(stage)?, *runner, output)?),
            Self::Authoring(args) => print(&authoring::run(&args.options(stage), *runner, output)?),
            Self::Disputes(args) => print(&disputes::run(&args.options(stage), *runner, output)?),
            Self::Sweep(args) => print(&sweep::run(&args.options(stage), *runner, output)?),
            Self::Injection(args) => {
                print(&injection::run(&args.options(stage)?, *runner, output)?)
            },
            Self::Quality(args) => print(&quality::run(&args.options(stage)?, *runner, output)?),
            Self::Scenario(args) => {
                let scenario = read::<Scenario>(&args.file)?;
                print(&scenario::run(&scenario, stage.seed, *runner, output)?)
            },
        }
    }
}

#[derive(Args)]
pub(crate) struct ScaleArgs {
    /// Numbers of agents.
    #[arg(long, value_delimiter = ',', default_value = "10,50,100,250,500")]
    agents: Vec<usize>,
    /// Length of a response, in bytes.
    #[arg(long, default_value_t = 1_000)]
    response_bytes: usize,
    /// Share of each block that its author fills.
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    fill: f64,
}

impl ScaleArgs {
    fn options(self, stage: &Stage) -> scale::Options {
        scale::Options {
            sizes: self.agents,
            response_bytes: self.response_bytes,
            fill: self.fill,
            seed: stage.seed,
        }
    }
}

#[derive(Args)]
pub(crate) struct SpeedArgs {
    /// Number of agents.
    #[arg(long, default_value_t = 10)]
    agents: usize,
    /// Number of rounds.
    #[arg(long, default_value_t = 1_000)]
    rounds: u64,
}

impl SpeedArgs {
    fn play(self, stage: &Stage) -> Result<()> {
        let agents = vec![Spec::honest(Ability::default()); self.agents];
        let config = Config::new(short(Preset::Production), agents, stage.seed);
        let rounds = self.rounds;
        let start = Instant::now();
        stage
            .runner
            .all("speed", rounds, &[config], |config, bar| {
                let mut swarm = Swarm::new(config.clone())?;
                for _ in 0..rounds {
                    swarm.play()?;
                    bar.inc(1);
                }
                Ok(())
            })?;
        outln!("{rounds} rounds in {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct RatingsArgs {
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
}

impl RatingsArgs {
    fn options(self, stage: &Stage) -> Vec<ratings::Options> {
        let seeds = stage.seeds(self.seeds);
        let of = |preset| ratings::Options {
            preset,
            agents: self.agents,
            rounds: self.rounds,
            seeds: seeds.clone(),
        };
        self.presets.into_iter().map(of).collect()
    }
}

#[derive(Args)]
pub(crate) struct AlternativesArgs {
    /// Number of rounds.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// Number of seeds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
}

impl AlternativesArgs {
    fn options(self, stage: &Stage) -> alternatives::Options {
        alternatives::Options {
            rounds: self.rounds,
            seeds: stage.seeds(self.seeds),
        }
    }
}

#[derive(Args)]
pub(crate) struct SybilArgs {
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
}

impl SybilArgs {
    fn options(self, stage: &Stage) -> Vec<sybil::SurfaceOptions> {
        let of = |preset| sybil::SurfaceOptions {
            preset,
            agents: self.agents.clone(),
            tickets: self.tickets.clone(),
            rounds: self.rounds,
            seed: stage.seed,
        };
        self.presets.into_iter().map(of).collect()
    }
}

#[derive(Args)]
pub(crate) struct SybilCasesArgs {
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
}

impl SybilCasesArgs {
    fn options(self, stage: &Stage) -> Result<sybil::CaseOptions> {
        Ok(sybil::CaseOptions {
            parameters: self.parameters.parameters()?,
            agents: self.agents,
            shares: self.shares,
            warm_up: self.counted.warm_up,
            rounds: self.counted.rounds,
            seeds: stage.seeds(self.counted.seeds),
        })
    }
}

#[derive(Args)]
pub(crate) struct BehavioursArgs {
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
}

impl BehavioursArgs {
    fn options(self, stage: &Stage) -> Result<behaviours::Options> {
        Ok(behaviours::Options {
            parameters: self.parameters.parameters()?,
            agents: self.agents,
            attacks: match self.attacks.is_empty() {
                true => Attack::all(),
                false => self.attacks,
            },
            fractions: self.fractions,
            warm_up: self.counted.warm_up,
            rounds: self.counted.rounds,
            seeds: stage.seeds(self.counted.seeds),
            poor: self.poor,
        })
    }
}

#[derive(Args)]
pub(crate) struct GrindingArgs {
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
    /// Numbers of slots in a row that belong to colluding authors; the first one is the baseline.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8", value_parser = clap::value_parser!(u32).range(1..))]
    candidates: Vec<u32>,
    #[command(flatten)]
    counted: Counted,
    #[command(flatten)]
    parameters: ParametersArg,
}

impl GrindingArgs {
    fn options(self, stage: &Stage) -> Result<grinding::Options> {
        Ok(grinding::Options {
            parameters: self.parameters.parameters()?,
            agents: self.agents,
            seats: self.seats,
            kinds: self.kinds,
            fractions: self.fractions,
            candidates: self.candidates,
            warm_up: self.counted.warm_up,
            rounds: self.counted.rounds,
            seeds: stage.seeds(self.counted.seeds),
            poor: POOR,
        })
    }
}

#[derive(Args)]
pub(crate) struct SeatsArgs {
    /// Conducts of the owner of the bonds [default: all].
    #[arg(long, value_delimiter = ',', value_parser = named::<Conduct>)]
    conducts: Vec<Conduct>,
    /// Its shares of all bonds, below 1; it has one bond at least.
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.2,0.3,0.33,0.35,0.4,0.5,0.6", value_parser = share)]
    fractions: Vec<f64>,
    /// Number of honest validators.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(4..=64))]
    validators: u32,
    /// Bond of an honest validator, in STAR.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    bond: u32,
    /// Each bond of the other owner, in STAR.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    attacker_bond: u32,
    /// Number of sessions.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
}

impl SeatsArgs {
    fn options(self, stage: &Stage) -> Result<seats::Options> {
        ensure!(
            self.fractions.iter().all(|share| *share < 1.0),
            "the shares of all bonds must be below 1"
        );
        Ok(seats::Options {
            parameters: Preset::Production.parameters(),
            validators: self.validators as usize,
            bond: Balance::from(self.bond) * UNIT,
            attacker_bond: Balance::from(self.attacker_bond) * UNIT,
            conducts: match self.conducts.is_empty() {
                true => Conduct::ALL.into(),
                false => self.conducts,
            },
            fractions: self.fractions,
            sessions: self.sessions,
            seed: stage.seed,
        })
    }
}

#[derive(Args)]
pub(crate) struct AuthoringArgs {
    /// Numbers of validators.
    #[arg(long, value_delimiter = ',', default_value = "4,16,64", value_parser = clap::value_parser!(u32).range(4..=64))]
    validators: Vec<u32>,
    /// Mean delays between two nodes, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "5,50,200,500,1000")]
    delays: Vec<u32>,
    /// Shares of the validators that are away, below a third.
    #[arg(long, value_delimiter = ',', default_value = "0,0.3", value_parser = share)]
    away: Vec<f64>,
    /// Time from the beginning of a slot until its block is ready, in milliseconds.
    #[arg(long, default_value_t = 100)]
    build: u32,
    /// Number of slots.
    #[arg(long, default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..))]
    slots: u64,
}

impl AuthoringArgs {
    fn options(self, stage: &Stage) -> authoring::Options {
        authoring::Options {
            validators: self.validators.iter().map(|n| *n as usize).collect(),
            delays: self.delays.iter().copied().map(f64::from).collect(),
            away: self.away,
            build: f64::from(self.build),
            slots: self.slots,
            seed: stage.seed,
        }
    }
}

#[derive(Args)]
pub(crate) struct DisputesArgs {
    /// The adversaries [default: all].
    #[arg(long, value_delimiter = ',', value_parser = named::<Adversary>)]
    adversaries: Vec<Adversary>,
    /// Their shares of the bonds of all executors.
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.2,0.33", value_parser = share)]
    shares: Vec<f64>,
    /// Number of executors: enough for a first committee and for that of an appeal.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(30..=256))]
    executors: u32,
    /// Number of cases of each adversary with each share.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
}

impl DisputesArgs {
    fn options(self, stage: &Stage) -> disputes::Options {
        disputes::Options {
            adversaries: match self.adversaries.is_empty() {
                true => Adversary::ALL.into(),
                false => self.adversaries,
            },
            shares: self.shares,
            executors: self.executors,
            cases: self.cases,
            seed: stage.seed,
        }
    }
}

#[derive(Args)]
pub(crate) struct SweepArgs {
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
}

impl SweepArgs {
    fn options(self, stage: &Stage) -> sweep::Options {
        sweep::Options {
            parameters: match self.parameters.is_empty() {
                true => Parameter::ALL.into(),
                false => self.parameters,
            },
            agents: self.agents,
            fraction: self.fraction,
            warm_up: self.counted.warm_up,
            rounds: self.counted.rounds,
            seeds: stage.seeds(self.counted.seeds),
        }
    }
}

#[derive(Args)]
pub(crate) struct InjectionArgs {
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
    /// Rounds with precautions (true) or without (false).
    #[arg(long, value_delimiter = ',', default_value = "true,false")]
    defences: Vec<bool>,
}

impl InjectionArgs {
    fn options(self, stage: &Stage) -> Result<injection::Options> {
        let models = self.models;
        let agents = models.agents as usize;
        ensure!(
            self.attackers < agents,
            "there must be agents that do not attack"
        );
        Ok(injection::Options {
            models: models.open()?,
            task: self.task,
            limit: models.limit as usize,
            reference: models.reference as usize,
            agents,
            attackers: self.attackers,
            temperature: models.temperature,
            scorers: self.scorers,
            attacks: match self.attacks.is_empty() {
                true => injection::Attack::ALL.into(),
                false => self.attacks,
            },
            defences: self.defences,
            seeds: stage.seeds(models.seeds),
            data: models.data,
        })
    }
}

#[derive(Args)]
pub(crate) struct QualityArgs {
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
}

impl QualityArgs {
    fn options(self, stage: &Stage) -> Result<quality::Options> {
        let models = self.models;
        Ok(quality::Options {
            models: models.open()?,
            tasks: self.tasks,
            limit: models.limit as usize,
            reference: models.reference as usize,
            agents: models.agents as usize,
            temperature: models.temperature,
            scorer: self.scorer,
            seeds: stage.seeds(models.seeds),
            data: models.data,
        })
    }
}

#[derive(Args)]
pub(crate) struct ScenarioArgs {
    /// The file (TOML); see `simulation/scenarios`.
    file: PathBuf,
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
    /// Number of earlier questions that are not counted: they set the scale of the scores, and
    /// their answers are known to the choice by votes, which needs at least ten.
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
