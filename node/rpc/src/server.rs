// SPDX-License-Identifier: Apache-2.0

//! Sockets and connections.

use std::{
    io, iter,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use http::{header::CONTENT_TYPE, HeaderValue, Method};
use hyper::body::Incoming;
use jsonrpsee::{
    core::BoxError,
    server::{
        middleware::http::{AuthorityError, HostFilterLayer},
        serve_with_graceful_shutdown, stop_channel, ws, HttpRequest, HttpResponse, PingConfig,
        RandomStringIdProvider, RegisterMethodError, ServerHandle, StopHandle, TowerServiceBuilder,
    },
    Methods, RpcModule,
};
use sc_rpc_server::{
    create_rpc_runtime, Metrics, MiddlewareLayer, NodeHealthProxyLayer, RpcEndpoint, RpcMetrics,
    RpcServiceBuilder,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Runtime,
};
use tower::{
    layer::util::{Identity, Stack},
    util::Either,
    Service, ServiceBuilder,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    doors::{hosts, offers_unsafe, Doors},
    limits::Limits,
    origin::{InvalidOrigin, Origins},
};

const MEGABYTE: u32 = 1024 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The pause after a connection could not be accepted, as when no file may be opened any more.
const PAUSE: Duration = Duration::from_millis(100);

/// Methods and address of a server.
pub struct Config {
    /// The addresses, each with its limits.
    pub endpoints: Vec<RpcEndpoint>,
    /// The methods.
    pub methods: RpcModule<()>,
    /// Whether [`RpcMethods::Auto`](crate::RpcMethods::Auto) offers safe methods only.
    pub auto_is_safe: bool,
    /// The metrics.
    pub metrics: Option<RpcMetrics>,
    /// Most blocking calls at a time.
    pub max_blocking: u32,
    /// Most bytes of a call in the log.
    pub log_limit: u32,
}

/// An error that keeps a server from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be had.
    #[error("RPC server: cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// There is nothing to listen on.
    #[error("RPC server: none of its addresses can be had")]
    Nowhere,
    /// The threads cannot be started.
    #[error("RPC server: cannot start its threads: {0}")]
    Threads(io::Error),
    /// The hosts that it answers are none.
    #[error("RPC server: {0}")]
    Host(#[from] AuthorityError),
    /// An origin is none.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// A method has the name of another one.
    #[error("RPC server: {0}")]
    Method(#[from] RegisterMethodError),
}

/// A running server. It stops when it is dropped.
pub struct Server {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    /// Present until the server is dropped.
    runtime: Option<Runtime>,
}

impl Server {
    /// The addresses on which it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails if nobody listens any more.
        let _ = self.handle.stop();
        // To wait for the threads, which dropping a runtime does, is forbidden on those of another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts a server.
///
/// # Errors
/// If an address that is not optional cannot be had, or the configuration is wrong.
pub fn start(config: Config) -> Result<Server, Error> {
    let methods = with_list(config.methods)?;
    let known = methods.method_names().collect::<Vec<_>>();
    let runtime = create_rpc_runtime(config.max_blocking).map_err(Error::Threads)?;
    let spawner = runtime.handle().clone();
    let (stop, handle) = stop_channel();
    let mut server = Server {
        addresses: vec![],
        handle,
        runtime: Some(runtime),
    };
    let shared = Arc::new(Shared {
        methods,
        metrics: config
            .metrics
            .map(|metrics| metrics.with_known_methods(known)),
        log_limit: config.log_limit,
        stop,
    });
    let mut listeners = vec![];
    for endpoint in &config.endpoints {
        let address = endpoint.listen_addr;
        let bound = {
            let _runtime = spawner.enter();
            bind(address)
        };
        let listener = match bound {
            Ok(listener) => listener,
            Err(error) if endpoint.is_optional => {
                log::debug!(target: "rpc", "not listening on {address}: {error}");
                continue;
            },
            Err(error) => return Err(Error::Listen(address, error)),
        };
        let local = listener.local_addr();
        let local = local.map_err(|error| Error::Listen(address, error))?;
        server.addresses.push(local);
        let endpoint = Endpoint::new(endpoint, local, config.auto_is_safe, shared.clone())?;
        listeners.push((listener, endpoint));
    }
    if listeners.is_empty() {
        return Err(Error::Nowhere);
    }
    for (listener, endpoint) in listeners {
        spawner.spawn(accept(listener, Arc::new(endpoint)));
    }
    // Programs read the port from this line, whose form is that of `sc-rpc-server`.
    let addresses: Vec<_> = server.addresses.iter().map(ToString::to_string).collect();
    let end = if addresses.len() == 1 { "," } else { "" };
    log::info!("Running JSON-RPC server: addr={}{end}", addresses.join(","));
    Ok(server)
}

/// Needs a runtime.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Adds the method that lists all methods.
fn with_list(mut module: RpcModule<()>) -> Result<Methods, RegisterMethodError> {
    const LIST: &str = "rpc_methods";
    let mut names: Vec<_> = module.method_names().chain(iter::once(LIST)).collect();
    names.sort_unstable();
    module.register_method(LIST, move |_, _, _| serde_json::json!({ "methods": names }))?;
    Ok(module.into())
}

/// State that all connections share.
struct Shared {
    methods: Methods,
    metrics: Option<RpcMetrics>,
    log_limit: u32,
    stop: StopHandle,
}

/// The layers of HTTP, from the innermost to the outermost.
type Http = Stack<
    CorsLayer,
    Stack<NodeHealthProxyLayer, Stack<Either<HostFilterLayer, Identity>, Identity>>,
>;

/// An address on which the server listens.
struct Endpoint {
    doors: Doors,
    limits: Limits,
    builder: TowerServiceBuilder<Identity, Http>,
    shared: Arc<Shared>,
}

impl Endpoint {
    fn new(
        endpoint: &RpcEndpoint,
        local: SocketAddr,
        auto_is_safe: bool,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let origins = Origins::new(endpoint.cors.as_deref())?;
        let http = ServiceBuilder::new()
            .option_layer(host_filter(&origins, local)?)
            .layer(NodeHealthProxyLayer)
            .layer(cors(&origins));
        let ping = PingConfig::new()
            .ping_interval(Duration::from_secs(30))
            .inactive_limit(Duration::from_secs(60))
            .max_failures(3);
        let builder = jsonrpsee::server::Server::builder()
            .max_request_body_size(endpoint.max_payload_in_mb.saturating_mul(MEGABYTE))
            .max_response_body_size(endpoint.max_payload_out_mb.saturating_mul(MEGABYTE))
            .max_connections(endpoint.max_connections)
            .max_subscriptions_per_connection(endpoint.max_subscriptions_per_connection)
            .set_message_buffer_capacity(endpoint.max_buffer_capacity_per_connection)
            .set_batch_request_config(endpoint.batch_config)
            .set_id_provider(RandomStringIdProvider::new(16))
            .enable_ws_ping(ping)
            .set_http_middleware(http)
            .to_service_builder();
        Ok(Self {
            doors: Doors {
                origins,
                offers_unsafe: offers_unsafe(endpoint.rpc_methods, local.ip(), auto_is_safe),
            },
            limits: Limits::of(endpoint),
            builder,
            shared,
        })
    }

    /// Answers a request, or opens the WebSocket that it asks for.
    fn answer(
        &self,
        peer: IpAddr,
        mut request: HttpRequest<Incoming>,
    ) -> BoxFuture<'static, Result<HttpResponse, BoxError>> {
        // Every request gets a policy; a method of the SDK that finds none panics.
        let policy = self.doors.policy(&request);
        request.extensions_mut().insert(policy);
        let is_websocket = ws::is_upgrade_request(&request);
        let limit = self.limits.calls_per_minute(peer, request.headers());
        let mut middleware = MiddlewareLayer::new();
        if let Some(metrics) = self.shared.metrics.clone() {
            let transport = if is_websocket { "ws" } else { "http" };
            middleware = middleware.with_metrics(Metrics::new(metrics, transport));
        }
        if let Some(limit) = limit {
            middleware = middleware.with_rate_limit_per_minute(limit);
        }
        let rpc = RpcServiceBuilder::new()
            .rpc_logger(self.shared.log_limit)
            .layer(middleware.clone());
        let mut service = self
            .builder
            .clone()
            .set_rpc_middleware(rpc)
            .build(self.shared.methods.clone(), self.shared.stop.clone());
        if is_websocket {
            let closed = service.on_session_closed();
            tokio::spawn(async move {
                let opened = Instant::now();
                middleware.ws_connect();
                closed.await;
                middleware.ws_disconnect(opened);
            });
        }
        service.call(request)
    }
}

/// Refuses requests that are addressed to other hosts, except where all pages may read.
fn host_filter(
    origins: &Origins,
    local: SocketAddr,
) -> Result<Option<HostFilterLayer>, AuthorityError> {
    match origins {
        Origins::All => Ok(None),
        Origins::Listed(_) => HostFilterLayer::new(hosts(local)).map(Some),
    }
}

/// Tells browsers which pages may read answers over HTTP.
fn cors(origins: &Origins) -> CorsLayer {
    match origins {
        Origins::All => CorsLayer::permissive(),
        Origins::Listed(_) => {
            let origins = origins.clone();
            let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, _| {
                origin.to_str().is_ok_and(|origin| origins.may_read(origin))
            });
            CorsLayer::new()
                .allow_origin(allowed)
                .allow_methods([Method::GET, Method::POST])
                .allow_headers([CONTENT_TYPE])
        },
    }
}

/// Accepts connections until the server stops.
async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = endpoint.shared.stop.clone().shutdown() => return,
        };
        match accepted {
            Ok((socket, peer)) => serve(socket, peer.ip(), endpoint.clone()),
            Err(error) => {
                log::debug!(target: "rpc", "cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            },
        }
    }
}

/// Serves one connection to its end, on a task of its own.
fn serve(socket: TcpStream, peer: IpAddr, endpoint: Arc<Endpoint>) {
    // An answer and the event after it are two small writes. Without this, the second one waits
    // until the client confirms the first one, which takes it 40 ms.
    if let Err(error) = socket.set_nodelay(true) {
        log::debug!(target: "rpc", "answers to {peer} may be late: {error}");
    }
    let stopped = endpoint.shared.stop.clone().shutdown();
    let service = tower::service_fn(move |request| endpoint.answer(peer, request));
    // How a connection ends is its client's affair.
    tokio::spawn(serve_with_graceful_shutdown(socket, service, stopped));
}
