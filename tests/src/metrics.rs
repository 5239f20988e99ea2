// SPDX-License-Identifier: Apache-2.0
//! Prometheus metrics of a node.

use anyhow::{ensure, Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Node;

impl Node {
    /// Value of a metric, summed over its labels; 0 if there is none of this name.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let line = self.logged(&["Prometheus exporter started at"]).await?;
        let address = line.split_whitespace().last().context("no address")?;
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nconnection: close\r\n\r\n")
            .await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        ensure!(response.contains(" 200 "), "no metrics: {response}");
        Ok(response.lines().filter_map(|line| value(line, name)).sum())
    }
}

/// The value in a line such as `name{label="x"} 5`, if the line is of this metric.
fn value(line: &str, name: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    ensure_end(rest)?;
    rest.rsplit_once(' ')?.1.parse().ok()
}

/// Ensures that the name ends here, and is not the beginning of a longer one.
fn ensure_end(rest: &str) -> Option<()> {
    rest.starts_with(['{', ' ']).then_some(())
}
