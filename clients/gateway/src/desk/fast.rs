// SPDX-License-Identifier: Apache-2.0
//! The way of a question over a lane.
//!
//! The record has the signed request before a node gets it. From then on the question is one
//! request of the lane: certified, or else escalated to a round, which the chain allows only for a
//! request that is not settled and never will be. A question becomes an ordinary round only where
//! the node has refused its request, so that nobody has it.

use starling_client::{
    account, follow,
    lane::{
        ask::{self, Progress, Signed as SignedAsk, Stage},
        calls,
        choice::Wanted,
        Ask, Epoch, LaneId,
    },
    transaction::Signed,
    Chain, Error,
};
use tokio::time::timeout;

use super::{cost, lock, of_pool, request, room, Caller, Desk, Job, Question, State, Watcher};
use crate::{
    failure::Failure,
    lane::{self, Lane, Miss},
    metrics::Way,
    node::{unreachable, PATIENCE},
    place::Place,
    store::{End, LaneRequest, Record},
};

/// The result of asking a lane.
pub(super) enum Asked {
    /// No lane has the question: a round answers it.
    Round,
    /// It is over.
    Over,
    /// A lane has it, or may have it, and there is no end yet.
    Sent,
    /// Nothing has left, and nothing will.
    Failed(Failure),
}

/// Whether a lane can answer a question. It shows one answer, and promises no number of them.
pub(super) fn suits(question: &Question) -> bool {
    question.choices <= 1 && question.terms.min_responses.is_none()
}

/// One more than the last number of a request among `places` in an epoch of a lane.
pub(super) fn least(places: impl Iterator<Item = Place>, of: (LaneId, Epoch)) -> u32 {
    let after = places.filter_map(|place| match place {
        Place::Lane { lane, epoch, seq } if (lane, epoch) == of => Some(seq.saturating_add(1)),
        _ => None,
    });
    after.max().unwrap_or_default()
}

impl Desk {
    /// Asks the lane, if there is one and it takes the question, and follows the request.
    pub(super) async fn ask_lane(&self, caller: &Caller, job: &Job, question: &Question) -> Asked {
        let lane = self.lane.as_ref().filter(|_| suits(question));
        let place = lane.and_then(|lane| Some((lane, lane.places.try_acquire().ok()?)));
        let Some((lane, _place)) = place else {
            self.metrics.went(Way::Round);
            return Asked::Round;
        };
        match self.send_to_lane(lane, caller, job, question).await {
            Ok(Some((chain, asked))) => {
                job.goes_on(lane::open(asked.ask(), Stage::Asked));
                match self.follow_lane(&chain, job, asked).await {
                    Ok(Some((ask, progress))) => {
                        self.certified(&chain, job, &ask, &progress).await;
                        Asked::Over
                    },
                    _ => Asked::Sent,
                }
            },
            Ok(None) => Asked::Round,
            Err(_) if job.record().lane.is_some() => {
                job.set(State::Sent);
                Asked::Sent
            },
            Err(failure) => Asked::Failed(failure),
        }
    }

    /// Gives a question to the lane. `None` if nobody has got it. After an error somebody may have,
    /// if the record has the request.
    async fn send_to_lane(
        &self,
        lane: &Lane,
        caller: &Caller,
        job: &Job,
        question: &Question,
    ) -> Result<Option<(Chain, ask::Asked)>, Failure> {
        let (chain, at, bounds) = self.node.best().await?;
        let request = request(question, &bounds, &caller.limits)?;
        let signer = &lane.payer.signer;
        let wanted = Wanted {
            key: signer.public_key().0,
            fee: request.fee,
            max_tokens: request.max_tokens,
        };
        // The round that the request may become is counted until there is an answer.
        let cost = cost(&at, request.fee, request.max_responses).await?;
        let view = match lane.find(&at, &wanted, cost.sum()).await {
            Ok(view) => view,
            Err(miss) => {
                if let Miss::Lane(why) = miss {
                    self.stands(lane, Err(&why));
                }
                self.metrics.went(Way::Round);
                return Ok(None);
            },
        };
        let record = {
            let mut record = lock(&job.record);
            record.cost = cost;
            record.clone()
        };
        if !self.store.reserve(&record, caller.limits.budget)? {
            return Err(Failure::BudgetUsed);
        }
        let mut keep = |signed: Option<&SignedAsk>| -> Result<(), Error> {
            let mut record = lock(&job.record);
            let (least, most) = (request.min_responses, request.max_responses);
            let lane = signed.map(|signed| LaneRequest::new(signed, &lane.payer.name, least, most));
            if lane.is_none() {
                // The node has refused it, whatever the disk does.
                record.lane = None;
            }
            let kept = Record {
                lane,
                ..record.clone()
            };
            self.store
                .put(&kept)
                .map_err(|fault| Error::Protocol(fault.to_string()))?;
            *record = kept;
            Ok(())
        };
        let asked = ask::Question {
            prompt: request.prompt.clone(),
            fee: request.fee,
            max_tokens: request.max_tokens,
            form: request.answers.form(),
        };
        let sent = {
            let _turn = lane.turn.lock().await;
            let least = |epoch| self.least_in_lane(view.id, epoch);
            let mut say = |_: &str| {};
            ask::send_kept(&chain, &view, &asked, signer, &least, &mut keep, &mut say).await
        };
        match sent {
            Ok(asked) => {
                self.stands(lane, Ok(view.id));
                Ok(Some((chain, asked)))
            },
            Err(error) if job.record().lane.is_some() => Err(unreachable(error)),
            Err(error) => {
                self.store.release(&record)?;
                if let Error::NotTaken(why) = error {
                    self.stands(lane, Err(&why));
                }
                self.metrics.went(Way::FallenBack);
                Ok(None)
            },
        }
    }

