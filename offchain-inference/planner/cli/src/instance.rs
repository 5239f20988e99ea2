// SPDX-License-Identifier: Apache-2.0
//! Instances: a model, nodes and round-trip times in a JSON file, with reference scores.

use std::{fs, path::Path};

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_planner::{picture::MAX_NODES, Model, NodeFacts, Picture};

/// A file of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The model.
    pub model: ModelEntry,
    /// Microseconds of a stage besides network and layers.
    #[serde(default = "millisecond")]
    pub hop_us: f64,
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
    /// Round-trip times in tenths of a millisecond: the upper triangle, one string a row, or all of
    /// a matrix whose halves may differ.
    pub rtt_tenth_ms: Vec<String>,
    /// Scores of known placements.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub reference: Value,
}

/// The model of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Layers of the model. Files say `blocks`, the word of the papers, and others write them.
    #[serde(rename = "blocks")]
    pub layers: u16,
    /// Bytes of one row on the wire.
    pub row_bytes: u32,
}

/// A node of an instance. A value that is no number counts as unknown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Layers that fit into its memory.
    #[serde(default, rename = "blocks")]
    pub layers: Value,
    /// Microseconds a layer.
    #[serde(default, rename = "block_us")]
    pub layer_us: Value,
    /// Batch gain.
    #[serde(default)]
    pub batch: Value,
    /// kbit/s up.
    #[serde(default)]
    pub up_kbps: Value,
    /// kbit/s down.
    #[serde(default)]
    pub down_kbps: Value,
    /// Chance to be there in the next hour.
    #[serde(default)]
    pub availability: Value,
}

fn millisecond() -> f64 {
    1000.0
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

impl NodeEntry {
    fn facts(&self) -> NodeFacts {
        NodeFacts {
            capacity: number(&self.layers),
            layer_us: number(&self.layer_us),
            batch: number(&self.batch),
            up_kbps: number(&self.up_kbps),
            down_kbps: number(&self.down_kbps),
            availability: number(&self.availability),
        }
    }
}

impl Instance {
    /// Reads an instance.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the instance {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no instance", path.display()))
    }

    /// The picture of its swarm.
    pub fn picture(&self) -> Result<Picture> {
        let n = self.nodes.len();
        ensure!(
            n <= MAX_NODES,
            "{n} nodes; starling-plan takes at most {MAX_NODES}"
        );
        let rtt = Matrix::parse(n, &self.rtt_tenth_ms)?;
        let hop_ns = (self.hop_us * 1e3).round();
        ensure!(
            (0.0..=1e9).contains(&hop_ns),
            "hop_us must be from 0 to 1,000,000"
        );
        let model = Model {
            layers: self.model.layers,
            row_bytes: self.model.row_bytes,
            hop_ns: hop_ns as u32,
        };
        let facts: Vec<_> = self.nodes.iter().map(NodeEntry::facts).collect();
        Ok(Picture::new(model, &facts, |i, j| rtt.claim(i, j))?)
    }
}

/// Round-trip times as a file gives them.
struct Matrix {
    n: usize,
    full: bool,
    rows: Vec<Vec<f64>>,
}

impl Matrix {
    fn parse(n: usize, rows: &[String]) -> Result<Self> {
        let parse = |row: &String| -> Vec<f64> {
            match row.trim() {
                "" => vec![],
                row => row
                    .split(',')
                    .map(|value| value.trim().parse().unwrap_or(f64::NAN))
                    .collect(),
            }
        };
        let rows: Vec<_> = rows.iter().map(parse).collect();
        let full = rows.len() == n && rows.iter().all(|row| row.len() == n);
        if !full {
            if rows.len() != n.saturating_sub(1) && rows.len() != n {
                bail!(
                    "rtt_tenth_ms has {} rows; {n} nodes need {}",
                    rows.len(),
                    n.saturating_sub(1)
                );
            }
            for (i, row) in rows.iter().enumerate() {
                let due = n - 1 - i;
                ensure!(
                    row.len() == due,
                    "row {i} of rtt_tenth_ms has {} values instead of {due}",
                    row.len()
                );
            }
        }
        Ok(Self { n, full, rows })
    }

    /// The first node's measurement to the second. An empty place is no claim; one that is no
    /// number is a bad one.
    fn claim(&self, i: usize, j: usize) -> Option<f64> {
        debug_assert!(i < self.n && j < self.n);
        if self.full {
            return Some(self.rows[i][j]);
        }
        (i < j).then(|| self.rows[i][j - i - 1])
    }
}
