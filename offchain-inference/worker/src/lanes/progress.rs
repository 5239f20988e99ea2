// SPDX-License-Identifier: Apache-2.0

//! The progress of requests, as requesters see it.

use std::collections::HashMap;

use codec::Encode;
use parking_lot::Mutex;
use serde::Serialize;
use sp_core::{crypto::Ss58Codec, H256};
use starling_lane_primitives::Hash;
use tokio::sync::watch;

use super::{
    judge::{answer, Answer},
    play::{Play, Stage},
};
use crate::AccountId;

/// The progress of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The hash of the ask.
    pub id: H256,
    /// The lane.
    pub lane: u64,
    /// The epoch.
    pub epoch: u32,
    /// The number of the request.
    pub seq: u32,
    /// Its stage.
    pub stage: &'static str,
    /// The best answer so far.
    pub answer: Option<Given>,
    /// The open responses.
    pub responses: Vec<Given>,
    /// The hash of the outcome.
    pub outcome: Option<H256>,
    /// The payments.
    pub payouts: Vec<Payout>,
    /// The proof that the answer and the payments are those of the outcome, in hex.
    pub proof: Option<String>,
    /// The votes of a quorum, in hex.
    pub certificate: Option<String>,
    /// The time to the soft answer, in milliseconds.
    pub soft_ms: Option<f64>,
    /// The time to the certificate, in milliseconds.
    pub certified_ms: Option<f64>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Given {
    /// The member.
    pub member: u8,
    /// Its account.
    pub agent: String,
    /// The text.
    pub text: String,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Payout {
    /// The account.
    pub account: String,
    /// The amount, in the smallest unit.
    pub amount: String,
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Self {
        Self {
            member: answer.member,
            agent: answer.agent.to_ss58check(),
            text: answer.text,
        }
    }
}

/// Bytes in hex, as JSON-RPC has them.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("0x".to_owned()).chain(digits).collect()
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Asked => "asked",
        Stage::Preview => "preview",
        Stage::Soft => "soft",
        Stage::Certified => "certified",
        Stage::Expired => "expired",
    }
}

impl Progress {
    /// The progress of a request at this node.
    pub fn of(play: &Play) -> Self {
        let (room, ask) = (play.room(), play.ask());
        let judged = play.judged();
        let open = play.responses();
        let given = |member| open.and_then(|open| answer(room, open, member));
        let members = || open.into_iter().flat_map(|open| open.texts.keys().copied());
        // Before it is judged, the answer of the member with the highest rating.
        let rating = |member: &u8| room.member(*member).map_or(0, |view| view.rating);
        let likely = || members().rev().max_by_key(rating).and_then(given);
        let best = match &judged {
            Some(judged) => judged.answer.clone(),
            None => likely(),
        };
        let payouts = judged.iter().flat_map(|judged| &judged.outcome().payouts);
        // Votes may come before what they are about is open here.
        let stage = match (play.stage(), &judged) {
            (Stage::Certified, None) if open.is_some() => Stage::Preview,
            (Stage::Certified, None) => Stage::Asked,
            (stage, _) => stage,
        };
        let [soft, certified] = play.times();
        let ms = |micros: Option<u64>| micros.map(|micros| micros as f64 / 1_000.0);
        Self {
            id: H256(play.id()),
            lane: ask.lane,
            epoch: ask.epoch,
            seq: ask.seq,
            stage: name(stage),
            answer: best.map(Given::from),
            responses: members().filter_map(given).map(Given::from).collect(),
            outcome: judged.as_ref().map(|judged| H256(judged.outcome().hash())),
            payouts: payouts
                .map(|(account, amount)| Payout {
                    account: AccountId::from(*account).to_ss58check(),
                    amount: amount.to_string(),
                })
                .collect(),
            proof: judged.as_ref().map(|judged| hex(&judged.proof.encode())),
            certificate: play.certificate().map(|signed| hex(&signed.encode())),
            soft_ms: ms(soft),
            certified_ms: ms(certified),
        }
    }

    /// Whether it changes no more.
    pub fn is_final(&self) -> bool {
        [Stage::Certified, Stage::Expired]
            .map(name)
            .contains(&self.stage)
    }
}

/// The progress of all requests that this node knows.
#[derive(Default)]
pub struct Board(Mutex<HashMap<Hash, watch::Sender<Progress>>>);

impl Board {
    /// Shows the progress of a request.
    pub fn show(&self, play: &Play) {
        let progress = Progress::of(play);
        let mut all = self.0.lock();
        match all.get(&play.id()) {
            Some(shown) => drop(shown.send_replace(progress)),
            None => drop(all.insert(play.id(), watch::channel(progress).0)),
        }
    }

    /// Follows the progress of a request.
    pub fn follow(&self, id: &Hash) -> Option<watch::Receiver<Progress>> {
        Some(self.0.lock().get(id)?.subscribe())
    }

    /// Forgets a request.
    pub fn forget(&self, id: &Hash) {
        self.0.lock().remove(id);
    }
}
