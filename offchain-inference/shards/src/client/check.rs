// SPDX-License-Identifier: Apache-2.0
//! Spot checks: a second holder computes a span again, and the results are compared.

use std::sync::{mpsc::Receiver, Arc};

use super::{
    journal::Journal,
    link::{Answered, Link, Target},
    schedule::{drive, Pace, SequenceState},
    Hub,
};
use crate::{
    auth::Account,
    config::PipelineConfig,
    integrity::{self, compare, Evidence, Exhibit, SignedOutput},
    wire::WireFormat,
    LOG_TARGET,
};

/// A span's inputs and outputs, to be recomputed.
pub(crate) struct Check {
    pub link: Arc<Link>,
    /// The server's last answer, if known.
    pub last: Option<Answered>,
    pub inputs: Journal,
    pub outputs: Journal,
    /// The tokens of a canary; empty for a user's sequence.
    pub tokens: Vec<u32>,
    pub config: PipelineConfig,
}

/// Another holder's results for the same inputs.
struct Again {
    link: Arc<Link>,
    rows: Vec<f32>,
    last: Option<Answered>,
}

/// Makes checks until all senders are gone.
pub(crate) fn run(hub: &Arc<Hub>, checks: Receiver<Check>) {
    for check in checks {
        let outcome = match check.make(hub) {
            Some(true) => "agreed",
            Some(false) => "differed",
            None => "failed",
        };
        hub.metrics.checks.with_label_values(&[outcome]).inc();
        hub.record();
    }
}

impl Check {
    /// Whether another holder's results agree. `None` if there is no other holder, or it fails.
    fn make(&self, hub: &Arc<Hub>) -> Option<bool> {
        let link = &self.link;
        // Two nodes of one agent must not outvote the node of another.
        let mut asked = vec![link.account];
        let second = self.other(hub, &mut asked)?;
        let mut ours = vec![];
        self.outputs
            .read(0..self.outputs.len(), link.width, &mut ours);
        let verdict = compare(&ours, &second.rows, link.width, link.wire);
        let mut verdicts = vec![(link, verdict), (&second.link, verdict)];
        let third = if verdict.agrees {
            None
        } else {
            self.prove(hub, &second);
            self.other(hub, &mut asked)
        };
        if let Some(third) = &third {
            // The server that agrees with the third one is believed.
            let [of_first, of_second] =
                [&ours, &second.rows].map(|rows| compare(rows, &third.rows, link.width, link.wire));
            if of_first.agrees != of_second.agrees {
                let agreed = if of_first.agrees { of_first } else { of_second };
                verdicts = vec![
                    (link, of_first),
                    (&second.link, of_second),
                    (&third.link, agreed),
                ];
            }
        }
        for (link, verdict) in verdicts {
            let trust = hub.peers.compared(&link.account, &verdict);
            let peer = &link.peer;
            if !verdict.agrees {
                log::warn!(
                    target: LOG_TARGET,
                    "{peer} computes layers {}..{} differently from another node, by {:?}; its \
                     trust is {trust:.2} now",
                    link.layers.start,
                    link.layers.end,
                    verdict.difference,
                );
            }
        }
        Some(verdict.agrees)
    }

    /// Has a holder whose agent is not in `asked` compute the inputs.
    fn other(&self, hub: &Arc<Hub>, asked: &mut Vec<Account>) -> Option<Again> {
        let Link {
            model,
            layers,
            wire,
            width,
            ..
        } = &*self.link;
        let mut candidates = hub
            .peers
            .candidates(model, &*hub.directory, self.config.only_bonded);
        candidates.retain(|candidate| {
            let account = hub.peers.account(&candidate.peer);
            account.is_some_and(|account| !asked.contains(&account))
                && candidate.layers.start <= layers.start
                && candidate.layers.end >= layers.end
        });
        // Any server trusted about as much as the best: a cheat that is never asked is never found.
        let best = candidates.iter().map(|c| c.trust).fold(0.0, f64::max);
        candidates.retain(|candidate| candidate.trust > 0.0 && candidate.trust >= best / 2.0);
        let random = getrandom::u32().unwrap_or_default() as usize;
        let other = candidates.get(random.checked_rem(candidates.len())?)?;
        let target = Target {
            peer: other.peer.clone(),
            model: *model,
            layers: layers.clone(),
            wire: *wire,
            width: *width,
            expected: other.rtt + layers.len() as f64 / other.throughput,
        };
        let second = hub.open(target, self.config.request_timeout).ok()?;
        asked.push(second.account);
        let len = self.outputs.len();
        let mut track = SequenceState::default();
        let pace = Pace {
            chunk_rows: self.config.chunk_rows,
            push_from: self.config.push_from,
            least_timeout: self.config.least_step_timeout,
            most_timeout: self.config.most_step_timeout,
        };
        // The last step is the same as the first server's, so that both claims are about the same
        // computation.
        let last = self
            .last
            .as_ref()
            .map_or(len, |last| last.position.min(len));
        for end in [last, len] {
            let mut inputs = self.inputs.clone();
            inputs.truncate(end);
            *track.journal(layers.start) = inputs;
            drive(
                std::slice::from_ref(&second),
                &mut [&mut track],
                &[0],
                &pace,
            )
            .ok()?;
        }
        let mut rows = vec![];
        track.journal(layers.end).read(0..len, *width, &mut rows);
        Some(Again {
            last: track.last(&second).cloned(),
            link: second,
            rows,
        })
    }

    /// Keeps the claims about both servers' last outputs if they prove that one of the two is
    /// wrong.
    fn prove(&self, hub: &Arc<Hub>, other: &Again) {
        let link = &self.link;
        let (Some(ours), Some(theirs)) = (&self.last, &other.last) else {
            return;
        };
        let positions = ours.position + ours.rows;
        let mut inputs = vec![];
        self.inputs.read(0..positions, link.width, &mut inputs);
        // The claims are about the rows as the servers decoded them.
        let Ok(inputs) = link.wire.as_decoded(&inputs, link.width) else {
            return;
        };
        let answer = |link: &Link, answered: &Answered| SignedOutput {
            peer: link.peer.clone(),
            claim: answered.signed.clone(),
        };
        let evidence = Evidence {
            first: answer(link, ours),
            second: answer(&other.link, theirs),
        };
        let exhibit = Exhibit {
            width: link.width.try_into().unwrap_or(u32::MAX),
            inputs: WireFormat::F32.encode(&inputs, link.width),
            first: ours.bytes.clone(),
            second: theirs.bytes.clone(),
            tokens: self.tokens.iter().take(positions).copied().collect(),
        };
        let judged = integrity::check(&evidence, &*hub.directory)
            .and_then(|()| integrity::judge(&evidence, &exhibit));
        match judged {
            Ok(verdict) if !verdict.agrees => hub.keep(evidence, exhibit),
            Ok(_) => {
                log::info!(target: LOG_TARGET, "the servers differ, but not in their last step")
            },
            Err(error) => log::warn!(target: LOG_TARGET, "the claims prove nothing: {error}"),
        }
    }
}
