// SPDX-License-Identifier: Apache-2.0
//! Printed reports. Each function says whether all required invariants held.

use starling_console::outln;
use starling_lane::timing::Time;
use starling_lane_sim::{
    explore::{Plan, Report},
    simulate::{percentile, End, Example, Invariant, Scenario, Summary, Verdict},
};

use crate::args::RandomArgs;

const ENDS: [End; 4] = [
    End::Certified,
    End::StoppedWithProof,
    End::StoppedByLoss,
    End::Stopped,
];

pub(crate) fn explored(plan: &Plan, report: &Report) -> bool {
    let lies = if plan.deniable {
        "signs nothing that proves its lie"
    } else {
        "signs anything"
    };
    let extent = if report.complete {
        "all"
    } else {
        "not all: raise --most"
    };
    outln!("liar {}, {lies}, views up to {}", plan.liar, plan.last_view);
    outln!(
        "  {} states ({extent}), {} steps, {} sets settled in some schedule",
        report.states,
        report.steps,
        report.settled
    );
    if report.broken.is_empty() {
        outln!("  no invariant broken");
    }
    let mut is_sound = true;
    for (kind, (count, schedule)) in &report.broken {
        let is_allowed = kind.is_allowed(plan);
        is_sound &= is_allowed;
        let verdict = if is_allowed {
            "with proof of the lie"
        } else {
            "BROKEN"
        };
        outln!("  {verdict}: {kind}: in {count} states, such as");
        for line in schedule {
            outln!("    {line}");
        }
    }
    is_sound
}

pub(crate) fn simulated(args: &RandomArgs, scenario: &Scenario, mut summary: Summary) -> bool {
    let n = scenario.committee.n();
    let seeds = args.seeds();
    outln!(
        "{} requests of {n} members, {} of them liars, seeds {} to {}",
        summary.requests,
        scenario.liars,
        seeds.start,
        seeds.end.saturating_sub(1)
    );
    for end in ENDS {
        outln!("  {end:<48} {:>10}", summary.ended(end));
    }
    outln!("broken invariants");
    for invariant in Invariant::ALL {
        let count = summary.broken.get(&invariant).copied().unwrap_or(0);
        outln!("  {invariant:<48} {count:>10}");
    }
    outln!("lies");
    for (offence, count) in &summary.accused {
        outln!("  {:<48} {count:>10}", format!("proved: {offence}"));
    }
    outln!(
        "  {:<48} {:>10}",
        "broadcasts read by them before the set was fixed",
        summary.read_with_proof
    );
    outln!("times since the first response was sealed, median and p95");
    let Summary {
        soft, certificate, ..
    } = &mut summary;
    print_times("soft answer", soft, scenario);
    print_times("certificate", certificate, scenario);
    let each = summary.messages.checked_div(summary.requests);
    outln!("{} messages a request", each.unwrap_or(0));
    for Example {
        case,
        invariant,
        text,
    } in &summary.examples
    {
        outln!("BROKEN: {invariant}: {text}");
        outln!(
            "  replay: starling-lane-sim replay --seed {} --request {} {}",
            case.seed,
            case.request,
            args.scenario
        );
    }
    summary.broken.is_empty()
}

fn print_times(name: &str, times: &mut [Time], scenario: &Scenario) {
    let median = percentile(times, 50);
    let late = percentile(times, 95);
    let millis = |time: Time| time as f64 / 1_000.0;
    let waited = median.saturating_sub(scenario.rank) as f64;
    let delays = if scenario.delay == 0 {
        String::new()
    } else {
        let delays = waited / scenario.delay as f64;
        format!(", {delays:.1} delays in the median")
    };
    outln!(
        "  {name:<12} {:>9.1} ms {:>9.1} ms{delays}",
        millis(median),
        millis(late)
    );
}

pub(crate) fn replayed(verdict: &Verdict) -> bool {
    let liars = if verdict.liars.is_empty() {
        "none"
    } else {
        &verdict.liars
    };
    outln!("liars: {liars}");
    outln!("end: {}", verdict.end);
    for (invariant, how) in &verdict.broken {
        outln!("BROKEN: {invariant}: {how}");
    }
    verdict.broken.is_empty()
}
