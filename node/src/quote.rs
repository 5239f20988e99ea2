// SPDX-License-Identifier: Apache-2.0
//! Asks the hardware for a quote, for `starling attest`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use sp_core::bytes;
use starling_quote::{Hardware, Provider, DATA};

/// The options of `quote`.
#[derive(Debug, Clone, clap::Parser)]
pub struct QuoteCmd {
    /// Report data, as `starling attest data` prints them
    #[arg(value_name = "HEX")]
    pub data: String,

    /// File for the quote
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl QuoteCmd {
    /// Writes the answer of the hardware, and says how to show it to the chain.
    pub fn run(&self) -> sc_cli::Result<()> {
        let wrong = || sc_cli::Error::Input(format!("report data are {DATA} bytes in hexadecimal"));
        let data = bytes::from_hex(&self.data).map_err(|_| wrong())?;
        let data: [u8; DATA] = data.try_into().map_err(|_| wrong())?;
        let quote = Hardware::default()
            .quote(&data)
            .map_err(|error| sc_cli::Error::Input(error.to_string()))?;
        fs::write(&self.out, &quote.bytes)?;
        let command = match quote.provider {
            Provider::Tdx => "quote",
            Provider::Snp => "report",
        };
        let file = self.out.display();
        writeln!(
            io::stdout().lock(),
            "{file} is written. Show it to the chain: starling attest {command} {file}"
        )?;
        Ok(())
    }
}
