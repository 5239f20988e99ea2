// SPDX-License-Identifier: Apache-2.0
//! The common part of HTTP and MCP: callers, models, and the way of a question.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde_json::{json, Value};
use starling_client::{amount::Currency, signer, Error, Keypair};
use starling_primitives::{choice::Form, RoundId};
use tokio::time::{timeout_at, Instant};

use crate::{
    api_key, completion,
    config::{self, Config, Limits, Terms},
    conversation::{flatten, Message},
    desk::{reported, Caller, Desk, Identity, Job, Question, State},
    failure::Failure,
    lane::Lane,
    metrics::Metrics,
    node::{unreachable, Node},
    outcome::Outcome,
    place::Place,
    store::{self, Store},
    survey::Survey,
};

/// The name of the caller of a gateway without keys.
const LOCAL: &str = "local";

/// The name of the account that pays for a lane and no key.
const LANE: &str = "lane";

/// The gateway.
pub struct Gateway {
    /// The desk.
    pub desk: Arc<Desk>,
    /// The time at which the gateway began, in seconds since 1970.
    pub began: u64,
    /// The longest time that a caller waits.
    pub patience: Duration,
    /// The currency of the chain.
    pub currency: Currency,
    pub(crate) survey: Survey,
    /// Nodes for light clients, in place of the gateway's own.
    pub(crate) bootnodes: Vec<String>,
    /// Names of models by the SHA-256 of their files, in hexadecimal.
    pub(crate) model_names: BTreeMap<String, String>,
    models: Vec<Terms>,
    callers: HashMap<String, Arc<Caller>>,
    local: Option<Arc<Caller>>,
}

