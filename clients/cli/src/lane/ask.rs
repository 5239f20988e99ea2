// SPDX-License-Identifier: Apache-2.0
//! `starling lane ask`, and the lane's part of `starling ask --fast`.

use std::time::{Duration, Instant};

use serde_json::{json, Value};
use sp_core::crypto::Ss58Codec;
use starling_client::{
    account,
    lane::{
        ask::{self as lane, Asked, Progress, Question, Stage},
        calls,
        choice::{fits, fitting, Wanted},
        timing::ESCALATION_DELAY,
        Ask, LaneId,
    },
    text::printable,
    transaction::{Call, Request},
    Chain, Error, Keypair, Result,
};
use starling_console::outln;

use crate::{
    arguments::{account_of, Connection, Form, Signer},
    ask::{events, question, within},
    console::{Events, Live},
    table,
};

#[derive(clap::Args)]
pub struct Args {
    /// Question [default: read from standard input]
    question: Option<String>,
    /// Number of the lane [default: of the account's lanes that take the request, the one with the
    /// most free deposit]
    #[arg(long, value_name = "N")]
    lane: Option<LaneId>,
    /// Fee for the answer, in STAR [default: the minimum of the chain]
    #[arg(long, value_name = "AMOUNT")]
    fee: Option<String>,
    /// Maximum length of an answer, in tokens of the agent's model
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_tokens: u32,
    /// Form of the answers; in all but the first, equal answers count as votes
    #[arg(long, value_enum, default_value_t = Form::Free, value_name = "FORM")]
    answers: Form,
    /// Stop waiting after this many seconds; the request goes on
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
    /// Print every step of the request; with --json one object per line, the result last
    #[arg(long)]
    watch: bool,
}

/// The fate of a request that a lane was asked first.
pub enum Fast {
    /// It is certified and printed.
    Done,
    /// It expired. This call begins a round for it, whose fee comes out of the lane if it can.
    Escalated(Call),
    /// No lane has got it. This call begins an ordinary round.
    Round(Call),
}

/// `starling lane ask`.
pub async fn run(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    args: Args,
) -> Result<()> {
    let prompt = question(args.question.clone())?;
    let signer = signer.required()?;
    let at = chain.best().await?;
    let fee = match &args.fee {
        Some(fee) => chain.currency().parse(fee)?,
        None => at.lane_rules().await?.min_fee,
    };
    let wanted = Wanted {
        key: signer.public_key().0,
        fee,
        max_tokens: args.max_tokens,
    };
    let lane = match args.lane {
        Some(id) => {
            let lane = at.lane(id).await?;
            fits(&lane, &wanted).map_err(|why| {
                Error::Usage(format!("lane {id} does not take the request: {why}"))
            })?;
            lane
        },
        None => {
            let lanes = at.lanes_of(&account_of(&signer)).await?;
            let first = fitting(lanes, &wanted).into_iter().next();
            first.ok_or_else(|| {
                Error::NotFound(
                    "the account has no open lane that takes the request; see `starling lane \
                     list` and `starling lane open`"
                        .into(),
                )
            })?
        },
    };
    let question = Question {
        prompt,
        fee,
        max_tokens: args.max_tokens,
        form: args.answers.into(),
    };
    let mut live = Live::new(chain, None, connection.json, None);
    let mut shown = Shown::new(chain, events(args.watch, connection.json), connection.json);
    let work = async {
        let mut asked = lane::send(chain, &lane, &question, &signer, &mut |words| {
            live.say(words)
        })
        .await?;
        let end = shown.follow(&mut asked, &mut live).await?;
        Ok((asked.ask().clone(), end))
    };
    let patience = Duration::from_secs(args.timeout);
    let (ask, end) = within(patience, work, || "the request is not certified".into()).await?;
    live.finish();
    let progress = end.ok_or_else(|| {
        Error::NoAnswer(format!(
            "request {} of lane {} expired in block {} without a certificate, and costs nothing; \
             `starling ask --fast` asks a round for such a request",
            ask.seq, ask.lane, ask.expiry
        ))
    })?;
    shown.finish(&ask, &progress)
}

