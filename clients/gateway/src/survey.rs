// SPDX-License-Identifier: Apache-2.0
//! The reading of the dashboard: the swarm, its rounds, its agents and the layers that they hold, and the
//! specification of the chain. All of it is public.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{MutexGuard, PoisonError},
};

use futures::future::try_join_all;
use serde_json::{json, Value};
use sp_core::crypto::Ss58Codec;
use starling_client::{
    attestation::View,
    chain::{Registration, Tickets},
    progress::progress,
    report::phase_name,
    text::excerpt,
    AccountId32,
};
use starling_primitives::{
    api::{AgentView, RoundView},
    fixed,
    round::Phase,
    RoundId, H256,
};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    at, completion::chain_name, failure::Failure, gateway::Gateway, node::unreachable, pace::Pace,
};

/// The number of the newest rounds in the list. Open rounds are in it, however old.
const LISTED: RoundId = 32;

/// The most characters of a prompt or an answer in the list.
const EXCERPT: usize = 200;

/// Data of the newest block, read once for all callers.
#[derive(Default)]
pub struct Survey {
    rounds: Kept,
    agents: Kept,
    pub(crate) disputes: Kept,
    /// It never changes.
    specification: OnceCell<Value>,
    pace: std::sync::Mutex<Pace>,
}

/// A value and its block.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<(H256, Value)>>);

impl Kept {
    /// The value of a block. Others that ask meanwhile wait for it, and do not read it again.
    pub(crate) async fn at(
        &self,
        block: H256,
        read: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Value, Failure> {
        let mut kept = self.0.lock().await;
        if let Some((_, value)) = kept.as_ref().filter(|(known, _)| *known == block) {
            return Ok(value.clone());
        }
        let value = read.await?;
        *kept = Some((block, value.clone()));
        Ok(value)
    }
}

impl Gateway {
    /// The chain, its newest blocks and its currency.
    pub async fn swarm(&self) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let best = chain.best().await.map_err(unreachable)?;
        let last = chain.finalized().await.map_err(unreachable)?;
        let open = best.open_rounds().await.map_err(unreachable)?;
        Ok(json!({
            "object": "swarm",
            "chain": chain_name(&self.desk.node.genesis().0),
            "block": best.number(),
            "final_block": last.number(),
            "open_rounds": open.len(),
            "next_round": best.next_round().await.map_err(unreachable)?,
            "currency": { "symbol": self.currency.symbol, "decimals": self.currency.decimals },
        }))
    }

