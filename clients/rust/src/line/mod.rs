// SPDX-License-Identifier: Apache-2.0
//! The line to a node, below the library that speaks over it.
//!
//! The line counts messages, and asks nothing twice that cannot change: it remembers the answers
//! about a block, and the headers that subscriptions bring. Metadata is kept in a folder.

mod folder;
mod memory;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use subxt::{
    ext::futures::StreamExt,
    rpcs::{
        client::{RawRpcFuture, RawRpcSubscription, RawValue},
        Error, RpcClient, RpcClientT,
    },
};

pub(crate) use folder::Folder;
use memory::{Memory, Question};

/// Subscriptions that bring headers.
const HEADS: [&str; 3] = [
    "chain_subscribeAllHeads",
    "chain_subscribeFinalizedHeads",
    "chain_subscribeNewHeads",
];

/// Numbers of the messages between a client and its node, without those that end subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Requests.
    pub sent: u64,
    /// Bytes of their parameters.
    pub sent_bytes: u64,
    /// Answers, and news of subscriptions.
    pub received: u64,
    /// Bytes of their results.
    pub received_bytes: u64,
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages sent, {} bytes; {} received, {} bytes",
            self.sent, self.sent_bytes, self.received, self.received_bytes
        )
    }
}

impl Messages {
    fn send(&mut self, params: Option<&RawValue>) {
        self.sent = self.sent.saturating_add(1);
        self.sent_bytes = self.sent_bytes.saturating_add(params.map_or(0, length));
    }

    fn receive(&mut self, result: Option<&RawValue>) {
        self.received = self.received.saturating_add(1);
        self.received_bytes = self.received_bytes.saturating_add(result.map_or(0, length));
    }
}

fn length(json: &RawValue) -> u64 {
    json.get().len() as u64
}

#[derive(Default)]
struct State {
    messages: Messages,
    memory: Memory,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line to a node.
pub(crate) struct Line {
    rpc: RpcClient,
    state: Arc<Mutex<State>>,
    folder: Option<Folder>,
}

impl Line {
    /// A line over a connection. Metadata is kept in `folder`.
    pub(crate) fn new(rpc: RpcClient, folder: Option<Folder>) -> Self {
        Self {
            rpc,
            state: Arc::default(),
            folder,
        }
    }

    /// The messages so far.
    pub(crate) fn messages(&self) -> Messages {
        lock(&self.state).messages
    }

    async fn ask(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, Error> {
        match Question::of(method, params.as_deref()) {
            None => self.send(method, params).await,
            Some(question) => match (&self.folder, question.metadata()) {
                (Some(folder), Some(part)) => self.metadata(folder, &question, &part).await,
                _ => self.remembered(&question).await,
            },
        }
    }

    /// The answer to a question about a block, from the memory or from the node.
    async fn remembered(&self, question: &Question) -> Result<Box<RawValue>, Error> {
        let known = lock(&self.state).memory.answer(question);
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = self
            .send(question.method(), Some(question.params()))
            .await?;
        lock(&self.state).memory.keep(question, &answer);
        Ok(answer)
    }

    /// A part of a block's metadata. It follows from the code of the runtime.
    async fn metadata(
        &self,
        folder: &Folder,
        question: &Question,
        part: &str,
    ) -> Result<Box<RawValue>, Error> {
        let code = match self.remembered(&question.code()).await {
            Ok(code) if code.get() != "null" => code,
            _ => return self.remembered(question).await,
        };
        if let Some(kept) = folder.read(code.get(), part) {
            return Ok(kept);
        }
        let answer = self.remembered(question).await?;
        folder.write(code.get(), part, answer.get());
        Ok(answer)
    }

    async fn send(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, Error> {
        lock(&self.state).messages.send(params.as_deref());
        let answer = self.rpc.request_raw(method, params).await;
        let mut state = lock(&self.state);
        state.messages.receive(answer.as_deref().ok());
        answer
    }

    async fn subscribe(
        &self,
        method: &str,
        params: Option<Box<RawValue>>,
        end: &str,
    ) -> Result<RawRpcSubscription, Error> {
        lock(&self.state).messages.send(params.as_deref());
        let subscribed = self.rpc.subscribe_raw(method, params, end).await;
        lock(&self.state).messages.receive(None);
        let RawRpcSubscription { stream, id } = subscribed?;
        let brings_headers = HEADS.contains(&method);
        let state = self.state.clone();
        let stream = stream.inspect(move |news| {
            let Ok(news) = news else { return };
            let mut state = lock(&state);
            state.messages.receive(Some(&**news));
            if brings_headers {
                state.memory.keep_header(news);
            }
        });
        Ok(RawRpcSubscription {
            stream: Box::pin(stream),
            id,
        })
    }
}

impl RpcClientT for Line {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(self.ask(method, params))
    }

    fn subscribe_raw<'a>(
        &'a self,
        sub: &'a str,
        params: Option<Box<RawValue>>,
        unsub: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(self.subscribe(sub, params, unsub))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{json, Value};
    use subxt::{ext::futures::stream, rpcs::rpc_params};

    use super::{
        memory::tests::{header, name},
        *,
    };

    /// A node that numbers what it is asked, and answers with the number. All blocks have the same
    /// code.
    #[derive(Default)]
    struct Node {
        asked: Mutex<Vec<String>>,
        heads: Vec<Value>,
    }

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    impl RpcClientT for Node {
        fn request_raw<'a>(
            &'a self,
            method: &'a str,
            params: Option<Box<RawValue>>,
        ) -> RawRpcFuture<'a, Box<RawValue>> {
            let params = params.map_or_else(String::new, |params| params.get().to_owned());
            let mut asked = self.asked.lock().unwrap();
            asked.push(format!("{method}{params}"));
            let answer = match method {
                "state_getStorageHash" => json!("0x01"),
                _ => json!(asked.len()),
            };
            Box::pin(async move { Ok(raw(&answer)) })
        }