/// Asks the account's lanes before a round.
pub async fn fast(
    chain: &Chain,
    request: &Request,
    signer: &Keypair,
    shown: &mut Shown,
    live: &mut Live,
) -> Result<Fast> {
    let round = || Ok(Fast::Round(request.call()));
    let at = chain.best().await?;
    if !at.has_lanes() {
        live.say("this chain has no fast lane: asking a round");
        return round();
    }
    let wanted = Wanted {
        key: signer.public_key().0,
        fee: request.fee,
        max_tokens: request.max_tokens,
    };
    let lanes = fitting(at.lanes_of(&account_of(signer)).await?, &wanted);
    if lanes.is_empty() {
        live.say("the account has no open lane that takes the request: asking a round");
        return round();
    }
    let question = Question {
        prompt: request.prompt.clone(),
        fee: request.fee,
        max_tokens: request.max_tokens,
        form: request.answers.form(),
    };
    for lane in lanes {
        let sent = lane::send(chain, &lane, &question, signer, &mut |words| {
            live.say(words)
        })
        .await;
        let mut asked = match sent {
            Ok(asked) => asked,
            // Nobody has got the request, so that another way pays once.
            Err(Error::NotTaken(why)) => {
                live.say(&why);
                continue;
            },
            Err(other) => return Err(other),
        };
        let ask = asked.ask().clone();
        let certified = match shown.follow(&mut asked, live).await {
            Ok(certified) => certified,
            // Somebody may have got the request. The chain knows whether it is certified.
            Err(Error::Protocol(why)) => {
                live.say(&why);
                None
            },
            Err(other) => return Err(other),
        };
        if let Some(progress) = certified {
            live.finish();
            shown.finish(&ask, &progress)?;
            return Ok(Fast::Done);
        }
        live.say(&format!(
            "request {} of lane {} expires: a round answers it from block {} on",
            ask.seq,
            ask.lane,
            ask.expiry.saturating_add(ESCALATION_DELAY)
        ));
        lane::until_escalation(chain, &ask).await?;
        let signature = signer.sign(&ask.hash()).0;
        let call = calls::escalate(
            &ask,
            signature,
            request.min_responses,
            request.max_responses,
        );
        return Ok(Fast::Escalated(call));
    }
    live.say("no lane has taken the request: asking a round");
    round()
}

/// Shows the steps of a request.
pub struct Shown {
    chain: Chain,
    events: Option<Events>,
    json: bool,
    started: Instant,
    /// The answer that is printed already.
    soft: Option<String>,
}

impl Shown {
    /// Shows the steps of a request that is sent now.
    pub fn new(chain: &Chain, events: Option<Events>, json: bool) -> Self {
        Self {
            chain: chain.clone(),
            events,
            json,
            started: Instant::now(),
            soft: None,
        }
    }

    /// Follows a request to its certificate; `None` if it gets none.
    async fn follow(&mut self, asked: &mut Asked, live: &mut Live) -> Result<Option<Progress>> {
        let ask = asked.ask().clone();
        let members = asked.committee().members.len();
        live.say(&format!(
            "request {} of lane {} is with its {members} members, until block {}",
            ask.seq, ask.lane, ask.expiry
        ));
        let chain = self.chain.clone();
        asked
            .end(&chain, &mut |progress| self.step(&ask, progress, live))
            .await
    }

    fn step(&mut self, ask: &Ask, progress: &Progress, live: &mut Live) {
        let seconds = self.started.elapsed().as_secs_f64();
        match self.events {
            Some(Events::Json) => live.beside(|| outln!("{}", object(ask, progress, seconds))),
            Some(Events::Text) => live.beside(|| outln!("{}", words(progress, seconds))),
            None => {},
        }
        let text = progress.answer.as_ref().map(|answer| answer.text.clone());
        if let (Stage::Soft, false, Some(text)) = (progress.stage, self.json, text) {
            live.beside(|| outln!("{}\n\nsoft after {seconds:.2} s", printable(text.trim())));
            self.soft = Some(text);
        }
        live.say(progress.stage.name());
    }

