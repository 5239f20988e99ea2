// SPDX-License-Identifier: Apache-2.0
//! Arguments.

use std::{fmt, ops::Range};

use clap::{Args, Parser, Subcommand, ValueEnum};
use starling_lane::rules::{Doubles, Rules};
use starling_lane_primitives::Committee;
use starling_lane_sim::{
    explore::Plan,
    simulate::{Habit, Scenario},
    symbolic::Splits,
};

/// Views beyond those that the explorer plays, so that an honest collector comes.
const CALM_VIEWS: u8 = 3;

/// Plays schedules of the fast lane, and checks its invariants.
///
/// The fast lane answers a request by a committee off the chain. This program plays the state
/// machine of its members without a network and without cryptography.
///
/// Exit status: 0 if no invariant was broken, 1 otherwise, 2 on wrong usage.
#[derive(Parser)]
#[command(name = "starling-lane-sim", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Explore all schedules of one broadcast of four members with one liar.
    ///
    /// The network delivers anything at any time or never, timers fire at any time, and the liar
    /// says to each member whatever it can sign. For each invariant that breaks the shortest
    /// schedule found is printed.
    #[command(after_help = EXPLORE_EXAMPLES)]
    Explore(ExploreArgs),
    /// Play requests with random delays and liars.
    ///
    /// A request depends on its seed, its number and the scenario alone. For each invariant that
    /// breaks the command is printed that replays the request.
    #[command(after_help = RANDOM_EXAMPLES)]
    Random(RandomArgs),
    /// Play one request of `random` again, and print what each member says.
    Replay(ReplayArgs),
}

const EXPLORE_EXAMPLES: &str = "Examples:
  starling-lane-sim explore
  starling-lane-sim explore --deniable --last-view 1
  starling-lane-sim explore --liars 0 --splits one      # how a liar reads early by design A2
  starling-lane-sim explore --liars 1 --doubles tie     # how two seals stop one by design A3";

const RANDOM_EXAMPLES: &str = "Examples:
  starling-lane-sim random --requests 10000 --seeds 100
  starling-lane-sim random --faults 3 --liars 1 --habits two-seals --requests 1000
  starling-lane-sim random --liars 0 --rtt 100 --rank 66 --requests 300
  starling-lane-sim random --storm 200 --requests 1000";

#[derive(Clone, Copy, ValueEnum)]
enum SplitsArg {
    /// One polynomial: amendment A2 of the design.
    One,
    /// One for the full set, and one for all other sets: amendment A3.
    FullAndSets,
    /// One for the full set, and one for each view.
    PerWay,
}

#[derive(Clone, Copy, ValueEnum)]
enum DoublesArg {
    /// With two full sets there is no set: amendment A3.
    Tie,
    /// The member that sealed twice is left out.
    LeftOut,
}

#[derive(Args)]
struct RulesArgs {
    /// Polynomials of a key.
    #[arg(long, value_enum, default_value = "per-way", help_heading = "Rules")]
    splits: SplitsArg,
    /// Consequence of a second seal of a member.
    #[arg(long, value_enum, default_value = "left-out", help_heading = "Rules")]
    doubles: DoublesArg,
}

impl RulesArgs {
    fn splits(&self) -> Splits {
        match self.splits {
            SplitsArg::One => Splits::One,
            SplitsArg::FullAndSets => Splits::FullAndSets,
            SplitsArg::PerWay => Splits::PerWay,
        }
    }

    fn doubles(&self) -> Doubles {
        match self.doubles {
            DoublesArg::Tie => Doubles::Tie,
            DoublesArg::LeftOut => Doubles::LeftOut,
        }
    }
}

impl fmt::Display for RulesArgs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (splits, doubles) = (name(&self.splits), name(&self.doubles));
        write!(f, "--splits {splits} --doubles {doubles}")
    }
}

/// A value as it is given on the command line.
fn name(value: &impl ValueEnum) -> String {
    let possible = value.to_possible_value();
    possible.map_or_else(String::new, |value| value.get_name().to_owned())
}

#[derive(Args)]
pub(crate) struct ExploreArgs {
    /// The liars, explored one after the other: member 0 collects in view 0, member 1 in view 1.
    #[arg(long, value_delimiter = ',', default_value = "0,1")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=3))]
    liars: Vec<u8>,
    /// Let the liar sign nothing that proves its lie.
    #[arg(long)]
    deniable: bool,
    /// The last view to which the scheduler drives members.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    last_view: u8,
    /// The member whose share in the liar's second seal is bad.
    #[arg(long, value_name = "MEMBER", value_parser = clap::value_parser!(u8).range(0..=3))]
    bad_share: Option<u8>,
    /// Maximum number of states to explore.
    #[arg(long, value_name = "STATES", default_value_t = 1_000_000)]
    most: usize,
    #[command(flatten)]
    rules: RulesArgs,
}

impl ExploreArgs {
    /// The plans to explore.
    pub(crate) fn plans(&self) -> impl Iterator<Item = Plan> + '_ {
        self.liars.iter().map(|liar| Plan {
            rules: Rules {
                doubles: self.rules.doubles(),
                views: self.last_view.saturating_add(1).saturating_add(CALM_VIEWS),
            },
            splits: self.rules.splits(),
            liar: *liar,
            last_view: self.last_view,
            deniable: self.deniable,
            bad_share: self.bad_share,
            calm: true,
            most: self.most,
        })
    }
}

