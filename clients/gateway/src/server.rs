// SPDX-License-Identifier: Apache-2.0
//! The HTTP server.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{to_bytes, Body},
    extract::{Path, Request as HttpRequest, State},
    http::{header, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri},
    middleware::{from_fn_with_state, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
    Json, Router,
};
use futures::stream;
use serde_json::{json, Value};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::{
    api_key,
    completion::{self, Answer},
    config::Config,
    dashboard,
    desk::{self, Caller, Identity, Job},
    failure::Failure,
    gateway::{Asked, Asking, Gateway},
    guard::{is_json, Guard},
    light::LightClient,
    mcp,
    outcome::Outcome,
    place::Place,
    request::{self, Request, MAX_BODY},
    responses::{self, Status},
    stream::{details, Story},
    usage::{Tokenizers, Usage},
};

/// The time in which a stream waits for a block before its status line, so that refusals have a
/// status of their own.
const HEAD: Duration = Duration::from_secs(10);

/// Number of events that wait for a slow reader.
const BUFFER: usize = 64;

/// The server's state.
pub struct Server {
    gateway: Arc<Gateway>,
    guard: Guard,
    tokenizers: Arc<Tokenizers>,
    light: LightClient,
}

type Shared = State<Arc<Server>>;
type Result<T = Response> = std::result::Result<T, Failure>;

/// Answers requests at `listener` until an error of the system. Pages verify answers with `light`.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    config: &Config,
    light: LightClient,
) -> std::io::Result<()> {
    let watched = gateway.clone();
    tokio::spawn(async move { watched.watch_pace().await });
    let guard = Guard::new(listener.local_addr()?, &config.hosts, &config.origins);
    let server = Arc::new(Server {
        gateway,
        guard,
        tokenizers: Tokenizers::load(config.store.clone()),
        light,
    });
    axum::serve(listener, router(server, &config.origins)).await
}

/// Whether the gateway may listen at this address: elsewhere than on this machine with keys alone.
pub fn may_listen(address: SocketAddr, has_keys: bool) -> bool {
    has_keys || address.ip().is_loopback()
}

fn router(server: Arc<Server>, origins: &[String]) -> Router {
    let origins = origins.iter().filter_map(|origin| origin.parse().ok());
    let cors = CorsLayer::new()
        .allow_origin(origins.collect::<Vec<HeaderValue>>())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            ["starling-round", "starling-lane", "starling-ignored"].map(HeaderName::from_static),
        );
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .route("/v1/models/{id}/cost", get(cost))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/responses", post(respond))
        .route("/v1/responses/{id}", get(response))
        .route("/v1/swarm", get(swarm))
        .route("/v1/agents", get(agents))
        .route("/v1/rounds", get(rounds))
        .route("/v1/rounds/{id}", get(round))
        .route("/v1/layers", get(layers))
        .route("/v1/disputes", get(disputes))
        .route("/v1/disputes/{id}", get(dispute))
        .route("/chain-spec.json", get(chain_spec))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/mcp", post(mcp))
        .fallback(page)
        .layer(cors)
        .layer(from_fn_with_state(server.clone(), admit))
        .with_state(server)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        for (name, value) in self.headers() {
            set(&mut response, name, &value);
        }
        response
    }
}

fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Names the round, or the request of a lane, in a header.
fn name(response: &mut Response, place: Place) {
    let (name, value) = place.header();
    set(response, name, &value);
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn admit(State(server): Shared, request: HttpRequest, next: Next) -> Response {
    let headers = request.headers();
    let host = text(headers, header::HOST);
    // A header that is no text is a stranger's.
    let origin = headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default());
    match server.guard.admit(host, origin) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

impl Server {
    fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>> {
        self.gateway.caller(text(headers, header::AUTHORIZATION))
    }

    /// Answers, and counts the answer.
    async fn counted(&self, endpoint: &str, work: impl Future<Output = Result>) -> Response {
        let response = work.await.unwrap_or_else(IntoResponse::into_response);
        let metrics = &self.gateway.desk.metrics;
        metrics.request(endpoint, response.status().as_u16());
        response
    }

    fn genesis(&self) -> &[u8] {
        &self.gateway.desk.node.genesis().0
    }

    /// Reads a body of JSON.
    async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>> {
        is_json(text(headers, header::CONTENT_TYPE))?;
        let bytes = to_bytes(body, MAX_BODY).await;
        bytes
            .map(|bytes| bytes.to_vec())
            .map_err(|_| Failure::InvalidValue {
                param: "body".to_owned(),
                message: format!("the body was cut, or has more than {MAX_BODY} bytes"),
            })
    }

    /// A response with the winner's answer.
    fn completed(&self, outcome: &Outcome) -> (Status, Option<Usage>) {
        let texts = outcome.texts(1, &[]);
        let usage = self.tokenizers.count(outcome, &texts);
        (Status::Completed(texts.concat()), usage)
    }

    async fn ask(
        &self,
        caller: &Arc<Caller>,
        request: &Request,
        identity: Identity,
    ) -> Result<Asked> {
        let terms = self.gateway.model(&request.model)?.clone();
        let asking = Asking {
            messages: &request.messages,
            previous: request.previous.as_deref(),
            max_tokens: request.max_tokens,
            answers: request.answers,
            choices: request.n,
        };
        self.gateway.ask(caller, terms, asking, identity).await
    }
}

/// The marks by which a repeat of this request is known.
fn identity(headers: &HeaderMap, endpoint: &str, body: &[u8]) -> Identity {
    let repeats = text(headers, "x-stainless-retry-count")
        .and_then(|count| count.parse::<u32>().ok())
        .is_some_and(|count| count > 0);
    Identity {
        key: text(headers, "idempotency-key").map(str::to_owned),
        body: Some(api_key::hash(&[endpoint.as_bytes(), body])),
        repeats,
    }
}

/// A caller that waits. If it leaves before it has an answer, the next request is a repeat.
struct Waiting<'a> {
    job: &'a Job,
    answered: bool,
}

impl Waiting<'_> {
    async fn until<T>(asked: &Asked, work: impl Future<Output = T>) -> T {
        let mut waiting = Waiting {
            job: &asked.job,
            answered: false,
        };
        let answer = work.await;
        waiting.answered = true;
        answer
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.job.caller_left();
        }
    }
}

async fn models(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.model_list()).into_response())
    };
    server.counted("models", work).await
}

async fn model(State(server): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        server.caller(&headers)?;
        let model = server.gateway.model(&id)?;
        Ok(Json(server.gateway.model_object(model)).into_response())
    };
    server.counted("models", work).await
}

async fn cost(State(server): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        let caller = server.caller(&headers)?;
        let cost = server.gateway.cost(&caller, &id).await?;
        Ok(Json(cost).into_response())
    };
    server.counted("models", work).await
}

async fn chat(State(server): Shared, headers: HeaderMap, body: Body) -> Response {
    let work = completed(&server, &headers, body);
    server.counted("chat_completions", work).await
}

async fn completed(server: &Server, headers: &HeaderMap, body: Body) -> Result {
    let caller = server.caller(headers)?;
    let body = server.body(headers, body).await?;
    let request = request::completion(&body)?;
    let identity = identity(headers, "chat", &body);
    let asked = server.ask(&caller, &request, identity).await?;
    let ignored = request.ignored.join(", ");
    let mut response = if request.stream {
        streamed(server, asked, request).await?
    } else {
        let outcome = Waiting::until(&asked, asked.outcome()).await?;
        let texts = outcome.texts(request.n, &request.stop);
        let answer = Answer {
            id: completion::id("chatcmpl", server.genesis(), outcome.place()),
            created: asked.job.record().asked,
            model: request.model,
            usage: server.tokenizers.count(&outcome, &texts),
            texts,
        };
        let object = completion::completion(&answer, asked.details(&outcome));
        let mut response = Json(object).into_response();
        name(&mut response, outcome.place());
        response
    };
    if !ignored.is_empty() {
        set(&mut response, "starling-ignored", &ignored);
    }
    Ok(response)
}

async fn streamed(server: &Server, asked: Asked, request: Request) -> Result {
    let head = Waiting::until(&asked, timeout(HEAD, asked.in_block())).await;
    // What is slow fails in the stream, if it fails.
    if let Ok(Err(failure)) = head {
        return Err(failure);
    }
    let state = asked.job.states().borrow().clone();
    let place = match state {
        desk::State::Open(open) => Some(open.place),
        desk::State::Over(outcome) => Some(outcome.place()),
        _ => None,
    };
    let (to, from) = mpsc::channel(BUFFER);
    let story = Story {
        asked,
        genesis: server.genesis().to_vec(),
        n: request.n,
        stop: request.stop,
        include_usage: request.include_usage,
        tokenizers: server.tokenizers.clone(),
    };
    tokio::spawn(story.tell(to));
    let mut response = event_stream(from);
    if let Some(place) = place {
        name(&mut response, place);
    }
    Ok(response)
}

