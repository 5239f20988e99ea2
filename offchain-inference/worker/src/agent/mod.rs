// SPDX-License-Identifier: Apache-2.0

//! The agent: auxiliary processing, a primary module, auxiliary processing
//! (arXiv 2409.08386, section 3.1); and a ranker.

mod accept;
mod hook;
mod model;
mod patterns;
mod prompt;
pub mod ranking;
mod shelf;
mod steps;
pub mod trace;
mod trim;

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
};

use starling_engine::{
    backend::{Backend, BackendError},
    generate::{Cancel, Finish, GenerateOptions},
    rank::{self, Quantiles, RankerKind},
    sampling::Sampling,
    Error as EngineError,
};
use starling_models::Store;
use starling_primitives::{choice::Form, Balance, RoundId, Score};
use starling_shards::Service;
use starling_sketch::trace::Place;
use starling_zk::file::HeadFile;

pub use self::prompt::Prompt;
use self::{
    hook::Stage,
    model::{Model, Specification},
    shelf::Shelf,
    trace::{ends_for_others, Origin, Work},
};
use crate::{
    config::{Config, ConfigError, GenerationConfig, ModelRanking, Primary, Ranking, Source},
    metrics::Metrics,
    problems::Problems,
};

/// A request for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Number of the round.
    pub round: RoundId,
    /// The prompt.
    pub prompt: Prompt,
    /// Longest response, in tokens.
    pub max_tokens: u32,
    /// The fee that the requester pays.
    pub fee: Balance,
    /// The loss of an agent that commits and does not deliver.
    pub slash: Balance,
    /// The form of the answer.
    pub form: Form,
    /// Whether the node's first agent is asked, of those that share a model.
    pub is_first: bool,
    /// The place of the answer on the chain, if it is to be traced.
    pub place: Option<Place>,
}

/// The reply of an agent to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A response.
    Text(String),
    /// A response that others can compute again.
    Traced(String, Box<Work>),
    /// No response, with the reason.
    Pass(String),
}

/// The text of a module.
struct Said {
    text: String,
    work: Option<Box<Work>>,
}

impl Said {
    /// The reply with this answer, of which the steps of the agent may have made another text.
    fn reply(self, answer: &str) -> Reply {
        match self.work {
            Some(work) if answer == self.text.trim() => Reply::Traced(answer.to_owned(), work),
            _ => Reply::Text(answer.to_owned()),
        }
    }
}

/// The failure of a job of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The job was cancelled.
    Cancelled,
    /// A part is broken, but may work again later.
    Broken(String),
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Cancelled => Self::Cancelled,
            error => Self::Broken(error.to_string()),
        }
    }
}

/// Signals to end a job. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    cancel: Cancel,
    hurry: Arc<AtomicBool>,
}

