// SPDX-License-Identifier: Apache-2.0
//! `starling disputes`.

use std::path::PathBuf;

use serde_json::json;
use starling_client::{
    disputes::{self, accused, finding, Accusation, Case, CaseId, CaseView},
    transaction::{self, Call},
    AccountId32, Chain, Error, Keypair, Result,
};
use starling_console::outln;

use crate::{
    arguments::{account_of, Connection, Signer},
    console::Live,
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
    /// List the cases that the chain has not forgotten, the newest first.
    List,
    /// Show a case: the agents, the committee, its findings, and the ruling.
    Show {
        /// Number of the case
        case: CaseId,
    },
    /// Accuse two agents of contradicting each other, by a file of evidence. The signer is an
    /// agent, which pays with its bond if neither is guilty: ask `starling-shards evidence` first,
    /// which names the wrong one.
    Accuse {
        /// File of evidence, as a node keeps it in `agent/evidence`
        evidence: PathBuf,
        /// Put the exhibit on chain, for executors that do not reach the node at --url, or for a
        /// node without the file in its own `agent/evidence`. The signer pays for its bytes
        #[arg(long)]
        publish: bool,
    },
    /// Appeal a ruling: another committee judges. The signer is the accuser or one of the accused,
    /// and loses three times the least bond of an accuser if the ruling stays.
    Appeal {
        /// Number of the case
        case: CaseId,
    },
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Args { signer, command } = args;
    connection
        .run(|chain| async move {
            chain.best().await?.require_disputes()?;
            match command {
                Command::List => list(connection, &chain).await,
                Command::Show { case } => {
                    let case = chain.best().await?.dispute(case).await?;
                    show(connection, &chain, &case);
                    Ok(())
                },
                Command::Accuse { evidence, publish } => {
                    accuse(connection, &chain, &signer, evidence, publish).await
                },
                Command::Appeal { case } => {
                    let signer = signer.required()?;
                    let sent = send(connection, &chain, disputes::appeal(case), &signer).await?;
                    let case = chain.at_number(sent.block).await?.dispute(case).await?;
                    show(connection, &chain, &case);
                    Ok(())
                },
            }
        })
        .await
}

async fn accuse(
    connection: &Connection,
    chain: &Chain,
    signer: &Signer,
    path: PathBuf,
    publish: bool,
) -> Result<()> {
    let signer = signer.required()?;
    let case = Case::read(&path).map_err(Error::io(path.display()))?;
    disputes::check_chain(&case, chain.genesis())?;
    let at = chain.best().await?;
    let longest = match publish {
        true => {
            let longest: u32 = at.constant("Disputes", "MaxExhibit")?;
            usize::try_from(longest).unwrap_or(usize::MAX)
        },
        false => disputes::MAX_EXHIBIT,
    };
    disputes::check_exhibit(&case, longest)?;
    let accusation = Accusation {
        network: case.network,
        evidence: case.evidence,
        shown_by: chain.peer().await?,
    };
    let agent = account_of(&signer);
    at.can_accuse(&agent, &accusation).await?;
    let call = disputes::accuse(&agent, &accusation);
    let sent = send(connection, chain, call, &signer).await?;
    let at = chain.at_number(sent.block).await?;
    let mut opened = at.dispute_about(&accusation.evidence).await?;
    if publish {
        let call = disputes::publish(opened.id, &case.exhibit);
        let sent = send(connection, chain, call, &signer).await?;
        opened = chain
            .at_number(sent.block)
            .await?
            .dispute(opened.id)
            .await?;
    }
    show(connection, chain, &opened);
    Ok(())
}

async fn send(
    connection: &Connection,
    chain: &Chain,
    call: Call,
    signer: &Keypair,
) -> Result<transaction::Success> {
    let mut live = Live::new(chain, None, connection.json, None);
    live.say("waiting until the transaction is final");
    let sent = transaction::send(chain, &call, signer).await;
    live.finish();
    sent
}

async fn list(connection: &Connection, chain: &Chain) -> Result<()> {
    let at = chain.best().await?;
    let mut cases = vec![];
    for id in at.disputes().await? {
        cases.push(at.dispute(id).await?);
    }
    if connection.json {
        let cases = cases.iter().map(|case| report(chain, case));
        let cases: Vec<_> = cases.collect();
        outln!("{}", json!(cases));
        return Ok(());
    }
    if cases.is_empty() {
        outln!("There are no cases.");
        return Ok(());
    }
    let mut table = table::table(&["case", "phase", "until block", "accuser", "ruling"]);
    for case in &cases {
        table.add_row([
            case.id.to_string(),
            disputes::phase(case.phase).into(),
            case.due.to_string(),
            chain.name(&case.accuser),
            ruling(chain, case),
        ]);
    }
    outln!("{table}");
    Ok(())
}

fn report(chain: &Chain, case: &CaseView<AccountId32>) -> disputes::Report {
    disputes::report(case, |who| chain.name(who))
}

fn ruling(chain: &Chain, case: &CaseView<AccountId32>) -> String {
    let [first, second] = accused(case).map(|who| chain.name(&who));
    let ruling = case.ruling.as_ref();
    ruling.map_or_else(
        || "none yet".into(),
        |ruling| disputes::ruling(ruling, &first, &second),
    )
}

fn show(connection: &Connection, chain: &Chain, case: &CaseView<AccountId32>) {
    if connection.json {
        outln!("{}", json!(report(chain, case)));
        return;
    }
    let money = |amount| chain.currency().format(amount);
    let [first, second] = accused(case).map(|who| chain.name(&who));
    let claim = &case.accusation.evidence.first.claim.body;
    let model: String = claim.model.iter().take(6).map(hex).collect();
    let exhibit = match case.published {
        true => "on chain",
        false => "with the accuser's node",
    };
    let mut lines = vec![
        format!(
            "Case {} of {}, opened in block {}: {}, until block {}",
            case.id,
            chain.name(&case.accuser),
            case.opened,
            disputes::phase(case.phase),
            case.due,
        ),
        format!(
            "{first} and {second} signed different outputs of layers {}..{} of model {model}…",
            claim.layers.0, claim.layers.1
        ),
        format!(
            "The accuser's bond is {}; {} of {first} and {} of {second} are locked; the exhibit is \
             {exhibit}",
            money(case.bond),
            money(case.stakes.0),
            money(case.stakes.1),
        ),
        format!("Ruling: {}", ruling(chain, case)),
    ];
    let what = match case.appealed {
        true => "the appeal's committee",
        false => "the committee",
    };
    lines.extend(case.committee.iter().map(|member| {
        format!(
            "{} of {what}: {}",
            chain.name(&member.agent),
            finding(member)
        )
    }));
    outln!("{}", lines.join("\n"));
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}
