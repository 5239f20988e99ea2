// SPDX-License-Identifier: Apache-2.0

//! A knowledge base: the passages of a folder of text files that a question is about.
//!
//! Passages are found by the words that they share with a question and, with an embedding model, by
//! how near their vectors are to the question's. Both ranks count: words find names and numbers, and
//! vectors find what is said in other words.
//!
//! The passages and their words are held in memory, and are read again when a file has changed. Their
//! vectors take longer, and are computed by [`Base::refresh`] a while at a time. Until then a
//! passage is found by its words alone.

mod files;
mod passages;
mod terms;
mod vectors;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use starling_engine::embedding::Embedder;

use self::{
    files::{Entry, Skipped},
    terms::Terms,
    vectors::{cosine, Key, Vectors},
};

/// Most passages of a base.
const MOST_PASSAGES: usize = 65_536;

/// The least cosine of a question and a passage about the same matter.
const NEAR: f32 = 0.3;

/// Passages of each rank that count.
const DEPTH: usize = 32;

/// Evens out the first places of two ranks (Cormack et al. 2009).
const EVEN: f64 = 60.0;

/// New vectors after which they are written to disk.
const WRITE_AFTER: usize = 256;

/// Place and limits of a knowledge base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Folder of the text files.
    pub folder: PathBuf,
    /// Folder of the embedding model; without one, words alone count.
    pub embeddings: Option<PathBuf>,
    /// File that keeps the vectors.
    pub index: PathBuf,
    /// Most bytes of text in memory. Files beyond it are left out.
    pub most_text: usize,
    /// Whether words count. Without them, vectors alone do.
    pub words: bool,
}

/// The failure of a knowledge base.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The embedding model cannot be used.
    #[error(transparent)]
    Embeddings(#[from] starling_engine::Error),
    /// The vectors cannot be kept.
    #[error("cannot write {path}: {source}")]
    Index {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A passage that a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its file, relative to the folder.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

/// A knowledge base. It reads its folder when it is first used.
pub struct Base {
    settings: Settings,
    state: Mutex<State>,
}

/// The files of a folder, and what is left out of them.
type Listed = (Vec<Entry>, Vec<Skipped>);

#[derive(Default)]
struct State {
    /// The folder as it was read.
    listed: Option<Listed>,
    /// Files that were left out.
    skipped: Vec<Skipped>,
    passages: Vec<Kept>,
    terms: Terms,
    near: Option<Near>,
}

/// A passage and the key of its vector.
struct Kept {
    passage: Passage,
    key: Key,
}

/// The embedding model and its vectors.
struct Near {
    embedder: Embedder,
    vectors: Vectors,
    /// Vectors that are not on disk.
    unwritten: usize,
}

impl Base {
    /// A knowledge base that nobody has used yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
        }
    }

    /// Place and limits.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads changed files, and computes vectors while there are passages without one and `goes_on`
    /// says so. Returns whether all passages have what they need.
    ///
    /// # Errors
    /// A folder, a model or an index that fails. The base works nevertheless, as far as it can.
    pub fn refresh(&self, goes_on: impl Fn() -> bool) -> Result<bool, Error> {
        self.state.lock().read(&self.settings)?;
        let Some(model) = &self.settings.embeddings else {
            return Ok(true);
        };
        self.state.lock().open(model, &self.settings)?;
        // Lookups come in between.
        while self.state.lock().embed_one()? {
            self.write(WRITE_AFTER)?;
            if !goes_on() {
                self.write(1)?;
                return Ok(false);
            }
        }
        self.write(1)?;
        Ok(true)
    }

    /// The files that are left out, in words; `None` if there are none.
    pub fn left_out(&self) -> Option<String> {
        let state = self.state.lock();
        let [first, more @ ..] = &state.skipped[..] else {
            return None;
        };
        let more = match more.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let (path, reason) = (first.path.display(), &first.reason);
        Some(format!("{path} is left out: {reason}{more}"))
    }

    /// The passages that `question` is about, the best first.
    ///
    /// # Errors
    /// The folder or the embedding of the question cannot be had.
    pub fn lookup(&self, question: &str, most: usize) -> Result<Vec<Passage>, Error> {
        let mut state = self.state.lock();
        state.read(&self.settings)?;
        let words = match self.settings.words {
            true => state.terms.rank(question),
            false => vec![],
        };
        let near = state.nearest(question)?;
        let found = fused(&[words, near]).into_iter().take(most);
        let found = found.filter_map(|at| Some(state.passages.get(at)?.passage.clone()));
        Ok(found.collect())
    }

    /// Writes the vectors if at least `least` of them are new.
    fn write(&self, least: usize) -> Result<(), Error> {
        let mut state = self.state.lock();
        let Some(near) = state.near.as_mut().filter(|near| near.unwritten >= least) else {
            return Ok(());
        };
        let written = near.vectors.write(&self.settings.index, near.embedder.id());
        written.map_err(|source| Error::Index {
            path: self.settings.index.clone(),
            source,
        })?;
        near.unwritten = 0;
        Ok(())
    }
}

