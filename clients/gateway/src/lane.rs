// SPDX-License-Identifier: Apache-2.0
//! The lane that questions of all callers go over, while one takes them.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{json, Value};
use sp_core::crypto::Ss58Codec;
use starling_client::{
    answers,
    chain::Registration,
    lane::{
        ask::{Progress, Stage},
        choice::{fits, fitting, Unfit, Wanted},
        Ask, LaneId, LaneView,
    },
    AccountId32, At, Error,
};
use starling_primitives::Balance;
use tokio::sync::Semaphore;

use crate::{
    desk::{Caller, Open},
    place::Place,
};

/// The number of requests of a lane that a node has open at a time.
const WINDOW: usize = 8;

/// The lane of a gateway.
pub struct Lane {
    /// The account that opened it. It signs the requests, and pays for the rounds that some become.
    pub payer: Arc<Caller>,
    /// Held while a request gets its number and is sent.
    pub turn: tokio::sync::Mutex<()>,
    /// The requests that may be open at a time.
    pub places: Semaphore,
    id: Option<LaneId>,
    is_named: bool,
    standing: Mutex<Standing>,
}

/// The way of questions, as the operator was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unknown,
    Lane(LaneId),
    Rounds,
}

/// The reason why a question goes to a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It concerns this question alone.
    Question,
    /// The lane takes no question, for this reason.
    Lane(String),
}

impl Lane {
    /// The lane `id` of an account, or by default the one of its open lanes with the most free
    /// deposit. The operator is told of a lane that was never open if the configuration names one.
    pub fn new(payer: Arc<Caller>, id: Option<LaneId>, is_named: bool) -> Self {
        Self {
            payer,
            turn: tokio::sync::Mutex::default(),
            places: Semaphore::new(WINDOW),
            id,
            is_named,
            standing: Mutex::new(Standing::Unknown),
        }
    }

    /// The lane that takes a question. Its account must have `reserve`, for a round in place of the
    /// lane's answer.
    pub async fn find(
        &self,
        at: &At,
        wanted: &Wanted,
        reserve: Balance,
    ) -> Result<LaneView<AccountId32>, Miss> {
        if !at.has_lanes() {
            return Err(Miss::Lane("the chain has no fast lane".to_owned()));
        }
        let account = self.payer.account();
        let lanes = match self.id {
            None => at.lanes_of(&account).await,
            Some(id) => match at.lane(id).await {
                Ok(lane) => Ok(vec![lane]),
                Err(Error::NotFound(_)) => Ok(vec![]),
                Err(error) => Err(error),
            },
        };
        // A node that does not answer fails the round, too, and says why.
        let lane = choose(lanes.map_err(|_| Miss::Question)?, wanted)?;
        if lane.requester != account {
            return Err(Miss::Lane("another account has opened it".to_owned()));
        }
        let spendable = at.spendable(&account).await;
        if spendable.map_err(|_| Miss::Question)? < reserve {
            return Err(Miss::Lane(
                "its account cannot pay for a round in place of its answer".to_owned(),
            ));
        }
        Ok(lane)
    }

    /// Notes the way of a question, and returns a line for the operator if it is another one.
    pub fn note(&self, found: Result<LaneId, &str>) -> Option<String> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, news) = news(*standing, found, self.is_named);
        *standing = now;
        news
    }
}

fn news(
    before: Standing,
    found: Result<LaneId, &str>,
    is_named: bool,
) -> (Standing, Option<String>) {
    let to_rounds = |subject: &str, why: &str| {
        Some(format!(
            "{subject}: {why}; questions go to rounds until it takes them"
        ))
    };
    match (found, before) {
        (Ok(lane), Standing::Lane(known)) if lane == known => (before, None),
        (Ok(lane), _) => (
            Standing::Lane(lane),
            Some(format!("questions go over lane {lane}")),
        ),
        (Err(_), Standing::Rounds) => (before, None),
        (Err(why), Standing::Lane(lane)) => {
            (Standing::Rounds, to_rounds(&format!("lane {lane}"), why))
        },
        (Err(why), Standing::Unknown) => {
            let news = to_rounds("the lane", why).filter(|_| is_named);
            (Standing::Rounds, news)
        },
    }
}

