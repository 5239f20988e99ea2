// SPDX-License-Identifier: Apache-2.0
//! `starling audit`.

use std::process::ExitCode;

use serde_json::json;
use sp_core::{
    crypto::{AccountId32, Ss58Codec},
    sr25519, Pair,
};
use starling_client::{account, follow, At, Chain, Error, Result};
use starling_console::outln;
use starling_gateway::usage::messages;
use starling_infer::audit::{self, audit, hex, Case, Outcome, Report};
use starling_primitives::{api::RoundView, RoundId};
use starling_sketch::{
    shown::{read, Ask, Shown},
    trace::{request_hash, Place},
};
use tokio::task::spawn_blocking;

use crate::{arguments::Connection, table};

/// The exit codes of an audit that does not accept.
const REJECTED: u8 = 8;
const UNCLEAR: u8 = 9;

#[derive(clap::Args)]
pub struct Args {
    /// Number of a round that is over
    round: RoundId,
    /// The author of the response [default: the winner]
    #[arg(long, value_name = "ACCOUNT")]
    agent: Option<String>,
    #[command(flatten)]
    means: audit::Args,
}

/// Audits a response, and prints the checks.
pub async fn run(connection: &Connection, args: Args) -> Result<ExitCode> {
    let Args {
        round,
        agent,
        means,
    } = args;
    let named = agent.as_deref().map(account::parse).transpose()?;
    let (agent, case) = connection
        .run(|chain| async move { fetch(&chain, round, named).await })
        .await?;
    let model = hex(&case.kept.trace.model);
    let audited = spawn_blocking(move || audit(&means, &case)).await;
    let report = audited
        .map_err(|error| Error::Protocol(format!("the audit crashed: {error}")))?
        .map_err(|error| Error::Protocol(error.to_string()))?;
    print(connection, round, &agent, &model, &report);
    Ok(match report.verdict() {
        Outcome::Accept => ExitCode::SUCCESS,
        Outcome::Unclear => ExitCode::from(UNCLEAR),
        Outcome::Reject => ExitCode::from(REJECTED),
    })
}

/// The case of a response, from final blocks and its author.
async fn fetch(
    chain: &Chain,
    round: RoundId,
    named: Option<AccountId32>,
) -> Result<(AccountId32, Case)> {
    let at = chain.finalized().await?;
    let view = at.round(round).await?;
    let view = view.ok_or_else(|| follow::no_round(round))?;
    let (agent, text) = response(&view, named)?;
    let moment = chain.hash(view.round.requested_at).await?;
    let prompt = String::from_utf8_lossy(&view.prompt);
    let place = Place {
        genesis: chain.genesis().0,
        round,
        agent: agent.clone().into(),
        request: request_hash(&view.prompt, view.round.terms.max_tokens),
    };
    let shown = shown(chain, &at, &place, &agent).await?;
    let case = Case {
        place,
        moment: moment.0,
        prompt: messages(&prompt),
        text,
        kept: shown.kept,
    };
    Ok((agent, case))
}

/// The author that was asked for, or else the winner, and the text.
fn response(
    view: &RoundView<AccountId32>,
    named: Option<AccountId32>,
) -> Result<(AccountId32, String)> {
    let round = view.id;
    if !view.round.phase.is_final() {
        return Err(Error::Usage(format!(
            "round {round} is not over in a final block: wait for `starling rounds watch {round}`"
        )));
    }
    let agent = named.or_else(|| view.round.winner.clone());
    let agent = agent.ok_or_else(|| {
        Error::NoAnswer(format!(
            "round {round} has no winner: name an author with --agent"
        ))
    })?;
    let response = view.responses.iter().find(|found| found.agent == agent);
    let text = response.and_then(|response| response.text.as_deref());
    let text = text.ok_or_else(|| {
        let agent = agent.to_ss58check();
        Error::NotFound(format!("{agent} revealed no response in round {round}"))
    })?;
    let text = String::from_utf8_lossy(text).into_owned();
    Ok((agent, text))
}

/// The trace that the author shows. Whatever the node says, the author has signed it.
async fn shown(chain: &Chain, at: &At, place: &Place, agent: &AccountId32) -> Result<Shown> {
    let bytes = chain.trace(place.round, agent).await?;
    let shown: Shown = read(&bytes).ok_or_else(|| {
        Error::Protocol("the node's trace cannot be decoded: upgrade this program".into())
    })?;
    let ask = Ask {
        round: place.round,
        agent: place.agent,
    };
    let key = sr25519::Public::from_raw(shown.key);
    let signature = sr25519::Signature::from_raw(shown.signature);
    let statement = shown.kept.statement(&place.genesis, &ask);
    let owner = at.owner_of(&key.into()).await?;
    if owner.as_ref() == Some(agent) && sr25519::Pair::verify(&signature, statement, &key) {
        Ok(shown)
    } else {
        Err(Error::Protocol(
            "the agent has not signed the trace that the node shows: ask another node with --url"
                .into(),
        ))
    }
}

fn print(
    connection: &Connection,
    round: RoundId,
    agent: &AccountId32,
    model: &str,
    report: &Report,
) {
    let (agent, verdict) = (agent.to_ss58check(), report.verdict().name());
    if connection.json {
        let audited = json!({
            "round": round,
            "agent": agent,
            "model": model,
            "checks": report.checks,
            "verdict": verdict,
        });
        outln!("{audited}");
        return;
    }
    outln!("Round {round}, {agent}, model {model}");
    let mut table = table::table(&["check", "verdict", "detail"]);
    for check in &report.checks {
        table.add_row([check.check, check.verdict.name(), check.detail.as_str()]);
    }
    outln!("{table}");
    outln!("Verdict: {verdict}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_infer::Message;
    use starling_primitives::chat::{Chat, Role, Turn};

    #[test]
    fn a_chat_prompt_is_a_conversation_and_other_text_a_question() {
        let turn = |role, text: &str| Turn {
            role,
            text: text.to_owned(),
        };
        let chat = Chat::new(vec![
            turn(Role::System, "Be short."),
            turn(Role::User, "One?"),
            turn(Role::Assistant, "1"),
            turn(Role::User, "Two?"),
        ]);
        assert_eq!(
            messages(&chat.unwrap().to_prompt()),
            [
                Message::system("Be short."),
                Message::user("One?"),
                Message::assistant("1"),
                Message::user("Two?"),
            ]
        );
        assert_eq!(messages("Why?"), [Message::user("Why?")]);
    }
}