impl Signals {
    /// Cancels the job: nobody needs its result any more.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Ends the job with the result that it has so far.
    pub fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
        self.cancel.cancel();
    }

    /// True if the job has to end.
    pub fn is_set(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn is_hurry(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    /// True if nobody needs the result.
    fn is_cancelled(&self) -> bool {
        self.is_set() && !self.is_hurry()
    }
}

/// An agent with one configuration.
pub struct Agent {
    config: Config,
    models: BTreeMap<String, Arc<Model>>,
    shelf: Shelf,
    scoring: Scoring,
    metrics: Metrics,
    problems: Arc<Problems>,
}

/// The way in which an agent scores the responses of others.
enum Scoring {
    Similarity,
    Head(Box<HeadFile>),
    Model(Ranker),
}

/// A ranker with its model.
struct Ranker {
    kind: RankerKind,
    model: Arc<Model>,
    name: String,
    reference: Option<Quantiles>,
}

impl Agent {
    /// Creates an agent. Its models are loaded when they are needed; those that `previous` already
    /// has are taken over. `shards` reaches the layers of other nodes.
    pub fn new(
        config: Config,
        previous: Option<&Self>,
        shards: Option<&Arc<Service>>,
        metrics: Metrics,
        problems: Arc<Problems>,
    ) -> Result<Self, ConfigError> {
        let mut models: BTreeMap<String, Arc<Model>> = BTreeMap::new();
        for primary in &config.primary {
            let Some(specification) = Specification::of(&config, primary) else {
                continue;
            };
            let known = previous
                .into_iter()
                .flat_map(|previous| previous.models.values());
            let same = models
                .values()
                .chain(known)
                .find(|model| *model.specification() == specification)
                .cloned();
            let model =
                same.unwrap_or_else(|| Arc::new(Model::new(specification, shards.cloned())));
            models.insert(primary.name(), model);
        }
        let scoring = Scoring::new(&config, &models).map_err(|reason| ConfigError::Meaning {
            path: "the agent's configuration".into(),
            reason,
        })?;
        let shelf = Shelf::new(&config.before, previous.map(|previous| &previous.shelf));
        Ok(Self {
            config,
            models,
            shelf,
            scoring,
            metrics,
            problems,
        })
    }

    /// The configuration of the agent.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Loads all models and connects to all endpoints now. Notes a problem for each that fails.
    pub fn warm_up(&self) {
        for (name, model) in &self.models {
            self.problems.note(&topic(name), model.backend().map(drop));
        }
    }

    /// Brings the knowledge bases up to date for a while. Returns true if there is more to do.
    pub fn refresh(&self) -> bool {
        self.shelf.refresh(&self.problems)
    }

    /// Drops all models after a failure of the engine.
    pub fn unload(&self) {
        self.models.values().for_each(|model| model.unload());
    }

    /// Responds to a request.
    pub fn respond(&self, request: &Request, signals: &Signals) -> Result<Reply, Failure> {
        if let Some(reason) = accept::refusal(&self.config.accept, request) {
            return Ok(Reply::Pass(reason));
        }
        let text = steps::apply(
            &self.config.before,
            &self.shelf,
            Stage::Before,
            request,
            request.prompt.question().to_owned(),
            signals,
            &self.problems,
        );
        let mut failure = None;
        let mut reason = None;
        for primary in &self.config.primary {
            if signals.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            if let Some(refusal) = accept::refusal(&primary.accept, request) {
                reason.get_or_insert(refusal);
                continue;
            }
            match self.ask(primary, request, &text, signals) {
                Ok(Some(said)) => {
                    let answer = steps::apply(
                        &self.config.after,
                        &self.shelf,
                        Stage::After,
                        request,
                        said.text.clone(),
                        signals,
                        &self.problems,
                    );
                    let answer = answer.trim();
                    if !answer.is_empty() {
                        return Ok(said.reply(answer));
                    }
                },
                Ok(None) => {},
                Err(error) => failure = Some(error),
            }
        }
        let reason = reason.unwrap_or_else(|| "no module has an answer".into());
        failure.map_or(Ok(Reply::Pass(reason)), Err)
    }

    fn ask(
        &self,
        primary: &Primary,
        request: &Request,
        text: &str,
        signals: &Signals,
    ) -> Result<Option<Said>, Failure> {
        let name = primary.name();
        if let Source::Patterns(patterns) = &primary.source {
            let answer = patterns::answer(&patterns.patterns, text);
            return Ok(answer.map(|text| Said { text, work: None }));
        }
        let (Some(model), Some(settings)) = (self.models.get(&name), primary.generation()) else {
            return Ok(None);
        };
        let outcome = self.generate(&name, model, settings, request, text, signals);
        self.judge(&name, &outcome);
        outcome.map(|said| Some(said).filter(|said| !said.text.trim().is_empty()))
    }

    /// Has the model of a module answer a request.
    fn generate(
        &self,
        name: &str,
        model: &Model,
        settings: &GenerationConfig,
        request: &Request,
        text: &str,
        signals: &Signals,
    ) -> Result<Said, Failure> {
        let backend = model.backend().map_err(Failure::Broken)?;
        let messages = request.prompt.messages(settings.system.as_deref(), text);
        let messages = backend.chat().fit(messages);
        let asked = usize::try_from(request.max_tokens).unwrap_or(usize::MAX);
        let sampling = settings
            .sampling
            .of_form(request.form, request.is_first)
            .with_seed(|configured| seed(configured, request.round));
        let origin = origin(model, settings, request, text, &sampling);
        let options = GenerateOptions {
            max_tokens: settings.max_tokens.unwrap_or(usize::MAX).min(asked),
            stop: settings.stop.clone(),
            sampling,
            drawing: origin.as_ref().map(Origin::drawing),
        };
        let generated = backend
            .reply(&messages, &options, &signals.cancel, &mut |_| {})
            .inspect_err(|error| unload_poisoned(model, error))?;
        self.metrics.generated(
            name,
            generated.prompt_tokens.unwrap_or(0),
            generated.tokens.len(),
            generated.decode,
        );
        self.metrics
            .guessed(name, generated.guessed, generated.guessed_right);
        if generated.finish == Finish::Cancelled && signals.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let known_end = ends_for_others(&generated.finish, backend.chat().stop_strings());
        let traced = origin.zip(generated.computation).filter(|_| known_end);
        let work = traced.map(|(origin, computation)| {
            Box::new(Work::new(origin, computation, generated.tokens))
        });
        let text = generated.text;
        Ok(Said { text, work })
    }

    /// Scores `responses` to the question of `prompt`, of each at most `max_tokens` tokens; `own`
    /// is the agent's own response.
    pub fn rank(
        &self,
        prompt: &str,
        own: &str,
        responses: &[String],
        max_tokens: u32,
        signals: &Signals,
    ) -> Result<Vec<Score>, Failure> {
        match &self.scoring {
            Scoring::Similarity => Ok(ranking::by_similarity(own, responses)),
            Scoring::Head(head) => Ok(ranking::by_head(head, prompt, responses)),
            Scoring::Model(ranker) => {
                let outcome = ranker.rank(prompt, responses, max_tokens, &signals.cancel);
                self.judge(&ranker.name, &outcome);
                outcome
            },
        }
    }

    /// Notes the success or failure of a module.
    fn judge<T>(&self, module: &str, outcome: &Result<T, Failure>) {
        match outcome {
            Ok(_) => self.problems.solved(&topic(module)),
            Err(Failure::Broken(reason)) => self.problems.found(&topic(module), reason.clone()),
            Err(Failure::Cancelled) => {},
        }
    }
}

/// The beginnings of responses that the requester asked for, in the tokens of the ranker's model. A
/// longer response would hold up its rankers, and must not gain by its length. Where the tokens are
/// not known, the chain's bound of bytes must do.
fn cut(backend: &dyn Backend, responses: &[String], max_tokens: u32) -> Vec<String> {
    if !backend.knows_tokens() {
        return responses.to_vec();
    }
    let most = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    let beginnings = responses.iter().map(|text| backend.cut(text, most));
    beginnings.map(str::to_owned).collect()
}

fn topic(module: &str) -> String {
    format!("model {module:?}")
}

/// Drops a model whose thread pool cannot be used after a panic.
fn unload_poisoned(model: &Model, error: &BackendError) {
    if matches!(error, BackendError::Engine(EngineError::Poisoned)) {
        model.unload();
    }
}

/// The model and the draws of an answer that others can compute again from the prompt alone: by a
/// model of this node, without instructions of the operator, to the question as it was asked.
fn origin(
    model: &Model,
    settings: &GenerationConfig,
    request: &Request,
    text: &str,
    sampling: &Sampling,
) -> Option<Origin> {
    let place = request.place.as_ref()?;
    if settings.system.is_some() || text != request.prompt.question() {
        return None;
    }
    let (model, numerics) = model.specification().traced_as()?;
    Some(Origin::new(model, numerics, place, sampling))
}

/// The seed of a round's response.
fn seed(configured: Option<u64>, round: RoundId) -> u64 {
    match configured {
        Some(seed) => seed ^ round.rotate_left(32),
        None => getrandom::u64().unwrap_or(round),
    }
}

impl Scoring {
    fn new(config: &Config, models: &BTreeMap<String, Arc<Model>>) -> Result<Self, String> {
        if let Ranking::Head(path) = &config.ranking {
            return Ok(Self::Head(Box::new(ranking::read_head(path)?)));
        }
        let ranker = Ranker::new(config, models)?;
        Ok(ranker.map_or(Self::Similarity, Self::Model))
    }
}

impl Ranker {
    fn new(config: &Config, models: &BTreeMap<String, Arc<Model>>) -> Result<Option<Self>, String> {
        let Some((by, ranking)) = config.ranked_by()? else {
            return Ok(None);
        };
        let ModelRanking {
            ranker, reference, ..
        } = ranking;
        let name = by.name();
        let Some(model) = models.get(&name).cloned() else {
            return Ok(None);
        };
        let store_name = model.specification().store_name();
        let kind = match ranker {
            Some(kind) => *kind,
            None => store_name
                .and_then(|name| {
                    let store = Store::open(config.store.clone()).ok()?;
                    Some(store.entry(name).ok()?.ranker)
                })
                .unwrap_or(RankerKind::Likelihood),
        };
        let reference = match reference {
            Some(path) => Some(ranking::read(path, kind)?),
            None => store_name.and_then(|name| ranking::built_in(name, kind)),
        };
        Ok(Some(Self {
            kind,
            model,
            name,
            reference,
        }))
    }

    fn rank(
        &self,
        prompt: &str,
        responses: &[String],
        max_tokens: u32,
        cancel: &Cancel,
    ) -> Result<Vec<Score>, Failure> {
        let backend = self.model.backend().map_err(Failure::Broken)?;
        let prompt = Prompt::from(prompt);
        let messages = prompt.messages(None, prompt.question());
        let messages = backend.chat().fit(messages);
        let responses = cut(backend.as_ref(), responses, max_tokens);
        let task = rank::Task {
            messages: &messages,
            responses: &responses,
        };
        let raw = self
            .kind
            .ranker()
            .rank(backend.as_ref(), task, cancel)
            .inspect_err(|error| unload_poisoned(&self.model, error))?;
        let scores = raw
            .into_iter()
            .map(|raw| ranking::committed(self.reference.as_ref(), raw));
        Ok(scores.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_zk::{
        head::{Head, Unit},
        secret::Secret,
        table::Table,
        HIDDEN, WIDTH,
    };
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        path::Path,
    };

    fn agent(toml: &str) -> Agent {
        let config: Config = toml::from_str(toml).unwrap();
        Agent::new(
            config,
            None,
            None,
            Metrics::new(None).unwrap(),
            Arc::new(Problems::default()),
        )
        .unwrap()
    }

    fn request(prompt: &str) -> Request {
        Request {
            round: 1,
            prompt: prompt.into(),
            max_tokens: 16,
            fee: 10,
            slash: 1,
            form: Form::Free,
            is_first: true,
            place: None,
        }
    }

    const EXPERT: &str = r#"
        [accept]
        min_fee = 5
        [[before]]
        template = "{{ text }}!"
        [[primary]]
        accept = { refuse = ['secret'] }
        [[primary.patterns]]
        pattern = '^hello!$'
        answer = "hi"
        [[after]]
        template = "{{ text }}, friend"
        "#;

    #[test]
    fn patterns_answer_through_the_steps_of_an_agent() {
        let agent = agent(EXPERT);
        let reply = |request: &Request| agent.respond(request, &Signals::default()).unwrap();
        assert_eq!(reply(&request("hello")), Reply::Text("hi, friend".into()));
        assert!(matches!(reply(&request("bye")), Reply::Pass(_)));
        let cheap = Request {
            fee: 4,
            ..request("hello")
        };
        assert!(matches!(reply(&cheap), Reply::Pass(reason) if reason.contains("fee")));
        assert!(
            matches!(reply(&request("secret")), Reply::Pass(reason) if reason.contains("secret"))
        );
    }

    #[test]
    fn a_conversation_is_answered_at_its_last_turn_and_filtered_as_a_whole() {
        let agent = agent(EXPERT);
        let reply = |list: &str| {
            let prompt = format!("{}{list}", starling_primitives::chat::MARKER);
            agent.respond(&request(&prompt), &Signals::default())
        };
        let answer = reply(r#"[["user","bye"],["assistant","So."],["user","hello"]]"#);
        assert_eq!(answer, Ok(Reply::Text("hi, friend".into())));
        let word = r"\u0073\u0065\u0063\u0072\u0065\u0074";
        let hidden = format!(r#"[["user","{word}"],["assistant","So."],["user","hello"]]"#);
        let secret = reply(&hidden);
        assert!(matches!(secret, Ok(Reply::Pass(reason)) if reason.contains("secret")));
        // No conversation: one question, which no pattern matches.
        let broken = reply(r#"[["assistant","So."],["user","hello"]]"#);
        assert!(matches!(broken, Ok(Reply::Pass(_))));
    }

    #[test]
    fn a_module_that_is_broken_leaves_the_answer_to_the_next() {
        let both = agent(&format!(
            "[[primary]]\npath = \"/nowhere.gguf\"\nsha256 = \"{}\"\n[[primary]]\n\
             [[primary.patterns]]\npattern = 'b'\nanswer = \"c\"",
            "0".repeat(64)
        ));
        let answer = both.respond(&request("b"), &Signals::default());
        assert_eq!(answer, Ok(Reply::Text("c".into())));
        // No other module has an answer, so the failure stands: it may work later.
        let answer = both.respond(&request("a"), &Signals::default());
        assert!(matches!(answer, Err(Failure::Broken(reason)) if reason.contains("/nowhere")));
        assert_eq!(both.problems.active().len(), 1);
    }

    #[test]
    fn without_a_model_similar_responses_score_best() {
        let agent = agent(EXPERT);
        let responses = ["hi, friend".to_owned(), "no".to_owned()];
        let scores = agent
            .rank("hello", "hi, friend", &responses, 64, &Signals::default())
            .unwrap();
        assert!(scores[0] > scores[1]);
    }

    /// The file of a private head that scores 2,048 for each unit of the root of the length.
    fn head_by_length() -> Vec<u8> {
        let idle = Unit {
            row: [0; WIDTH],
            bias: 0,
            weight: 0,
        };
        let mut head = Head {
            units: [idle; HIDDEN],
            bias: 0,
        };
        head.units[0].row[255] = 1;
        head.units[0].weight = 1;
        let file = HeadFile {
            secret: Secret::new(head, [7; 32]),
            table: Table::new(std::array::from_fn(|i| i as i64)).unwrap(),
        };
        file.to_bytes()
    }

    #[test]
    fn a_private_head_scores_by_its_own_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.head");
        std::fs::write(&path, head_by_length()).unwrap();
        let agent = agent(&format!("{EXPERT}[ranking]\nhead = {path:?}"));
        let responses = ["123456789".to_owned(), "1234".to_owned(), String::new()];
        let scores = agent.rank("hello", "1234", &responses, 64, &Signals::default());
        assert_eq!(scores, Ok(vec![Score(6_144), Score(4_096), Score(0)]));
    }

    #[test]
    fn a_head_that_is_none_is_refused_with_its_name() {
        let path = Path::new("/nowhere/my.head");
        let refused = ranking::read_head(path).map(drop).unwrap_err();
        assert!(refused.contains("/nowhere/my.head"), "{refused}");
    }

    #[test]
    fn a_new_configuration_keeps_the_models_that_stay() {
        let first = agent("[[primary]]\nmodel = \"a\"\n[[primary]]\nmodel = \"b\"");
        let config = toml::from_str(
            "[[primary]]\nmodel = \"b\"\nname = \"x\"\n[primary.sampling]\ntemperature = 0.0\n\
             [[primary]]\nmodel = \"a\"\ncache = \"1 MiB\"",
        );
        let second = Agent::new(
            config.unwrap(),
            Some(&first),
            None,
            first.metrics.clone(),
            first.problems.clone(),
        )
        .unwrap();
        assert!(Arc::ptr_eq(&first.models["b"], &second.models["x"]));
        assert!(!Arc::ptr_eq(&first.models["a"], &second.models["a"]));
    }

    #[test]
    fn an_endpoint_works_once_somebody_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let agent = agent(&format!(
            "[[primary]]\nurl = \"http://{address}/v1\"\nmodel = \"m\""
        ));
        agent.warm_up();
        let problems = agent.problems.active();
        let reason = &problems["model \"m\""];
        assert!(reason.contains("refused"), "{reason}");

        let listener = TcpListener::bind(address).unwrap();
        let server = std::thread::spawn(move || {
            let (connection, _) = listener.accept().unwrap();
            let mut request = BufReader::new(connection.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            (&connection).write_all(answer.as_bytes()).unwrap();
        });
        agent.warm_up();
        server.join().unwrap();
        assert!(agent.problems.active().is_empty());
    }

    #[test]
    fn seeds_are_fresh_unless_one_is_configured() {
        assert_eq!(seed(Some(7), 3), seed(Some(7), 3));
        assert_ne!(seed(Some(7), 3), seed(Some(7), 4));
        assert_ne!(seed(None, 3), seed(None, 3));
    }
}
