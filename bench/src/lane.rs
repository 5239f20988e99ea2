// SPDX-License-Identifier: Apache-2.0
//! The latency of a lane: of soft answers and of certificates, at the node that takes the requests
//! and at the requester.

use std::{
    fmt::{Display, Formatter},
    thread,
    time::Duration,
};

use anyhow::{ensure, Result};
use starling_client::{
    lane::{
        ask::{self, Asked, Question, Stage},
        Form, LaneId, LaneView,
    },
    signer, AccountId32, Chain, Error, Keypair,
};
use starling_primitives::Balance;

use crate::latency::{load, quantile};

/// Message delays of a request from its sending to the soft answer: the request, the sealed
/// responses, their shares, the sealed scores, and their shares.
const SOFT: u32 = 5;
/// The same to the certificate: the votes come last.
const CERTIFIED: u32 = 6;

/// The most blocks for which a request waits until the node takes it.
const PATIENCE: u32 = 256;

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The lane, which Eve has opened.
    pub lane: LaneId,
    /// Number of requests, one after the other.
    pub requests: usize,
    /// Maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// Fee of each request.
    pub fee: Balance,
    /// The time of a message between two nodes and back, if it is known.
    pub round_trip: Option<Duration>,
}

/// The times of a request from its sending, or from its arrival at the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    soft: Option<Duration>,
    certified: Option<Duration>,
}

/// The requests of a measurement.
pub struct Measured {
    plan: Plan,
    members: usize,
    /// By the node's clock, from the arrival at the node.
    node: Vec<Times>,
    /// By the requester's clock, from the sending.
    requester: Vec<Times>,
    load: [String; 2],
}

impl Measured {
    /// Number of requests that were certified.
    pub fn certified(&self) -> usize {
        let times = self.requester.iter();
        times.filter(|times| times.certified.is_some()).count()
    }
}

/// Asks a lane of Eve's request after request, through the node at `url`.
pub async fn measure(url: &str, plan: Plan) -> Result<Measured> {
    let eve = signer::development("eve")?;
    let chain = Chain::connect(url, false).await?;
    let lane = chain.best().await?.lane(plan.lane).await?;
    ensure!(plan.requests > 0, "no requests to measure");
    let load_before = load();
    let mut measured = Measured {
        plan,
        members: usize::from(lane.terms.members),
        node: vec![],
        requester: vec![],
        load: Default::default(),
    };
    for number in 0..plan.requests {
        let question = Question {
            prompt: format!("What is {number} plus {number}?"),
            fee: plan.fee,
            max_tokens: plan.max_tokens,
            form: Form::Free,
        };
        let mut asked = send(&chain, &lane, &question, &eve).await?;
        let sent = asked.sent();
        let mut requester = Times::default();
        let mut node = Times::default();
        asked
            .end(&chain, &mut |progress| {
                let now = Some(sent.elapsed());
                if progress.stage >= Stage::Soft && progress.stage <= Stage::Certified {
                    requester.soft = requester.soft.or(now);
                }
                if progress.stage == Stage::Certified {
                    requester.certified = now;
                }
                node.soft = progress.soft_ms.and_then(duration).or(node.soft);
                node.certified = progress.certified_ms.and_then(duration).or(node.certified);
            })
            .await?;
        measured.node.push(node);
        measured.requester.push(requester);
    }
    measured.load = [load_before, load()];
    Ok(measured)
}

/// Sends a request. What it waits for before that does not count: the next epoch where this one ends
/// too soon, and payments where too many fees are pending.
async fn send(
    chain: &Chain,
    lane: &LaneView<AccountId32>,
    question: &Question,
    signer: &Keypair,
) -> Result<Asked> {
    let mut waited = 0;
    loop {
        match ask::send(chain, lane, question, signer, &mut |_| {}).await {
            Ok(asked) => return Ok(asked),
            Err(Error::NotTaken(_)) if waited < PATIENCE => {
                let next = chain.best().await?.number().saturating_add(1);
                ask::until(chain, next).await?;
                waited += 1;
            },
            Err(error) => return Err(error.into()),
        }
    }
}

/// A duration of so many milliseconds, as another machine tells it.
fn duration(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1e3).ok()
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let cores = thread::available_parallelism().map_or(0, usize::from);
        let certified = self.certified();
        write!(
            f,
            "{} requests, {} members",
            self.plan.requests, self.members
        )?;
        if let Some(round_trip) = self.plan.round_trip {
            write!(f, ", round trips of {} ms", round_trip.as_millis())?;
        }
        writeln!(
            f,
            "; {cores} cores, load average {} before and {} after",
            self.load[0], self.load[1]
        )?;
        writeln!(
            f,
            "{:28}{:>11}{:>11}{:>16}",
            "", "median", "p95", "delays alone"
        )?;
        let rows = [
            ("soft, at the node", &self.node, false),
            ("certified, at the node", &self.node, true),
            ("soft, at the requester", &self.requester, false),
            ("certified, at the requester", &self.requester, true),
        ];
        for (name, all, is_certified) in rows {
            let time = |times: &Times| match is_certified {
                true => times.certified,
                false => times.soft,
            };
            let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let mut times: Vec<u64> = all.iter().filter_map(time).map(micros).collect();
            let ms = |time: Option<u64>| {
                time.map_or("-".into(), |time| format!("{:.1} ms", time as f64 / 1e3))
            };
            let median = ms(quantile(&mut times, 0.5));
            let p95 = ms(quantile(&mut times, 0.95));
            let delays = if is_certified { CERTIFIED } else { SOFT };
            let alone = self
                .plan
                .round_trip
                .map_or(format!("{delays}δ"), |round_trip| {
                    let alone = (round_trip / 2).saturating_mul(delays);
                    format!("{delays}δ = {} ms", alone.as_millis())
                });
            writeln!(f, "{name:28}{median:>11}{p95:>11}{alone:>16}")?;
        }
        let without = self.requester.len().saturating_sub(certified);
        writeln!(f, "{certified} certified, {without} without a certificate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_what_was_measured_beside_the_delays() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let times = |soft, certified| Times { soft, certified };
        let measured = Measured {
            plan: Plan {
                lane: 0,
                requests: 2,
                max_tokens: 8,
                fee: 1,
                round_trip: ms(20),
            },
            members: 4,
            node: vec![times(ms(61), ms(72)), times(ms(63), None)],
            requester: vec![times(ms(62), ms(73)), times(None, None)],
            load: ["1".into(), "2".into()],
        };
        assert_eq!(measured.certified(), 1);
        let table = measured.to_string();
        let line = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("soft, at the node"),
            "soft, at the node 61.0 ms 63.0 ms 5δ = 50 ms"
        );
        assert_eq!(
            line("certified, at the requester"),
            "certified, at the requester 73.0 ms 73.0 ms 6δ = 60 ms"
        );
        assert!(
            table.contains("1 certified, 1 without a certificate"),
            "{table}"
        );
    }
}