    /// Prints a certified request. Fails if it has no answer.
    fn finish(&self, ask: &Ask, progress: &Progress) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        if self.json {
            outln!("{}", object(ask, progress, seconds));
        } else {
            let text = progress.answer.as_ref().map(|answer| &answer.text);
            // A node that shows another answer in the end than in the beginning shows both.
            if let Some(text) = text.filter(|text| self.soft.as_ref() != Some(*text)) {
                outln!("{}\n", printable(text.trim()));
            }
            outln!("{}", self.certified(ask, progress, seconds));
        }
        match progress.answer {
            Some(_) => Ok(()),
            None => Err(Error::NoAnswer(format!(
                "request {} of lane {} has no answer: no response could win",
                ask.seq, ask.lane
            ))),
        }
    }

    fn certified(&self, ask: &Ask, progress: &Progress, seconds: f64) -> String {
        let signers: Vec<_> = progress
            .signers
            .iter()
            .map(|signer| self.chain.name(signer))
            .collect();
        let name = |address: &str| {
            account::parse(address)
                .map_or_else(|_| printable(address), |account| self.chain.name(&account))
        };
        let mut lines = vec![format!(
            "certified after {seconds:.2} s by {}: their signatures and the text were checked",
            signers.join(", ")
        )];
        if let Some(answer) = &progress.answer {
            lines.push(format!("The answer of {} won.", name(&answer.agent)));
            let voted = progress.votes.iter().filter(|votes| votes.is_voted);
            lines.extend(voted.map(|votes| format!("{}.", votes.words)));
        }
        let paid: Vec<_> = progress
            .payouts
            .iter()
            .map(|payout| {
                let amount = table::amount(self.chain.currency(), &payout.amount);
                format!("{} to {}", printable(&amount), name(&payout.account))
            })
            .collect();
        lines.push(format!(
            "Request {} of lane {} pays, once it is settled: {}",
            ask.seq,
            ask.lane,
            paid.join(", ")
        ));
        lines.join("\n")
    }
}

/// A step in words.
fn words(progress: &Progress, seconds: f64) -> String {
    let answer = progress.answer.as_ref();
    let answer = answer.map_or(String::new(), |answer| {
        format!("  {}", printable(answer.text.trim()))
    });
    format!("{seconds:8.3} s  {}{answer}", progress.stage.name())
}

/// A step for programs.
fn object(ask: &Ask, progress: &Progress, seconds: f64) -> Value {
    let signers: Vec<_> = progress
        .signers
        .iter()
        .map(Ss58Codec::to_ss58check)
        .collect();
    let payouts = progress
        .payouts
        .iter()
        .map(|payout| json!({ "account": payout.account, "amount": payout.amount }));
    json!({
        "lane": ask.lane,
        "epoch": ask.epoch,
        "seq": ask.seq,
        "fee": ask.fee.to_string(),
        "expiry": ask.expiry,
        "stage": progress.stage.name(),
        "answer": progress.answer.as_ref().map(|answer| &answer.text),
        "agent": progress.answer.as_ref().map(|answer| &answer.agent),
        "outcome": progress.outcome,
        "votes": progress.votes,
        "signers": signers,
        "payouts": payouts.collect::<Vec<_>>(),
        "soft_ms": progress.soft_ms,
        "certified_ms": progress.certified_ms,
        "seconds": seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_client::lane::ask::Answer;

    fn progress(stage: Stage, text: Option<&str>) -> Progress {
        Progress {
            stage,
            answer: text.map(|text| Answer {
                agent: "5F".into(),
                text: text.into(),
            }),
            outcome: None,
            votes: None,
            payouts: vec![],
            signers: vec![],
            soft_ms: Some(12.5),
            certified_ms: None,
        }
    }

    #[test]
    fn every_step_says_its_stage() {
        let ask = Ask {
            genesis: [0; 32],
            lane: 1,
            epoch: 2,
            seq: 3,
            prompt: vec![],
            max_tokens: 8,
            form: starling_client::lane::Form::Free,
            fee: 5,
            expiry: 6,
        };
        for stage in [Stage::Asked, Stage::Soft, Stage::Certified, Stage::Expired] {
            let step = progress(stage, Some("A\u{1b}[31m bird."));
            assert!(words(&step, 0.5).contains(stage.name()));
            assert!(!words(&step, 0.5).contains('\u{1b}'));
            let object = object(&ask, &step, 0.5);
            assert_eq!(object["stage"], stage.name());
            assert_eq!((&object["lane"], &object["seq"]), (&json!(1), &json!(3)));
        }
        assert_eq!(
            object(&ask, &progress(Stage::Asked, None), 0.5)["answer"],
            json!(null)
        );
    }
}
