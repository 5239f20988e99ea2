// SPDX-License-Identifier: Apache-2.0
//! `starling-shards evidence`: what a node keeps of servers that contradict each other.

use super::{
    table::{OutputArgs, Table},
    Source,
};
use crate::{
    code::Code,
    integrity::{compare, Archive, Case, Claim, Room},
};
use jiff::Timestamp;
use starling_engine::{
    cli::{Failure, StoreArgs},
    store::sha256,
    Hidden, LoadOptions,
};
use std::path::{Path, PathBuf};

/// What is shown.
#[derive(clap::Args)]
pub struct Args {
    /// Files of evidence, or folders of them: a node keeps its own in `agent/evidence` beside the
    /// database of its chain
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Model of the store, or path of a GGUF file: computes the blocks again and says whose output is
    /// not the model's. Cases about other models are shown only
    #[arg(short, long)]
    model: Option<String>,
}

/// Prints the cases, and who is wrong if there is a model to find that out.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let model = match &args.model {
        Some(name) => {
            let source = Source::open(store, name)?;
            let hash = sha256(source.gguf.path())?;
            Some((source, hash))
        },
        None => None,
    };
    let mut table = Table::new(
        "Contradictions: two agents signed different outputs for the same input",
        &[
            "file",
            "found",
            "model",
            "blocks",
            "rows",
            "agent",
            "signature",
            "apart",
            "from the model's",
        ],
    );
    for path in files(&args.paths)? {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let case = Case::read(&path).map_err(|error| told(&error))?;
        let own = model
            .as_ref()
            .filter(|(_, hash)| *hash == hex(&case.evidence.first.claim.body.model));
        let computed = own.map(|(source, _)| compute(source, &case)).transpose();
        let computed = computed.map_err(|error| told(&error))?;
        for row in rows(&path, &case, computed.as_ref())? {
            table.row(row);
        }
    }
    output.write(&table)
}

/// The files, and those in the folders.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = vec![];
    for path in paths {
        if path.is_dir() {
            let archive = Archive::new(path, Room::default());
            files.extend(archive.paths()?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// What the model makes of the step's inputs.
fn compute(source: &Source, case: &Case) -> Result<Hidden, Failure> {
    let claim = &case.evidence.first.claim.body;
    let options = LoadOptions {
        blocks: Some(claim.blocks.0 as usize..claim.blocks.1 as usize),
        ends: false,
        ..LoadOptions::default()
    };
    let model = source.load(&options)?;
    let width = case.exhibit.width as usize;
    let positions = claim.positions as usize;
    let inputs = Code::F32.decode(
        &case.exhibit.inputs,
        positions.saturating_add(claim.rows as usize),
        width,
    )?;
    let outputs = model
        .session()
        .extend_hidden(&Hidden::new(width, inputs)?)?
        .into_vec();
    let step = outputs.get(positions.saturating_mul(width)..);
    Ok(Hidden::new(width, step.ok_or("no output")?.to_vec())?)
}

/// A row for each of the two.
fn rows(path: &Path, case: &Case, computed: Option<&Hidden>) -> Result<[Vec<String>; 2], Failure> {
    let verdict = case.evidence.judge(&case.exhibit)?;
    let sides = [
        (&case.evidence.first, &case.exhibit.first),
        (&case.evidence.second, &case.exhibit.second),
    ];
    Ok(sides.map(|(answer, bytes)| {
        let claim = &answer.claim;
        let body = &claim.body;
        let genuine = if answer.is_genuine(&case.network) {
            "genuine"
        } else {
            "forged"
        };
        vec![
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            time(case.found),
            hex(&body.model).chars().take(12).collect(),
            format!("{}..{}", body.blocks.0, body.blocks.1),
            format!(
                "{}..{}",
                body.positions,
                u64::from(body.positions) + u64::from(body.rows)
            ),
            format!("0x{}", hex(&claim.account)),
            genuine.to_owned(),
            format!("{:.1e}", verdict.difference.relative),
            computed.map_or("–".to_owned(), |computed| judge(body, bytes, computed)),
        ]
    }))
}

/// How far an output is from what the model computes.
fn judge(claim: &Claim, bytes: &[u8], computed: &Hidden) -> String {
    let output = claim
        .code
        .decode(bytes, computed.rows(), computed.width())
        .unwrap_or_default();
    let verdict = compare(&output, computed.as_slice(), computed.width(), claim.code);
    let difference = format!("{:.1e}", verdict.difference.relative);
    if verdict.agrees {
        format!("{difference}, within the tolerance")
    } else {
        format!("{difference}: wrong")
    }
}

fn time(milliseconds: u64) -> String {
    let stamp = i64::try_from(milliseconds).ok();
    let stamp = stamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or("–".to_owned(), |stamp| stamp.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
