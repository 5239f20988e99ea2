// SPDX-License-Identifier: Apache-2.0
//! Embeddings: vectors of texts, close to each other where the texts are about the same.
//!
//! The language models of the engine are trained to go on with a text, and their hidden states tell
//! little about how alike two texts are. An [`Embedder`] is a small model of its own, trained for
//! that: a BERT with mean pooling, as sentence-transformers distributes them.

mod encoder;
mod words;

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use sha2::{Digest, Sha256};

use self::{encoder::Encoder, words::Words};
use crate::{Error, Result};

/// Most tokens of a text that count; the rest is left out.
const MOST_TOKENS: usize = 256;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 2 << 30;

/// The reason why a model cannot be used.
type Reason<T> = std::result::Result<T, String>;

/// An embedding model on the CPU.
pub struct Embedder {
    encoder: Encoder,
    words: Words,
    id: [u8; 32],
}

impl Embedder {
    /// Loads a model from a folder of sentence-transformers: `config.json`, `tokenizer.json` and
    /// `model.safetensors`.
    ///
    /// # Errors
    /// [`Error::Embedder`] if a file is missing or unsound, or the model is another one than a BERT
    /// with mean pooling.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::read(folder).map_err(|reason| Error::Embedder {
            path: folder.to_owned(),
            reason,
        })
    }

    fn read(folder: &Path) -> Reason<Self> {
        check_pooling(folder)?;
        let config = read(folder, "config.json")?;
        let tokenizer = read(folder, "tokenizer.json")?;
        let weights = read(folder, "model.safetensors")?;
        let mut id = Sha256::new();
        for part in [&config, &tokenizer, &weights] {
            id.update(Sha256::digest(part));
        }
        let encoder = Encoder::new(&config, &weights)?;
        Ok(Self {
            words: Words::new(&tokenizer, encoder.vocabulary())?,
            encoder,
            id: id.finalize().into(),
        })
    }

    /// The identity of the model: a hash of its three files.
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Number of elements of a vector.
    pub fn width(&self) -> usize {
        self.encoder.width()
    }

    /// The vector of a text, of length 1. Only the first 256 tokens count, or fewer if the model
    /// takes fewer.
    ///
    /// # Errors
    /// [`Error::Candle`] if the system gives no memory, and [`Error::Shape`] if the vector is not
    /// finite.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let most = self.encoder.positions().min(MOST_TOKENS);
        let vector = self.encoder.run(&self.words.tokens(text, most))?;
        if vector.iter().all(|x| x.is_finite()) {
            Ok(vector)
        } else {
            Err(Error::Shape("the embedding is not finite".into()))
        }
    }
}

fn read(folder: &Path, name: &str) -> Reason<Vec<u8>> {
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let mut bytes = vec![];
    let file = File::open(folder.join(name)).map_err(failed)?;
    let mut file = file.take(LARGEST.saturating_add(1));
    let length = file.read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(length).is_ok_and(|length| length <= LARGEST) {
        Ok(bytes)
    } else {
        Err(format!("{name} is larger than {LARGEST} bytes"))
    }
}

/// Fails if the folder says that the model takes another mean than that of its tokens.
fn check_pooling(folder: &Path) -> Reason<()> {
    #[derive(serde::Deserialize)]
    struct Pooling {
        pooling_mode_mean_tokens: bool,
    }
    const NAME: &str = "1_Pooling/config.json";
    let Ok(text) = fs::read_to_string(folder.join(NAME)) else {
        return Ok(());
    };
    let pooling: Pooling =
        serde_json::from_str(&text).map_err(|error| format!("{NAME}: {error}"))?;
    match pooling.pooling_mode_mean_tokens {
        true => Ok(()),
        false => Err(format!("{NAME}: only the mean of all tokens is supported")),
    }
}

#[cfg(test)]
mod tests;
