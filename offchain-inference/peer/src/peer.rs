// SPDX-License-Identifier: Apache-2.0
//! llama.cpp, as a user would run it on CPUs.

use std::{num::NonZeroU32, path::Path};

use llama_cpp_2::{
    context::{params::LlamaContextParams, LlamaContext},
    llama_backend::LlamaBackend,
    llama_batch::LlamaBatch,
    model::{params::LlamaModelParams, LlamaModel},
    token::LlamaToken,
};

use crate::Outcome;

/// The loaded peer.
pub struct Peer {
    backend: LlamaBackend,
    model: LlamaModel,
}

impl Peer {
    pub fn load(path: &Path) -> Outcome<Self> {
        let mut backend = LlamaBackend::init()?;
        backend.void_logs();
        let model = LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default())?;
        Ok(Self { backend, model })
    }

    /// Tokens of a text, after the beginning-of-sequence token where the model wants one.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let tokens = self.model.vocab().tokenize(text.as_bytes(), true, false);
        tokens.into_iter().map(|t| t.0 as u32).collect()
    }

    pub fn sequence(&self, context: u32, threads: i32) -> Outcome<Sequence<'_>> {
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(context))
            .with_n_batch(context)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let context = self.model.new_context(&self.backend, params)?;
        Ok(Sequence { context, len: 0 })
    }
}

/// One sequence of the peer.
pub struct Sequence<'a> {
    context: LlamaContext<'a>,
    len: i32,
}

impl Sequence<'_> {
    pub fn clear(&mut self) {
        self.context.clear_kv_cache();
        self.len = 0;
    }

    /// Computes tokens; logits are kept of the last one, or of all.
    pub fn extend(&mut self, tokens: &[u32], all: bool) -> Outcome<()> {
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        for (i, &token) in tokens.iter().enumerate() {
            let wanted = all || i + 1 == tokens.len();
            batch.add(
                LlamaToken::new(token as i32),
                self.len + i as i32,
                &[0],
                wanted,
            )?;
        }
        self.context.decode(&mut batch)?;
        self.context.synchronize();
        self.len += tokens.len() as i32;
        Ok(())
    }

    /// Logits of row `row` of the last call; −1: its last.
    pub fn logits(&self, row: i32) -> &[f32] {
        self.context.get_logits_ith(row)
    }
}
