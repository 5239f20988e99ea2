// SPDX-License-Identifier: Apache-2.0
//! Lanes as text, as tables and as JSON.

use serde_json::{json, Value};
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_client::{
    lane::{ask, CommitteeView, LaneId, LaneView, MemberView},
    At, Chain, Result,
};
use starling_console::outln;
use starling_primitives::api::lanes::{EpochView, PendingView};

use crate::{arguments::Connection, table};

/// Shows a lane as of a block.
pub async fn status(connection: &Connection, chain: &Chain, at: &At, lane: LaneId) -> Result<()> {
    let view = at.lane(lane).await?;
    let epoch = at.lane_epoch().await?;
    let committee = at.committee(lane, epoch.epoch).await?;
    let next = epoch.epoch.saturating_add(1);
    let next = at.committee(lane, next).await?;
    let pending = at.pending_settlements(lane).await?;
    // A node without lanes shows the chain's part.
    let node = ask::status(chain, lane).await.ok();
    if connection.json {
        let mut object = object(&view);
        let members = |committee: Option<CommitteeView<AccountId32>>| {
            committee.map(|committee| {
                let members = committee.members.iter().map(|one| member(chain, one));
                members.collect::<Value>()
            })
        };
        let more = json!({
            "epoch": epoch.epoch,
            "epoch_ends": epoch.ends,
            "committee": members(committee).unwrap_or(Value::Null),
            "next_committee": members(next).unwrap_or(Value::Null),
            "settlements": pending.iter().map(settlement).collect::<Vec<_>>(),
            "node": node.map(|node| json!({
                "takes_asks": node.takes_asks,
                "connected": node.connected,
                "next": node.next,
            })),
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        outln!("{object}");
        return Ok(());
    }
    let mut lines = escrow(chain, &view);
    lines.push(terms(chain, &view));
    lines.push(committees(chain, &view, &epoch, committee, next));
    if let Some(node) = node {
        let takes = if node.takes_asks {
            "takes"
        } else {
            "does not take"
        };
        lines.push(format!(
            "This node {takes} its requests; {} of {} members are connected, the next request has \
             number {}",
            node.connected, node.members, node.next
        ));
    }
    lines.extend(pending.iter().map(|one| {
        format!(
            "Settlement {}: {} requests of epoch {} for {}, paid from block {} on",
            one.id,
            one.checkpoint.bitmap.count_ones(),
            one.checkpoint.epoch,
            chain.currency().format(one.checkpoint.fees),
            one.due,
        )
    }));
    outln!("{}", lines.join("\n"));
    Ok(())
}

/// Lists the lanes of an account as of a block.
pub async fn list(
    connection: &Connection,
    chain: &Chain,
    at: &At,
    who: &AccountId32,
) -> Result<()> {
    let lanes = at.lanes_of(who).await?;
    if connection.json {
        let lanes: Vec<_> = lanes.iter().map(object).collect();
        outln!("{}", json!(lanes));
        return Ok(());
    }
    if lanes.is_empty() {
        outln!("{} has no lane.", chain.name(who));
        return Ok(());
    }
    let money = |amount| chain.currency().format(amount);
    let mut table = table::table(&["lane", "state", "free", "pending", "paid", "largest fee"]);
    for lane in &lanes {
        table.add_row([
            lane.id.to_string(),
            state(lane).into(),
            money(lane.free),
            money(lane.pending),
            money(lane.paid),
            money(lane.terms.max_fee),
        ]);
    }
    outln!("{table}");
    Ok(())
}

fn state(lane: &LaneView<AccountId32>) -> &'static str {
    match lane.last_epoch {
        Some(_) => "closing",
        None => "open",
    }
}

/// A lane for programs.
fn object(lane: &LaneView<AccountId32>) -> Value {
    json!({
        "lane": lane.id,
        "requester": lane.requester.to_ss58check(),
        "state": state(lane),
        "deposited": lane.deposited.to_string(),
        "free": lane.free.to_string(),
        "pending": lane.pending.to_string(),
        "paid": lane.paid.to_string(),
        "burnt": lane.burnt.to_string(),
        "returned": lane.returned.to_string(),
        "first_epoch": lane.first_epoch,
        "last_epoch": lane.last_epoch,
        "reclaimable": lane.reclaimable,
        "terms": {
            "members": lane.terms.members,
            "max_fee": lane.terms.max_fee.to_string(),
            "max_tokens": lane.terms.max_tokens,
            "answer_ms": lane.terms.answer_ms,
            "rank_ms": lane.terms.rank_ms,
        },
    })
}

fn member(chain: &Chain, member: &MemberView<AccountId32>) -> Value {
    json!({
        "name": chain.name(&member.agent),
        "address": member.agent.to_ss58check(),
        "bond": member.bond.to_string(),
    })
}

fn settlement(one: &PendingView) -> Value {
    json!({
        "id": one.id,
        "due": one.due,
        "epoch": one.checkpoint.epoch,
        "first": one.checkpoint.first,
        "requests": one.checkpoint.bitmap.count_ones(),
        "fees": one.checkpoint.fees.to_string(),
    })
}

fn escrow(chain: &Chain, lane: &LaneView<AccountId32>) -> Vec<String> {
    let money = |amount| chain.currency().format(amount);
    let mut lines = vec![format!(
        "Lane {} of {} is {}",
        lane.id,
        chain.name(&lane.requester),
        state(lane)
    )];
    let parts = [
        ("free", lane.free),
        ("pending", lane.pending),
        ("paid", lane.paid),
        ("burnt", lane.burnt),
        ("back with the requester", lane.returned),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(what, amount)| *what == "free" || *amount > 0)
        .map(|(what, amount)| format!("{} {what}", money(amount)))
        .collect();
    lines.push(format!(
        "Of {} deposited: {}",
        money(lane.deposited),
        parts.join(", ")
    ));
    if let Some(block) = lane.reclaimable {
        lines.push(format!(
            "`starling lane reclaim {}` gives the rest back, from block {block} on",
            lane.id
        ));
    }
    lines
}

fn terms(chain: &Chain, lane: &LaneView<AccountId32>) -> String {
    format!(
        "A request costs at most {} and has at most {} tokens; members have {} ms to answer and {} \
         ms to rank",
        chain.currency().format(lane.terms.max_fee),
        lane.terms.max_tokens,
        lane.terms.answer_ms,
        lane.terms.rank_ms,
    )
}

fn committees(
    chain: &Chain,
    lane: &LaneView<AccountId32>,
    epoch: &EpochView,
    committee: Option<CommitteeView<AccountId32>>,
    next: Option<CommitteeView<AccountId32>>,
) -> String {
    let names = |committee: Option<CommitteeView<AccountId32>>| {
        let none = || "nobody".to_owned();
        committee.map_or_else(none, |committee| {
            let members = committee.members.iter();
            let names = members.map(|member| chain.name(&member.agent));
            names.collect::<Vec<_>>().join(", ")
        })
    };
    if epoch.epoch < lane.first_epoch {
        return format!(
            "The first committee is in epoch {}; this is epoch {}, to block {}",
            lane.first_epoch, epoch.epoch, epoch.ends
        );
    }
    format!(
        "Epoch {}, to block {}: {}\nEpoch {}: {}",
        epoch.epoch,
        epoch.ends,
        names(committee),
        epoch.epoch.saturating_add(1),
        names(next)
    )
}
