// SPDX-License-Identifier: Apache-2.0
//! The commands `fingerprint` and `schemas`.

use starling_console::outln;
use std::{fs, path::PathBuf, sync::atomic::AtomicBool};

use anyhow::{anyhow, bail, ensure, Context, Result};
use schnorrkel::{Keypair, MiniSecretKey};
use serde_json::json;
use starling_planner::{
    candidates, homology::barcodes, library, plan, Budget, Fingerprint, Library, Objective, Schema,
};

use crate::{instance::Instance, svg};

/// Arguments of `fingerprint`.
#[derive(clap::Args)]
pub struct FingerprintArgs {
    /// The instance.
    #[arg(long, value_name = "FILE")]
    instance: PathBuf,
    /// Draw the barcodes to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl FingerprintArgs {
    /// Prints the fingerprint and its bars as JSON.
    pub fn run(self) -> Result<()> {
        let picture = Instance::read(&self.instance)?.picture()?;
        let bars = barcodes(picture.nodes().len(), |i, j| picture.rtt(i, j));
        let print = Fingerprint::new(&picture);
        if let Some(file) = self.svg {
            fs::write(&file, svg::barcodes(&bars))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let output = json!({
            "version": print.version,
            "nodes": print.nodes,
            "h0": print.h0.to_vec(),
            "h1": print.h1.to_vec(),
            "capacity": print.capacity,
            "bars": { "h0_tenth_ms": bars.h0, "h1_tenth_ms": bars.h1 },
        });
        outln!("{output}");
        Ok(())
    }
}

/// Makes and verifies libraries of schemas.
#[derive(clap::Subcommand)]
pub enum Schemas {
    /// Plan instances and sign their placements as a library.
    Make(MakeArgs),
    /// Check the signature and every schema of a library.
    Verify(LibraryArgs),
}

/// Arguments of `schemas make`.
#[derive(clap::Args)]
pub struct MakeArgs {
    /// The recorded swarms.
    #[arg(required = true, value_name = "INSTANCE")]
    instances: Vec<PathBuf>,
    /// The library to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A file with the publisher's secret seed: 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The hash of the chain's first block: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH", value_parser = hex)]
    genesis: [u8; 32],
    /// Placements that each search may evaluate.
    #[arg(long, value_name = "N")]
    evaluations: Option<u64>,
}

/// A library and its trusted publishers.
#[derive(clap::Args)]
pub struct LibraryArgs {
    /// The library.
    #[arg(long, value_name = "FILE")]
    library: PathBuf,
    /// The hash of the chain's first block: 64 hexadecimal digits.
    #[arg(long, value_name = "HASH", value_parser = hex)]
    genesis: [u8; 32],
    /// A publisher that is trusted: 64 hexadecimal digits.
    #[arg(long, value_name = "KEY", value_parser = hex, required = true)]
    publisher: Vec<[u8; 32]>,
}

/// Reads 32 bytes in hexadecimal.
pub fn hex(text: &str) -> Result<[u8; 32]> {
    let text = text.trim().trim_start_matches("0x");
    ensure!(
        text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "64 hexadecimal digits are needed"
    );
    let mut bytes = [0; 32];
    for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[place..place + 2], 16)?;
    }
    Ok(bytes)
}

fn printed(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Schemas {
    /// Makes or verifies.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Make(args) => args.run(),
            Self::Verify(args) => {
                let library = args.open()?;
                outln!("{} schemas follow from their swarms", library.schemas.len());
                Ok(())
            },
        }
    }
}

impl LibraryArgs {
    /// A library and its trusted publishers.
    pub fn new(library: PathBuf, genesis: [u8; 32], publisher: Vec<[u8; 32]>) -> Self {
        Self {
            library,
            genesis,
            publisher,
        }
    }

    /// Reads and checks the library.
    pub fn open(&self) -> Result<Library> {
        let file = self.library.display();
        let bytes = fs::read(&self.library).with_context(|| format!("cannot read {file}"))?;
        Library::open(&bytes, &self.genesis, &self.publisher)
            .with_context(|| format!("{file} is refused"))
    }
}

impl MakeArgs {
    fn run(self) -> Result<()> {
        let key = self.key()?;
        let mut schemas = vec![];
        for file in &self.instances {
            let picture = Instance::read(file)?.picture()?;
            let budget = self.evaluations.map_or_else(
                || Budget::of(picture.nodes().len()),
                |evaluations| Budget { evaluations },
            );
            let seeds = candidates(&picture, None, None);
            let objective = Objective::default();
            let planned = plan(
                &picture,
                &seeds,
                &budget,
                &objective,
                &AtomicBool::new(false),
            );
            schemas.push(Schema::new(&picture, &planned.placement));
        }
        if schemas.len() > library::MAX_SCHEMAS {
            bail!("a library has at most {} schemas", library::MAX_SCHEMAS);
        }
        let bytes = Library::new(schemas).sign(&self.genesis, &key);
        fs::write(&self.out, &bytes)
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        outln!("library   {}", printed(&library::hash(&bytes)));
        outln!("publisher {}", printed(&key.public.to_bytes()));
        Ok(())
    }

    fn key(&self) -> Result<Keypair> {
        let file = self.key.display();
        // The error tells nothing of the file's content.
        let text = fs::read_to_string(&self.key).with_context(|| format!("cannot read {file}"))?;
        let seed = hex(&text).map_err(|_| anyhow!("{file} holds no 64 hexadecimal digits"))?;
        let secret =
            MiniSecretKey::from_bytes(&seed).map_err(|_| anyhow!("{file} holds no secret seed"))?;
        Ok(secret.expand_to_keypair(MiniSecretKey::ED25519_MODE))
    }
}