    /// The least number that no request of this gateway has in an epoch of a lane.
    fn least_in_lane(&self, id: LaneId, epoch: Epoch) -> u32 {
        let jobs = lock(&self.jobs);
        let places = jobs.values().filter_map(|job| {
            let record = lock(&job.record);
            let request = record.lane.as_ref()?;
            Place::parse(&request.place)
        });
        least(places, (id, epoch))
    }

    /// Notes whether the lane takes questions, and tells the operator of a change.
    fn stands(&self, lane: &Lane, found: Result<LaneId, &str>) {
        self.metrics.lane.set(i64::from(found.is_ok()));
        if let Some(news) = lane.note(found) {
            crate::say(&news);
        }
    }

    /// Follows a request to its certificate. `None` if it has got none in time.
    async fn follow_lane(
        &self,
        chain: &Chain,
        job: &Job,
        mut asked: ask::Asked,
    ) -> Result<Option<(Ask, Progress)>, Error> {
        let ask = asked.ask().clone();
        // Of a request that is over the node has this one message.
        if let Ok(first) = timeout(PATIENCE, asked.next()).await {
            let first = first?;
            match first.stage {
                Stage::Certified => return Ok(Some((ask, first))),
                Stage::Expired => return Ok(None),
                stage => job.goes_on(lane::open(&ask, stage)),
            }
        }
        let mut watch = |progress: &Progress| job.goes_on(lane::open(&ask, progress.stage));
        let end = asked.end(chain, &mut watch).await?;
        Ok(end.map(|progress| (ask, progress)))
    }

    /// Ends a question with a certificate.
    async fn certified(&self, chain: &Chain, job: &Job, ask: &Ask, progress: &Progress) {
        let agent = progress.answer.as_ref().map(|answer| answer.agent.as_str());
        let agent = agent.and_then(|agent| account::parse(agent).ok());
        let winner = match (agent, chain.best().await) {
            (Some(agent), Ok(at)) => at.registration(&agent).await.ok().flatten(),
            _ => None,
        };
        self.metrics.went(Way::Lane);
        let report = lane::report(ask, progress, winner.as_ref());
        self.end(job, End::Certified(report));
    }

    /// Goes on with a request that a lane has, or may have: to its certificate, or to a round.
    pub(super) async fn resume(&self, job: &Job, request: &LaneRequest) -> Result<(), Failure> {
        let Some(signed) = request.signed() else {
            self.end(job, End::Refused("its record is damaged".to_owned()));
            return Ok(());
        };
        let chain = self.node.synced().await?;
        // A certificate may still come until the request can be escalated.
        for is_last in [false, true] {
            let followed = match ask::resume(&chain, &signed).await {
                Ok(asked) => self.follow_lane(&chain, job, asked).await,
                Err(error) => Err(error),
            };
            match followed {
                Ok(Some((ask, progress))) => {
                    self.certified(&chain, job, &ask, &progress).await;
                    return Ok(());
                },
                Ok(None) => {},
                // What the node does not know or cannot prove, the chain decides in time.
                Err(error) => {
                    let error = chain.diagnose(error).await;
                    if matches!(error, Error::Unreachable { .. }) {
                        return Err(unreachable(error));
                    }
                },
            }
            if !is_last {
                ask::until_escalation(&chain, &signed.ask)
                    .await
                    .map_err(unreachable)?;
            }
        }
        job.goes_on(lane::open(&signed.ask, Stage::Expired));
        self.escalate(job, request, &signed).await
    }

    /// Has a round answer a request that has expired, and follows it.
    async fn escalate(
        &self,
        job: &Job,
        request: &LaneRequest,
        signed: &SignedAsk,
    ) -> Result<(), Failure> {
        let Some(lane) = &self.lane else {
            let words = format!(
                "{} has no certificate, and the gateway no longer has the key of the lane",
                Place::of(&signed.ask).words()
            );
            self.end(job, End::Refused(words));
            return Ok(());
        };
        let payer = &lane.payer;
        let (chain, sent) = {
            let _one_at_a_time = payer.sender.lock().await;
            let unseen = self.unseen(payer);
            let (chain, at, bounds) = self.node.best().await?;
            room(&at, &bounds, &payer.account(), unseen).await?;
            let call = calls::escalate(
                &signed.ask,
                signed.signature,
                request.min_responses,
                request.max_responses,
            );
            let mut keep = |signed: &Signed| self.keep(job, signed);
            let sent = follow::send(&chain, &call, &payer.signer, &mut keep).await;
            (chain, sent)
        };
        let asked = match sent {
            Ok(asked) => asked,
            Err(error) => return self.not_escalated(job, error),
        };
        self.metrics.went(Way::FallenBack);
        let mut watcher = Watcher { desk: self, job };
        let view = asked.end(&chain, &mut watcher).await.map_err(unreachable)?;
        self.over(&chain, job, &view).await
    }

    /// Notes that the transaction of a round in place of a lane's answer may not have left.
    fn not_escalated(&self, job: &Job, error: Error) -> Result<(), Failure> {
        let Error::Refused(_) = error else {
            return Err(unreachable(error));
        };
        self.withdraw(job)?;
        match of_pool(error) {
            Failure::InsufficientFunds(words) => {
                self.end(job, End::Refused(words));
                Ok(())
            },
            failure => Err(failure),
        }
    }

    /// Forgets the transaction of a round in place of a lane's answer. No block has it, or ever
    /// will.
    pub(super) fn withdraw(&self, job: &Job) -> Result<(), Failure> {
        let mut record = lock(&job.record);
        record.transaction = None;
        self.store.put(&record).map_err(Failure::from)
    }
}
