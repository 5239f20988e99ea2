// SPDX-License-Identifier: Apache-2.0
//! Schemas: placements of recorded swarms, found by fingerprint and carried over to another swarm.
//!
//! A library is signed by its publisher, and anyone can check an entry: its fingerprint and its
//! score follow from its nodes and round-trip times. One entry that does not follow makes the whole
//! library refused. A schema is only one candidate among others and is scored exactly, so no
//! library can make a plan worse than the best of the simple rules.

use blake2::{digest::consts::U32, Blake2b, Digest};
use codec::{Decode, Encode};
use schnorrkel::{signing_context, Keypair, PublicKey, Signature};

use crate::{
    assignment::assign,
    cost::{clients, Costs, Evaluator, Objective, Switch},
    fingerprint::{ln, Fingerprint},
    picture::{Model, NodeFacts, Picture, PictureError, MAX_NODES},
    placement::{Placement, Span},
    search::REPORTED_CLIENTS,
};

/// The most bytes of a library.
pub const MAX_BYTES: usize = 4 << 20;

/// The most schemas of a library.
pub const MAX_SCHEMAS: usize = 256;

/// The number of schemas that become candidates.
pub const NEAREST: usize = 5;

const CONTEXT: &[u8] = b"starling library";

/// Rounds in which distances to the nodes matched so far count, and their weight.
const ROUNDS: usize = 3;
const DISTANCES: f64 = 6.0;

/// A node of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SchemaNode {
    /// Layers that fit into its memory.
    pub capacity: u16,
    /// The first layer of its span.
    pub start: u16,
    /// The number of layers that it holds.
    pub length: u16,
    /// Nanoseconds a layer.
    pub layer_ns: u64,
    /// Batch gain in thousandths.
    pub batch_milli: u32,
    /// kbit/s up.
    pub up_kbps: u32,
    /// kbit/s down.
    pub down_kbps: u32,
    /// Chance to be there in the next hour, in millionths.
    pub availability_ppm: u32,
}

/// A placement of a recorded swarm. No node has a name in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Schema {
    /// Layers of the model.
    pub layers: u16,
    /// Bytes of a row on the wire.
    pub row_bytes: u32,
    /// Nanoseconds of a stage besides network and layers.
    pub hop_ns: u32,
    /// The fingerprint of the swarm.
    pub fingerprint: Fingerprint,
    /// The nodes and their spans.
    pub nodes: Vec<SchemaNode>,
    /// Round-trip times in tenths of a millisecond: the upper triangle, row after row.
    pub rtt: Vec<u32>,
    /// The score of the placement with all clients, in picoseconds.
    pub score_ps: u64,
}

/// Schemas of several swarms and models.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Library {
    /// The version of the format: 1.
    pub version: u8,
    /// The schemas.
    pub schemas: Vec<Schema>,
}

/// A library as stored and sent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Signed {
    publisher: [u8; 32],
    signature: [u8; 64],
    library: Vec<u8>,
}

/// A reason to refuse a library.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// It is too long.
    #[error("a library of {0} bytes; at most {MAX_BYTES} are read")]
    TooLong(usize),
    /// It cannot be decoded.
    #[error("the bytes are no library")]
    Undecodable,
    /// Its version is unknown.
    #[error("a library of version {0}; version 1 is known")]
    Version(u8),
    /// It has too many schemas.
    #[error("a library of {0} schemas; at most {MAX_SCHEMAS} are read")]
    TooMany(usize),
    /// Its publisher is not trusted.
    #[error("the publisher of the library is not trusted")]
    Publisher,
    /// The signature is not of its publisher over this chain and this library.
    #[error("the signature of the library does not match")]
    Signature,
    /// A schema is not a swarm.
    #[error("schema {0} is no swarm: {1}")]
    Picture(usize, PictureError),
    /// A schema has values that no picture has, or spans that its nodes cannot hold.
    #[error("schema {0} has values that no swarm has")]
    Values(usize),
    /// A schema's fingerprint is not that of its swarm.
    #[error("schema {0} has the fingerprint of another swarm")]
    Fingerprint(usize),
    /// A schema's score is not that of its placement.
    #[error("schema {0} has the score of another placement")]
    Score(usize),
}

impl Schema {
    /// The schema of a placement.
    pub fn new(picture: &Picture, placement: &Placement) -> Self {
        let n = picture.nodes().len();
        let placement = placement.allowed(picture);
        let both = picture.nodes().iter().zip(&placement.0);
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        Self {
            layers: picture.model().layers,
            row_bytes: picture.model().row_bytes,
            hop_ns: picture.model().hop_ns,
            fingerprint: Fingerprint::new(picture),
            nodes: both
                .map(|(node, span)| SchemaNode {
                    capacity: node.capacity,
                    start: span.start,
                    length: span.len(),
                    layer_ns: node.layer_ns,
                    batch_milli: node.batch_milli,
                    up_kbps: node.up_kbps,
                    down_kbps: node.down_kbps,
                    availability_ppm: node.availability_ppm,
                })
                .collect(),
            rtt: pairs.map(|(i, j)| picture.rtt(i, j)).collect(),
            score_ps: picoseconds(picture, &placement),
        }
    }

