// SPDX-License-Identifier: Apache-2.0
//! A server on a real socket, and callers that say where they come from.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use jsonrpsee::{types::ErrorObjectOwned, RpcModule};
use sc_rpc_api::check_if_safe;
use serde_json::{json, Value};
use starling_rpc::{
    closed_endpoint, start, BatchRequestConfig, Config, Error, RpcEndpoint, RpcMethods, Server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const EVIL: &str = "https://evil.example";
const DAPP: &str = "https://dapp.example";

fn methods() -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module
        .register_method("safe", |_, _, _| "done")
        .expect("a name of its own");
    module
        .register_method("unsafe", |_, _, extensions| {
            check_if_safe(extensions)?;
            Ok::<_, ErrorObjectOwned>("done")
        })
        .expect("a name of its own");
    module
        .register_method(
            "system_health",
            |_, _, _| json!({ "peers": 3, "isSyncing": false, "shouldHavePeers": true }),
        )
        .expect("a name of its own");
    module
}

fn endpoint(cors: Option<&[&str]>) -> RpcEndpoint {
    RpcEndpoint {
        batch_config: BatchRequestConfig::Limit(2),
        max_connections: 8,
        max_payload_in_mb: 1,
        max_payload_out_mb: 1,
        max_subscriptions_per_connection: 8,
        max_buffer_capacity_per_connection: 8,
        cors: cors.map(|cors| cors.iter().map(ToString::to_string).collect()),
        rpc_methods: RpcMethods::Auto,
        ..closed_endpoint()
    }
}

fn serve(endpoint: RpcEndpoint) -> Result<Server, Error> {
    start(Config {
        endpoints: vec![endpoint],
        methods: methods(),
        auto_is_safe: false,
        metrics: None,
        max_blocking: 1,
        log_limit: 64,
    })
}

/// A call by HTTP.
struct Call<'a> {
    host: &'a str,
    origin: Option<&'a str>,
    body: Value,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            host: "localhost:PORT",
            origin: None,
            body: json!({ "jsonrpc": "2.0", "id": 1, "method": "unsafe" }),
        }
    }
}

impl Call<'_> {
    /// The whole answer: head and body.
    async fn to(self, server: &Server) -> String {
        let address = server.addresses()[0];
        let host = self.host.replace("PORT", &address.port().to_string());
        let origin = self.origin.map(|origin| format!("Origin: {origin}\r\n"));
        let body = self.body.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\n{}Content-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            origin.unwrap_or_default(),
            body.len(),
        );
        exchange(address, &request).await
    }
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    socket
        .read_to_string(&mut answer)
        .await
        .expect("it answers");
    answer
}

fn is_done(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") && answer.contains("\"result\":\"done\"")
}

fn is_denied(answer: &str) -> bool {
    answer.contains("RPC call is unsafe to be called externally")
}

fn method(name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": name })
}

#[tokio::test]
async fn a_foreign_page_gets_safe_methods_only() {
    for cors in [None, Some(&[DAPP][..])] {
        let server = serve(endpoint(cors)).expect("the port is free");
        let of = |origin| Call {
            origin,
            ..Call::default()
        };
        for origin in [None, Some("http://localhost:3000")] {
            let answer = of(origin).to(&server).await;
            assert!(is_done(&answer), "{origin:?}: {answer}");
        }
        let safe = Call {
            body: method("safe"),
            ..of(Some(EVIL))
        };
        assert!(is_done(&safe.to(&server).await));
        for origin in [EVIL, "null", "http://localhost@evil.example"] {
            let answer = of(Some(origin)).to(&server).await;
            assert!(is_denied(&answer), "{origin}: {answer}");
        }
        let named = of(Some(DAPP)).to(&server).await;
        assert_eq!(is_done(&named), cors.is_some(), "{named}");
        let batch = Call {
            body: json!([method("safe"), method("unsafe")]),
            ..of(Some(EVIL))
        };
        assert!(is_denied(&batch.to(&server).await));
    }
}

