// SPDX-License-Identifier: Apache-2.0
//! Spot checks: a second holder computes a span again, and the results are compared.

use std::sync::{mpsc::Receiver, Arc};

use super::{
    drive::{drive, Pace, Track},
    journal::Journal,
    link::{Link, Target},
    Hub,
};
use crate::{config::ChainConfig, integrity::compare, routing::Candidate, transport::Peer};

/// A span's inputs and outputs, to be computed again.
pub(crate) struct Check {
    pub link: Arc<Link>,
    pub inputs: Journal,
    pub outputs: Journal,
    pub config: ChainConfig,
}

/// Makes checks until nobody orders any more.
pub(crate) fn run(hub: &Arc<Hub>, checks: Receiver<Check>) {
    for check in checks {
        let outcome = match check.make(hub) {
            Some(true) => "agreed",
            Some(false) => "differed",
            None => "failed",
        };
        hub.metrics.checks.with_label_values(&[outcome]).inc();
    }
}

impl Check {
    /// Whether another holder's results agree; `None` where there is none or it fails.
    fn make(&self, hub: &Arc<Hub>) -> Option<bool> {
        let link = &self.link;
        let mut asked = vec![link.peer.clone()];
        let (other, theirs) = self.other(hub, &mut asked)?;
        let (mut ours, mut verdicts) = (vec![], vec![]);
        self.outputs
            .read(0..self.outputs.len(), link.width, &mut ours);
        let verdict = compare(&ours, &theirs, link.width, link.code);
        verdicts.extend([(&link.peer, verdict), (&other, verdict)]);
        let third = if verdict.agrees {
            None
        } else {
            self.other(hub, &mut asked)
        };
        if let Some((third, result)) = &third {
            // Whoever agrees with the third is believed.
            let [first, second] =
                [&ours, &theirs].map(|own| compare(own, result, link.width, link.code));
            if first.agrees != second.agrees {
                let agreed = if first.agrees { first } else { second };
                verdicts = vec![(&link.peer, first), (&other, second), (third, agreed)];
            }
        }
        for (peer, verdict) in verdicts {
            let trust = hub.peers.compared(peer, &verdict);
            if !verdict.agrees {
                log::warn!(
                    target: "shards",
                    "{peer} computes blocks {}..{} otherwise than another node does, by {:?}; its \
                     trust is {trust:.2} now",
                    link.blocks.start,
                    link.blocks.end,
                    verdict.difference,
                );
            }
        }
        Some(verdict.agrees)
    }

    /// What the most trusted holder that was not `asked` makes of the inputs.
    fn other(&self, hub: &Arc<Hub>, asked: &mut Vec<Peer>) -> Option<(Peer, Vec<f32>)> {
        let Link {
            model,
            blocks,
            code,
            width,
            ..
        } = &*self.link;
        let candidates = hub
            .peers
            .candidates(model, &*hub.directory, self.config.only_bonded);
        let holds = |candidate: &&Candidate| {
            !asked.contains(&candidate.peer)
                && candidate.trust > 0.0
                && candidate.blocks.start <= blocks.start
                && candidate.blocks.end >= blocks.end
        };
        let other = candidates
            .iter()
            .filter(holds)
            .max_by(|a, b| a.trust.total_cmp(&b.trust))?;
        asked.push(other.peer.clone());
        let target = Target {
            peer: other.peer.clone(),
            model: *model,
            blocks: blocks.clone(),
            code: *code,
            width: *width,
            expected: other.rtt + blocks.len() as f64 / other.throughput,
        };
        let second = hub.open(target, self.config.request_timeout).ok()?;
        let len = self.outputs.len();
        let mut track = Track::default();
        *track.journal(blocks.start) = self.inputs.clone();
        track.journal(blocks.start).truncate(len);
        let pace = Pace {
            chunk_rows: self.config.chunk_rows,
            least_timeout: self.config.least_step_timeout,
            most_timeout: self.config.most_step_timeout,
        };
        drive(&[second], &mut [&mut track], &[0], &pace).ok()?;
        let mut rows = vec![];
        track.journal(blocks.end).read(0..len, *width, &mut rows);
        Some((other.peer.clone(), rows))
    }
}
