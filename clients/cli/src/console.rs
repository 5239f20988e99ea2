// SPDX-License-Identifier: Apache-2.0
//! The progress of a round: a bar if standard error is a terminal, lines otherwise. With `--watch`
//! every event goes to standard output.

use starling_console::outln;
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_client::{
    events::{BlockEvents, Event},
    follow::Watch,
    progress::{name as phase_name, progress},
    report::phase_name as phase_key,
    Chain,
};
use starling_primitives::{api::RoundView, round::BlockNumber, RoundId};

/// Shows the progress of a round.
pub struct Live {
    chain: Chain,
    bar: ProgressBar,
    terminal: bool,
    quiet: bool,
    events: Option<Events>,
    round: Option<RoundId>,
    /// Blocks that came before the number of the round was known.
    early: Vec<BlockEvents>,
    shown: String,
    started: Instant,
}

/// The form in which events are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Events {
    /// For people.
    Text,
    /// For programs: one object per line.
    Json,
}

impl Live {
    /// Shows `round`, or the round of the next request. `quiet` hides the progress.
    pub fn new(chain: &Chain, round: Option<RoundId>, quiet: bool, events: Option<Events>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = match terminal && !quiet {
            true => ProgressBar::new(1000).with_style(style()),
            false => ProgressBar::hidden(),
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            chain: chain.clone(),
            bar,
            terminal,
            quiet,
            events,
            round,
            early: vec![],
            shown: String::new(),
            started: Instant::now(),
        }
    }

    /// Shows a message, as before the round is open.
    pub fn say(&mut self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.line(what);
    }

    /// Writes to standard output beside the bar.
    pub fn beside(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&mut self, line: &str) {
        if !self.terminal && !self.quiet && self.shown != line {
            eprintln!("{:6.1} s  {line}", self.started.elapsed().as_secs_f64());
        }
        line.clone_into(&mut self.shown);
    }

    fn print(&self, block: &BlockEvents) {
        let Some(how) = self.events else { return };
        for (round, event) in &block.events {
            if self.round.is_none_or(|shown| shown == *round) {
                self.bar
                    .suspend(|| print_event(&self.chain, how, block.number, *round, event));
            }
        }
    }
}

impl Watch for Live {
    fn requested(&mut self, block: BlockNumber, round: RoundId) {
        self.round = Some(round);
        self.say(&format!("the request is in block {block} as round {round}"));
        let early = std::mem::take(&mut self.early);
        early.iter().for_each(|block| self.print(block));
    }

    fn block(&mut self, events: &BlockEvents) {
        match self.round {
            Some(_) => self.print(events),
            None => self.early.push(events.clone()),
        }
    }

    fn round(&mut self, block: BlockNumber, view: &RoundView<AccountId32>) {
        let progress = progress(&view.round);
        self.bar.set_position(progress.thousandths);
        let what = format!("{}: {}", progress.phase, progress.arrived);
        let until = match view.round.phase.is_final() {
            true => "waiting for finality".into(),
            false => format!("deadline {}", view.round.deadline),
        };
        self.bar
            .set_message(format!("{what} · block {block}, {until}"));
        self.line(&what);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Prints one event of a round.
pub fn print_event(chain: &Chain, how: Events, block: BlockNumber, round: RoundId, event: &Event) {
    match how {
        Events::Text => {
            let what = words(event, |who| chain.name(who));
            outln!("block {block:>6}  round {round}  {what}");
        },
        Events::Json => outln!("{}", object(block, round, event)),
    }
}

/// An event in words.
fn words(event: &Event, name: impl Fn(&AccountId32) -> String) -> String {
    let validity = |valid: bool| if valid { "" } else { ": not valid" };
    match event {
        Event::Requested { requester } => format!("{} asks", name(requester)),
        Event::Committed(agent) => format!("{} commits a sealed answer", name(agent)),
        Event::Passed(agent) => format!("{} passes", name(agent)),
        Event::Displaced(agent) => format!("{} is displaced: the round is full", name(agent)),
        Event::PhaseBegan { phase, deadline } => {
            format!("{} begins, deadline {deadline}", phase_name(*phase))
        },
        Event::Revealed { agent, valid } => {
            format!("{} reveals its answer{}", name(agent), validity(*valid))
        },
        Event::ScoresCommitted(agent) => format!("{} commits its scores", name(agent)),
        Event::Disclosed { agent, valid } => {
            format!("{} discloses its scores{}", name(agent), validity(*valid))
        },
        Event::Settled { phase, winner, .. } => match winner {
            Some(winner) => format!(
                "{}: the answer of {} wins",
                phase_name(*phase),
                name(winner)
            ),
            None => format!("{}: no answer wins", phase_name(*phase)),
        },
        Event::Rated => "the ratings of the rankers are updated".into(),
        Event::Purged => "removed from the chain".into(),
    }
}

/// An event as an object.
fn object(block: BlockNumber, round: RoundId, event: &Event) -> serde_json::Value {
    let (what, agent, valid, phase) = match event {
        Event::Requested { requester } => ("requested", Some(requester), None, None),
        Event::Committed(agent) => ("committed", Some(agent), None, None),
        Event::Passed(agent) => ("passed", Some(agent), None, None),
        Event::Displaced(agent) => ("displaced", Some(agent), None, None),
        Event::PhaseBegan { phase, .. } => ("phase", None, None, Some(*phase)),
        Event::Revealed { agent, valid } => ("revealed", Some(agent), Some(*valid), None),
        Event::ScoresCommitted(agent) => ("scores_committed", Some(agent), None, None),
        Event::Disclosed { agent, valid } => ("disclosed", Some(agent), Some(*valid), None),
        Event::Settled { phase, winner, .. } => ("settled", winner.as_ref(), None, Some(*phase)),
        Event::Rated => ("rated", None, None, None),
        Event::Purged => ("purged", None, None, None),
    };
    let mut object = json!({ "block": block, "round": round, "event": what });
    if let Some(fields) = object.as_object_mut() {
        fields.extend(agent.map(|who| ("account".into(), who.to_ss58check().into())));
        fields.extend(valid.map(|valid| ("valid".into(), valid.into())));
        fields.extend(phase.map(|phase| ("phase".into(), phase_key(phase).into())));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::round::Phase;

    #[test]
    fn events_are_told_to_people_and_programs() {
        let agent = AccountId32::new([1; 32]);
        let event = Event::Revealed {
            agent: agent.clone(),
            valid: false,
        };
        assert_eq!(
            words(&event, |_| "Bob".into()),
            "Bob reveals its answer: not valid"
        );
        assert_eq!(
            object(4, 7, &event),
            json!({
                "block": 4,
                "round": 7,
                "event": "revealed",
                "account": agent.to_ss58check(),
                "valid": false
            })
        );
        let began = Event::PhaseBegan {
            phase: Phase::Ranking,
            deadline: 9,
        };
        assert_eq!(
            object(4, 7, &began),
            json!({"block": 4, "round": 7, "event": "phase", "phase": "ranking"})
        );
    }
}
