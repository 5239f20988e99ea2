// SPDX-License-Identifier: Apache-2.0

//! Keys of earlier versions, and the keys that took their place.

use toml::{Table, Value};

/// A key that has another name now.
struct Renamed {
    tables: &'static [&'static str],
    old: &'static str,
    new: &'static str,
    /// The unit that the old name implied, for a value that is a string now.
    unit: Option<&'static str>,
}

const fn renamed(
    tables: &'static [&'static str],
    old: &'static str,
    new: &'static str,
    unit: Option<&'static str>,
) -> Renamed {
    Renamed {
        tables,
        old,
        new,
        unit,
    }
}

const RENAMED: [Renamed; 8] = [
    renamed(&["primary"], "rules", "patterns", None),
    renamed(&["serve"], "blocks", "layers", None),
    renamed(&["serve"], "max_blocks", "max_layers", None),
    renamed(&["primary", "serve"], "cache_mib", "cache", Some(" MiB")),
    renamed(
        &["before", "after", "primary"],
        "timeout_ms",
        "timeout",
        Some("ms"),
    ),
    renamed(&["before", "after"], "max_bytes", "max_output", Some(" B")),
    renamed(&["shards"], "patience_ms", "patience", Some("ms")),
    renamed(&["shards"], "push_from_ms", "push_from", Some("ms")),
];

/// Names the first old key in `file` with its successor.
pub(super) fn check(file: &Table) -> Result<(), String> {
    let found = RENAMED.iter().find_map(|renamed| {
        renamed.tables.iter().find_map(|name| {
            let value = tables(file.get(*name)?).find_map(|table| table.get(renamed.old))?;
            Some(renamed.advice(name, value))
        })
    });
    found.map_or(Ok(()), Err)
}

/// The tables of `[name]` or of all `[[name]]`.
fn tables(value: &Value) -> impl Iterator<Item = &Table> {
    let one = value.as_table().into_iter();
    let many = value.as_array().into_iter().flatten();
    one.chain(many.filter_map(Value::as_table))
}

impl Renamed {
    fn advice(&self, table: &str, value: &Value) -> String {
        let Self { old, new, .. } = self;
        match (self.unit, value) {
            (Some(unit), Value::Integer(value)) => {
                format!("{table}: `{old} = {value}` is now `{new} = \"{value}{unit}\"`")
            },
            _ => format!("{table}: `{old}` is now `{new}`"),
        }
    }
}
