// SPDX-License-Identifier: Apache-2.0
//! `starling gateway` and `starling mcp`: programs ask over HTTP, and pay once whatever breaks.

use std::{fs, path::Path, process::Stdio};

use anyhow::{ensure, Context, Result};
use futures::future::try_join_all;
use serde_json::{json, Value};
use starling_primitives::{chat::Chat, round::Phase};
use starling_tests::node::command_of;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
    time::timeout,
};

use super::{patient_expert, Swarm, PATIENCE};

/// A gateway process. It is killed when dropped.
pub(super) struct Gateway {
    process: Child,
    address: String,
}

impl Gateway {
    pub(super) async fn start(swarm: &Swarm, folder: &Path) -> Result<Self> {
        let config = folder.join("gateway.toml");
        fs::write(
            &config,
            "[[model]]\nid = \"starling-many\"\nmin_responses = 5\n",
        )?;
        let mut process = command_of("STARLING_CLIENT", "starling")?
            .args(["--url", swarm.node()?.url()])
            .args(["gateway", "--dev", "eve", "--listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(config)
            .arg("--data")
            .arg(folder)
            .env_remove("STARLING_SURI")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let out = process.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(out).lines();
        let line = timeout(PATIENCE, lines.next_line()).await??;
        let line = line.context("the gateway ended")?;
        let address = line.rsplit_once("http://").context("no address")?.1;
        Ok(Self {
            address: address.to_owned(),
            process,
        })
    }

    /// Kills the gateway without a warning.
    pub(super) async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Sends a request, and leaves the connection open.
    async fn open(&self, head: &str, headers: &[(&str, &str)], body: &str) -> Result<TcpStream> {
        let host = ("host", self.address.as_str());
        let length = body.len().to_string();
        let json = [
            ("content-type", "application/json"),
            ("content-length", &length),
        ];
        let mut request = format!("{head} HTTP/1.0\r\n");
        let named = |name: &str| headers.iter().any(|(given, _)| *given == name);
        let standard = std::iter::once(host).chain(json);
        for (name, value) in standard.filter(|(name, _)| !named(name)) {
            request += &format!("{name}: {value}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(&self.address).await?;
        stream
            .write_all(format!("{request}\r\n{body}").as_bytes())
            .await?;
        Ok(stream)
    }

    pub(super) async fn send(
        &self,
        head: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer> {
        let body = body.to_string();
        Answer::read(self.open(head, headers, &body).await?).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        let head = format!("GET {path}");
        Answer::read(self.open(&head, &[], "").await?).await
    }

    pub(super) async fn chat(&self, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
        self.send("POST /v1/chat/completions", headers, body).await
    }

    async fn mcp(&self, method: &str, params: Value) -> Result<Value> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.send("POST /mcp", &[], &call).await?.ok()?;
        Ok(answer["result"].clone())
    }
}

/// An answer over HTTP.
pub(super) struct Answer {
    status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    async fn read(mut stream: TcpStream) -> Result<Self> {
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text)).await??;
        let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).context("no status")?;
        Ok(Self {
            status: status.parse()?,
            head: head.to_lowercase(),
            body: body.to_owned(),
        })
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }

    pub(super) fn ok(&self) -> Result<Value> {
        ensure!(self.status == 200, "{}\n{}", self.head, self.body);
        self.json()
    }

    /// Asserts that the request failed, and whether the client may send it again.
    fn assert_failed(&self, status: u16, code: &str, paid: bool) -> Result<()> {
        let error = self.json()?;
        assert_eq!(self.status, status, "{error}");
        assert_eq!(error["error"]["code"], code, "{error}");
        let never = self.head.contains("x-should-retry: false");
        assert_eq!(never, paid, "{}", self.head);
        Ok(())
    }

    /// The objects of a stream, which must end with `[DONE]`.
    fn events(&self) -> Result<Vec<Value>> {
        ensure!(self.status == 200, "{}\n{}", self.head, self.body);
        let data = self
            .body
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "));
        let mut data: Vec<_> = data.collect();
        assert_eq!(data.pop(), Some("[DONE]"), "{}", self.body);
        let objects = data.into_iter().map(|data| Ok(serde_json::from_str(data)?));
        objects.collect()
    }
}

pub(super) fn question(text: &str) -> Value {
    json!({
        "model": "starling", "max_tokens": 32,
        "messages": [{ "role": "user", "content": text }],
    })
}

/// Number of requests that the chain has taken so far, in final blocks.
async fn requested(swarm: &Swarm) -> Result<usize> {
    let api = swarm.api().await?;
    let last = api.at_current_block().await?.block_number();
    let mut count = 0;
    for number in 1..=last {
        let events = api.at_block(number).await?.events().fetch().await?;
        for event in events.iter() {
            let event = event?;
            count +=
                usize::from((event.pallet_name(), event.event_name()) == ("Rounds", "Requested"));
        }
    }
    Ok(count)
}

/// One swarm for all cases, because starting it takes longer than a round.
#[tokio::test]
async fn programs_ask_over_http_and_pay_once_whatever_breaks() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sign = folder.path().join("answer");
    let swarm = Swarm::start([
        patient_expert("A starling is a small songbird.", &sign),
        patient_expert("A starling is a songbird that mimics others.", &sign),
        patient_expert("Starlings are songbirds; a flock is a murmuration.", &sign),
        patient_expert("A bird.", &sign),
    ])
    .await?;
    let gateway = Gateway::start(&swarm, folder.path()).await?;
    refuses_bad_requests(&gateway).await?;
    let gateway = pays_once(gateway, &swarm, folder.path(), &sign).await?;
    streams(&gateway, &swarm).await?;
    answers_many(&gateway).await?;
    answers_later(&gateway, &swarm).await?;
    speaks_mcp(&gateway, &swarm).await?;
    shows_itself(&gateway).await?;

