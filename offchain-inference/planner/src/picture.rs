// SPDX-License-Identifier: Apache-2.0
//! A node's knowledge of a swarm, as integers.
//!
//! All nodes with the same picture have the same plan: facts are rounded to integers when the
//! picture is made, and nodes are in an order that all agree on (by peer). A fact that makes no
//! sense is replaced by its default and counted; it never costs the whole picture.

use blake2::{digest::consts::U32, Blake2b, Digest};

/// The most nodes of a picture. The time of an evaluation grows with their square.
pub const MAX_NODES: usize = 1024;

/// The most layers of a model.
pub const MAX_LAYERS: u16 = 1024;

/// Round-trip time of a pair that nobody measured, in tenths of a millisecond.
pub const UNKNOWN_RTT: u32 = 3_000;

/// Nanoseconds of a stage besides network and layers, where nothing else is known.
pub const HOP_NS: u32 = 1_000_000;

/// The longest round-trip time that is believed, in tenths of a millisecond.
pub(crate) const LONGEST_RTT: f64 = 600_000.0;

/// The model that is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Layers of the model.
    pub layers: u16,
    /// Bytes of one row on the wire.
    pub row_bytes: u32,
    /// Nanoseconds of a stage besides network and layers.
    pub hop_ns: u32,
}

/// The measured or announced facts about one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    /// Layers that fit into its memory.
    pub capacity: f64,
    /// Microseconds of a layer for one row.
    pub layer_us: f64,
    /// Tokens a second with a full queue over those with one sequence.
    pub batch: f64,
    /// Bandwidth up, in kbit/s.
    pub up_kbps: f64,
    /// Bandwidth down, in kbit/s.
    pub down_kbps: f64,
    /// Chance that it is there in the next hour.
    pub availability: f64,
}

/// One node of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Layers that fit into its memory, at most those of the model.
    pub capacity: u16,
    /// Nanoseconds of a layer for one row.
    pub layer_ns: u64,
    /// Batch gain in thousandths.
    pub batch_milli: u32,
    /// Bandwidth up, in kbit/s.
    pub up_kbps: u32,
    /// Bandwidth down, in kbit/s.
    pub down_kbps: u32,
    /// Chance that it is there in the next hour, in millionths.
    pub availability_ppm: u32,
}

/// A picture that cannot be planned with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The model has no layers.
    #[error("the model has no layers")]
    NoLayers,
    /// The model has too many layers.
    #[error("a model of {0} layers; a picture holds models of at most {MAX_LAYERS}")]
    TooManyLayers(u16),
    /// There are no nodes.
    #[error("the picture has no nodes")]
    NoNodes,
    /// There are too many nodes.
    #[error("{0} nodes; a picture holds at most {MAX_NODES}")]
    TooManyNodes(usize),
}

/// A swarm: a model, nodes in the order of their peers, and round-trip times between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    model: Model,
    nodes: Vec<Node>,
    /// Symmetric, in tenths of a millisecond, row after row; 0 on the diagonal.
    rtt: Vec<u32>,
    bad_facts: usize,
}