/// The first of the lanes that can take a question.
fn choose<A>(lanes: Vec<LaneView<A>>, wanted: &Wanted) -> Result<LaneView<A>, Miss> {
    let unfit: Vec<Unfit> = lanes
        .iter()
        .filter_map(|lane| fits(lane, wanted).err())
        .collect();
    let first = fitting(lanes, wanted).into_iter().next();
    first.ok_or_else(|| {
        let of_question = |why: &Unfit| matches!(why, Unfit::Fee | Unfit::Length);
        match unfit.first() {
            _ if unfit.iter().any(of_question) => Miss::Question,
            Some(why) => Miss::Lane(why.to_string()),
            None => Miss::Lane("there is no such open lane".to_owned()),
        }
    })
}

/// The progress of a request. Its text is no answer before it is certified, so it is not told.
pub fn open(ask: &Ask, stage: Stage) -> Open {
    let (thousandths, words) = match stage {
        Stage::Asked => (100, "the members answer"),
        Stage::Preview => (400, "the members rank the answers"),
        Stage::Soft => (800, "an answer is chosen, and not certified yet"),
        Stage::Certified => (1_000, "an answer is certified"),
        Stage::Expired => (1_000, "no answer is certified: a round begins"),
    };
    Open {
        place: Place::of(ask),
        block: None,
        phase: stage.name().to_owned(),
        words: format!("Lane {}: {words}", ask.lane),
        thousandths,
        arrived: 0,
        expected: 0,
    }
}

/// A certified request for programs: the fields of a round's object, as far as a lane has them.
/// `winner` is the registration of the winner, if it is known.
pub fn report(ask: &Ask, progress: &Progress, winner: Option<&Registration>) -> Value {
    let answer = progress.answer.as_ref();
    let paid = |agent: &str| {
        let mut payouts = progress.payouts.iter();
        payouts
            .find(|payout| payout.account == agent)
            .map(|payout| payout.amount.as_str())
    };
    let candidates: Vec<Value> = answer
        .iter()
        .map(|answer| {
            json!({
                "agent": { "address": answer.agent },
                "model": winner.map(Registration::model_name),
                "model_hash": winner.map(|winner| format!("{:?}", winner.model_hash)),
                "won": true,
                "state": "valid",
                "text": answer.text,
                "key": null,
                "score": null,
                "paid": paid(&answer.agent),
            })
        })
        .collect();
    let payouts: Vec<Value> = progress
        .payouts
        .iter()
        .map(|payout| json!({ "account": payout.account, "amount": payout.amount }))
        .collect();
    let signers: Vec<String> = progress
        .signers
        .iter()
        .map(Ss58Codec::to_ss58check)
        .collect();
    let (phase, failure, end) = match answer {
        Some(_) => ("done", None, "this answer won"),
        None => ("failed", Some("BelowThreshold"), "no answer could win"),
    };
    json!({
        "lane": ask.lane,
        "epoch": ask.epoch,
        "seq": ask.seq,
        "phase": phase,
        "failure": failure,
        "prompt": String::from_utf8_lossy(&ask.prompt),
        "answer": answer.map(|answer| answer.text.as_str()),
        "why": format!("{} members of the lane have signed that {end}.", signers.len()),
        "answers": answers::name(ask.form),
        "outcome": progress.votes,
        "terms": { "fee": ask.fee.to_string(), "deposit": "0", "max_tokens": ask.max_tokens },
        "candidates": candidates,
        "payouts": payouts,
        "signers": signers,
    })
}

#[cfg(test)]
mod tests {
    use starling_client::lane::{
        ask::{Answer, Payout},
        Form, Terms,
    };

    use super::*;
    use crate::outcome::Outcome;

