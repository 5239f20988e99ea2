// SPDX-License-Identifier: Apache-2.0
//! A proxy before an RPC port that counts the messages of each kind.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Bit of the length that says that the frame is masked, as those of clients are.
const MASKED: u8 = 0x80;

/// First opcode of the frames that carry no message: end, ping and pong.
const CONTROL: u8 = 8;

type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// A running proxy. It ends when dropped.
pub struct Proxy {
    url: String,
    counts: Counts,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts a proxy before the WebSocket server at `url`.
    pub async fn start(url: &str) -> Result<Self> {
        let server = url.trim_start_matches("ws://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}", listener.local_addr()?);
        let counts = Counts::default();
        let counted = counts.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    return;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                // Each ends with its connection.
                tokio::spawn(relay(from_client, to_server, counted.clone()));
                tokio::spawn(relay(from_server, to_client, counted.clone()));
            }
        });
        Ok(Self { url, counts, task })
    }

    /// The proxy's own address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The number of messages so far, by method; answers have none.
    pub fn messages(&self) -> BTreeMap<String, usize> {
        let counts = self.counts.lock();
        counts.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Passes on a handshake and then frames, until the connection ends.
async fn relay(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counts: Counts,
) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    to.write_all(head.as_bytes()).await?;
    loop {
        let (opcode, second) = (from.read_u8().await?, from.read_u8().await?);
        let mut frame = vec![opcode, second];
        let length = match second & !MASKED {
            126 => {
                let length = from.read_u16().await?;
                frame.extend(length.to_be_bytes());
                length.into()
            },
            127 => {
                let length = from.read_u64().await?;
                frame.extend(length.to_be_bytes());
                length
            },
            length => length.into(),
        };
        // Without a mask, one of zeros changes nothing.
        let mut mask = [0_u8; 4];
        if second & MASKED != 0 {
            from.read_exact(&mut mask).await?;
            frame.extend(mask);
        }
        let mut payload = vec![0_u8; usize::try_from(length)?];
        from.read_exact(&mut payload).await?;
        frame.extend(&payload);
        to.write_all(&frame).await?;
        if opcode & 0x0f >= CONTROL {
            continue;
        }
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        let message: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let kind = message["method"].as_str().unwrap_or("answer").to_owned();
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(kind).or_default();
        *count = count.saturating_add(1);
    }
}
