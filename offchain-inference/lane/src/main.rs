// SPDX-License-Identifier: Apache-2.0
//! `starling-lane-sim`: plays schedules of the fast lane, and prints broken invariants and delays.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use starling_lane::{
    explore::{explore, Kind, Plan},
    rules::{Rules, Splits, Ties},
    simulate::{percentile, simulate, Habit, Scenario, Summary},
    timing::Time,
};
use starling_lane_primitives::Committee;

/// Plays schedules of the fast lane.
///
/// Exit status: 0 if no invariant was broken, 1 otherwise, 2 on wrong usage.
#[derive(Parser)]
#[command(name = "starling-lane-sim", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play requests with random delays and liars.
    Random(RandomArgs),
    /// Explore all schedules of one broadcast of four members with one liar.
    Explore(ExploreArgs),
}

#[derive(Clone, Copy, ValueEnum)]
enum SplitsArg {
    One,
    FullAndSets,
    PerWay,
}

#[derive(Clone, Copy, ValueEnum)]
enum TiesArg {
    NoSet,
    Culprits,
}

#[derive(Args)]
struct RulesArgs {
    /// Polynomials of a key.
    #[arg(long, value_enum, default_value = "per-way")]
    splits: SplitsArg,
    /// What follows if a quorum has opened two full sets.
    #[arg(long, value_enum, default_value = "culprits")]
    ties: TiesArg,
}

impl RulesArgs {
    fn rules(&self, last_view: u8) -> Rules {
        Rules {
            splits: match self.splits {
                SplitsArg::One => Splits::One,
                SplitsArg::FullAndSets => Splits::FullAndSets,
                SplitsArg::PerWay => Splits::PerWay,
            },
            ties: match self.ties {
                TiesArg::NoSet => Ties::NoSet,
                TiesArg::Culprits => Ties::Culprits,
            },
            last_view,
        }
    }
}

#[derive(Args)]
struct RandomArgs {
    /// Number of requests.
    #[arg(long, default_value_t = 1_000)]
    requests: u32,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults that the committee bears: it has three times as many members and one.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    faults: u8,
    /// Number of liars.
    #[arg(long, default_value_t = 0)]
    liars: u8,
    /// What liars do; by default each draws from everything.
    #[arg(long, value_delimiter = ',')]
    habits: Vec<HabitArg>,
    /// Median round-trip time between members, in milliseconds.
    #[arg(long, default_value_t = 20.0)]
    rtt: f64,
    /// Deviation of the logarithm of a delay.
    #[arg(long, default_value_t = 0.25)]
    jitter: f64,
    /// Chance of a message to be lost.
    #[arg(long, default_value_t = 0.0, value_parser = chance)]
    loss: f64,
    /// Time that ranking takes, in milliseconds.
    #[arg(long, default_value_t = 0.0)]
    rank: f64,
    #[command(flatten)]
    rules: RulesArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum HabitArg {
    Silent,
    Crash,
    Partial,
    TwoSeals,
    BadShares,
    BadPieces,
    TwoSets,
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

fn micros(millis: f64) -> u64 {
    (millis.max(0.0) * 1_000.0) as u64
}

#[derive(Args)]
struct ExploreArgs {
    /// The liar: member 0 collects in view 0, member 1 in view 1.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    liar: u8,
    /// The last view to which the scheduler drives members.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    last_view: u8,
    /// Let the liar sign nothing that proves its lie.
    #[arg(long)]
    deniable: bool,
    /// The member whose share in the liar's second seal is bad.
    #[arg(long)]
    bad_share: Option<u8>,
    /// The most states to explore.
    #[arg(long, default_value_t = 1_000_000)]
    most: usize,
    #[command(flatten)]
    rules: RulesArgs,
}

fn main() -> ExitCode {
    let is_sound = match Cli::parse().command {
        Command::Random(args) => random(&args),
        Command::Explore(args) => explore_all(&args),
    };
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn random(args: &RandomArgs) -> bool {
    let habits: Vec<Habit> = args.habits.iter().map(|habit| habit.habit()).collect();
    let scenario = Scenario {
        committee: Committee::bearing(args.faults).unwrap_or(Committee::SMALLEST),
        rules: args.rules.rules(3),
        requests: args.requests,
        seed: args.seed,
        delay: micros(args.rtt / 2.0),
        jitter: args.jitter,
        loss: args.loss,
        rank: micros(args.rank),
        liars: args.liars,
        habits: if habits.is_empty() {
            Habit::ALL.to_vec()
        } else {
            habits
        },
    };
    let mut summary = simulate(&scenario);
    let n = scenario.committee.n();
    println!(
        "{} requests of {n} members, {} of them liars, seed {}",
        args.requests, args.liars, args.seed
    );
    println!(
        "{} certified, {} failed with proof of a lie, {} failed after lost messages",
        summary.certified, summary.failed_with_proof, summary.failed_by_loss
    );
    let Summary {
        soft, certificate, ..
    } = &mut summary;
    print_times("soft answer", soft, scenario.delay, scenario.rank);
    print_times("certificate", certificate, scenario.delay, scenario.rank);
    let each = summary.messages.checked_div(args.requests.into());
    println!("{} messages a request", each.unwrap_or(0));
    for (offence, count) in &summary.accused {
        println!("accused of {offence}: {count}");
    }
    println!("{} invariants broken", summary.breaks);
    for line in &summary.broken {
        println!("  {line}");
    }
    summary.breaks == 0
}

/// Prints times since the first response was sealed, and the delays in the median.
fn print_times(name: &str, times: &mut [Time], delay: u64, rank: u64) {
    let median = percentile(times, 50);
    let late = percentile(times, 95);
    let millis = |time: Time| time as f64 / 1_000.0;
    let waited = median.saturating_sub(rank) as f64;
    let delays = if delay == 0 {
        String::new()
    } else {
        format!(", {:.1} delays", waited / delay as f64)
    };
    println!(
        "{name}: {:.1} ms in the median{delays}, {:.1} ms at p95",
        millis(median),
        millis(late)
    );
}

fn explore_all(args: &ExploreArgs) -> bool {
    let report = explore(&Plan {
        // Two more views with honest collectors, to see whether there is progress.
        rules: args.rules.rules(3),
        liar: args.liar,
        last_view: args.last_view,
        deniable: args.deniable,
        bad_share: args.bad_share,
        calm: true,
        most: args.most,
    });
    let extent = if report.complete {
        "all"
    } else {
        "not all: raise --most"
    };
    println!(
        "{} states ({extent}), {} steps",
        report.states, report.steps
    );
    println!("{} sets settled in some schedule", report.settled);
    for (kind, (count, schedule)) in &report.broken {
        println!("{kind}: {count} times, such as");
        for line in schedule {
            println!("    {line}");
        }
    }
    // A liar that proves its lie chooses between sets and stops a request: it pays for that.
    let allowed = |kind: &Kind| !args.deniable && matches!(kind, Kind::Choice | Kind::NoProgress);
    report.broken.keys().all(allowed)
}
