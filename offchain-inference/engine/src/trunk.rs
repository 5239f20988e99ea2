// SPDX-License-Identifier: Apache-2.0
//! What lies between a model's embedding and its head: blocks in this process, or on other nodes.

use crate::{Hidden, Model, Result, Session, Step};

/// A sequence that a [`Trunk`] computes, with its key-value cache.
pub trait Sequence: Send {
    /// Positions computed.
    fn len(&self) -> usize;

    /// Whether nothing is computed.
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

/// All blocks of a model, wherever they are.
pub trait Trunk: Send + Sync {
    /// Its sequences.
    type Session: Sequence;

    /// The model's ends, which are always here: configuration, embedding, final norm and head.
    fn ends(&self) -> &Model;

    /// An empty sequence.
    fn session(&self) -> Self::Session;

    /// A sequence that starts with as much of `tokens`, short of the last one, as an earlier
    /// sequence computed and is still known. To be extended by `tokens[session.len()..]`.
    fn session_with_prefix(&self, tokens: &[u32]) -> Self::Session;

    /// Extends several sequences and returns the hidden state of the new positions of each, after
    /// the last block. On an error no sequence has changed.
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

impl Trunk for Model {
    type Session = Session;

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
