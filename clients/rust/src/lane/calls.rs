// SPDX-License-Identifier: Apache-2.0
//! The transactions of a requester, see `pallet-lanes`.

use starling_lane_primitives::{messages::Ask, Terms};
use starling_primitives::{api::lanes::LaneId, Balance};
use subxt::dynamic::Value;

use crate::{
    answers,
    transaction::{call, Call},
};

/// The pallet.
pub(crate) const LANES: &str = "Lanes";

/// Opens a lane with this deposit.
pub fn open(deposit: Balance, terms: &Terms) -> Call {
    let peer = match terms.peer {
        Some(peer) => Value::unnamed_variant("Some", [Value::from_bytes(peer)]),
        None => Value::unnamed_variant("None", []),
    };
    let terms = Value::named_composite([
        ("members", Value::u128(terms.members.into())),
        ("max_fee", Value::u128(terms.max_fee)),
        ("max_tokens", Value::u128(terms.max_tokens.into())),
        ("answer_ms", Value::u128(terms.answer_ms.into())),
        ("rank_ms", Value::u128(terms.rank_ms.into())),
        ("key", Value::from_bytes(terms.key)),
        ("peer", peer),
    ]);
    call(
        LANES,
        "open",
        vec![("deposit", Value::u128(deposit)), ("terms", terms)],
    )
}

/// Pays more into a lane.
pub fn top_up(lane: LaneId, amount: Balance) -> Call {
    let arguments = vec![
        ("lane", Value::u128(lane.into())),
        ("amount", Value::u128(amount)),
    ];
    call(LANES, "top_up", arguments)
}

/// Closes a lane at the end of the present epoch.
pub fn close(lane: LaneId) -> Call {
    call(LANES, "close", vec![("lane", Value::u128(lane.into()))])
}

/// Takes back what a closed lane has left.
pub fn reclaim(lane: LaneId) -> Call {
    call(LANES, "reclaim", vec![("lane", Value::u128(lane.into()))])
}

/// Begins a round for a request that has expired without a certificate. The lane pays its fee, or the
/// account where the escrow must stay for what members may have certified. `signature` is that of the
/// lane's key under the hash of the ask.
pub fn escalate(ask: &Ask, signature: [u8; 64], min_responses: u32, max_responses: u32) -> Call {
    let ask = Value::named_composite([
        ("genesis", Value::from_bytes(ask.genesis)),
        ("lane", Value::u128(ask.lane.into())),
        ("epoch", Value::u128(ask.epoch.into())),
        ("seq", Value::u128(ask.seq.into())),
        ("prompt", Value::from_bytes(&ask.prompt)),
        ("max_tokens", Value::u128(ask.max_tokens.into())),
        ("form", answers::value(ask.form)),
        ("fee", Value::u128(ask.fee)),
        ("expiry", Value::u128(ask.expiry.into())),
    ]);
    call(
        LANES,
        "escalate",
        vec![
            ("ask", ask),
            ("signature", Value::from_bytes(signature)),
            ("min_responses", Value::u128(min_responses.into())),
            ("max_responses", Value::u128(max_responses.into())),
        ],
    )
}
