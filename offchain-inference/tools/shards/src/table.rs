// SPDX-License-Identifier: Apache-2.0
//! Tables for people and for programs.

use serde_json::{json, Number, Value};
use starling_console::outln;
use starling_infer::Failure;
use std::{fs::OpenOptions, io::Write, path::PathBuf};

/// Destination of tables.
#[derive(clap::Args)]
pub struct OutputArgs {
    /// Append the tables to this file, too
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the tables of the same names in this page of Markdown, too. Each lies between lines
    /// `<!-- table: NAME MODEL -->` and `<!-- /table -->`. Others are left out
    #[arg(long, global = true, value_name = "PAGE")]
    refresh: Option<PathBuf>,
    /// Format of the tables
    #[arg(long, global = true, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Markdown,
    Csv,
    /// One object a table, on a line
    Json,
}

/// Rows under a title.
pub(super) struct Table {
    /// Name in pages: of the measurement, and of the model.
    name: String,
    title: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        columns: &'static [&'static str],
    ) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            columns,
            rows: vec![],
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn markdown(&self) -> String {
        format!("{}\n\n{}", self.title, self.cells())
    }

    fn cells(&self) -> String {
        let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
        let mut text = String::new();
        text.push_str(&line(self.columns));
        text.push_str(&format!("|{}\n", "---|".repeat(self.columns.len())));
        for row in &self.rows {
            text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        text
    }

    fn json(&self) -> String {
        let row = |cells: &Vec<String>| {
            let columns = self.columns.iter().map(|&column| column.to_owned());
            let cells = cells.iter().map(|cell| value(cell));
            Value::Object(columns.zip(cells).collect())
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        json!({ "name": self.name, "title": self.title, "rows": rows }).to_string()
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

/// A number where the cell is one, else its text.
fn value(cell: &str) -> Value {
    let number = cell.parse().ok().and_then(Number::from_f64);
    number.map_or_else(|| cell.into(), Value::Number)
}

/// `page` with another table of this name; `None` if it has none.
fn replaced(page: &str, name: &str, table: &str) -> Option<String> {
    const END: &str = "<!-- /table -->";
    let begin = format!("<!-- table: {name} -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}{table}{END}{after}"))
}

impl OutputArgs {
    /// Writes a finished table, so that a later failure does not lose it.
    pub(super) fn write(&self, table: &Table) -> Result<(), Failure> {
        let text = match self.format {
            Format::Markdown => table.markdown(),
            Format::Csv => table.csv()?,
            Format::Json => table.json(),
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
        if let Some(page) = &self.refresh {
            let failed = |error: std::io::Error| format!("{}: {error}", page.display());
            let text = std::fs::read_to_string(page).map_err(failed)?;
            match replaced(&text, &table.name, &table.cells()) {
                Some(text) => std::fs::write(page, text).map_err(failed)?,
                None => eprintln!("{} has no table {:?}", page.display(), table.name),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_json_has_numbers_where_its_cells_are_numbers() {
        let mut table = Table::new("invert m", "title", &["border", "wire", "share"]);
        table.row(["3".into(), "f32".into(), "0.975".into()]);
        let table: Value = serde_json::from_str(&table.json()).unwrap();
        assert_eq!(table["name"], "invert m");
        let row = &table["rows"][0];
        assert_eq!(row["border"].as_f64(), Some(3.0));
        assert_eq!(row["wire"], "f32");
        assert_eq!(row["share"].as_f64(), Some(0.975));
    }

    #[test]
    fn a_table_replaces_the_one_of_its_name() {
        let mut table = Table::new("speed m", "title", &["a", "b"]);
        table.row(["1".into(), "2".into()]);
        let page = "x\n<!-- table: speed n -->\nold\n<!-- /table -->\n\n<!-- table: speed m -->\n\
                    old\n<!-- /table -->\ny\n";
        let new = replaced(page, &table.name, &table.cells()).unwrap();
        assert_eq!(
            new,
            "x\n<!-- table: speed n -->\nold\n<!-- /table -->\n\n<!-- table: speed m -->\n\
             | a | b |\n|---|---|\n| 1 | 2 |\n<!-- /table -->\ny\n"
        );
        assert_eq!(replaced(page, "speed o", ""), None);
    }
}
