// SPDX-License-Identifier: Apache-2.0

//! Reads an enum from a table in which one key names the variant.
//!
//! `template = "…"` is the variant `template` of a step and `url = "…"` another one. Each variant
//! refuses the keys of the others.

use serde::{
    de::{Error as _, MapAccess, Visitor},
    forward_to_deserialize_any, Deserialize, Deserializer,
};
use std::fmt;
use toml::{de::Error, Table, Value};

/// Implements `Deserialize` for an enum that derives it with `#[serde(remote = "Self")]`. The
/// variants carry the names of their keys, in the order in which the keys are looked for. If the
/// enum is flattened into a table with more keys, all keys of all its variants follow the type.
macro_rules! by_key {
    ($type:ty $(, $key:literal)*) => {
        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(table: D) -> Result<Self, D::Error> {
                $crate::config::by_key::read(table, &[$($key),*], |table| Self::deserialize(table))
            }
        }
    };
}

pub(super) use by_key;

/// Reads a table and gives it to `variant`, the derived deserialisation of the enum.
pub(super) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    keys: &'static [&'static str],
    variant: impl FnOnce(ByKey) -> Result<T, Error>,
) -> Result<T, D::Error> {
    let table = if keys.is_empty() {
        Table::deserialize(deserializer)?
    } else {
        deserializer.deserialize_struct("", keys, Keys)?
    };
    variant(ByKey(table)).map_err(|error| D::Error::custom(line(&error)))
}

/// An error in one line, with the key in which it is.
fn line(error: &Error) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines.join(" ")
}

/// Collects some keys of a table.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Table, A::Error> {
        let mut table = Table::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            table.insert(key, value);
        }
        Ok(table)
    }
}

/// A table that names its variant by a key.
pub(super) struct ByKey(Table);

impl<'de> Deserializer<'de> for ByKey {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(key) = variants.iter().find(|key| self.0.contains_key(**key)) else {
            return Err(Error::custom(none_of(variants, &self.0)));
        };
        let variant = Table::from_iter([((*key).to_owned(), Value::Table(self.0))]);
        Value::Table(variant)
            .deserialize_enum(name, variants, visitor)
            .map_err(|error| Error::custom(format!("beside `{key}`: {}", line(&error))))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        Value::Table(self.0).deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn none_of(variants: &[&str], table: &Table) -> String {
    let quoted = |keys: Vec<&str>| keys.join("`, `");
    let wanted = quoted(variants.to_vec());
    let found = match table.is_empty() {
        true => String::new(),
        false => format!(
            " instead of `{}`",
            quoted(table.keys().map(String::as_str).collect())
        ),
    };
    format!("expected one of the keys `{wanted}`{found}")
}
