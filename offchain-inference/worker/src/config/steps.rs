// SPDX-License-Identifier: Apache-2.0

//! Steps of auxiliary processing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;
use starling_aids::knowledge::Settings;

use super::{
    by_key::by_key,
    values::{Size, Time, True},
};

/// One step of auxiliary processing.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "lowercase", deny_unknown_fields)]
#[schemars(untagged)]
pub enum Step {
    /// Fills in a template.
    Template {
        /// Jinja template with the variables `history`, `prompt`, `text` and `round`.
        template: Template,
    },
    /// Shortens the text.
    Trim {
        /// Parts to leave out.
        trim: Trim,
    },
    /// Computes the arithmetic in the text.
    Arithmetic {
        /// Before the primary module, the values are added to the prompt; after it, wrong results
        /// are corrected.
        arithmetic: True,
    },
    /// Lets the model call a calculator.
    Calculator {
        /// Before the primary module, a question with numbers comes with examples of calls, such as
        /// `calc(12 * 7)`; after it, calls become their values.
        calculator: True,
    },
    /// Adds passages of text files that the question is about; before the primary module alone.
    Knowledge {
        /// Folder of the text files: names that end in .txt, .md or .markdown.
        knowledge: PathBuf,
        /// Search and limits.
        #[serde(flatten)]
        lookup: Lookup,
    },
    /// Runs a program.
    Command {
        /// The program and its arguments.
        command: Command,
        /// Limits of its resources.
        #[serde(flatten)]
        limits: Limits,
    },
    /// Calls an HTTP hook.
    Url {
        /// URL of the hook.
        url: String,
        /// Limits of its resources.
        #[serde(flatten)]
        limits: Limits,
    },
}

by_key!(Step);

impl Step {
    pub(super) fn relative_to(&mut self, folder: &Path) {
        match self {
            Self::Command { command, .. } => {
                // A bare name is looked up in $PATH.
                if command.program.components().count() > 1 {
                    command.program = folder.join(&command.program);
                }
            },
            Self::Knowledge { knowledge, lookup } => {
                let paths = [&mut lookup.embeddings, &mut lookup.index];
                for path in paths.into_iter().flatten().chain([knowledge]) {
                    *path = folder.join(&*path);
                }
            },
            Self::Template { .. }
            | Self::Trim { .. }
            | Self::Arithmetic { .. }
            | Self::Calculator { .. }
            | Self::Url { .. } => {},
        }
    }
}

/// Search of a knowledge base, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lookup {
    /// Folder of an embedding model, as sentence-transformers has it; by default words alone count.
    pub embeddings: Option<PathBuf>,
    /// File that keeps the vectors of the passages; by default `.starling-index` in the folder.
    pub index: Option<PathBuf>,
    /// Most passages; 3 by default.
    pub passages: Option<usize>,
    /// Most bytes of passages that are added to the prompt; 2 KiB by default.
    pub max_added: Option<Size>,
    /// Most bytes of text in memory; 8 MiB by default. Files beyond it are left out.
    pub max_text: Option<Size>,
}

impl Lookup {
    /// Most passages.
    pub fn passages(&self) -> usize {
        self.passages.unwrap_or(3)
    }

    /// Most bytes of passages that are added to the prompt.
    pub fn max_added(&self) -> usize {
        self.max_added.map_or(2 << 10, |Size(bytes)| bytes)
    }

    /// Place and limits of the base in `folder`.
    pub fn settings(&self, folder: &Path) -> Settings {
        let index = self.index.clone();
        Settings {
            folder: folder.to_owned(),
            embeddings: self.embeddings.clone(),
            index: index.unwrap_or_else(|| folder.join(".starling-index")),
            most_text: self.max_text.map_or(8 << 20, |Size(bytes)| bytes),
            words: true,
        }
    }
}

/// A Jinja template whose syntax has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Template(String);

impl Template {
    /// The text of the template.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match minijinja::Environment::new().template_from_str(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(format!("the template is wrong: {error:#}")),
        }
    }
}

/// Parts that trimming leaves out, besides white space at both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Trim {
    /// Everything after the first paragraph.
    pub paragraph: bool,
    /// An unfinished last sentence, if a whole one precedes it.
    pub sentences: bool,
    /// Everything after this many bytes.
    pub max_bytes: Option<usize>,
}

/// An external program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(with = "Vec<String>", extend("minItems" = 1))]
pub struct Command {
    /// The program: a path, or a name that is looked up in `$PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl TryFrom<Vec<String>> for Command {
    type Error = &'static str;

    fn try_from(words: Vec<String>) -> Result<Self, &'static str> {
        let mut words = words.into_iter();
        let program = words.next().ok_or("the command is empty")?.into();
        let arguments = words.collect();
        Ok(Self { program, arguments })
    }
}

/// Limits of a program or a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest run; 2 s by default.
    pub timeout: Time,
    /// Longest output; 16 KiB by default.
    pub max_output: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Time(Duration::from_secs(2)),
            max_output: Size(16 << 10),
        }
    }
}