impl State {
    /// Reads the files if one of them has changed.
    fn read(&mut self, settings: &Settings) -> Result<(), Error> {
        let listed = files::list(&settings.folder).map_err(|source| Error::Folder {
            path: settings.folder.clone(),
            source,
        });
        let listed = listed?;
        if self.listed.as_ref() == Some(&listed) {
            return Ok(());
        }
        let (entries, skipped) = &listed;
        self.skipped.clone_from(skipped);
        self.passages.clear();
        let mut room = settings.most_text;
        for entry in entries {
            match files::read(&entry.path, room) {
                Ok(text) => {
                    room = room.saturating_sub(text.len());
                    self.add(&entry.path, &text, settings);
                },
                Err(reason) => self.skip(&entry.path, reason),
            }
        }
        self.terms = Terms::new(self.passages.iter().map(|kept| kept.passage.text.as_str()));
        self.listed = Some(listed);
        if let Some(near) = &mut self.near {
            near.forget(&self.passages);
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, text: &str, settings: &Settings) {
        let file = path.strip_prefix(&settings.folder).unwrap_or(path);
        for text in passages::split(text) {
            if self.passages.len() >= MOST_PASSAGES {
                return self.skip(
                    path,
                    format!("there are more than {MOST_PASSAGES} passages"),
                );
            }
            let key = vectors::key(&text);
            let file = file.to_owned();
            let passage = Passage { file, text };
            self.passages.push(Kept { passage, key });
        }
    }

    fn skip(&mut self, path: &Path, reason: String) {
        let path = path.to_owned();
        self.skipped.push(Skipped { path, reason });
    }

    /// Loads the embedding model.
    fn open(&mut self, model: &Path, settings: &Settings) -> Result<(), Error> {
        if self.near.is_none() {
            let mut near = Near::open(Embedder::open(model)?, settings);
            near.forget(&self.passages);
            self.near = Some(near);
        }
        Ok(())
    }

    /// Computes the vector of a passage without one. Returns false if all have theirs.
    fn embed_one(&mut self) -> Result<bool, Error> {
        let Some(near) = &mut self.near else {
            return Ok(false);
        };
        let mut kept = self.passages.iter();
        let Some(next) = kept.find(|kept| near.vectors.get(&kept.key).is_none()) else {
            return Ok(false);
        };
        let vector = near.embedder.embed(&next.passage.text)?;
        near.vectors.insert(next.key, vector);
        near.unwritten = near.unwritten.saturating_add(1);
        Ok(true)
    }

    /// The passages near a question, the nearest first.
    fn nearest(&self, question: &str) -> Result<Vec<usize>, Error> {
        let Some(near) = &self.near else {
            return Ok(vec![]);
        };
        let asked = near.embedder.embed(question)?;
        let cosines = self.passages.iter().enumerate().filter_map(|(at, kept)| {
            let vector = near.vectors.get(&kept.key)?;
            Some((at, cosine(&asked, vector))).filter(|(_, cosine)| *cosine >= NEAR)
        });
        let mut cosines: Vec<(usize, f32)> = cosines.collect();
        cosines.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(cosines.into_iter().map(|(at, _)| at).collect())
    }
}

impl Near {
    fn open(embedder: Embedder, settings: &Settings) -> Self {
        let vectors = Vectors::read(
            &settings.index,
            embedder.id(),
            embedder.width(),
            MOST_PASSAGES,
        );
        Self {
            embedder,
            vectors,
            unwritten: 0,
        }
    }

    /// Leaves out the vectors of passages that are gone.
    fn forget(&mut self, passages: &[Kept]) {
        let known: BTreeSet<Key> = passages.iter().map(|kept| kept.key).collect();
        if self.vectors.retain(|key| known.contains(key)) {
            self.unwritten = self.unwritten.saturating_add(1);
        }
    }
}

/// One rank of several: each place counts the less the further back it is.
fn fused(ranks: &[Vec<usize>]) -> Vec<usize> {
    let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
    for rank in ranks {
        for (place, passage) in rank.iter().take(DEPTH).enumerate() {
            *scores.entry(*passage).or_default() += 1.0 / (EVEN + place as f64);
        }
    }
    let mut fused: Vec<(usize, f64)> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused.into_iter().map(|(passage, _)| passage).collect()
}

/// A question with the passages that it is about before it, of at most `most` bytes together. What
/// does not fit is left out whole, the last passages first. Without a passage the question stays as
/// it is.
pub fn with_passages(passages: &[Passage], question: &str, most: usize) -> String {
    let mut facts = String::new();
    for passage in passages {
        let line = format!("- {}\n", passage.text.replace('\n', " "));
        if facts.len().saturating_add(line.len()) > most {
            break;
        }
        facts.push_str(&line);
    }
    if facts.is_empty() {
        return question.to_owned();
    }
    format!("Facts:\n{facts}\nAnswer with the help of the facts: {question}")
}

#[cfg(test)]
mod tests;
