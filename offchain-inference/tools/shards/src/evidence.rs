// SPDX-License-Identifier: Apache-2.0
//! `starling-shards evidence`: shows the contradictions between servers that a node has kept.

use crate::table::{OutputArgs, Table};
use jiff::Timestamp;
use starling_engine::{gguf::Gguf, Hidden, LoadOptions, Model};
use starling_infer::{model_path, Failure, StoreArgs};
use starling_models::sha256;
use starling_shards::{
    integrity::{self, compare, Archive, Case, Claim, Room},
    wire::WireFormat,
};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Options of the display.
#[derive(clap::Args)]
pub struct Args {
    /// Evidence files, or folders of them. A node keeps its own in `agent/evidence` beside the
    /// database of its chain
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Model of the store, or path of a GGUF file. Computes the layers again and names the server
    /// whose output is not the model's. Cases about other models are only shown
    #[arg(short, long)]
    model: Option<String>,
}

/// A model that computes cases again.
struct Judge {
    gguf: Gguf,
    /// SHA-256 of its file.
    hash: String,
    /// The last used layers; most cases are about the same ones.
    loaded: Option<(Range<usize>, Model)>,
}

/// Prints the cases and, with a model, the wrong server. Names files that are no valid cases, and
/// then fails after all others are shown.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let mut judge = match &args.model {
        Some(name) => Some(Judge::open(store, name)?),
        None => None,
    };
    let mut table = Table::new(
        "evidence",
        "Contradictions: two agents signed different outputs for the same input",
        &[
            "file",
            "found",
            "model",
            "layers",
            "rows",
            "agent",
            "signature",
            "apart",
            "from the model's",
        ],
    );
    let files = files(&args.paths)?;
    let mut unsound = 0;
    for path in &files {
        match rows(path, judge.as_mut()) {
            Ok(rows) => rows.into_iter().for_each(|row| table.row(row)),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                unsound += 1;
            },
        }
    }
    output.write(&table)?;
    match unsound {
        0 => Ok(()),
        n => Err(format!("{n} of {} files could not be judged", files.len()).into()),
    }
}

/// The files, including those in the folders.
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

impl Judge {
    fn open(store: &StoreArgs, model: &str) -> Result<Self, Failure> {
        let path = model_path(store, model)?;
        Ok(Self {
            gguf: Gguf::open(&path)?,
            hash: sha256(&path)?,
            loaded: None,
        })
    }

    /// The model's output for the step's inputs; `None` if the case is about another model.
    fn compute(&mut self, case: &Case) -> Result<Option<Hidden>, Failure> {
        let claim = &case.evidence.first.claim.body;
        if hex(&claim.model) != self.hash {
            return Ok(None);
        }
        let layers = claim.layers.0 as usize..claim.layers.1 as usize;
        let model = match self.loaded.take().filter(|(loaded, _)| *loaded == layers) {
            Some((_, model)) => model,
            None => {
                let options = LoadOptions {
                    layers: Some(layers.clone()),
                    ends: false,
                    ..LoadOptions::default()
                };
                Model::load_from(&self.gguf, &options)?
            },
        };
        let (_, model) = self.loaded.insert((layers, model));
        let width = case.exhibit.width as usize;
        let positions = claim.positions as usize;
        let rows = positions.saturating_add(claim.rows as usize);
        let inputs = WireFormat::F32.decode(&case.exhibit.inputs, rows, width)?;
        let inputs = Hidden::new(width, inputs)?;
        let outputs = model.session().extend_hidden(&inputs)?.into_vec();
        let step = outputs.get(positions.saturating_mul(width)..);
        let step = step.ok_or("the model gives no output")?;
        Ok(Some(Hidden::new(width, step.to_vec())?))
    }
}

/// A row for each of the two answers.
fn rows(path: &Path, judge: Option<&mut Judge>) -> Result<[Vec<String>; 2], Failure> {
    let case = Case::read(path)?;
    let verdict = integrity::judge(&case.evidence, &case.exhibit)?;
    let computed = match judge {
        Some(judge) => judge.compute(&case)?,
        None => None,
    };
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
            format!("{}..{}", body.layers.0, body.layers.1),
            format!(
                "{}..{}",
                body.positions,
                u64::from(body.positions) + u64::from(body.rows)
            ),
            format!("0x{}", hex(&claim.account)),
            genuine.to_owned(),
            format!("{:.1e}", verdict.difference.relative),
            computed
                .as_ref()
                .map_or("–".to_owned(), |computed| against(body, bytes, computed)),
        ]
    }))
}

/// Distance of an output from the model's.
fn against(claim: &Claim, bytes: &[u8], computed: &Hidden) -> String {
    let wire = WireFormat::from(claim.wire);
    let output = wire
        .decode(bytes, computed.rows(), computed.width())
        .unwrap_or_default();
    let verdict = compare(&output, computed.as_slice(), computed.width(), wire);
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
