// SPDX-License-Identifier: Apache-2.0
//! One request.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
};

use rand::{seq::index, Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};
use starling_lane_primitives::{hashing, Hash, Member, Phase};

use super::{liar::Liar, Scenario, Summary};
use crate::{
    broadcast::{Setting, Settled},
    request::{Action, Event, Judge, Message, Request},
    symbolic::{Seal, Symbolic},
    timing::{Duration, Time, Timing},
};

/// The most events of a request, against a machine that never rests.
const MOST_EVENTS: u32 = 1_000_000;

/// The time at which a request expires.
const EXPIRY: Time = 60_000_000;

/// The examples of broken invariants that are kept.
const EXAMPLES: usize = 20;

/// The outcome is a hash of everything that was opened.
struct Digest;

impl Judge<Symbolic> for Digest {
    fn outcome(&self, responses: &Settled<Symbolic>, scores: &Settled<Symbolic>) -> Hash {
        let names = |settled: &Settled<Symbolic>| -> Vec<Option<Hash>> {
            settled.set.iter().map(|named| named.seal).collect()
        };
        hashing::hash(&(names(responses), names(scores)))
    }
}

type Node = Request<Symbolic, Digest>;

struct Run<'a> {
    scenario: &'a Scenario,
    rng: ChaCha8Rng,
    delays: Option<LogNormal<f64>>,
    nodes: Vec<Node>,
    liars: BTreeMap<Member, Liar>,
    /// Times of events, in their order; what happens is kept aside.
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: HashMap<u64, (Member, Event<Symbolic>)>,
    next: u64,
    lost: bool,
    accused: BTreeSet<(Member, String)>,
    soft: Option<Time>,
    certificate: Option<Time>,
}

/// Plays a request, and adds it to the summary.
pub(super) fn run(scenario: &Scenario, request: u32, summary: &mut Summary) {
    let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed);
    rng.set_stream(request.into());
    let n = scenario.committee.n();
    let amount = usize::from(scenario.liars.min(n));
    let liars = index::sample(&mut rng, n.into(), amount)
        .into_iter()
        .filter_map(|liar| Member::try_from(liar).ok())
        .map(|liar| (liar, Liar::draw(&scenario.habits, &mut rng)))
        .collect();
    let timing = Timing {
        delay: scenario.delay,
        rank: scenario.rank,
    };
    // The requester comes behind the members.
    let nodes = (0..=n)
        .map(|me| {
            let setting = Setting {
                committee: scenario.committee,
                me,
                seq: request,
                sealers: scenario.committee.members().collect(),
                rules: scenario.rules,
                timing,
                deadline: 0,
            };
            Request::new(
                Arc::new(setting),
                Arc::new(Symbolic { me }),
                Arc::new(Digest),
            )
        })
        .collect();
    // A logarithm of 0 microseconds has no deviation.
    let median = (scenario.delay.max(1) as f64).ln();
    let mut run = Run {
        scenario,
        rng,
        delays: LogNormal::new(median, scenario.jitter).ok(),
        nodes,
        liars,
        queue: BinaryHeap::new(),
        events: HashMap::new(),
        next: 0,
        lost: false,
        accused: BTreeSet::new(),
        soft: None,
        certificate: None,
    };
    for member in scenario.committee.members() {
        let seal = run.seal(member);
        run.post(0, member, Event::Own(Phase::Responses, Some(seal)));
    }
    run.play(summary);
    run.judge(request, summary);
}

