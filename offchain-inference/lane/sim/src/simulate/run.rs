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
use starling_lane::{
    broadcast::{Setting, Settled},
    contents::Contents,
    message,
    request::{Action, Event, Judge, Message, Request},
    timing::{Duration, Time, Timing},
};
use starling_lane_primitives::{hashing, Hash, Member, Phase, Way};

use super::{liar::Liar, reading::Reading, Case, End, Invariant, Scenario, Verdict};
use crate::symbolic::{describe, Seal, Symbolic};

/// The most events of a request, against a machine that never rests.
const MOST_EVENTS: u32 = 1_000_000;

/// The time at which a request expires.
const EXPIRY: Time = 60_000_000;

const PHASES: [Phase; 2] = [Phase::Responses, Phase::Scores];

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
    reading: Reading,
    accused: BTreeSet<(Member, String)>,
    soft: Option<Time>,
    certificate: Option<Time>,
    messages: u64,
    trace: Option<&'a mut Vec<String>>,
}

/// Plays a request. `trace` gets what members say.
pub(super) fn run(scenario: &Scenario, case: Case, trace: Option<&mut Vec<String>>) -> Verdict {
    let mut rng = ChaCha8Rng::seed_from_u64(case.seed);
    rng.set_stream(case.request.into());
    let n = scenario.committee.n();
    let amount = usize::from(scenario.liars.min(n));
    let liars: BTreeMap<Member, Liar> = index::sample(&mut rng, n.into(), amount)
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
                seq: case.request,
                sealers: scenario.committee.members().collect(),
                rules: scenario.rules,
                timing,
                deadline: 0,
            };
            Request::new(
                Arc::new(setting),
                Arc::new(Symbolic {
                    me,
                    splits: scenario.splits,
                }),
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
        reading: Reading::new(
            scenario.splits,
            liars.keys().copied().collect(),
            scenario.committee.quorum(),
        ),
        liars,
        queue: BinaryHeap::new(),
        events: HashMap::new(),
        next: 0,
        lost: false,
        accused: BTreeSet::new(),
        soft: None,
        certificate: None,
        messages: 0,
        trace,
    };
    for member in scenario.committee.members() {
        let seal = run.seal(member);
        run.post(0, member, Event::Own(Phase::Responses, Some(seal)));
    }
    run.play();
    run.judge()
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

    /// The time at which a message leaves: in a storm at any time until its end.
    fn leaves(&mut self, now: Time) -> Time {
        let storm = self.scenario.storm;
        if now < storm && self.rng.random() {
            self.rng.random_range(now..storm)
        } else {
            now
        }
    }

    fn post(&mut self, at: Time, to: Member, event: Event<Symbolic>) {
        self.queue.push(Reverse((at, self.next)));
        self.events.insert(self.next, (to, event));
        self.next = self.next.saturating_add(1);
    }

    fn play(&mut self) {
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
                self.act(now, to, action);
            }
        }
    }

    fn act(&mut self, now: Time, from: Member, action: Action<Symbolic>) {
        let requester = self.scenario.committee.n();
        self.tell(now, from, &action);
        match action {
            Action::Send(to, message) => self.send(now, from, to, message),
            Action::Broadcast(message) if from != requester => {
                if let Message::Of(phase, message::Message::Open(open)) = &message {
                    self.reading.note(*phase, from, &open.body);
                }
                for to in (0..=requester).filter(|to| *to != from) {
                    self.send(now, from, to, message.clone());
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

    /// Writes into the trace what a member says, if it is its own and new.
    fn tell(&mut self, now: Time, from: Member, action: &Action<Symbolic>) {
        let Some(trace) = &mut self.trace else {
            return;
        };
        let line = match action {
            Action::Send(_, message) | Action::Broadcast(message) => say(from, message),
            Action::Rank(settled) => Some(format!("settles on {}", describe(&settled.set))),
            Action::Certified(_) => Some("has a certificate".to_owned()),
            Action::Accuse(member, offence) => Some(format!("accuses {member} of {offence:?}")),
            Action::WakeAt(_) => None,
        };
        if let Some(line) = line {
            let who = if from == self.scenario.committee.n() {
                "requester".to_owned()
            } else {
                from.to_string()
            };
            trace.push(format!("{:10.3} ms  {who} {line}", now as f64 / 1_000.0));
        }
    }

    fn send(&mut self, now: Time, from: Member, to: Member, message: Message<Symbolic>) {
        let message = match self.liars.get(&from) {
            Some(liar) => liar.change(now, from, to, message),
            None => Some(message),
        };
        let Some(message) = message else {
            return;
        };
        self.messages = self.messages.saturating_add(1);
        if self.rng.random_bool(self.scenario.loss) {
            self.lost = true;
            return;
        }
        let at = self.leaves(now).saturating_add(self.delay());
        self.post(at, to, Event::Message(from, message));
    }

    /// The nodes of honest members.
    fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .zip(self.scenario.committee.members())
            .filter(|(_, member)| !self.liars.contains_key(member))
            .map(|(node, _)| node)
    }

    /// The sets on which honest members have settled in a phase.
    fn settled(&self, phase: Phase) -> BTreeSet<Contents> {
        self.honest()
            .filter_map(|node| {
                let [responses, scores] = node.settled();
                let settled = match phase {
                    Phase::Responses => responses,
                    Phase::Scores => scores,
                };
                settled.map(|settled| settled.set.clone())
            })
            .collect()
    }

    fn judge(self) -> Verdict {
        let mut broken = Vec::new();
        let mut read_with_proof = 0u32;
        let sign_two = self.liars.values().any(|liar| liar.habit().signs_two());
        for phase in PHASES {
            let sets = self.settled(phase);
            if sets.len() > 1 {
                let all: Vec<String> = sets.iter().map(describe).collect();
                broken.push((Invariant::OneSet, format!("{phase:?}: {}", all.join(" "))));
            }
            match self.reading.was_early(phase, &sets) {
                false => (),
                true if sign_two => read_with_proof = read_with_proof.saturating_add(1),
                true => broken.push((Invariant::FixedBeforeRead, format!("{phase:?}"))),
            }
        }
        let voted: BTreeSet<Hash> = self.honest().filter_map(Request::voted).collect();
        if voted.len() > 1 {
            broken.push((Invariant::OneOutcome, format!("{} outcomes", voted.len())));
        }
        let certified: BTreeSet<Hash> = self.nodes.iter().filter_map(Request::certified).collect();
        if certified.len() > 1 {
            let how = format!("{} certificates", certified.len());
            broken.push((Invariant::OneCertificate, how));
        }
        for (member, offence) in &self.accused {
            if !self.liars.contains_key(member) {
                let how = format!("member {member} of {offence}");
                broken.push((Invariant::NoneAccused, how));
            }
        }
        let end = self.end();
        if end == End::Stopped {
            broken.push((Invariant::Live, end.to_string()));
        }
        let liars: Vec<String> = self
            .liars
            .iter()
            .map(|(member, liar)| format!("{member} {:?}", liar.habit()))
            .collect();
        Verdict {
            end,
            broken,
            liars: liars.join(", "),
            read_with_proof,
            soft: self.soft,
            certificate: self.certificate,
            accused: self
                .accused
                .into_iter()
                .map(|(_, offence)| offence)
                .collect(),
            messages: self.messages,
        }
    }

    fn end(&self) -> End {
        if self.certificate.is_some() && self.honest().all(|node| node.certified().is_some()) {
            End::Certified
        } else if self.liars.values().any(|liar| liar.habit().stops()) {
            End::StoppedWithProof
        } else if self.lost {
            End::StoppedByLoss
        } else {
            End::Stopped
        }
    }
}

/// The content of an honest member's own message.
fn say(from: Member, message: &Message<Symbolic>) -> Option<String> {
    use message::Message as Inner;
    let (phase, message) = match message {
        Message::Of(phase, message) => (phase, message),
        Message::Vote(outcome) => {
            let [first, second, ..] = outcome;
            return Some(format!("votes for {first:02x}{second:02x}"));
        },
    };
    let line = match message {
        Inner::Value(value) if value.by == from => match value.body {
            Some(seal) => format!("seals {}", describe(&[seal.named()].into_iter().collect())),
            None => "passes".to_owned(),
        },
        Inner::Open(open) if open.by == from => {
            let way = match open.body.way {
                Way::Full => "in full".to_owned(),
                Way::View(view) => format!("of view {view}"),
            };
            format!("opens {} {way}", describe(&open.body.set))
        },
        Inner::Echo(echo) if echo.by == from => {
            let view = echo.body.view;
            format!("echoes {} in view {view}", describe(&echo.body.named))
        },
        Inner::Set(set) if set.by == from => {
            format!(
                "fixes {} in view {}",
                describe(&set.body.set),
                set.body.view
            )
        },
        _ => return None,
    };
    Some(format!("{phase:?}: {line}"))
}
