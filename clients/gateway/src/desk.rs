// SPDX-License-Identifier: Apache-2.0
//! The desk takes questions, pays for each once, and follows its round or the request of a lane to
//! the end.
//!
//! A question's work belongs to no connection: it goes on when the caller leaves, and after a
//! restart. Its record is on disk before its transaction leaves. The transaction is never signed
//! again unless the node's pool has refused it. After a lost connection or a restart the desk looks
//! for it in the blocks that can have it, and sends the same bytes again, which cannot pay twice.

mod fast;

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use starling_client::{
    answers::Answers,
    follow::{self, Watch},
    progress::progress,
    report::{report, Context},
    transaction::{self, Fate, Request, Signed},
    AccountId32, At, Chain, Error, Keypair,
};
use starling_primitives::{
    api::RoundView,
    choice::Form,
    round::{BlockNumber, Phase},
    Balance, RoundId, H256,
};
use tokio::sync::watch;

use crate::{
    api_key,
    config::{Limits, Terms},
    failure::{Failure, RoundFailure},
    lane::Lane,
    metrics::{Ended, Metrics},
    node::{unreachable, Bounds, Node},
    outcome::Outcome,
    place::Place,
    store::{Cost, End, Record, Store, KEPT},
};

/// The time in which a repeat without a key of its own joins the first request, in seconds.
const REPEATABLE: u64 = 10 * 60;

/// The failure of a question while too many others of its caller are open.
const TOO_MANY_OPEN: Failure = Failure::TooManyOpen { retry_after: 5 };

/// The pause before a node that was lost is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Someone who may ask, and the account that pays.
pub struct Caller {
    /// The name of the key.
    pub name: String,
    /// The limits.
    pub limits: Limits,
    signer: Keypair,
    /// Held while a question is checked and its transaction signed and sent, so that each gets a
    /// nonce and a place of its own.
    sender: tokio::sync::Mutex<()>,
}

impl Caller {
    /// A caller whose questions `signer` pays.
    pub fn new(name: impl Into<String>, limits: Limits, signer: Keypair) -> Self {
        Self {
            name: name.into(),
            limits,
            signer,
            sender: tokio::sync::Mutex::new(()),
        }
    }

    /// The account that pays.
    pub fn account(&self) -> AccountId32 {
        AccountId32::new(self.signer.public_key().0)
    }
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The prompt.
    pub prompt: String,
    /// The maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// The form of the answers.
    pub answers: Form,
    /// The number of answers that the caller wants.
    pub choices: usize,
    /// The terms of the model.
    pub terms: Terms,
    /// The id of the response that the conversation goes on from.
    pub previous: Option<String>,
}

/// The cost of a question before it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The payments.
    pub cost: Cost,
    /// The amount that the caller's account can spend.
    pub spendable: Balance,
    /// Limits of the chain.
    pub bounds: Bounds,
}

/// The marks by which a repeated request is known.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
    /// The hash of endpoint and body; `None` for a request that is never a repeat.
    pub body: Option<String>,
    /// Whether the client says that it repeats a request.
    pub repeats: bool,
}

/// The state of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing has left.
    Waiting,
    /// The transaction has left.
    Sent,
    /// The round is open, or the request of a lane.
    Open(Open),
    /// The question is over, and has an answer.
    Over(Arc<Outcome>),
    /// The question failed.
    Failed(Failure),
}

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The round, or the request of a lane.
    pub place: Place,
    /// The block of the request; `None` with a lane.
    pub block: Option<BlockNumber>,
    /// The phase of the round, or the stage of a lane, in lower case.
    pub phase: String,
    /// The progress in words, such as `Committing: 2 of 4 agents heard`.
    pub words: String,
    /// The share that is over, in thousandths.
    pub thousandths: u64,
    /// The messages that have arrived in the phase.
    pub arrived: u32,
    /// The messages that are expected in the phase.
    pub expected: u32,
}

impl State {
    fn is_end(&self) -> bool {
        matches!(self, Self::Over(_) | Self::Failed(_))
    }
}

/// A question and its work.
pub struct Job {
    record: Mutex<Record>,
    state: watch::Sender<State>,
    /// Whether the connection of a caller broke before it had the answer.
    broken: AtomicBool,
}

impl Job {
    fn new(record: Record, state: State) -> Arc<Self> {
        Arc::new(Self {
            record: Mutex::new(record),
            state: watch::Sender::new(state),
            broken: AtomicBool::new(false),
        })
    }

