// SPDX-License-Identifier: Apache-2.0
//! Tables of a page that are made from its data.
//!
//! A page holds the description of a table in a comment, in TOML, and the table behind it:
//!
//! ```text
//! <!-- table
//! file = "data/scale.csv"
//! columns = [["agents", "{agents}"], ["heaviest block", "{max_block_share:1%}"]]
//! -->
//! | agents | heaviest block |
//! |---|---|
//! | 10 | 3.5 % |
//! <!-- /table -->
//! ```
//!
//! A column has a heading and a template of its cells. `{field}` stands for a field as in the file,
//! or for its name under `names`. `{field:2}` is a number with two decimals, `{field:2%}` a
//! percentage, `{field:4s}` a number with four significant digits, and `{field:KiB}` a number of
//! bytes. `where` selects rows by the values of fields. With `across` each value of a field is a
//! column of its own, and rows with the same first columns become one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;

const BEGIN: &str = "<!-- table\n";
const DESCRIBED: &str = "-->\n";
const END: &str = "<!-- /table -->";

type Row = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// The file with the rows (CSV), relative to the page.
    file: PathBuf,
    /// Values of fields; rows with other values are left out.
    #[serde(default, rename = "where")]
    chosen: BTreeMap<String, Vec<String>>,
    /// Headings, and templates of the cells below them.
    columns: Vec<(String, String)>,
    across: Option<Across>,
    /// Names of values, for readers.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

/// A field whose values become columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Across {
    field: String,
    /// The template of the cells.
    cell: String,
    /// True if a cell with several rows shows their mean.
    #[serde(default)]
    mean: bool,
}

/// The page with refreshed tables. `folder` is the page's folder.
pub fn refresh(page: &str, folder: &Path) -> Result<String> {
    let mut fresh = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (text, after) = after
            .split_once(DESCRIBED)
            .context("the description of a table does not end")?;
        let (old, after) = after.split_once(END).context("a table does not end")?;
        ensure!(!old.contains(BEGIN), "a table does not end:\n{text}");
        let table = table(text, folder).with_context(|| format!("the table of\n{text}"))?;
        fresh.extend([before, BEGIN, text, DESCRIBED, table.as_str(), END]);
        rest = after;
    }
    fresh.push_str(rest);
    Ok(fresh)
}

fn table(description: &str, folder: &Path) -> Result<String> {
    let description: Description = toml::from_str(description)?;
    let rows = description.rows(folder)?;
    ensure!(!rows.is_empty(), "no row is chosen");
    let mut headings: Vec<String> = description.columns.iter().map(|c| c.0.clone()).collect();
    let body = match &description.across {
        None => rows
            .iter()
            .map(|row| description.first_cells(row))
            .collect::<Result<Vec<_>>>()?,
        Some(across) => {
            let values = distinct(rows.iter().map(|row| value(row, &across.field)))?;
            headings.extend(values.iter().map(|value| description.name(value)));
            description.pivot(across, &rows, &values)?
        },
    };
    let mut table = line(&headings) + "|" + &"---|".repeat(headings.len()) + "\n";
    table.extend(body.iter().map(|cells| line(cells)));
    Ok(table)
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The distinct values, in the order of their first appearance.
fn distinct<T: PartialEq>(values: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut distinct = Vec::new();
    for value in values {
        let value = value?;
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    Ok(distinct)
}

fn value<'a>(row: &'a Row, field: &str) -> Result<&'a str> {
    row.get(field)
        .map(String::as_str)
        .with_context(|| format!("there is no field {field:?}"))
}

