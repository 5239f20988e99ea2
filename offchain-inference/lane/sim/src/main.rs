// SPDX-License-Identifier: Apache-2.0
//! `starling-lane-sim`: plays schedules of the fast lane, and prints broken invariants and delays.

mod args;
mod report;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use starling_console::outln;
use starling_lane_sim::{
    explore::explore,
    simulate::{simulate, trace, Case},
};

use args::{Cli, Command, ExploreArgs, RandomArgs, ReplayArgs};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_sound = match &cli.command {
        Command::Explore(args) => explore_all(args),
        Command::Random(args) => random(args),
        Command::Replay(args) => replay(args),
    };
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn explore_all(args: &ExploreArgs) -> bool {
    let mut is_sound = true;
    for plan in args.plans() {
        let bar = ProgressBar::new_spinner().with_message(format!("liar {}", plan.liar));
        bar.set_style(style("{spinner} {msg}: {pos} states, {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        let report = explore(&plan, |states| bar.set_position(states as u64));
        bar.finish_and_clear();
        is_sound &= report::explored(&plan, &report);
    }
    is_sound
}

fn random(args: &RandomArgs) -> bool {
    let bar = ProgressBar::new(args.total());
    bar.set_style(style(
        "{wide_bar} {human_pos}/{human_len} requests {elapsed} ETA {eta}",
    ));
    bar.enable_steady_tick(Duration::from_millis(500));
    let scenario = args.scenario.scenario();
    let summary = simulate(&scenario, args.seeds(), args.requests, |more| bar.inc(more));
    bar.finish_and_clear();
    report::simulated(args, &scenario, summary)
}

fn replay(args: &ReplayArgs) -> bool {
    let case = Case {
        seed: args.seed,
        request: args.request,
    };
    let (verdict, lines) = trace(&args.scenario.scenario(), case);
    for line in lines {
        outln!("{line}");
    }
    report::replayed(&verdict)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