    /// The open rounds and the newest ones, the newest first.
    pub async fn rounds(&self) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let best = chain.best().await.map_err(unreachable)?;
        let read = async {
            let next = best.next_round().await.map_err(unreachable)?;
            let newest = next.saturating_sub(LISTED)..next;
            let open = best.open_rounds().await.map_err(unreachable)?;
            let ids: BTreeSet<RoundId> = newest.chain(open).collect();
            let views = ids.into_iter().rev().map(|id| best.round(id));
            let views = try_join_all(views).await.map_err(unreachable)?;
            // The chain removes some rounds early.
            let views = views.iter().flatten();
            let data: Vec<_> = views
                .map(|view| of_round(view, |who| chain.name(who)))
                .collect();
            Ok(json!({ "object": "list", "block": best.number(), "data": data }))
        };
        let mut rounds = self.survey.rounds.at(best.hash(), read).await?;
        if let Some(fields) = rounds.as_object_mut() {
            fields.insert("pace".to_owned(), self.pace().report());
        }
        Ok(rounds)
    }

    /// The pace of the rounds that the gateway has seen.
    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        let pace = self.survey.pace.lock();
        pace.unwrap_or_else(PoisonError::into_inner)
    }

    /// The specification of the chain, with the nodes that a light client in a browser can reach.
    pub async fn chain_spec(&self) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let read = || async { chain.specification().await.map_err(unreachable) };
        let specification = self.survey.specification.get_or_try_init(read).await?;
        let nodes = match self.bootnodes.is_empty() {
            true => chain.addresses().await.map_err(unreachable)?,
            false => self.bootnodes.clone(),
        };
        Ok(with_nodes(specification.clone(), nodes))
    }

    /// The layers that nodes compute for each other, as the gateway's node sees them.
    pub async fn layers(&self) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let layers = chain.layers().await.map_err(unreachable)?;
        let account = |address: &str| {
            let account = AccountId32::from_ss58check(address).ok()?;
            Some(chain.name(&account))
        };
        Ok(with_names(layers, &self.model_names, account))
    }

    /// All agents by account.
    pub async fn agents(&self) -> Result<Value, Failure> {
        let chain = self.desk.node.chain().await?;
        let best = chain.best().await.map_err(unreachable)?;
        let read = async {
            let registered = best.registrations().await.map_err(unreachable)?;
            let views = registered.iter().map(|(who, _)| best.agent(who));
            let views = try_join_all(views).await.map_err(unreachable)?;
            let tickets = registered.iter().map(|(who, _)| best.tickets(who));
            let tickets = try_join_all(tickets).await.map_err(unreachable)?;
            let attestations = match best.has_attestations() {
                true => {
                    let shown = registered.iter().map(|(who, _)| best.attestation(who));
                    try_join_all(shown).await.map_err(unreachable)?
                },
                false => vec![None; registered.len()],
            };
            let data: Vec<_> = registered
                .iter()
                .zip(views.iter().zip(&tickets))
                .zip(&attestations)
                .map(|(((who, agent), (view, tickets)), attestation)| {
                    let name = chain.name(who);
                    let (view, attestation) = (view.as_ref(), attestation.as_ref());
                    of_agent(who, &name, agent, view, tickets, attestation)
                })
                .collect();
            Ok(json!({ "object": "list", "block": best.number(), "data": data }))
        };
        self.survey.agents.at(best.hash(), read).await
    }
}

/// Whether a browser can connect to a node at this address: it speaks WebSocket alone.
fn is_for_browsers(address: &str) -> bool {
    address.split('/').any(|part| matches!(part, "ws" | "wss"))
}

/// A specification with the nodes among its own and the given ones that a browser can reach.
fn with_nodes(mut specification: Value, given: Vec<String>) -> Value {
    let own = specification.get("bootNodes").and_then(Value::as_array);
    let own = own.into_iter().flatten().filter_map(Value::as_str);
    let all = own.map(str::to_owned).chain(given);
    let nodes: BTreeSet<String> = all.filter(|address| is_for_browsers(address)).collect();
    if let Some(fields) = specification.as_object_mut() {
        fields.insert("bootNodes".to_owned(), json!(nodes));
    }
    specification
}

/// The node's report on layers, with the names of models and agents.
fn with_names(
    mut layers: Value,
    models: &BTreeMap<String, String>,
    account: impl Fn(&str) -> Option<String>,
) -> Value {
    for model in list(&mut layers, "models") {
        let hash = at(model, "/sha256").as_str();
        let name = hash.and_then(|hash| models.get(hash)).cloned();
        set_name(model, name);
        for holder in list(model, "holders") {
            let name = at(holder, "/agent").as_str().and_then(&account);
            set_name(holder, name);
        }
    }
    layers
}

fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn set_name(object: &mut Value, name: Option<String>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("name".to_owned(), json!(name));
    }
}

/// A number with 32 fractional bits.
fn unit(number: u64) -> f64 {
    number as f64 / fixed::ONE as f64
}

