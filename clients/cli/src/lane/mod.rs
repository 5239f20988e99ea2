// SPDX-License-Identifier: Apache-2.0
//! `starling lane`.

mod ask;
mod show;

pub use ask::{fast, Fast, Shown};

use serde_json::json;
use starling_client::{
    lane::{
        ask::{status, until},
        calls, LaneId, Terms,
    },
    transaction::{self, Call},
    At, Chain, Error, Keypair, Result,
};
use starling_console::outln;
use starling_primitives::Balance;

use crate::{
    arguments::{account_of, Connection, Signer},
    console::Live,
};

/// The largest fee of a lane by default, in least fees of the chain.
const FEES: Balance = 10;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Open a lane: put a deposit into escrow for many requests. The account pays and signs them,
    /// and the node at --url passes them on.
    Open(Open),
    /// Put more into the escrow of a lane.
    TopUp {
        /// Number of the lane
        lane: LaneId,
        /// Amount, in STAR
        amount: String,
    },
    /// Ask a lane. The answer comes first as "soft", then as "certified" by a quorum, whose
    /// signatures are checked here.
    Ask(ask::Args),
    /// Show a lane: its escrow, its committees, and its settlements.
    Status {
        /// Number of the lane
        lane: LaneId,
    },
    /// Close a lane: no committee answers it after this epoch.
    Close {
        /// Number of the lane
        lane: LaneId,
    },
    /// Take back what a closed lane has left, and remove the lane.
    Reclaim {
        /// Number of the lane
        lane: LaneId,
    },
    /// List the lanes of an account.
    List {
        /// Address, public key in hexadecimal, or name of a development account [default: the
        /// signer's]
        account: Option<String>,
    },
}

#[derive(clap::Args)]
struct Open {
    /// Deposit, in STAR. A part of it is burnt
    deposit: String,
    /// Number of members of a committee: 4, 7, 10, 13 or 16 [default: the least of the chain]
    #[arg(long, value_name = "N")]
    members: Option<u8>,
    /// Largest fee of a request, in STAR [default: ten times the least of the chain]
    #[arg(long, value_name = "AMOUNT")]
    max_fee: Option<String>,
    /// Largest length of an answer, in tokens of the agent's model
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_tokens: u32,
    /// Time in which a member answers, in milliseconds
    #[arg(long, default_value_t = 3_000, value_name = "MS")]
    answer_ms: u32,
    /// Time in which a member ranks the answers, in milliseconds
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    rank_ms: u32,
    /// Wait until the lane has a committee and this node takes its requests
    #[arg(long)]
    wait: bool,
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Args { signer, command } = args;
    connection
        .run(|chain| async move {
            let at = chain.best().await?;
            at.require_lanes()?;
            match command {
                Command::Open(args) => open(connection, &chain, &at, &signer, args).await,
                Command::TopUp { lane, amount } => {
                    let amount = chain.currency().parse(&amount)?;
                    change(
                        connection,
                        &chain,
                        &signer,
                        lane,
                        calls::top_up(lane, amount),
                    )
                    .await
                },
                Command::Ask(args) => ask::run(connection, &chain, &signer, args).await,
                Command::Status { lane } => show::status(connection, &chain, &at, lane).await,
                Command::Close { lane } => {
                    change(connection, &chain, &signer, lane, calls::close(lane)).await
                },
                Command::Reclaim { lane } => reclaim(connection, &chain, &signer, lane).await,
                Command::List { account } => {
                    let who = signer.account(account.as_deref())?;
                    let who = who.ok_or_else(|| {
                        Error::Usage(
                            "no account: name one, or pass --dev, --suri or --key-file".into(),
                        )
                    })?;
                    show::list(connection, &chain, &at, &who).await
                },
            }
        })
        .await
}

async fn open(
    connection: &Connection,
    chain: &Chain,
    at: &At,
    signer: &Signer,
    args: Open,
) -> Result<()> {
    let signer = signer.required()?;
    let rules = at.lane_rules().await?;
    let terms = Terms {
        members: args.members.unwrap_or(rules.min_committee),
        max_fee: match &args.max_fee {
            Some(fee) => chain.currency().parse(fee)?,
            None => rules.min_fee.saturating_mul(FEES),
        },
        max_tokens: args.max_tokens,
        answer_ms: args.answer_ms,
        rank_ms: args.rank_ms,
        key: signer.public_key().0,
        peer: Some(chain.network_key().await?),
    };
    if terms.committee().is_none() {
        return Err(Error::Usage(format!(
            "no committee has {} members: pass 4, 7, 10, 13 or 16",
            terms.members
        )));
    }
    let deposit = chain.currency().parse(&args.deposit)?;
    let mut live = Live::new(chain, None, connection.json, None);
    let opened = send(chain, calls::open(deposit, &terms), &signer, &mut live).await?;
    let lane = opened.lane;
    let lane = lane.ok_or_else(|| Error::Protocol("the transaction opened no lane".into()))?;
    if args.wait {
        ready(chain, lane, &mut live).await?;
    }
    live.finish();
    show::status(connection, chain, &chain.best().await?, lane).await
}

/// Waits until the lane has a committee, and this node takes its requests.
async fn ready(chain: &Chain, lane: LaneId, live: &mut Live) -> Result<()> {
    let first = chain.best().await?.lane(lane).await?.first_epoch;
    loop {
        let at = chain.best().await?;
        let now = at.lane_epoch().await?;
        if now.epoch >= first && status(chain, lane).await?.takes_asks {
            return Ok(());
        }
        live.say(&match now.epoch < first {
            true => format!("lane {lane} has its first committee in epoch {first}"),
            false => format!("lane {lane} rests, or its members are not connected yet"),
        });
        until(chain, at.number().saturating_add(1)).await?;
    }
}

/// Sends a transaction about a lane, and shows the lane.
async fn change(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    lane: LaneId,
    call: Call,
) -> Result<()> {
    let signer = signer.required()?;
    let mut live = Live::new(chain, None, connection.json, None);
    let sent = send(chain, call, &signer, &mut live).await?;
    live.finish();
    let at = chain.at_number(sent.block).await?;
    show::status(connection, chain, &at, lane).await
}

async fn reclaim(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    lane: LaneId,
) -> Result<()> {
    let key = signer.required()?;
    let free = chain.best().await?.lane(lane).await?.free;
    let mut live = Live::new(chain, None, connection.json, None);
    let sent = send(chain, calls::reclaim(lane), &key, &mut live).await?;
    live.finish();
    match connection.json {
        true => outln!(
            "{}",
            json!({"lane": lane, "block": sent.block, "reclaimed": free.to_string()})
        ),
        false => outln!(
            "{} of lane {lane} is back with {}, as of block {}",
            chain.currency().format(free),
            chain.name(&account_of(&key)),
            sent.block,
        ),
    }
    Ok(())
}

async fn send(
    chain: &Chain,
    call: Call,
    signer: &Keypair,
    live: &mut Live,
) -> Result<transaction::Success> {
    live.say("waiting until the transaction is final");
    transaction::send(chain, &call, signer).await
}