    // One request in `pays_once`, one in `streams`, four in `answers_many`, two in `answers_later`,
    // two in `speaks_mcp`.
    assert_eq!(requested(&swarm).await?, 10);
    let metrics = gateway.get("/metrics").await?.body;
    for line in [
        r#"starling_gateway_rounds_total{outcome="answered"} 10"#,
        "starling_gateway_repeated_total 2",
        "starling_gateway_open_rounds 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    Ok(())
}

async fn refuses_bad_requests(gateway: &Gateway) -> Result<()> {
    assert_eq!(gateway.get("/healthz").await?.status, 200);
    let models = gateway.get("/v1/models").await?.ok()?;
    assert_eq!(models["data"][0]["id"], "starling");
    let unknown = gateway.get("/v1/models/owl").await?;
    unknown.assert_failed(404, "model_not_found", false)?;

    let mut tools = question("Why?");
    tools["tools"] = json!([{ "type": "function" }]);
    let refused = gateway.chat(&[], &tools).await?;
    refused.assert_failed(400, "unsupported_parameter", false)?;
    let long = question(&"x".repeat(5_000));
    let refused = gateway.chat(&[], &long).await?;
    refused.assert_failed(400, "context_length_exceeded", false)?;
    let mut essay = question("Why?");
    essay["starling"] = json!({ "answers": "essay" });
    let refused = gateway.chat(&[], &essay).await?;
    refused.assert_failed(400, "invalid_value", false)?;
    let plain = [("content-type", "text/plain")];
    let refused = gateway.chat(&plain, &question("Why?")).await?;
    refused.assert_failed(400, "invalid_value", false)?;
    for stranger in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let refused = gateway.chat(&[stranger], &question("Why?")).await?;
        refused.assert_failed(403, "forbidden", false)?;
    }
    Ok(())
}