/// A response of server-sent events.
fn event_stream(from: mpsc::Receiver<String>) -> Response {
    let events = stream::unfold(from, |mut from| async {
        let event = from.recv().await?;
        Some((Ok::<_, Infallible>(event), from))
    });
    let mut response = Body::from_stream(events).into_response();
    set(&mut response, "content-type", "text/event-stream");
    set(&mut response, "cache-control", "no-cache");
    // Proxies such as nginx would keep events back.
    set(&mut response, "x-accel-buffering", "no");
    set(&mut response, "x-should-retry", "false");
    response
}

async fn respond(State(server): Shared, headers: HeaderMap, body: Body) -> Response {
    let work = responded(&server, &headers, body);
    server.counted("responses", work).await
}

async fn responded(server: &Server, headers: &HeaderMap, body: Body) -> Result {
    let caller = server.caller(headers)?;
    let body = server.body(headers, body).await?;
    let request = request::response(&body)?;
    let identity = identity(headers, "responses", &body);
    let asked = server.ask(&caller, &request, identity).await?;
    let completed = |outcome: &Outcome| {
        let (status, usage) = server.completed(outcome);
        (outcome.place(), status, usage, asked.details(outcome))
    };
    let (place, status, usage, details) = if request.background {
        match Waiting::until(&asked, asked.in_block()).await? {
            desk::State::Over(outcome) => completed(&outcome),
            desk::State::Open(open) => (open.place, Status::Queued, None, details(&open)),
            _ => return Err(asked.pending()),
        }
    } else {
        let outcome = Waiting::until(&asked, asked.outcome()).await?;
        completed(&outcome)
    };
    let response = responses::Response {
        id: completion::id("resp", server.genesis(), place),
        created: asked.job.record().asked,
        model: request.model,
        previous: request.previous,
        background: request.background,
        status,
        usage,
    };
    let mut response = Json(responses::object(&response, details)).into_response();
    name(&mut response, place);
    if !request.ignored.is_empty() {
        set(
            &mut response,
            "starling-ignored",
            &request.ignored.join(", "),
        );
    }
    Ok(response)
}

async fn response(State(server): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        let caller = server.caller(&headers)?;
        let place =
            completion::place_of("resp", server.genesis(), &id).ok_or(Failure::UnknownRound)?;
        let job = server.gateway.job(&caller, place);
        let record = job.as_ref().map(|job| job.record());
        let without = json!({ "round": place.round(), "lane": place.lane() });
        let (status, usage, details) = match server.gateway.outcome(&caller, place).await {
            Ok(outcome) => {
                let block = record.as_ref().and_then(|record| record.block);
                let cost = record.as_ref().map(|record| &record.cost);
                let details = outcome.details(block, cost, 0);
                let (status, usage) = match (outcome.phase(), outcome.failure()) {
                    (_, Some(failure)) => (Status::Failed(failure), None),
                    ("done", _) => server.completed(&outcome),
                    _ => (Status::InProgress, None),
                };
                (status, usage, details)
            },
            Err(failure @ (Failure::Round { .. } | Failure::Refused(_))) => {
                (Status::Failed(failure), None, without)
            },
            Err(Failure::Pending { .. }) => (Status::InProgress, None, without),
            Err(failure) => return Err(failure),
        };
        let model = record.as_ref().map(|record| record.model.as_str());
        let response = responses::Response {
            id,
            created: record.as_ref().map_or(0, |record| record.asked),
            model: model.unwrap_or(crate::config::STANDARD_MODEL).to_owned(),
            previous: record.as_ref().and_then(|record| record.previous.clone()),
            background: true,
            status,
            usage,
        };
        Ok(Json(responses::object(&response, details)).into_response())
    };
    server.counted("responses", work).await
}

async fn swarm(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.swarm().await?).into_response())
    };
    server.counted("swarm", work).await
}

async fn agents(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.agents().await?).into_response())
    };
    server.counted("agents", work).await
}

async fn rounds(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.rounds().await?).into_response())
    };
    server.counted("rounds", work).await
}

async fn round(State(server): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        server.caller(&headers)?;
        let round = id.parse().map_err(|_| Failure::UnknownRound)?;
        let outcome = server.gateway.round(round).await?;
        Ok(Json(outcome.report).into_response())
    };
    server.counted("rounds", work).await
}