    fn ask() -> Ask {
        Ask {
            genesis: [1; 32],
            lane: 3,
            epoch: 12,
            seq: 5,
            prompt: b"Why?".to_vec(),
            max_tokens: 8,
            form: Form::Free,
            fee: 7,
            expiry: 40,
        }
    }

    const WANTED: Wanted = Wanted {
        key: [7; 32],
        fee: 5,
        max_tokens: 64,
    };

    fn lane(id: LaneId, free: Balance, max_fee: Balance) -> LaneView<u8> {
        LaneView {
            id,
            requester: 1,
            terms: Terms {
                members: 4,
                max_fee,
                max_tokens: 64,
                answer_ms: 1,
                rank_ms: 1,
                key: [7; 32],
                peer: None,
            },
            first_epoch: 3,
            last_epoch: None,
            reclaimable: None,
            deposited: free,
            free,
            pending: 0,
            paid: 0,
            burnt: 0,
            returned: 0,
            max_pending: free,
        }
    }

    #[test]
    fn a_lane_is_missed_for_its_own_reasons_or_for_those_of_the_question() {
        let chosen = choose(vec![lane(0, 9, 5), lane(1, 10, 5)], &WANTED).unwrap();
        assert_eq!(chosen.id, 1);
        let mut closing = lane(0, 10, 5);
        closing.last_epoch = Some(4);
        for (lanes, is_of_lane) in [
            (vec![], true),
            (vec![lane(0, 9, 5)], true),
            (vec![closing], true),
            (vec![lane(0, 10, 4)], false),
            (vec![lane(0, 9, 5), lane(1, 10, 4)], false),
        ] {
            let miss = choose(lanes, &WANTED).unwrap_err();
            assert_eq!(matches!(miss, Miss::Lane(_)), is_of_lane, "{miss:?}");
        }
    }

    #[test]
    fn the_operator_hears_each_change_once() {
        let empty = Err("it is empty");
        let all = [
            (empty, false),
            (empty, false),
            (Ok(3), true),
            (Ok(3), false),
            (empty, true),
            (Err("it is closing"), false),
            (Ok(4), true),
        ];
        let mut standing = Standing::Unknown;
        for (found, is_told) in all {
            let (now, told) = news(standing, found, false);
            assert_eq!(told.is_some(), is_told, "{standing:?} {found:?}");
            standing = now;
        }
        let (_, told) = news(Standing::Unknown, empty, true);
        assert!(told.unwrap().contains("it is empty"));
    }

    #[test]
    fn a_certified_request_is_an_outcome_like_that_of_a_round() {
        let payout = |account: &str, amount: &str| Payout {
            account: account.to_owned(),
            amount: amount.to_owned(),
        };
        let mut progress = Progress {
            stage: Stage::Certified,
            answer: Some(Answer {
                agent: "5F".to_owned(),
                text: "So. It is.".to_owned(),
            }),
            outcome: None,
            votes: None,
            payouts: vec![payout("5G", "3"), payout("5F", "4")],
            signers: vec![AccountId32::new([1; 32])],
            soft_ms: None,
            certified_ms: None,
        };
        let outcome = Outcome {
            report: report(&ask(), &progress, None),
        };
        assert_eq!(outcome.place(), Place::of(&ask()));
        assert_eq!(outcome.texts(2, &[".".to_owned()]), ["So"]);
        assert_eq!(outcome.failure(), None);
        assert_eq!(outcome.conversation().unwrap().len(), 2);
        let details = outcome.details(None, None, 0);
        assert!(details["round"].is_null());
        assert_eq!(details["lane"]["seq"], 5);
        assert_eq!(details["winner"], "5F");
        assert_eq!(details["candidates"][0]["paid"], "4");
        assert_eq!(details["signers"].as_array().unwrap().len(), 1);

        progress.answer = None;
        let failed = Outcome {
            report: report(&ask(), &progress, None),
        };
        assert_eq!(failed.failure().unwrap().code(), "below_threshold");
        assert_eq!(failed.conversation(), None);
    }
}