fn of_round(view: &RoundView<AccountId32>, name: impl Fn(&AccountId32) -> String) -> Value {
    let round = &view.round;
    let progress = progress(round);
    let account = |who: &AccountId32| json!({ "name": name(who), "address": who.to_ss58check() });
    let failure = match round.phase {
        Phase::Failed(failure) => Some(format!("{failure:?}")),
        _ => None,
    };
    let line = |text: &[u8]| excerpt(&String::from_utf8_lossy(text), EXCERPT);
    let won = view
        .responses
        .iter()
        .find(|response| round.winner.as_ref() == Some(&response.agent));
    let answer = won.and_then(|won| won.text.as_deref()).map(line);
    let ratings: Vec<_> = view
        .responses
        .iter()
        .filter_map(|response| {
            let rating = unit(response.rating?);
            Some(json!({ "agent": response.agent.to_ss58check(), "rating": rating }))
        })
        .collect();
    json!({
        "round": view.id,
        "prompt": line(&view.prompt),
        "requester": account(&round.requester),
        "phase": phase_name(round.phase),
        "failure": failure,
        "words": format!("{}: {}", progress.phase, progress.arrived),
        "thousandths": progress.thousandths,
        "requested_at": round.requested_at,
        "since": round.since,
        "deadline": round.deadline,
        "fee": round.terms.fee.to_string(),
        "winner": round.winner.as_ref().map(account),
        "answer": answer,
        "ratings": ratings,
    })
}