impl Picture {
    /// Makes a picture of facts. `rtt` gives the round-trip time that the first node measured to
    /// the second, in tenths of a millisecond, or `None` if it did not. The larger of two claims
    /// counts, so that no node can make itself near alone.
    pub fn new(
        model: Model,
        facts: &[NodeFacts],
        rtt: impl Fn(usize, usize) -> Option<f64>,
    ) -> Result<Self, PictureError> {
        match model.layers {
            0 => return Err(PictureError::NoLayers),
            layers if layers > MAX_LAYERS => return Err(PictureError::TooManyLayers(layers)),
            _ => {},
        }
        match facts.len() {
            0 => return Err(PictureError::NoNodes),
            nodes if nodes > MAX_NODES => return Err(PictureError::TooManyNodes(nodes)),
            _ => {},
        }
        let mut checked = Checked::default();
        let nodes: Vec<_> = facts.iter().map(|f| checked.node(&model, f)).collect();
        let n = nodes.len();
        let mut matrix = vec![0; n * n];
        for i in 0..n {
            for j in i + 1..n {
                let claims = [rtt(i, j), rtt(j, i)].map(|claim| checked.rtt(claim));
                let joined = claims.into_iter().flatten().max().unwrap_or(UNKNOWN_RTT);
                matrix[i * n + j] = joined;
                matrix[j * n + i] = joined;
            }
        }
        Ok(Self {
            model,
            nodes,
            rtt: matrix,
            bad_facts: checked.bad,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Round-trip time between two nodes, in tenths of a millisecond.
    pub fn rtt(&self, i: usize, j: usize) -> u32 {
        self.rtt[i * self.nodes.len() + j]
    }

    /// The number of facts that made no sense and were replaced.
    pub fn bad_facts(&self) -> usize {
        self.bad_facts
    }

    /// The layers that all nodes together have memory for.
    pub fn capacity(&self) -> usize {
        self.nodes.iter().map(|n| usize::from(n.capacity)).sum()
    }

    /// BLAKE2-256 of the whole picture.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Blake2b::<U32>::new();
        hasher.update(b"starling picture 1");
        hasher.update(self.model.layers.to_le_bytes());
        hasher.update(self.model.row_bytes.to_le_bytes());
        hasher.update(self.model.hop_ns.to_le_bytes());
        for node in &self.nodes {
            hasher.update(node.capacity.to_le_bytes());
            hasher.update(node.layer_ns.to_le_bytes());
            for value in [
                node.batch_milli,
                node.up_kbps,
                node.down_kbps,
                node.availability_ppm,
            ] {
                hasher.update(value.to_le_bytes());
            }
        }
        for rtt in &self.rtt {
            hasher.update(rtt.to_le_bytes());
        }
        hasher.finalize().into()
    }
}

/// Rounds facts and counts those that make no sense.
#[derive(Default)]
struct Checked {
    bad: usize,
}

impl Checked {
    fn node(&mut self, model: &Model, facts: &NodeFacts) -> Node {
        let capacity = self.number(facts.capacity, 0.0, 0.0, f64::from(u16::MAX)) as u16;
        Node {
            capacity: capacity.min(model.layers),
            layer_ns: self.positive(facts.layer_us * 1e3, 1e9, 1e3, 60e9) as u64,
            batch_milli: self.positive(facts.batch * 1e3, 2e3, 1e3, 64e3) as u32,
            up_kbps: self.positive(facts.up_kbps, 20e3, 64.0, 1e8) as u32,
            down_kbps: self.positive(facts.down_kbps, 100e3, 64.0, 1e8) as u32,
            availability_ppm: self.positive(facts.availability * 1e6, 900e3, 10e3, 999_900.0)
                as u32,
        }
    }

    /// A positive number between `least` and `most`, or `default` if it is none.
    fn positive(&mut self, value: f64, default: f64, least: f64, most: f64) -> f64 {
        if value > 0.0 {
            value.round().clamp(least, most)
        } else {
            self.bad += 1;
            default
        }
    }

    /// As [`Self::positive`], but 0 makes sense.
    fn number(&mut self, value: f64, default: f64, least: f64, most: f64) -> f64 {
        if value >= 0.0 {
            value.floor().clamp(least, most)
        } else {
            self.bad += 1;
            default
        }
    }

    fn rtt(&mut self, claim: Option<f64>) -> Option<u32> {
        let value = claim?;
        if value > 0.0 && value <= LONGEST_RTT {
            return Some((value.round() as u32).max(1));
        }
        self.bad += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Model = Model {
        layers: 8,
        row_bytes: 612,
        hop_ns: 1_000_000,
    };

    fn facts() -> NodeFacts {
        NodeFacts {
            capacity: 4.0,
            layer_us: 200.0,
            batch: 2.0,
            up_kbps: 20e3,
            down_kbps: 100e3,
            availability: 0.9,
        }
    }

    #[test]
    fn facts_without_sense_are_replaced_and_counted() {
        for value in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            let bad = NodeFacts {
                capacity: value,
                layer_us: value,
                batch: value,
                up_kbps: value,
                down_kbps: value,
                availability: value,
            };
            let picture = Picture::new(MODEL, &[bad, facts()], |_, _| Some(value)).unwrap();
            assert_eq!(picture.bad_facts(), 8);
            assert_eq!(picture.nodes()[0].capacity, 0);
            assert_eq!(picture.nodes()[0].batch_milli, 2000);
            assert_eq!(picture.rtt(0, 1), UNKNOWN_RTT);
        }
    }

    #[test]
    fn huge_facts_are_cut() {
        let huge = NodeFacts {
            capacity: f64::INFINITY,
            layer_us: 1e300,
            batch: f64::MAX,
            up_kbps: f64::INFINITY,
            down_kbps: 1e300,
            availability: 7.0,
        };
        let picture = Picture::new(MODEL, &[huge, facts()], |_, _| Some(1e300)).unwrap();
        let node = picture.nodes()[0];
        assert_eq!((node.capacity, node.layer_ns), (8, 60_000_000_000));
        assert_eq!((node.batch_milli, node.availability_ppm), (64_000, 999_900));
        assert_eq!(picture.rtt(1, 0), UNKNOWN_RTT);
    }

    #[test]
    fn of_two_claims_the_larger_counts() {
        let claims = |i: usize, j: usize| match (i, j) {
            (0, 1) => Some(5.0),
            (1, 0) => Some(70.0),
            (0, 2) => Some(9.0),
            _ => None,
        };
        let picture = Picture::new(MODEL, &vec![facts(); 3], claims).unwrap();
        assert_eq!([picture.rtt(0, 1), picture.rtt(1, 0)], [70, 70]);
        assert_eq!([picture.rtt(2, 0), picture.rtt(1, 2)], [9, UNKNOWN_RTT]);
    }

    #[test]
    fn pictures_of_nothing_and_of_too_much_are_refused() {
        let none = Model { layers: 0, ..MODEL };
        let new = |model, nodes| Picture::new(model, &vec![facts(); nodes], |_, _| None);
        assert_eq!(new(none, 1), Err(PictureError::NoLayers));
        assert_eq!(new(MODEL, 0), Err(PictureError::NoNodes));
        let error = new(MODEL, 10_000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "10000 nodes; a picture holds at most 1024"
        );
    }

    #[test]
    fn a_fact_changes_the_hash() {
        let picture = |rtt| Picture::new(MODEL, &[facts(), facts()], |_, _| Some(rtt)).unwrap();
        assert_eq!(picture(10.0).hash(), picture(10.0).hash());
        assert_ne!(picture(10.0).hash(), picture(11.0).hash());
    }
}