    /// The recorded swarm and its placement.
    fn unpack(&self, place: usize) -> Result<(Picture, Placement), LibraryError> {
        let n = self.nodes.len();
        if n > MAX_NODES || self.rtt.len() != n * n.saturating_sub(1) / 2 {
            return Err(LibraryError::Values(place));
        }
        let model = Model {
            layers: self.layers,
            row_bytes: self.row_bytes,
            hop_ns: self.hop_ns,
        };
        let facts: Vec<_> = self.nodes.iter().map(SchemaNode::facts).collect();
        let rtt = |i: usize, j: usize| {
            // Rows before this one have n − 1, n − 2 … values.
            let row = i * (2 * n).saturating_sub(i + 1) / 2;
            (i < j).then(|| f64::from(self.rtt[row + j - i - 1]))
        };
        let picture = Picture::new(model, &facts, rtt)
            .map_err(|error| LibraryError::Picture(place, error))?;
        let spans = self.nodes.iter().map(|n| Span::of(n.start, n.length));
        Ok((picture, Placement(spans.collect())))
    }

    /// Fails unless all values follow from its nodes and round-trip times.
    fn check(&self, place: usize) -> Result<(), LibraryError> {
        let (picture, placement) = self.unpack(place)?;
        let same = Self::new(&picture, &placement);
        if same.nodes != self.nodes || same.rtt != self.rtt {
            return Err(LibraryError::Values(place));
        }
        if same.fingerprint != self.fingerprint {
            return Err(LibraryError::Fingerprint(place));
        }
        if same.score_ps != self.score_ps {
            return Err(LibraryError::Score(place));
        }
        Ok(())
    }
}

impl SchemaNode {
    fn facts(&self) -> NodeFacts {
        NodeFacts {
            capacity: self.capacity.into(),
            layer_us: self.layer_ns as f64 * 1e-3,
            batch: f64::from(self.batch_milli) * 1e-3,
            up_kbps: self.up_kbps.into(),
            down_kbps: self.down_kbps.into(),
            availability: f64::from(self.availability_ppm) * 1e-6,
        }
    }
}

fn picoseconds(picture: &Picture, placement: &Placement) -> u64 {
    let costs = Costs::new(picture);
    let clients = clients(costs.nodes(), REPORTED_CLIENTS);
    let mut evaluator = Evaluator::new(&costs, Objective::default(), clients);
    let score = evaluator.score(placement, Switch::AtEnds);
    (score.total * 1e12).round() as u64
}

/// BLAKE2-256 of the bytes of a library; releases and configurations name a library by it.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

fn message(genesis: &[u8; 32], library: &[u8]) -> [u8; 64] {
    let mut message = [0; 64];
    message[..32].copy_from_slice(genesis);
    message[32..].copy_from_slice(&hash(library));
    message
}

impl Library {
    /// A library of schemas.
    pub fn new(schemas: Vec<Schema>) -> Self {
        Self {
            version: 1,
            schemas,
        }
    }

    /// The bytes of the library, signed for the chain of this genesis.
    pub fn sign(&self, genesis: &[u8; 32], key: &Keypair) -> Vec<u8> {
        let library = self.encode();
        let transcript = signing_context(CONTEXT).bytes(&message(genesis, &library));
        Signed {
            publisher: key.public.to_bytes(),
            signature: key.sign(transcript).to_bytes(),
            library,
        }
        .encode()
    }

    /// Reads a library that one of `publishers` signed for the chain of this genesis, and checks
    /// every schema.
    pub fn open(
        mut bytes: &[u8],
        genesis: &[u8; 32],
        publishers: &[[u8; 32]],
    ) -> Result<Self, LibraryError> {
        if bytes.len() > MAX_BYTES {
            return Err(LibraryError::TooLong(bytes.len()));
        }
        let undecodable = |_| LibraryError::Undecodable;
        let signed = Signed::decode(&mut bytes).map_err(undecodable)?;
        if !publishers.contains(&signed.publisher) {
            return Err(LibraryError::Publisher);
        }
        let transcript = signing_context(CONTEXT).bytes(&message(genesis, &signed.library));
        PublicKey::from_bytes(&signed.publisher)
            .and_then(|key| key.verify(transcript, &Signature::from_bytes(&signed.signature)?))
            .map_err(|_| LibraryError::Signature)?;
        match signed.library.first() {
            Some(1) => {},
            Some(&version) => return Err(LibraryError::Version(version)),
            None => return Err(LibraryError::Undecodable),
        }
        let mut rest = &signed.library[..];
        let library = Self::decode(&mut rest).map_err(undecodable)?;
        if !rest.is_empty() || !bytes.is_empty() {
            return Err(LibraryError::Undecodable);
        }
        if library.schemas.len() > MAX_SCHEMAS {
            return Err(LibraryError::TooMany(library.schemas.len()));
        }
        for (place, schema) in library.schemas.iter().enumerate() {
            schema.check(place)?;
        }
        Ok(library)
    }

