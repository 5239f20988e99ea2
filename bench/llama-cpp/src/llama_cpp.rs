// SPDX-License-Identifier: Apache-2.0
//! llama.cpp, as a user would run it on CPUs.
//!
//! Through `llama-cpp-sys-2` itself: the safe crate above it cannot do without llama.cpp's `common`
//! library, which takes longer to compile than all the rest.

use std::{
    ffi::{CStr, CString},
    path::Path,
    ptr::NonNull,
};

use llama_cpp_sys_2 as sys;

use crate::Outcome;

/// A model that llama.cpp has loaded.
pub struct LlamaCpp {
    model: NonNull<sys::llama_model>,
    vocab: *const sys::llama_vocab,
}

impl LlamaCpp {
    /// Loads all of a GGUF file.
    pub fn load(path: &Path) -> Outcome<Self> {
        Self::open(path, false)
    }

    /// Loads the tokenizer alone.
    pub fn load_vocabulary(path: &Path) -> Outcome<Self> {
        Self::open(path, true)
    }

    fn open(path: &Path, vocab_only: bool) -> Outcome<Self> {
        let name = CString::new(path.to_string_lossy().as_bytes())?;
        // SAFETY: the name is a C string, and the pointers are checked before use.
        unsafe {
            sys::llama_log_set(Some(no_log), std::ptr::null_mut());
            sys::llama_backend_init();
            let mut params = sys::llama_model_default_params();
            params.vocab_only = vocab_only;
            let model = sys::llama_model_load_from_file(name.as_ptr(), params);
            let model = NonNull::new(model)
                .ok_or_else(|| format!("llama.cpp cannot load {}", path.display()))?;
            Ok(Self {
                model,
                vocab: sys::llama_model_get_vocab(model.as_ptr()),
            })
        }
    }

    /// Tokens of a text, after the beginning-of-sequence token if the model wants one. With
    /// `special`, special tokens that the text spells are recognised.
    pub fn tokenize(&self, text: &str, special: bool) -> Outcome<Vec<u32>> {
        let mut tokens = vec![0; text.len() + 8];
        // SAFETY: lengths are those of the buffers.
        let n = unsafe {
            sys::llama_tokenize(
                self.vocab,
                text.as_ptr().cast(),
                text.len().try_into()?,
                tokens.as_mut_ptr(),
                tokens.len().try_into()?,
                true,
                special,
            )
        };
        tokens.truncate(usize::try_from(n).map_err(|_| "llama.cpp wants a larger buffer")?);
        tokens
            .into_iter()
            .map(|token| Ok(u32::try_from(token)?))
            .collect()
    }

    /// Features of the CPU that llama.cpp was built to use.
    pub fn system_info(&self) -> String {
        // SAFETY: llama.cpp gives a C string of its own.
        let info = unsafe { CStr::from_ptr(sys::llama_print_system_info()) };
        info.to_string_lossy().trim().to_owned()
    }

    /// Tokens in the vocabulary.
    pub fn vocab_len(&self) -> Outcome<usize> {
        // SAFETY: the vocabulary is the model's.
        Ok(usize::try_from(unsafe {
            sys::llama_vocab_n_tokens(self.vocab)
        })?)
    }

    /// An empty sequence of at most `context` tokens, with llama.cpp's defaults.
    pub fn sequence(&self, context: u32, threads: usize) -> Outcome<Sequence<'_>> {
        self.sequence_with(context, threads, true)
    }

    /// An empty sequence; without `flash_attention`, attention keeps its sums in f32.
    pub fn sequence_with(
        &self,
        context: u32,
        threads: usize,
        flash_attention: bool,
    ) -> Outcome<Sequence<'_>> {
        let threads = i32::try_from(threads)?;
        // SAFETY: the model lives as long as the borrow; the pointer is checked.
        let pointer = unsafe {
            let mut params = sys::llama_context_default_params();
            params.n_ctx = context;
            params.n_batch = context;
            params.n_threads = threads;
            params.n_threads_batch = threads;
            if !flash_attention {
                params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
            }
            sys::llama_init_from_model(self.model.as_ptr(), params)
        };
        Ok(Sequence {
            llama_cpp: self,
            context: NonNull::new(pointer).ok_or("llama.cpp makes no context")?,
            len: 0,
        })
    }
}

impl Drop for LlamaCpp {
    fn drop(&mut self) {
        // SAFETY: loaded by `open`; every sequence borrows the model and is gone.
        unsafe { sys::llama_model_free(self.model.as_ptr()) }
    }
}

unsafe extern "C" fn no_log(
    _: sys::ggml_log_level,
    _: *const std::os::raw::c_char,
    _: *mut std::os::raw::c_void,
) {
}

/// One sequence of llama.cpp.
pub struct Sequence<'a> {
    llama_cpp: &'a LlamaCpp,
    context: NonNull<sys::llama_context>,
    len: i32,
}

impl Sequence<'_> {
    /// Forgets all tokens.
    pub fn clear(&mut self) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.context.as_ptr()), true) }
        self.len = 0;
    }

    /// Computes tokens; logits are kept of the last one, or of all.
    pub fn extend(&mut self, tokens: &[u32], all: bool) -> Outcome<()> {
        let n = i32::try_from(tokens.len())?;
        // SAFETY: the batch has room for `n` tokens of one sequence each, and is freed here.
        let status = unsafe {
            let mut batch = sys::llama_batch_init(n, 0, 1);
            for (i, &token) in tokens.iter().enumerate() {
                *batch.token.add(i) = token as i32;
                *batch.pos.add(i) = self.len + i as i32;
                *batch.n_seq_id.add(i) = 1;
                **batch.seq_id.add(i) = 0;
                *batch.logits.add(i) = i8::from(all || i + 1 == tokens.len());
            }
            batch.n_tokens = n;
            let status = sys::llama_decode(self.context.as_ptr(), batch);
            sys::llama_synchronize(self.context.as_ptr());
            sys::llama_batch_free(batch);
            status
        };
        if status != 0 {
            return Err(format!("llama_decode returned {status}").into());
        }
        self.len += n;
        Ok(())
    }

    /// Logits of row `row` of the last call; −1: its last.
    pub fn logits(&self, row: i32) -> Outcome<&[f32]> {
        // SAFETY: llama.cpp gives a row of the vocabulary's length, or null.
        unsafe {
            let row = sys::llama_get_logits_ith(self.context.as_ptr(), row);
            let row = NonNull::new(row).ok_or("llama.cpp kept no such logits")?;
            Ok(std::slice::from_raw_parts(
                row.as_ptr(),
                self.llama_cpp.vocab_len()?,
            ))
        }
    }
}

impl Drop for Sequence<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `LlamaCpp::sequence` and not freed elsewhere.
        unsafe { sys::llama_free(self.context.as_ptr()) }
    }
}
