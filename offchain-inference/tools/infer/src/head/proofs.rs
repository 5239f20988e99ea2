// SPDX-License-Identifier: Apache-2.0
//! Registrations of heads, and proofs of their scores.

use super::{fraction, random, read_head};
use crate::common::{from_hex, read_file, Failure};
use clap::Args;
use codec::{DecodeAll, Encode};
use serde::{Deserialize, Serialize};
use starling_console::outln;
use starling_zk::{
    commitment::Commitment,
    features::Features,
    file::HeadFile,
    generators::Generators,
    proof::Proof,
    statement::{Case, Statement},
    table::{Table, POINTS},
    verify,
};
use std::path::{Path, PathBuf};

/// A response in a round, and the ranker whose score of it is proven.
#[derive(Args)]
pub struct Scored {
    /// Hash of the chain's first block, in hexadecimal digits
    #[arg(long, value_parser = bytes, value_name = "HEX")]
    genesis: [u8; 32],
    /// The round
    #[arg(long, value_name = "N")]
    round: u64,
    /// Public key of the ranker's account, in hexadecimal digits
    #[arg(long, value_parser = bytes, value_name = "HEX")]
    ranker: [u8; 32],
    /// Position of the response in the round
    #[arg(long, value_name = "N")]
    position: u16,
    /// The prompt of the round, as it is on chain
    #[arg(short, long)]
    question: String,
    /// The response
    #[arg(short, long)]
    response: String,
}

#[derive(Args)]
pub struct Prove {
    /// File of the head
    head: PathBuf,
    #[command(flatten)]
    scored: Scored,
}

#[derive(Args)]
pub struct Verify {
    /// JSON file with the registration of the head
    #[arg(long, value_name = "FILE")]
    registration: PathBuf,
    /// JSON file with the proof; - for standard input
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    scored: Scored,
}

/// The public part of a head.
#[derive(Serialize, Deserialize)]
struct Registration {
    /// SCALE in hexadecimal digits.
    commitment: String,
    /// The points of the table.
    table: Vec<i64>,
}

/// An output with its proof.
#[derive(Serialize, Deserialize)]
struct Proven {
    output: i64,
    /// SCALE in hexadecimal digits.
    proof: String,
}

impl Scored {
    fn case(&self) -> Case {
        Case {
            genesis: self.genesis,
            round: self.round,
            ranker: self.ranker,
            position: self.position,
        }
    }

    fn features(&self) -> Features {
        Features::of(self.question.as_bytes(), self.response.as_bytes())
    }
}

fn bytes(digits: &str) -> Result<[u8; 32], String> {
    from_hex(digits)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "give 64 hexadecimal digits".into())
}

fn to_hex(value: &impl Encode) -> String {
    let digits = value.encode().into_iter().map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}

fn decoded<T: DecodeAll>(digits: &str, what: &str) -> Result<T, Failure> {
    let bytes = from_hex(digits).ok_or_else(|| format!("{what}: no hexadecimal digits"))?;
    let value = T::decode_all(&mut &bytes[..]);
    Ok(value.map_err(|_| format!("{what}: another number of bytes than it has"))?)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Failure> {
    serde_json::from_str(&read_file(path)?)
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The registration of a head in JSON.
pub(super) fn registration(head: &HeadFile) -> Result<String, Failure> {
    let commitment = head.secret.commitment(&Generators::new());
    Ok(serde_json::to_string(&Registration {
        commitment: to_hex(&commitment),
        table: head.table.points().to_vec(),
    })?)
}

pub(super) fn prove(args: Prove) -> Result<(), Failure> {
    let head = read_head(&args.head)?;
    let (case, features) = (args.scored.case(), args.scored.features());
    let generators = Generators::new();
    let (output, proof) = head
        .secret
        .prove(&generators, &case, &features, random()?)?;
    let proof = to_hex(&proof);
    outln!("{}", serde_json::to_string(&Proven { output, proof })?);
    Ok(())
}

pub(super) fn verify(args: Verify) -> Result<(), Failure> {
    let registration: Registration = read(&args.registration)?;
    let proven: Proven = read(&args.proof)?;
    let points: [i64; POINTS] = registration
        .table
        .try_into()
        .map_err(|_| format!("the table of the registration does not have {POINTS} points"))?;
    let table = Table::new(points)?;
    let head: Commitment = decoded(&registration.commitment, "the commitment")?;
    let proof: Proof = decoded(&proven.proof, "the proof")?;
    let statement = Statement {
        case: &args.scored.case(),
        head: &head,
        features: &args.scored.features(),
        output: proven.output,
    };
    verify::verify(&Generators::new(), &statement, &proof)?;
    outln!("{:.6}", fraction(table.score(proven.output)));
    Ok(())
}