#[derive(Args)]
pub(crate) struct RandomArgs {
    /// Number of requests with each seed.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) requests: u32,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u32,
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
}

impl RandomArgs {
    pub(crate) fn seeds(&self) -> Range<u64> {
        self.seed..self.seed.saturating_add(self.seeds.into())
    }

    pub(crate) fn total(&self) -> u64 {
        u64::from(self.seeds).saturating_mul(self.requests.into())
    }
}

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The seed.
    #[arg(long)]
    pub(crate) seed: u64,
    /// The number of the request with this seed, from 0.
    #[arg(long)]
    pub(crate) request: u32,
    #[command(flatten)]
    pub(crate) scenario: ScenarioArgs,
}

#[derive(Args)]
pub(crate) struct ScenarioArgs {
    /// Faults f that the committee bears: it has 3f + 1 members.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    faults: u8,
    /// Number of liars, of the faults at most [default: as many as faults].
    #[arg(long)]
    liars: Option<u8>,
    /// Habits of liars; each draws one for every request [default: all].
    #[arg(long, value_delimiter = ',')]
    habits: Vec<HabitArg>,
    /// Median round-trip time between members.
    #[arg(long, value_name = "MS", default_value_t = 20.0, value_parser = millis)]
    rtt: f64,
    /// Deviation of the logarithm of a delay.
    #[arg(long, value_name = "SIGMA", default_value_t = 0.25)]
    jitter: f64,
    /// Time until which each message may be kept back at random.
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = millis)]
    storm: f64,
    /// Chance of a message to be lost. Members do not send it again.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    loss: f64,
    /// Time that ranking takes.
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = millis)]
    rank: f64,
    #[command(flatten)]
    rules: RulesArgs,
}

impl ScenarioArgs {
    pub(crate) fn scenario(&self) -> Scenario {
        let committee = Committee::bearing(self.faults).unwrap_or(Committee::SMALLEST);
        let habits: Vec<Habit> = self.habits.iter().map(|habit| habit.habit()).collect();
        Scenario {
            committee,
            rules: Rules {
                doubles: self.rules.doubles(),
                ..Rules::of(committee)
            },
            splits: self.rules.splits(),
            delay: micros(self.rtt / 2.0),
            jitter: self.jitter,
            storm: micros(self.storm),
            loss: self.loss,
            rank: micros(self.rank),
            liars: self.liars(),
            habits: if habits.is_empty() {
                Habit::ALL.to_vec()
            } else {
                habits
            },
        }
    }

    /// More liars than faults break everything, and say nothing.
    fn liars(&self) -> u8 {
        self.liars.unwrap_or(self.faults).min(self.faults)
    }
}

/// The arguments that give this scenario.
impl fmt::Display for ScenarioArgs {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "--faults {} --liars {}", self.faults, self.liars())?;
        if !self.habits.is_empty() {
            let habits: Vec<String> = self.habits.iter().map(name).collect();
            write!(f, " --habits {}", habits.join(","))?;
        }
        write!(f, " --rtt {} --jitter {}", self.rtt, self.jitter)?;
        write!(f, " --storm {} --loss {}", self.storm, self.loss)?;
        write!(f, " --rank {} {}", self.rank, self.rules)
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum HabitArg {
    /// Send nothing.
    Silent,
    /// Stop at some time.
    Crash,
    /// Send each message to some members alone.
    Partial,
    /// Seal one value for some members and another one for the others.
    TwoSeals,
    /// Seal with bad shares for some members.
    BadShares,
    /// Open with pieces that do not fit.
    BadPieces,
    /// As a collector show two sets.
    TwoSets,
    /// Vote for something else.
    BadVote,
}

impl HabitArg {
    fn habit(self) -> Habit {
        match self {
            Self::Silent => Habit::Silent,
            Self::Crash => Habit::Crash,
            Self::Partial => Habit::Partial,
            Self::TwoSeals => Habit::TwoSeals,
            Self::BadShares => Habit::BadShares,
            Self::BadPieces => Habit::BadPieces,
            Self::TwoSets => Habit::TwoSets,
            Self::BadVote => Habit::BadVote,
        }
    }
}

fn chance(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|chance| (0.0..=1.0).contains(chance))
        .ok_or_else(|| "give a number from 0 to 1".to_owned())
}

fn millis(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|millis| (0.0..=10_000.0).contains(millis))
        .ok_or_else(|| "give milliseconds from 0 to 10000".to_owned())
}

fn micros(millis: f64) -> u64 {
    (millis * 1_000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_arguments_of_a_replay_give_the_same_scenario() {
        let given = "sim random --faults 3 --liars 1 --habits two-seals,crash --rtt 7.5 \
                     --storm 200 --splits one --doubles tie";
        let scenario = |line: &str| match Cli::parse_from(line.split_whitespace()).command {
            Command::Random(args) => (args.scenario.to_string(), args.scenario.scenario()),
            Command::Replay(args) => (args.scenario.to_string(), args.scenario.scenario()),
            Command::Explore(_) => unreachable!("the lines have no exploration"),
        };
        let (line, first) = scenario(given);
        let (_, again) = scenario(&format!("sim replay --seed 1 --request 2 {line}"));
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
    }
}
