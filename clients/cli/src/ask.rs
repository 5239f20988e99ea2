// SPDX-License-Identifier: Apache-2.0
//! `starling ask`.

use starling_console::outln;
use std::{
    io::{IsTerminal, Read},
    time::{Duration, Instant},
};

use starling_client::{
    answers::Answers,
    follow,
    report::{report, Context, Report},
    transaction::{self, Request, Status},
    Chain, Error, Keypair, Result,
};
use starling_primitives::{api::RoundView, round::Phase, RoundId};

use crate::{
    arguments::{Connection, Form, Signer},
    console::{Events, Live},
    lane, table,
};

#[derive(clap::Args)]
pub struct Args {
    /// Question [default: read from standard input]
    question: Option<String>,
    #[command(flatten)]
    signer: Signer,
    /// Fee for the answer, in STAR [default: the minimum of the chain]
    #[arg(long, value_name = "AMOUNT")]
    fee: Option<String>,
    /// Maximum length of an answer, in tokens of the agent's model
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_tokens: u32,
    /// Minimum number of sealed answers; with fewer the round ends and shows none [default: the
    /// minimum of the chain]
    #[arg(long, value_name = "N")]
    min_responses: Option<u32>,
    /// Maximum number of answers; their message fees are prepaid
    #[arg(long, default_value_t = 8, value_name = "N")]
    max_responses: u32,
    /// Form of the answers; in all but the first, equal answers count as votes
    #[arg(long, value_enum, default_value_t = Form::Free, value_name = "FORM")]
    answers: Form,
    /// Stop waiting after this many seconds; the round goes on
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
    /// Print every event of the round; with --json one object per line, the result last
    #[arg(long)]
    watch: bool,
    /// Ask an open lane of the account first. The round is asked where no lane takes the question or
    /// none certifies an answer in time; the fee is paid once
    #[arg(long, conflicts_with = "no_wait")]
    fast: bool,
    /// Print to standard error how many messages went to the node and came from it
    #[arg(long)]
    verbose: bool,
    /// Print the number of the round when the request is final, without waiting for the answer
    #[arg(long, conflicts_with = "watch")]
    no_wait: bool,
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let prompt = question(args.question.clone())?;
    let signer = args.signer.required()?;
    connection
        .run(|chain| async move {
            let verbose = args.verbose;
            let asked = asked(connection, &chain, args, prompt, &signer).await;
            if verbose {
                eprintln!("{}", chain.messages());
            }
            asked
        })
        .await
}

async fn asked(
    connection: &Connection,
    chain: &Chain,
    args: Args,
    prompt: String,
    signer: &Keypair,
) -> Result<()> {
    let at = chain.best().await?;
    let answers = Answers::of(args.answers.into())?;
    if answers != Answers::Free {
        at.require_capabilities()?;
    }
    let least_fee = || at.constant("Rounds", "MinFee");
    let least_responses = || at.constant("Rounds", "MinResponses");
    let request = Request {
        prompt,
        fee: match &args.fee {
            Some(fee) => chain.currency().parse(fee)?,
            None => least_fee()?,
        },
        max_tokens: args.max_tokens,
        min_responses: args.min_responses.map_or_else(least_responses, Ok)?,
        max_responses: args.max_responses,
        answers,
    };
    let patience = Duration::from_secs(args.timeout);
    if args.no_wait {
        let sent = request_only(chain, &request, signer);
        return within(patience, sent, || "the request is not final".into())
            .await
            .map(|round| print_number(connection.json, round));
    }
    let started = Instant::now();
    let events = events(args.watch, connection.json);
    let mut live = Live::new(chain, None, connection.json, events);
    let outcome = match args.fast {
        true => {
            let mut shown = lane::Shown::new(chain, events, connection.json);
            let asked = lane::fast(chain, &request, signer, &mut shown, &mut live);
            within(patience, asked, || "the request is not certified".into()).await?
        },
        false => lane::Fast::Round(request.call()),
    };
    let call = match outcome {
        lane::Fast::Done => return Ok(()),
        lane::Fast::Escalated(call) => call,
        lane::Fast::Round(call) => {
            let (burnt, deposit) = at.request_cost(request.max_responses).await?;
            let money = |amount| chain.currency().format(amount);
            live.say(&format!(
                "the fee is {}; {} is burnt for messages, and {} is on hold until the round is \
                 removed",
                money(request.fee),
                money(burnt),
                money(deposit),
            ));
            call
        },
    };
    let answered = follow::ask(chain, &call, signer, &mut live);
    let answered = within(patience, answered, || {
        "the round is not over; follow it with `starling rounds watch`".into()
    })
    .await;
    live.finish();
    let seconds = started.elapsed().as_secs_f64();
    finish(connection, chain, &answered?, Some(seconds)).await
}

/// Waits for `work`, at most for `patience`.
pub async fn within<T>(
    patience: Duration,
    work: impl std::future::Future<Output = Result<T>>,
    late: impl FnOnce() -> String,
) -> Result<T> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| {
            let seconds = patience.as_secs();
            Err(Error::TimedOut(format!(
                "timeout after {seconds} s: {}",
                late()
            )))
        })
}

/// The form in which events are printed, if they are.
pub fn events(watch: bool, json: bool) -> Option<Events> {
    watch.then_some(if json { Events::Json } else { Events::Text })
}

/// Prints a round that is over. Fails if it has no answer.
pub async fn finish(
    connection: &Connection,
    chain: &Chain,
    view: &RoundView<sp_core::crypto::AccountId32>,
    seconds: Option<f64>,
) -> Result<()> {
    let at = chain.finalized().await?;
    let report = report(view, &Context::read(chain, &at, view).await?);
    print(connection, chain, &report, seconds)?;
    match view.round.phase {
        Phase::Failed(_) => Err(Error::NoAnswer(format!(
            "round {} ended without an answer",
            report.round
        ))),
        _ => Ok(()),
    }
}

/// Prints a round.
pub fn print(
    connection: &Connection,
    chain: &Chain,
    report: &Report,
    seconds: Option<f64>,
) -> Result<()> {
    if connection.json {
        let mut object =
            serde_json::to_value(report).map_err(|error| Error::Protocol(error.to_string()))?;
        if let (Some(object), Some(seconds)) = (object.as_object_mut(), seconds) {
            object.insert("seconds".into(), seconds.into());
        }
        outln!("{object}");
    } else {
        outln!("{}", table::show(report, chain.currency()));
        if let Some(seconds) = seconds {
            outln!(
                "The round took {seconds:.1} s, from sending the request until its end was final."
            );
        }
    }
    Ok(())
}

async fn request_only(chain: &Chain, request: &Request, signer: &Keypair) -> Result<RoundId> {
    let mut submitted = transaction::submit(chain, &request.call(), signer).await?;
    loop {
        if let Status::Final(success) = submitted.next(chain).await? {
            return success
                .round
                .ok_or_else(|| Error::Protocol("the request opened no round".into()));
        }
    }
}

fn print_number(json: bool, round: RoundId) {
    if json {
        outln!("{}", serde_json::json!({ "round": round }));
    } else {
        outln!("{round}");
    }
}

/// The question in an argument, or on standard input.
pub fn question(argument: Option<String>) -> Result<String> {
    if let Some(question) = argument {
        return Ok(question);
    }
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(Error::Usage(
            "no question: pass it as an argument or on standard input".into(),
        ));
    }
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(Error::io("standard input"))?;
    Ok(text.trim().to_owned())
}