impl Run<'_> {
    fn seal(&self, me: Member) -> Seal {
        let honest = Seal {
            sealer: me,
            variant: 0,
            bad: 0,
        };
        self.liars.get(&me).map_or(honest, |liar| liar.seal(me))
    }

    fn delay(&mut self) -> Duration {
        let drawn = self
            .delays
            .map_or(0.0, |delays| delays.sample(&mut self.rng));
        // Beyond any limit of a delay the request has expired.
        if self.scenario.delay == 0 {
            0
        } else {
            drawn.min(EXPIRY as f64) as Duration
        }
    }

    fn post(&mut self, at: Time, to: Member, event: Event<Symbolic>) {
        self.queue.push(Reverse((at, self.next)));
        self.events.insert(self.next, (to, event));
        self.next = self.next.saturating_add(1);
    }

    fn play(&mut self, summary: &mut Summary) {
        for _ in 0..MOST_EVENTS {
            let Some(Reverse((now, number))) = self.queue.pop() else {
                return;
            };
            if now > EXPIRY {
                return;
            }
            let Some((to, event)) = self.events.remove(&number) else {
                continue;
            };
            let Some(node) = self.nodes.get_mut(usize::from(to)) else {
                continue;
            };
            for action in node.on(now, event) {
                self.act(now, to, action, summary);
            }
        }
    }

    fn act(&mut self, now: Time, from: Member, action: Action<Symbolic>, summary: &mut Summary) {
        let requester = self.scenario.committee.n();
        match action {
            Action::Send(to, message) => self.send(now, from, to, message, summary),
            Action::Broadcast(message) if from != requester => {
                for to in (0..=requester).filter(|to| *to != from) {
                    self.send(now, from, to, message.clone(), summary);
                }
            },
            Action::Broadcast(_) => (),
            Action::WakeAt(at) => self.post(at, from, Event::Wake),
            Action::Rank(settled) => {
                let may = settled.seals.iter().any(|(member, _)| *member == from);
                if may && from != requester {
                    let seal = self.seal(from);
                    let done = now.saturating_add(self.scenario.rank);
                    self.post(done, from, Event::Own(Phase::Scores, Some(seal)));
                }
            },
            Action::Certified(_) if from == requester => self.certificate = Some(now),
            Action::Certified(_) => (),
            Action::Accuse(member, offence) => {
                if !self.liars.contains_key(&from) {
                    self.accused.insert((member, format!("{offence:?}")));
                }
            },
        }
        let requested = self.nodes.get(usize::from(requester));
        if self.soft.is_none() && requested.is_some_and(|node| node.voted().is_some()) {
            self.soft = Some(now);
        }
    }

    fn send(
        &mut self,
        now: Time,
        from: Member,
        to: Member,
        message: Message<Symbolic>,
        summary: &mut Summary,
    ) {
        let message = match self.liars.get(&from) {
            Some(liar) => liar.change(now, from, to, message),
            None => Some(message),
        };
        let Some(message) = message else {
            return;
        };
        summary.messages = summary.messages.saturating_add(1);
        if self.rng.random_bool(self.scenario.loss) {
            self.lost = true;
            return;
        }
        let at = now.saturating_add(self.delay());
        self.post(at, to, Event::Message(from, message));
    }

    fn judge(self, request: u32, summary: &mut Summary) {
        let honest = |member: &Member| !self.liars.contains_key(member);
        let members = self.scenario.committee.members();
        let nodes = || {
            self.nodes
                .iter()
                .zip(members.clone())
                .filter(|(_, member)| honest(member))
                .map(|(node, _)| node)
        };
        let mut broken = Vec::new();
        for phase in 0..2 {
            let sets: BTreeSet<_> = nodes()
                .filter_map(|node| Some(node.settled().get(phase).copied()??.set.clone()))
                .collect();
            if sets.len() > 1 {
                broken.push("honest members settle on two sets".to_owned());
            }
        }
        let certified: BTreeSet<Hash> = self.nodes.iter().filter_map(Request::certified).collect();
        if certified.len() > 1 {
            broken.push("two certificates".to_owned());
        }
        for (member, offence) in &self.accused {
            if honest(member) {
                broken.push(format!("honest member {member} is accused of {offence}"));
            }
            let count = summary.accused.entry(offence.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let has_proof = self.liars.values().any(|liar| liar.habit().leaves_proof());
        let all = nodes().all(|node| node.certified().is_some()) && self.certificate.is_some();
        if all {
            summary.certified = summary.certified.saturating_add(1);
            summary.soft.extend(self.soft);
            summary.certificate.extend(self.certificate);
        } else if has_proof {
            summary.failed_with_proof = summary.failed_with_proof.saturating_add(1);
        } else if self.lost {
            summary.failed_by_loss = summary.failed_by_loss.saturating_add(1);
        } else {
            broken.push("no certificate, though no liar left a proof".to_owned());
        }
        let habits: Vec<String> = self
            .liars
            .iter()
            .map(|(member, liar)| format!("{member} {:?}", liar.habit()))
            .collect();
        for line in broken {
            summary.breaks = summary.breaks.saturating_add(1);
            if summary.broken.len() < EXAMPLES {
                let liars = habits.join(", ");
                summary
                    .broken
                    .push(format!("request {request}: {line} (liars: {liars})"));
            }
        }
    }
}
