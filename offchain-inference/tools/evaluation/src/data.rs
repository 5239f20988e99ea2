// SPDX-License-Identifier: Apache-2.0
//! Readers of the task sets.

use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Reasons why a set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not in the set's format.
    #[error("{path}, item {item}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Number of the item, from 1.
        item: usize,
        /// The problem.
        reason: String,
    },
}

/// A question with choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Text before a choice when its probability is measured; a space follows.
    pub context: String,
    /// The question as a person would ask it.
    pub question: String,
    /// The choices.
    pub choices: Vec<String>,
    /// Index of the right choice.
    pub gold: usize,
}

/// A passage without its last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// All but the last word; a space follows.
    pub context: String,
    /// The last word.
    pub word: String,
}

/// The items of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Multiple choice.
    Choices(Vec<Choice>),
    /// Last words.
    Passages(Vec<Passage>),
}

impl Items {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Choices(items) => items.len(),
            Self::Passages(items) => items.len(),
        }
    }

    /// True if the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All items but the first `n`.
    pub fn skip(self, n: usize) -> Self {
        match self {
            Self::Choices(items) => Self::Choices(items.into_iter().skip(n).collect()),
            Self::Passages(items) => Self::Passages(items.into_iter().skip(n).collect()),
        }
    }
}

fn read(path: &Path) -> Result<String, DataError> {
    fs::read_to_string(path).map_err(|source| DataError::Io {
        path: path.into(),
        source,
    })
}

fn bad(path: &Path, index: usize, reason: impl ToString) -> DataError {
    DataError::Format {
        path: path.into(),
        item: index + 1,
        reason: reason.to_string(),
    }
}

/// HellaSwag: six lines an item: context, number of the right ending, four endings.
pub(super) fn hellaswag(path: &Path) -> Result<Items, DataError> {
    let text = read(path)?;
    let lines: Vec<_> = text.lines().collect();
    let items = lines.chunks(6).enumerate().map(|(i, lines)| match lines {
        [context, gold, endings @ ..] if endings.len() == 4 => {
            let gold = gold.trim().parse().map_err(|e| bad(path, i, e))?;
            if gold >= endings.len() {
                return Err(bad(path, i, format!("there is no ending {gold}")));
            }
            Ok(Choice {
                context: (*context).into(),
                question: format!("How does this text go on?\n\n{context}"),
                choices: endings.iter().map(|&ending| ending.into()).collect(),
                gold,
            })
        },
        _ => Err(bad(path, i, "it has fewer than six lines")),
    });
    Ok(Items::Choices(items.collect::<Result<_, _>>()?))
}

/// LAMBADA: a JSON object `{"text"}` a line.
pub(super) fn lambada(path: &Path) -> Result<Items, DataError> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
    }
    let text = read(path)?;
    let items = text.lines().enumerate().map(|(i, line)| {
        let line: Line = serde_json::from_str(line).map_err(|e| bad(path, i, e))?;
        let (context, word) = line
            .text
            .trim_end()
            .rsplit_once(' ')
            .ok_or_else(|| bad(path, i, "it has only one word"))?;
        Ok(Passage {
            context: context.into(),
            word: word.into(),
        })
    });
    Ok(Items::Passages(items.collect::<Result<_, _>>()?))
}

/// BIG-Bench Hard: `{"examples": [{"input", "target"}]}`, with the choices in the input after
/// `Options:`.
pub(super) fn big_bench_hard(path: &Path) -> Result<Items, DataError> {
    #[derive(Deserialize)]
    struct File {
        examples: Vec<Example>,
    }
    #[derive(Deserialize)]
    struct Example {
        input: String,
        target: String,
    }
    let file: File = serde_json::from_str(&read(path)?).map_err(|e| bad(path, 0, e))?;
    let items = file.examples.into_iter().enumerate().map(|(i, example)| {
        let (_, options) = example
            .input
            .rsplit_once("Options:\n")
            .ok_or_else(|| bad(path, i, "it lists no options"))?;
        // "(A) text" is answered by its letter, "- Yes" by the word.
        let choices: Vec<String> = options
            .lines()
            .filter_map(|line| match line.strip_prefix("- ") {
                Some(word) => Some(word.trim().to_owned()),
                None => Some(format!("{})", line.split_once(')')?.0)),
            })
            .collect();
        let gold = choices
            .iter()
            .position(|choice| *choice == example.target.trim())
            .ok_or_else(|| bad(path, i, format!("no option is {:?}", example.target)))?;
        Ok(Choice {
            context: format!("Q: {}\nA:", example.input),
            question: example.input,
            choices,
            gold,
        })
    });
    Ok(Items::Choices(items.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn sets_are_read_in_their_formats() {
        let (_dir, path) = file("A man\n2\na\nb\nc\nd\n");
        let Items::Choices(items) = hellaswag(&path).unwrap() else {
            panic!()
        };
        assert_eq!((items[0].gold, items[0].choices[2].as_str()), (2, "c"));

        let (_dir, path) = file("{\"text\": \"one two\\nthree four\"}\n");
        let expected = Passage {
            context: "one two\nthree".into(),
            word: "four".into(),
        };
        assert_eq!(lambada(&path).unwrap(), Items::Passages(vec![expected]));

        let (_dir, path) = file(
            r#"{"examples": [{"input": "Who?\nOptions:\n(A) x\n(B) y", "target": "(B)"},
                {"input": "Did he?\nOptions:\n- Yes\n- No", "target": "No"}]}"#,
        );
        let Items::Choices(items) = big_bench_hard(&path).unwrap() else {
            panic!()
        };
        assert_eq!(
            (items[0].gold, items[0].choices.clone()),
            (1, vec!["(A)".into(), "(B)".into()])
        );
        assert_eq!(
            (items[1].gold, items[1].choices.clone()),
            (1, vec!["Yes".into(), "No".into()])
        );
    }

    #[test]
    fn broken_files_are_errors_that_name_the_item() {
        let (_dir, path) = file("ctx\n0\na\nb\nc\nd\nctx\n7\na\nb\nc\nd\n");
        assert!(hellaswag(&path).unwrap_err().to_string().contains("item 2"));
        let (_dir, path) = file("{\"text\": \"word\"}\n");
        assert!(lambada(&path).unwrap_err().to_string().contains("one word"));
        let (_dir, path) = file(r#"{"examples": [{"input": "?", "target": "Yes"}]}"#);
        assert!(big_bench_hard(&path)
            .unwrap_err()
            .to_string()
            .contains("no options"));
        assert!(matches!(
            lambada(Path::new("/nowhere")),
            Err(DataError::Io { .. })
        ));
    }
}
