// SPDX-License-Identifier: Apache-2.0
//! A WebSocket with the headers that a test chooses, as a browser sends those of a page.

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::node::PATIENCE;

/// Opcode of a text message in one frame.
const TEXT: u8 = 0x81;

/// Bit of the length that says that the frame is masked, as those of clients are.
const MASKED: u8 = 0x80;

/// A JSON-RPC connection.
pub struct WebSocket {
    socket: BufReader<TcpStream>,
    calls: u64,
}

impl WebSocket {
    /// Connects to the server at `url`. The server sees `host`, or its own address, and the page of
    /// `origin`, if there is one.
    ///
    /// # Errors
    /// If the server refuses the handshake; the error has its answer.
    pub async fn open(url: &str, host: Option<&str>, origin: Option<&str>) -> Result<Self> {
        let address = url.trim_start_matches("ws://");
        let mut socket = BufReader::new(TcpStream::connect(address).await?);
        let host = host.unwrap_or(address);
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n"));
        let handshake = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            origin.unwrap_or_default()
        );
        socket.write_all(handshake.as_bytes()).await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = timeout(PATIENCE, socket.read_line(&mut head)).await??;
            ensure!(read > 0, "the server ends the handshake: {head}");
        }
        ensure!(head.starts_with("HTTP/1.1 101 "), "refused: {head}");
        Ok(Self { socket, calls: 0 })
    }

    /// Calls a method.
    ///
    /// # Errors
    /// If the server answers with an error; the error has its words.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.calls += 1;
        let id = self.calls;
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(call.to_string().as_bytes()).await?;
        loop {
            let message = self.next().await?;
            if message["id"] != id {
                continue;
            }
            if let Some(error) = message.get("error") {
                bail!("{method}: {error}");
            }
            return Ok(message["result"].clone());
        }
    }

    /// The next message: an answer or an event.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            let (opcode, payload) = timeout(PATIENCE, self.receive()).await??;
            if opcode == TEXT {
                return Ok(serde_json::from_slice(&payload)?);
            }
        }
    }

    async fn send(&mut self, payload: &[u8]) -> Result<()> {
        // A mask of zeros changes nothing.
        let mask = [0; 4];
        let length = u16::try_from(payload.len()).context("a short call")?;
        let mut frame = match u8::try_from(length) {
            Ok(length) if length < 126 => vec![TEXT, MASKED | length],
            _ => [&[TEXT, MASKED | 126], &length.to_be_bytes()[..]].concat(),
        };
        frame.extend(mask);
        frame.extend(payload);
        Ok(self.socket.write_all(&frame).await?)
    }

    async fn receive(&mut self) -> Result<(u8, Vec<u8>)> {
        let opcode = self.socket.read_u8().await?;
        let length = match self.socket.read_u8().await? {
            126 => self.socket.read_u16().await?.into(),
            127 => self.socket.read_u64().await?,
            length => length.into(),
        };
        let mut payload = vec![0; usize::try_from(length)?];
        self.socket.read_exact(&mut payload).await?;
        Ok((opcode, payload))
    }
}
