// SPDX-License-Identifier: Apache-2.0

//! Steps of auxiliary processing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;

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
        if let Self::Command { command, .. } = self {
            // A bare name is looked up in $PATH.
            if command.program.components().count() > 1 {
                command.program = folder.join(&command.program);
            }
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