        fn subscribe_raw<'a>(
            &'a self,
            _: &'a str,
            _: Option<Box<RawValue>>,
            _: &'a str,
        ) -> RawRpcFuture<'a, RawRpcSubscription> {
            let heads: Vec<_> = self.heads.iter().map(|head| Ok(raw(head))).collect();
            Box::pin(async move {
                Ok(RawRpcSubscription {
                    stream: Box::pin(stream::iter(heads)),
                    id: None,
                })
            })
        }
    }

    fn line(node: &Arc<Node>, folder: Option<Folder>) -> Line {
        Line::new(RpcClient::new(node.clone()), folder)
    }

    async fn call(line: &Line, function: &str, block: &[u8; 32]) -> String {
        let params = rpc_params![function, "0x", name(block)].build();
        let answer = line.request_raw("state_call", params).await.unwrap();
        answer.get().to_owned()
    }

    async fn metadata(node: &Arc<Node>, url: &str, path: &Path) -> String {
        let line = line(node, Some(Folder::new(path, url)));
        call(&line, "Metadata_metadata", &[7; 32]).await
    }

    #[tokio::test]
    async fn a_block_is_asked_about_once_and_the_head_each_time() {
        let node = Arc::new(Node::default());
        let line = line(&node, None);
        for _ in 0..2 {
            assert_eq!(call(&line, "RoundsApi_round", &[7; 32]).await, "1");
        }
        for number in ["2", "3"] {
            let head = line.request_raw("chain_getFinalizedHead", None).await;
            assert_eq!(head.unwrap().get(), number);
        }
        let params = format!("[\"RoundsApi_round\",\"0x\",\"{}\"]", name(&[7; 32]));
        let messages = Messages {
            sent: 3,
            sent_bytes: params.len() as u64,
            received: 3,
            received_bytes: 3,
        };
        assert_eq!(line.messages(), messages);
    }

    #[tokio::test]
    async fn headers_that_came_are_not_asked_for_and_tell_the_runtime_of_their_blocks() {
        let (first, first_hash) = header(1, &[7; 32], &[]);
        let (second, second_hash) = header(2, &first_hash, &["0x066175726100"]);
        let (upgrade, upgrade_hash) = header(3, &second_hash, &["0x08"]);
        let node = Arc::new(Node {
            heads: vec![first.clone(), second, upgrade],
            ..Node::default()
        });
        let line = line(&node, None);
        let heads = line
            .subscribe_raw("chain_subscribeNewHeads", None, "")
            .await
            .unwrap();
        assert_eq!(heads.stream.count().await, 3);

        let params = rpc_params![name(&first_hash)].build();
        let known = line.request_raw("chain_getHeader", params).await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(known.get()).unwrap(), first);
        assert_eq!(call(&line, "Core_version", &first_hash).await, "1");
        assert_eq!(call(&line, "Core_version", &second_hash).await, "1");
        assert_eq!(call(&line, "Core_version", &upgrade_hash).await, "2");
        let messages = line.messages();
        assert_eq!((messages.sent, messages.received), (3, 6));
    }

    #[tokio::test]
    async fn metadata_is_asked_for_once_of_each_node() {
        let node = Arc::new(Node::default());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        // The first question of each line is for the hash of the code.
        assert_eq!(metadata(&node, "ws://here", path).await, "2");
        assert_eq!(metadata(&node, "ws://here", path).await, "2");
        // Nothing that one node told is believed of another.
        assert_eq!(metadata(&node, "ws://there", path).await, "5");
        // A file that is no longer what was written is not used.
        for file in std::fs::read_dir(path).unwrap() {
            std::fs::write(file.unwrap().path(), "0x00\n9").unwrap();
        }
        assert_eq!(metadata(&node, "ws://here", path).await, "7");
        let asked = node.asked.lock().unwrap();
        assert!(asked[0].starts_with("state_getStorageHash[\"0x3a636f6465\""));
    }
}