/// The connection breaks, then the gateway is killed while the agents think. The client repeats the
/// request each time, as the official ones do.
async fn pays_once(gateway: Gateway, swarm: &Swarm, folder: &Path, sign: &Path) -> Result<Gateway> {
    let mut body = question("What is a starling?");
    body["n"] = json!(3);
    let text = body.to_string();
    let first = gateway
        .open("POST /v1/chat/completions", &[], &text)
        .await?;
    swarm.until_best(0, |_| true).await?;
    drop(first);
    let again = [("x-stainless-retry-count", "1")];
    let second = gateway
        .open("POST /v1/chat/completions", &again, &text)
        .await?;
    gateway.kill().await?;
    drop(second);

    let gateway = Gateway::start(swarm, folder).await?;
    let again = [("x-stainless-retry-count", "2")];
    let third = gateway
        .open("POST /v1/chat/completions", &again, &text)
        .await?;
    fs::write(sign, "")?;
    let answer = Answer::read(third).await?;
    assert!(answer.head.contains("starling-round: 0"), "{}", answer.head);
    let object = answer.ok()?;
    let choices = object["choices"].as_array().context("choices")?;
    assert_eq!(choices.len(), 3);
    let (_, view) = swarm.ended(0).await?;
    assert_eq!(view.round.phase, Phase::Done);
    let winner = view.round.winner.context("there is a winner")?;
    assert_eq!(object["starling"]["winner"], winner.to_string());
    let candidates = &object["starling"]["candidates"];
    assert_eq!(candidates.as_array().map(Vec::len), Some(4));
    assert_eq!(choices[0]["message"]["content"], candidates[0]["text"]);
    assert_eq!(object["starling"]["cost"]["fee"], "1000000000000");

    // The result is there for another repeat, and for the round's own endpoint.
    let fourth = gateway.chat(&again, &body).await?.ok()?;
    assert_eq!(fourth["id"], object["id"]);
    let round = gateway.get("/v1/rounds/0").await?.ok()?;
    assert_eq!(round["phase"], "done");
    let missing = gateway.get("/v1/rounds/99").await?;
    missing.assert_failed(404, "round_not_found", false)?;
    assert_eq!(requested(swarm).await?, 1);
    Ok(gateway)
}

async fn streams(gateway: &Gateway, swarm: &Swarm) -> Result<()> {
    let mut body = question("Do starlings sing?");
    body["stream"] = json!(true);
    body["temperature"] = json!(0.5);
    let answer = gateway.chat(&[], &body).await?;
    assert!(answer.head.contains("content-type: text/event-stream"));
    assert!(answer.head.contains("starling-ignored: temperature"));
    let events = answer.events()?;
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let id = events[0]["starling"]["round"].as_u64().context("a round")?;
    let (_, view) = swarm.ended(id).await?;
    let winner = view.round.winner.context("there is a winner")?;
    let mut responses = view.responses.iter();
    let won = responses.find(|response| response.agent == winner);
    let won = won.and_then(|won| won.text.clone()).context("a text")?;

    let delta = |event: &Value| {
        event["choices"][0]["delta"]["content"]
            .as_str()
            .map(str::to_owned)
    };
    let text: String = events.iter().filter_map(delta).collect();
    assert_eq!(text, String::from_utf8(won)?);
    // Progress comes before the text, and the text's end last.
    let has_text = |event: &Value| delta(event).is_some_and(|text| !text.is_empty());
    let begin = events.iter().position(has_text).context("a text")?;
    let phases = events[..begin]
        .iter()
        .map(|event| &event["starling"]["phase"]);
    assert!(phases.clone().any(|phase| phase == "ranking"), "{events:?}");
    let last = events.last().context("events")?;
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["starling"]["round"], id);

    // Four agents cannot give five answers. The chain says so in a block.
    let mut body = question("Do starlings sing?");
    body["model"] = json!("starling-many");
    let refused = gateway.chat(&[], &body).await?;
    refused.assert_failed(400, "refused", true)
}

