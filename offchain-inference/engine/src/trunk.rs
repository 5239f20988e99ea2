// SPDX-License-Identifier: Apache-2.0
//! The transformer layers of a model, local or remote.

use crate::{config::Config, Hidden, Model, Result, Session, Step};

/// A sequence that a [`Trunk`] computes, with its key-value cache.
pub trait Sequence: Send {
    /// Positions computed.
    fn len(&self) -> usize;

    /// True if nothing is computed.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A second sequence that starts with this one.
    fn fork(&self) -> Self
    where
        Self: Sized;

    /// Forgets all but the first `len` positions.
    fn truncate(&mut self, len: usize);
}

/// The ends of a model: its parts before and after the layers.
pub trait Ends: Send + Sync {
    /// Dimensions and variants of the model.
    fn config(&self) -> &Config;

    /// Every row behind the final norm, as the head takes it.
    fn normed(&self, hidden: &Hidden) -> Result<Hidden>;

    /// Logits of every row: rows × vocabulary, row-major.
    fn logits(&self, hidden: &Hidden) -> Result<Vec<f32>>;

    /// Logits of `tokens` alone, for one row.
    fn logits_of(&self, hidden: &Hidden, row: usize, tokens: &[u32]) -> Result<Vec<f32>>;

    /// ln p(token | row) for every (row, token), in nats.
    fn logprobs(&self, hidden: &Hidden, targets: &[(usize, u32)]) -> Result<Vec<f32>>;
}

/// All layers of a model, wherever they are.
pub trait Trunk: Send + Sync {
    /// Its sequences.
    type Session: Sequence;

    /// Its ends.
    type Ends: Ends;

    /// The model's ends, which are always here: configuration, final norm and head.
    fn ends(&self) -> &Self::Ends;

    /// An empty sequence.
    fn session(&self) -> Self::Session;

    /// A sequence that starts with as much of `tokens`, short of the last one, as an earlier
    /// sequence computed and is still known. To be extended by `tokens[session.len()..]`.
    fn session_with_prefix(&self, tokens: &[u32]) -> Self::Session;

    /// The number of further rows that a pass extending `session` computes in about the time of
    /// one: so many guesses are worth a try. 0 where the layers are here, because every row takes
    /// its time.
    fn free_rows(&self, _: &Self::Session) -> usize {
        0
    }

    /// Extends several sequences and returns the hidden state of the new positions of each, after
    /// the last layer. On an error no sequence has changed.
    fn forward(&self, batch: &mut [Step<'_, Self::Session>]) -> Result<Vec<Hidden>>;
}

impl Sequence for Session {
    fn len(&self) -> usize {
        Session::len(self)
    }

    fn fork(&self) -> Self {
        Session::fork(self)
    }

    fn truncate(&mut self, len: usize) {
        Session::truncate(self, len);
    }
}

impl Ends for Model {
    fn config(&self) -> &Config {
        Model::config(self)
    }

    fn normed(&self, hidden: &Hidden) -> Result<Hidden> {
        Model::normed(self, hidden)
    }

    fn logits(&self, hidden: &Hidden) -> Result<Vec<f32>> {
        Model::logits(self, hidden)
    }

    fn logits_of(&self, hidden: &Hidden, row: usize, tokens: &[u32]) -> Result<Vec<f32>> {
        Model::logits_of(self, hidden, row, tokens)
    }

    fn logprobs(&self, hidden: &Hidden, targets: &[(usize, u32)]) -> Result<Vec<f32>> {
        Model::logprobs(self, hidden, targets)
    }
}

impl Trunk for Model {
    type Session = Session;
    type Ends = Self;

    fn ends(&self) -> &Model {
        self
    }

    fn session(&self) -> Session {
        Model::session(self)
    }

    fn session_with_prefix(&self, tokens: &[u32]) -> Session {
        Model::session_with_prefix(self, tokens)
    }

    fn forward(&self, batch: &mut [Step<'_>]) -> Result<Vec<Hidden>> {
        Model::forward(self, batch)
    }
}