impl Description {
    fn rows(&self, folder: &Path) -> Result<Vec<Row>> {
        let file = folder.join(&self.file);
        let unread = || format!("cannot read {}", file.display());
        let mut rows = Vec::new();
        for row in csv::Reader::from_path(&file)
            .with_context(unread)?
            .deserialize()
        {
            let row: Row = row.with_context(unread)?;
            let mut chosen = true;
            for (field, values) in &self.chosen {
                let value = value(&row, field)?;
                chosen &= values.iter().any(|one| one == value);
            }
            if chosen {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn pivot(&self, across: &Across, rows: &[Row], values: &[&str]) -> Result<Vec<Vec<String>>> {
        let firsts = distinct(rows.iter().map(|row| self.first_cells(row)))?;
        let mut body = Vec::with_capacity(firsts.len());
        for first in firsts {
            let mut of_line = Vec::new();
            for row in rows {
                if self.first_cells(row)? == first {
                    of_line.push(row);
                }
            }
            let mut cells = first;
            for one in values {
                let mut of_cell = of_line.clone();
                of_cell.retain(|row| row.get(&across.field).is_some_and(|value| value == one));
                cells.push(match of_cell[..] {
                    [] => String::new(),
                    [row] => self.fill(&across.cell, row)?,
                    _ if across.mean => self.fill(&across.cell, &mean(&of_cell))?,
                    _ => bail!("{} rows are one cell of {cells:?}", of_cell.len()),
                });
            }
            body.push(cells);
        }
        Ok(body)
    }

    fn first_cells(&self, row: &Row) -> Result<Vec<String>> {
        let columns = self.columns.iter();
        columns
            .map(|(_, template)| self.fill(template, row))
            .collect()
    }

    fn name(&self, value: &str) -> String {
        self.names
            .get(value)
            .map_or(value, String::as_str)
            .to_owned()
    }

    /// A template with the fields of a row.
    fn fill(&self, template: &str, row: &Row) -> Result<String> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after
                .split_once('}')
                .with_context(|| format!("a brace of {template:?} does not end"))?;
            text.push_str(before);
            text.push_str(&match field.split_once(':') {
                None => self.name(value(row, field)?),
                Some((field, format)) => {
                    let value = value(row, field)?;
                    let value = value
                        .parse()
                        .with_context(|| format!("{field} is {value:?}, which is no number"))?;
                    number(value, format)?
                },
            });
            rest = after;
        }
        Ok(text + rest)
    }
}

/// Joins rows into one: the means of number fields, and the first row's values of the others.
fn mean(rows: &[&Row]) -> Row {
    let mut mean = Row::new();
    for (field, first) in rows.first().into_iter().copied().flatten() {
        let numbers = rows.iter().map(|row| row.get(field)?.parse::<f64>().ok());
        let value = match numbers.collect::<Option<Vec<f64>>>() {
            Some(numbers) => (numbers.iter().sum::<f64>() / numbers.len() as f64).to_string(),
            None => first.clone(),
        };
        mean.insert(field.clone(), value);
    }
    mean
}

/// Formats a number for a template, with the minus sign of print.
fn number(value: f64, format: &str) -> Result<String> {
    let digits = |text: &str| {
        text.parse::<usize>()
            .with_context(|| format!("{format:?} is not a format of numbers"))
    };
    let text = if format == "KiB" {
        grouped(value / 1024.0, 0) + " KiB"
    } else if let Some(decimals) = format.strip_suffix('%') {
        format!("{:.*} %", digits(decimals)?, value * 100.0)
    } else if let Some(figures) = format.strip_suffix('s') {
        significant(value, digits(figures)?)
    } else {
        grouped(value, digits(format)?)
    };
    Ok(text.replace('-', "−"))
}

/// Adds commas between thousands.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (index, character) in text.char_indices() {
        let begins_a_group = index < whole && (whole - index).is_multiple_of(3);
        if begins_a_group && grouped.ends_with(|c: char| c.is_ascii_digit()) {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

/// Formats a number with `digits` significant digits, without zeros at the end.
fn significant(value: f64, digits: usize) -> String {
    let magnitude = match value == 0.0 {
        true => 0.0,
        false => value.abs().log10().floor(),
    };
    let decimals = (digits as f64 - 1.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "kind,share,wins,bytes\nring,0.1,0.25,2048\nring,0.4,-0.5,1536000\n\
                        lazy,0.1,0.125,10\n";

    /// The table of a description, over [`FILE`].
    fn made(description: &str) -> Result<String> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("file.csv"), FILE)?;
        let page = format!(
            "before\n{BEGIN}file = \"file.csv\"\n{description}\n{DESCRIBED}| old |\n{END}\nbehind\n"
        );
        let fresh = refresh(&page, folder.path())?;
        assert_eq!(refresh(&fresh, folder.path())?, fresh);
        assert!(fresh.starts_with("before\n") && fresh.ends_with("\nbehind\n"));
        let (_, table) = fresh.split_once(DESCRIBED).context("a description")?;
        Ok(table.split_once(END).context("an end")?.0.to_owned())
    }

    #[test]
    fn a_table_has_a_line_for_each_row_that_is_chosen() -> Result<()> {
        let table = made(
            "columns = [[\"kind\", \"a {kind}\"], [\"wins\", \"{wins:1} of {bytes:KiB}\"]]\n\
             where = { kind = [\"ring\"] }\nnames = { ring = \"**ring**\" }",
        )?;
        let lines = "| kind | wins |\n|---|---|\n| a **ring** | 0.2 of 2 KiB |\n\
                     | a **ring** | −0.5 of 1,500 KiB |\n";
        assert_eq!(table, lines);
        Ok(())
    }

    #[test]
    fn values_of_a_field_are_columns_and_missing_cells_are_empty() -> Result<()> {
        let table = made(
            "columns = [[\"kind\", \"{kind}\"]]\n\
             across = { field = \"share\", cell = \"{wins:1%}\" }\nnames = { \"0.1\" = \"a tenth\" }",
        )?;
        let lines = "| kind | a tenth | 0.4 |\n|---|---|---|\n| ring | 25.0 % | −50.0 % |\n\
                     | lazy | 12.5 % |  |\n";
        assert_eq!(table, lines);
        Ok(())
    }

    #[test]
    fn several_rows_are_one_cell_by_their_mean_alone() -> Result<()> {
        let across = |mean| {
            made(&format!(
                "columns = [[\"all\", \"all\"]]\n\
                 across = {{ field = \"share\", cell = \"{{wins:4s}}\"{mean} }}"
            ))
        };
        let table = across(", mean = true")?;
        assert!(table.ends_with("| all | 0.1875 | −0.5 |\n"), "{table}");
        let error = format!("{:#}", across("").err().context("an error")?);
        assert!(error.contains("2 rows are one cell"), "{error}");
        Ok(())
    }

    #[test]
    fn what_a_description_gets_wrong_is_named() -> Result<()> {
        for (description, named) in [
            ("columns = [[\"a\", \"{nobody}\"]]", "nobody"),
            ("columns = [[\"a\", \"{kind:2}\"]]", "ring"),
            ("columns = [[\"a\", \"{wins:x}\"]]", "\"x\""),
            ("columns = [[\"a\", \"{wins\"]]", "does not end"),
            ("columns = []\nwhere = { kind = [\"none\"] }", "no row"),
            ("columns = []\nhow = 1", "how"),
        ] {
            let error = format!("{:#}", made(description).err().context(description)?);
            assert!(error.contains(named), "{description}: {error}");
        }
        let open = format!("{BEGIN}file = \"a\"\n{DESCRIBED}| a |\n");
        assert!(refresh(&open, Path::new(".")).is_err());
        Ok(())
    }
}
