// SPDX-License-Identifier: Apache-2.0
//! The command `route`.

use starling_console::outln;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use serde::Serialize;
use starling_planner::{exact::private_pipeline, Costs};

use crate::{instance::Instance, planning::given};

/// Arguments of `route`.
#[derive(clap::Args)]
pub struct Args {
    /// The instance.
    #[arg(long, value_name = "FILE")]
    instance: PathBuf,
    /// The node that asks.
    #[arg(long, value_name = "NODE", default_value_t = 0)]
    client: usize,
    /// The first layer of each node's span; the best known of the instance by default.
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    starts: Vec<u16>,
    /// The number of layers of each node; as many as its memory takes by default.
    #[arg(long, value_name = "LAYERS,…", value_delimiter = ',')]
    lengths: Vec<u16>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Stage {
    node: usize,
    start: usize,
    end: usize,
}

#[derive(Serialize)]
struct Output {
    client: usize,
    token_ms: f64,
    stages: Vec<Stage>,
    /// The time of the best pipeline if the layers were placed for this client alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_token_ms: Option<f64>,
}

impl Args {
    /// Finds the fastest pipeline.
    pub fn run(self) -> Result<()> {
        let instance = Instance::read(&self.instance)?;
        let picture = instance.picture()?;
        let n = picture.nodes().len();
        ensure!(self.client < n, "no node {}; there are {n}", self.client);
        let placement = given(&instance, &picture, &self.starts, &self.lengths)?;
        let costs = Costs::new(&picture);
        let way = costs
            .fastest(&placement, self.client)
            .context("a layer has no holder")?;
        let private = private_pipeline(&picture, &costs, self.client);
        let stages = way.stages.iter();
        let output = Output {
            client: self.client,
            token_ms: way.cost * 1e3,
            stages: stages
                .map(|(node, layers)| Stage {
                    node: *node,
                    start: layers.start,
                    end: layers.end,
                })
                .collect(),
            private_token_ms: private.map(|(_, time)| time * 1e3),
        };
        if self.json {
            outln!("{}", serde_json::to_string(&output)?);
            return Ok(());
        }
        outln!("node {}: {:.2} ms a token", output.client, output.token_ms);
        for stage in &output.stages {
            outln!(
                "  layers {}..{} on node {}",
                stage.start,
                stage.end,
                stage.node
            );
        }
        if let Some(time) = output.private_token_ms {
            outln!("placed for this client alone: {time:.2} ms");
        }
        Ok(())
    }
}
