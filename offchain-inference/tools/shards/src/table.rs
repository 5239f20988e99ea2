// SPDX-License-Identifier: Apache-2.0
//! Tables for people and for programs.

use starling_console::outln;
use starling_infer::Failure;
use std::{fs::OpenOptions, io::Write, path::PathBuf};

/// Destination of tables.
#[derive(clap::Args)]
pub struct OutputArgs {
    /// Append the tables to this file, too
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format of the tables
    #[arg(long, global = true, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Markdown,
    Csv,
}

/// Rows under a title.
pub(super) struct Table {
    title: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, columns: &'static [&'static str]) -> Self {
        Self {
            title: title.into(),
            columns,
            rows: vec![],
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn markdown(&self) -> String {
        let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("{}\n\n", self.title);
        text.push_str(&line(self.columns));
        text.push_str(&format!("|{}\n", "---|".repeat(self.columns.len())));
        for row in &self.rows {
            text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        text
    }

    fn csv(&self) -> Result<String, Failure> {
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record(self.columns)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(format!("# {}\n{}", self.title, String::from_utf8(bytes)?))
    }
}

impl OutputArgs {
    /// Writes a finished table, so that a later failure does not lose it.
    pub(super) fn write(&self, table: &Table) -> Result<(), Failure> {
        let text = match self.format {
            Format::Markdown => table.markdown(),
            Format::Csv => table.csv()?,
        };
        outln!("{text}");
        if let Some(path) = &self.output {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| writeln!(file, "{text}"))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}