/// The account's transactions do not get in each other's way.
async fn answers_many(gateway: &Gateway) -> Result<()> {
    let mut body = question("What is a flock?");
    body["starling"] = json!({ "answers": "short" });
    let asked = (0..4).map(|_| async { gateway.chat(&[], &body).await?.ok() });
    let answers = try_join_all(asked).await?;
    let mut ids: Vec<_> = answers
        .iter()
        .map(|answer| answer["id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
    for answer in &answers {
        let details = &answer["starling"];
        assert_eq!(details["answers"], "short", "{answer}");
        // No known answer has proven an agent.
        assert_eq!(details["outcome"]["is_voted"], false, "{answer}");
        assert!(details["candidates"][0]["key"].is_string(), "{answer}");
    }
    Ok(())
}

async fn answers_later(gateway: &Gateway, swarm: &Swarm) -> Result<()> {
    let body = json!({ "model": "starling", "input": "What is a nest?", "background": true });
    let key = [("idempotency-key", "nest")];
    let queued = gateway
        .send("POST /v1/responses", &key, &body)
        .await?
        .ok()?;
    assert_eq!(queued["status"], "queued");
    // Another question cannot have the same key.
    let other = json!({ "model": "starling", "input": "What is an egg?" });
    let mixed = gateway.send("POST /v1/responses", &key, &other).await?;
    mixed.assert_failed(400, "invalid_value", false)?;
    let id = queued["id"].as_str().context("an id")?;
    let path = format!("/v1/responses/{id}");
    let done = timeout(PATIENCE, async {
        loop {
            let response = gateway.get(&path).await?.ok()?;
            if response["status"] != "in_progress" {
                return anyhow::Ok(response);
            }
        }
    });
    let done = done.await??;
    assert_eq!(done["status"], "completed", "{done}");
    let text = &done["output"][0]["content"][0]["text"];
    let text = text.as_str().context("a text")?;
    assert!(!text.is_empty(), "{done}");

    // The next question has the whole conversation.
    let body = json!({ "model": "starling", "input": "And an egg?", "previous_response_id": id });
    let next = gateway.send("POST /v1/responses", &[], &body).await?.ok()?;
    assert_eq!(next["previous_response_id"], id);
    let round = next["starling"]["round"].as_u64().context("a round")?;
    let (_, view) = swarm.ended(round).await?;
    let prompt = String::from_utf8(view.prompt)?;
    let chat = Chat::read(&prompt)?.context("a conversation")?;
    let said: Vec<&str> = chat.turns().iter().map(|turn| turn.text.as_str()).collect();
    assert_eq!(said, ["What is a nest?", text, "And an egg?"]);
    let nowhere = json!({
        "model": "starling", "input": "And an egg?", "previous_response_id": "resp-00000000-0",
    });
    let refused = gateway.send("POST /v1/responses", &[], &nowhere).await?;
    refused.assert_failed(400, "invalid_value", false)
}

/// The dashboard and its data.
async fn shows_itself(gateway: &Gateway) -> Result<()> {
    let state = gateway.get("/v1/swarm").await?.ok()?;
    assert_eq!(state["currency"]["symbol"], "STAR", "{state}");
    let rounds = gateway.get("/v1/rounds").await?.ok()?;
    let listed = rounds["data"].as_array().context("no list")?;
    let newest = listed.first().context("no round")?;
    let next = state["next_round"].as_u64().context("no number")?;
    assert_eq!(newest["round"], next - 1, "{rounds}");
    assert_eq!(newest["phase"], "done", "{rounds}");
    let ratings = newest["ratings"].as_array().context("no ratings")?;
    assert!(!ratings.is_empty(), "{rounds}");
    let phases = rounds["pace"]["phases"].as_array();
    assert_eq!(phases.map(Vec::len), Some(4), "{rounds}");
    let agents = gateway.get("/v1/agents").await?.ok()?;
    assert_eq!(agents["data"].as_array().map(Vec::len), Some(4), "{agents}");
    let layers = gateway.get("/v1/layers").await?.ok()?;
    assert!(layers["models"].is_array(), "{layers}");
    let disputes = gateway.get("/v1/disputes").await?.ok()?;
    assert_eq!(disputes["court"], "open", "{disputes}");
    assert_eq!(disputes["data"], json!([]), "{disputes}");
    let unknown = gateway.get("/v1/disputes/0").await?;
    unknown.assert_failed(404, "case_not_found", false)?;
    let specification = gateway.get("/chain-spec.json").await?.ok()?;
    let genesis = &specification["genesis"]["raw"]["top"];
    // The code of the runtime, from which a light client begins.
    assert!(genesis["0x3a636f6465"].is_string());
    // These nodes listen on TCP alone, which no browser speaks.
    assert_eq!(specification["bootNodes"], json!([]));

    let cost = gateway.get("/v1/models/starling/cost").await?.ok()?;
    let amount = |name: &str| -> Result<u128> {
        let text = cost[name].as_str().context("no amount")?;
        Ok(text.parse()?)
    };
    let sum = amount("fee")? + amount("burnt")? + amount("on_hold")?;
    assert_eq!(amount("sum")?, sum);
    assert!(amount("spendable")? > sum, "{cost}");
    let unknown = gateway.get("/v1/models/owl/cost").await?;
    unknown.assert_failed(404, "model_not_found", false)?;

    for path in ["/", "/round/0", "/page/app.js"] {
        let page = gateway.get(path).await?;
        assert_eq!(page.status, 200, "{path}");
        let policy = "content-security-policy: default-src 'none'; script-src 'self';";
        assert!(page.head.contains(policy), "{}", page.head);
    }
    let light = gateway.get("/light").await?;
    assert!(
        light.head.contains("frame-ancestors 'self'"),
        "{}",
        light.head
    );
    let missing = gateway.get("/light-client/index-browser.js").await?;
    assert_eq!(missing.status, 404, "it is not installed");
    assert_eq!(gateway.get("/nowhere").await?.status, 404);
    let stranger = [("host", "evil.example")];
    let refused = gateway.send("GET /", &stranger, &Value::Null).await?;
    refused.assert_failed(403, "forbidden", false)
}

async fn speaks_mcp(gateway: &Gateway, swarm: &Swarm) -> Result<()> {
    let hello = gateway
        .mcp("initialize", json!({ "protocolVersion": "2025-06-18" }))
        .await?;
    assert_eq!(hello["serverInfo"]["name"], "starling");
    let tools = gateway.mcp("tools/list", json!({})).await?;
    assert_eq!(tools["tools"].as_array().map(Vec::len), Some(3));
    let agents = gateway
        .mcp("tools/call", json!({ "name": "list_agents" }))
        .await?;
    let listed = &agents["structuredContent"]["agents"];
    assert_eq!(listed.as_array().map(Vec::len), Some(4), "{agents}");

    // Who waits no longer gets the number of the round.
    let ask = |wait: u64| {
        let arguments = json!({ "question": "What is a beak?", "wait_seconds": wait });
        json!({ "name": "ask_swarm", "arguments": arguments, "_meta": { "progressToken": 1 } })
    };
    let soon = gateway.mcp("tools/call", ask(0)).await?;
    assert_eq!(soon["structuredContent"]["status"], "pending", "{soon}");
    let round = soon["structuredContent"]["round"].clone();
    swarm.ended(round.as_u64().context("a round")?).await?;
    let shown = json!({ "name": "get_round", "arguments": { "round": round } });
    let shown = gateway.mcp("tools/call", shown).await?;
    assert_eq!(shown["structuredContent"]["phase"], "done", "{shown}");

    // Progress comes before the answer where the host takes events.
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": ask(300) });
    let accept = [("accept", "application/json, text/event-stream")];
    let answer = gateway.send("POST /mcp", &accept, &call).await?;
    let events = answer
        .body
        .split("\n\n")
        .filter_map(|event| event.split_once("data: "));
    let messages = events.map(|(_, data)| Ok(serde_json::from_str(data)?));
    let messages: Vec<Value> = messages.collect::<Result<_>>()?;
    let (answer, notes) = messages.split_last().context("messages")?;
    assert_eq!(
        (&answer["id"], &answer["result"]["isError"]),
        (&json!(7), &json!(false))
    );
    assert!(!notes.is_empty());
    for note in notes {
        assert_eq!(note["method"], "notifications/progress");
        assert_eq!(note["params"]["progressToken"], 1);
    }
    Ok(())
}