fn of_agent(
    who: &AccountId32,
    name: &str,
    agent: &Registration,
    view: Option<&AgentView>,
    tickets: &Tickets,
    attestation: Option<&View>,
) -> Value {
    let attested = attestation.map(|attestation| {
        json!({ "kind": format!("{:?}", attestation.kind), "until": attestation.until })
    });
    json!({
        "agent": who.to_ss58check(),
        "name": name,
        "model": agent.model_name(),
        "active": agent.activation.is_some(),
        "chilled": agent.chilled,
        "attested": attested,
        "bond": agent.bond.to_string(),
        "reserved": agent.reserved.to_string(),
        "rating": view.map(|view| unit(view.rating)),
        "weight": view.map(|view| unit(view.weight)),
        "open_rounds": agent.open,
        "tickets": { "free": tickets.free.to_string(), "staked": tickets.staked.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use starling_primitives::{
        api::ResponseView,
        round::{Counts, Failure as RoundFailure, Round, Terms},
    };

    use super::*;

    fn account(index: u8) -> AccountId32 {
        AccountId32::new([index; 32])
    }

    fn view(phase: Phase, winner: Option<u8>) -> RoundView<AccountId32> {
        let response = |index: u8, rating: Option<u64>| ResponseView {
            agent: account(index),
            text: Some(format!("answer {index}").into_bytes()),
            spoiled: false,
            position: None,
            rating,
            weight: rating,
            tally: None,
            scores: None,
        };
        RoundView {
            id: 7,
            prompt: b"Why? \xff".to_vec(),
            round: Round {
                requester: account(9),
                terms: Terms {
                    fee: 1 << 60,
                    deposit: 10,
                    ticket: 20,
                    slash: 30,
                    max_tokens: 64,
                    min_responses: 2,
                    max_responses: 8,
                    active: 4,
                    activations: 4,
                },
                requested_at: 3,
                phase,
                since: 5,
                deadline: 100,
                request_randomness: None,
                commit_randomness: None,
                seed: None,
                rankings: 3,
                counts: Counts {
                    heard: 2,
                    commits: 1,
                    ..Default::default()
                },
                rated: 0,
                winner: winner.map(account),
            },
            responses: vec![response(1, Some(fixed::ONE / 2)), response(2, None)],
        }
    }

    #[test]
    fn a_round_has_its_progress_and_the_ratings_of_its_assignment() {
        let listed = of_round(&view(Phase::Committing, None), |_| "Eve".to_owned());
        assert_eq!(listed["phase"], "committing");
        assert_eq!(
            listed["words"],
            "Committing: 1 answer committed, 2 of 4 agents heard"
        );
        assert_eq!(listed["thousandths"], 125);
        assert_eq!(listed["prompt"], "Why? \u{fffd}");
        assert_eq!(listed["requester"]["name"], "Eve");
        // Numbers of JSON are too small for amounts.
        assert_eq!(listed["fee"], (1u64 << 60).to_string());
        let ratings = json!([{ "agent": account(1).to_ss58check(), "rating": 0.5 }]);
        assert_eq!(listed["ratings"], ratings);
        for none in ["winner", "failure", "answer"] {
            assert!(listed[none].is_null(), "{none}");
        }
    }

    #[test]
    fn an_end_names_its_winner_or_its_failure() {
        let done = of_round(&view(Phase::Done, Some(1)), |_| "Bob".to_owned());
        assert_eq!(done["winner"]["address"], account(1).to_ss58check());
        assert_eq!(done["answer"], "answer 1");
        let failed = Phase::Failed(RoundFailure::NoRankings);
        let failed = of_round(&view(failed, None), |_| "Bob".to_owned());
        assert_eq!(
            (&failed["phase"], &failed["failure"]),
            (&json!("failed"), &json!("NoRankings"))
        );
    }

    #[test]
    fn long_prompts_are_cut_in_the_list() {
        let mut long = view(Phase::Committing, None);
        long.prompt = vec![b'a'; 4_096];
        let listed = of_round(&long, |_| "Eve".to_owned());
        let prompt = listed["prompt"].as_str().unwrap();
        assert_eq!(prompt.chars().count(), EXCERPT);
    }

    #[test]
    fn a_light_client_gets_the_nodes_that_a_browser_can_reach() {
        let specification = json!({
            "id": "local",
            "bootNodes": ["/ip4/192.0.2.1/tcp/30333/p2p/A", "/dns/a.example/tcp/443/wss/p2p/B"],
        });
        let given = [
            "/ip4/127.0.0.1/tcp/30333/ws/p2p/C",
            "/ip4/127.0.0.1/tcp/30334/p2p/D",
        ];
        let made = with_nodes(specification, given.map(str::to_owned).to_vec());
        let nodes = json!([
            "/dns/a.example/tcp/443/wss/p2p/B",
            "/ip4/127.0.0.1/tcp/30333/ws/p2p/C",
        ]);
        assert_eq!((&made["id"], &made["bootNodes"]), (&json!("local"), &nodes));
        // A specification without a list gets one, since light clients insist on it.
        let made = with_nodes(json!({}), vec![]);
        assert_eq!(made["bootNodes"], json!([]));
    }

    #[test]
    fn layers_get_the_names_of_models_and_agents() {
        let layers = json!({ "serves": true, "failovers": 1, "models": [
            { "sha256": "aa", "holders": [{ "agent": "5A" }, { "agent": "?" }] },
            { "sha256": "bb", "holders": [] },
        ]});
        let models = BTreeMap::from([("aa".to_owned(), "small".to_owned())]);
        let made = with_names(layers, &models, |agent| {
            Some("Alice".to_owned()).filter(|_| agent == "5A")
        });
        let expected = json!({ "serves": true, "failovers": 1, "models": [
            { "sha256": "aa", "name": "small", "holders": [
                { "agent": "5A", "name": "Alice" }, { "agent": "?", "name": null },
            ]},
            { "sha256": "bb", "name": null, "holders": [] },
        ]});
        assert_eq!(made, expected);
    }

    #[tokio::test]
    async fn a_block_is_read_once_and_a_failure_is_not_kept() {
        let kept = Kept::default();
        let (first, second) = (H256([1; 32]), H256([2; 32]));
        let lost = kept
            .at(first, async { Err(Failure::NodeUnreachable) })
            .await;
        assert_eq!(lost, Err(Failure::NodeUnreachable));
        for (block, read, expected) in [(first, 1, 1), (first, 2, 1), (second, 3, 3)] {
            let value = kept.at(block, async { Ok(json!(read)) }).await;
            assert_eq!(value, Ok(json!(expected)));
        }
    }
}