/// A fault that keeps the gateway from beginning.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The configuration.
    #[error("the configuration: {0}")]
    Config(#[from] config::Fault),
    /// The configuration, or the arguments.
    #[error("{0}")]
    Usage(String),
    /// The node, or a key.
    #[error(transparent)]
    Client(#[from] Error),
    /// The file.
    #[error(transparent)]
    Store(#[from] store::Fault),
    /// The counters.
    #[error("the counters: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A request's question.
pub struct Asking<'a> {
    /// The messages.
    pub messages: &'a [Message],
    /// The id of the response that they go on from.
    pub previous: Option<&'a str>,
    /// The maximum length of an answer, in tokens.
    pub max_tokens: Option<u32>,
    /// The form of the answers.
    pub answers: Form,
    /// The number of answers that the caller wants.
    pub choices: usize,
}

/// A question that was asked.
pub struct Asked {
    /// The work.
    pub job: Arc<Job>,
    /// The time at which the caller's patience ends.
    pub deadline: Instant,
    /// The number of old messages left out since they did not fit.
    pub dropped_turns: usize,
    /// The terms of the model.
    pub terms: Terms,
}

/// The names of the models that the store knows. None where there is no store.
fn model_names(store: Option<PathBuf>) -> BTreeMap<String, String> {
    let store = starling_models::Store::open(store).ok();
    let entries = store.iter().flat_map(|store| store.manifest().entries());
    entries
        .map(|entry| (entry.sha256.to_ascii_lowercase(), entry.name.clone()))
        .collect()
}

impl Gateway {
    /// Opens the gateway. `local` is the account of callers without a key, if there are no keys.
    pub fn open(
        config: &Config,
        local: Option<Keypair>,
        node: Node,
        currency: Currency,
        store: Store,
    ) -> Result<Arc<Self>, Fault> {
        let usage = |words: &str| Err(Fault::Usage(words.to_owned()));
        match (&local, config.keys.is_empty()) {
            (None, true) => {
                return usage(
                    "nobody pays: pass --dev or --key-file, set STARLING_SURI, or put a [[key]] \
                     into the configuration",
                )
            },
            (Some(_), false) => return usage(
                "the keys of the configuration pay: pass no signer beside them, nor STARLING_SURI",
            ),
            _ => {},
        }
        let mut accounts = BTreeMap::new();
        let mut callers = HashMap::new();
        for key in &config.keys {
            let caller = Caller::new(
                key.name.clone(),
                key.limits(&currency)?,
                signer::from_file(&key.signer)?,
            );
            // Nonces and holds of two keys must not mix.
            if let Some(other) = accounts.insert(caller.account(), &key.name) {
                return Err(Fault::Usage(format!(
                    "the keys {other:?} and {:?} have the same account; give each its own",
                    key.name
                )));
            }
            callers.insert(key.sha256.to_ascii_lowercase(), Arc::new(caller));
        }
        let local = local.map(|key| Arc::new(Caller::new(LOCAL, Limits::default(), key)));
        let lane = lane(config.lane.as_ref(), local.as_ref())?;
        let payer = lane.as_ref().map(|lane| lane.payer.account());
        if let Some(key) = payer.and_then(|payer| accounts.get(&payer)) {
            return Err(Fault::Usage(format!(
                "the lane and the key {key:?} have the same account; give each its own"
            )));
        }
        Ok(Arc::new(Self {
            models: config.terms(&currency)?,
            currency,
            survey: Survey::default(),
            bootnodes: config.bootnodes.clone(),
            model_names: model_names(config.store.clone()),
            callers,
            local,
            patience: Duration::from_secs(config.patience),
            began: crate::desk::now(),
            desk: Desk::open(node, store, Metrics::new()?, lane)?,
        }))
    }

    /// Whether callers need a key.
    pub fn has_keys(&self) -> bool {
        self.local.is_none()
    }

    /// The caller with this header `Authorization`.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Arc<Caller>, Failure> {
        if let Some(local) = &self.local {
            return Ok(local.clone());
        }
        let key = authorization.and_then(api_key::bearer);
        key.and_then(|key| self.callers.get(&api_key::hash(&[key.as_bytes()])))
            .cloned()
            .ok_or(Failure::InvalidKey)
    }

    /// The terms of a model.
    pub fn model(&self, id: &str) -> Result<&Terms, Failure> {
        let mut models = self.models.iter();
        models
            .find(|model| model.id == id)
            .ok_or_else(|| Failure::UnknownModel(id.to_owned()))
    }

    /// The object of a model.
    pub fn model_object(&self, terms: &Terms) -> Value {
        json!({
            "id": terms.id, "object": "model", "created": self.began, "owned_by": "starling",
        })
    }

    /// The list of all models.
    pub fn model_list(&self) -> Value {
        let models: Vec<_> = self
            .models
            .iter()
            .map(|model| self.model_object(model))
            .collect();
        json!({ "object": "list", "data": models })
    }

    /// The cost of a question to a model before it is asked.
    pub async fn cost(&self, caller: &Caller, model: &str) -> Result<Value, Failure> {
        let terms = self.model(model)?;
        let quote = self.desk.quote(caller, terms).await?;
        let cost = &quote.cost;
        Ok(json!({
            "object": "cost",
            "model": terms.id,
            "fee": cost.fee.to_string(),
            "burnt": cost.burnt.to_string(),
            "on_hold": cost.on_hold.to_string(),
            "sum": cost.sum().to_string(),
            "spendable": quote.spendable.to_string(),
            "max_tokens": terms.max_tokens.min(quote.bounds.max_tokens),
            "most_tokens": quote.bounds.max_tokens,
        }))
    }

    /// Asks a question, or joins the earlier request that this one repeats. Returns before anything
    /// has left.
    pub async fn ask(
        &self,
        caller: &Arc<Caller>,
        terms: Terms,
        asking: Asking<'_>,
        identity: Identity,
    ) -> Result<Asked, Failure> {
        let mut messages = match asking.previous {
            Some(id) => self.earlier(caller, id).await?,
            None => vec![],
        };
        messages.extend_from_slice(asking.messages);
        let (_, _, bounds) = self.desk.node.best().await?;
        let prompt = flatten(&messages, bounds.max_prompt)?;
        let standard = terms.max_tokens.min(bounds.max_tokens);
        let question = Question {
            prompt: prompt.text,
            max_tokens: asking.max_tokens.unwrap_or(standard),
            answers: asking.answers,
            choices: asking.choices,
            terms: terms.clone(),
            previous: asking.previous.map(str::to_owned),
        };
        Ok(Asked {
            job: self
                .desk
                .ask(caller, question, identity, bounds.max_requests)?,
            deadline: deadline(self.patience),
            dropped_turns: prompt.dropped_turns,
            terms,
        })
    }

    /// The conversation of an earlier response, with its answer. That of a round is public on
    /// chain, so that anybody may go on from it; that of a lane is its caller's.
    async fn earlier(&self, caller: &Caller, id: &str) -> Result<Vec<Message>, Failure> {
        let place = completion::place_of("resp", &self.desk.node.genesis().0, id);
        let place = place.ok_or_else(|| no_previous("this chain has no response with this id"))?;
        let outcome = match self.outcome(caller, place).await {
            Ok(outcome) => outcome,
            Err(Failure::UnknownRound) => return Err(no_previous(REMOVED)),
            // It is of the earlier question. Of this one nothing has left.
            Err(failure) if failure.paid() => return Err(no_previous(NO_ANSWER)),
            Err(failure) => return Err(failure),
        };
        outcome.conversation().ok_or_else(|| no_previous(NO_ANSWER))
    }

    /// A round for programs: the object of `starling rounds show --json`.
    pub async fn round(&self, round: RoundId) -> Result<Outcome, Failure> {
        let chain = self.desk.node.chain().await?;
        let at = chain.best().await.map_err(unreachable)?;
        if let Some(view) = at.round(round).await.map_err(unreachable)? {
            return reported(&chain, &view).await;
        }
        // The chain has removed it, or it is not there.
        let job = self.desk.job_of(round).ok_or(Failure::UnknownRound)?;
        kept(&job, Place::Round(round))
    }

    /// The outcome of a round, or of the caller's request of a lane.
    pub async fn outcome(&self, caller: &Caller, place: Place) -> Result<Outcome, Failure> {
        if let Place::Round(round) = place {
            return self.round(round).await;
        }
        let job = self.job(caller, place).ok_or(Failure::UnknownRound)?;
        kept(&job, place)
    }

    /// The job of a round, or of the caller's request of a lane, if the gateway has it.
    pub fn job(&self, caller: &Caller, place: Place) -> Option<Arc<Job>> {
        match place {
            Place::Round(round) => self.desk.job_of(round),
            Place::Lane { .. } => self.desk.job_in_lane(caller, place),
        }
    }
}

/// The outcome of a question as the gateway has kept it.
fn kept(job: &Job, place: Place) -> Result<Outcome, Failure> {
    let state = job.states().borrow().clone();
    match state {
        State::Over(outcome) => Ok((*outcome).clone()),
        State::Failed(failure) => Err(failure),
        _ => Err(Failure::Pending { place: Some(place) }),
    }
}

/// The lane of a configuration, or of the account of callers without a key.
fn lane(named: Option<&config::Lane>, local: Option<&Arc<Caller>>) -> Result<Option<Lane>, Fault> {
    let file = named.and_then(|named| named.signer.as_ref());
    let payer = match (file, local) {
        (Some(file), _) => {
            let key = signer::from_file(file)?;
            Arc::new(Caller::new(LANE, Limits::default(), key))
        },
        (None, Some(local)) => local.clone(),
        (None, None) if named.is_some() => {
            return Err(Fault::Usage(
                "`signer` of [lane] is missing: the key of the account that opened the lane"
                    .to_owned(),
            ))
        },
        (None, None) => return Ok(None),
    };
    let id = named.and_then(|named| named.id);
    Ok(Some(Lane::new(payer, id, named.is_some())))
}

const REMOVED: &str = "this response is removed, or was never there; send the conversation as \
                       `input`";

const NO_ANSWER: &str = "this response has no answer to go on from";

fn no_previous(message: &str) -> Failure {
    Failure::InvalidValue {
        param: "previous_response_id".to_owned(),
        message: message.to_owned(),
    }
}

/// The end of a time from now on.
pub fn deadline(patience: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(patience).unwrap_or(now)
}

impl Asked {
    /// Waits for a state that `is_enough`, until the deadline.
    pub async fn wait(&self, is_enough: impl FnMut(&State) -> bool) -> State {
        let mut states = self.job.states();
        let waited = timeout_at(self.deadline, states.wait_for(is_enough)).await;
        match waited {
            Ok(Ok(state)) => state.clone(),
            _ => self.job.states().borrow().clone(),
        }
    }

    /// Waits until the request is in a block, or a lane has it.
    pub async fn in_block(&self) -> Result<State, Failure> {
        let state = self
            .wait(|state| !matches!(state, State::Waiting | State::Sent))
            .await;
        self.or_failure(state)
    }

    /// Waits for the outcome.
    pub async fn outcome(&self) -> Result<Arc<Outcome>, Failure> {
        let end = |state: &State| matches!(state, State::Over(_) | State::Failed(_));
        match self.wait(end).await {
            State::Over(outcome) => Ok(outcome),
            State::Failed(failure) => Err(failure),
            _ => Err(self.pending()),
        }
    }

    fn or_failure(&self, state: State) -> Result<State, Failure> {
        match state {
            State::Failed(failure) => Err(failure),
            State::Waiting | State::Sent => Err(self.pending()),
            state => Ok(state),
        }
    }

    /// The failure of a caller whose time is over.
    pub fn pending(&self) -> Failure {
        let state = self.job.states().borrow().clone();
        let round = self.job.record().round.map(Place::Round);
        let place = match state {
            State::Open(open) => Some(open.place),
            _ => round,
        };
        Failure::Pending { place }
    }

    /// The field `starling` of the answer.
    pub fn details(&self, outcome: &Outcome) -> Value {
        let record = self.job.record();
        outcome.details(record.block, Some(&record.cost), self.dropped_turns)
    }
}
