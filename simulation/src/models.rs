// SPDX-License-Identifier: Apache-2.0
//! Real models behind agents: probabilities of answers, and scores.
//!
//! A model's output is stored in a file and not computed again. So experiments can be interrupted,
//! repeated with other swarms, and extended with further questions.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use starling_engine::{
    backend::{Ask, Backend, Evaluation, LocalBackend, PromptTree},
    chat::Message,
    generate::Cancel,
    prompt::Prompt,
    rank::{Judge, Likelihood, Quoting, Ranker, Task},
    ActivationBits, LoadOptions,
};
use starling_evaluation::Choice;

/// The engine's rankers that look at each response alone, so that a score does not depend on the
/// other responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scorer {
    /// Probability of the response.
    Likelihood,
    /// Gain in probability through the question.
    Lift,
    /// Verdict by a single token: the paper's ranker.
    Judge,
}

impl Scorer {
    fn ranker(self, quoting: Quoting) -> Box<dyn Ranker> {
        match self {
            Self::Likelihood | Self::Lift => Box::new(Likelihood {
                quoting,
                minus_unconditional: self == Self::Lift,
            }),
            Self::Judge => Box::new(Judge { quoting }),
        }
    }
}

impl fmt::Display for Scorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Likelihood => "likelihood",
            Self::Lift => "lift",
            Self::Judge => "judge",
        })
    }
}

/// A model, loaded when it is first asked something new.
pub struct Model {
    name: String,
    path: PathBuf,
    options: LoadOptions,
    backend: Mutex<Option<Arc<LocalBackend>>>,
    memory: Memory,
}

impl Model {
    /// Opens the model in `path`, with its stored outputs in the folder `memory`.
    pub fn open(path: &Path, memory: &Path, activation_bits: ActivationBits) -> Result<Self> {
        let name = path
            .file_stem()
            .with_context(|| format!("{} is not a file", path.display()))?
            .to_string_lossy()
            .into_owned();
        let hash = hash(path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::create_dir_all(memory)
            .with_context(|| format!("cannot make the folder {}", memory.display()))?;
        let short = hash.get(..12).unwrap_or(&hash);
        let file = memory.join(format!("{name}-{short}-{activation_bits}.jsonl"));
        Ok(Self {
            memory: Memory::open(&file)
                .with_context(|| format!("cannot use {}", file.display()))?,
            name,
            path: path.to_owned(),
            options: LoadOptions {
                // One question for each core at a time, with one thread each.
                threads: 1,
                activation_bits,
                ..LoadOptions::default()
            },
            backend: Mutex::new(None),
        })
    }

    /// Name of the model's file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// ln p of each choice after its context.
    pub fn logprobs(&self, item: &Choice) -> Result<Vec<f64>> {
        self.recall(
            "choices",
            &item.context,
            &item.choices,
            |backend, choices| {
                let mut tree = PromptTree::new();
                let root = tree.root(Prompt::data(item.context.as_str()), Ask::Nothing);
                for choice in choices {
                    tree.child(root, Prompt::data(format!(" {choice}")), Ask::Tokens);
                }
                let answers = backend.evaluate(&tree, &Cancel::new())?;
                let total = |answer: &Evaluation| match answer {
                    Evaluation::Tokens(logprobs) => {
                        Some(logprobs.iter().map(|p| f64::from(*p)).sum::<f64>())
                    },
                    _ => None,
                };
                Ok(answers.iter().filter_map(total).collect())
            },
        )
    }

    /// The scores of responses to a question.
    pub fn scores(
        &self,
        scorer: Scorer,
        quoting: Quoting,
        question: &str,
        responses: &[String],
    ) -> Result<Vec<f64>> {
        let kind = format!("{scorer} {quoting:?}");
        self.recall(&kind, question, responses, |backend, responses| {
            let messages = [Message::user(question)];
            let task = Task {
                messages: &messages,
                responses,
            };
            let ranker = scorer.ranker(quoting);
            Ok(ranker.rank(backend, task, &Cancel::new())?)
        })
    }

    /// The stored numbers for `texts`; missing ones come from `compute`.
    fn recall(
        &self,
        kind: &str,
        question: &str,
        texts: &[String],
        compute: impl FnOnce(&LocalBackend, &[String]) -> Result<Vec<f64>>,
    ) -> Result<Vec<f64>> {
        let keys: Vec<String> = texts.iter().map(|text| key(kind, question, text)).collect();
        let missing: Vec<String> = keys
            .iter()
            .zip(texts)
            .filter(|(key, _)| self.memory.get(key).is_none())
            .map(|(_, text)| text.clone())
            .collect();
        if !missing.is_empty() {
            let found = compute(self.backend()?.as_ref(), &missing)?;
            ensure!(
                found.len() == missing.len() && found.iter().all(|value| value.is_finite()),
                "{} returns no number for a response",
                self.name
            );
            for (text, value) in missing.iter().zip(found) {
                self.memory.keep(key(kind, question, text), value)?;
            }
        }
        keys.iter()
            .map(|key| self.memory.get(key).context("the number is stored"))
            .collect()
    }

    fn backend(&self) -> Result<Arc<LocalBackend>> {
        let mut loaded = lock(&self.backend);
        if let Some(backend) = &*loaded {
            return Ok(Arc::clone(backend));
        }
        let backend = LocalBackend::load(&self.path, &self.options)
            .with_context(|| format!("cannot load {}", self.path.display()))?;
        Ok(Arc::clone(loaded.insert(Arc::new(backend))))
    }
}

/// Key of a question and a text.
fn key(kind: &str, question: &str, text: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [kind, question, text] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    format!("{:x}", hasher.finalize())
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}

/// A panicking thread leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers by key, one a line of a file.
struct Memory {
    known: Mutex<HashMap<String, f64>>,
    file: Mutex<File>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    value: f64,
}

impl Memory {
    fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        // A line that broke off is lost, and computed again.
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let known = lines.map(|line: Line| (line.key, line.value)).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            known: Mutex::new(known),
            file: Mutex::new(file),
        })
    }

    fn get(&self, key: &str) -> Option<f64> {
        lock(&self.known).get(key).copied()
    }

    fn keep(&self, key: String, value: f64) -> Result<()> {
        let line = Line { key, value };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        lock(&self.file).write_all(text.as_bytes())?;
        lock(&self.known).insert(line.key, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_are_known_even_after_a_line_that_broke_off() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("memory.jsonl");
        Memory::open(&path)?.keep("a".into(), -1.25)?;
        OpenOptions::new()
            .append(true)
            .open(&path)?
            .write_all(b"{\"key\":\"b\",\"val")?;
        Memory::open(&path)?.keep("c".into(), 0.5)?;
        let memory = Memory::open(&path)?;
        assert_eq!(
            ["a", "b", "c"].map(|key| memory.get(key)),
            [Some(-1.25), None, Some(0.5)]
        );
        Ok(())
    }

    #[test]
    fn keys_tell_questions_from_responses() {
        assert_ne!(key("k", "ab", "c"), key("k", "a", "bc"));
        assert_ne!(key("k", "a", "b"), key("l", "a", "b"));
    }
}
