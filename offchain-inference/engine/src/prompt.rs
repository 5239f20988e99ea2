// SPDX-License-Identifier: Apache-2.0
//! Prompts that know their template text from their data.

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Written by this program or the model's maker; special tokens in it count.
    Template(String),
    /// Written by anyone else; special tokens in it are plain characters.
    Data(String),
}

/// The text that a model is given, in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt(Vec<Part>);

impl Prompt {
    /// An empty prompt.
    pub fn new() -> Self {
        Self::default()
    }

    /// A prompt of one template part.
    pub fn template(text: impl Into<String>) -> Self {
        Part::Template(text.into()).into()
    }

    /// A prompt of one data part.
    pub fn data(text: impl Into<String>) -> Self {
        Part::Data(text.into()).into()
    }

    /// Appends template text.
    pub fn then_template(mut self, text: impl Into<String>) -> Self {
        self.0.push(Part::Template(text.into()));
        self
    }

    /// Appends data.
    pub fn then_data(mut self, text: impl Into<String>) -> Self {
        self.0.push(Part::Data(text.into()));
        self
    }

    /// Appends another prompt.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The parts in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// True if there is no text.
    pub fn is_empty(&self) -> bool {
        self.0
            .iter()
            .all(|(Part::Template(text) | Part::Data(text))| text.is_empty())
    }
}

impl From<Part> for Prompt {
    fn from(part: Part) -> Self {
        Self(vec![part])
    }
}
