// SPDX-License-Identifier: Apache-2.0
//! `starling rounds`.

use starling_console::outln;
use std::time::Duration;

use serde_json::json;
use starling_client::{
    events::BlockEvents,
    follow::{self, BestChain},
    progress::name as phase_name,
    report::{report, Context},
    text::{excerpt, question},
    Chain, Result,
};
use starling_primitives::RoundId;

use crate::{
    arguments::Connection,
    ask,
    console::{print_event, Events, Live},
    table,
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// List the newest rounds that the chain stores.
    List {
        /// Maximum number of rounds
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u64,
        /// Only rounds that are not over
        #[arg(long)]
        open: bool,
    },
    /// Show a round: answers, scores, rankers, payouts, blocks.
    Show {
        /// Number of the round
        round: RoundId,
    },
    /// Follow a round to its end, or print the events of all rounds.
    Watch {
        /// Number of the round [default: all rounds, until Ctrl-C]
        round: Option<RoundId>,
        /// Stop waiting after this many seconds
        #[arg(
            long,
            default_value_t = 600,
            value_name = "SECONDS",
            requires = "round"
        )]
        timeout: u64,
    },
}

pub async fn run(connection: &Connection, command: Command) -> Result<()> {
    connection
        .run(|chain| async move {
            match command {
                Command::List { limit, open } => list(connection, &chain, limit, open).await,
                Command::Show { round } => show(connection, &chain, round).await,
                Command::Watch {
                    round: Some(round),
                    timeout,
                } => watch(connection, &chain, round, timeout).await,
                Command::Watch { round: None, .. } => watch_all(connection, &chain).await,
            }
        })
        .await
}

async fn list(connection: &Connection, chain: &Chain, limit: u64, open: bool) -> Result<()> {
    let at = chain.best().await?;
    let mut views = vec![];
    let mut id = at.next_round().await?;
    // Old rounds are purged from the oldest on: the first that is missing ends the list.
    while let (Some(next), true) = (id.checked_sub(1), (views.len() as u64) < limit) {
        id = next;
        match at.round(id).await? {
            Some(view) if !open || !view.round.phase.is_final() => views.push(view),
            Some(_) => {},
            None => break,
        }
    }
    if connection.json {
        let rounds: Vec<_> = views
            .iter()
            .map(|view| {
                json!({
                    "round": view.id,
                    "phase": phase_name(view.round.phase).to_lowercase(),
                    "requester": sp_core::crypto::Ss58Codec::to_ss58check(&view.round.requester),
                    "fee": view.round.terms.fee.to_string(),
                    "requested_at": view.round.requested_at,
                    "deadline": view.round.deadline,
                    "answers": view.round.counts.commits,
                    "prompt": String::from_utf8_lossy(&view.prompt),
                })
            })
            .collect();
        outln!("{}", json!(rounds));
        return Ok(());
    }
    if views.is_empty() {
        outln!("No rounds.");
        return Ok(());
    }
    let mut table = table::table(&[
        "round", "phase", "block", "asked by", "fee", "answers", "prompt",
    ]);
    for view in views {
        let round = &view.round;
        table.add_row([
            view.id.to_string(),
            phase_name(round.phase).into(),
            round.requested_at.to_string(),
            chain.name(&round.requester),
            chain.currency().format(round.terms.fee),
            round.counts.commits.to_string(),
            excerpt(&question(&String::from_utf8_lossy(&view.prompt)), 60),
        ]);
    }
    outln!("{table}");
    Ok(())
}

async fn show(connection: &Connection, chain: &Chain, round: RoundId) -> Result<()> {
    let at = chain.best().await?;
    let view = at.round(round).await?;
    let view = view.ok_or_else(|| follow::no_round(round))?;
    let report = report(&view, &Context::read(chain, &at, &view).await?);
    ask::print(connection, chain, &report, None)
}

async fn watch(connection: &Connection, chain: &Chain, round: RoundId, timeout: u64) -> Result<()> {
    let events = ask::events(true, connection.json);
    let mut live = Live::new(chain, Some(round), connection.json, events);
    let patience = Duration::from_secs(timeout);
    let ended = follow::follow(chain, round, &mut live);
    let ended = ask::within(patience, ended, || format!("round {round} is not over")).await;
    live.finish();
    ask::finish(connection, chain, &ended?, None).await
}

async fn watch_all(connection: &Connection, chain: &Chain) -> Result<()> {
    let how = if connection.json {
        Events::Json
    } else {
        Events::Text
    };
    let mut blocks = BestChain::new(chain).await?;
    loop {
        for at in blocks.next(chain).await? {
            let block = BlockEvents::read(&at).await?;
            for (round, event) in &block.events {
                print_event(chain, how, block.number, *round, event);
            }
        }
    }
}