#[tokio::test]
async fn a_foreign_host_is_refused_or_gets_safe_methods_only() {
    let to = |host| Call {
        host,
        ..Call::default()
    };
    let listed = serve(endpoint(Some(&[]))).expect("the port is free");
    assert!(is_done(&to("127.0.0.1:PORT").to(&listed).await));
    for host in ["evil.example:PORT", "localhost:1", "192.168.1.5:PORT"] {
        let answer = to(host).to(&listed).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
    }

    let all = serve(endpoint(None)).expect("the port is free");
    for host in ["localhost:PORT", "localhost:1", "192.168.1.5:PORT"] {
        assert!(is_done(&to(host).to(&all).await), "{host}");
    }
    let answer = to("evil.example:PORT").to(&all).await;
    assert!(is_denied(&answer), "{answer}");
    let safe = Call {
        body: method("safe"),
        ..to("evil.example:PORT")
    };
    assert!(is_done(&safe.to(&all).await));
}

#[tokio::test]
async fn unsafe_methods_need_an_endpoint_that_offers_them() {
    let safe = RpcEndpoint {
        rpc_methods: RpcMethods::Safe,
        ..endpoint(None)
    };
    let safe = serve(safe).expect("the port is free");
    assert!(is_denied(&Call::default().to(&safe).await));
    let validator = |rpc_methods| Config {
        endpoints: vec![RpcEndpoint {
            rpc_methods,
            ..endpoint(None)
        }],
        methods: methods(),
        auto_is_safe: true,
        metrics: None,
        max_blocking: 1,
        log_limit: 64,
    };
    let auto = start(validator(RpcMethods::Auto)).expect("the port is free");
    assert!(is_denied(&Call::default().to(&auto).await));
    let explicit = start(validator(RpcMethods::Unsafe)).expect("the port is free");
    assert!(is_done(&Call::default().to(&explicit).await));
}

#[tokio::test]
async fn browsers_learn_which_pages_may_read() {
    let listed = serve(endpoint(Some(&[DAPP]))).expect("the port is free");
    let preflight = |origin: &str| {
        format!(
            "OPTIONS / HTTP/1.1\r\nHost: localhost:{}\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: content-type\r\nConnection: close\r\n\r\n",
            listed.addresses()[0].port()
        )
    };
    for (origin, may_read) in [(DAPP, true), ("http://localhost:3000", true), (EVIL, false)] {
        let answer = exchange(listed.addresses()[0], &preflight(origin)).await;
        let allowed = answer.contains(&format!("access-control-allow-origin: {origin}"));
        assert_eq!(allowed, may_read, "{answer}");
        assert!(
            answer.contains("access-control-allow-headers: content-type"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn health_methods_and_limits_are_those_of_the_sdk() {
    let server = serve(endpoint(None)).expect("the port is free");
    let address = server.addresses()[0];
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let health = exchange(address, &get("/health")).await;
    assert!(health.contains("\"peers\":3"), "{health}");
    // As some probes ask: without a host.
    let probe = exchange(address, "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(probe.contains("\"peers\":3"), "{probe}");
    let ready = exchange(address, &get("/health/readiness")).await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");

    let call = |body| Call {
        body,
        ..Call::default()
    };
    let list = call(method("rpc_methods")).to(&server).await;
    for name in ["rpc_methods", "safe", "system_health", "unsafe"] {
        assert!(list.contains(&format!("\"{name}\"")), "{list}");
    }
    let batch = call(json!([method("safe"), method("safe"), method("safe")]));
    let batch = batch.to(&server).await;
    assert!(!batch.contains("done"), "three are more than two: {batch}");
    // The length alone is enough.
    let long = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        2 << 20
    );
    let long = exchange(address, &long).await;
    assert!(long.starts_with("HTTP/1.1 413"), "{long}");
}

#[tokio::test]
async fn a_closed_endpoint_serves_nobody() {
    let server = serve(closed_endpoint()).expect("the port is free");
    let answer = Call::default().to(&server).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
}

#[tokio::test]
async fn what_it_cannot_do_is_an_error() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let on_taken = |is_optional| RpcEndpoint {
        listen_addr: address,
        is_optional,
        ..endpoint(None)
    };
    let error = serve(on_taken(false)).err().expect("the port is taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(matches!(serve(on_taken(true)), Err(Error::Nowhere)));
    assert!(matches!(
        serve(endpoint(Some(&["dapp.example"]))),
        Err(Error::Origin(_))
    ));
}

#[tokio::test]
async fn a_server_that_is_dropped_gives_its_port_back() {
    let server = serve(endpoint(None)).expect("the port is free");
    let address = server.addresses()[0];
    drop(server);
    // The runtime ends in the background.
    while TcpListener::bind(address).is_err() {
        tokio::task::yield_now().await;
    }
}