async fn layers(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.layers().await?).into_response())
    };
    server.counted("layers", work).await
}

async fn disputes(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.disputes().await?).into_response())
    };
    server.counted("disputes", work).await
}

async fn dispute(State(server): Shared, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        server.caller(&headers)?;
        let case = id.parse().map_err(|_| Failure::UnknownCase)?;
        Ok(Json(server.gateway.dispute(case).await?).into_response())
    };
    server.counted("disputes", work).await
}

async fn chain_spec(State(server): Shared, headers: HeaderMap) -> Response {
    let work = async {
        server.caller(&headers)?;
        Ok(Json(server.gateway.chain_spec().await?).into_response())
    };
    server.counted("chain_spec", work).await
}

async fn page(State(server): Shared, method: Method, uri: Uri) -> Response {
    match method {
        Method::GET | Method::HEAD => dashboard::respond(uri.path(), &server.light),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn health(State(server): Shared) -> Response {
    match server.gateway.desk.node.synced().await {
        Ok(_) => Json(json!({ "status": "ok" })).into_response(),
        Err(failure) => failure.into_response(),
    }
}

async fn metrics(State(server): Shared) -> Response {
    match server.gateway.desk.metrics.text() {
        Ok(text) => {
            let mut response = text.into_response();
            set(&mut response, "content-type", "text/plain; version=0.0.4");
            response
        },
        Err(_) => Failure::Internal.into_response(),
    }
}

async fn mcp(State(server): Shared, headers: HeaderMap, body: Body) -> Response {
    let work = async {
        let caller = server.caller(&headers)?;
        let body = server.body(&headers, body).await?;
        let message = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let call = match mcp::read(message) {
            Ok(mcp::Incoming::Call(call)) => call,
            Ok(mcp::Incoming::Notification) => return Ok(StatusCode::ACCEPTED.into_response()),
            Err(answer) => return Ok(Json(answer).into_response()),
        };
        let accepts = text(&headers, header::ACCEPT).unwrap_or_default();
        let gateway = server.gateway.clone();
        if !(call.has_progress() && accepts.contains("text/event-stream")) {
            let (progress, _) = mpsc::channel(1);
            let answer = mcp::answer(&gateway, &caller, call, &progress).await;
            return Ok(Json(answer).into_response());
        }
        let (to, from) = mpsc::channel(BUFFER);
        tokio::spawn(async move {
            let (progress, mut news) = mpsc::channel(BUFFER);
            let answer = async {
                let answer = mcp::answer(&gateway, &caller, call, &progress).await;
                drop(progress);
                answer
            };
            let forward = async {
                while let Some(note) = news.recv().await {
                    if to.send(mcp::event(&note)).await.is_err() {
                        break;
                    }
                }
            };
            let (answer, ()) = tokio::join!(answer, forward);
            // A caller that has left gets nothing, and the round goes on.
            to.send(mcp::event(&answer)).await.ok();
        });
        Ok(event_stream(from))
    };
    server.counted("mcp", work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_loopback_needs_no_keys() {
        for (address, has_keys, may) in [
            ("127.0.0.1:8042", false, true),
            ("[::1]:8042", false, true),
            ("0.0.0.0:8042", false, false),
            ("192.0.2.1:8042", false, false),
            ("0.0.0.0:8042", true, true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(may_listen(address, has_keys), may, "{address}");
        }
    }

    #[test]
    fn a_repeat_is_known_by_the_count_of_the_official_clients() {
        for (count, repeats) in [("0", false), ("1", true), ("2", true), ("x", false)] {
            let headers = headers(&[("x-stainless-retry-count", count)]);
            assert_eq!(
                identity(&headers, "chat", b"{}").repeats,
                repeats,
                "{count}"
            );
        }
        let named = identity(&headers(&[("idempotency-key", "k")]), "chat", b"{}");
        assert_eq!(named.key.as_deref(), Some("k"));
        let other = identity(&HeaderMap::new(), "responses", b"{}");
        assert_ne!(named.body, other.body);
    }

    #[test]
    fn a_failure_has_its_status_headers_and_body() {
        let place = Some(Place::Round(7));
        let response = Failure::Pending { place }.into_response();
        assert_eq!(response.status(), 424);
        assert_eq!(response.headers()["x-should-retry"], "false");
        assert_eq!(response.headers()["starling-round"], "7");
    }
}
