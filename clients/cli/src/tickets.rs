// SPDX-License-Identifier: Apache-2.0
//! `starling tickets`.

use serde_json::json;
use sp_core::crypto::Ss58Codec;
use starling_client::{transaction, Chain, Result};
use starling_console::outln;

use crate::{
    arguments::{account_of, Connection, Signer},
    table,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Put an amount on hold as tickets. The fee of a round sets the price of its ticket.
    Buy {
        /// Amount, in STAR
        amount: String,
    },
    /// Take an amount of free tickets off hold.
    Refund {
        /// Amount, in STAR [default: all free tickets]
        amount: Option<String>,
    },
    /// List the tickets of an account; of all accounts without one or a signer.
    List {
        /// Address, public key in hexadecimal, or name of a development account
        account: Option<String>,
    },
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Args { signer, command } = args;
    connection
        .run(|chain| async move {
            match command {
                Command::Buy { amount } => {
                    let amount = chain.currency().parse(&amount)?;
                    change(connection, &chain, &signer, "buy", amount).await
                },
                Command::Refund { amount } => {
                    let amount = match amount {
                        Some(amount) => chain.currency().parse(&amount)?,
                        None => {
                            let who = account_of(&signer.required()?);
                            chain.best().await?.tickets(&who).await?.free
                        },
                    };
                    change(connection, &chain, &signer, "refund", amount).await
                },
                Command::List { account } => {
                    list(connection, &chain, &signer, account.as_deref()).await
                },
            }
        })
        .await
}

async fn change(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    call: &str,
    amount: u128,
) -> Result<()> {
    let key = signer.required()?;
    let call = transaction::with_amount("Tickets", call, amount);
    let sent = transaction::send(chain, &call, &key).await?;
    let tickets = chain
        .at_number(sent.block)
        .await?
        .tickets(&account_of(&key))
        .await?;
    if connection.json {
        let (free, staked) = (tickets.free.to_string(), tickets.staked.to_string());
        outln!(
            "{}",
            json!({"block": sent.block, "free": free, "staked": staked})
        );
    } else {
        outln!(
            "{} free, {} staked in open rounds, as of block {}",
            chain.currency().format(tickets.free),
            chain.currency().format(tickets.staked),
            sent.block,
        );
    }
    Ok(())
}

async fn list(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    account: Option<&str>,
) -> Result<()> {
    let at = chain.best().await?;
    let all = match signer.account(account)? {
        Some(who) => vec![(who.clone(), at.tickets(&who).await?)],
        None => at.all_tickets().await?,
    };
    let price = at.ticket_price(at.constant("Rounds", "MinFee")?).await?;
    if connection.json {
        let all: Vec<_> = all
            .iter()
            .map(|(who, tickets)| {
                json!({
                    "account": who.to_ss58check(),
                    "free": tickets.free.to_string(),
                    "staked": tickets.staked.to_string(),
                })
            })
            .collect();
        outln!(
            "{}",
            json!({"least_price": price.to_string(), "accounts": all})
        );
        return Ok(());
    }
    let money = |amount| chain.currency().format(amount);
    if all.is_empty() {
        outln!("No account has tickets.");
    } else {
        let mut table = table::table(&["account", "free", "staked", "rounds at the minimum fee"]);
        for (who, tickets) in all {
            let rounds = tickets.free.checked_div(price).unwrap_or_default();
            table.add_row([
                chain.name(&who),
                money(tickets.free),
                money(tickets.staked),
                rounds.to_string(),
            ]);
        }
        outln!("{table}");
    }
    outln!(
        "A round at the minimum fee stakes a ticket of {}.",
        money(price)
    );
    Ok(())
}
