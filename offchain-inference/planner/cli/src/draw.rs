// SPDX-License-Identifier: Apache-2.0
//! Instances drawn from topologies: round-trip times are measured, devices are drawn from classes.

use starling_console::outln;
use std::{fs, path::PathBuf};

use anyhow::{ensure, Context, Result};
use clap::ValueEnum;
use rand::{seq::SliceRandom, Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use serde_json::{json, Value};

use crate::instance::{Instance, ModelEntry, NodeEntry};

/// Arguments of `draw`.
#[derive(clap::Args)]
pub struct Args {
    /// A topology: a CSV file of round-trip times, upper triangle.
    #[arg(long, value_name = "FILE")]
    topology: PathBuf,
    /// The model.
    #[arg(long, value_enum)]
    model: ModelShape,
    /// Number of nodes.
    #[arg(long)]
    nodes: usize,
    /// Seed of the drawing.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No data centres among the nodes.
    #[arg(long)]
    home: bool,
    /// A last mile of 4 to 25 ms for each home, if the topology is one of clouds.
    #[arg(long)]
    last_mile: bool,
}

/// Shapes of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelShape {
    /// 12 layers, tiny.
    T12,
    /// 30 layers, small.
    S30,
    /// 32 layers of 436 MB.
    L32,
    /// 80 layers of 481 MB.
    L80,
    /// 126 layers of 1.79 GB.
    L126,
}

/// A class of devices: share, GiB given, GB/s, Mbit/s up and down, batch gain, availability.
struct Class(f64, f64, f64, u32, u32, f64, f64);

/// CPU, small GPU, big GPU, data centre.
const CLASSES: [Class; 4] = [
    Class(0.45, 6.0, 40.0, 20, 100, 2.0, 0.90),
    Class(0.30, 10.0, 250.0, 20, 100, 6.0, 0.92),
    Class(0.20, 22.0, 800.0, 40, 250, 8.0, 0.95),
    Class(0.05, 64.0, 1800.0, 1000, 1000, 12.0, 0.995),
];
const DATA_CENTRE: usize = 3;

impl ModelShape {
    fn name(self) -> &'static str {
        match self {
            Self::T12 => "t12",
            Self::S30 => "s30",
            Self::L32 => "l32",
            Self::L80 => "l80",
            Self::L126 => "l126",
        }
    }

    /// Layers, and bytes of a row on the wire.
    fn shape(self) -> (u16, u32) {
        match self {
            Self::T12 => (12, 612),
            Self::S30 => (30, 612),
            Self::L32 => (32, 4352),
            Self::L80 => (80, 8704),
            Self::L126 => (126, 17408),
        }
    }

    /// Layers that a device of a class holds, and seconds a layer.
    fn device(self, class: usize, nodes: usize) -> (u16, f64) {
        let Class(_, gib, bandwidth, ..) = CLASSES[class];
        let seconds = [2.2e-4, 7e-5, 4e-5, 2e-5];
        let bytes = match self {
            Self::T12 => return ([3, 4, 5, 6][class], seconds[class]),
            Self::S30 if nodes > 8 => return ([3, 5, 7, 7][class], seconds[class]),
            Self::S30 => return ([5, 7, 9, 12][class], seconds[class]),
            Self::L32 => 436e6,
            Self::L80 => 481e6,
            Self::L126 => 1.79e9,
        };
        let gib = if self == Self::L32 { gib / 3.0 } else { gib };
        let (layers, _) = self.shape();
        let most = if nodes <= 8 { layers / 2 } else { layers / 4 };
        let fits = gib * f64::from(1 << 30) / (bytes * 1.2);
        let held = (fits.max(1.0) as u16).min(most);
        (held, bytes / (bandwidth * 1e9) + 5e-5)
    }
}

/// A topology: round-trip times in tenths of a millisecond.
pub struct Topology {
    /// Its name.
    pub name: String,
    rows: Vec<Vec<f64>>,
}