    /// The schemas for the picture's model with the most similar swarms, nearest first. Schemas of
    /// other models are no candidates.
    pub fn nearest(&self, picture: &Picture, most: usize) -> Vec<usize> {
        let fingerprint = Fingerprint::new(picture);
        let model = picture.model();
        let of_model =
            |schema: &Schema| schema.layers == model.layers && schema.row_bytes == model.row_bytes;
        let schemas = self.schemas.iter().enumerate();
        let mut near: Vec<_> = schemas
            .filter(|(_, schema)| of_model(schema))
            .map(|(place, schema)| (fingerprint.distance(&schema.fingerprint), place))
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.into_iter()
            .take(most)
            .map(|(_, place)| place)
            .collect()
    }

    /// The placement of a schema carried over to another swarm and repaired; `None` if there is no
    /// such schema or it is no swarm.
    pub fn transfer(&self, place: usize, picture: &Picture) -> Option<Placement> {
        let (known, placement) = self.schemas.get(place)?.unpack(place).ok()?;
        Some(repair(picture, transfer(&known, &placement, picture)))
    }
}

/// Features by which nodes of two swarms are matched: memory, speed, and distances to the others.
fn features(picture: &Picture) -> Vec<[f64; 4]> {
    let n = picture.nodes().len();
    let layers = f64::from(picture.model().layers);
    let nodes = picture.nodes().iter().enumerate();
    nodes
        .map(|(i, node)| {
            let others = (0..n).filter(|&j| j != i);
            let mut far: Vec<_> = others.map(|j| distance(picture, i, j)).collect();
            far.sort_by(f64::total_cmp);
            let quantile = |percent: usize| far.get(far.len() * percent / 100).copied();
            [
                4.0 * f64::from(node.capacity) / layers,
                f64::from(ln(node.layer_ns)) / 1024.0,
                quantile(50).unwrap_or(0.0),
                quantile(15).unwrap_or(0.0),
            ]
        })
        .collect()
}

/// ln of the round-trip time, in tenths of a millisecond.
fn distance(picture: &Picture, i: usize, j: usize) -> f64 {
    f64::from(ln(picture.rtt(i, j).max(5).into())) / 1024.0
}

/// Gives each node of `picture` the place of a similar node: by features first, then also by its
/// distances to the nodes that the others stand for.
fn transfer(known: &Picture, placement: &Placement, picture: &Picture) -> Placement {
    let (few, n) = (known.nodes().len(), picture.nodes().len());
    let (theirs, ours) = (features(known), features(picture));
    let unlike = |i: usize, x: usize| -> f64 {
        let gap = |(a, b): (&f64, &f64)| (a - b) * (a - b);
        ours[i].iter().zip(&theirs[x]).map(gap).sum()
    };
    // Each known node may stand for several, if there are fewer of them.
    let columns = n.div_ceil(few) * few;
    let likeness: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..few).map(|x| unlike(i, x)).collect())
        .collect();
    let mut matched = assign(n, columns, |i, column| likeness[i][column % few]);
    matched.iter_mut().for_each(|column| *column %= few);
    for _ in 0..ROUNDS {
        let costs: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let far = |x: usize| {
                    let gap = |(j, &y): (usize, &usize)| {
                        let known = if x == y { 0.0 } else { distance(known, x, y) };
                        let own = if i == j { 0.0 } else { distance(picture, i, j) };
                        (own - known) * (own - known)
                    };
                    matched.iter().enumerate().map(gap).sum::<f64>() / n as f64
                };
                let cost = |x: usize| likeness[i][x] + DISTANCES * far(x);
                (0..few).map(cost).collect()
            })
            .collect();
        let mut next = assign(n, columns, |i, column| costs[i][column % few]);
        next.iter_mut().for_each(|column| *column %= few);
        if next == matched {
            break;
        }
        matched = next;
    }
    let layers = picture.model().layers;
    let starts: Vec<_> = picture
        .nodes()
        .iter()
        .zip(&matched)
        .map(|(node, &x)| {
            let span = placement.0[x];
            let theirs = f64::from(known.model().layers - span.len()).max(1.0);
            let ours = f64::from(layers - node.capacity);
            (f64::from(span.start) / theirs * ours).round() as u16
        })
        .collect();
    Placement::full(picture, &starts)
}

/// Moves the node that is most easily spared to the first layer without a holder, until there is
/// none or every node had its turn.
fn repair(picture: &Picture, mut placement: Placement) -> Placement {
    let layers = picture.model().layers;
    for _ in 0..picture.nodes().len() {
        let holders = placement.holders(layers);
        let Some(gap) = holders.iter().position(|&held| held == 0) else {
            break;
        };
        let spare = |node: &usize| {
            let span = placement.0[*node];
            let held = &holders[usize::from(span.start)..usize::from(span.end)];
            (held.iter().min().copied().unwrap_or(0), span.len())
        };
        let nodes = (0..placement.0.len()).rev();
        let Some(node) = nodes
            .filter(|&n| !placement.0[n].is_empty())
            .max_by_key(spare)
        else {
            break;
        };
        let length = placement.0[node].len();
        placement.0[node] = Span::of((gap as u16).min(layers - length), length);
    }
    placement
}
