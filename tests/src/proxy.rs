// SPDX-License-Identifier: Apache-2.0
//! Carries TCP connections to a node, each byte after a delay.

use std::{
    net::SocketAddr,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{sleep_until, Instant},
};

/// The most bytes that are carried as one piece.
const PIECE: usize = 16 * 1024;
/// The most pieces that are on their way in one direction of a connection.
const IN_FLIGHT: usize = 1024;

/// The delay of one direction. It may change while connections are open, for bytes that come later.
#[derive(Clone, Debug, Default)]
pub struct Delay(Arc<AtomicU64>);

impl Delay {
    /// Changes the delay, to whole microseconds.
    pub fn set(&self, one_way: Duration) {
        let micros = u64::try_from(one_way.as_micros()).unwrap_or(u64::MAX);
        self.0.store(micros, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A proxy in front of a node. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of the loopback, and carries what comes to `target` and back.
    pub async fn to(target: SocketAddr, delay: &Delay) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let delay = delay.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, target, delay.clone()));
            }
        });
        Ok(Self { address, accepting })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries a connection until one side closes it.
async fn carry(near: TcpStream, target: SocketAddr, delay: Delay) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    // Small packets would wait for each other on top of the delay.
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = one_way(near_in, far_out, &delay) => {},
        () = one_way(far_in, near_out, &delay) => {},
    }
}

/// Carries bytes in one direction until its end. Later pieces do not wait for earlier ones, but for
/// their own delay.
async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: &Delay) {
    let (pieces, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let read = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let at = Instant::now() + delay.get();
            let bytes = piece.iter().take(length).copied().collect();
            if pieces.send((at, bytes)).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_arrive_in_order_in_both_directions() -> Result<()> {
        let echo = TcpListener::bind("127.0.0.1:0").await?;
        let delay = Delay::default();
        let proxy = Proxy::to(echo.local_addr()?, &delay).await?;
        let sent: Vec<u8> = (0..3 * PIECE).map(|index| index as u8).collect();
        let answer = async {
            let (mut from, mut to) = echo.accept().await?.0.into_split();
            tokio::io::copy(&mut from, &mut to).await?;
            anyhow::Ok(())
        };
        let ask = async {
            let (mut from, mut to) = TcpStream::connect(proxy.address()).await?.into_split();
            let mut received = vec![0; sent.len()];
            let write = async {
                for (index, piece) in sent.chunks(PIECE).enumerate() {
                    // The last pieces are the quickest, and overtake nobody.
                    delay.set(Duration::from_millis(5 - index as u64));
                    to.write_all(piece).await?;
                }
                anyhow::Ok(())
            };
            let read = async {
                from.read_exact(&mut received).await?;
                anyhow::Ok(())
            };
            tokio::try_join!(write, read)?;
            assert_eq!(received, sent);
            anyhow::Ok(())
        };
        tokio::select! {
            answered = answer => answered,
            asked = ask => asked,
        }
    }

    #[tokio::test]
    async fn a_connection_ends_with_either_side_and_with_the_proxy() -> Result<()> {
        let node = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy::to(node.local_addr()?, &Delay::default()).await?;
        let mut near = TcpStream::connect(proxy.address()).await?;
        drop(node.accept().await?);
        assert_eq!(near.read(&mut [0]).await.unwrap_or(0), 0);

        let mut near = TcpStream::connect(proxy.address()).await?;
        let (mut far, _) = node.accept().await?;
        drop(proxy);
        assert_eq!(near.read(&mut [0]).await.unwrap_or(0), 0);
        assert_eq!(far.read(&mut [0]).await.unwrap_or(0), 0);
        Ok(())
    }
}