    /// The record as it is now.
    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// The state, and its changes.
    pub fn states(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Notes that a caller left before it had the answer: the same request again is a repeat.
    pub fn caller_left(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Tells of progress, if there is any.
    fn goes_on(&self, open: Open) {
        self.state.send_if_modified(|state| {
            let new = State::Open(open);
            let changed = *state != new;
            *state = new;
            changed
        });
    }
}

/// The desk.
pub struct Desk {
    /// The node.
    pub node: Node,
    /// The counters.
    pub metrics: Metrics,
    store: Store,
    /// The lane of all callers, if there is one.
    lane: Option<Lane>,
    jobs: Mutex<HashMap<String, Arc<Job>>>,
}

/// The value behind a lock. A thread that panicked with it has changed whole values alone.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

impl Desk {
    /// Opens the desk, and goes on with the questions that were open when it closed.
    pub fn open(
        node: Node,
        store: Store,
        metrics: Metrics,
        lane: Option<Lane>,
    ) -> Result<Arc<Self>, crate::store::Fault> {
        let records = store.load(now())?;
        let desk = Arc::new(Self {
            node,
            metrics,
            store,
            lane,
            jobs: Mutex::default(),
        });
        for mut record in records {
            let id = record.id.clone();
            let state = match record.end.take() {
                None => State::Sent,
                Some(end) => ended(end, record.round),
            };
            let goes_on = !state.is_end();
            let job = Job::new(record, state);
            lock(&desk.jobs).insert(id, job.clone());
            if goes_on {
                desk.metrics.open.inc();
                tokio::spawn(desk.clone().recover(job));
            }
        }
        Ok(desk)
    }

    /// Takes a question, or joins an earlier one of which this is a repeat. The chain allows an
    /// account `most` open rounds.
    pub fn ask(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        question: Question,
        identity: Identity,
        most: u32,
    ) -> Result<Arc<Job>, Failure> {
        let now = now();
        let idempotency = identity
            .key
            .map(|key| api_key::hash(&[caller.name.as_bytes(), key.as_bytes()]));
        let id = random_id()?;
        // A body that is never repeated has the id of its request, which no other has.
        let body = identity.body.unwrap_or_else(|| id.clone());
        let mut jobs = lock(&self.jobs);
        let mut old = vec![];
        jobs.retain(|id, job| {
            let is_old = lock(&job.record).asked.saturating_add(KEPT) < now;
            let kept = !is_old || !job.state.borrow().is_end();
            if !kept {
                old.push(id.clone());
            }
            kept
        });
        self.store.forget(&old)?;
        let of_caller = || {
            jobs.values()
                .filter(|job| lock(&job.record).caller == caller.name)
        };
        let earlier = match &idempotency {
            Some(_) => of_caller().find(|job| lock(&job.record).idempotency == idempotency),
            None => of_caller()
                .filter(|job| {
                    let record = lock(&job.record);
                    record.body == body && now.saturating_sub(record.asked) <= REPEATABLE
                })
                .max_by_key(|job| lock(&job.record).asked)
                .filter(|job| job.broken.swap(false, Ordering::Relaxed) || identity.repeats),
        };
        if let Some(job) = earlier {
            if lock(&job.record).body != body {
                return Err(Failure::InvalidValue {
                    param: "Idempotency-Key".to_owned(),
                    message: "another request had this Idempotency-Key; take a new one".to_owned(),
                });
            }
            self.metrics.repeated.inc();
            return Ok(job.clone());
        }
        let open = of_caller().filter(|job| !job.state.borrow().is_end());
        if open.count() >= caller.limits.open_of(most) {
            return Err(TOO_MANY_OPEN);
        }
        let record = Record {
            id: id.clone(),
            caller: caller.name.clone(),
            idempotency,
            body,
            asked: now,
            model: question.terms.id.clone(),
            previous: question.previous.clone(),
            cost: Cost::default(),
            lane: None,
            transaction: None,
            round: None,
            block: None,
            end: None,
        };
        let job = Job::new(record, State::Waiting);
        jobs.insert(id, job.clone());
        drop(jobs);
        self.metrics.open.inc();
        let desk = self.clone();
        let (caller, work) = (caller.clone(), job.clone());
        tokio::spawn(async move { desk.work(&caller, work, question).await });
        Ok(job)
    }

    /// The cost of a question on these terms, and what its caller can spend. Sends nothing.
    pub async fn quote(&self, caller: &Caller, terms: &Terms) -> Result<Quote, Failure> {
        let (_, at, bounds) = self.node.best().await?;
        let fee = fee(terms, &bounds, &caller.limits)?;
        let account = caller.account();
        Ok(Quote {
            cost: cost(&at, fee, terms.max_responses).await?,
            spendable: at.spendable(&account).await.map_err(unreachable)?,
            bounds,
        })
    }

    /// The job with this round, if the desk has it.
    pub fn job_of(&self, round: RoundId) -> Option<Arc<Job>> {
        let jobs = lock(&self.jobs);
        let mut found = jobs.values();
        found
            .find(|job| lock(&job.record).round == Some(round))
            .cloned()
    }

    /// The caller's job with this request of a lane. Others do not see it: it is not on the chain.
    pub fn job_in_lane(&self, caller: &Caller, place: Place) -> Option<Arc<Job>> {
        let place = place.to_string();
        let jobs = lock(&self.jobs);
        let mut found = jobs.values();
        found
            .find(|job| {
                let record = lock(&job.record);
                let lane = record.lane.as_ref();
                record.caller == caller.name && lane.is_some_and(|lane| lane.place == place)
            })
            .cloned()
    }

    async fn work(self: Arc<Self>, caller: &Caller, job: Arc<Job>, question: Question) {
        match self.ask_lane(caller, &job, &question).await {
            fast::Asked::Round => {},
            fast::Asked::Over => return,
            fast::Asked::Sent => return self.recover(job).await,
            fast::Asked::Failed(failure) => return self.unpaid(&job, failure),
        }
        let (chain, asked) = match self.send(caller, &job, question).await {
            Ok(sent) => sent,
            Err(failure) => {
                // A record with a transaction that the pool did not refuse may have left.
                if job.record().transaction.is_none() {
                    return self.unpaid(&job, failure);
                }
                job.set(State::Sent);
                return self.recover(job).await;
            },
        };
        job.set(State::Sent);
        let mut watcher = Watcher {
            desk: &self,
            job: &job,
        };
        let done = match asked.end(&chain, &mut watcher).await {
            Ok(view) => self.over(&chain, &job, &view).await,
            Err(error) => Err(unreachable(error)),
        };
        if done.is_err() {
            self.recover(job).await;
        }
    }

    /// The number of transactions of this payer that have left, and are in no block that was seen.
    fn unseen(&self, payer: &Caller) -> usize {
        let jobs = lock(&self.jobs);
        let unseen = jobs.values().filter(|job| {
            let record = lock(&job.record);
            let has_left = record.transaction.is_some() && record.round.is_none();
            record.payer() == payer.name && has_left && !job.state.borrow().is_end()
        });
        unseen.count()
    }

    /// Checks a question, keeps it, and sends its transaction.
    async fn send(
        &self,
        caller: &Caller,
        job: &Job,
        question: Question,
    ) -> Result<(Chain, follow::Asked), Failure> {
        // Two questions at once would both see the last place that the chain has for the account.
        let _one_at_a_time = caller.sender.lock().await;
        // Counted before the block is read: what gets into a block meanwhile counts twice, and not
        // never.
        let unseen = self.unseen(caller);
        let (chain, at, bounds) = self.node.best().await?;
        let request = request(&question, &bounds, &caller.limits)?;
        let cost = cost(&at, request.fee, request.max_responses).await?;
        let account = caller.account();
        room(&at, &bounds, &account, unseen).await?;
        let spendable = at.spendable(&account).await.map_err(unreachable)?;
        if spendable < cost.sum() {
            let money = |amount| chain.currency().format(amount);
            return Err(Failure::InsufficientFunds(format!(
                "the question costs {}, and the account of this API key can spend {}",
                money(cost.sum()),
                money(spendable),
            )));
        }
        let record = {
            let mut record = lock(&job.record);
            record.cost = cost;
            record.clone()
        };
        if !self.store.reserve(&record, caller.limits.budget)? {
            return Err(Failure::BudgetUsed);
        }
        let mut keep = |signed: &Signed| self.keep(job, signed);
        let call = request.call();
        match follow::send(&chain, &call, &caller.signer, &mut keep).await {
            Ok(asked) => Ok((chain, asked)),
            Err(error) => {
                if let Error::Refused(_) = error {
                    lock(&job.record).transaction = None;
                }
                if lock(&job.record).transaction.is_none() {
                    self.store.release(&record)?;
                }
                Err(of_pool(error))
            },
        }
    }

    /// Keeps a transaction before it is sent.
    fn keep(&self, job: &Job, signed: &Signed) -> Result<(), Error> {
        let mut record = lock(&job.record);
        let kept = Record {
            transaction: Some(signed.into()),
            ..record.clone()
        };
        self.store
            .put(&kept)
            .map_err(|fault| Error::Protocol(fault.to_string()))?;
        *record = kept;
        Ok(())
    }

    /// Ends a question that nothing was paid for. A repeat of it is a new question.
    fn unpaid(&self, job: &Job, failure: Failure) {
        let id = job.record().id;
        lock(&self.jobs).remove(&id);
        self.metrics.open.dec();
        self.metrics.ended(Ended::Unpaid);
        job.set(State::Failed(failure));
    }

    /// Ends a question whose round is over, and final.
    async fn over(
        &self,
        chain: &Chain,
        job: &Job,
        view: &RoundView<AccountId32>,
    ) -> Result<(), Failure> {
        let outcome = reported(chain, view).await?;
        self.end(job, End::Over(outcome.report));
        Ok(())
    }

    fn end(&self, job: &Job, end: End) {
        let counted = job.record().cost;
        let cost = match &end {
            // What a round in its place would have cost comes back.
            End::Certified(_) => Cost::of_lane(counted.fee),
            _ => counted,
        };
        lock(&job.record).cost = cost;
        let record = Record {
            end: Some(end.clone()),
            ..job.record()
        };
        let back = counted.sum().saturating_sub(cost.sum());
        if let Err(fault) = self.store.settle(&record, back) {
            crate::say(&fault.to_string());
        }
        let how = match &end {
            End::Refused(_) => Ended::Refused,
            _ => Ended::Failed,
        };
        let state = ended(end, record.round);
        self.metrics.open.dec();
        self.metrics.ended(match state {
            State::Over(_) => Ended::Answered,
            _ => how,
        });
        job.set(state);
    }

    /// Follows a question whose transaction may have left, until its end is known.
    async fn recover(self: Arc<Self>, job: Arc<Job>) {
        while let Err(failure) = self.look_up(&job).await {
            if failure == Failure::NotIncluded {
                let record = job.record();
                if let Err(fault) = self.store.release(&record) {
                    crate::say(&fault.to_string());
                }
                return self.unpaid(&job, failure);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Looks for the transaction in the final blocks that can have it, and follows its round.
    async fn look_up(&self, job: &Job) -> Result<(), Failure> {
        let record = job.record();
        let Some(signed) = record.transaction.as_ref().and_then(|kept| kept.signed()) else {
            return match &record.lane {
                Some(request) => self.resume(job, request).await,
                None => Err(Failure::NotIncluded),
            };
        };
        let chain = self.node.chain().await?;
        let Some(fate) = find(&chain, &signed).await? else {
            if record.lane.is_none() {
                return Err(Failure::NotIncluded);
            }
            // The request of the lane is still there. It is escalated again.
            self.withdraw(job)?;
            return Err(Failure::NodeUnreachable);
        };
        let round = match fate {
            Fate::Failed(words) => {
                self.end(job, End::Refused(words));
                return Ok(());
            },
            Fate::Succeeded(round) => round,
            // The node has dropped the state of that block, but the round may have been seen.
            Fate::Unread => record.round,
        };
        let Some(round) = round else {
            self.end(job, End::Removed);
            return Ok(());
        };
        let mut watcher = Watcher { desk: self, job };
        watcher.requested(record.block.unwrap_or_default(), round);
        match follow::follow(&chain, round, &mut watcher).await {
            Ok(view) => self.over(&chain, job, &view).await?,
            // Rounds with an answer to read stay for long. Others are removed at once.
            Err(Error::NotFound(_)) => self.end(job, End::Removed),
            Err(error) => return Err(unreachable(error)),
        }
        Ok(())
    }
}

/// The payments of a question with this fee.
async fn cost(at: &At, fee: Balance, max_responses: u32) -> Result<Cost, Failure> {
    let (burnt, on_hold) = at.request_cost(max_responses).await.map_err(unreachable)?;
    Ok(Cost {
        fee,
        burnt,
        on_hold,
    })
}

/// The fee of a question. Fails if the caller's limits do not allow it.
fn fee(terms: &Terms, bounds: &Bounds, limits: &Limits) -> Result<Balance, Failure> {
    let fee = terms.fee.unwrap_or(bounds.min_fee);
    if limits.max_fee.is_some_and(|most| fee > most) {
        return Err(Failure::InvalidValue {
            param: "model".to_owned(),
            message: "the fee of this model is above the limit of this API key".to_owned(),
        });
    }
    Ok(fee)
}

/// The request of a question. Fails if the chain or the caller's limits do not allow it.
fn request(question: &Question, bounds: &Bounds, limits: &Limits) -> Result<Request, Failure> {
    let terms = &question.terms;
    let fee = fee(terms, bounds, limits)?;
    if question.max_tokens > bounds.max_tokens {
        return Err(Failure::InvalidValue {
            param: "max_tokens".to_owned(),
            message: format!("the chain takes at most {} tokens", bounds.max_tokens),
        });
    }
    let bytes = question.prompt.len();
    if bytes > bounds.max_prompt {
        return Err(Failure::TooLong {
            bytes,
            max: bounds.max_prompt,
        });
    }
    if question.answers.is_counted() && !bounds.counts_answers {
        return Err(Failure::Unsupported {
            param: "starling.answers".to_owned(),
            message: "the chain does not count equal answers; ask for free ones".to_owned(),
        });
    }
    let answers = Answers::of(question.answers).map_err(|_| Failure::Internal)?;
    Ok(Request {
        prompt: question.prompt.clone(),
        fee,
        max_tokens: question.max_tokens,
        min_responses: terms.min_responses.unwrap_or(bounds.min_responses),
        max_responses: terms.max_responses,
        answers,
    })
}

/// Fails if the chain has no place for one more round of this account, of which `unseen` are in no
/// block yet.
async fn room(
    at: &At,
    bounds: &Bounds,
    account: &AccountId32,
    unseen: usize,
) -> Result<(), Failure> {
    let open = at.open_rounds().await.map_err(unreachable)?;
    if u32::try_from(open.len()).map_or(true, |open| open >= bounds.max_open) {
        return Err(Failure::SwarmBusy);
    }
    let open = at.open_requests(account).await.map_err(unreachable)?;
    match has_place(open, unseen, bounds.max_requests) {
        true => Ok(()),
        false => Err(TOO_MANY_OPEN),
    }
}

/// Whether the chain, which allows an account `most` open rounds, has a place for one more beside
/// those that are `open` and the requests in no block yet. It would refuse the request in a block,
/// and the transaction's fee would be lost.
fn has_place(open: u32, unseen: usize, most: u32) -> bool {
    let unseen = u32::try_from(unseen).unwrap_or(u32::MAX);
    open.saturating_add(unseen) < most
}

/// The failure of a transaction that the pool refused, so that nothing has left.
fn of_pool(error: Error) -> Failure {
    match error {
        Error::Refused(words) if words.contains("cannot pay") => Failure::InsufficientFunds(words),
        Error::Refused(_) => Failure::SwarmBusy,
        _ => Failure::NodeUnreachable,
    }
}

/// The state after an end.
fn ended(end: End, round: Option<u64>) -> State {
    let over = match end {
        End::Over(report) | End::Certified(report) => Outcome { report },
        End::Refused(words) => return State::Failed(Failure::Refused(words)),
        End::Removed => {
            return State::Failed(match round {
                Some(round) => Failure::Round {
                    place: Place::Round(round),
                    reason: RoundFailure::TooFewAnswers,
                    refund: None,
                },
                None => Failure::Pending { place: None },
            })
        },
    };
    match over.failure() {
        Some(failure) => State::Failed(failure),
        None => State::Over(Arc::new(over)),
    }
}

/// The outcome of a round as of the last final block.
pub async fn reported(chain: &Chain, view: &RoundView<AccountId32>) -> Result<Outcome, Failure> {
    let at = chain.finalized().await.map_err(unreachable)?;
    let context = Context::read(chain, &at, view).await.map_err(unreachable)?;
    let report = serde_json::to_value(report(view, &context));
    Ok(Outcome {
        report: report.map_err(|_| Failure::Internal)?,
    })
}

/// Waits for the fate of a transaction in a final block. `None` if it is in none that can have it.
///
/// If it is in no final block yet, it is sent again, the same bytes: a nonce pays once.
async fn find(chain: &Chain, signed: &Signed) -> Result<Option<Fate>, Failure> {
    let mut finals = chain.finalized_blocks().await.map_err(unreachable)?;
    let mut number = signed.signed_at;
    let mut sent = None;
    loop {
        let best = chain.finalized().await.map_err(unreachable)?.number();
        while number <= best.min(signed.last) {
            match fate_at(chain, number, signed.hash).await {
                Ok(Some(fate)) => return Ok(Some(fate)),
                Ok(None) => {},
                Err(error) => match chain.diagnose(error).await {
                    // The node answers, and has dropped the state of this block.
                    Error::Protocol(_) if best > signed.last => return Ok(Some(Fate::Unread)),
                    error => return Err(unreachable(error)),
                },
            }
            number = number.saturating_add(1);
        }
        if best >= signed.last {
            return Ok(None);
        }
        if sent.is_none() {
            // The pool refuses what is in a block already. Both is as good.
            sent = Some(signed.send(chain).await.ok());
        }
        let next = finals.next().await.ok_or(Failure::NodeUnreachable)?;
        next.map_err(|_| Failure::NodeUnreachable)?;
    }
}

async fn fate_at(chain: &Chain, number: BlockNumber, hash: H256) -> Result<Option<Fate>, Error> {
    let at = chain.at_number(number).await?;
    transaction::fate(chain, &at, hash).await
}

/// Hears of a round for its job.
struct Watcher<'a> {
    desk: &'a Desk,
    job: &'a Job,
}

impl Watch for Watcher<'_> {
    fn requested(&mut self, block: BlockNumber, round: RoundId) {
        let mut record = lock(&self.job.record);
        if (record.round, record.block) == (Some(round), Some(block)) {
            return;
        }
        (record.round, record.block) = (Some(round), Some(block));
        if let Err(fault) = self.desk.store.put(&record) {
            crate::say(&fault.to_string());
        }
        drop(record);
        self.job.set(State::Open(Open {
            place: Place::Round(round),
            block: Some(block),
            phase: "committing".to_owned(),
            words: format!("Round {round}: the question is in block {block}"),
            thousandths: 0,
            arrived: 0,
            expected: 0,
        }));
    }

    fn round(&mut self, _: BlockNumber, view: &RoundView<AccountId32>) {
        let open = open(view, lock(&self.job.record).block.unwrap_or_default());
        self.job.goes_on(open);
    }
}

fn open(view: &RoundView<AccountId32>, block: BlockNumber) -> Open {
    let round = &view.round;
    let counts = &round.counts;
    let (arrived, expected) = match round.phase {
        Phase::Committing => (counts.heard, round.terms.active),
        Phase::Revealing => (
            counts.valid.saturating_add(counts.spoiled_responses),
            counts.commits,
        ),
        Phase::Ranking => (counts.score_commits, counts.valid),
        Phase::Disclosing => (
            counts.disclosures.saturating_add(counts.spoiled_scores),
            counts.score_commits,
        ),
        // Over, and not final yet.
        Phase::Done | Phase::Failed(_) => (0, 0),
    };
    let progress = progress(round);
    Open {
        place: Place::Round(view.id),
        block: Some(block),
        phase: progress.phase.to_lowercase(),
        words: format!("{}: {}", progress.phase, progress.arrived),
        thousandths: progress.thousandths,
        arrived,
        expected,
    }
}

fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Internal)?;
    Ok(api_key::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(max_tokens: u32, fee: Option<u128>) -> Question {
        Question {
            prompt: "Why?".to_owned(),
            max_tokens,
            answers: Form::Free,
            choices: 1,
            terms: Terms {
                id: "starling".to_owned(),
                fee,
                min_responses: None,
                max_responses: 8,
                max_tokens: 64,
                reasoning: false,
            },
            previous: None,
        }
    }

    const BOUNDS: Bounds = Bounds {
        max_prompt: 4,
        max_tokens: 100,
        min_fee: 5,
        min_responses: 2,
        max_open: 64,
        max_requests: 16,
        counts_answers: false,
    };

    #[test]
    fn a_question_takes_the_least_that_the_chain_accepts() {
        let request = request(&question(100, None), &BOUNDS, &Limits::default()).unwrap();
        assert_eq!((request.fee, request.min_responses), (5, 2));
    }

    #[test]
    fn a_question_beyond_a_limit_is_refused_before_it_is_sent() {
        let limits = Limits {
            max_fee: Some(6),
            ..Limits::default()
        };
        let refused = |question: &Question, limits: &Limits| {
            request(question, &BOUNDS, limits).unwrap_err().code()
        };
        assert_eq!(refused(&question(101, None), &limits), "invalid_value");
        assert_eq!(refused(&question(9, Some(7)), &limits), "invalid_value");
        let mut long = question(9, None);
        long.prompt = "Why??".to_owned();
        assert_eq!(refused(&long, &limits), "context_length_exceeded");
    }

    #[test]
    fn who_wants_several_answers_gets_a_round() {
        assert!(fast::suits(&question(9, None)));
        let mut many = question(9, None);
        many.choices = 2;
        assert!(!fast::suits(&many));
        let mut careful = question(9, None);
        careful.terms.min_responses = Some(2);
        assert!(!fast::suits(&careful));
    }

    #[test]
    fn no_request_of_a_lane_gets_a_number_that_another_has() {
        let of = |lane, epoch, seq| Place::Lane { lane, epoch, seq };
        let places = [
            Place::Round(90),
            of(3, 12, 5),
            of(3, 12, 4),
            of(3, 11, 40),
            of(2, 12, 30),
        ];
        let least = |of| fast::least(places.into_iter(), of);
        assert_eq!(least((3, 12)), 6);
        assert_eq!(least((3, 13)), 0);
    }

    #[test]
    fn counted_answers_are_asked_for_on_chains_that_count_them_alone() {
        let counted = Question {
            answers: Form::Number,
            ..question(9, None)
        };
        let limits = Limits::default();
        let refused = request(&counted, &BOUNDS, &limits).unwrap_err();
        assert_eq!(refused.code(), "unsupported_parameter");
        assert!(!refused.paid());
        let bounds = Bounds {
            counts_answers: true,
            ..BOUNDS
        };
        let asked = request(&counted, &bounds, &limits).unwrap().answers;
        assert!(matches!(
            asked,
            Answers::Declared {
                form: Form::Number,
                ..
            }
        ));
        let free = request(&question(9, None), &bounds, &limits).unwrap();
        assert_eq!(free.answers, Answers::Free);
    }

    #[test]
    fn a_question_waits_for_a_place_that_the_chain_has_for_its_account() {
        assert!(has_place(15, 0, 16) && has_place(0, 15, 16));
        for (open, unseen) in [(16, 0), (0, 16), (8, 8), (15, 1), (0, usize::MAX)] {
            assert!(!has_place(open, unseen, 16), "{open} {unseen}");
        }
        assert_eq!(TOO_MANY_OPEN.code(), "rate_limit_exceeded");
        assert!(!TOO_MANY_OPEN.paid());
    }

    #[test]
    fn refusals_of_the_pool_are_not_paid() {
        let poor = Error::Refused("the account cannot pay the fee of the transaction".to_owned());
        let full = Error::Refused("the blocks of the chain are full".to_owned());
        let lost = Error::Protocol("gone".to_owned());
        for (error, code) in [
            (poor, "insufficient_funds"),
            (full, "swarm_busy"),
            (lost, "node_unreachable"),
        ] {
            let failure = of_pool(error);
            assert_eq!((failure.code(), failure.paid()), (code, false));
        }
    }

    #[test]
    fn an_end_is_an_answer_a_failure_or_a_refusal() {
        let over = |failure| End::Over(serde_json::json!({ "round": 7, "failure": failure }));
        assert!(matches!(ended(over(None), Some(7)), State::Over(_)));
        let certified = |failure| {
            let report = serde_json::json!({ "lane": 3, "failure": failure });
            End::Certified(report)
        };
        assert!(matches!(ended(certified(None), None), State::Over(_)));
        for (end, code) in [
            (certified(Some("BelowThreshold")), "below_threshold"),
            (over(Some("NoRankings")), "no_rankings"),
            (End::Removed, "too_few_answers"),
            (End::Refused("no".to_owned()), "refused"),
        ] {
            let State::Failed(failure) = ended(end, Some(7)) else {
                panic!("{code}");
            };
            assert_eq!((failure.code(), failure.paid()), (code, true));
        }
    }
}