impl Topology {
    /// Reads a topology.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the topology {}", path.display()))?;
        let mut rows = vec![];
        let mut nodes = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(count) = line.strip_prefix("nodes,") {
                nodes = count.trim().parse().context("the number of nodes")?;
            } else if !line.starts_with("names,") && !line.is_empty() {
                let row: Result<Vec<f64>, _> = line.split(',').map(str::parse).collect();
                rows.push(row.context("a round-trip time")?);
            }
        }
        ensure!(
            rows.len() + 1 == nodes
                && rows
                    .iter()
                    .enumerate()
                    .all(|(i, row)| row.len() == nodes - 1 - i),
            "{} is no upper triangle of {nodes} nodes",
            path.display()
        );
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            rows,
        })
    }

    /// The number of its nodes.
    pub fn nodes(&self) -> usize {
        self.rows.len() + 1
    }

    fn rtt(&self, i: usize, j: usize) -> f64 {
        match i.cmp(&j) {
            std::cmp::Ordering::Less => self.rows[i][j - i - 1],
            std::cmp::Ordering::Equal => 10.0,
            std::cmp::Ordering::Greater => self.rows[j][i - j - 1],
        }
    }
}

/// Options of a drawing.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// The model.
    pub model: ModelShape,
    /// Number of nodes.
    pub nodes: usize,
    /// Seed of the drawing.
    pub seed: u64,
    /// True if there are no data centres.
    pub home: bool,
    /// True if homes have a last mile.
    pub last_mile: bool,
}

impl Drawing {
    /// Draws an instance.
    pub fn draw(&self, topology: &Topology) -> Instance {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let (layers, row_bytes) = self.model.shape();
        let mut places: Vec<_> = (0..topology.nodes()).collect();
        places.shuffle(&mut rng);
        while places.len() < self.nodes {
            places.push(rng.random_range(0..topology.nodes()));
        }
        let classes = self.classes(&mut rng);
        let spread = Normal::new(0.0, 0.15).unwrap_or_else(|_| unreachable!());
        let nodes = classes.iter().map(|&class| {
            let (held, seconds) = self.model.device(class, self.nodes);
            let micros = seconds * 1e6 * f64::exp(spread.sample(&mut rng));
            let Class(_, _, _, up, down, batch, availability) = CLASSES[class];
            NodeEntry {
                layers: held.into(),
                layer_us: json!((micros * 1e3).round() / 1e3),
                batch: batch.into(),
                up_kbps: (up * 1000).into(),
                down_kbps: (down * 1000).into(),
                availability: availability.into(),
            }
        });
        let nodes = nodes.collect();
        let miles: Vec<f64> = classes
            .iter()
            .map(|&class| match (self.last_mile, class) {
                (false, _) => 0.0,
                (true, DATA_CENTRE) => 3.0,
                (true, _) => rng.random_range(40.0..250.0),
            })
            .collect();
        let rtt = |i: usize, j: usize| topology.rtt(places[i], places[j]) + miles[i] + miles[j];
        let row = |i: usize| {
            let values = (i + 1..self.nodes).map(|j| rtt(i, j).round().max(1.0).to_string());
            values.collect::<Vec<_>>().join(",")
        };
        Instance {
            name: format!(
                "{}-{}-{}-{}",
                topology.name,
                self.nodes,
                self.model.name(),
                self.seed
            ),
            model: ModelEntry {
                name: self.model.name().into(),
                layers,
                row_bytes,
            },
            hop_us: 1000.0,
            nodes,
            rtt_tenth_ms: (0..self.nodes - 1).map(row).collect(),
            reference: Value::Null,
        }
    }

    /// Classes of all nodes, drawn until they have 1.3 times the memory of the model.
    fn classes(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let (layers, _) = self.model.shape();
        let count = if self.home {
            DATA_CENTRE
        } else {
            CLASSES.len()
        };
        let shares = || CLASSES.iter().take(count).map(|class| class.0);
        let whole: f64 = shares().sum();
        let class = |rng: &mut ChaCha8Rng| {
            let mut drawn = rng.random::<f64>() * whole;
            let found = shares().position(|share| {
                drawn -= share;
                drawn < 0.0
            });
            found.unwrap_or(0)
        };
        loop {
            let classes: Vec<_> = (0..self.nodes).map(|_| class(rng)).collect();
            let held = classes.iter().map(|&c| self.model.device(c, self.nodes).0);
            if held.map(f64::from).sum::<f64>() >= 1.3 * f64::from(layers) {
                return classes;
            }
        }
    }
}

impl Args {
    /// Draws an instance and prints it.
    pub fn run(self) -> Result<()> {
        ensure!(self.nodes >= 2, "an instance has at least two nodes");
        let topology = Topology::read(&self.topology)?;
        let drawing = Drawing {
            model: self.model,
            nodes: self.nodes,
            seed: self.seed,
            home: self.home,
            last_mile: self.last_mile,
        };
        outln!("{}", serde_json::to_string(&drawing.draw(&topology))?);
        Ok(())
    }
}
